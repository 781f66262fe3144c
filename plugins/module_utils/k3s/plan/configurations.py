# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config.yaml of each host, and what is wrong with the variables that it comes from."""

from __future__ import annotations

import typing as t

from ...problems import Problem
from ..config import config_check, configuration, flags
from ..version import is_version
from .hosts import Host, is_loopback
from .live_cluster import NEW, STOPPED, Cluster
from .network_checks import interface_of_flannel

UNCHANGEABLE = (
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "secrets-encryption",
    "secrets-encryption-provider",
)
"""Keys that keep their value for the life of a cluster; other critical keys can change when all servers restart
together."""
KEEP_ENCRYPTION = (
    "set secrets-encryption to what it is in k3s_server_config "
    "(docs.k3s.io/security/secrets-encryption says how a cluster changes it)"
)


def configurations(
    play: t.Sequence[Host], hosts: t.Sequence[Host], cluster: Cluster
) -> tuple[dict[str, dict[str, t.Any]], list[Problem]]:
    """The config.yaml of each host, and what is wrong with the variables that it comes from."""
    problems = [problem for host in hosts if host.in_play and host.desired for problem in configuration_problems(host)]
    if problems:
        return {}, problems
    configs = {host.name: final_config(host, cluster) for host in play}
    servers = {host.name: configs[host.name] for host in play if host.role == "server"}
    return configs, config_check.differences(servers) + changed_problems(servers, hosts, cluster)


def final_config(host: Host, cluster: Cluster) -> dict[str, t.Any]:
    """The host's config.yaml."""
    names = [
        name for name in [host.reach] if name and not is_loopback(name) and name not in (host.node_name, host.address)
    ]
    node_ip = _node_ip(host, cluster)
    return configuration.build(
        host.desired,
        node_ip=node_ip,
        flannel_interface=_flannel_interface(host, cluster, node_ip),
        names=names,
        cgroup=str(host.node.get("cgroup") or "v2"),
    )


def changed_problems(
    configs: t.Mapping[str, t.Mapping[str, t.Any]], hosts: t.Sequence[Host], cluster: Cluster
) -> list[Problem]:
    """Critical keys whose values differ from those that the cluster's servers run with."""
    lives = cluster.live or tuple(host for host in hosts if host.role == "server" and host.known and host.has_data)
    before = next((host for host in lives if host.k3s.get("config")), None)
    if cluster.state == NEW or before is None or not configs:
        return []
    alone = len([host for host in hosts if host.role == "server"]) == 1
    problems = []
    for flag in flags.load().shared():
        old = config_check.comparable(flag, before.k3s["config"].get(flag.name))
        new = config_check.comparable(flag, next(iter(configs.values())).get(flag.name))
        if not flag.critical or flag.secret or old == new:
            continue
        if flag.name in UNCHANGEABLE:
            next_step = (
                KEEP_ENCRYPTION if flag.name == "secrets-encryption" else "keep it as it is for the life of the cluster"
            )
        elif cluster.state == STOPPED or alone:
            continue
        else:
            next_step = (
                "servers cannot change it one by one: stop k3s on all of them (systemctl stop k3s), then run again, "
                "which starts them together"
            )
        problems.append(
            Problem("", f"{flag.name} is {_shown(old)} in the cluster and {_shown(new)} is asked for", next_step)
        )
    return problems


def configuration_problems(host: Host) -> list[Problem]:
    """What is wrong with the variables of a host."""
    problems = []
    if not is_version(host.version):
        problems.append(
            Problem(
                host.name,
                f"k3s_version: {host.version!r} is no version of k3s",
                "write it as its release is tagged, such as v1.36.4+k3s1",
            )
        )
    config = host.desired.get("config")
    if isinstance(config, dict):
        version = host.version if is_version(host.version) else ""
        problems += config_check.validate(config, host=host.name, role=host.role, version=version, sources=host.sources)
    elif config is not None:
        problems.append(
            Problem(host.name, f"{config_check.VARIABLES[host.role]} is no dictionary", "write it as {key: value}")
        )
    problems += config_check.label_problems(host.desired.get("labels") or {}, host=host.name, role=host.role)
    problems += config_check.taint_problems(host.desired.get("taints") or [], host=host.name)
    return problems


def _flannel_interface(host: Host, cluster: Cluster, node_ip: t.Sequence[str]) -> str:
    """The interface to write into config.yaml. What a node began with stays: to change it takes its pods' network down,
    and interfaces come and go."""
    if _begun(host, cluster):
        return str((host.k3s.get("config") or {}).get("flannel-iface") or "")
    return interface_of_flannel(host, node_ip)


def _begun(host: Host, cluster: Cluster) -> bool:
    return bool(host.has_data or host.node_name in cluster.nodes or host.k3s.get("role"))


def _node_ip(host: Host, cluster: Cluster) -> list[str]:
    """Addresses to write into config.yaml. A node that started without them keeps none: addresses come and go (virtual
    ones, those of the pod network), and each change of config.yaml means a restart."""
    if host.desired_addresses:
        return host.desired_addresses
    several = len([address for address in host.node.get("addresses") or [] if ":" not in address]) > 1
    return [host.address] if several and not _begun(host, cluster) and host.address else []


def _shown(value: tuple[str, ...]) -> str:
    return ", ".join(value) or "not set"
