# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, replaces and stops functions, and programs that are servers, on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.time_limit import DEFAULT_TIMEOUT
from . import control, release
from .installation import Installation, read_installation
from .sqlite_statements import SqliteStatements, run_statements
from .state import (
    LocalFunction,
    front_runs,
    function_directory,
    function_processes,
    lock,
    process_started,
    read,
    read_state,
)

LOCK_TIMEOUT_SECONDS = 120
FRONT_TIMEOUT_SECONDS = 20
DRAIN_SECONDS = 30
"""How long requests under way may go on in the previous release."""

GROWTH_BYTES = 256 << 20
"""A backend process whose memory grew by so much since it was ready is replaced by a new one, without a gap."""

DATA = "data"
"""Directory of a function's key-value stores and databases."""

LOG_LINES = 20
LOG_LIMIT_BYTES = 10_000_000

NODE_OPTIONS = ["--disable-warning=ExperimentalWarning"]
KEPT_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
)
"""The caller's environment may hold its credentials, so a function's processes get only these."""

_fronts: list[subprocess.Popen[bytes]] = []


@dataclasses.dataclass(frozen=True)
class StartRequest:
    """What to run.

    Attributes:
        state_directory: root of all functions' directories.
        runtime_directory: where role local_runtime installed Node.js' packages (`Installation.runtime_directory`).
        namespace: first part of the function's address.
        name: second part of the function's address.
        digest: artifact digest; names the release.
        source_digest: kept in the state file.
        settings_digest: kept in the state file.
        image: kept in the state file.
        locked_application: Spin's locked application, with contents inline or by digest.
        open_blob: gives the bytes of a layer by its digest; KeyError where there is none.
        archive_layers: digests of the layers that hold files which have no layer of their own.
        variables: values of application variables, secrets among them; they reach the processes by sockets and are
            never written to disk.
        port: port on 127.0.0.1; None: the one it has, else a free one.
        timeout_seconds: how long a request may take.
        ready_timeout_seconds: how long the new release may take until it answers, without preparing it.
        spin_executable: the Spin CLI that runs it; None: jco does, which the collection brings.
        sqlite_statements: run in its databases before it starts; None: nothing is.
        arguments: of a program, the first its name; None for a function, whose requests get Spin's headers.
        advice: what to do where it cannot run here.
    """

    state_directory: Path
    runtime_directory: Path
    namespace: str
    name: str
    digest: str
    source_digest: str
    settings_digest: str
    image: str
    locked_application: dict[str, t.Any]
    open_blob: t.Callable[[str], t.BinaryIO]
    archive_layers: tuple[str, ...] = ()
    variables: dict[str, str] = dataclasses.field(default_factory=dict, repr=False)
    port: int | None = None
    timeout_seconds: float = DEFAULT_TIMEOUT
    ready_timeout_seconds: float = 60
    spin_executable: Path | None = None
    sqlite_statements: SqliteStatements | None = None
    arguments: tuple[str, ...] | None = None
    advice: str = release.INSTALL_SPIN


def spin_in_path() -> Path | None:
    """The Spin CLI in PATH; None where there is none."""
    found = shutil.which("spin")
    return Path(found).resolve() if found else None


def runtime_name(spin_executable: Path | None) -> str:
    """What runs a function: `spin`, or `jco` without the Spin CLI."""
    return "spin" if spin_executable else "jco"


def start(request: StartRequest) -> LocalFunction:
    """Start a function or replace it between two requests; starts it again where it is dead. Holds the function's lock.

    Raises:
        PlatformError: the function cannot run or did not get ready; what ran before still runs.
    """
    directory = function_directory(request.state_directory, request.namespace, request.name)
    installation = read_installation(request.runtime_directory)
    runtime = runtime_name(request.spin_executable)
    release.check(request.locked_application, runtime, request.variables)
    with lock(request.state_directory, request.namespace, request.name, LOCK_TIMEOUT_SECONDS):
        new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        try:
            _start(request, directory, installation, runtime)
        except BaseException:
            _after_failure(directory, new)
            raise
        function = read(request.state_directory, request.namespace, request.name)
    if function is None or not function.alive:
        raise PlatformError(
            f"{request.namespace}/{request.name} ended right after it was ready.",
            next_step=f"Read its log: {directory / 'log'}",
            facts={"log": last_lines(directory / "log", 0)},
        )
    return function


def stop(state_directory: Path, namespace: str, name: str, *, keep_data: bool = False) -> bool:
    """Stop a function and remove all of it, its key-value stores and databases too unless `keep_data`. True if there
    was something."""
    directory = function_directory(state_directory, namespace, name)
    if not directory.exists():
        return False
    with lock(state_directory, namespace, name, LOCK_TIMEOUT_SECONDS):
        existed = directory.exists()
        stop_processes(directory)
        for entry in list(directory.iterdir()) if existed else []:
            if keep_data and entry.name == DATA:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        with contextlib.suppress(OSError):
            directory.rmdir()
    return existed


def _start(request: StartRequest, directory: Path, installation: Installation, runtime: str) -> None:
    log = directory / "log"
    prepared = release.prepare(
        directory / "releases",
        request.digest,
        runtime,
        request.locked_application,
        request.open_blob,
        archive_layers=request.archive_layers,
        node=installation.node,
        runtime_directory=installation.runtime_directory,
        advice=request.advice,
    )
    (directory / DATA).mkdir(exist_ok=True, mode=0o700)
    if request.sqlite_statements is not None:
        databases = {
            label
            for component in request.locked_application["components"]
            for label in (component.get("metadata") or {}).get("databases") or []
        }
        run_statements(
            request.sqlite_statements,
            directory / DATA,
            sorted(databases),
            timeout_seconds=request.ready_timeout_seconds,
        )
    log_start = log.stat().st_size if log.exists() else 0
    _ensure_front(request, directory, installation)
    runtime_config = prepared.directory / "runtime-config.toml"
    order = {
        "runtime": runtime,
        "spin": str(request.spin_executable) if request.spin_executable else None,
        "directory": str(prepared.directory),
        "components": prepared.components,
        "data_directory": str(directory / DATA),
        "runtime_config": str(runtime_config) if runtime_config.is_file() and runtime_config.stat().st_size else None,
        "locked_application": request.locked_application,
        "variables": request.variables,
        "arguments": request.arguments,
        "port": request.port,
        "timeout_seconds": request.timeout_seconds,
        "ready_timeout_seconds": request.ready_timeout_seconds,
        "drain_seconds": DRAIN_SECONDS,
        "growth_bytes": GROWTH_BYTES,
        "state": {
            key: getattr(request, key)
            for key in ("namespace", "name", "digest", "source_digest", "settings_digest", "image")
        },
    }
    try:
        control.call(directory, "/deploy", order, timeout_seconds=request.ready_timeout_seconds + FRONT_TIMEOUT_SECONDS)
    except (OSError, control.ControlError) as error:
        if getattr(error, "code", "") in ("EADDRINUSE", "EACCES"):
            raise _port_taken(request) from error
        raise PlatformError(
            f"{request.namespace}/{request.name} did not start: {error}.",
            next_step=f"Read the lines of its log below (all of it: {log}), mend the cause and deploy again.",
            facts={"log": last_lines(log, log_start)},
        ) from error
    _remove_old_releases(directory)


def _ensure_front(request: StartRequest, directory: Path, installation: Installation) -> None:
    """Have a front of the installed version that listens for orders."""
    status = control.status(directory)
    if status is not None and status["runtime_directory"] == str(installation.runtime_directory):
        return
    front = installation.runtime_directory / "front.mjs"
    if status is not None:
        # An earlier version answers: it gives its listening socket to the new one, so that no request is refused.
        previous = status["process_id"]
        control.call(
            directory,
            "/hand-over",
            {"node": str(installation.node), "node_options": NODE_OPTIONS, "script": str(front)},
        )
        if not _wait(
            lambda: (control.status(directory) or {"process_id": previous})["process_id"] != previous,
            FRONT_TIMEOUT_SECONDS,
        ):
            raise PlatformError(
                "The installed version of the local runtime could not take over from the running one.",
                next_step="Delete the function, which deletes its data too, then deploy it again.",
                facts={"log": last_lines(directory / "log", 0)},
            )
        return
    stop_processes(directory)
    state = read_state(directory)
    kept = int(state["port"]) if state else 0
    if _spawn_front(directory, installation, front, request.port or kept):
        return
    if request.port:
        raise _port_taken(request)
    if not (kept and _spawn_front(directory, installation, front, 0)):
        raise PlatformError(
            "The process that listens for the function did not start.",
            next_step=f"Read {directory / 'log'}.",
            facts={"log": last_lines(directory / "log", 0)},
        )


def _port_taken(request: StartRequest) -> PlatformError:
    return PlatformError(
        f"Port {request.port} on 127.0.0.1 may not be listened to: something else does, or it is below 1024.",
        next_step=f"Choose another port, or find out who has it: ss -ltnp 'sport = :{request.port}'",
    )


def _spawn_front(directory: Path, installation: Installation, front: Path, port: int) -> bool:
    log = directory / "log"
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(directory / "log.previous")
    (directory / control.SOCKET).unlink(missing_ok=True)
    environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as output:
        process = subprocess.Popen(
            [str(installation.node), *NODE_OPTIONS, str(front), str(directory), str(port)],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    _fronts[:] = [known for known in _fronts if known.poll() is None] + [process]
    _wait(lambda: process.poll() is not None or control.status(directory) is not None, FRONT_TIMEOUT_SECONDS)
    return process.poll() is None and control.status(directory) is not None


def stop_processes(directory: Path) -> None:
    """End all processes of the function or program in `directory`: first kindly, the front with time for requests
    under way."""
    state = read_state(directory)
    status = control.status(directory)
    front = status["process_id"] if status else state["process_id"] if state and front_runs(state) else None
    if front is not None:
        with contextlib.suppress(OSError, control.ControlError):
            control.call(directory, "/stop", {"drain_seconds": 5})
        _wait(lambda: process_started(front) is None, 8 if status else 0)
    for number in (signal.SIGTERM, signal.SIGKILL):
        processes = function_processes(directory)
        for process_id in processes:
            with contextlib.suppress(OSError):
                os.kill(process_id, number)
        if not processes or _wait(lambda: not function_processes(directory), 3):
            break
    for known in _fronts:
        known.poll()


def _after_failure(directory: Path, new: bool) -> None:
    """Leave what was there before: nothing, or the running function without the failed release."""
    if new:
        stop_processes(directory)
        shutil.rmtree(directory, ignore_errors=True)
    else:
        _remove_old_releases(directory)


def _remove_old_releases(directory: Path) -> None:
    """Remove releases that no process uses, except the one of the state file, which `start` may start again."""
    status, state = control.status(directory), read_state(directory)
    used = {Path(path) for path in (status["directories"] if status else [])} | (
        {Path(state["release"])} if state else set()
    )
    for path in (directory / "releases").glob("*"):
        if path not in used:
            shutil.rmtree(path, ignore_errors=True)


def last_lines(log: Path, start: int, lines: int = LOG_LINES) -> str:
    """The last lines that were written to the log after byte `start`; "" where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - 20_000))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _wait(condition: t.Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True
