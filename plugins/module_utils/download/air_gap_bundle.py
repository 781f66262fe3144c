# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that carries an installation over an air gap: programs as download/binaries.py lays them out, what they
are, and which images are needed.

Runs on the controller only.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..host import whole_file
from ..k3s.recovery.snapshot import sha256

MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
IMAGES = "images.txt"

Programs = t.Mapping[str, t.Mapping[str, t.Mapping[str, str]]]
"""As artifact_download returns them: {name: {architecture: {path, sha256}}}."""


def collect(
    directory: str,
    programs: Programs,
    versions: t.Mapping[str, str],
    images: t.Sequence[str],
    *,
    check_mode: bool = False,
) -> dict[str, t.Any]:
    """Complete a folder that artifact_download has filled; the module's result.

    Programs that are files of this machine are copied in. Then `SHA256SUMS` (for `sha256sum -c`), `images.txt` and
    `manifest.json` are written, where they would say something else.

    Args:
        versions: of each program, by name.

    Raises:
        PlatformError: a file cannot be copied or written, or was changed since it was downloaded.
    """
    root = Path(directory)
    files: list[dict[str, t.Any]] = []
    changed = False
    try:
        for name, architectures in sorted(programs.items()):
            for architecture, program in sorted(architectures.items()):
                place = root / name / versions[name] / architecture / name
                changed |= bring(Path(program["path"]), place, program["sha256"], check_mode=check_mode)
                size = place.stat().st_size if place.exists() else 0
                files.append(
                    {
                        "path": str(place.relative_to(root)),
                        "name": name,
                        "version": versions[name],
                        "architecture": architecture,
                        "size": size,
                        "sha256": program["sha256"],
                    }
                )
        manifest = {"format": 1, "files": files, "images": sorted(set(images))}
        contents = {
            CHECKSUMS: "".join(f"{file['sha256']}  {file['path']}\n" for file in files),
            IMAGES: "".join(f"{image}\n" for image in sorted(set(images))),
            MANIFEST: json.dumps(manifest, indent=2, sort_keys=True) + "\n",  # last: it says that all is there
        }
        for file_name, content in contents.items():
            changed |= write(root / file_name, content, check_mode=check_mode)
    except OSError as error:
        raise PlatformError(
            f"{error.filename or directory} cannot be written: {error.strerror}.",
            next_step="Free space there, or name another folder.",
        ) from error
    return {
        "changed": changed,
        "files": files,
        "images": manifest["images"],
        "size": sum(file["size"] for file in files),
    }


def bring(source: Path, place: Path, digest: str, *, check_mode: bool) -> bool:
    """Have a program in the folder; gives whether it had to be copied.

    Raises:
        PlatformError: it is not what it was when it was looked at.
    """
    about = place.with_name(f"{place.name}.json")
    if place.is_file() and about.is_file() and sha256(str(place)) == digest:
        return False
    if check_mode:
        return True
    if source == place:
        raise PlatformError(
            f"{place} is not what was downloaded.",
            next_step="Delete it and run ansible-playbook wasmfaas.platform.bundle again; nobody else may write there.",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    shutil.copyfile(source, partial)
    if sha256(str(partial)) != digest:
        partial.unlink()
        raise PlatformError(
            f"{source} was changed while it was copied.",
            next_step="Run ansible-playbook wasmfaas.platform.bundle again.",
        )
    partial.chmod(0o755)
    os.replace(partial, place)
    write(about, json.dumps({"url": "", "source_sha256": digest, "sha256": digest}, indent=2) + "\n", check_mode=False)
    return True


def write(path: Path, content: str, *, check_mode: bool) -> bool:
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return False
    if not check_mode:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(path, content, mode=None)
    return True


def run(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_bundle does; its documentation says what the parameters and the result mean."""
    images = list(params["images"])
    lists = params["images_file"]
    if lists and Path(lists).is_file():
        images += [
            line.strip()
            for line in Path(lists).read_text(encoding="utf-8").splitlines()
            if line.strip() and not line.startswith("#")
        ]
    return collect(params["directory"], params["programs"], params["versions"], images, check_mode=check_mode)
