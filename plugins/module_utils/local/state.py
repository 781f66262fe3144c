# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions on this machine: their state files, whether they are alive, and the lock of each.

Linux only: processes are told apart by /proc.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import http.client
import json
import os
import threading
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError

HEALTH_TIMEOUT_SECONDS = 1.0
HEALTH_CALLS_AT_ONCE = 32
"""How many functions of a list are asked at once: one that hangs takes HEALTH_TIMEOUT_SECONDS."""

HEALTH_PATH = "/.well-known/spin/health"
STATE_FILE = "state.json"

_held: dict[tuple[Path, int], int] = {}


@dataclasses.dataclass(frozen=True)
class LocalFunction:
    """What the state file of a function says, and whether the function is alive.

    `process_id` is the front's, which answers at `url`; `runtime` is "spin" or "jco"; `started_at` is RFC 3339 in UTC.
    `damage` says what is wrong with the state file and what to do, where it says nothing; the other fields are empty
    then.
    """

    name: str
    namespace: str
    digest: str
    source_digest: str
    settings_digest: str
    image: str
    url: str
    port: int
    process_id: int
    runtime: str
    started_at: str
    alive: bool
    state_directory: Path
    log_file: Path
    damage: str = ""


_FIELDS: dict[str, type] = {
    "digest": str,
    "source_digest": str,
    "settings_digest": str,
    "image": str,
    "url": str,
    "port": int,
    "process_id": int,
    "process_started": int,
    "boot_id": str,
    "runtime": str,
    "started_at": str,
    "release": str,
}
_NOT_SHOWN = ("process_started", "boot_id", "release")
"""Fields of the state file that only this package reads."""


def function_directory(state_directory: Path, namespace: str, name: str) -> Path:
    """Where everything of one function is kept; absolute, since it identifies the processes.

    Raises:
        PlatformError: the namespace or the name would lead elsewhere.
    """
    for kind, value in (("namespace", namespace), ("name", name)):
        if not value or value.startswith(".") or "/" in value or "\0" in value:
            raise PlatformError(
                f"{value!r} is no {kind} of a function.", next_step="Use lower-case letters, digits and hyphens."
            )
    return Path(os.path.abspath(state_directory)) / namespace / name


def read(state_directory: Path, namespace: str, name: str) -> LocalFunction | None:
    """Read one function; None where there is none. Takes some milliseconds.

    Alive means: the process in the state file runs, is the one that was started (same start time, same boot) and says
    it is healthy.
    """
    directory = function_directory(state_directory, namespace, name)
    state = read_state(directory)
    about: dict[str, t.Any] = {
        "name": name,
        "namespace": namespace,
        "state_directory": directory,
        "log_file": directory / "log",
    }
    if state is not None:
        fields: dict[str, t.Any] = {field: state[field] for field in _FIELDS if field not in _NOT_SHOWN}
        return LocalFunction(**about, **fields, alive=front_runs(state) and _healthy(int(state["port"])))
    if not os.path.lexists(directory / STATE_FILE):
        return None
    empty: dict[str, t.Any] = {field: kind() for field, kind in _FIELDS.items() if field not in _NOT_SHOWN}
    damage = (
        f"{directory / STATE_FILE} is damaged. Next: Deploy {namespace}/{name} again, or delete it with "
        f"`ansible-playbook wasmfaas.platform.delete_function -e target=local -e namespace={namespace} -e name={name}`."
    )
    return LocalFunction(**about, **empty, alive=False, damage=damage)


def list_functions(state_directory: Path, namespace: str | None) -> list[LocalFunction]:
    """Read all functions, of one namespace or (None) of all, sorted by namespace and name."""
    root = Path(os.path.abspath(state_directory))
    pattern = f"{namespace or '*'}/*/{STATE_FILE}"
    paths = [path.parent for path in sorted(root.glob(pattern)) if not _hidden(path.parent)]
    with concurrent.futures.ThreadPoolExecutor(HEALTH_CALLS_AT_ONCE) as pool:
        found = pool.map(lambda path: read(root, path.parent.name, path.name), paths)
        return [function for function in found if function is not None]


def _hidden(path: Path) -> bool:
    """Whether it cannot be a function's directory (see `function_directory`)."""
    return path.name.startswith(".") or path.parent.name.startswith(".")


def read_state(directory: Path) -> dict[str, t.Any] | None:
    """The state file of the function in `directory`; None where there is none, or none that says all that it should
    (it is written by rename, so it is damaged by hand or with the disk)."""
    try:
        state = json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(state, dict) and all(
        isinstance(state.get(field), kind) and not isinstance(state[field], bool) for field, kind in _FIELDS.items()
    )
    return state if whole else None


def front_runs(state: dict[str, t.Any]) -> bool:
    """Whether the process of a state file runs and is the same process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        boot = ""
    return state.get("boot_id") == boot and process_started(int(state["process_id"])) == state.get("process_started")


def process_started(process_id: int) -> int | None:
    """Start time of a running process in clock ticks since boot (proc_pid_stat(5), field 22); None where it runs no
    more."""
    try:
        fields = (
            Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def function_processes(directory: Path) -> list[int]:
    """Process ids of this user's processes that belong to the function or program in `directory`: it stands among their
    arguments."""
    found = []
    mark = os.fsencode(directory)
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if os.stat(entry.path).st_uid != os.getuid():
                continue
            arguments = Path(entry.path, "cmdline").read_bytes().split(b"\0")
            ours = any(argument == mark or argument.startswith(mark + b"/") for argument in arguments)
            # Not everything that names the directory is the function's: someone may read its log.
            kind = b"--state-dir" in arguments or any(
                argument.endswith((b"/front.mjs", b"/backend.mjs", b"/command.mjs")) for argument in arguments
            )
            if ours and kind and process_started(int(entry.name)) is not None:
                found.append(int(entry.name))
    return found


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_TIMEOUT_SECONDS)
    try:
        connection.request("GET", HEALTH_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def lock(state_directory: Path, namespace: str, name: str, timeout_seconds: float) -> t.Iterator[None]:
    """Keep other deployments of one function out. `start` and `stop` take it themselves where the caller does not hold
    it.

    The kernel drops it with the process, so nothing is left to mend after a kill.

    Raises:
        PlatformError: another process held it all the time.
    """
    directory = function_directory(state_directory, namespace, name)
    path = directory.parent / f"{name}.lock"
    key = (path, threading.get_ident())
    if _held.get(key):
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    descriptor = _acquire(path, timeout_seconds, f"{namespace}/{name}")
    _held[key] = 1
    try:
        yield
    finally:
        del _held[key]
        if not directory.exists():
            # Removed while held: a process that waits for this file sees that another one is at the path, and tries
            # again.
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        os.close(descriptor)


def _acquire(path: Path, timeout_seconds: float, title: str) -> int:
    end = time.monotonic() + timeout_seconds
    while True:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the directory was removed in between
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                return descriptor
        except OSError:
            if time.monotonic() >= end:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise PlatformError(
                    f"Another deployment of {title} (process {holder or 'unknown'}) did not finish within "
                    f"{timeout_seconds:g} s.",
                    next_step="Wait for it to end and run this again, or raise wait_timeout.",
                ) from None
        os.close(descriptor)
        time.sleep(0.05)
