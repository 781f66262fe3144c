# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the outputs of earlier builds aside, so that what lies there after a build is what this build wrote.

A build may fail and still end with exit code 0, as j2w of @spinframework/build-tools 1.0.7 does
(bytecodealliance/ComponentizeJS#113). Builders that skip what is up to date look whether their output exists: cargo
links it anew (cargo 1.95, `src/cargo/core/compiler/mod.rs`, link_targets), make and npm scripts run again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import os
import shutil
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ..manifest.model import Component, LocalSource, Manifest

OUTPUT_DIRECTORIES = frozenset({"build", "dist", "out", "target"})
"""Directories in which a dependency may be what a build writes, or a given file."""

_IMMOVABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclasses.dataclass(frozen=True)
class Output:
    """A file that the build of a component writes."""

    path: Path  # absolute
    component: Component
    key: str  # the manifest's, that names it
    is_source: bool  # whether it is the component's own Wasm file


def built_outputs(manifest: Manifest) -> dict[Path, Output]:
    """The files that the components' builds write, by their path.

    These are the `source` of each component with a build, and each dependency by `path` of such a component in a
    directory named like a build's (`target`, `dist`). The `source` of a component without a build is a given file,
    unless another component builds it.
    """
    outputs: dict[Path, Output] = {}
    built = [component for component in manifest.components.values() if component.build]
    for component in built:
        if isinstance(component.source, LocalSource):
            path = manifest.absolute(component.source.path)
            outputs.setdefault(path, Output(path, component, f"component.{component.id}.source", True))
    for component in built:
        for name, dependency in component.dependencies.items():
            if "path" in dependency and OUTPUT_DIRECTORIES.intersection(Path(dependency["path"]).parts[:-1]):
                path = manifest.absolute(dependency["path"])
                outputs.setdefault(
                    path, Output(path, component, f'component.{component.id}.dependencies."{name}".path', False)
                )
    return outputs


class EarlierOutputs:
    """Outputs of earlier builds, in a directory of ours; use as a context, inside of which they are set aside and no
    other run builds them.

    At its end an output that the build wrote takes the place of the earlier one; otherwise the earlier one comes back.
    After a run that was killed it is still in our directory, and the next run takes it from there.

    Args:
        outputs: the files that the build writes, as of `Manifest.absolute`.
        directory: keeps them meanwhile; best on the same file system.

    Raises:
        OSError: a file cannot be moved.
    """

    def __init__(self, outputs: t.Iterable[Path], directory: Path) -> None:
        self._places = {output: directory / _key(output) for output in sorted(set(outputs))}
        self._untouched: dict[Path, tuple[int, ...]] = {}
        self._locks = contextlib.ExitStack()
        self._locked: list[Path] = []

    def __enter__(self) -> EarlierOutputs:
        try:
            # In the same order in all runs, so that none waits for another in a circle
            for output, place in self._places.items():
                place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = self._locks.enter_context(open(f"{place}.lock", "w", encoding="utf-8"))
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._locked.append(output)
            for output, place in self._places.items():
                self._set_aside(output, place)
        except BaseException as error:
            self.__exit__(None, error, None)
            raise
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        with self._locks:
            for output in self._locked:
                try:
                    self.put_back(output)
                except OSError as problem:
                    cause = f"{output} could not be put back: {problem.strerror}."
                    next_step = f"move it there yourself: `mv {self._places[output]} {output}`."
                    if not isinstance(error, PlatformError):
                        raise PlatformError(cause, next_step=next_step) from error
                    error.cause += f" {cause}"
                    error.next_step += f" Then {next_step}"

    def was_there(self, output: Path) -> bool:
        """Whether an earlier build left this output."""
        return output in self._untouched or os.path.lexists(self._places[output])

    def is_written(self, output: Path) -> bool:
        """Whether the build wrote this output."""
        return output.is_file() and _signature(output) != self._untouched.get(output)

    def is_untouched(self, output: Path) -> bool:
        """Whether this output could not be set aside and is unchanged."""
        return output in self._untouched and not self.is_written(output)

    def put_back(self, output: Path) -> None:
        """Bring an earlier output back, or remove it where there is a newer one."""
        place = self._places[output]
        if not os.path.lexists(place):
            return
        if os.path.lexists(output):
            place.unlink()
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            _move(place, output)

    def _set_aside(self, output: Path, place: Path) -> None:
        if not output.is_file() and not output.is_symlink():
            return  # what a killed run set aside stays there; a directory is no output
        try:
            _move(output, place)
        except OSError as error:
            if error.errno not in _IMMOVABLE:
                raise
            self._untouched[output] = _signature(output)  # such as a link's target in the stores of Nix and Bazel


def _key(output: Path) -> str:
    return f"{hashlib.sha256(os.fsencode(output)).hexdigest()[:24]}-{output.name}"


def _signature(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _move(source: Path, target: Path) -> None:
    """Move a file or link, onto another file system too; a cut leaves the whole file at one of both places at least."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        part.unlink(missing_ok=True)
        shutil.copy2(source, part, follow_symlinks=False)
        os.replace(part, target)
        source.unlink()
