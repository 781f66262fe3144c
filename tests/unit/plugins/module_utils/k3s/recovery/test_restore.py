# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restore.py: one host's part in a restore, in a directory, with a k3s that only says that it did it."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import TIMED_OUT, Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import restore
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

CONTENT = b"snapshot"
IDENTITY = hashlib.sha256(CONTENT).hexdigest()
DONE = Completed(
    0, 'level=info msg="Managed etcd cluster membership has been reset, restart without --cluster-reset flag now."', ""
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server that was stopped, with a database, a join.yaml and a snapshot."""
    server, agent, config = tmp_path / "server", tmp_path / "agent", tmp_path / "config.yaml.d"
    (server / "db" / "etcd" / "member").mkdir(parents=True)
    (server / "tls").mkdir()
    (server / "tls" / "server-ca.crt").write_text("own authority", encoding="utf-8")
    agent.mkdir()
    config.mkdir()
    (config / "join.yaml").write_text("server: https://10.0.0.2:6443\n", encoding="utf-8")
    (tmp_path / "snapshot").write_bytes(CONTENT)
    monkeypatch.setattr(paths, "SERVER_DIRECTORY", str(server))
    monkeypatch.setattr(paths, "AGENT_DIRECTORY", str(agent))
    monkeypatch.setattr(paths, "RUN_DIRECTORY", str(tmp_path / "run"))
    monkeypatch.setattr(paths, "JOIN_CONFIG", str(config / "join.yaml"))
    for name, path in {
        "DATABASE": server / "db",
        "BEFORE": server / "db.before-restore",
        "BEFORE_OF_OTHER_CLUSTER": server / "of-another-cluster",
        "RESET_FLAG": server / "db" / "reset-flag",
        "MEMORY": server / "memory.json",
        "AGENT_MEMORY": agent / "memory.json",
        "UPLOADS": server / "uploads",
    }.items():
        monkeypatch.setattr(restore, name, str(path))
    monkeypatch.setattr(
        restore, "authority_digest", lambda path=str(server / "tls" / "server-ca.crt"): digest(Path(path))
    )
    return tmp_path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


class FakeK3s:
    def __init__(self, answer: Completed = DONE) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []

    def __call__(self, arguments: t.Sequence[str], _seconds: float) -> Completed:
        self.asked.append(list(arguments))
        return self.answer


def reset(host: Path, k3s: FakeK3s, **changes: t.Any) -> bool:
    options: dict[str, t.Any] = {
        "expected_sha256": IDENTITY,
        "seconds": 5,
        "run": k3s,
        "is_inactive": lambda _unit: True,
        **changes,
    }
    return restore.reset(IDENTITY, str(host / "snapshot"), **options)


def test_reset_runs_once_and_is_remembered(host: Path) -> None:
    k3s = FakeK3s()
    assert reset(host, k3s) is True
    assert k3s.asked == [
        [paths.K3S_BINARY, "server", "--cluster-reset", f"--cluster-reset-restore-path={host / 'snapshot'}"]
    ]
    assert restore.remembered() == {"identity": IDENTITY, "done": "reset"}
    assert reset(host, k3s) is False and len(k3s.asked) == 1


def test_a_reset_without_a_snapshot_keeps_the_data(host: Path) -> None:
    k3s = FakeK3s()
    options: dict[str, t.Any] = {"seconds": 5, "run": k3s, "is_inactive": lambda _unit: True}
    assert restore.reset("recovery of server-1", "", **options) is True
    assert k3s.asked == [[paths.K3S_BINARY, "server", "--cluster-reset"]]
    assert restore.reset("recovery of server-1", "", **options) is False and len(k3s.asked) == 1
    k3s.answer = Completed(1, "", 'level=fatal msg="no"')
    with pytest.raises(PlatformError, match="only member") as raised:
        restore.reset("recovery of server-2", "", **options)
    assert "wasmfaas.platform.recover again" in (raised.value.next_step or "")


def test_another_snapshot_is_another_restore(host: Path) -> None:
    reset(host, FakeK3s())
    (host / "snapshot").write_bytes(b"another")
    k3s = FakeK3s()
    other = hashlib.sha256(b"another").hexdigest()
    assert (
        restore.reset(
            other, str(host / "snapshot"), expected_sha256=other, seconds=5, run=k3s, is_inactive=lambda _unit: True
        )
        is True
    )
    assert len(k3s.asked) == 1


def test_reset_takes_the_server_out_of_the_settings_and_the_flag_of_a_run_that_was_cut_off(host: Path) -> None:
    Path(restore.RESET_FLAG).touch()
    reset(host, FakeK3s())
    written = json.loads((host / "config.yaml.d" / "join.yaml").read_text(encoding="utf-8"))
    assert written == {"token-file": paths.TOKEN}
    assert not Path(restore.RESET_FLAG).exists()


def test_a_local_file_beats_the_bucket_of_the_settings(host: Path) -> None:
    k3s = FakeK3s()
    reset(host, k3s, local_although_bucket=True)
    assert k3s.asked[0][-1] == "--etcd-s3=false"


def test_a_damaged_snapshot_is_refused_before_anything_is_done(host: Path) -> None:
    (host / "snapshot").write_bytes(b"damaged")
    k3s = FakeK3s()
    with pytest.raises(PlatformError, match="is not the snapshot"):
        reset(host, k3s)
    assert k3s.asked == [] and "10.0.0.2" in (host / "config.yaml.d" / "join.yaml").read_text(encoding="utf-8")


def test_a_running_server_is_refused(host: Path) -> None:
    with pytest.raises(PlatformError, match="runs on this host"):
        reset(host, FakeK3s(), is_inactive=lambda _unit: False)
    with pytest.raises(PlatformError, match="runs on this host"):
        restore.clear(IDENTITY, is_inactive=lambda _unit: False)


def test_check_mode_changes_nothing(host: Path) -> None:
    k3s = FakeK3s()
    before = sorted(host.rglob("*"))
    assert (
        reset(host, k3s, check_mode=True) is True
        and restore.clear(IDENTITY, check_mode=True, is_inactive=lambda _unit: True) is True
    )
    assert k3s.asked == [] and sorted(host.rglob("*")) == before


@pytest.mark.parametrize(
    ("answer", "next_step"),
    [
        (
            Completed(1, 'level=fatal msg="bootstrap data already found and encrypted with different token"', ""),
            "token is not that",
        ),
        (Completed(0, "", ""), "Use another backup"),  # k3s ended well, but did not say that it did it
        (Completed(TIMED_OUT, "", ""), "restore_timeout"),
        (Completed(1, 'level=fatal msg="snapshot not found in bucket"', ""), "bucket"),
    ],
)
def test_a_failed_reset_is_not_remembered(host: Path, answer: Completed, next_step: str) -> None:
    with pytest.raises(PlatformError) as raised:
        reset(host, FakeK3s(answer))
    assert next_step in raised.value.next_step and restore.remembered() == {}


def test_files_of_another_cluster_are_put_aside(host: Path) -> None:
    (host / "server" / "token").write_text("of the other", encoding="utf-8")
    reset(host, FakeK3s(), authority="f" * 64)
    assert not (host / "server" / "tls").exists() and not (host / "server" / "token").exists()
    assert (host / "server" / "of-another-cluster" / "tls" / "server-ca.crt").read_text(
        encoding="utf-8"
    ) == "own authority"


def test_files_of_the_same_cluster_stay(host: Path) -> None:
    reset(host, FakeK3s(), authority=digest(host / "server" / "tls" / "server-ca.crt"))
    assert (host / "server" / "tls" / "server-ca.crt").exists()


def test_putting_aside_goes_on_where_it_was_cut_off(host: Path) -> None:
    aside = host / "server" / "of-another-cluster"
    aside.mkdir()
    (aside / "token").write_text("moved before the cut", encoding="utf-8")
    restore.put_aside_another_cluster("f" * 64)
    assert (aside / "token").exists() and (aside / "tls").exists()


def test_clear_renames_the_database_once(host: Path) -> None:
    assert restore.clear(IDENTITY, is_inactive=lambda _unit: True) is True
    assert (
        not (host / "server" / "db").exists() and (host / "server" / "db.before-restore" / "etcd" / "member").exists()
    )
    # It has joined the restored cluster by now.
    (host / "server" / "db").mkdir()
    assert restore.clear(IDENTITY, is_inactive=lambda _unit: False) is False
    assert (host / "server" / "db").exists()


def test_clear_takes_tokens_and_encryption_key_with_the_database(host: Path) -> None:
    """k3s refuses to join where they are newer than those of the snapshot."""
    files = host / "server" / "cred"
    files.mkdir()
    for name in ("passwd", "encryption-config.json", "encryption-state.json", "admin.kubeconfig"):
        (files / name).write_text(name, encoding="utf-8")
    restore.clear(IDENTITY, is_inactive=lambda _unit: True)
    assert [path.name for path in files.iterdir()] == ["admin.kubeconfig"]
    assert (host / "server" / "db.before-restore" / "passwd").exists()


def test_clear_leaves_a_server_without_a_database_alone(host: Path) -> None:
    (host / "server" / "db" / "etcd" / "member").rmdir()
    (host / "server" / "db" / "etcd").rmdir()
    (host / "server" / "db").rmdir()
    assert restore.clear(IDENTITY, is_inactive=lambda _unit: True) is False


def test_finish_removes_what_was_left_and_then_nothing(host: Path) -> None:
    restore.clear(IDENTITY, is_inactive=lambda _unit: True)
    (host / "server" / "uploads").mkdir()
    assert restore.finish(check_mode=True) is True and (host / "server" / "uploads").exists()
    assert restore.finish() is True
    assert sorted(path.name for path in (host / "server").iterdir()) == ["tls"]
    assert restore.finish() is False


def test_forget_takes_certificates_of_another_cluster_only(host: Path) -> None:
    agent = host / "agent"
    for name in ("server-ca.crt", "client-kubelet.crt", "client-kubelet.key", "kubelet.kubeconfig", "pod-manifests"):
        (agent / name).write_text("old", encoding="utf-8")
    own = digest(agent / "server-ca.crt")
    assert restore.forget(IDENTITY, own) is False and restore.forget(IDENTITY, "") is False
    record = host / "run" / "k3s-agent.inputs"
    record.parent.mkdir()
    record.touch()
    assert restore.forget(IDENTITY, "f" * 64) is True
    assert sorted(path.name for path in agent.iterdir()) == ["memory.json", "pod-manifests"] and not record.exists()
    (agent / "server-ca.crt").write_text("new", encoding="utf-8")
    assert restore.forget(IDENTITY, "f" * 64) is False


def node(name: str, *, voter: bool) -> dict[str, t.Any]:
    labels = {"node-role.kubernetes.io/control-plane": "true"} if voter else {}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": [{"type": "EtcdIsVoter", "status": "True"}] if voter else []},
    }


def test_admit_forgets_gone_nodes_and_passwords_and_distrusts_old_members(host: Path) -> None:
    asked: list[list[str]] = []
    nodes = {
        "items": [
            node("server-1", voter=True),
            node("server-2", voter=True),
            node("worker-1", voter=False),
            node("gone", voter=True),
        ]
    }

    def run(arguments: list[str], _input: str | None) -> Completed:
        asked.append(arguments)
        return Completed(0, json.dumps(nodes) if arguments[0] == "get" else "{}", "")

    keep = ["server-1", "server-2", "worker-1", "worker-2"]
    assert restore.admit(IDENTITY, keep, this_node="server-1", kubectl=Kubectl(run)) is True
    changes = [" ".join(arguments) for arguments in asked if arguments[0] != "get"]
    assert [change for change in changes if "nodes/" in change] == ["delete --raw /api/v1/nodes/gone"]
    assert (
        len([change for change in changes if change.startswith("patch node server-2") and "EtcdIsVoter" in change]) == 1
    )
    forgotten = [change.rpartition("/")[2] for change in changes if "node-password" in change]
    assert forgotten == ["server-2.node-password.k3s", "worker-1.node-password.k3s", "gone.node-password.k3s"]
    asked.clear()
    assert restore.admit(IDENTITY, keep, this_node="server-1", kubectl=Kubectl(run)) is False and asked == []
    assert reset(host, FakeK3s()) is False


def test_a_program_that_an_earlier_run_left_behind_is_waited_for(tmp_path: Path) -> None:
    lock, log = str(tmp_path / "run" / "lock"), tmp_path / "log"
    slow = [  # it sleeps so that the second command comes while this one holds the lock
        sys.executable,
        "-c",
        f"import time; open({str(log)!r}, 'a').write('a'); time.sleep(0.5); open({str(log)!r}, 'a').write('b')",
    ]
    first = threading.Thread(target=restore.run_alone, args=(slow, 60), kwargs={"lock": lock})
    first.start()
    while not log.exists() or not log.read_text(encoding="utf-8"):
        time.sleep(0.01)
    completed = restore.run_alone([sys.executable, "-c", f"print(open({str(log)!r}).read())"], 60, lock=lock)
    first.join()
    assert completed.exit_code == 0 and completed.output.strip() == "ab"


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    completed = restore.run_alone(
        [sys.executable, "-c", "import time; time.sleep(60)"], 0.5, lock=str(tmp_path / "lock")
    )
    assert completed.exit_code == TIMED_OUT
