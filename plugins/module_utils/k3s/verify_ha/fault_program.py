# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Injects a fault into the k3s of this host for a while. A program of its own on a host: standard library, Python 3.9,
no import of ours.

    python3 fault_program.py hold STATE      does the fault, tells systemd that it is done, waits until its time is over
    python3 fault_program.py undo STATE      puts everything back, however `hold` ended; harmless when there is nothing
    to put back

Runs as a service of its own whose ExecStopPost= is `undo`: systemd calls it when the time is over, when it is told to
stop, and when `hold` is killed. So a fault ends by itself also when nobody reaches the host any more. Nothing of it
outlives a reboot: rules and processes do not, units and state are in /run, and the file that fills a disk has no name,
so that it is gone as soon as the process is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t

CHAIN = "WASMFAAS-VERIFY-HA"
TABLE = "wasmfaas_verify_ha"
DROP_IN = "/run/systemd/system/{unit}.service.d/90-wasmfaas-verify-ha.conf"
BUNDLED_PROGRAMS = "/var/lib/rancher/k3s/data/current/bin/aux"
"""k3s brings iptables of its own for hosts without it (k3s docs, advanced.md, prefer-bundled-bin)."""
DEATH_SECONDS = 10.0
REFILL_SECONDS = 0.5

State = t.Dict[str, t.Any]  # noqa: UP006 - an alias is evaluated, on Python 3.9 too


class FaultFailed(Exception):
    """The fault could not be injected; nothing of it is left once `undo` has run."""


def hold(path: str) -> None:
    """Inject the fault and keep it until `seconds` of the state are over or a signal comes."""
    state = read(path)
    end = time.monotonic() + state["seconds"]
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    try:
        keep = FAULTS[state["fault"]](state, path)
    except (FaultFailed, OSError, subprocess.SubprocessError) as error:
        write(path, {**state, "error": str(error)})
        raise SystemExit(1) from error
    write(path, {**state, "applied": True})
    notify("READY=1")
    while not stopped and time.monotonic() < end:
        time.sleep(REFILL_SECONDS)
        keep()


def undo(path: str) -> None:
    """Put everything back. Each part is tried even if another one fails."""
    try:
        state = read(path)
    except (OSError, ValueError):
        return
    for step in (thaw, let_restart, heal, start_again):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            step(state)
    write(path, {**state, "undone": True})


# --- the faults: each function injects one, and returns what must be repeated while it lasts
# ------------------------------------


def kill(state: State, _path: str) -> t.Callable[[], None]:
    """SIGKILL to k3s' process, and no restart by systemd while it lasts: a crash that nobody repairs."""
    drop_in = DROP_IN.format(unit=state["unit"])
    os.makedirs(os.path.dirname(drop_in), exist_ok=True)
    with open(drop_in, "w", encoding="utf-8") as file:
        file.write("[Service]\nRestart=no\n")
    systemctl("daemon-reload")
    process = main_process(state["unit"])
    os.kill(process, signal.SIGKILL)
    end = time.monotonic() + DEATH_SECONDS
    while os.path.exists(f"/proc/{process}") and time.monotonic() < end:
        time.sleep(0.05)
    return lambda: None


def pause(state: State, path: str) -> t.Callable[[], None]:
    """SIGSTOP: connections stay open and nobody answers, as on a host that swaps or whose disk hangs."""
    state["process"] = main_process(state["unit"])
    state["started"] = start_time(state["process"])
    # Known to `undo` before it happens.
    write(path, state)
    os.kill(state["process"], signal.SIGSTOP)
    return lambda: None


def cut(state: State, _path: str) -> t.Callable[[], None]:
    """Packets of the ports to and from other hosts are dropped; loopback and SSH stay."""
    ports = [int(port) for port in state["ports"]]
    if program("nft"):
        command([program("nft"), "-f", "-"], nft_rules(ports))
    elif program("iptables"):
        for arguments in iptables_rules(ports):
            command([program("iptables"), "-w", "5", *arguments])
        if program("ip6tables"):
            for arguments in iptables_rules(ports):
                subprocess.run([program("ip6tables"), "-w", "5", *arguments], capture_output=True, check=False)
    elif program("ip") and state["peers"]:
        # Everything between the hosts is gone then, not just the ports.
        for peer in state["peers"]:
            command([program("ip"), "route", "add", "blackhole", peer])
    else:
        raise FaultFailed("there is neither nft nor iptables nor ip on this host")
    return lambda: None


def disk_full(state: State, _path: str) -> t.Callable[[], None]:
    """No byte is left on the file system of k3s' data."""
    directory = state["path"]
    try:
        descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        descriptor, name = tempfile.mkstemp(dir=directory)
        os.unlink(name)
    size = fill(descriptor, 0)

    def refill() -> None:
        nonlocal size
        size = fill(descriptor, size)

    return refill


FAULTS: dict[str, t.Callable[[State, str], t.Callable[[], None]]] = {
    "kill": kill,
    "pause": pause,
    "cut": cut,
    "disk_full": disk_full,
}


def fill(descriptor: int, size: int) -> int:
    """Let the file grow from `size` until nothing more fits, by ever smaller pieces; its new size."""
    piece = 2**30
    while piece >= 4096:
        if grow(descriptor, size, piece):
            size += piece
        else:
            piece //= 4
    return size


def grow(descriptor: int, size: int, piece: int) -> bool:
    """Make the file larger by `piece` bytes. Whether they fitted."""
    try:
        os.posix_fallocate(descriptor, size, piece)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        return False
    return True


# --- undoing
# -----------------------------------------------------------------------------------------------------------


def thaw(state: State) -> None:
    """Continue the paused process, unless another process has its number by now."""
    process = state.get("process")
    if process and start_time(process) == state.get("started"):
        os.kill(process, signal.SIGCONT)


def let_restart(state: State) -> None:
    """systemd may restart the unit again."""
    drop_in = DROP_IN.format(unit=state["unit"])
    if os.path.exists(drop_in):
        os.unlink(drop_in)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(drop_in))
        systemctl("daemon-reload")


def heal(state: State) -> None:
    """Remove all rules."""
    if state["fault"] != "cut":
        return
    if program("nft"):
        subprocess.run([program("nft"), "delete", "table", "inet", TABLE], capture_output=True, check=False, timeout=30)
    for name in ("iptables", "ip6tables"):
        if program(name):
            for arguments in (
                ["-D", "INPUT", "-j", CHAIN],
                ["-D", "OUTPUT", "-j", CHAIN],
                ["-F", CHAIN],
                ["-X", CHAIN],
            ):
                subprocess.run([program(name), "-w", "5", *arguments], capture_output=True, check=False, timeout=30)
    if program("ip"):
        for peer in state["peers"]:
            subprocess.run(
                [program("ip"), "route", "del", "blackhole", peer], capture_output=True, check=False, timeout=30
            )


def start_again(state: State) -> None:
    """The unit runs, as it did before; systemd gives up on one that failed too often."""
    active = subprocess.run(
        ["systemctl", "is-active", f"{state['unit']}.service"], capture_output=True, text=True, check=False, timeout=30
    ).stdout.strip()
    if active not in ("active", "activating", "reloading"):
        subprocess.run(
            ["systemctl", "reset-failed", f"{state['unit']}.service"], capture_output=True, check=False, timeout=30
        )
        systemctl("start", "--no-block", f"{state['unit']}.service")


# --- small parts
# -------------------------------------------------------------------------------------------------------


def nft_rules(ports: list[int]) -> str:
    """A table of its own, which `undo` deletes as a whole; in front of what others have."""
    numbers = ", ".join(map(str, ports))
    drop = f"tcp dport {{ {numbers} }} drop\n    tcp sport {{ {numbers} }} drop"
    return (
        f"table inet {TABLE} {{\n"
        f'  chain input {{\n    type filter hook input priority -400;\n    iifname "lo" accept\n    {drop}\n  }}\n'
        f'  chain output {{\n    type filter hook output priority -400;\n    oifname "lo" accept\n    {drop}\n  }}\n'
        "}\n"
    )


def iptables_rules(ports: list[int]) -> list[list[str]]:
    """Arguments of iptables, one command after the other; a chain of its own, called first."""
    numbers = ",".join(map(str, ports))
    return [
        ["-N", CHAIN],
        ["-A", CHAIN, "-i", "lo", "-j", "RETURN"],
        ["-A", CHAIN, "-o", "lo", "-j", "RETURN"],
        ["-A", CHAIN, "-p", "tcp", "-m", "multiport", "--ports", numbers, "-j", "DROP"],
        ["-I", "INPUT", "1", "-j", CHAIN],
        ["-I", "OUTPUT", "1", "-j", CHAIN],
    ]


def program(name: str) -> str:
    """Path of a program of the host, or of those that k3s brings; "" where there is none."""
    return (
        shutil.which(
            name,
            path=os.pathsep.join(
                [os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin", BUNDLED_PROGRAMS]
            ),
        )
        or ""
    )


def main_process(unit: str) -> int:
    """The unit's main process."""
    shown = subprocess.run(
        ["systemctl", "show", f"{unit}.service", "--property=MainPID"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    found = re.search(r"MainPID=([1-9]\d*)", shown)
    if found is None:
        raise FaultFailed(f"{unit} does not run")
    return int(found[1])


def start_time(process: int) -> str:
    """When a process was started, in ticks since boot; "" if it is gone. Together with its number it identifies the
    process."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def systemctl(*arguments: str) -> None:
    command(["systemctl", *arguments])


def command(arguments: list[str], standard_input: str = "") -> None:
    """Run a program. Raises FaultFailed with what it said."""
    done = subprocess.run(arguments, input=standard_input, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise FaultFailed(f"{' '.join(arguments[:3])}: {done.stderr.strip() or done.returncode}")


def notify(message: str) -> None:
    """Tell systemd (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.sendall(message.encode())


def read(path: str) -> State:
    with open(path, encoding="utf-8") as file:
        return t.cast("State", json.load(file))


def write(path: str, state: State) -> None:
    """Replace the state file as a whole."""
    with open(f"{path}.partial", "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(f"{path}.partial", path)


if __name__ == "__main__":
    {"hold": hold, "undo": undo}[sys.argv[1]](sys.argv[2])
