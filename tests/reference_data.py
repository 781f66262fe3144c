# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of other projects that tests judge the collection's output by. Each comes from the directory `shared` beside
the repository where there is one, else from a pinned URL, whose answer is kept in ~/.cache/wasmfaas."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared"
CHARTS = BESIDE / "charts"
"""Values and schemas of the charts, by the chart's name. They have no pinned URL: a chart's repository gives the whole
chart only, and most charts get their version at a release."""

DOWNLOAD_SECONDS = 30.0
_SOURCES = {
    "core.spinkube.dev_spinapps.yaml": (
        "https://raw.githubusercontent.com/spinframework/spin-operator/v0.6.1/config/crd/bases/",
        "08051de70925efe25bafca636c9b9410a4fe61e17015bd199be1efa04a5b5762",
    ),
    "keda.sh_scaledobjects.yaml": (
        "https://raw.githubusercontent.com/kedacore/keda/v2.20.2/config/crd/bases/",
        "af35555862a83933b074af14ad439c4b4ceabaf4daa3e9338e9b23e36d308d80",
    ),
    "http.keda.sh_interceptorroutes.yaml": (
        "https://raw.githubusercontent.com/kedacore/http-add-on/v0.15.0/config/crd/bases/",
        "a706e998936b0ba41ff890673be57578f6280b0b3308e9b86b67b745d7b3480b",
    ),
}
"""Directory of a tag, and SHA-256, by the file's name."""


class DataMissingError(Exception):
    """A file is not available; the message is the reason that a test may give for being skipped."""


def custom_resource_definition(name: str) -> Path:
    """The file `name` with the definition of one kind.

    Raises:
        DataMissingError: it is not beside the repository, and its URL does not give it.
    """
    beside = BESIDE / "crds" / name
    if beside.is_file():
        return beside
    directory, sha256 = _SOURCES[name]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas" / "reference-data"
    kept = cache / f"{sha256[:16]}-{name}"
    if not kept.is_file():
        content = _download(directory + name)
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise DataMissingError(f"{directory}{name} has the SHA-256 {found}, not {sha256}")
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        partial.write_bytes(content)
        partial.rename(kept)
    return kept


def chart_file(chart: str, file: str) -> Path:
    """A file of a chart, such as `values.yaml`.

    Raises:
        DataMissingError: it is not beside the repository.
    """
    found = CHARTS / chart / file
    if not found.is_file():
        raise DataMissingError(f"{found} does not exist: it is the file of that name of the chart {chart}")
    return found


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_SECONDS) as response:
            return bytes(response.read())
    except (urllib.error.URLError, TimeoutError) as error:
        raise DataMissingError(f"{url} is not available: {error}") from error
