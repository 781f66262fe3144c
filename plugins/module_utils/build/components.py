# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the components of an application with their own commands, as `spin build` does (crates/build/src/lib.rs)."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..manifest.model import Component, LocalSource, Manifest
from .command import run_command
from .order import build_order
from .python_environment import python_environment

_NO_SPACE = ("No space left on device", "ENOSPC")


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What a build needs beside the project.

    Attributes:
        cache_directory: keeps Python environments between builds.
        log_file: gets each command's output line by line while it runs.
        timeout_seconds: for all commands of one component together.
    """

    cache_directory: Path
    log_file: Path
    timeout_seconds: float = 1800


def build_components(manifest: Manifest, options: BuildOptions) -> None:
    """Run the build commands of all components, dependencies first; the first failure ends it.

    Raises:
        PlatformError: a command fails, runs too long, or leaves no output (its facts hold `command`, `exit_code`, `output` and `log_file`),
            or the log can't be written.
    """
    components = build_order(manifest)
    try:
        options.log_file.parent.mkdir(parents=True, exist_ok=True)
        with open(options.log_file, "w", encoding="utf-8", errors="replace") as log:
            for component in components:
                _build_component(manifest, component, options, log)
    except OSError as error:
        place = error.filename or options.log_file
        raise PlatformError(
            f"the build can't go on: {place}: {error.strerror}.",
            next_step=f"see that there is room and the right to write (`df -h {place}`), then deploy again.",
        ) from error


def _build_component(manifest: Manifest, component: Component, options: BuildOptions, log: t.TextIO) -> None:
    if component.build is None:
        raise AssertionError(f"component {component.id} has no build")
    folder = (manifest.folder / component.build.workdir).resolve()
    key = f"spin.toml: component.{component.id}.build"
    if not folder.is_dir():
        raise PlatformError(f"{key}.workdir: {folder} is not a folder.", next_step="correct `workdir`.")
    environment = _environment(python_environment(folder, options.cache_directory, log))
    deadline = time.monotonic() + options.timeout_seconds
    for command in component.build.commands:
        log.write(f"$ {command}\n")
        log.flush()
        exit_code, output = run_command(["sh", "-c", command], folder, environment, log, deadline)
        if exit_code is None:
            raise PlatformError(
                f"{key}: `{command}` did not end within {options.timeout_seconds:g} s and was stopped.",
                next_step=f"read {options.log_file}, or give it more time with `-e build_timeout=SECONDS`.",
                facts={"command": command, "exit_code": None, "output": output, "log_file": str(options.log_file)},
            )
        if exit_code != 0:
            raise PlatformError(
                f"{key}: `{command}` failed with exit code {exit_code}. Its last lines:\n{output}",
                next_step=_advice(exit_code, output, folder, command, options.log_file),
                facts={"command": command, "exit_code": exit_code, "output": output, "log_file": str(options.log_file)},
            )
    if isinstance(component.source, LocalSource) and not (manifest.folder / component.source.path).is_file():
        raise PlatformError(
            f"{key}: the commands ended well but wrote no {component.source.path}.",
            next_step=f"correct `component.{component.id}.source` to the file that the build writes (log: {options.log_file}).",
            facts={"log_file": str(options.log_file)},
        )


def _environment(virtual_environment: Path | None) -> dict[str, str]:
    """The build's environment: ours, without what Ansible's Python set, with the virtual environment first in PATH."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    if virtual_environment is not None:
        environment["VIRTUAL_ENV"] = str(virtual_environment)
        environment["PATH"] = f"{virtual_environment / 'bin'}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def _advice(exit_code: int, output: str, folder: Path, command: str, log_file: Path) -> str:
    if any(sign in output for sign in _NO_SPACE):
        return f"the disk is full: free some space (`df -h {folder}`), then deploy again."
    if exit_code == 127:
        return f"a program of the command is not installed: install it, or name it in {folder}/requirements.txt if it is a Python one."
    return f"run it by hand: `cd {folder} && {command}` (whole log: {log_file})."
