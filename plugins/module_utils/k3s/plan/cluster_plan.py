# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each host needs so that the cluster matches the inventory: which server begins, which hosts join, stay, start
again or replace a dead node.

A pure function of what was found. It reports all problems at once, before anything is changed. Rules of etcd and k3s:
k3s-io/docs, datastore/ha-embedded.
"""

from __future__ import annotations

import typing as t

from ...problems import Problem, raise_if_any
from ..config import config_check, configuration
from . import inventory_checks, machine_checks, network_checks
from .actions import ACTING, ENTERING, decide, first_server
from .configurations import configurations
from .hosts import Host, Settings, is_loopback, url, url_host
from .live_cluster import NEW, Cluster, gone_nodes, observe, scope_problems
from .registry_checks import login_problems
from .servers import count_problems, prune_problems, quorum_problems
from .versions import version_problems

KEEP_OUT = (
    "wipe its disk, or run `systemctl disable k3s k3s-agent` on it, before it boots in this network: it would "
    "enter the cluster again"
)
"""What to do about a host that left the cluster and could not be cleaned. k3s registers a removed agent anew, and lets
a removed server join again (k3s v1.35.5, pkg/etcd/etcd.go Register); units of this collection do not start such a
server (roles/k3s/templates/k3s.service.j2)."""


def make_plan(hosts: t.Sequence[Host], settings: Settings) -> dict[str, t.Any]:
    """The plan, as documented in the module k3s_plan.

    Raises:
        PlatformError: names all problems; `facts["problems"]` has them as a list.
    """
    raise_if_any(inventory_checks.group_problems(hosts))
    cluster, problems = observe(hosts)
    play = [host for host in hosts if host.in_play and host.known]
    first = first_server(hosts) if cluster.state == NEW else ""
    decisions = {host.name: decide(host, cluster, first) for host in play}
    actions = {name: action for name, (action, _problems) in decisions.items()}
    gone = gone_nodes(hosts, cluster)
    configs, wrong = configurations(play, hosts, cluster)
    raise_if_any(
        [
            *inventory_checks.inventory_problems(hosts),
            *inventory_checks.unreachable_problems(hosts),
            *problems,
            *scope_problems(hosts, cluster),
            *(
                problem
                for host in play
                for problem in host_problems(host, *decisions[host.name], hosts=hosts, settings=settings)
            ),
            *machine_checks.clock_problems(hosts, settings),
            *version_problems(play, cluster, settings),
            *quorum_problems(play, actions, cluster, gone, settings),
            *count_problems(hosts, actions, cluster, gone, settings),
            *prune_problems(hosts, cluster, gone, settings),
            *login_problems(play),
            *wrong,
            *network_checks.network_problems(
                play if configs else [], configs, [host for host in play if actions[host.name] in ENTERING]
            ),
        ]
    )
    plans = {
        host.name: host_plan(host, actions[host.name], configs[host.name], cluster, hosts, settings) for host in play
    }
    return {
        "cluster": {
            "state": cluster.state,
            "first": first,
            "live": [host.name for host in cluster.live],
            "api_host": api_host(cluster, first, play),
            "version": cluster.version,
        },
        "hosts": plans,
        "nodes": [
            {"name": plan["node_name"], "labels": plan["labels"], "taints": plan["taints"]} for plan in plans.values()
        ],
        "gone": gone,
        "messages": messages(play, actions, hosts, gone, settings),
    }


def host_problems(
    host: Host, action: str, decided: list[Problem], *, hosts: t.Sequence[Host], settings: Settings
) -> list[Problem]:
    """What stands against an action on a host.

    Args:
        decided: what `decide` found; it does not count for a host that has been the other kind of node.
    """
    problems = machine_checks.machine_problems(host) + inventory_checks.identity_problems(host)
    problems += inventory_checks.role_problems(host) or decided
    problems += machine_checks.certificate_problems(host)
    if action in ACTING:  # a host that runs already proves that it can
        problems += machine_checks.port_problems(host, settings) + machine_checks.connection_problems(host, hosts)
    if action in ENTERING:
        problems += machine_checks.space_problems(host, settings)
    return problems


def api_host(cluster: Cluster, first: str, play: t.Sequence[Host]) -> str:
    """Inventory host on which kubectl works, now or once the cluster is up: a live server, preferably with a vote."""
    nodes = {host.name: cluster.nodes.get(host.node_name) or {} for host in cluster.live}
    voting = [name for name, node in nodes.items() if node.get("voter") and not node.get("member_problem")]
    started = [host.name for host in play if host.role == "server" and host.has_data]
    return next(iter([*voting, *(host.name for host in cluster.live), *([first] if first else []), *started]), "")


def host_plan(
    host: Host, action: str, config: dict[str, t.Any], cluster: Cluster, hosts: t.Sequence[Host], settings: Settings
) -> dict[str, t.Any]:
    """What the roles do on a host."""
    afterwards = configuration.join(host.desired, server_url=server_url(host, cluster, hosts, settings))
    begin = configuration.join(host.desired, server_url="", initialize=True) if action == "init" else afterwards
    return {
        "role": host.role,
        "unit": host.unit,
        "node_name": host.node_name,
        "address": host.address,
        "architecture": str(host.node.get("architecture") or ""),
        "action": action,
        "server_url": str(begin.get("server", "")),
        "config": config,
        "join": begin,
        "join_afterwards": afterwards,
        "restart": list(host.k3s.get("stale_inputs") or []) if action == "keep" else [],
        "labels": {
            str(key): config_check.label_value(value) for key, value in (host.desired.get("labels") or {}).items()
        },
        "taints": [
            {
                "key": str(taint["key"]),
                "value": config_check.label_value(taint.get("value")),
                "effect": str(taint["effect"]),
            }
            for taint in host.desired.get("taints") or []
        ],
    }


def server_url(host: Host, cluster: Cluster, hosts: t.Sequence[Host], settings: Settings) -> str:
    """The server that a host joins through.

    Servers use a live server's own address: a load balancer may lead a server that is about to join to itself
    (k3s-io/k3s #9661). What a host has already stays, as long as that server is in the inventory.
    """
    others = [other for other in hosts if other.role == "server" and other.name != host.name]
    present = str(host.k3s.get("server_url") or "")
    valid = {name for other in others for name in other.own_names} | (
        {settings.api_address} if host.role == "agent" else set()
    )
    if present and url_host(present) in valid and present == url(url_host(present), settings.api_port):
        return present
    if host.role == "agent" and settings.api_address:
        return url(settings.api_address, settings.api_port)
    live = {other.name for other in cluster.live}
    ranked = sorted(others, key=lambda other: (other.name not in live, not (other.known and other.has_data)))
    address = next((found for other in ranked if (found := other.address or _cluster_address(other, cluster))), "")
    return url(address, settings.api_port) if address else ""


def messages(
    play: t.Sequence[Host],
    actions: t.Mapping[str, str],
    hosts: t.Sequence[Host],
    gone: t.Sequence[t.Mapping[str, t.Any]],
    settings: Settings,
) -> list[str]:
    """What the user should know, but does not stop the run."""
    said = _once((host.name, text) for host in play for text in machine_checks.warnings(host))
    for host in play:
        if actions[host.name] not in ACTING:
            said += map(str, machine_checks.connection_problems(host, hosts))
        if actions[host.name] == "replace":
            said.append(f"{host.name}: takes the place of the dead node {host.node_name}.")
    for node in gone:
        if settings.prune:
            said.append(f"Node {node['name']} leaves the cluster, but k3s stays on its host: {KEEP_OUT}.")
        else:
            said.append(
                f"Node {node['name']} is in the cluster and not in the inventory. A removed host that booted with "
                "its k3s comes back like this: put it into the"
                f" inventory once more, and ansible-playbook wasmfaas.platform.remove_node -e node={node['name']} "
                "cleans it. Where the host is gone: -e prune=true."
            )
    servers = [host for host in hosts if host.role == "server"]
    if len(servers) % 2 == 0:
        said.append(
            f"{len(servers)} servers survive the loss of {(len(servers) - 1) // 2}, as {len(servers) - 1} would: use "
            "an odd number."
        )
    return said


def _once(said: t.Iterable[tuple[str, str]]) -> list[str]:
    """One line for each message, with all hosts that it concerns."""
    names: dict[str, list[str]] = {}
    for name, text in said:
        names.setdefault(text, []).append(name)
    return [f"{', '.join(hosts)}: {text}" for text, hosts in names.items()]


def _cluster_address(host: Host, cluster: Cluster) -> str:
    """Address of a host that this run leaves out, as the cluster knows it."""
    member = cluster.nodes.get(host.node_name) or {}
    return next(iter(member.get("addresses") or []), "") or ("" if is_loopback(host.reach) else host.reach)
