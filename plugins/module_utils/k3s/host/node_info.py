# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything the plan must know of one host, read in one go: the machine, its k3s and, on a server that is ready, the
cluster.

Must be quick, as it runs on every host in every run, and must not fail on an odd host: what is missing is reported as
missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ...errors import PlatformError
from ...host import facts, whole_file
from ...host.commands import run_command
from ...host.digests import Digests
from ...kubernetes.kubectl import Kubectl, host_kubectl
from .. import paths
from ..config import config_values
from ..nodes import node_state
from . import inputs, leaf_certificates

PORTS = (
    ("tcp", 6443),
    ("tcp", 2379),
    ("tcp", 2380),
    ("tcp", 2381),
    ("tcp", 6444),
    ("tcp", 10010),
    ("tcp", 10248),
    ("tcp", 10249),
    ("tcp", 10250),
    ("tcp", 10256),
    ("tcp", 10257),
    ("tcp", 10258),
    ("tcp", 10259),
    ("udp", 8472),
)
"""What k3s listens on with its defaults (docs.k3s.io, installation/requirements)."""

KERNEL_MODULES = ("overlay", "br_netfilter")
"""What role node_prepare loads."""

KERNEL_DEFAULTS = {
    "vm.panic_on_oom": "0",
    "vm.overcommit_memory": "1",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
}
"""Without these the kubelet does not start with protect-kernel-defaults (docs.k3s.io, security/hardening-guide)."""

OWN_SYSCTLS = "90-kubelet.conf"
"""The file of role node_prepare (module kernel_settings, file_name)."""

API_SECONDS = 15.0
"""A server without quorum accepts connections and gives no answer; one under load takes its time."""

VERSIONS = f"{paths.RUN_DIRECTORY}/versions.json"
ANNOTATIONS = ("etcd.k3s.cattle.io/", "wasmfaas.dev/")
AGENT_CA = f"{paths.AGENT_DIRECTORY}/server-ca.crt"


def read(
    *, ask: bool, ports: t.Sequence[dict[str, t.Any]], connections: t.Sequence[str], disk_paths: t.Iterable[str]
) -> dict[str, t.Any]:
    """`node`, what the host is, and `cluster`, the nodes of its cluster; see the documentation of `k3s_node_info`.

    Args:
        ask: whether to ask the API for the cluster.
        ports: `{protocol, port}` beside PORTS, to look for listeners on.
        connections: `host:port`, to connect to.
    """
    started = time.time()
    kubectl = host_kubectl(seconds=API_SECONDS)
    k3s, cluster = installation(kubectl, ask=ask)
    looked_at = [{"protocol": protocol, "port": port} for protocol, port in PORTS] + list(ports)
    node = {
        **machine(disk_paths),
        # The ports of a k3s that runs are its own, and whose they are takes a look at every process.
        "ports_in_use": [] if k3s["service"] == "active" else facts.ports_in_use(looked_at),
        "connections": facts.connections(connections),
        "k3s": k3s,
    }
    ended = time.time()
    return {"node": {**node, "time": (started + ended) / 2}, "cluster": cluster}


def machine(disk_paths: t.Iterable[str]) -> dict[str, t.Any]:
    """The machine itself, without the time."""
    interfaces = facts.interfaces()
    return {
        "hostname": facts.hostname(),
        "machine_id": facts.machine_id(),
        "boot_id": facts.boot_id(),
        "os": facts.operating_system(),
        "architecture": facts.architecture(),
        "cpus": facts.cpus(),
        "memory_bytes": facts.memory_bytes(),
        "cgroup": facts.cgroup(),
        "cgroup_controllers": facts.cgroup_controllers(),
        "kernel_modules": facts.kernel_modules(KERNEL_MODULES),
        "later_sysctls": facts.later_sysctls(KERNEL_DEFAULTS, OWN_SYSCTLS),
        "firewall": facts.firewall(),
        "systemd": facts.systemd(),
        "selinux": facts.selinux(),
        "time_synchronized": facts.time_synchronized(),
        "addresses": facts.own_addresses(interfaces),
        "interfaces": interfaces,
        "default_address": facts.default_address(),
        "disk": {path: facts.disk(path) for path in disk_paths},
    }


def installation(kubectl: Kubectl, *, ask: bool, root: str = "") -> tuple[dict[str, t.Any], dict[str, t.Any] | None]:
    """k3s on this host, and the cluster's nodes where this host is a server that is ready. `ask`: whether to ask its
    API at all."""
    units = unit_states()
    role = installed_role(units)
    state = units[paths.AGENT_UNIT if role == "agent" else paths.SERVER_UNIT]
    unit = {"server": paths.SERVER_UNIT, "agent": paths.AGENT_UNIT}.get(role or "", "")
    digests = Digests(f"{root}/run/wasmfaas/digests.json")
    record = (inputs.recorded(unit, root=root) or {}) if unit else {}
    runs = state["service"] == "active"
    digest = _digest(digests, root + paths.K3S_BINARY)
    version, running_version = _versions(digest, record.get(paths.K3S_BINARY, "") if runs else "", root)
    configured = config_values.on_host(root=root)
    join = config_values.read_file(root + paths.JOIN_CONFIG)
    ready, cluster = (
        ask_api(kubectl) if ask and role == "server" and state["service"] in ("active", "activating") else (False, None)
    )
    data = data_on_disk(root)
    return {
        "role": role,
        **state,
        **data,
        "has_data": data["has_agent_data"] if role == "agent" else data["has_server_data"],
        "version": version,
        "version_running": running_version,
        "binary_sha256": digest,
        "ca_sha256": _ca_digest(root),
        "ready": ready,
        "server_url": str(join.get("server", "")),
        "cluster_init": join.get("cluster-init") == "true",
        "node_name": str(configured.get("node-name") or facts.hostname()),
        "node_ip": _list(configured.get("node-ip")),
        "config": configured,
        "stale_inputs": inputs.stale(unit, root=root, digests=digests) if runs else [],
        "certificates_ended": leaf_certificates.ended(unit, root=root) if unit else 0.0,
        "foreign_unit": foreign_unit(unit, root=root) if unit else "",
    }, cluster


def unit_states() -> dict[str, dict[str, t.Any]]:
    """Of both units: `service` (active, activating, deactivating, failed, inactive, missing), `enabled`, `restarting`
    (it ended, and systemd waits)."""
    states: dict[str, dict[str, t.Any]] = {}
    names = [f"{paths.SERVER_UNIT}.service", f"{paths.AGENT_UNIT}.service"]
    try:
        shown = run_command(
            ["systemctl", "show", "-p", "Id,LoadState,ActiveState,SubState,UnitFileState", *names], seconds=10
        ).output
    except PlatformError:
        shown = ""
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        loaded = values.get("LoadState") not in ("not-found", "masked", None)
        states[values.get("Id", "").replace(".service", "")] = {
            "service": values.get("ActiveState", "inactive") if loaded else "missing",
            "enabled": values.get("UnitFileState") == "enabled",
            "restarting": values.get("SubState") == "auto-restart",
        }
    missing = {"service": "missing", "enabled": False, "restarting": False}
    return {unit: states.get(unit, missing) for unit in (paths.SERVER_UNIT, paths.AGENT_UNIT)}


def installed_role(units: t.Mapping[str, t.Mapping[str, t.Any]]) -> str | None:
    """`server` or `agent` by the unit that is there; where both are, by the one that runs or is enabled."""
    roles = {"server": units[paths.SERVER_UNIT], "agent": units[paths.AGENT_UNIT]}
    present = [role for role, state in roles.items() if state["service"] != "missing"]
    for wanted in (
        lambda state: state["service"] in ("active", "activating"),
        lambda state: state["enabled"],
        lambda _state: True,
    ):
        for role in present:
            if wanted(roles[role]):
                return role
    return None


def foreign_unit(unit: str, *, root: str = "") -> str:
    """The file of `unit` if this collection did not write it, as with k3s's install script or k3s-ansible; else "".

    Every unit of this collection writes the record of its inputs (`inputs.exec_start_pre`).
    """
    path = f"{paths.UNIT_DIRECTORY}/{unit}.service"
    try:
        with open(root + path, encoding="utf-8", errors="replace") as file:
            return "" if inputs.record_path(unit) in file.read() else path
    except OSError:
        return ""


def data_on_disk(root: str = "") -> dict[str, t.Any]:
    """What k3s left on disk.

    `datastore` is `etcd`, `sqlite` or ""; `tombstone`: the member was taken out of its cluster (k3s, pkg/etcd/etcd.go,
    tombstoneFile).
    """
    etcd = os.path.isdir(f"{root}{paths.ETCD_DIRECTORY}/member")
    sqlite = os.path.exists(f"{root}{paths.SERVER_DIRECTORY}/db/state.db")
    return {
        "has_server_data": etcd or sqlite,
        "has_agent_data": os.path.exists(f"{root}{paths.AGENT_DIRECTORY}/client-kubelet.crt"),
        "datastore": "etcd" if etcd else "sqlite" if sqlite else "",
        "tombstone": os.path.exists(f"{root}{paths.TOMBSTONE}"),
    }


def ask_api(kubectl: Kubectl) -> tuple[bool, dict[str, t.Any] | None]:
    """Whether this server is ready and, if so, the cluster's nodes. Both are asked at once: each kubectl takes its time
    to start."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        readiness = pool.submit(_or_none, kubectl.ready)
        nodes = pool.submit(_or_none, lambda: kubectl.get("/api/v1/nodes"))
        ready, listed = bool(readiness.result()), nodes.result()
    if not ready or listed is None:
        return ready and listed is not None, None
    return True, {"nodes": sorted(map(node_summary, listed.get("items") or []), key=lambda node: str(node["name"]))}


def node_summary(node: dict[str, t.Any]) -> dict[str, t.Any]:
    """What matters of a Kubernetes Node.

    Of its etcd member (condition EtcdIsVoter: k3s, pkg/etcd/etcd.go): `voter`, whether it counts for the majority,
    healthy or not, None where the node says nothing; `learner`; `member_problem`, why it is not a healthy voter, "" for
    a learner, which is none yet.
    """
    metadata, status = node["metadata"], node.get("status", {})
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    said = node_state.condition(node, node_state.VOTER)
    voter = node_state.has_vote(node) if said.get("status") in ("True", "False") else None
    learner = said.get("status") == "False" and said.get("reason") == node_state.LEARNER
    problem = (
        str(said.get("message") or said.get("reason") or "no reason given")
        if said.get("status") == "False" and not learner
        else ""
    )
    return {
        "name": metadata["name"],
        "ready": node_state.is_ready(node),
        "alive": node_state.is_alive(node),
        "roles": sorted(label.partition("/")[2] for label in labels if label.startswith("node-role.kubernetes.io/")),
        "control_plane": node_state.is_server(node),
        "voter": voter,
        "learner": learner,
        "member_problem": problem,
        "member_name": annotations.get("etcd.k3s.cattle.io/node-name", ""),
        "addresses": [
            entry["address"] for entry in status.get("addresses") or [] if entry["type"] in ("InternalIP", "ExternalIP")
        ],
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "unschedulable": bool(node.get("spec", {}).get("unschedulable")),
        "labels": labels,
        "taints": [
            {key: taint.get(key, "") for key in ("key", "value", "effect")}
            for taint in node.get("spec", {}).get("taints") or []
        ],
        "created": metadata.get("creationTimestamp", ""),
        "annotations": {key: value for key, value in annotations.items() if key.startswith(ANNOTATIONS)},
    }


def _or_none(ask: t.Callable[[], t.Any]) -> t.Any:
    try:
        return ask()
    except PlatformError:
        return None


def _digest(digests: Digests, path: str) -> str:
    try:
        return digests.of(path)
    except OSError:
        return ""


def _ca_digest(root: str) -> str:
    """SHA-256 of the certificate authority of the cluster that the host belongs to; "" where it belongs to none."""
    for path in (paths.SERVER_CA, AGENT_CA):
        with contextlib.suppress(OSError), open(root + path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    return ""


def _versions(digest: str, running_digest: str, root: str) -> tuple[str, str]:
    """Version of the binary and of the process. The program is asked once, and its answer remembered by its digest:
    starting it takes longer than all else."""
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, TypeError), open(root + VERSIONS, encoding="utf-8") as file:
        known = dict(json.load(file))
    if digest and digest not in known:
        with contextlib.suppress(PlatformError, OSError):
            shown = run_command([root + paths.K3S_BINARY, "--version"], seconds=20).output
            match = re.search(r"\bversion (v\d\S*)", shown)
            if match:
                known[digest] = match[1]
                _write_private(root + VERSIONS, json.dumps(known))
    return known.get(digest, ""), known.get(running_digest, "")


def _write_private(path: str, text: str) -> None:
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        whole_file.write(path, text, partial=f"{path}.{os.getpid()}")


def _list(value: config_values.Value | None) -> list[str]:
    items = value if isinstance(value, list) else [value or ""]
    return [part.strip() for item in items for part in item.split(",") if part.strip()]
