# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a component's build the Python packages of its requirements.txt, in a virtual environment that is made once and
kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import sys
import time
import typing as t
from pathlib import Path

from ...errors import PlatformError
from .command import announce, run_command

_COMPLETE = ".complete"  # written last, so that an environment whose making was cut off is made again
INSTALL_TIMEOUT_SECONDS = 900
_FULL_BYTES = 1 << 20  # a disk with less room than pip's largest files need is taken for full
_MADE_BY_TOOLS = frozenset({"__pycache__", "build", "dist", ".git", ".venv", "venv"})


def python_environment(directory: Path, project: Path, cache_directory: Path, log: t.TextIO) -> Path | None:
    """The virtual environment with the packages of the nearest requirements.txt, made where it is missing; None where
    there is no such file.

    Args:
        directory: the component's build directory.
        project: the directory whose files count as sources, the last one on the way up where the file may be.
        cache_directory: where environments are kept, one for each content of a requirements file (with the files and
            directories that it names) and Python version.
        log: gets pip's output.

    Raises:
        PlatformError: a package cannot be installed.
    """
    requirements = nearest(directory, project, ("requirements.txt",))
    if requirements is None:
        return None
    key = _key(requirements)
    environment = cache_directory / "python-environments" / key
    if (environment / _COMPLETE).exists():
        return environment
    environment.parent.mkdir(parents=True, exist_ok=True)
    with open(environment.parent / f"{key}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two deployments with the same requirements make it once
        if not (environment / _COMPLETE).exists():
            _make(environment, requirements, log)
    return environment


def nearest(directory: Path, project: Path, names: t.Sequence[str]) -> Path | None:
    """The first file with one of `names` on the way from `directory` up to `project`; None where there is none."""
    upwards = (directory, *directory.parents) if directory.is_relative_to(project) else (directory,)
    for place in upwards:
        for name in names:
            if (place / name).is_file():
                return place / name
        if place == project:
            break
    return None


def _key(requirements: Path) -> str:
    contents = hashlib.sha256(f"{sys.version_info[:2]} {sys.platform}\n".encode())
    for part in _contents(requirements, set()):
        contents.update(hashlib.sha256(part).digest())
    return contents.hexdigest()[:24]


def _contents(requirements: Path, seen: set[Path]) -> t.Iterator[bytes]:
    """The file's bytes and those of what it names by path: other requirements files, constraints, packages beside
    it."""
    seen.add(requirements.resolve())
    content = requirements.read_bytes()
    yield content
    for line in content.decode(errors="replace").splitlines():
        for word in re.split(r"[\s=\0]|^\s*-[cefr]|file:|#", line):
            path = (requirements.parent / word).resolve()
            if not word or path in seen or requirements.parent.resolve().is_relative_to(path):
                continue  # the project itself (`-e .`): its files are no packages to install
            if os.path.isfile(path) and path.suffix in (".txt", ".in"):
                yield str(path).encode()
                yield from _contents(path, seen)
            elif os.path.isfile(path):
                yield path.read_bytes()
            elif os.path.isdir(path):
                seen.add(path)
                for file in sorted(path.rglob("*")):
                    if file.is_file() and not _MADE_BY_TOOLS.intersection(file.relative_to(path).parts):
                        yield f"{file}\n".encode() + file.read_bytes()


def _make(environment: Path, requirements: Path, log: t.TextIO) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    install = [
        str(environment / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
        "--requirement",
        str(requirements),
    ]
    _run([sys.executable, "-m", "venv", str(environment)], requirements, environment.parent, log)
    _run(install, requirements, environment.parent, log)
    (environment / _COMPLETE).touch()


def _run(command: list[str], requirements: Path, directory: Path, log: t.TextIO) -> None:
    announce(" ".join(command), log)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    exit_code, output = run_command(
        command, requirements.parent, environment, log, time.monotonic() + INSTALL_TIMEOUT_SECONDS
    )
    if exit_code is None:
        raise PlatformError(
            f"{requirements}: installing the packages did not end within {INSTALL_TIMEOUT_SECONDS} s.",
            next_step="Check the network to the package index, then deploy again.",
        )
    # Asked of the disk, as venv hides what pip said about it.
    if exit_code != 0 and shutil.disk_usage(directory).free < _FULL_BYTES:
        raise PlatformError(
            f"{requirements}: the packages cannot be installed (exit code {exit_code}): the disk of {directory} is "
            "full.",
            next_step=f"Free some space (`df -h {directory}`), then deploy again.",
            facts={"command": command, "exit_code": exit_code, "output": output},
        )
    if exit_code != 0:
        raise PlatformError(
            f"{requirements}: the packages cannot be installed (exit code {exit_code}): {_last_error(output)}",
            next_step="Correct the requirements, or set the package index with pip's own settings (PIP_INDEX_URL, "
            "pip.conf), then deploy again.",
            facts={"command": command, "exit_code": exit_code, "output": output},
        )


def _last_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["no output"])[-1]
