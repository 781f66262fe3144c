# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a program comes from: a Wasm file, or a directory with a command that builds one."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import time
from pathlib import Path

from ..errors import PlatformError
from ..function.build.command import announce, run_command
from ..function.build.components import build_environment
from ..function.build.log import open_log
from ..function.build.outputs import EarlierOutputs
from ..function.manifest.model import Build, Component, LocalSource, Manifest
from ..function.source_digest import source_digest

_READ_AGAIN = "See that the file can be read and the disk has room, then deploy again."


@dataclasses.dataclass(frozen=True)
class Source:
    """A program's source.

    Attributes:
        directory: of the project, absolute; the command runs there.
        wasm: the program, absolute.
        command: shell command that builds it; None where it is given.
    """

    directory: Path
    wasm: Path
    command: str | None

    @property
    def default_name(self) -> str:
        """The name of a program without one of its own: that of the file, in the alphabet of Kubernetes."""
        return self.wasm.stem.lower().replace("_", "-").replace(".", "-")

    @property
    def key(self) -> str:
        """The option that names the Wasm file."""
        return "wasm" if self.command else "source"

    def digest(self) -> str:
        """The digest `sha256:<hex>` over all that the program depends on, known before it is built; raises
        PlatformError."""
        if self.command:
            # As that of a function with one component.
            build = Build((self.command,))
            component = Component("program", LocalSource(str(self.wasm.relative_to(self.directory))), build=build)
            files = source_digest(Manifest(self.directory / "-", self.wasm.name, (), {component.id: component}))
            told = f"{files}\n{component.source}\n{self.command}"
            return f"sha256:{hashlib.sha256(told.encode()).hexdigest()}"
        try:
            with self.wasm.open("rb") as stream:
                return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        except OSError as error:
            raise PlatformError(f"source: {self.wasm}: {error.strerror}.", next_step=_READ_AGAIN) from error


def read_source(path: Path, *, command: str | None, wasm: str | None) -> Source:
    """The source that the options `source`, `build` and `wasm` describe.

    Raises:
        PlatformError: they contradict each other, or what is named does not exist.
    """
    place = path.expanduser().absolute()
    if place.is_dir():
        return _read_directory(place, command, wasm)
    if not place.exists():
        raise PlatformError(
            f"source: {place} does not exist.", next_step="Name a .wasm file, or the directory of a project."
        )
    if command or wasm:
        raise PlatformError(
            f"source: {place} is a file, so {'build' if command else 'wasm'} has no meaning.",
            next_step="Name the directory in which the command builds it.",
        )
    return Source(place.parent, place, None)


def _read_directory(directory: Path, command: str | None, wasm: str | None) -> Source:
    if not wasm:
        step = "Name the Wasm file in it with `-e wasm=PATH`, and the command that writes it with `-e build=COMMAND`."
        if (directory / "spin.toml").is_file():
            step = (
                "It is a Spin application: deploy it with `ansible-playbook wasmfaas.platform.deploy_function -e "
                f"src={directory}`. Otherwise name the Wasm file in it with `-e wasm=PATH`."
            )
        raise PlatformError(f"source: {directory} is a directory, and `wasm` is not given.", next_step=step)
    file = Path(wasm)
    if file.is_absolute() or ".." in file.parts:
        raise PlatformError(
            f"wasm: {wasm} is not below {directory}.", next_step="Give a path relative to `source`, without `..`."
        )
    if command:
        return Source(directory, directory / file, command)
    if not (directory / file).is_file():
        raise PlatformError(
            f"wasm: {directory / file} does not exist.",
            next_step="Give the command that writes it with `-e build=COMMAND`, or build it first.",
        )
    return Source(directory, directory / file, None)


def build_program(
    source: Source, *, log_file: Path, outputs_directory: Path, timeout_seconds: float, copy: Path
) -> None:
    """Build the program where it has a command, and copy it to `copy`, since the next run's build may replace it.

    Args:
        log_file: gets the command's output.
        outputs_directory: keeps what an earlier build wrote while this one runs.

    Raises:
        PlatformError: the command fails, runs too long, or writes no such file.
    """
    try:
        with contextlib.ExitStack() as stack:
            if source.command:
                _build(source, source.command, stack, log_file, outputs_directory, timeout_seconds)
            shutil.copyfile(source.wasm, copy)
    except OSError as error:
        raise PlatformError(f"{error.filename or source.wasm}: {error.strerror}.", next_step=_READ_AGAIN) from error


def _build(
    source: Source,
    command: str,
    stack: contextlib.ExitStack,
    log_file: Path,
    outputs_directory: Path,
    timeout_seconds: float,
) -> None:
    earlier = stack.enter_context(EarlierOutputs([source.wasm], outputs_directory))
    with open_log(log_file) as log:
        announce(command, log)
        deadline = time.monotonic() + timeout_seconds
        exit_code, output = run_command(["sh", "-c", command], source.directory, build_environment(None), log, deadline)
    facts = {"command": command, "exit_code": exit_code, "output": output, "log_file": str(log_file)}
    if exit_code is None:
        raise PlatformError(
            f"build: `{command}` did not end within {timeout_seconds:g} s and was stopped.",
            next_step=f"Read {log_file}, or give it more time with `-e build_timeout=SECONDS`.",
            facts=facts,
        )
    if exit_code:
        raise PlatformError(
            f"build: `{command}` failed with exit code {exit_code}. Its last lines:\n{output}",
            next_step=f"Run it by hand: `cd {source.directory} && {command}` (whole log: {log_file}).",
            facts=facts,
        )
    if not earlier.is_written(source.wasm):
        raise PlatformError(
            f"build: `{command}` ended with exit code 0 but wrote no {source.wasm.relative_to(source.directory)}. Its "
            f"last lines:\n{output or '(no output)'}",
            next_step=f"Set `wasm` to the file that the command writes (whole log: {log_file}).",
            facts=facts,
        )
