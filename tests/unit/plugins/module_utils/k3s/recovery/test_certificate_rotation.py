# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""certificates.py: new certificates for one host."""

from __future__ import annotations

import os
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


def test_leaves_are_not_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SERVER_DIRECTORY", str(tmp_path))
    (tmp_path / "tls" / "etcd").mkdir(parents=True)
    for name in (
        "client-admin.crt",
        "server-ca.crt",
        "server-ca.nochain.crt",
        "etcd/client.crt",
        "etcd/peer-ca.crt",
        "client-admin.key",
    ):
        (tmp_path / "tls" / name).touch()
    assert [os.path.relpath(path, tmp_path / "tls") for path in certificates.leaves("k3s")] == [
        "client-admin.crt",
        "etcd/client.crt",
    ]
    assert certificates.ages("k3s") == (0.0, 0.0)  # empty files are no certificates
