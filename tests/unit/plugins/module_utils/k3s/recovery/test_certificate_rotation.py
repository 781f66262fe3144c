# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""certificates.py: new certificates for one host."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import certificates

HOUR = 3600.0


class FakeService:
    """Service without systemd; notes what it was told."""

    log: t.ClassVar[list[str]] = []
    gate_error: t.ClassVar[PlatformError | None] = None

    def __init__(self, options: t.Any) -> None:
        self.options = options

    def show(self) -> dict[str, str]:
        return {"ActiveState": "active"}

    def pass_gate(self) -> None:
        self.log.append("gate")
        if self.gate_error is not None:
            raise t.cast("PlatformError", self.gate_error)

    def manage(self, *, check_mode: bool) -> dict[str, t.Any]:
        self.log.append(f"{self.options.state}{' (check)' if check_mode else ''}")
        return {"changed": False}


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> type[FakeService]:
    monkeypatch.setattr(FakeService, "log", [])
    monkeypatch.setattr(FakeService, "gate_error", None)
    return FakeService


def rotate_certificates(
    service: type[FakeService],
    monkeypatch: pytest.MonkeyPatch,
    *,
    hours: float,
    unit: str = "k3s",
    exit_code: int = 0,
    **changes: t.Any,
) -> t.Any:
    monkeypatch.setattr(certificates, "ages", lambda _unit: (time.time() - hours * HOUR, time.time() + 1000 * HOUR))

    def run(arguments: t.Sequence[str], _seconds: float) -> Completed:
        service.log.append(" ".join(arguments[1:]))
        return Completed(exit_code, "", "FATA[0000] disk on fire" if exit_code else "")

    return certificates.rotate(
        unit, node_name="n", minimum_age=24 * HOUR, timeout=5, run=run, service=service, **changes
    )


def test_certificates_stop_rotate_start(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    assert rotate_certificates(service, monkeypatch, hours=25)["rotated"]
    assert service.log == ["gate", "stopped", "certificate rotate", "started"]


def test_an_agent_needs_no_gate(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    rotate_certificates(service, monkeypatch, hours=25, unit="k3s-agent")
    assert service.log == ["stopped", "certificate rotate", "started"]


def test_young_certificates_are_left_alone_but_a_stopped_server_is_started(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = rotate_certificates(service, monkeypatch, hours=1)
    assert not result["changed"] and not result["rotated"] and service.log == ["started"]


def test_nothing_is_stopped_while_another_server_is_ill(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "gate_error", PlatformError("server-2 is not Ready", next_step="bring it back"))
    with pytest.raises(PlatformError, match="server-2"):
        rotate_certificates(service, monkeypatch, hours=25)
    assert service.log == ["gate"]


def test_k3s_is_started_again_where_the_rotation_failed(
    service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PlatformError, match="disk on fire"):
        rotate_certificates(service, monkeypatch, hours=25, exit_code=1)
    assert service.log[-1] == "started"


def test_certificates_in_check_mode(service: type[FakeService], monkeypatch: pytest.MonkeyPatch) -> None:
    assert rotate_certificates(service, monkeypatch, hours=25, check_mode=True)["changed"] and service.log == []
    assert not rotate_certificates(service, monkeypatch, hours=1, check_mode=True)["changed"] and service.log == [
        "started (check)"
    ]


class Ended:
    """A host whose certificates have ended, or not; notes what was done to its k3s."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, service: type[FakeService]) -> None:
        self.exit_code = 0
        self.service = service
        self.patch = monkeypatch
        self.says(ended=0.0, taken_away=False, made=time.time() - 25 * HOUR)

    def says(self, *, ended: float = 0.0, taken_away: bool = False, made: float = 0.0) -> Ended:
        self.patch.setattr(certificates, "ended", lambda _unit: ended)
        self.patch.setattr(certificates, "taken_away", lambda _unit: taken_away)
        self.patch.setattr(certificates, "ages", lambda _unit: (made, 0.0))
        return self

    def run(self, arguments: t.Sequence[str], _seconds: float) -> Completed:
        self.service.log.append(" ".join(arguments[1:]))
        return Completed(self.exit_code, "", "FATA[0000] disk on fire" if self.exit_code else "")

    def renew(self, unit: str = "k3s", *, check_mode: bool = False) -> dict[str, t.Any]:
        return certificates.renew_ended(
            unit, node_name="n", timeout=5, run=self.run, service=self.service, check_mode=check_mode
        )


@pytest.fixture
def ended_host(monkeypatch: pytest.MonkeyPatch, service: type[FakeService], tmp_path: Path) -> Ended:
    monkeypatch.setattr(paths, "TOMBSTONE", str(tmp_path / "tombstone"))
    return Ended(monkeypatch, service)


def test_certificates_that_have_ended_are_renewed_without_asking_a_server(
    ended_host: Ended, service: type[FakeService]
) -> None:
    result = ended_host.says(ended=1_700_000_000.0).renew()
    assert result == {"changed": True, "rotated": True, "ended": "2023-11-14T22:13:20Z"}
    assert service.log == ["stopped", "certificate rotate", "started"], "no gate: the API would not answer it"


def test_certificates_that_last_are_left_alone(ended_host: Ended, service: type[FakeService]) -> None:
    assert ended_host.renew("k3s-agent") == {"changed": False, "rotated": False, "ended": ""}
    assert service.log == []


def test_a_renewal_that_was_cut_off_is_waited_for(
    ended_host: Ended, service: type[FakeService], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ended_host.says(taken_away=True).renew()["rotated"] and service.log == ["started"]
    monkeypatch.setattr(service, "show", lambda _self: {"ActiveState": "activating"})
    assert ended_host.says(made=time.time() - 60).renew()["rotated"], "k3s has just made them and starts"
    assert not ended_host.says(made=time.time() - HOUR).renew()["rotated"], "it starts for another reason"


def test_a_server_without_a_cluster_is_not_started_again(ended_host: Ended, service: type[FakeService]) -> None:
    Path(paths.TOMBSTONE).touch()
    assert not ended_host.says(ended=1.0).renew()["changed"] and service.log == []


def test_a_renewal_that_fails_says_that_k3s_runs_with_the_old_ones(
    ended_host: Ended, service: type[FakeService]
) -> None:
    ended_host.exit_code = 1
    with pytest.raises(PlatformError, match=r"started with the old ones.*disk on fire"):
        ended_host.says(ended=1.0).renew()
    assert service.log[-1] == "started"


def test_a_check_of_certificates_that_have_ended_touches_nothing(ended_host: Ended, service: type[FakeService]) -> None:
    assert ended_host.says(ended=1.0).renew(check_mode=True)["changed"] and service.log == []
