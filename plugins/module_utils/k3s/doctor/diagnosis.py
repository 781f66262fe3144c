# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges what hosts and cluster say about themselves: one finding for each thing that is wrong, with the fix. Pure
functions, on the controller.

docs/doctor.md lists all findings by their `check`; a test compares the two.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import re
import statistics
import typing as t

from ..plan.cluster_plan import KEEP_OUT
from ..plan.hosts import is_autoscaled

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)

DAY = 86400.0
LEAF_ERROR_DAYS, LEAF_WARNING_DAYS = 30, 90
"""k3s renews leaf certificates at a start within 90 days of their end (k3s, pkg/daemons/config/types.go,
CertificateRenewDays)."""
AUTHORITY_ERROR_DAYS, AUTHORITY_WARNING_DAYS = 90, 365
DISK_ERROR, DISK_WARNING = 0.05, 0.15
"""Share of free space. k3s tells the kubelet to evict pods below 5 % (k3s, pkg/daemons/agent/agent_linux.go,
eviction-hard)."""
ETCD_ERROR, ETCD_WARNING = 0.9, 0.75
"""Share of etcd's quota; at the quota it refuses all writes (etcd, op-guide/maintenance, space quota)."""
CLOCK_WARNING = 2.0
RESTARTS, RESTART_SECONDS = 3, 3600.0
"""So many ends by itself are told, until it has been up for so long."""
KUBELET_SKEW = 3
"""Minor versions by which a kubelet may be older than the API server (kubernetes.io, version skew policy)."""

SITE = "ansible-playbook site.yml"
REPAIR = "ansible-playbook rotate.yml -e what=repair"

CHECKS = frozenset(
    {
        "api-down",
        "api-not-ready",
        "authority-ends",
        "certificate-ends",
        "certificate-unreadable",
        "cgroup-v1",
        "clock-differs",
        "clock-not-synchronized",
        "cluster-init-left",
        "disk-inodes",
        "disk-space",
        "etcd-member",
        "etcd-size",
        "even-servers",
        "file-mode",
        "host-left-out",
        "host-not-examined",
        "host-not-in-cluster",
        "host-twice",
        "host-unreachable",
        "k3s-missing",
        "k3s-not-enabled",
        "k3s-not-running",
        "k3s-restarts",
        "learner",
        "node-cordoned",
        "node-not-in-inventory",
        "node-not-ready",
        "node-role-differs",
        "other-cluster",
        "platform-not-running",
        "quorum",
        "registries-file",
        "registries-file-missing",
        "registry-distrusted",
        "registry-login-missing",
        "registry-unreachable",
        "restart-pending",
        "role-differs",
        "server-removed",
        "shim-missing",
        "shim-not-loaded",
        "shim-unknown",
        "snapshots-none",
        "snapshots-old",
        "tokens-not-stored",
        "version-behind",
        "version-differs",
        "version-skew",
        "versions-mixed",
    }
)
"""Kinds of findings. docs/doctor.md lists them."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """`now`, `created` (of the cluster): seconds since 1970; `clock`: seconds between hosts; `snapshot_age`: seconds;
    `version`: the inventory's, or ""."""

    now: float
    clock: float = 30.0
    snapshot_age: float = DAY
    version: str = ""
    created: float = 0.0


@dataclasses.dataclass(frozen=True)
class Host:
    """What is known of one host of the inventory.

    Args:
        name: in the inventory.
        role: `server` or `agent`, by its group.
        node_name: the name that its node has or shall have.
        problem: why it could not be examined; "" where it could.
        left_out: whether it was not meant to be examined (--limit).
        unreachable: whether the problem is that Ansible does not reach it.
        node: `node` of k3s_node_info.
        cluster: `cluster` of k3s_node_info, None but for a server whose API answers.
        diagnosis: result of k3s_node_diagnosis.
        clock: seconds by which its clock is ahead of the controller's, None where it was not measured.
        ecr_registry: registry of Amazon ECR that functions come from and that nodes are to log in to; "" for another
            one.
    """

    name: str
    role: str
    node_name: str
    problem: str = ""
    left_out: bool = False
    unreachable: bool = False
    node: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    cluster: dict[str, t.Any] | None = None
    diagnosis: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    clock: float | None = None
    ecr_registry: str = ""

    @property
    def k3s(self) -> dict[str, t.Any]:
        return self.node.get("k3s") or {}


@dataclasses.dataclass(frozen=True)
class Finding:
    """`host` is an inventory name, a node name where no host of the inventory has it, or "cluster"; `check` names the
    kind, as in docs/doctor.md."""

    severity: str
    host: str
    check: str
    text: str
    fix: str

    def __post_init__(self) -> None:
        if self.check not in CHECKS:
            raise ValueError(f"{self.check} is no kind of finding")

    def line(self) -> str:
        """The finding as one line."""
        fix = f" Fix: {self.fix}" if self.fix else ""
        return f"{self.severity.upper():7} {self.host}: {self.text} [{self.check}]{fix}"


def diagnose(hosts: t.Sequence[Host], limits: Limits) -> list[Finding]:
    """All findings, errors first, then by host in the inventory's order."""
    cluster = next((host.cluster for host in hosts if host.cluster), None)
    limits = dataclasses.replace(limits, created=_created(cluster))
    examined = [host for host in hosts if not host.problem and not host.left_out]
    findings = [finding for host in hosts for finding in _access(host)]
    for host in examined:
        for check in HOST_CHECKS:
            findings += check(host, limits)
    findings += _clocks(examined, limits)
    findings += _identities(examined)
    findings += _authorities(examined)
    if cluster is None:
        findings += _no_api(hosts)
    else:
        nodes = {node["name"]: node for node in cluster["nodes"]}
        for cluster_check in CLUSTER_CHECKS:
            findings += cluster_check(hosts, nodes, limits)
    place = {host.name: number for number, host in enumerate(hosts)}
    return sorted(
        findings,
        key=lambda finding: (
            SEVERITIES.index(finding.severity),
            place.get(finding.host, -1),
            finding.check,
            finding.text,
        ),
    )


def summary(findings: t.Sequence[Finding]) -> str:
    """One line that counts them."""
    counts = collections.Counter(finding.severity for finding in findings)
    if not counts[ERROR] and not counts[WARNING]:
        return "Nothing is wrong."
    return f"{_count(counts[ERROR], 'error')}, {_count(counts[WARNING], 'warning')}."


# --- one host ------------------------------------------------------------------------------------------------------


def _access(host: Host) -> t.Iterator[Finding]:
    if host.left_out:
        yield Finding(INFO, host.name, "host-left-out", "it was left out of this run (--limit)", "")
    elif host.unreachable:
        yield Finding(
            ERROR,
            host.name,
            "host-unreachable",
            f"Ansible does not reach it: {_one_line(host.problem)}",
            "Start the host, or mend its network, SSH and address; if it is lost: site.yml replaces it (same name), "
            "remove-node.yml removes it",
        )
    elif host.problem:
        yield Finding(
            ERROR,
            host.name,
            "host-not-examined",
            f"it could not be examined: {_one_line(host.problem)}",
            "Mend what the message says and run doctor.yml again.",
        )


def _service(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    k3s, unit = host.k3s, host.diagnosis.get("unit") or {}
    state = unit.get("active") or k3s.get("service", "")
    name = unit.get("name") or ("k3s" if host.role == "server" else "k3s-agent")
    if not k3s.get("role"):
        yield Finding(ERROR, host.name, "k3s-missing", "k3s is not installed", SITE)
        return
    if k3s["role"] != host.role:
        yield Finding(
            ERROR,
            host.name,
            "role-differs",
            f"it runs as {k3s['role']}, the inventory says {host.role}",
            f"Put it back in its group, or remove it with remove-node.yml first and then run {SITE}",
        )
    if host.role == "server" and k3s.get("tombstone"):
        text = (
            f"the cluster removed this server, but its data is still here; {name} is {state or 'missing'}, and "
            "does not start on this data"
        )
        fix = (
            f"ansible-playbook remove-node.yml -e node={host.name} cleans it; then take it out of the inventory, "
            f"or {SITE} lets it join anew"
        )
        yield Finding(ERROR, host.name, "server-removed", text, fix)
        return
    if state != "active":
        exit_status = f" (last exit status {unit['exit_status']})" if unit.get("exit_status") else ""
        text = f"{name} is {state or 'missing'}{_why(host) or exit_status}"
        yield Finding(
            ERROR,
            host.name,
            "k3s-not-running",
            text,
            _step(host) or f"systemctl start {name}, then journalctl -u {name} where it fails",
        )
    elif unit.get("restarts", 0) >= RESTARTS and unit.get("started", 0) < RESTART_SECONDS:
        text = (
            f"{name} has ended by itself {unit['restarts']} times, and is up for "
            f"{unit.get('started', 0) / 60:.0f} min since{_why(host)}"
        )
        yield Finding(WARNING, host.name, "k3s-restarts", text, _step(host) or f"journalctl -u {name} says why")
    if unit.get("enabled") is False:
        yield Finding(WARNING, host.name, "k3s-not-enabled", f"{name} does not start at boot", SITE)
    if state == "active" and host.role == "server" and not k3s.get("ready"):
        usual = (
            "k3s kubectl get --raw '/readyz?verbose' on it names the part; without quorum: start the other "
            "servers first"
        )
        yield Finding(
            ERROR,
            host.name,
            "api-not-ready",
            f"its API does not say that it is ready{_why(host)}",
            _step(host) or usual,
        )


def _inputs(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    changed = set((host.diagnosis.get("shims") or {}).get("changed") or [])
    stale = [path for path in host.k3s.get("stale_inputs") or [] if path.rsplit("/", 1)[-1] not in changed]
    if host.k3s.get("service") != "active":
        return
    if changed:
        yield Finding(
            WARNING,
            host.name,
            "shim-not-loaded",
            f"changed since k3s started, which reads shims at start only: {', '.join(sorted(changed))}",
            SITE,
        )
    if stale:
        yield Finding(WARNING, host.name, "restart-pending", f"k3s still runs with an older {', '.join(stale)}", SITE)


def _tokens(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    if host.diagnosis.get("tokens_unsaved") and _active(host):
        yield Finding(
            ERROR,
            host.name,
            "tokens-not-stored",
            "it runs with tokens that etcd does not have: k3s would refuse its next start (server/cred/passwd newer "
            "than datastore)",
            REPAIR,
        )


def _configuration(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    for path in host.diagnosis.get("cluster_init_in") or []:
        yield Finding(
            WARNING,
            host.name,
            "cluster-init-left",
            f"cluster-init is still in {path}: should its disk be lost, it would begin a cluster of its own",
            f"{SITE} takes it away once a second server has joined",
        )


def _machine(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    for system in host.diagnosis.get("file_systems") or []:
        for what, total, free in (
            ("space", system["bytes"], system["bytes_free"]),
            ("inodes", system["inodes"], system["inodes_free"]),
        ):
            share = free / total if total else 1.0
            if share < DISK_WARNING:
                left = f"{free / 2**30:.1f} GiB" if what == "space" else f"{free} inodes"
                yield Finding(
                    ERROR if share < DISK_ERROR else WARNING,
                    host.name,
                    f"disk-{what}",
                    f"{left} left below {system['path']} ({share:.0%})",
                    "Free or add disk (k3s crictl rmi --prune; journalctl --vacuum-size=500M): below 5 % pods are "
                    "evicted, without space etcd ends",
                )
    if host.node.get("cgroup") == "v1" and _minor(host.k3s.get("version", "")) >= (1, 35):
        yield Finding(
            WARNING,
            host.name,
            "cgroup-v1",
            "the host has cgroup v1, which kubelet 1.35 and newer refuse",
            "Boot with systemd.unified_cgroup_hierarchy=1, or take an operating system of 2022 or newer",
        )
    if host.node.get("time_synchronized") is False:
        yield Finding(
            WARNING,
            host.name,
            "clock-not-synchronized",
            "its clock is not synchronised",
            "Install and start chrony (or systemd-timesyncd); on EC2 its server is 169.254.169.123",
        )


def _certificates(host: Host, limits: Limits) -> t.Iterator[Finding]:
    unit = "k3s" if host.role == "server" else "k3s-agent"
    leaves: dict[tuple[str, str], list[tuple[float, str]]] = collections.defaultdict(list)
    for certificate in host.diagnosis.get("certificates") or []:
        path = certificate["path"]
        if "problem" in certificate:
            yield Finding(
                WARNING,
                host.name,
                "certificate-unreadable",
                f"{path}: {certificate['problem']}",
                f"Restart {unit}, which makes a missing leaf certificate again; an authority comes back with "
                "restore.yml only",
            )
            continue
        days = (certificate["ends"] - limits.now) / DAY
        if certificate["authority"]:
            if days < AUTHORITY_WARNING_DAYS:
                yield Finding(
                    ERROR if days < AUTHORITY_ERROR_DAYS else WARNING,
                    host.name,
                    "authority-ends",
                    f"{path} {_ends(certificate['ends'], limits.now)}",
                    "rotate.yml does leaf certificates only; a new authority: k3s certificate rotate-ca "
                    "(docs.k3s.io/cli/certificate)",
                )
        elif days < LEAF_WARNING_DAYS:
            leaves[ERROR if days < LEAF_ERROR_DAYS else WARNING, _directory(path)].append((certificate["ends"], path))
    for (severity, _summary), found in sorted(leaves.items()):
        ends, first = min(found)
        more = f" and {_count(len(found) - 1, 'other')} beside it" if len(found) > 1 else ""
        yield Finding(
            severity,
            host.name,
            "certificate-ends",
            f"{first}{more} {_ends(ends, limits.now)}",
            "ansible-playbook rotate.yml -e what=certificates (any restart renews what ends within 90 days)",
        )


def _secrets(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    for file in host.diagnosis.get("exposed_files") or []:
        yield Finding(
            ERROR,
            host.name,
            "file-mode",
            f"{file['path']} holds secrets and can be read by others (mode {file['mode']})",
            f"chmod 600 {file['path']}; chown root:root {file['path']}",
        )


def _registries(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    registries = host.diagnosis.get("registries") or {}
    for problem in registries.get("problems") or []:
        yield Finding(
            ERROR,
            host.name,
            "registries-file",
            f"/etc/rancher/k3s/registries.yaml: {problem}",
            f"Correct registries_mirrors and registries_configs in the inventory, then {SITE}",
        )
    for path in registries.get("missing_files") or []:
        yield Finding(
            ERROR,
            host.name,
            "registries-file-missing",
            f"registries.yaml names {path}, which is not there",
            f"Name the file in registries_certificate_authorities, then {SITE}",
        )
    for endpoint in registries.get("endpoints") or []:
        if endpoint.get("ca_file") in (registries.get("missing_files") or []):
            continue  # said already
        url, detail = endpoint["url"], endpoint["detail"]
        if endpoint["state"] == "distrusted":
            yield Finding(
                ERROR,
                host.name,
                "registry-distrusted",
                f"{url} is not trusted: {detail}",
                f"Give its authority's certificate in registries_certificate_authorities, then {SITE}",
            )
        elif endpoint["state"] != "answers":
            yield Finding(
                WARNING,
                host.name,
                "registry-unreachable",
                f"{url} does not answer as a registry does: {detail}",
                "Start the registry, or open the way from this host to it; until then images come from the next "
                "endpoint",
            )


def _login(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    if host.ecr_registry and host.diagnosis.get("credential_provider") is False and _active(host):
        yield Finding(
            ERROR,
            host.name,
            "registry-login-missing",
            f"functions come from {host.ecr_registry}, and this node has no login for Amazon ECR: they end in "
            "ImagePullBackOff",
            f"Set registries_ecr_login: true in the inventory, then {SITE}; or false, where pods bring credentials "
            "of their own",
        )


def _snapshots(host: Host, limits: Limits) -> t.Iterator[Finding]:
    snapshots = host.diagnosis.get("snapshots")
    if snapshots is None or not host.k3s.get("has_data"):
        return
    if snapshots["newest"] is None:
        if limits.now - limits.created > limits.snapshot_age:
            yield Finding(
                WARNING,
                host.name,
                "snapshots-none",
                f"no etcd snapshot in {snapshots['directory']}",
                "ansible-playbook backup.yml; etcd-disable-snapshots and etcd-snapshot-schedule-cron say why k3s "
                "made none",
            )
    elif limits.now - snapshots["newest"] > limits.snapshot_age:
        yield Finding(
            WARNING,
            host.name,
            "snapshots-old",
            f"the newest etcd snapshot is {(limits.now - snapshots['newest']) / 3600:.0f} h old",
            "ansible-playbook backup.yml; journalctl -u k3s | grep -i snapshot says why k3s made none",
        )


def _etcd(host: Host, _limits: Limits) -> t.Iterator[Finding]:
    size = host.diagnosis.get("etcd_size")
    if not size or not size["quota"]:
        return
    share = size["bytes"] / size["quota"]
    if share > ETCD_WARNING:
        yield Finding(
            ERROR if share > ETCD_ERROR else WARNING,
            host.name,
            "etcd-size",
            f"etcd's database has {share:.0%} of its quota of {size['quota'] / 2**30:.1f} GiB, at which all writes "
            "are refused",
            "Delete what fills it; a restart of k3s defragments it; more room: k3s_server_config: {etcd-arg: "
            "[quota-backend-bytes=8589934592]}",
        )
    # k3s copies the database beside itself at a start, to compare its keys with it (k3s v1.35.5, pkg/etcd/etcd.go,
    # db/etcd-tmp).
    system = next(iter((host.diagnosis.get("file_systems") or [])[-1:]), None)
    if system and system["bytes_free"] < size["bytes"] and system["bytes_free"] >= DISK_WARNING * system["bytes"]:
        yield Finding(
            WARNING,
            host.name,
            "disk-space",
            f"{system['bytes_free'] / 2**20:.0f} MiB left below {system['path']}, and k3s copies etcd's "
            f"{size['bytes'] / 2**20:.0f} MiB there at its start",
            "Free or add disk before k3s restarts (k3s crictl rmi --prune; journalctl --vacuum-size=500M)",
        )


HOST_CHECKS = (
    _service,
    _inputs,
    _tokens,
    _configuration,
    _machine,
    _certificates,
    _secrets,
    _registries,
    _login,
    _snapshots,
    _etcd,
)


# --- several hosts -------------------------------------------------------------------------------------------------


def _clocks(hosts: t.Sequence[Host], limits: Limits) -> t.Iterator[Finding]:
    known = [(host, host.clock) for host in hosts if host.clock is not None]
    if len(known) < 2:
        return
    middle = statistics.median_low([clock for _host, clock in known])
    for host, clock in known:
        off = clock - middle
        if abs(off) >= CLOCK_WARNING:
            severity = ERROR if abs(off) > limits.clock else WARNING
            yield Finding(
                severity,
                host.name,
                "clock-differs",
                f"its clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the other hosts'",
                "Install and start chrony (or systemd-timesyncd), then chronyc makestep",
            )


def _identities(hosts: t.Sequence[Host]) -> t.Iterator[Finding]:
    for what, key in (("machine-id", "machine_id"), ("address", "default_address")):
        owners: dict[str, list[str]] = collections.defaultdict(list)
        for host in hosts:
            if host.node.get(key):
                owners[host.node[key]].append(host.name)
        for value, names in owners.items():
            if len(names) > 1:
                fix = (
                    "On all but one: rm /etc/machine-id; systemd-machine-id-setup; reboot"
                    if key == "machine_id"
                    else "Two names for one machine: remove one from the inventory"
                )
                yield Finding(ERROR, names[1], "host-twice", f"it has the {what} {value}, as {names[0]} has", fix)


def _authorities(hosts: t.Sequence[Host]) -> t.Iterator[Finding]:
    clusters: dict[str, list[str]] = collections.defaultdict(list)
    for host in hosts:
        if host.k3s.get("ca_sha256"):
            clusters[host.k3s["ca_sha256"]].append(host.name)
    if len(clusters) < 2:
        return
    most = max(clusters, key=lambda digest: len(clusters[digest]))
    for digest, names in clusters.items():
        if digest != most:
            for name in names:
                yield Finding(
                    ERROR,
                    name,
                    "other-cluster",
                    f"it belongs to another cluster than {clusters[most][0]}: its authority's certificate differs",
                    "Take it out of this inventory; if nothing on it is needed: reset.yml with an inventory that "
                    f"has only this host, then {SITE}",
                )


def _no_api(hosts: t.Sequence[Host]) -> t.Iterator[Finding]:
    servers = [host for host in hosts if host.role == "server"]
    if not servers:
        yield Finding(
            ERROR, "cluster", "api-down", "the inventory has no server", "Put hosts into the group k3s_server"
        )
        return
    with_data = [host for host in servers if host.k3s.get("has_data")]
    running = [host for host in with_data if _active(host)]
    if not with_data:
        yield Finding(
            ERROR, "cluster", "api-down", "no server of the inventory that was looked at holds a cluster", SITE
        )
        return
    majority = len(servers) // 2 + 1
    fix = (
        f"{SITE} starts them"
        if len(with_data) >= majority
        else "Bring back the other servers; if they are lost for good: restore.yml"
    )
    yield Finding(
        ERROR,
        "cluster",
        "api-down",
        f"no server's API answers; k3s runs on {len(running)} of {len(servers)} servers, {majority} are needed for a "
        "majority",
        fix,
    )


# --- the cluster as its API shows it -------------------------------------------------------------------------------

Nodes = dict[str, dict[str, t.Any]]


def _quorum(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Finding]:
    servers = [node for node in nodes.values() if node.get("control_plane")]
    learners = sorted(node["name"] for node in servers if node.get("learner"))
    voters = [node for node in servers if node.get("voter") is not False]
    # A node stays Ready for a while after its last sign; its host knows better.
    down = {host.node_name for host in hosts if host.k3s and not _active(host)}
    up = [node for node in voters if node["ready"] and not node.get("member_problem") and node["name"] not in down]
    majority = len(voters) // 2 + 1
    spare = len(up) - majority
    counted = (
        f"{_count(len(servers), 'server')}, {_count(len(voters), 'voter')} ({len(up)} up), "
        f"{_count(len(learners), 'learner')}"
    )
    state = f"{counted}; {max(spare, 0)} more may fail"
    if len(voters) >= 3 and spare <= 0:
        yield Finding(
            ERROR,
            "cluster",
            "quorum",
            state,
            "Bring the failed servers back before anything else; never stop or remove another one meanwhile",
        )
    else:
        yield Finding(INFO, "cluster", "quorum", state, "")
    if len(voters) > 1 and len(voters) % 2 == 0:
        yield Finding(
            WARNING,
            "cluster",
            "even-servers",
            f"{len(voters)} voters tolerate no more failures than {len(voters) - 1}",
            f"Add or remove one server: inventory, then {SITE} or remove-node.yml",
        )
    for name in learners:
        yield Finding(
            WARNING,
            _owner(hosts, name),
            "learner",
            "its etcd member is still a learner and has no vote",
            "Wait until it has caught up; else journalctl -u k3s on it, and its disk's speed",
        )
    known = {host.node_name: host for host in hosts}
    for node in servers:
        problem, host = node.get("member_problem"), known.get(node["name"])
        if (
            not problem
            or not node["ready"]
            or node["name"] in down
            or (host and (host.unreachable or host.k3s.get("tombstone")))
        ):
            continue  # nothing, or said already
        if node.get("voter"):
            text, fix = (
                f"its etcd member does not answer: {_one_line(problem)}",
                "journalctl -u k3s on it; port 2379 between the servers; its disk's speed",
            )
        else:
            text = f"it has no member in etcd: {_one_line(problem)}"
            fix = f"ansible-playbook remove-node.yml -e node={node['name']}, then {SITE}: it joins anew"
        yield Finding(ERROR, _owner(hosts, node["name"]), "etcd-member", text, fix)


def _membership(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Finding]:
    named = {host.node_name: host for host in hosts}
    for name, node in nodes.items():
        if name not in named and not is_autoscaled(node):
            yield Finding(
                WARNING,
                name,
                "node-not-in-inventory",
                f"the cluster has this {'server' if node.get('control_plane') else 'agent'}, the inventory does not",
                "Where its host was removed, it has booted with its k3s and came back: put it into the inventory "
                "once more, and run"
                f" ansible-playbook remove-node.yml -e node={name}, which cleans it. Else add it for good; only "
                f"where the host is gone: {SITE} -e prune=true",
            )
    for host in hosts:
        found = nodes.get(host.node_name)
        if found is None and host.unreachable:
            text = f"the cluster has no node {host.node_name}; where it was removed, k3s is still on its host"
            yield Finding(ERROR, host.name, "host-not-in-cluster", text, _gone_step(host))
        elif found is None and not (host.role == "server" and host.k3s.get("tombstone")):  # else it is said already
            yield Finding(
                ERROR,
                host.name,
                "host-not-in-cluster",
                f"the cluster has no node {host.node_name}{_why(host)}",
                _step(host) or SITE,
            )
        elif found is None:
            continue
        elif found.get("control_plane") is not None and bool(found["control_plane"]) != (host.role == "server"):
            yield Finding(
                ERROR,
                host.name,
                "node-role-differs",
                f"in the cluster it is {'a server' if found['control_plane'] else 'an agent'}, the inventory says "
                f"{host.role}",
                f"Put it back in its group, or remove it with remove-node.yml first and then run {SITE}",
            )


def _nodes(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Finding]:
    for name, node in nodes.items():
        owner = next((host for host in hosts if host.node_name == name), None)
        place = owner.name if owner else name
        if not node["ready"] and not (
            owner and (owner.unreachable or (owner.k3s and not _active(owner)))
        ):  # else it is said already
            unit = "k3s" if node.get("control_plane") else "k3s-agent"
            usual = (
                f"k3s kubectl describe node {name}; journalctl -u {unit} on it; if it is lost: remove-node.yml, "
                "or site.yml with a new host of its name"
            )
            yield Finding(ERROR, place, "node-not-ready", f"its node is not Ready{_why(owner)}", _step(owner) or usual)
        if node.get("unschedulable"):
            yield Finding(
                WARNING,
                place,
                "node-cordoned",
                "its node takes no new pods (cordoned)",
                f"k3s kubectl uncordon {name}, once its reason is gone",
            )


def _versions(hosts: t.Sequence[Host], nodes: Nodes, limits: Limits) -> t.Iterator[Finding]:
    servers = {node["version"] for node in nodes.values() if node.get("control_plane") and node.get("version")}
    if not servers:
        return
    oldest = min(servers, key=_version_key)
    if len(servers) > 1:
        yield Finding(
            WARNING,
            "cluster",
            "versions-mixed",
            f"servers run {', '.join(sorted(servers, key=_version_key))}: an upgrade did not come to its end",
            "ansible-playbook upgrade.yml",
        )
    elif limits.version and limits.version != oldest:
        yield Finding(
            WARNING,
            "cluster",
            "version-differs",
            f"the cluster runs {oldest}, the inventory says {limits.version}",
            "ansible-playbook upgrade.yml, or set k3s_version back",
        )
    for name, node in nodes.items():
        if node.get("control_plane") or not node.get("version"):
            continue
        (major, minor), (server_major, server_minor) = _minor(node["version"]), _minor(oldest)
        if (major, minor) > (server_major, server_minor):
            yield Finding(
                ERROR,
                _owner(hosts, name),
                "version-skew",
                f"it runs {node['version']}, newer than the servers' {oldest}, which Kubernetes does not support",
                "ansible-playbook upgrade.yml",
            )
        elif major != server_major or server_minor - minor > KUBELET_SKEW:
            yield Finding(
                ERROR,
                _owner(hosts, name),
                "version-skew",
                f"it runs {node['version']}, more than {KUBELET_SKEW} minor versions older than the servers' {oldest}",
                "ansible-playbook upgrade.yml",
            )
        elif node["version"] != oldest and len(servers) == 1:
            yield Finding(
                WARNING,
                _owner(hosts, name),
                "version-behind",
                f"it runs {node['version']}, the servers {oldest}",
                "ansible-playbook upgrade.yml",
            )


def _shims(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Finding]:
    # By RuntimeClass and not by a label of ours: where the scheduler would place a pod is where its shim must be.
    classes: list[dict[str, t.Any]] = next(
        (host.diagnosis["runtime_classes"] for host in hosts if host.diagnosis.get("runtime_classes")), []
    )
    for host in hosts:
        node = nodes.get(host.node_name)
        if host.problem or host.left_out or node is None:
            continue
        shims = host.diagnosis.get("shims") or {}
        for runtime in classes:
            selector, handler = runtime["node_selector"], runtime["handler"]
            if not selector or any((node.get("labels") or {}).get(key) != value for key, value in selector.items()):
                continue
            program = re.compile(rf"containerd-shim-{re.escape(handler)}-v\d+")
            if not any(program.fullmatch(name) for name in shims.get("programs") or []):
                yield Finding(
                    ERROR,
                    host.name,
                    "shim-missing",
                    f"RuntimeClass {runtime['name']} sends pods here, but there is no containerd-shim-{handler} in "
                    "/usr/local/bin",
                    f"{SITE}, or take the label {_label(selector)} from the node",
                )
            elif shims.get("handlers") is not None and handler not in shims["handlers"]:
                yield Finding(
                    ERROR,
                    host.name,
                    "shim-unknown",
                    f"RuntimeClass {runtime['name']} sends pods here, but containerd's configuration has no runtime "
                    f"{handler}",
                    f"{SITE} restarts k3s, which writes it at its start; a config.toml.tmpl of your own must begin "
                    f'with {{{{ template "base" . }}}}',
                )


def _platform(hosts: t.Sequence[Host], _nodes: Nodes, _limits: Limits) -> t.Iterator[Finding]:
    charts: list[dict[str, t.Any]] = next(
        (host.diagnosis["charts"] for host in hosts if host.diagnosis.get("charts") is not None), []
    )
    for chart in charts:
        kubectl = f"k3s kubectl -n {chart['namespace']}"
        look = (
            f"{kubectl} describe pod {chart['pod']}; {kubectl} logs {chart['pod']} --all-containers"
            if chart["pod"]
            else f"{kubectl} get pods,events"
        )
        said = f"; its last line: {_one_line(chart['last_line'])}" if chart["last_line"] else ""
        yield Finding(
            ERROR if chart["lasting"] else WARNING,
            "cluster",
            "platform-not-running",
            f"the chart {chart['name']} does not run: {_one_line(chart['text'])}{said}",
            f"{look}; correct what they name, then {SITE}, which starts pods that wait for their next try anew",
        )


CLUSTER_CHECKS = (_quorum, _membership, _nodes, _versions, _shims, _platform)


# --- small helpers -------------------------------------------------------------------------------------------------


def _owner(hosts: t.Sequence[Host], node_name: str) -> str:
    return next((host.name for host in hosts if host.node_name == node_name), node_name)


def _created(cluster: dict[str, t.Any] | None) -> float:
    """When the cluster was made, as far as its nodes show; long ago where they show nothing."""
    return min(
        (_epoch(node["created"]) for node in (cluster or {}).get("nodes") or [] if node.get("created")), default=0.0
    )


def _epoch(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


def _ends(ends: float, now: float) -> str:
    date = datetime.datetime.fromtimestamp(ends, tz=datetime.UTC).date().isoformat()
    days = int(abs(ends - now) / DAY)
    return f"ended {_count(days, 'day')} ago ({date})" if ends < now else f"ends in {_count(days, 'day')} ({date})"


def _minor(version: str) -> tuple[int, int]:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _version_key(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _label(selector: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))


def _directory(path: str) -> str:
    return path.rsplit("/", 1)[0]


def _gone_step(host: Host) -> str:
    return (
        f"{KEEP_OUT[0].upper()}{KEEP_OUT[1:]}; once it is reached: remove-node.yml -e node={host.name} cleans it. "
        "Take it out of the inventory after that"
    )


def _why(host: Host | None) -> str:
    """What its journal complains of, to be put behind a text."""
    cause = _cause(host)
    return f": {cause['cause']}" if cause else ""


def _step(host: Host | None) -> str:
    return _cause(host).get("next_step", "")


def _cause(host: Host | None) -> dict[str, str]:
    found: dict[str, str] = (host.diagnosis.get("unit") or {}).get("cause") or {} if host else {}
    return (
        {**found, "next_step": found["next_step"].replace("NAME", host.node_name)}
        if host and found.get("next_step")
        else found
    )


def _active(host: Host) -> bool:
    return bool(((host.diagnosis.get("unit") or {}).get("active") or host.k3s.get("service")) == "active")


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300].rstrip(".")
