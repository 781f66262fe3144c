# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs WASI commands, programs with an end, on this machine, and remembers how they ended."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .installation import Installation, read_installation
from .release import made_whole, transpile
from .runtime import KEPT_ENVIRONMENT, LOCK_TIMEOUT_SECONDS, NODE_OPTIONS, last_lines, stop_processes
from .state import function_directory, function_processes, lock

STATE_FILE = "run.json"
ADVICE = "Run it on a cluster, without `-e target=local`."

_CORE_MODULE = b"\0asm\1\0\0\0"
_COMPLETE = "complete"


@dataclasses.dataclass(frozen=True)
class CommandRequest:
    """What to run.

    Attributes:
        state_directory: root of all commands' directories.
        runtime_directory: where role local_runtime installed Node.js' packages.
        digest: of the artifact; names the release.
        source_digest: kept in the state file.
        settings_digest: kept in the state file.
        image: kept in the state file.
        open_wasm: gives the bytes of the command.
        arguments: the first is the program's name.
        environment: what the command finds as its environment; nothing of this machine's is in it.
        timeout_seconds: how long it may run.
    """

    state_directory: Path
    runtime_directory: Path
    namespace: str
    name: str
    digest: str
    source_digest: str
    settings_digest: str
    image: str
    open_wasm: t.Callable[[], t.BinaryIO]
    arguments: tuple[str, ...]
    environment: dict[str, str]
    timeout_seconds: float


@dataclasses.dataclass(frozen=True)
class LocalCommand:
    """What the state file of a command says of its last run; all texts are empty where the file is damaged.

    Attributes:
        started_at: RFC 3339 in UTC.
        exit_code: None where the run has not ended, or was stopped.
        running: whether it runs now.
        log_file: what the last run wrote.
    """

    name: str
    namespace: str
    source_digest: str
    settings_digest: str
    image: str
    started_at: str
    exit_code: int | None
    running: bool
    log_file: Path


_TEXTS = ("source_digest", "settings_digest", "image", "started_at")


def read(state_directory: Path, namespace: str, name: str) -> LocalCommand | None:
    """Read one command; None where there is none."""
    directory = function_directory(state_directory, namespace, name)
    if not os.path.lexists(directory / STATE_FILE):
        return None
    state = _read_state(directory)
    exit_code = state.get("exit_code")
    return LocalCommand(
        name,
        namespace,
        **{field: str(state.get(field, "")) for field in _TEXTS},
        exit_code=exit_code if isinstance(exit_code, int) else None,
        running=exit_code is None and bool(function_processes(directory)),
        log_file=directory / "log",
    )


def list_commands(state_directory: Path, namespace: str | None) -> list[LocalCommand]:
    """Read all commands, of one namespace or (None) of all, sorted by namespace and name."""
    root = Path(os.path.abspath(state_directory))
    paths = sorted(path.parent for path in root.glob(f"{namespace or '*'}/*/{STATE_FILE}"))
    found = [read(root, path.parent.name, path.name) for path in paths if not path.name.startswith(".")]
    return [command for command in found if command is not None]


def _read_state(directory: Path) -> dict[str, t.Any]:
    try:
        state = json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def run_command(request: CommandRequest) -> LocalCommand:
    """Run a command to its end and keep how it ended and what it wrote; an earlier run that goes on is stopped first.
    Holds the command's lock.

    Raises:
        PlatformError: it cannot run here, and what was there before is as it was; or it did not end in time and was
            stopped. An exit code other than 0 raises nothing.
    """
    directory = function_directory(request.state_directory, request.namespace, request.name)
    installation = read_installation(request.runtime_directory)
    with lock(request.state_directory, request.namespace, request.name, LOCK_TIMEOUT_SECONDS):
        new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            module = _prepare(request, directory, installation)
        except BaseException:
            if new:
                shutil.rmtree(directory, ignore_errors=True)
            raise
        stop_processes(directory)
        _run(request, directory, module, installation)
        for other in module.parent.iterdir():
            if other != module:
                shutil.rmtree(other, ignore_errors=True)
        command = read(request.state_directory, request.namespace, request.name)
    if command is None:
        raise AssertionError("the state file was just written, and the lock was held")
    return command


def _prepare(request: CommandRequest, directory: Path, installation: Installation) -> Path:
    """The directory with what command.mjs runs; made unless it is there."""
    release = f"{request.digest.removeprefix('sha256:')[:12]}-{installation.runtime_directory.name[:8]}"
    module = directory / "releases" / release
    if (module / _COMPLETE).is_file():
        return module
    shutil.rmtree(module, ignore_errors=True)
    with made_whole(module, f"The program cannot be unpacked to {module}"):
        module.mkdir(parents=True, mode=0o700)
        wasm = module / "program.wasm"
        with request.open_wasm() as source, wasm.open("wb") as copy:
            shutil.copyfileobj(source, copy)
        with wasm.open("rb") as stream:
            is_component = stream.read(len(_CORE_MODULE)) != _CORE_MODULE
        if is_component:
            transpile(
                wasm,
                module,
                installation.node,
                installation.runtime_directory,
                title="The program",
                advice=ADVICE,
            )
            wasm.unlink()
        (module / _COMPLETE).touch()
    return module


def _run(request: CommandRequest, directory: Path, module: Path, installation: Installation) -> None:
    state: dict[str, t.Any] = {
        "source_digest": request.source_digest,
        "settings_digest": request.settings_digest,
        "image": request.image,
        "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "exit_code": None,
    }
    log = directory / "log"
    settings = json.dumps({"arguments": request.arguments, "environment": request.environment})
    script = installation.runtime_directory / "command.mjs"
    try:
        # An earlier success must not count for a run that is interrupted.
        _write_state(directory, state)
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as output:
            ended = subprocess.run(
                [str(installation.node), *NODE_OPTIONS, str(script), str(directory), str(module)],
                cwd=directory,
                env={name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ},
                input=settings.encode(),
                stdout=output,
                stderr=output,
                timeout=request.timeout_seconds,
                check=False,
            )
        # A signal's number is negative here; a shell and a container runtime add it to 128.
        state["exit_code"] = ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
        _write_state(directory, state)
    except subprocess.TimeoutExpired as error:
        raise PlatformError(
            f"The program has not ended after {request.timeout_seconds:g} s and was stopped.",
            next_step="Give it more time with `-e wait_timeout=SECONDS`; a program that never ends runs on a cluster, "
            "with `-e run=always`.",
            facts={"log": last_lines(log, 0)},
        ) from error
    except OSError as error:
        raise PlatformError(
            f"The program could not be run: {error}.",
            next_step="See that the disk has room (`df -h`) and the directory is yours, then deploy again.",
        ) from error


def _write_state(directory: Path, state: dict[str, t.Any]) -> None:
    new = directory / f"{STATE_FILE}.new"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as stream:
        json.dump(state, stream)
    new.replace(directory / STATE_FILE)
