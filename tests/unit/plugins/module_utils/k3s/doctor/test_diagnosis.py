# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of doctor.yml, from what hosts say of themselves; and that a healthy cluster has none."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor.diagnosis import diagnose, summary
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor.model import CHECKS, Host, Limits
from ansible_collections.wasmfaas.platform.plugins.module_utils.problems import ERROR, INFO, WARNING

NOW = 1795312800.0
LIMITS = Limits(now=NOW)
DAY = 86400
NAMES = ("server-1", "server-2", "server-3", "worker-1")
SPIN = {"name": "wasmtime-spin-v2", "handler": "spin", "node_selector": {"wasmfaas.dev/spin": "true"}}


def node(name: str, *, server: bool) -> dict[str, t.Any]:
    return {
        "name": name,
        "ready": True,
        "control_plane": server,
        "voter": True if server else None,
        "learner": False,
        "version": "v1.36.4+k3s1",
        "unschedulable": False,
        "labels": {} if server else {"wasmfaas.dev/spin": "true"},
        "created": "2026-11-01T00:00:00Z",
    }


def host(name: str) -> Host:
    server = name.startswith("server")
    return Host(
        name=name,
        role="server" if server else "agent",
        node_name=name,
        node={
            "machine_id": f"id of {name}",
            "default_address": f"address of {name}",
            "cgroup": "v2",
            "time_synchronized": True,
            "k3s": {
                "role": "server" if server else "agent",
                "version": "v1.36.4+k3s1",
                "service": "active",
                "has_data": True,
                "ready": server,
                "ca_sha256": "aa",
                "stale_inputs": [],
            },
        },
        cluster={"nodes": [node(each, server=each.startswith("server")) for each in NAMES]} if server else None,
        diagnosis={
            "unit": {
                "name": "k3s" if server else "k3s-agent",
                "active": "active",
                "enabled": True,
                "restarts": 0,
                "exit_status": 0,
                "problem": None,
            },
            "certificates": [
                {"path": "/var/lib/rancher/k3s/agent/client-ca.crt", "authority": True, "ends": NOW + 3000 * DAY},
                {"path": "/var/lib/rancher/k3s/agent/client-kubelet.crt", "authority": False, "ends": NOW + 300 * DAY},
                {"path": "/var/lib/rancher/k3s/agent/serving-kubelet.crt", "authority": False, "ends": NOW + 300 * DAY},
            ],
            "exposed_files": [],
            "reboot_reason": "",
            "shims": {"binaries": ["containerd-shim-spin-v2"], "handlers": ["runc", "spin"], "changed": []},
            "cluster_init_in": [],
            "snapshots": {"directory": "/snapshots", "count": 5, "newest": NOW - 3600} if server else None,
            "file_systems": [
                {"path": "/", "bytes": 10**10, "bytes_free": 5 * 10**9, "inodes": 1000, "inodes_free": 900}
            ],
            "etcd_size": {"bytes": 10**8, "quota": 2 * 10**9} if server else None,
            "runtime_classes": [SPIN] if server else None,
            "charts": [] if server else None,
            "hosted_service": {} if server else None,
            "credential_provider": True,
            "registries": {"problems": [], "missing_files": [], "endpoints": []},
        },
        clock=0.1,
        ecr_registry="123456789012.dkr.ecr.us-east-1.amazonaws.com",
    )


def hosts() -> dict[str, Host]:
    return {name: host(name) for name in NAMES}


def found(changed: dict[str, Host], limits: Limits = LIMITS) -> list[tuple[str, str, str]]:
    """Severity, host and check of what is wrong."""
    return [
        (problem.severity, problem.where, problem.check)
        for problem in diagnose(list(changed.values()), limits)
        if problem.severity != INFO
    ]


def set_in(name: str, path: str, value: t.Any, *, into: dict[str, Host] | None = None) -> dict[str, Host]:
    """Healthy hosts but for one value: `path` such as node.k3s.service, of the host `name`."""
    changed = into or hosts()
    field, *keys = path.split(".")
    if not keys:
        changed[name] = dataclasses.replace(changed[name], **{field: value})
        return changed
    content = copy.deepcopy(getattr(changed[name], field))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    changed[name] = dataclasses.replace(changed[name], **{field: content})
    return changed


def set_node(name: str, key: str, value: t.Any, *, into: dict[str, Host] | None = None) -> dict[str, Host]:
    """One value of a node, as all servers see it."""
    changed = into or hosts()
    for server in [each for each in changed.values() if each.cluster]:
        cluster = copy.deepcopy(server.cluster)
        assert cluster is not None
        for entry in cluster["nodes"]:
            if entry["name"] == name:
                entry[key] = value
        changed[server.name] = dataclasses.replace(server, cluster=cluster)
    return changed


def test_tokens_that_etcd_does_not_have() -> None:
    assert found(set_in("server-1", "diagnosis.tokens_unsaved", True)) == [("error", "server-1", "tokens-not-stored")]
    for unknown in (False, None):
        assert found(set_in("server-1", "diagnosis.tokens_unsaved", unknown)) == []


def test_a_healthy_cluster() -> None:
    problems = diagnose(list(hosts().values()), LIMITS)
    assert [problem.with_severity() for problem in problems] == [
        "INFO    cluster: 3 servers, 3 voters (3 up), 0 learners; 1 more may fail [quorum]."
    ]
    assert summary(problems) == "Nothing is wrong."


OF_ONE_HOST: list[tuple[str, t.Any, tuple[str, str]]] = [
    ("node.k3s.role", None, (ERROR, "k3s-missing")),
    ("node.k3s.role", "agent", (ERROR, "role-differs")),
    ("diagnosis.unit.restarts", 3, (WARNING, "k3s-restarts")),
    ("diagnosis.unit.enabled", False, (WARNING, "k3s-not-enabled")),
    ("node.k3s.ready", False, (ERROR, "api-not-ready")),
    ("node.k3s.stale_inputs", ["/etc/rancher/k3s/config.yaml"], (WARNING, "restart-pending")),
    ("diagnosis.shims.changed", ["containerd-shim-spin-v2"], (WARNING, "shim-not-loaded")),
    ("diagnosis.cluster_init_in", ["/etc/rancher/k3s/config.yaml"], (WARNING, "cluster-init-left")),
    (
        "diagnosis.file_systems",
        [{"path": "/", "bytes": 100, "bytes_free": 4, "inodes": 0, "inodes_free": 0}],
        (ERROR, "disk-space"),
    ),
    (
        "diagnosis.file_systems",
        [{"path": "/", "bytes": 100, "bytes_free": 14, "inodes": 0, "inodes_free": 0}],
        (WARNING, "disk-space"),
    ),
    (
        "diagnosis.file_systems",
        [{"path": "/", "bytes": 10**10, "bytes_free": 5 * 10**9, "inodes": 100, "inodes_free": 1}],
        (ERROR, "disk-inodes"),
    ),
    ("node.cgroup", "v1", (WARNING, "cgroup-v1")),
    ("node.time_synchronized", False, (WARNING, "clock-not-synchronized")),
    ("diagnosis.reboot_reason", "packages ask for it", (WARNING, "reboot-needed")),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a.crt", "authority": False, "ends": NOW + 89 * DAY}],
        (WARNING, "certificate-ends"),
    ),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a.crt", "authority": False, "ends": NOW + 29 * DAY}],
        (ERROR, "certificate-ends"),
    ),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a.crt", "authority": False, "ends": NOW - DAY}],
        (ERROR, "certificate-ends"),
    ),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a-ca.crt", "authority": True, "ends": NOW + 364 * DAY}],
        (WARNING, "authority-ends"),
    ),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a-ca.crt", "authority": True, "ends": NOW + 89 * DAY}],
        (ERROR, "authority-ends"),
    ),
    (
        "diagnosis.certificates",
        [{"path": "/tls/a.crt", "authority": False, "problem": "cut off"}],
        (WARNING, "certificate-unreadable"),
    ),
    ("diagnosis.exposed_files", [{"path": "/etc/rancher/k3s/token", "mode": "0644"}], (ERROR, "file-mode")),
    ("diagnosis.registries.problems", ["it is no YAML"], (ERROR, "registries-file")),
    ("diagnosis.registries.missing_files", ["/etc/ssl/ca.pem"], (ERROR, "registries-file-missing")),
    (
        "diagnosis.registries.endpoints",
        [{"url": "https://x", "state": "distrusted", "detail": "self-signed"}],
        (ERROR, "registry-distrusted"),
    ),
    (
        "diagnosis.registries.endpoints",
        [{"url": "https://x", "state": "unreachable", "detail": "refused"}],
        (WARNING, "registry-unreachable"),
    ),
    (
        "diagnosis.registries.endpoints",
        [{"url": "https://x", "state": "failing", "detail": "HTTP 503"}],
        (WARNING, "registry-unreachable"),
    ),
    ("diagnosis.credential_provider", False, (ERROR, "registry-login-missing")),
    ("diagnosis.snapshots", {"directory": "/s", "count": 0, "newest": None}, (WARNING, "snapshots-none")),
    ("diagnosis.snapshots", {"directory": "/s", "count": 1, "newest": NOW - 25 * 3600}, (WARNING, "snapshots-old")),
    ("diagnosis.etcd_size", {"bytes": 76, "quota": 100}, (WARNING, "etcd-size")),
    ("diagnosis.etcd_size", {"bytes": 6 * 10**9, "quota": 10**11}, (WARNING, "disk-space")),
    ("diagnosis.etcd_size", {"bytes": 91, "quota": 100}, (ERROR, "etcd-size")),
    ("clock", 10.0, (WARNING, "clock-differs")),
    ("clock", -40.0, (ERROR, "clock-differs")),
    ("node.k3s.ca_sha256", "bb", (ERROR, "other-cluster")),
    ("node.machine_id", "id of server-1", (ERROR, "host-twice")),
    ("node.default_address", "address of server-1", (ERROR, "host-twice")),
]


@pytest.mark.parametrize(("path", "value", "expected"), OF_ONE_HOST)
def test_one_host(path: str, value: t.Any, expected: tuple[str, str]) -> None:
    severity, check = expected
    assert found(set_in("server-2", path, value)) == [(severity, "server-2", check)]


def test_nodes_need_no_login_for_another_registry() -> None:
    assert (
        found(set_in("server-2", "ecr_registry", "", into=set_in("server-2", "diagnosis.credential_provider", False)))
        == []
    )


OF_ONE_NODE: list[tuple[str, str, t.Any, tuple[str, str]]] = [
    ("worker-1", "ready", False, (ERROR, "node-not-ready")),
    ("worker-1", "unschedulable", True, (WARNING, "node-cordoned")),
    ("worker-1", "version", "v1.37.0+k3s1", (ERROR, "version-skew")),
    ("worker-1", "version", "v1.32.9+k3s1", (ERROR, "version-skew")),
    ("worker-1", "version", "v1.33.1+k3s1", (WARNING, "version-behind")),
    ("worker-1", "control_plane", True, (ERROR, "node-role-differs")),
]


@pytest.mark.parametrize(("name", "key", "value", "expected"), OF_ONE_NODE)
def test_one_node(name: str, key: str, value: t.Any, expected: tuple[str, str]) -> None:
    severity, check = expected
    assert (severity, name, check) in found(set_node(name, key, value))


def test_a_host_that_is_not_reached() -> None:
    changed = set_in("worker-1", "unreachable", True, into=set_in("worker-1", "problem", "Connection timed out"))
    assert found(changed) == [(ERROR, "worker-1", "host-unreachable")]


def test_a_host_that_could_not_be_examined() -> None:
    assert found(set_in("worker-1", "problem", "no Python")) == [(ERROR, "worker-1", "host-not-examined")]


def test_a_host_that_was_left_out_is_no_fault() -> None:
    changed = set_in(
        "worker-1", "left_out", True, into=set_in("worker-1", "node", {}, into=set_in("worker-1", "diagnosis", {}))
    )
    assert found(changed) == []
    assert ("host-left-out", "worker-1") in [
        (problem.check, problem.where) for problem in diagnose(list(changed.values()), LIMITS)
    ]


def test_a_dead_server_leaves_no_spare() -> None:
    changed = set_node("server-3", "ready", False)
    assert found(changed) == [(ERROR, "cluster", "quorum"), (ERROR, "server-3", "node-not-ready")]
    assert "0 more may fail" in diagnose(list(changed.values()), LIMITS)[0].what


def test_a_stopped_server_does_not_count_though_its_node_is_still_ready() -> None:
    changed = set_in("server-3", "diagnosis.unit.active", "inactive")
    assert found(changed) == [(ERROR, "cluster", "quorum"), (ERROR, "server-3", "k3s-not-running")]
    assert found(set_node("server-3", "ready", False, into=changed)) == found(changed), "one cause, one line"


def test_restarts_of_long_ago_are_forgotten() -> None:
    changed = set_in("server-2", "diagnosis.unit.restarts", 15)
    assert found(set_in("server-2", "diagnosis.unit.started", 60.0, into=changed)) == [
        (WARNING, "server-2", "k3s-restarts")
    ]
    assert found(set_in("server-2", "diagnosis.unit.started", 4000.0, into=changed)) == []


def test_a_learner() -> None:
    changed = set_node("server-3", "learner", True, into=set_node("server-3", "voter", False))
    assert found(changed) == [(WARNING, "cluster", "even-servers"), (WARNING, "server-3", "learner")]


def test_a_member_that_does_not_answer_counts_for_the_majority() -> None:
    """The condition is False as that of a learner is."""
    changed = set_node("server-3", "member_problem", "failed to check etcd member status: context deadline exceeded")
    assert found(changed) == [(ERROR, "cluster", "quorum"), (ERROR, "server-3", "etcd-member")]
    first = diagnose(list(changed.values()), LIMITS)[0].what
    assert "3 voters (2 up), 0 learners; 0 more may fail" in first


def test_a_server_without_a_member() -> None:
    changed = set_node(
        "server-3",
        "member_problem",
        "Node is not a member of the etcd cluster",
        into=set_node("server-3", "voter", False),
    )
    assert (ERROR, "server-3", "etcd-member") in found(changed)
    assert "2 voters (2 up)" in diagnose(list(changed.values()), LIMITS)[-1].what


def test_a_removed_server_that_was_not_cleaned() -> None:
    """It is there and runs, or does not start on purpose; one line says it, with what to do."""
    changed = set_in("server-3", "node.k3s.tombstone", True)
    for name in NAMES[:3]:
        nodes = changed[name].cluster["nodes"] if changed[name].cluster else []
        nodes[:] = [each for each in nodes if each["name"] != "server-3"]
    problems = [problem for problem in diagnose(list(changed.values()), LIMITS) if problem.where == "server-3"]
    assert [problem.check for problem in problems] == ["server-removed"]
    assert "remove_node -e node=server-3" in problems[0].next_step


def test_a_removed_host_that_is_not_reached() -> None:
    """Its k3s is still there: the line says what to do before it boots, and after."""
    changed = set_in("worker-1", "unreachable", True, into=set_in("worker-1", "problem", "no route to host"))
    for each in changed.values():
        if each.cluster:
            each.cluster["nodes"][:] = [node for node in each.cluster["nodes"] if node["name"] != "worker-1"]
    problem = next(
        problem for problem in diagnose(list(changed.values()), LIMITS) if problem.check == "host-not-in-cluster"
    )
    assert (
        "systemctl disable k3s k3s-agent" in problem.next_step and "remove_node -e node=worker-1" in problem.next_step
    )


def test_one_server_is_no_fault() -> None:
    alone = host("server-1")
    alone = dataclasses.replace(alone, cluster={"nodes": [node("server-1", server=True)]})
    assert found({"server-1": alone}) == []


def test_a_node_without_a_host_and_a_host_without_a_node() -> None:
    without = {name: each for name, each in hosts().items() if name != "worker-1"}
    assert found(without) == [(WARNING, "worker-1", "node-not-in-inventory")]
    renamed = set_in("worker-1", "node_name", "worker-9")
    assert found(renamed) == [
        (ERROR, "worker-1", "host-not-in-cluster"),
        (WARNING, "worker-1", "node-not-in-inventory"),
    ]


def test_a_node_that_joined_by_itself_needs_no_host() -> None:
    joined = set_node("worker-1", "labels", {"wasmfaas.dev/join": "self"})
    assert found({name: each for name, each in joined.items() if name != "worker-1"}) == []


def test_versions_of_servers() -> None:
    assert found(set_node("server-1", "version", "v1.35.8+k3s1")) == [
        (ERROR, "worker-1", "version-skew"),
        (WARNING, "cluster", "versions-mixed"),
    ]
    assert found(hosts(), Limits(now=NOW, version="v1.37.1+k3s1")) == [(WARNING, "cluster", "version-differs")]


def test_shims_follow_the_runtime_class() -> None:
    assert found(set_in("worker-1", "diagnosis.shims.binaries", [])) == [(ERROR, "worker-1", "shim-missing")]
    assert found(set_in("worker-1", "diagnosis.shims.handlers", ["runc"])) == [(ERROR, "worker-1", "shim-unknown")]
    assert found(set_in("worker-1", "diagnosis.shims.handlers", None)) == []
    assert found(set_in("server-1", "diagnosis.shims.binaries", [])) == []
    everywhere = {**SPIN, "node_selector": {}}
    assert (
        found(
            set_in(
                "worker-1",
                "diagnosis.shims.binaries",
                [],
                into=set_in("server-1", "diagnosis.runtime_classes", [everywhere]),
            )
        )
        == []
    )


@pytest.mark.parametrize("pod", ["tempo-0", ""])
@pytest.mark.parametrize("severity", [ERROR, WARNING])
def test_a_chart_that_does_not_run(pod: str, severity: str) -> None:
    chart = {
        "name": "tempo",
        "namespace": "observability",
        "where": "pod tempo-0",
        "what": "its container ended 7 times",
        "next_step": "",
        "severity": severity,
        "pod": pod,
    }
    changed = hosts()
    for name in NAMES[:3]:
        changed = set_in(
            name, "diagnosis.charts", [{**chart, "last_line": "no space\nleft" if pod else ""}], into=changed
        )
    assert found(changed) == [(severity, "cluster", "platform-not-running")], "one line, though each server tells it"
    line = next(str(problem) for problem in diagnose(list(changed.values()), LIMITS) if problem.severity == severity)
    assert "the chart tempo does not run: pod tempo-0: its container ended 7 times" in line
    assert ("its last line: no space left" in line) is bool(pod)
    assert (
        "k3s kubectl -n observability logs tempo-0" if pod else "k3s kubectl -n observability get pods,events"
    ) in line
    assert "\n" not in line
    assert found(set_in("server-1", "diagnosis.charts", None)) == []


SERVICE = {
    "replicas": 2, "ready": 2, "what": "", "pod": "", "last_line": "", "definition": True, "oldest_wait": 60.0,
    "failures": {"build": 4},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "severity", "check", "said"),
    [
        ({"ready": 0, "what": "pod f-1: cannot pull the image x"}, ERROR, "not-ready", "publish_images"),
        ({"ready": 1, "what": "pod f-1: it ended", "pod": "f-1", "last_line": "oh"}, WARNING, "not-ready", "logs f-1"),
        ({"definition": False}, ERROR, "definition", "wasmfaas.platform.site"),
        ({"oldest_wait": 2400.0}, WARNING, "queue-stuck", "40 minutes"),
        ({"failures": {"build": 5}}, WARNING, "deployments-fail", "5 deployments"),
    ],
)
def test_a_hosted_service_that_does_not_serve_or_deploy(
    changes: dict[str, t.Any], severity: str, check: str, said: str
) -> None:
    changed = hosts()
    for name in NAMES[:3]:
        changed = set_in(name, "diagnosis.hosted_service", {**SERVICE, **changes}, into=changed)
    ((told, where, name),) = found(changed)
    assert (told, where) == (severity, "cluster") and name.endswith(check)
    assert said in next(str(problem) for problem in diagnose(list(changed.values()), LIMITS) if problem.check == name)
    assert found(set_in("server-1", "diagnosis.hosted_service", SERVICE)) == []


def without_api(service: str, *, names: tuple[str, ...]) -> dict[str, Host]:
    changed = hosts()
    for name in ("server-1", "server-2", "server-3"):
        changed = set_in(name, "cluster", None, into=changed)
    for name in names:
        for path, value in (
            ("node.k3s.service", service),
            ("diagnosis.unit.active", service),
            ("node.k3s.ready", False),
        ):
            changed = set_in(name, path, value, into=changed)
    return changed


def test_all_servers_stopped() -> None:
    problems = diagnose(list(without_api("inactive", names=NAMES[:3]).values()), LIMITS)
    assert [problem.check for problem in problems] == ["api-down", *["k3s-not-running"] * 3]
    assert problems[0].what == "no server's API answers; k3s runs on 0 of 3 servers, 2 are needed for a majority"
    assert problems[0].next_step == "Run ansible-playbook wasmfaas.platform.site, which starts them"


def test_quorum_lost_for_good() -> None:
    changed = without_api("active", names=("server-1",))
    for name in ("server-2", "server-3"):
        changed = set_in(
            name, "unreachable", True, into=set_in(name, "problem", "gone", into=set_in(name, "node", {}, into=changed))
        )
    problems = [problem for problem in diagnose(list(changed.values()), LIMITS) if problem.check == "api-down"]
    assert "platform.restore" in problems[0].next_step


def test_certificates_that_have_ended_have_one_way_out() -> None:
    """The cluster, its servers and a node that is not Ready name the command that mends it, not one another."""
    command = "Run ansible-playbook wasmfaas.platform.rotate -e what=certificates"
    changed = without_api("active", names=NAMES[:3])
    for name in NAMES[:3]:
        changed = set_in(name, "node.k3s.certificates_ended", NOW - DAY, into=changed)
    problems = diagnose(list(changed.values()), LIMITS)
    assert [problem.check for problem in problems] == ["api-down", *["api-not-ready"] * 3]
    assert {problem.next_step for problem in problems} == {command}
    changed = set_in("worker-1", "node.k3s.certificates_ended", NOW - DAY)
    for name in NAMES[:3]:
        nodes = {"nodes": [{**each, "ready": each["name"] != "worker-1"} for each in hosts()[name].cluster["nodes"]]}
        changed = set_in(name, "cluster", nodes, into=changed)
    [problem] = [each for each in diagnose(list(changed.values()), LIMITS) if each.check == "node-not-ready"]
    assert (problem.where, problem.next_step) == ("worker-1", command) and "certificates have ended" in problem.what


@pytest.mark.parametrize(
    ("bucket", "said"),
    [
        (None, ""),
        ({"newest": NOW - 3600, "error": "an older one"}, ""),
        ({"newest": NOW - 30 * 3600, "error": ""}, "the newest one is 30 h old."),
        ({"newest": None, "error": "Access\nDenied."}, "there is none (Access Denied)."),
    ],
)
def test_a_bucket_without_a_recent_snapshot_is_reported_once(bucket: dict[str, t.Any] | None, said: str) -> None:
    changed = hosts()
    for name in NAMES[:3]:
        changed = set_in(name, "diagnosis.snapshots.bucket", bucket, into=changed)
    problems = [each for each in diagnose(list(changed.values()), LIMITS) if each.check == "snapshots-not-in-bucket"]
    assert len(problems) == bool(said)
    assert not said or f"{problems[0].what}.".endswith(said)


def test_nothing_installed() -> None:
    changed = {
        name: dataclasses.replace(each, node={"k3s": {}}, cluster=None, diagnosis={}) for name, each in hosts().items()
    }
    checks = [check for _severity, _host, check in found(changed)]
    assert checks == ["api-down", *["k3s-missing"] * 4]


def test_no_servers() -> None:
    assert found({"worker-1": host("worker-1")})[0] == (ERROR, "cluster", "api-down")


def test_a_known_cause_comes_with_its_step() -> None:
    changed = set_in("worker-1", "diagnosis.unit.active", "activating")
    changed = set_in(
        "worker-1",
        "diagnosis.unit.problem",
        {"what": "the cluster refused its token", "next_step": "Use the right one."},
        into=changed,
    )
    [problem] = [each for each in diagnose(list(changed.values()), LIMITS) if each.check == "k3s-not-running"]
    assert (problem.what, problem.next_step) == (
        "k3s-agent is activating: the cluster refused its token",
        "Use the right one.",
    )


def test_an_agent_that_is_refused_runs_and_complains() -> None:
    changed = set_in(
        "worker-1",
        "diagnosis.unit.problem",
        {"what": "the cluster refused its token", "next_step": "Use the right one."},
    )
    assert found(changed) == [], "what a healthy node complained of has passed"
    [problem] = [
        each
        for each in diagnose(list(set_node("worker-1", "ready", False, into=changed).values()), LIMITS)
        if each.severity == ERROR
    ]
    assert (
        problem.with_severity()
        == "ERROR   worker-1: its node is not Ready: the cluster refused its token [node-not-ready]. Next: Use the "
        "right one."
    )


def test_a_new_cluster_needs_no_snapshot_yet() -> None:
    changed = set_in("server-1", "diagnosis.snapshots", {"directory": "/s", "count": 0, "newest": None})
    for name in NAMES:
        changed = set_node(name, "created", "2026-11-22T00:00:00Z", into=changed)
    young = Limits(now=datetime.datetime(2026, 11, 22, 7, tzinfo=datetime.UTC).timestamp())
    assert "snapshots-none" not in [check for _severity, _host, check in found(changed, young)]
    old = dataclasses.replace(young, now=young.now + 2 * DAY)
    assert "snapshots-none" in [check for _severity, _host, check in found(changed, old)]


def test_many_certificates_are_one_line() -> None:
    certificates = [
        {"path": f"/tls/{name}.crt", "authority": False, "ends": NOW + (10 + place) * DAY}
        for place, name in enumerate("abc")
    ]
    problems = diagnose(list(set_in("server-1", "diagnosis.certificates", certificates).values()), LIMITS)
    assert [problem.what for problem in problems if problem.check == "certificate-ends"] == [
        "/tls/a.crt and 2 others beside it ends in 10 days (2026-12-02)"
    ]


def test_each_problem_has_a_next_step_and_is_one_line() -> None:
    changes = [set_in("server-2", path, value) for path, value, _check in OF_ONE_HOST]
    changes += [set_node(name, key, value) for name, key, value, _check in OF_ONE_NODE]
    problems = [
        problem
        for changed in changes
        for problem in diagnose(list(changed.values()), LIMITS)
        if problem.severity != INFO
    ]
    assert problems
    assert all(problem.next_step and "\n" not in str(problem) for problem in problems)


def test_order_and_summary() -> None:
    changed = set_in(
        "server-1",
        "node.time_synchronized",
        False,
        into=set_in("worker-1", "diagnosis.exposed_files", [{"path": "/x", "mode": "0644"}]),
    )
    problems = diagnose(list(changed.values()), LIMITS)
    assert [problem.severity for problem in problems] == [ERROR, WARNING, INFO]
    assert summary(problems) == "1 error, 1 warning."


def test_the_documentation_lists_every_check() -> None:
    project = Path(__file__).resolve().parents[6]
    page = (project / "docs/doctor.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE)) == CHECKS
