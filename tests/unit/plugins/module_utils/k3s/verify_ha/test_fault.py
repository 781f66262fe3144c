# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault is done, kept, and undone: on real processes with a systemctl that only answers. tests/hosts runs it on real
hosts (scenario recovery)."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.waiting import wait_for
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.verify_ha import fault, fault_program

SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$1" in
  show) echo "MainPID=$(cat "$PROCESS")" ;;
  is-active) echo "$ACTIVE" ;;
esac
"""


class Host:
    """A process that stands for k3s, and the program that does faults to it."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.state = directory, directory / "state.json"
        self.k3s = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
        (directory / "process").write_text(str(self.k3s.pid))
        (directory / "calls").touch()
        systemctl = directory / "bin/systemctl"
        systemctl.parent.mkdir()
        systemctl.write_text(SYSTEMCTL)
        systemctl.chmod(0o755)
        self.holder: subprocess.Popen[bytes] | None = None

    def environment(self, active: str = "active") -> dict[str, str]:
        return {
            "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "CALLS": str(self.directory / "calls"),
            "PROCESS": str(self.directory / "process"),
            "ACTIVE": active,
        }

    def hold(self, name: str, seconds: float = 60) -> None:
        content = {
            "fault": name,
            "seconds": seconds,
            "unit": "k3s",
            "ports": [],
            "peers": [],
            "path": str(self.directory),
        }
        self.state.write_text(json.dumps(content))
        self.holder = subprocess.Popen(
            [sys.executable, fault_program.__file__, "hold", str(self.state)], env=self.environment()
        )

    def undo(self, active: str = "active") -> None:
        subprocess.run(
            [sys.executable, fault_program.__file__, "undo", str(self.state)], env=self.environment(active), check=True
        )

    def process_state(self) -> str:
        return Path(f"/proc/{self.k3s.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def applied(self) -> bool:
        return bool(json.loads(self.state.read_text()).get("applied"))

    def calls(self) -> list[str]:
        return (self.directory / "calls").read_text().splitlines()

    def end(self) -> None:
        for process in (self.holder, self.k3s):
            if process is not None:
                process.kill()
                process.wait()


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[Host]:
    made = Host(tmp_path)
    yield made
    made.end()


def test_pause_and_go_on(host: Host) -> None:
    host.hold("pause", seconds=0.5)
    assert wait_for(lambda: host.process_state() == "T", seconds=60, interval=0.02)
    assert host.holder is not None and host.holder.wait(timeout=60) == 0, "it ends by itself"
    assert host.process_state() == "T", "the service's ExecStopPost undoes it"
    host.undo()
    assert host.process_state() != "T"
    assert json.loads(host.state.read_text())["undone"] is True


def test_pause_is_undone_though_its_keeper_was_killed(host: Host) -> None:
    host.hold("pause")
    assert wait_for(host.applied, seconds=60, interval=0.02)
    assert host.holder is not None
    host.holder.kill()
    host.holder.wait()
    host.undo()
    assert host.process_state() != "T"


def test_told_to_stop(host: Host) -> None:
    host.hold("pause")
    assert wait_for(host.applied, seconds=60, interval=0.02)
    assert host.holder is not None
    host.holder.terminate()
    assert host.holder.wait(timeout=60) == 0


def test_another_process_of_that_number_is_left_alone(host: Host) -> None:
    os.kill(host.k3s.pid, signal.SIGSTOP)
    fault_program.thaw({"process": host.k3s.pid, "started": "1"})
    assert wait_for(lambda: host.process_state() == "T", seconds=60)


def test_what_can_not_be_done_says_why(host: Host) -> None:
    (host.directory / "process").write_text("0")
    host.hold("pause")
    assert host.holder is not None and host.holder.wait(timeout=60) == 1
    assert json.loads(host.state.read_text())["error"] == "k3s does not run"


def test_undo_starts_what_has_failed(host: Host) -> None:
    host.hold("pause", seconds=0.1)
    assert host.holder is not None
    host.holder.wait(timeout=60)
    host.undo(active="failed")
    assert host.calls()[-2:] == ["reset-failed k3s.service", "start --no-block k3s.service"]


def test_nothing_to_undo(tmp_path: Path) -> None:
    fault_program.undo(str(tmp_path / "none.json"))
    assert list(tmp_path.iterdir()) == []


def test_kill_keeps_systemd_from_restarting(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in host.environment().items():
        monkeypatch.setenv(name, value)
    drop_in = host.directory / "k3s.service.d/drop-in.conf"
    monkeypatch.setattr(fault_program, "DROP_IN", str(drop_in))
    monkeypatch.setattr(fault_program, "DEATH_SECONDS", 0.1)
    fault_program.kill({"unit": "k3s"}, "")
    assert host.k3s.wait(timeout=60) == -signal.SIGKILL
    assert drop_in.read_text() == "[Service]\nRestart=no\n"
    assert host.calls()[0] == "daemon-reload", "systemd must know before the process dies"
    fault_program.let_restart({"unit": "k3s"})
    assert not drop_in.parent.exists() and host.calls()[-1] == "daemon-reload"


def test_fill_takes_ever_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    room = 5 * 2**30 + 3 * 4096 + 17
    taken = 0

    def fallocate(_descriptor: int, offset: int, size: int) -> None:
        nonlocal taken
        assert offset == taken
        if taken + size > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken += size

    monkeypatch.setattr(fault_program.os, "posix_fallocate", fallocate)
    assert fault_program.fill(3, 0) == taken
    assert room - taken < 4096
    room += 8192
    assert fault_program.fill(3, taken) == taken and room - taken < 4096


def test_rules_name_all_ports_and_leave_the_loopback() -> None:
    nft = fault_program.nft_rules([6443, 2379])
    assert (
        nft.count("tcp dport { 6443, 2379 } drop") == 2
        and nft.count("tcp sport { 6443, 2379 } drop") == 2
        and nft.count('"lo" accept') == 2
    )
    rules = [" ".join(rule) for rule in fault_program.iptables_rules([6443, 2379])]
    assert rules[0] == "-N WASMFAAS-VERIFY-HA"
    assert rules[-2:] == ["-I INPUT 1 -j WASMFAAS-VERIFY-HA", "-I OUTPUT 1 -j WASMFAAS-VERIFY-HA"], (
        "called only once complete"
    )
    assert any("--ports 6443,2379 -j DROP" in rule for rule in rules)


def test_the_service_undoes_in_any_case() -> None:
    text = fault.unit_text("cut", "/run/p.py", "/run/s.json", 30)
    assert f"ExecStart={sys.executable} /run/p.py hold /run/s.json" in text
    assert f"ExecStopPost={sys.executable} /run/p.py undo /run/s.json" in text
    assert "RuntimeMaxSec=90" in text and "Type=notify" in text


def test_what_is_not_to_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "No such file" in fault.not_to_be_filled(str(tmp_path / "none"))
    assert "has no file system of its own" in fault.not_to_be_filled("/")
    monkeypatch.setattr(fault, "file_system_type", lambda _directory: "tmpfs")
    assert "in memory" in fault.not_to_be_filled("/proc")


def test_without_systemd_nothing_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault.transient_unit, "available", lambda: False)
    with pytest.raises(PlatformError, match="it needs systemd and root"):
        fault.begin({"fault": "kill", "seconds": 5, "fill_root": False, "unit": "k3s"})
    assert set(fault.impossible("k3s", fill_root=True)) == set(fault.FAULTS)


def test_a_host_without_the_unit_is_left_alone(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault.transient_unit, "available", lambda: True)
    for name, value in host.environment().items():
        monkeypatch.setenv(name, value)
    assert fault.impossible("k3s", fill_root=True) == dict.fromkeys(fault.FAULTS, "this host has no unit k3s")
