# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build hands back: an archive that its pod packs, and that the worker checks and takes over.

The archive holds `result.json`, `project/…` for files that the manifest names or that are lock files, where the build
wrote them, and `downloads/…` for what the manifest names by URL. All of it may be forged by the build: the worker takes
only what its own reading of the manifest names.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tarfile
import typing as t
from pathlib import Path

import msgspec

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.build.outputs import built_outputs
from ...plugins.module_utils.function.builder import downloads
from ...plugins.module_utils.function.made_files import MadeFiles, Stamp, is_lock_file
from ...plugins.module_utils.function.manifest.files import expand_files
from ...plugins.module_utils.function.manifest.model import LocalSource, Manifest
from ...plugins.module_utils.function.source_digest import read_sources
from ..sources.archive import unpack

_ABOUT = "result.json"
_MOST_ABOUT_BYTES = 1 << 20
_WASM = b"\0asm"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a result.

    Attributes:
        warnings: of the build.
        removed: named files of the source that the build deleted, relative to the project.
        guest_files: what `_guest_files` gives for the project after the build.
    """

    warnings: t.Annotated[list[t.Annotated[str, msgspec.Meta(max_length=4000)]], msgspec.Meta(max_length=100)]
    removed: t.Annotated[list[str], msgspec.Meta(max_length=20_000)]
    guest_files: str


class NamedFiles:
    """The files of a project that a result may hold, as they are now; paths are relative to the project."""

    def __init__(self, manifest: Manifest) -> None:
        self._project = Path(os.path.realpath(manifest.sources))
        found = {os.path.relpath(path, self._project) for path in built_outputs(manifest)}
        for component in manifest.components.values():
            if isinstance(component.source, LocalSource):
                found.add(self._relative(manifest.absolute(component.source.path)))
            found |= {
                self._relative(manifest.absolute(dependency["path"]))
                for dependency in component.dependencies.values()
                if "path" in dependency
            }
            with contextlib.suppress(PlatformError):  # packing tells of a mount that names nothing
                found |= {self._relative(file.source) for file in expand_files(manifest, component)}
        found |= {path for path in read_sources(manifest, MadeFiles()).lines if is_lock_file(path)}
        self.paths = frozenset(path for path in found if not path.startswith("../"))
        self.stamps = {path: stamp for path in self.paths if (stamp := self._stamp(path)) is not None}

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self._project)

    def _stamp(self, path: str) -> Stamp | None:
        try:
            return Stamp.of(self._project / path)
        except OSError:
            return None


def write_result(
    manifest: Manifest, before: NamedFiles, downloaded: dict[str, Path], warnings: list[str], archive: Path
) -> None:
    """Pack what a build made; raises PlatformError.

    Args:
        before: the named files before the build.
        downloaded: files by their digest.
    """
    after = NamedFiles(manifest)
    about = About(
        warnings=[warning[:4000] for warning in warnings[:100]],
        removed=sorted(before.stamps.keys() - after.stamps.keys()),
        guest_files=_guest_files(manifest),
    )
    project = Path(os.path.realpath(manifest.sources))
    content = msgspec.json.encode(about)
    try:
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            with open(archive.with_suffix(".json"), "wb+") as stream:
                stream.write(content)
                add_file(tar, _ABOUT, Path(stream.name), flush=stream.flush)
            for path in sorted(after.stamps):
                if after.stamps[path] != before.stamps.get(path):
                    add_file(tar, f"project/{path}", project / path)
            for digest, file in sorted(downloaded.items()):
                add_file(tar, f"downloads/{digest.removeprefix('sha256:')}", file)
    except OSError as error:
        raise PlatformError(
            f"What was built cannot be packed: {error.filename or archive}: {error.strerror or error}.",
            next_step="See that the build leaves plain files and ends all that it starts; then deploy again.",
        ) from error


def add_file(tar: tarfile.TarFile, name: str, path: Path, flush: t.Callable[[], object] = lambda: None) -> None:
    """Add a file to an archive, without its time and owner; raises OSError where it is none."""
    flush()
    # Not blocking, as a build may leave a pipe there.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "it is no file", str(path))
        about = tarfile.TarInfo(name)
        about.size = status.st_size
        about.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
        tar.addfile(about, stream)


def take_result(archive: Path, manifest: Manifest, directory: Path) -> list[str]:
    """Check a result, and put its files into the project; gives the warnings of the build.

    Args:
        manifest: of the source as it was uploaded; its directory holds that and nothing else.
        directory: is made; its `downloads/<hex>` are there afterwards, each with that digest.

    Raises:
        PlatformError: something is not what a build may hand back.
    """
    with _refused():
        directory.mkdir()
        unpack(archive, directory)
        about = _about(directory / _ABOUT)
        _check_downloads(directory / "downloads", downloads(manifest))
        before = NamedFiles(manifest).paths
        project = Path(os.path.realpath(manifest.sources))
        for path in about.removed:
            if path in before:
                (project / path).unlink(missing_ok=True)
        taken = _take_over(directory / "project", project)
        named = NamedFiles(manifest).paths
        if unnamed := sorted(taken - named - before):
            raise _unusable(f"it holds {unnamed[0]!r}, which spin.toml does not name")
        for path in _components(manifest):
            if path in taken and (project / path).open("rb").read(len(_WASM)) != _WASM:
                raise _unusable(f"{path!r} is no Wasm module or component")
        if _guest_files(manifest) != about.guest_files:
            raise PlatformError(
                "The files that `files` of spin.toml names are not those that they were in the build.",
                next_step="Have the build make plain files in plain directories, without links (`cp -RL`).",
            )
    return about.warnings


def _about(file: Path) -> About:
    try:
        if file.stat().st_size > _MOST_ABOUT_BYTES:
            raise _unusable(f"{_ABOUT} is too large")
        return msgspec.json.decode(file.read_bytes(), type=About)
    except FileNotFoundError:
        raise _unusable(f"it has no {_ABOUT}") from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise _unusable(f"{_ABOUT} is not what is expected ({error})") from error


def _check_downloads(directory: Path, wanted: dict[str, str]) -> None:
    for digest, url in wanted.items():
        file = directory / digest.removeprefix("sha256:")
        if not file.is_file():
            raise _unusable(f"it does not hold what {url} gives")
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if f"sha256:{found}" != digest:
            raise _unusable(f"what it holds for {url} has the digest sha256:{found} instead of {digest}")


def _take_over(source: Path, project: Path) -> set[str]:
    """Move all files below `source` into the project, in which there are no links; gives their paths."""
    taken = set()
    for parent, _directories, names in os.walk(source):
        for name in names:
            path = os.path.relpath(os.path.join(parent, name), source)
            target = project / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(os.path.join(parent, name), target)
            taken.add(path)
    return taken


def _components(manifest: Manifest) -> set[str]:
    """The Wasm files of the components, relative to the project."""
    project = os.path.realpath(manifest.sources)
    return {
        os.path.relpath(manifest.absolute(component.source.path), project)
        for component in manifest.components.values()
        if isinstance(component.source, LocalSource)
    }


def _guest_files(manifest: Manifest) -> str:
    """A digest of which files each component sees; empty where that cannot be told."""
    digest = hashlib.sha256()
    try:
        for component in manifest.components.values():
            digest.update(f"{component.id}\0".encode())
            for file in expand_files(manifest, component):
                digest.update(f"{file.path}\0".encode(errors="surrogateescape"))
    except PlatformError:
        return ""
    return digest.hexdigest()


@contextlib.contextmanager
def _refused() -> t.Iterator[None]:
    try:
        yield
    except PlatformError as error:
        # What `sources.archive` says is about an upload.
        raise error if error.stage != "source" else _unusable(error.cause) from error
    except (OSError, ValueError) as error:
        raise _unusable(str(error)) from error


def _unusable(why: str) -> PlatformError:
    return PlatformError(
        f"What the build handed back is not taken: {why.removesuffix('.')}.",
        next_step="Have the build write plain files where spin.toml names them, and nothing to `result.json`; then "
        "deploy again.",
    )
