# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the CustomResourceDefinitions of the tests come from: ../shared/crds beside the repository, else their upstream by URL and checksum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from .servers import REPOSITORY

_SPIN = "https://raw.githubusercontent.com/spinframework/spin-operator/v0.6.1/config/crd/bases/"
_KEDA = "https://raw.githubusercontent.com/kedacore/keda/v2.20.2/config/crd/bases/"
_HTTP = "https://raw.githubusercontent.com/kedacore/http-add-on/v0.15.0/config/crd/bases/"
DEFINITIONS = {
    "core.spinkube.dev_spinapps.yaml": (_SPIN, "08051de70925efe25bafca636c9b9410a4fe61e17015bd199be1efa04a5b5762"),
    "core.spinkube.dev_spinappexecutors.yaml": (_SPIN, "c290585b469a6076eeab764af63be1aac11d584c903b5f72a45a1df807634107"),
    "keda.sh_scaledobjects.yaml": (_KEDA, "207afc4ca44fd9e3f4bbfb1c8fae08f3a365e098a52714fe8eb672bbd239cbcd"),
    "http.keda.sh_interceptorroutes.yaml": (_HTTP, "b594c0d69bb2140c9de16110a58e5a0a858d0cb9559a51d9190d92495fcf7c38"),
}


class DefinitionsMissingError(Exception):
    """There is neither ../shared/crds nor a way to download the definitions."""


def definition_files() -> list[Path]:
    """The files that the control plane is to start with.

    Raises:
        DefinitionsMissingError: with the reason that a test may give for being skipped.
    """
    shared = REPOSITORY.parent / "shared" / "crds"
    if shared.is_dir():
        return [shared / name for name in DEFINITIONS]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas" / "test-definitions"
    cache.mkdir(parents=True, exist_ok=True)
    return [_download(cache / f"{checksum[:16]}-{name}", f"{base}{name}", checksum) for name, (base, checksum) in DEFINITIONS.items()]


def _download(file: Path, url: str, checksum: str) -> Path:
    import httpx2

    if file.exists():
        return file
    try:
        content = httpx2.get(url, timeout=30, follow_redirects=True).raise_for_status().content
    except httpx2.HTTPError as error:
        raise DefinitionsMissingError(f"{shared_reason()} and {url} cannot be downloaded: {error}") from error
    if hashlib.sha256(content).hexdigest() != checksum:
        raise DefinitionsMissingError(f"{shared_reason()} and {url} has another checksum than {checksum}")
    partial = file.with_suffix(".partial")
    partial.write_bytes(content)
    partial.rename(file)
    return file


def shared_reason() -> str:
    return f"{REPOSITORY.parent / 'shared' / 'crds'} does not exist"
