# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts, marks, ends and evaluates the constant load of load_program.py. Runs on the host that writes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t

from ...errors import PlatformError
from ...host import transient_unit
from ...host.waiting import wait_for
from . import load_program

UNIT = "wasmfaas-verify-ha-load"
LOST_SHOWN = 20
FIRST_WRITES = 3
START_SECONDS = 60
PROCESS_FILE = "process"


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_load does; see its documentation."""
    state, directory = parameters["state"], directory_of(parameters["directory"])
    if parameters["token"]:
        hidden.add(parameters["token"])
    if check_mode:
        return {"changed": state in ("started", "absent") and (state == "started" or os.path.isdir(directory))}
    if state == "started":
        return start(directory, parameters)
    if state == "absent":
        return {"changed": remove(directory)}
    if not os.path.isdir(directory):
        raise PlatformError(
            "No load was started on this host.",
            next_step="Run ansible-playbook wasmfaas.platform.verify_ha from its beginning.",
        )
    if state == "marked":
        mark(directory, parameters["phase"], parameters["event"])
        return {"changed": False}
    return {"changed": True, "report": stop(directory)}


def directory_of(given: str | None) -> str:
    """Where settings and records are kept: on a disk, since records are synced to it."""
    if given:
        return os.path.abspath(given)
    return "/var/lib/wasmfaas/verify-ha" if os.geteuid() == 0 else os.path.expanduser("~/.cache/wasmfaas/verify-ha")


def start(directory: str, parameters: dict[str, t.Any]) -> dict[str, t.Any]:
    """Begin to write, and wait until the first values of every worker are acknowledged."""
    remove(directory)
    os.makedirs(directory, mode=0o700)
    os.chmod(directory, 0o700)
    keys = ("servers", "token", "authority", "namespace", "workers", "interval", "request_timeout", "seconds")
    settings = os.path.join(directory, "settings.json")
    with open(os.open(settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(
            {**{key: parameters[key] for key in keys}, "workers": parameters["workers"] or len(parameters["servers"])},
            file,
        )
    program = os.path.join(directory, "load_program.py")
    with open(program, "w", encoding="utf-8") as file:
        file.write(transient_unit.source_of(load_program))
    _launch(directory, program, settings, parameters["seconds"])
    read = load_program.Settings(settings)

    def through() -> bool:
        return all(len(lines) >= FIRST_WRITES for lines in load_program.records(read, "acknowledged"))

    if not wait_for(through, seconds=START_SECONDS):
        failures = [line for lines in load_program.records(read, "failed") for line in lines[-1:]]
        said = (
            "; ".join(sorted({f"{line['server']}: {line['error']}" for line in failures}))
            or f"no attempt was made {_output(directory)}".strip()
        )
        remove(directory)
        raise PlatformError(
            f"The load got no value through in {START_SECONDS} s: {said}.",
            next_step="Let a host do it that reaches port 6443 of all servers: -e verify_ha_writer=HOST, an "
            "inventory name.",
        )
    return {"changed": True, "workers": read.workers}


def mark(directory: str, phase: str, event: str) -> None:
    """Write down that something happens now, by the clock that the records have."""
    with open(os.path.join(directory, "marks.jsonl"), "a", encoding="utf-8") as file:
        load_program.note(file, {"phase": phase, "event": event, "at": time.monotonic()}, sync=True)


def stop(directory: str) -> dict[str, t.Any]:
    """End the load, read everything back, and report."""
    mark(directory, "end", "stopped")
    settings = load_program.Settings(os.path.join(directory, "settings.json"))
    with open(settings.path("stop"), "w", encoding="utf-8"):
        pass
    if not wait_for(lambda: not _runs(directory), seconds=settings.request_timeout * 2 + 10):
        _end(directory)
    report = load_program.check(settings)
    report["phases"] = [phase for phase in report["phases"] if phase["phase"] != "end"]
    return {
        **report,
        "lost": report["lost"][:LOST_SHOWN],
        "lost_values": len({(entry["object"], entry["key"]) for entry in report["lost"]}),
    }


def remove(directory: str) -> bool:
    """End the load and remove what was written on this host. Returns whether there was anything."""
    there = os.path.isdir(directory)
    _end(directory)
    if there:
        shutil.rmtree(directory)
    return there


def _launch(directory: str, program: str, settings: str, seconds: float) -> None:
    if transient_unit.available():
        text = "\n".join(
            [
                "[Unit]",
                "Description=wasmfaas verify_ha: constant load of API writes",
                "[Service]",
                f"ExecStart={transient_unit.command_line(program, 'run', settings)}",
                f"RuntimeMaxSec={int(seconds) + 60}",
                "TimeoutStopSec=30",
                "",
            ]
        )
        said = transient_unit.start(UNIT, text, seconds=60)
        if said:
            raise PlatformError(f"The load could not be started: {said}.", next_step=f"See there: journalctl -u {UNIT}")
        return
    with open(os.path.join(directory, "output"), "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, program, "run", settings],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with open(os.path.join(directory, PROCESS_FILE), "w", encoding="utf-8") as file:
        file.write(str(process.pid))


def _output(directory: str) -> str:
    """The last line that the program wrote, in brackets, where its output is kept in a file."""
    try:
        with open(os.path.join(directory, "output"), encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
    except OSError:
        return ""
    return next((f"({line.strip()})" for line in reversed(lines) if line.strip()), "")


def _runs(directory: str) -> bool:
    if transient_unit.available():
        return transient_unit.is_active(UNIT)
    return _process(directory) is not None


def _end(directory: str) -> None:
    if transient_unit.available():
        transient_unit.remove(UNIT)
        return
    process = _process(directory)
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
        wait_for(lambda: _process(directory) is None, seconds=20)


def _process(directory: str) -> int | None:
    """Number of the load's process, where it still runs and is ours."""
    try:
        with open(os.path.join(directory, PROCESS_FILE), encoding="utf-8") as file:
            number = int(file.read())
        with open(f"/proc/{number}/cmdline", "rb") as file_:
            return number if b"load_program.py" in file_.read() else None
    except (OSError, ValueError):
        return None
