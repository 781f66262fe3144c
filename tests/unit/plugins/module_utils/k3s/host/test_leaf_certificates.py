# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""leaf_certificates.py: which certificates there are, and which of them have ended."""

from __future__ import annotations

import collections.abc
import os
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import leaf_certificates

DAY = 86400.0


def write(directory: Path, *names: str, content: bytes = b"") -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_leaves_are_not_authorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SERVER_DIRECTORY", str(tmp_path))
    write(
        tmp_path / "tls",
        "client-admin.crt",
        "server-ca.crt",
        "server-ca.nochain.crt",
        "etcd/client.crt",
        "etcd/peer-ca.crt",
        "client-admin.key",
    )
    assert [os.path.relpath(path, tmp_path / "tls") for path in leaf_certificates.leaves("k3s")] == [
        "client-admin.crt",
        "etcd/client.crt",
    ]
    assert leaf_certificates.ages("k3s") == (0.0, 0.0)  # empty files are no certificates


def test_only_what_k3s_renews_at_each_start_counts_as_ended(
    tmp_path: Path, self_signed: collections.abc.Callable[[str], tuple[bytes, bytes]]
) -> None:
    certificate, _key = self_signed("ends in a day")
    server, agent = Path(f"{tmp_path}{paths.SERVER_DIRECTORY}"), Path(f"{tmp_path}{paths.AGENT_DIRECTORY}")
    tomorrow = time.time() + 2 * DAY

    def ended(unit: str, now: float = tomorrow) -> float:
        return leaf_certificates.ended(unit, root=str(tmp_path), now=now)

    write(server, "tls/client-k3s-cloud-controller.crt", "tls/server-ca.crt", content=certificate)
    assert ended("k3s") == 0.0, "an older release left the one, and the other is an authority"
    write(server, "tls/client-scheduler.crt", content=b"no certificate")
    assert ended("k3s") == 0.0
    write(agent, "client-kubelet.crt", content=certificate)
    assert ended("k3s", time.time()) == 0.0
    assert ended("k3s") == ended("k3s-agent") == pytest.approx(time.time() + DAY, abs=60)
    os.unlink(agent / "client-kubelet.crt")
    write(server, "tls/etcd/peer-server-client.crt", content=certificate)
    assert ended("k3s") > 0.0 and ended("k3s-agent") == 0.0


def test_a_rotation_leaves_the_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SERVER_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(paths, "SERVER_CA", str(tmp_path / "tls/server-ca.crt"))
    assert not leaf_certificates.taken_away("k3s"), "a blank host"
    write(tmp_path, "tls/server-ca.crt")
    assert leaf_certificates.taken_away("k3s")
    write(tmp_path, "tls/client-admin.crt")
    assert not leaf_certificates.taken_away("k3s")
