# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of kinds from files at an address with a checksum, kept on this machine as programs for hosts are."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from ..directories import cache_directory
from ..errors import PlatformError
from .binaries import Program, provide

ANY_ARCHITECTURE = "any"
VERSION_DIGITS = 16
"""So many of its checksum are a file's version: another checksum is another file."""


def read_definitions(
    entries: list[dict[str, t.Any]], *, cache: str, artifacts: str, check_mode: bool
) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The objects in the files, in their order, and the addresses that were not downloaded since it is check mode.

    Args:
        entries: each `url` and `sha256`, or `path`; the SHA-256 is checked of both where it is given.
        cache: folder of downloads, "" for the usual one.
        artifacts: folder that bundle.yml made, from which all comes; "" for none.

    Raises:
        PlatformError: a file can't be had, or is not what its checksum says, or holds no objects.
    """
    folder = Path(cache) if cache else cache_directory(None) / "artifacts"
    programs = [program_of(entry) for entry in entries]
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(
            pool.map(
                lambda program: provide(program, folder, Path(artifacts) if artifacts else None, check_mode=check_mode),
                programs,
            )
        )
    missing = [
        program.url for program, (fetched, _place) in zip(programs, found, strict=True) if fetched and check_mode
    ]
    paths = [
        Path(place["path"])
        for program, (_fetched, place) in zip(programs, found, strict=True)
        if program.url not in missing
    ]
    return [entry for path in paths for entry in read_objects(path)], missing


def program_of(entry: dict[str, t.Any]) -> Program:
    """An entry as what is downloaded, for bundle.yml too.

    Raises:
        PlatformError: it has neither a path nor an address with a checksum.
    """
    url, path = str(entry.get("url") or ""), str(entry.get("path") or "")
    checksum = str(entry.get("sha256") or "").lower().removeprefix("sha256:")
    if not path and not (url and checksum):
        raise PlatformError(
            f"A definition has neither a path nor a url with its sha256: {entry}.",
            next_step="Correct platform_definitions.",
        )
    name = urlsplit(url).path.rpartition("/")[2] or Path(path).name
    return Program(
        name=name,
        version=checksum[:VERSION_DIGITS] or "given",
        architecture=ANY_ARCHITECTURE,
        url=url,
        sha256=checksum,
        path=path,
        variable="platform_definitions",
    )


def read_objects(path: Path) -> list[dict[str, t.Any]]:
    """The objects of a file.

    Raises:
        PlatformError: it is no YAML, or holds something else.
    """
    import yaml

    base: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """YAML 1.1 has a type of its own for a plain `=`, which PyYAML leaves undefined; prometheus-operator's
        definitions have it among words."""

    Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: str(loader.construct_scalar(node)))
    try:
        documents = [
            entry for entry in yaml.load_all(path.read_text(encoding="utf-8"), Loader=Loader) if entry is not None
        ]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path} is no YAML: {error}.", next_step="Correct platform_definitions.") from error
    if not documents or not all(isinstance(entry, dict) and entry.get("kind") for entry in documents):
        raise PlatformError(
            f"{path} holds something else than objects of Kubernetes.", next_step="Correct platform_definitions."
        )
    return documents
