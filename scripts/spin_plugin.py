# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the command client/wasmfaas.py a plugin of Spin, so that `spin wasmfaas deploy` works: writes wasmfaas.tar.gz
and wasmfaas.json, the plugin's manifest (spinframework/spin v4.0.2, crates/plugins/src/manifest.rs).

    python scripts/spin_plugin.py URL DIRECTORY

URL is that of the directory to which both files are uploaded, such as that of a release.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import tarfile
import typing as t
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parent.parent
COMMAND = PROJECT / "client/wasmfaas.py"
NAME = "wasmfaas"
SYSTEMS = [(system, processor) for system in ("linux", "macos") for processor in ("amd64", "aarch64")]
"""Where a file that begins with `#!` is a program."""


SHEBANG = b"#!/usr/bin/env python3\n"
"""Spin starts the file as a program; ansible-test takes no such line in a file of a collection."""


def main() -> None:
    """Write both files."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    url, directory = sys.argv[1].rstrip("/"), Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    package = archive()
    (directory / f"{NAME}.tar.gz").write_bytes(package)
    (directory / f"{NAME}.json").write_text(json.dumps(manifest(url, package), indent=2) + "\n", encoding="utf-8")


def archive() -> bytes:
    """The plugin's package: the command under the name that Spin runs, the same for the same command."""
    content = SHEBANG + COMMAND.read_bytes()
    stream = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as tar,
    ):
        about = tarfile.TarInfo(NAME)
        about.size, about.mode = len(content), 0o755
        tar.addfile(about, io.BytesIO(content))
    return stream.getvalue()


def manifest(url: str, package: bytes) -> dict[str, t.Any]:
    """The plugin's manifest, for a package in the directory at `url`."""
    galaxy = yaml.safe_load((PROJECT / "galaxy.yml").read_text(encoding="utf-8"))
    version = re.search(r'^VERSION = "(.+)"$', COMMAND.read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None  # noqa: S101 (tests/packaging sees to it)
    digest = hashlib.sha256(package).hexdigest()
    return {
        "name": NAME,
        "description": "Deploys functions with the hosted service of wasmfaas.platform.",
        "homepage": galaxy["homepage"],
        "version": version[1],
        "spinCompatibility": ">=3.0",
        "license": galaxy["license"][0],
        "packages": [
            {"os": system, "arch": processor, "url": f"{url}/{NAME}.tar.gz", "sha256": digest}
            for system, processor in SYSTEMS
        ],
    }


if __name__ == "__main__":
    main()
