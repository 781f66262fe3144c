# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The air-gap bundle: a directory with the binaries (download/binaries.py), charts and definitions of an installation
without internet, and lists of its files and of the container images.

Runs on the controller only.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t
from pathlib import Path

from ..charts import download as charts_download
from ..errors import PlatformError
from ..host import whole_file
from ..host.digests import sha256
from . import images

MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
IMAGES = "images.txt"

Places = t.Mapping[str, t.Mapping[str, t.Mapping[str, str]]]
"""As binary_download returns binaries: {name: {architecture: {path, sha256}}}."""


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module air_gap_bundle does; its documentation says what the parameters and the result mean."""
    directory = Path(parameters["directory"])
    chosen = parameters["sources"]
    collected = charts_download.collect(chosen, parameters["definitions"], directory, check_mode=check_mode)
    listed = images.list_images(
        parameters["charts"],
        chosen,
        directory,
        registries=parameters["image_registries"],
        kubernetes_version=parameters["kubernetes_version"],
        helm=parameters["helm"],
        check_mode=check_mode,
    )
    names = [*parameters["images"], *_lines(parameters["images_file"]), *(name for _source, name in listed.images)]
    completed = complete(
        directory,
        {**parameters["binaries"], **collected.places},
        {**parameters["versions"], **collected.versions},
        names,
        check_mode=check_mode,
    )
    return {
        **completed,
        "changed": collected.changed or listed.changed or completed["changed"],
        "rendered": listed.rendered,
        "platform_images": [{"source": source, "name": name} for source, name in listed.images],
        "without_mirror": sorted({source.partition("/")[0] for source, name in listed.images if source == name}),
    }


def complete(
    directory: Path,
    places: Places,
    versions: t.Mapping[str, str],
    names: t.Iterable[str],
    *,
    check_mode: bool = False,
) -> dict[str, t.Any]:
    """Copy in the files that are elsewhere on this machine, and write `SHA256SUMS` (for `sha256sum -c`), `images.txt`
    and `manifest.json` where they differ.

    Args:
        versions: of each file, by its name in `places`.
        names: of container images; one may be there twice.

    Returns:
        `changed`, `files`, `images` and `size` of the module's result.

    Raises:
        PlatformError: a file cannot be copied or written, or was changed since it was downloaded.
    """
    files: list[dict[str, t.Any]] = []
    changed = False
    try:
        for name, architectures in sorted(places.items()):
            for architecture, found in sorted(architectures.items()):
                place = directory / name / versions[name] / architecture / name
                changed |= bring(Path(found["path"]), place, found["sha256"], check_mode=check_mode)
                files.append(
                    {
                        "path": str(place.relative_to(directory)),
                        "name": name,
                        "version": versions[name],
                        "architecture": architecture,
                        "size": place.stat().st_size if place.exists() else 0,
                        "sha256": found["sha256"],
                    }
                )
        images_needed = sorted(set(names))
        manifest = {"format": 1, "files": files, "images": images_needed}
        contents = {
            CHECKSUMS: "".join(f"{file['sha256']}  {file['path']}\n" for file in files),
            IMAGES: "".join(f"{image}\n" for image in images_needed),
            MANIFEST: json.dumps(manifest, indent=2, sort_keys=True) + "\n",  # last: now the bundle is complete
        }
        for file_name, content in contents.items():
            changed |= whole_file.update(str(directory / file_name), content, check_mode=check_mode)
    except OSError as error:
        raise PlatformError(
            f"{error.filename or directory} cannot be written: {error.strerror}.",
            next_step="Free space there, or name another directory.",
        ) from error
    return {
        "changed": changed,
        "files": files,
        "images": images_needed,
        "size": sum(file["size"] for file in files),
    }


def bring(source: Path, place: Path, digest: str, *, check_mode: bool) -> bool:
    """Have a file in the bundle; gives whether it had to be copied.

    Raises:
        PlatformError: it is not what it was when its checksum was made.
    """
    about = place.with_name(f"{place.name}.json")
    if place.is_file() and about.is_file() and sha256(str(place)) == digest:
        return False
    if check_mode:
        return True
    if source == place:
        raise PlatformError(
            f"{place} is not what was downloaded.",
            next_step="Delete it and run ansible-playbook wasmfaas.platform.bundle again; let nobody else write there.",
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    shutil.copyfile(source, partial)
    if sha256(str(partial)) != digest:
        partial.unlink()
        cause = f"{source} was changed while it was copied."
        raise PlatformError(cause, next_step="Run ansible-playbook wasmfaas.platform.bundle again.")
    partial.chmod(0o755)
    os.replace(partial, place)
    origin = {"url": "", "source_sha256": digest, "sha256": digest}
    whole_file.update(str(about), json.dumps(origin, indent=2) + "\n", check_mode=False)
    return True


def _lines(path: str | None) -> list[str]:
    """The names in a file, one a line; a file that does not exist has none."""
    if not path or not Path(path).is_file():
        return []
    lines = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
