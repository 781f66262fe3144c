# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k3s_node_info tells of a host's k3s, from made-up files and answers."""

from __future__ import annotations

import hashlib
import json
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import node_info
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

SERVER_RUNS = """\
Id=k3s.service
LoadState=loaded
ActiveState=active
SubState=running
UnitFileState=enabled

Id=k3s-agent.service
LoadState=not-found
ActiveState=inactive
SubState=dead
UnitFileState=
"""

AGENT_RESTARTS = """\
Id=k3s-agent.service
LoadState=loaded
ActiveState=activating
SubState=auto-restart
UnitFileState=enabled
"""

NODE: dict[str, t.Any] = {
    "metadata": {
        "name": "s1",
        "creationTimestamp": "2026-11-22T00:00:00Z",
        "labels": {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true", "a": "b"},
        "annotations": {
            "etcd.k3s.cattle.io/node-name": "s1-4f2",
            "k3s.io/node-args": "[...]",
            "wasmfaas.dev/managed-labels": "a",
        },
    },
    "spec": {"unschedulable": True, "taints": [{"key": "k", "effect": "NoSchedule"}]},
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "EtcdIsVoter", "status": "True", "reason": "MemberNotLearner"},
        ],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "s1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.4+k3s1"},
    },
}


class Host:
    """A made-up host below a directory, with programs that answer what they are told."""

    def __init__(self, root: Path, units: str = "") -> None:
        self.root = root
        self.units = units
        self.answers: dict[str, Completed] = {}
        self.asked: list[str] = []
        self.versions_asked = 0

    def write(self, path: str, content: str) -> Host:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        return self

    def run(self, arguments: t.Sequence[str], **_more: t.Any) -> Completed:
        if arguments[0] == "systemctl":
            if not self.units:
                raise PlatformError("systemctl cannot be run on this host.", next_step="Install it.")
            return Completed(0, self.units, "")
        self.versions_asked += 1
        return Completed(0, "k3s version v1.36.4+k3s1 (abcdef)\ngo version go1.25\n", "")

    def kubectl(self, arguments: list[str], _standard_input: str | None) -> Completed:
        self.asked.append(arguments[-1])
        return self.answers.get(arguments[-1], Completed(1, "", "connection refused"))

    def look(self, *, ask: bool = True) -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
        return node_info.installation(Kubectl(self.kubectl), ask=ask, root=str(self.root))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(node_info, "run_command", made.run)
    monkeypatch.setattr(node_info.facts, "hostname", lambda: "machine")
    return made


def test_host_without_anything_is_told_as_such(host: Host) -> None:
    k3s, cluster = host.look()
    assert cluster is None and host.asked == []
    assert (k3s["role"], k3s["service"], k3s["version"], k3s["has_data"], k3s["ready"], k3s["stale_inputs"]) == (
        None,
        "missing",
        "",
        False,
        False,
        [],
    )
    assert k3s["node_name"] == "machine"


def running_server(host: Host) -> Host:
    host.units = SERVER_RUNS
    host.write("/usr/local/bin/k3s", "binary").write(
        "/etc/rancher/k3s/config.yaml", "node-name: s1\nnode-ip: 10.0.0.1,fd00::1\n"
    )
    host.write(
        "/etc/rancher/k3s/config.yaml.d/join.yaml",
        "server: https://10.0.0.2:6443\ntoken-file: /etc/rancher/k3s/token\n",
    )
    host.write("/var/lib/rancher/k3s/server/db/etcd/member/x", "").write(
        "/var/lib/rancher/k3s/server/tls/server-ca.crt", "authority"
    )
    host.write("/var/lib/rancher/k3s/agent/client-kubelet.crt", "")
    lines = [
        f"{hashlib.sha256((host.root / path).read_bytes()).hexdigest()}  /{path}"
        for path in ("usr/local/bin/k3s", "etc/rancher/k3s/config.yaml")
    ]
    host.write("/run/wasmfaas/k3s.inputs", "\n".join(lines) + "\n")
    host.answers = {"/readyz": Completed(0, "ok", ""), "/api/v1/nodes": Completed(0, json.dumps({"items": [NODE]}), "")}
    return host


def test_running_server_tells_all_and_the_cluster(host: Host) -> None:
    k3s, cluster = running_server(host).look()
    assert (k3s["role"], k3s["service"], k3s["enabled"], k3s["ready"], k3s["has_data"], k3s["datastore"]) == (
        "server",
        "active",
        True,
        True,
        True,
        "etcd",
    )
    assert (k3s["version"], k3s["version_running"]) == ("v1.36.4+k3s1", "v1.36.4+k3s1")
    assert k3s["ca_sha256"] == hashlib.sha256(b"authority").hexdigest()
    assert (k3s["server_url"], k3s["cluster_init"], k3s["node_name"], k3s["node_ip"]) == (
        "https://10.0.0.2:6443",
        False,
        "s1",
        ["10.0.0.1", "fd00::1"],
    )
    assert k3s["stale_inputs"] == []
    assert cluster is not None
    (node,) = cluster["nodes"]
    assert node == {
        "name": "s1",
        "ready": True,
        "alive": True,
        "roles": ["control-plane", "etcd"],
        "control_plane": True,
        "voter": True,
        "learner": False,
        "member_problem": "",
        "member_name": "s1-4f2",
        "addresses": ["10.0.0.1"],
        "version": "v1.36.4+k3s1",
        "unschedulable": True,
        "labels": NODE["metadata"]["labels"],
        "taints": [{"key": "k", "value": "", "effect": "NoSchedule"}],
        "created": "2026-11-22T00:00:00Z",
        "annotations": {"etcd.k3s.cattle.io/node-name": "s1-4f2", "wasmfaas.dev/managed-labels": "a"},
    }


def test_program_is_asked_for_its_version_once(host: Host) -> None:
    running_server(host).look()
    host.look()
    assert host.versions_asked == 1
    assert (host.root / "run/wasmfaas/versions.json").exists()


def test_new_binary_and_changed_files_are_stale_and_the_old_version_runs(host: Host) -> None:
    running_server(host).look()
    host.write("/usr/local/bin/k3s", "newer").write("/etc/rancher/k3s/registries.yaml", "mirrors: {}")
    k3s, _cluster = host.look()
    assert k3s["stale_inputs"] == ["/etc/rancher/k3s/registries.yaml", "/usr/local/bin/k3s"]
    assert host.versions_asked == 2 and k3s["version_running"] == "v1.36.4+k3s1"
    host.write("/etc/rancher/k3s/config.yaml.d/join.yaml", "server: https://other:6443\n")
    assert host.look()[0]["stale_inputs"] == k3s["stale_inputs"], "what is for the first start only asks for no restart"


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/readyz": Completed(1, "", "etcd failed"), "/api/v1/nodes": Completed(0, '{"items": []}', "")},
        {"/readyz": Completed(0, "ok", ""), "/api/v1/nodes": Completed(124, "", "timed out")},
        {"/readyz": Completed(0, "ok", ""), "/api/v1/nodes": Completed(0, "no JSON", "")},
    ],
)
def test_server_that_does_not_answer_is_not_ready(host: Host, answers: dict[str, Completed]) -> None:
    running_server(host).answers = answers
    k3s, cluster = host.look()
    assert (k3s["ready"], cluster) == (False, None)


def test_api_is_asked_only_where_it_may_answer(host: Host) -> None:
    running_server(host).look(ask=False)
    host.units = SERVER_RUNS.replace("ActiveState=active", "ActiveState=failed")
    k3s, _cluster = host.look()
    assert host.asked == [] and k3s["service"] == "failed" and k3s["stale_inputs"] == []


def test_agent_is_told_by_its_unit(host: Host) -> None:
    host.units = AGENT_RESTARTS
    host.write("/var/lib/rancher/k3s/agent/client-kubelet.crt", "").write(
        "/var/lib/rancher/k3s/agent/server-ca.crt", "authority"
    )
    k3s, _cluster = host.look()
    assert (k3s["role"], k3s["service"], k3s["restarting"], k3s["has_data"]) == ("agent", "activating", True, True)
    assert k3s["ca_sha256"] == hashlib.sha256(b"authority").hexdigest()


def test_left_over_data_is_seen_without_a_unit(host: Host) -> None:
    host.write("/var/lib/rancher/k3s/server/db/etcd/member/x", "").write(
        "/var/lib/rancher/k3s/server/db/etcd/tombstone", ""
    )
    k3s, _cluster = host.look()
    assert (k3s["role"], k3s["has_server_data"], k3s["tombstone"]) == (None, True, True)
    host.root = host.root / "other"
    assert host.write("/var/lib/rancher/k3s/server/db/state.db", "").look()[0]["datastore"] == "sqlite"


@pytest.mark.parametrize(
    ("server", "agent", "role"),
    [
        (("active", True), ("inactive", True), "server"),
        (("inactive", False), ("inactive", True), "agent"),
        (("failed", False), ("missing", False), "server"),
        (("missing", False), ("missing", False), None),
    ],
)
def test_role_is_that_of_the_unit_in_use(server: tuple[str, bool], agent: tuple[str, bool], role: str | None) -> None:
    units = {
        "k3s": dict(zip(("service", "enabled"), server, strict=True)),
        "k3s-agent": dict(zip(("service", "enabled"), agent, strict=True)),
    }
    assert node_info.installed_role(units) == role


@pytest.mark.parametrize(
    ("reason", "voter", "learner", "problem"),
    [
        ("MemberIsLearner", False, True, ""),
        ("Unhealthy", True, False, "failed to check etcd member status: context deadline exceeded"),
        ("NotAMember", False, False, "Node is not a member of the etcd cluster"),
        ("ClusterRestored", False, False, "the cluster was restored without this member"),
        ("SomethingNew", True, False, "SomethingNew"),
    ],
)
def test_members_that_are_no_healthy_voters(reason: str, voter: bool, learner: bool, problem: str) -> None:
    node = json.loads(json.dumps(NODE))
    condition = next(entry for entry in node["status"]["conditions"] if entry["type"] == "EtcdIsVoter")
    condition.update(status="False", reason=reason, message=problem if problem != reason else "")
    summary = node_info.node_summary(node)
    assert (summary["voter"], summary["learner"], summary["member_problem"]) == (voter, learner, problem)


def test_silent_nodes_are_told_apart() -> None:
    silent = node_info.node_summary({"metadata": {"name": "a1"}})
    assert (silent["voter"], silent["learner"], silent["ready"], silent["addresses"]) == (None, False, False, [])


@pytest.mark.parametrize(
    ("label", "expected"),
    [("node-role.kubernetes.io/etcd", True), ("node-role.kubernetes.io/control-plane", True), ("other", False)],
)
def test_server_is_told_by_its_labels(label: str, expected: bool) -> None:
    assert node_info.node_summary({"metadata": {"name": "s1", "labels": {label: "true"}}})["control_plane"] is expected


def test_whole_result_is_plain_data_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.process_time()
    result = node_info.read(
        ask=True, ports=[{"protocol": "tcp", "port": 1}], connections=[], disk_paths=["/var/lib/rancher"]
    )
    assert time.process_time() - started < 1.0
    assert json.loads(json.dumps(result)) == result
    assert abs(result["node"]["time"] - time.time()) < 5


INSTALL_SCRIPT_UNIT = """\
[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
KillMode=process
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStart=/usr/local/bin/k3s \\
    server \\
"""
"""As k3s's install.sh writes it (create_systemd_service_file)."""


def test_a_unit_of_another_make_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert node_info.foreign_unit("k3s", root=str(tmp_path)) == ""
    host.write("/etc/systemd/system/k3s.service", INSTALL_SCRIPT_UNIT)
    assert node_info.foreign_unit("k3s", root=str(tmp_path)) == "/etc/systemd/system/k3s.service"
    for unit in ("k3s", "k3s-agent"):
        template = Path(__file__).resolve().parents[6] / "roles/k3s/templates/k3s.service.j2"
        own = template.read_text(encoding="utf-8").replace("{{ unit }}", unit)
        host.write(f"/etc/systemd/system/{unit}.service", own)
        assert node_info.foreign_unit(unit, root=str(tmp_path)) == ""
