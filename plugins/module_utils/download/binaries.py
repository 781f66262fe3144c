# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps programs for hosts in a folder: NAME/VERSION/ARCHITECTURE/NAME, with what is known of each beside it in a file
ending in `.json`.

The folder is this machine's cache, and just so what bundle.yml carries over an air gap: there, nothing is fetched, and
all is verified.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
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
from ..host.digests import Digests
from .fetch import fetch_checksum, fetch_file, unwritable

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Go's name of an architecture to uname's, both of which releases are named by."""

SUFFIXES = {"amd64": "", "arm64": "-arm64"}
"""k3s names the program of amd64 without an architecture (k3s-io/k3s, releases)."""

ARCHIVES = (".tar.gz", ".tgz")


@dataclasses.dataclass(frozen=True)
class Program:
    """One program for one architecture.

    Args:
        sha256: of what `url` answers, archive or program; "" where the list at `checksums_url` tells it.
        path: file on this machine, program or archive, instead of `url`.
        variable: what the user sets to name another place, for messages.
    """

    name: str
    version: str
    architecture: str
    url: str
    sha256: str = ""
    checksums_url: str = ""
    path: str = ""
    variable: str = "its url"

    @property
    def asset(self) -> str:
        """Name of the file that the URL ends in."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])

    def place(self, folder: Path) -> Path:
        return folder / self.name / self.version / self.architecture / self.name


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module artifact_download does; `parameters` are its options."""
    artifacts = Path(parameters["artifacts_directory"]) if parameters["artifacts_directory"] else None
    cache = (
        Path(parameters["cache_directory"]) if parameters["cache_directory"] else cache_directory(None) / "artifacts"
    )
    wanted = [program for entry in parameters["programs"] for program in expand(entry, parameters["architectures"])]
    if artifacts is not None and not artifacts.is_dir():
        raise PlatformError(
            f"There is no folder {artifacts}, from which all programs are to come.",
            next_step="make it with ansible-playbook wasmfaas.platform.bundle, or correct its path.",
        )
    changed = False
    found: dict[str, dict[str, dict[str, str]]] = {}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for program, (fetched, result) in zip(
            wanted, pool.map(lambda one: provide(one, cache, artifacts, check_mode=check_mode), wanted), strict=True
        ):
            changed |= fetched
            found.setdefault(program.name, {})[program.architecture] = result
    return {"changed": changed, "programs": found}


def expand(entry: dict[str, t.Any], architectures: t.Iterable[str]) -> list[Program]:
    """A program of the module's option, for each architecture, with the placeholders of its URLs filled in.

    Raises:
        PlatformError: an architecture is not known, or a placeholder.
    """
    programs = []
    for architecture in dict.fromkeys(architectures):
        if architecture not in MACHINES:
            raise PlatformError(
                f"{entry['name']} is not to be had for {architecture}.",
                next_step=f"use machines with {' or '.join(MACHINES)}.",
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
                next_step=f"use {', '.join(f'{{{name}}}' for name in values)}.",
            ) from error
        programs.append(
            Program(
                name=entry["name"],
                version=entry["version"],
                architecture=architecture,
                url=url,
                checksums_url=checksums_url,
                sha256=str((entry.get("checksums") or {}).get(architecture) or "").lower().removeprefix("sha256:"),
                path=str((entry.get("paths") or {}).get(architecture) or ""),
                variable=str(entry.get("variable") or f"the url of {entry['name']}"),
            )
        )
    return programs


def provide(program: Program, cache: Path, artifacts: Path | None, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    """Have a program on this machine: whether something was fetched, and its `path` and `sha256` (of the program, not
    of its archive).

    In check mode nothing is fetched, and what is not there yet has the SHA-256 "" unless it is known.

    Raises:
        PlatformError: it can't be had, or is not what its checksum says.
    """
    try:
        if (
            artifacts is not None
        ):  # first: on the other side of an air gap there are none of the files that the inventory names
            return False, _from_artifacts(program, artifacts)
        if program.path:
            return _from_file(program, cache, check_mode=check_mode)
        place = program.place(cache)
        kept = _kept(program, place, cache)
        if kept:
            return False, kept
        if check_mode:
            return True, {"path": str(place), "sha256": "" if program.asset.endswith(ARCHIVES) else program.sha256}
        with _locked(place):
            # Another run may have fetched it while this one waited.
            return (False, kept) if (kept := _kept(program, place, cache)) else (True, _fetch(program, place))
    except OSError as error:
        raise unwritable(program.place(cache), error) from error


def _fetch(program: Program, place: Path) -> dict[str, str]:
    if not program.url:
        raise PlatformError(
            f"{program.name} for {program.architecture} has neither a URL nor a file.", next_step="give one of them."
        )
    expected = program.sha256
    if not expected and program.checksums_url:
        expected = fetch_checksum(program.checksums_url, program.asset, mirror_variable=program.variable)
    if not expected:
        raise PlatformError(
            f"No checksum of {program.name} {program.version} for {program.architecture} is known.",
            next_step=f"give its sha256 in `checksums`, beside {program.variable}.",
        )
    downloaded = place.with_name(f"{place.name}.download")
    try:
        fetch_file(program.url, downloaded, expected, mirror_variable=program.variable)
        return _keep(program, downloaded, place, {"url": program.url, "source_sha256": expected})
    finally:
        downloaded.unlink(missing_ok=True)


def _keep(program: Program, source: Path, place: Path, origin: dict[str, str]) -> dict[str, str]:
    """Put a program, out of its archive if it is in one, to its place; what is known of it is written last, so that
    half of it counts for nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f"{place.name}.partial")
    try:
        if (program.asset or source.name).endswith(ARCHIVES) or source.name.endswith(ARCHIVES):
            _extract(source, program.name, partial)
        else:
            shutil.copyfile(source, partial)
        partial.chmod(0o755)
        digest = _sha256(partial)
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
                    next_step="see that the URL and the version belong together.",
                )
            content = opened.extractfile(chosen[0])
            if content is None:
                raise AssertionError(f"{chosen[0].name} is a regular file and has no content")
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
    except tarfile.TarError as error:
        raise PlatformError(
            f"What should be the archive of {name} is none ({error}).",
            next_step="see what its URL gives, and where its checksum is from.",
        ) from error


def _kept(program: Program, place: Path, folder: Path) -> dict[str, str] | None:
    """A program that is there, whole, and from what its checksum says."""
    about = _about(place)
    if about is None or (program.sha256 and about.get("source_sha256") != program.sha256):
        return None
    try:
        digest = Digests(str(folder / "digests.json")).of(str(place))
    except OSError:
        return None
    return {"path": str(place), "sha256": digest} if digest == about.get("sha256") else None


def _from_artifacts(program: Program, artifacts: Path) -> dict[str, str]:
    place = program.place(artifacts)
    about = _about(place)
    if about is None or not place.is_file():
        raise PlatformError(
            f"The folder {artifacts} holds no {program.name} {program.version} for {program.architecture}.",
            next_step="make it anew with ansible-playbook wasmfaas.platform.bundle for this inventory.",
        )
    digest = _sha256(place)
    # As in _from_file: the checksum of an archive says nothing of a program that bundle.yml was given without one.
    given = program.asset.endswith(ARCHIVES) and about.get("source_sha256") == about["sha256"]
    expected = "" if given else program.sha256
    if digest != about["sha256"] or (expected and about.get("source_sha256") != expected):
        raise PlatformError(
            f"{place} is not what it should be: its SHA-256 is {digest}, from {about.get('source_sha256')}; expected "
            f"{about['sha256']}, "
            f"from {expected or about.get('source_sha256')}.",
            next_step="carry it over again, or make it anew with ansible-playbook wasmfaas.platform.bundle.",
        )
    return {"path": str(place), "sha256": digest}


def _from_file(program: Program, cache: Path, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    source = Path(program.path).expanduser()
    if not source.is_file():
        raise PlatformError(
            f"There is no file {source}, which is to be {program.name} for {program.architecture}.",
            next_step="correct its path.",
        )
    digest = _sha256(source)
    archive = source.name.endswith(ARCHIVES)
    # The checksum of an archive says nothing of a program that somebody took out of it.
    if program.sha256 and digest != program.sha256 and archive == program.asset.endswith(ARCHIVES):
        raise PlatformError(
            f"{source} has the SHA-256 {digest}, and {program.sha256} is expected.",
            next_step="use the file of that version, or correct the checksum.",
        )
    if not archive:
        return False, {"path": str(source), "sha256": digest}
    place = cache / "files" / digest[:16] / program.name
    about = _about(place)
    if about and place.is_file() and about.get("source_sha256") == digest:
        return False, {"path": str(place), "sha256": about["sha256"]}
    if check_mode:
        return True, {"path": str(place), "sha256": ""}
    return True, _keep(program, source, place, {"url": "", "source_sha256": digest})


def _about(place: Path) -> dict[str, str] | None:
    try:
        read = json.loads(place.with_name(f"{place.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if isinstance(read, dict) and read.get("sha256") else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _locked(place: Path) -> t.Iterator[None]:
    """One download of a program at a time; the lock's file stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
