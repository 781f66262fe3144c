# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps binaries for hosts in a directory: NAME/VERSION/ARCHITECTURE/NAME, with origin and checksum beside them in a
file that ends in `.json`.

The directory is either this machine's cache or an air-gap bundle, which has the same layout. From a bundle everything
is verified and nothing is fetched.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import tarfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..directories import cache_directory
from ..errors import PlatformError
from ..host.digests import Digests, sha256
from . import pinned
from .fetch import fetch_checksum, fetch_file, unwritable

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Go's name of an architecture to uname's, both of which releases are named by."""

SUFFIXES = {"amd64": "", "arm64": "-arm64"}
"""k3s names the binary of amd64 without an architecture (k3s-io/k3s, releases)."""

ARCHIVES = (".tar.gz", ".tgz")


@dataclasses.dataclass(frozen=True)
class Binary:
    """One binary for one architecture.

    Args:
        sha256: of what `url` answers, archive or binary; "" where `pinned` or the list at `checksums_url` tells it.
        pinned: the same as this collection has recorded it (pinned.py), for downloads; "" where it has not.
        path: file on this machine, binary or archive, instead of `url`.
        variable: the variable by which users name another place, for messages.
    """

    name: str
    version: str
    architecture: str
    url: str
    sha256: str = ""
    checksums_url: str = ""
    pinned: str = ""
    path: str = ""
    variable: str = "its url"

    @property
    def asset(self) -> str:
        """Name of the file that the URL ends in."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def place(self, directory: Path) -> Path:
        return directory / self.name / self.version / self.architecture / self.name


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module binary_download does; `parameters` are its options."""
    bundle = Path(parameters["bundle_directory"]) if parameters["bundle_directory"] else None
    cache = downloads_directory(parameters["cache_directory"])
    desired = [binary for entry in parameters["binaries"] for binary in expand(entry, parameters["architectures"])]
    if bundle is not None and not bundle.is_dir():
        raise PlatformError(
            f"There is no directory {bundle}, the air-gap bundle that all binaries come from.",
            next_step="Make it with ansible-playbook wasmfaas.platform.bundle, or correct its path.",
        )
    changed = False
    found: dict[str, dict[str, dict[str, str]]] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for binary, (fetched, result) in zip(
            desired, pool.map(lambda one: provide(one, cache, bundle, check_mode=check_mode), desired), strict=True
        ):
            changed |= fetched
            found.setdefault(binary.name, {})[binary.architecture] = result
    return {"changed": changed, "binaries": found}


def downloads_directory(given: str | None) -> Path:
    """Where downloads are kept on this machine: what was given, or a directory of the cache."""
    return Path(given) if given else cache_directory(None) / "artifacts"


def expand(entry: dict[str, t.Any], architectures: t.Iterable[str]) -> list[Binary]:
    """An entry of the module's option for each architecture, with the placeholders of its URLs filled in.

    Raises:
        PlatformError: an architecture or a placeholder is not known.
    """
    binaries = []
    for architecture in dict.fromkeys(architectures):
        if architecture not in MACHINES:
            raise PlatformError(
                f"{entry['name']} is not available for {architecture}.",
                next_step=f"Use hosts with {' or '.join(MACHINES)}.",
            )
        values = {
            "version": quote(entry["version"], safe=""),
            "architecture": architecture,
            "machine": MACHINES[architecture],
            "suffix": SUFFIXES[architecture],
        }
        try:
            url, checksums_url = (str(entry.get(key) or "").format(**values) for key in ("url", "checksums_url"))
        except (KeyError, IndexError, ValueError) as error:
            raise PlatformError(
                f"The URL {entry['url']!r} of {entry['name']} holds an unknown placeholder ({error}).",
                next_step=f"Use {', '.join(f'{{{name}}}' for name in values)}.",
            ) from error
        binaries.append(
            Binary(
                name=entry["name"],
                version=entry["version"],
                architecture=architecture,
                url=url,
                checksums_url=checksums_url,
                pinned=pinned.BINARIES.get(f"{entry['name']} {entry['version']}", {}).get(architecture, ""),
                sha256=str((entry.get("checksums") or {}).get(architecture) or "").lower().removeprefix("sha256:"),
                path=str((entry.get("paths") or {}).get(architecture) or ""),
                variable=str(entry.get("variable") or f"the url of {entry['name']}"),
            )
        )
    return binaries


def provide(binary: Binary, cache: Path, bundle: Path | None, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    """Have a binary on this machine: whether something was fetched, and its `path` and `sha256` (of the binary, not of
    its archive).

    In check mode nothing is fetched, and a binary that is not there yet has the SHA-256 "" unless it is known.

    Args:
        cache: where binaries are kept.
        bundle: an air-gap bundle, from which everything comes; None: nothing does.

    Raises:
        PlatformError: it is not available, or is not what its checksum says.
    """
    try:
        # First: on the other side of an air gap, the files that the inventory names do not exist.
        if bundle is not None:
            return False, _from_bundle(binary, bundle)
        if binary.path:
            return _from_file(binary, cache, check_mode=check_mode)
        place = binary.place(cache)
        kept = _kept(binary, place, cache)
        if kept:
            return False, kept
        if check_mode:
            return True, {"path": str(place), "sha256": "" if binary.asset.endswith(ARCHIVES) else binary.sha256}
        with _locked(place):
            # Another run may have fetched it while this one waited.
            return (False, kept) if (kept := _kept(binary, place, cache)) else (True, _fetch(binary, place))
    except OSError as error:
        raise unwritable(binary.place(cache), error) from error


def _fetch(binary: Binary, place: Path) -> dict[str, str]:
    if not binary.url:
        raise PlatformError(
            f"{binary.name} for {binary.architecture} has neither a URL nor a file.", next_step="Give one of them."
        )
    expected = binary.sha256 or binary.pinned
    if not expected and binary.checksums_url:
        expected = fetch_checksum(binary.checksums_url, binary.asset, mirror_variable=binary.variable)
    if not expected:
        raise PlatformError(
            f"No checksum of {binary.name} {binary.version} for {binary.architecture} is known.",
            next_step=f"Give its sha256 in `checksums`, beside {binary.variable}.",
        )
    downloaded = place.with_name(f"{place.name}.download")
    try:
        fetch_file(binary.url, downloaded, expected, mirror_variable=binary.variable)
        return _keep(binary, downloaded, place, {"url": binary.url, "source_sha256": expected})
    finally:
        downloaded.unlink(missing_ok=True)


def _keep(binary: Binary, source: Path, place: Path, origin: dict[str, str]) -> dict[str, str]:
    """Put a binary in its place, out of its archive if it is in one. Its description is written last: without it the
    binary counts as missing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    try:
        if (binary.asset or source.name).endswith(ARCHIVES) or source.name.endswith(ARCHIVES):
            _extract(source, binary.name, partial)
        else:
            shutil.copyfile(source, partial)
        partial.chmod(0o755)
        digest = sha256(str(partial))
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)
    about = place.with_name(f"{place.name}.json")
    temporary = about.with_name(f"{about.name}.partial")
    temporary.write_text(json.dumps({**origin, "sha256": digest}, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, about)
    return {"path": str(place), "sha256": digest}


def _extract(archive: Path, name: str, target: Path) -> None:
    """The file called `name`, or the only file, of an archive."""
    try:
        with tarfile.open(archive, "r:gz") as opened:
            files = [member for member in opened.getmembers() if member.isfile()]
            named = [member for member in files if member.name.rpartition("/")[2] == name]
            chosen = named if len(named) == 1 else files
            if len(chosen) != 1:
                raise PlatformError(
                    f"The archive of {name} holds {len(files)} files, and none, or several, of that name.",
                    next_step="See that the URL and the version belong together.",
                )
            content = opened.extractfile(chosen[0])
            if content is None:
                raise AssertionError(f"{chosen[0].name} is a regular file and has no content")
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise PlatformError(
            f"What should be the archive of {name} is none ({error}).",
            next_step="See what its URL gives, and where its checksum is from.",
        ) from error


def _kept(binary: Binary, place: Path, directory: Path) -> dict[str, str] | None:
    """A binary that is there, whole, and from the archive or file of that checksum."""
    about = _about(place)
    expected = binary.sha256 or binary.pinned
    if about is None or (expected and about.get("source_sha256") != expected):
        return None
    try:
        digest = Digests(str(directory / "digests.json")).of(str(place))
    except OSError:
        return None
    return {"path": str(place), "sha256": digest} if digest == about.get("sha256") else None


def _from_bundle(binary: Binary, bundle: Path) -> dict[str, str]:
    place = binary.place(bundle)
    about = _about(place)
    if about is None or not place.is_file():
        raise PlatformError(
            f"The air-gap bundle {bundle} holds no {binary.name} {binary.version} for {binary.architecture}.",
            next_step="Make it anew for this inventory with ansible-playbook wasmfaas.platform.bundle.",
        )
    digest = sha256(str(place))
    # As in _from_file: the checksum of an archive says nothing about a binary that was given without its archive.
    given = binary.asset.endswith(ARCHIVES) and about.get("source_sha256") == about["sha256"]
    expected = "" if given else binary.sha256
    if digest != about["sha256"] or (expected and about.get("source_sha256") != expected):
        raise PlatformError(
            f"{place} is not what it should be: its SHA-256 is {digest}, from {about.get('source_sha256')}; expected "
            f"{about['sha256']}, "
            f"from {expected or about.get('source_sha256')}.",
            next_step="Carry it over again, or make it anew with ansible-playbook wasmfaas.platform.bundle.",
        )
    return {"path": str(place), "sha256": digest}


def _from_file(binary: Binary, cache: Path, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    source = Path(binary.path).expanduser()
    if not source.is_file():
        raise PlatformError(
            f"There is no file {source}, given as {binary.name} for {binary.architecture}.",
            next_step="Correct its path.",
        )
    digest = sha256(str(source))
    archive = source.name.endswith(ARCHIVES)
    # The checksum of an archive says nothing about a binary that somebody took out of it.
    if binary.sha256 and digest != binary.sha256 and archive == binary.asset.endswith(ARCHIVES):
        raise PlatformError(
            f"{source} has the SHA-256 {digest}, and {binary.sha256} is expected.",
            next_step="Use the file of that version, or correct the checksum.",
        )
    if not archive:
        return False, {"path": str(source), "sha256": digest}
    place = cache / "files" / digest[:16] / binary.name
    about = _about(place)
    if about and place.is_file() and about.get("source_sha256") == digest:
        return False, {"path": str(place), "sha256": about["sha256"]}
    if check_mode:
        return True, {"path": str(place), "sha256": ""}
    return True, _keep(binary, source, place, {"url": "", "source_sha256": digest})


def _about(place: Path) -> dict[str, str] | None:
    try:
        read = json.loads(place.with_name(f"{place.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) and read.get("sha256") else None


@contextlib.contextmanager
def _locked(place: Path) -> t.Iterator[None]:
    """One download of a binary at a time; the lock's file stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
