# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the components of an application with their own commands, as `spin build` does (crates/build/src/lib.rs)."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import time
import typing as t
from pathlib import Path

from ... import progress
from ...errors import PlatformError
from ..manifest.model import Component, LocalSource, Manifest
from ..version_control import is_tracked
from .command import announce, run_command
from .log import open_log
from .order import build_order
from .outputs import EarlierOutputs, Output, built_outputs
from .python_environment import nearest, python_environment

_NOT_FOUND = re.compile(r"([\w@./+-]+): (?:command )?not found")
_NO_PACKAGE = re.compile(r"Cannot find (?:package|module) '[^'./]|ERR_MODULE_NOT_FOUND")
_NODE_PROGRAMS = frozenset({"node", "npm", "npx", "yarn", "pnpm", "bun", "corepack"})
_INSTALLS = {
    "package-lock.json": "npm ci",
    "npm-shrinkwrap.json": "npm ci",
    "yarn.lock": "yarn install",
    "pnpm-lock.yaml": "pnpm install",
    "bun.lock": "bun install",
    "bun.lockb": "bun install",
}
"""The command that installs what a lock file names."""

_NO_SPACE = ("No space left on device", "ENOSPC")


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What a build needs beside the project.

    Attributes:
        cache_directory: keeps Python environments between builds.
        outputs_directory: keeps what earlier builds wrote while a build runs; never a cache, as it may hold the only
            copy.
        log_file: gets each command's output line by line while it runs.
        timeout_seconds: for all commands of one component together.
    """

    cache_directory: Path
    outputs_directory: Path
    log_file: Path
    timeout_seconds: float = 1800


@dataclasses.dataclass(frozen=True)
class _LastCommand:
    """The last command of a component's build, which ended with exit code 0."""

    command: str
    output: str  # its last lines


@contextlib.contextmanager
def built_components(manifest: Manifest, options: BuildOptions) -> t.Iterator[list[str]]:
    """Run the build commands of all components, dependencies first; the first failure ends it.

    What the builds wrote is there inside of the context: after it, another run may build the same project.

    Yields:
        Warnings.

    Raises:
        PlatformError: a command fails, runs too long, or leaves no output (its facts hold `command`, `exit_code`,
            `output` and `log_file`), or the log cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with _told_as_errors(options):
            outputs = built_outputs(manifest)
            earlier = stack.enter_context(EarlierOutputs(outputs, options.outputs_directory))
            warnings = _build(manifest, outputs, earlier, options)
        yield warnings


@contextlib.contextmanager
def _told_as_errors(options: BuildOptions) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or options.log_file
        raise PlatformError(
            f"The build cannot go on: {place}: {error.strerror}.",
            next_step=f"See that there is room and the right to write (`df -h {place}`), then deploy again.",
        ) from error


def _build(
    manifest: Manifest, outputs: dict[Path, Output], earlier: EarlierOutputs, options: BuildOptions
) -> list[str]:
    """Build all components, and see that they wrote their outputs; gives warnings."""
    last: dict[str, _LastCommand] = {}
    warnings: list[str] = []
    with open_log(options.log_file) as log:
        for component in build_order(manifest):
            needed = {
                manifest.absolute(dependency["path"])
                for dependency in component.dependencies.values()
                if "path" in dependency
            }
            warnings += _see_outputs(
                [output for output in outputs.values() if output.path in needed and output.component.id in last],
                earlier,
                last,
                options,
            )
            last[component.id] = _build_component(manifest, component, options, log)
    # Only now, as the command of one component may build all of a workspace.
    return warnings + _see_outputs(outputs.values(), earlier, last, options)


def _build_component(manifest: Manifest, component: Component, options: BuildOptions, log: t.TextIO) -> _LastCommand:
    if component.build is None:
        raise AssertionError(f"component {component.id} has no build")
    project = manifest.sources.resolve()
    directory = (manifest.directory.resolve() / component.build.workdir).resolve()
    key = f"spin.toml: component.{component.id}.build"
    if not directory.is_dir():
        raise PlatformError(f"{key}.workdir: {directory} is not a directory.", next_step="Correct `workdir`.")
    environment = build_environment(python_environment(directory, project, options.cache_directory, log))
    deadline = time.monotonic() + options.timeout_seconds
    command = output = ""
    for command in component.build.commands:
        announce(command, log)
        exit_code, output = run_command(["sh", "-c", command], directory, environment, log, deadline)
        if exit_code is None:
            raise PlatformError(
                f"{key}: `{command}` did not end within {options.timeout_seconds:g} s and was stopped.",
                next_step=f"Read {options.log_file}, or give it more time with `-e build_timeout=SECONDS`.",
                facts={"command": command, "exit_code": None, "output": output, **_whole_output(options)},
            )
        if exit_code != 0:
            raise PlatformError(
                f"{key}: `{command}` failed with exit code {exit_code}. Its last lines:\n{output}",
                next_step=_advice(
                    exit_code, output, directory, project, component.build.commands, command, options.log_file
                ),
                facts={"command": command, "exit_code": exit_code, "output": output, **_whole_output(options)},
            )
    return _LastCommand(command, output)


def _see_outputs(
    outputs: t.Iterable[Output], earlier: EarlierOutputs, last: dict[str, _LastCommand], options: BuildOptions
) -> list[str]:
    """Refuse an output that no build wrote; gives warnings about files that may be outputs or given ones, and were not
    written."""
    warnings: list[str] = []
    for output in outputs:
        if earlier.is_written(output.path):
            continue
        there = earlier.was_there(output.path)
        if there and (not output.is_source or is_tracked(output.path) or earlier.is_untouched(output.path)):
            earlier.put_back(output.path)
            warnings.append(
                f"spin.toml: {output.key}: the build did not write {output.path}, so the file that was there before "
                "is deployed."
            )
        elif output.is_source:
            raise _no_output(output, last[output.component.id], options, there=there)
    return warnings


def _no_output(output: Output, last: _LastCommand, options: BuildOptions, *, there: bool) -> PlatformError:
    name, component = output.path.name, output.component
    path = component.source.path if isinstance(component.source, LocalSource) else name
    before = f" The {name} of an earlier build is not deployed, and stays where it was." if there else ""
    skipped = f"; if the build skips what it takes for up to date, have it look for {name} as well" if there else ""
    return PlatformError(
        f"spin.toml: component.{component.id}.build: `{last.command}` ended with exit code 0 but wrote no "
        f"{path}.{before} Its last lines:\n{last.output or '(no output)'}",
        next_step=f"Correct what its last lines name (whole log: {options.log_file}), or set "
        f"`component.{component.id}.source` to the file that the build writes{skipped}.",
        facts={"command": last.command, "exit_code": 0, "output": last.output, **_whole_output(options)},
    )


def _whole_output(options: BuildOptions) -> dict[str, t.Any]:
    """Facts of an error: where the whole output is, and whether the user saw it while the command ran."""
    return {"log_file": str(options.log_file), **({"shown": True} if progress.is_shown() else {})}


def build_environment(virtual_environment: Path | None) -> dict[str, str]:
    """The build's environment: ours, without what Ansible's Python set, with the virtual environment first in PATH."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    if virtual_environment is not None:
        environment["VIRTUAL_ENV"] = str(virtual_environment)
        environment["PATH"] = f"{virtual_environment / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def _advice(
    exit_code: int,
    output: str,
    directory: Path,
    project: Path,
    commands: tuple[str, ...],
    command: str,
    log_file: Path,
) -> str:
    if any(sign in output for sign in _NO_SPACE):
        return f"The disk is full: free some space (`df -h {directory}`), then deploy again."
    missing = match[1] if (match := _NOT_FOUND.search(output)) else ""
    package = nearest(directory, project, ("package.json",))
    if package and missing not in _NODE_PROGRAMS and (missing or exit_code == 127 or _NO_PACKAGE.search(output)):
        lock_file = nearest(package.parent, project, tuple(_INSTALLS))
        install = _INSTALLS[lock_file.name] if lock_file else "npm install"
        place = lock_file.parent if lock_file else package.parent
        steps = json.dumps([install, *commands])
        return (
            f"A package that {package} names is not installed: run `cd {place} && {install}`, or have the build do it "
            f"with `build.command = {steps}`."
        )
    if exit_code == 127:
        return (
            f"A program of the command is not installed: install it, or name it in {directory}/requirements.txt if "
            "it is a Python one."
        )
    return f"Run it by hand: `cd {directory} && {command}` (whole log: {log_file})."
