# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CustomResourceDefinitions in files with a URL and a checksum, kept on this machine like the binaries for hosts."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import PlatformError
from .binaries import Binary, downloads_directory, provide

ANY_ARCHITECTURE = "any"
VERSION_DIGITS = 16
"""A file's version is this many digits of its checksum: another checksum is another file."""


def read_definitions(
    entries: list[dict[str, t.Any]], *, cache: str, bundle: str, check_mode: bool
) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The objects in the files, in their order, and the URLs that were not downloaded because of check mode.

    Args:
        entries: each with `url` and `sha256`, or `path`; a `sha256` that is given is checked for both.
        cache: directory of downloads; "" for the default.
        bundle: air-gap bundle, from which everything comes; "" for none.

    Raises:
        PlatformError: a file is not available, is not what its checksum says, or holds no objects.
    """
    directory = downloads_directory(cache)
    source = Path(bundle) if bundle else None
    files = [binary_of(entry) for entry in entries]
    with ThreadPoolExecutor(max_workers=4) as pool:
        found = list(pool.map(lambda file: provide(file, directory, source, check_mode=check_mode), files))
    missing = [file.url for file, (fetched, _place) in zip(files, found, strict=True) if fetched and check_mode]
    paths = [
        Path(place["path"]) for file, (_fetched, place) in zip(files, found, strict=True) if file.url not in missing
    ]
    return [entry for path in paths for entry in read_objects(path)], missing


def binary_of(entry: dict[str, t.Any]) -> Binary:
    """An entry as download/binaries.py downloads it.

    Raises:
        PlatformError: it has neither a path nor a URL with a checksum.
    """
    url, path = str(entry.get("url") or ""), str(entry.get("path") or "")
    checksum = str(entry.get("sha256") or "").lower().removeprefix("sha256:")
    if not path and not (url and checksum):
        raise PlatformError(
            f"A definition has neither a path nor a url with its sha256: {entry}.",
            next_step="Correct platform_definitions.",
        )
    name = urlsplit(url).path.rpartition("/")[2] or Path(path).name
    return Binary(
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
        PlatformError: it is not YAML, or holds something else.
    """
    import yaml

    base: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # whether PyYAML has its parser in C is known at run time only
        """YAML 1.1 has a type of its own for a plain `=`, which PyYAML leaves undefined; prometheus-operator's
        definitions have it among words."""

    Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: str(loader.construct_scalar(node)))
    try:
        documents = [
            entry for entry in yaml.load_all(path.read_text(encoding="utf-8"), Loader=Loader) if entry is not None
        ]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path} is not YAML: {error}.", next_step="Correct platform_definitions.") from error
    if not documents or not all(isinstance(entry, dict) and entry.get("kind") for entry in documents):
        raise PlatformError(
            f"{path} holds something other than objects of Kubernetes.", next_step="Correct platform_definitions."
        )
    return documents
