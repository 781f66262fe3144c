# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done on each host so that the inventory becomes the cluster: which server begins, which hosts join,
stay, start again or replace a dead node.

A pure function of what was found; all that is wrong is found at once, before anything is touched. Rules of etcd and
k3s: k3s-io/docs, datastore/ha-embedded.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...problems import Problem, raise_if_any
from ..config import config_check, configuration, flags
from ..version import agent_problem, is_version, upgrade_problem
from . import checks
from .hosts import Host, Settings, is_autoscaled, is_loopback, url, url_host

NEW, RUNNING, STOPPED = "new", "running", "stopped"
ACTING = ("init", "join", "replace", "start")
ENTERING = ("init", "join", "replace")

UNCHANGEABLE = (
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "secrets-encryption",
    "secrets-encryption-provider",
)
"""Keys that keep their value for the life of a cluster; other critical ones can change when all servers start anew
together."""

KEEP_OUT = (
    "wipe its disk, or run `systemctl disable k3s k3s-agent` on it, before it boots in this network: it would "
    "enter the cluster again"
)
"""What to do about a host that left the cluster and could not be cleaned. k3s registers a removed agent anew, and lets
a removed server join again (k3s v1.35.5, pkg/etcd/etcd.go Register); units of this collection do not start such a
server (roles/k3s/templates/k3s.service.j2)."""

KEEP_ENCRYPTION = (
    "set secrets-encryption to what it is in k3s_server_config "
    "(docs.k3s.io/security/secrets-encryption says how a cluster changes it)"
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What there is already.

    Args:
        state: `new` (no server has data), `running` (a server's API is ready) or `stopped` (there is data, and no
            server is ready).
        live: servers whose API is ready; the first one's view counts.
        nodes: the cluster's nodes by name, empty unless it runs.
        ca_sha256: of its certificate authority; "" for a new one.
        version: newest among its servers; "" where it can't be told.
    """

    state: str
    live: tuple[Host, ...] = ()
    nodes: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    ca_sha256: str = ""
    version: str = ""

    @property
    def voters(self) -> list[dict[str, t.Any]]:
        """etcd's members that have a vote, in the order of their names."""
        return [
            node for node in self.nodes.values() if node["voter"] or (node["control_plane"] and node["voter"] is None)
        ]


def make_plan(hosts: t.Sequence[Host], settings: Settings) -> dict[str, t.Any]:
    """The plan, as documented in the module k3s_plan.

    Raises:
        PlatformError: names all that is wrong; `facts["problems"]` has it as a list.
    """
    raise_if_any(checks.group_problems(hosts))
    cluster, problems = observe(hosts)
    problems = (
        checks.inventory_problems(hosts)
        + checks.unreachable_problems(hosts)
        + problems
        + scope_problems(hosts, cluster)
    )
    play = [host for host in hosts if host.in_play and host.known]
    first = first_server(hosts) if cluster.state == NEW else ""
    actions: dict[str, str] = {}
    for host in play:
        actions[host.name], decided = decide(host, cluster, first)
        problems += (
            checks.machine_problems(host) + checks.identity_problems(host) + (checks.role_problems(host) or decided)
        )
        problems += host_problems(host, actions[host.name], hosts, settings)
    gone = gone_nodes(hosts, cluster)
    problems += checks.clock_problems(hosts, settings) + version_problems(play, cluster, settings)
    problems += quorum_problems(play, actions, cluster, gone, settings) + count_problems(
        hosts, actions, cluster, gone, settings
    )
    problems += prune_problems(hosts, cluster, gone, settings) + checks.login_problems(play)
    configs, found = configurations(play, hosts, cluster)
    raise_if_any(problems + found)
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


def observe(hosts: t.Sequence[Host]) -> tuple[Cluster, list[Problem]]:
    """The cluster as the hosts that were looked at know it, decided by which servers live and not by their order in the
    inventory."""
    servers = [host for host in hosts if host.role == "server" and host.known]
    live = [host for host in servers if host.is_live_server]
    holding = live or [host for host in servers if host.has_data]
    problems = _different_clusters([host for host in servers if host.has_data or host.is_live_server])
    if not holding:
        return Cluster(NEW), problems
    nodes = {str(node["name"]): node for node in live[0].info["cluster"]["nodes"]} if live else {}
    versions = [str(node["version"]) for node in nodes.values() if node["control_plane"]] or [
        _own_version(host) for host in holding
    ]
    version = max(filter(is_version, versions), key=checks.version_order, default="")
    return Cluster(
        RUNNING if live else STOPPED, tuple(live), nodes, str(holding[0].k3s.get("ca_sha256") or ""), version
    ), problems


def scope_problems(hosts: t.Sequence[Host], cluster: Cluster) -> list[Problem]:
    """What can't be decided, as hosts are missing in this run: without a server that is ready, nobody tells what those
    hold."""
    left_out = [host.name for host in hosts if host.role == "server" and not host.in_play]
    if not left_out or cluster.state == RUNNING:
        return []
    servers = [host for host in hosts if host.role == "server"]
    holding = [host for host in servers if host.known and host.has_data]
    if cluster.state == STOPPED and len(holding) > len(servers) // 2:
        return []
    return [
        Problem(
            "",
            f"no server of this run is ready, and {', '.join(left_out)} {'is' if len(left_out) == 1 else 'are'} not "
            "part of it",
            "run without --limit, or add a server that is ready to it: it knows the cluster",
        )
    ]


def first_server(hosts: t.Sequence[Host]) -> str:
    """The server that begins a new cluster: one that has begun already, as in a run that was cut off, else the first of
    the inventory."""
    servers = [host for host in hosts if host.role == "server" and host.in_play and host.known]
    begun = [host for host in servers if host.k3s.get("cluster_init") and host.runs] or [
        host for host in servers if host.k3s.get("cluster_init")
    ]
    return next((host.name for host in [*begun, *servers]), "")


def decide(host: Host, cluster: Cluster, first: str) -> tuple[str, list[Problem]]:
    """What a host needs: `init`, `join`, `start`, `keep` or `replace`, and what stands against it."""
    member = cluster.nodes.get(host.node_name)
    if cluster.state == NEW:
        return _decide_new(host, first)
    if host.has_data and _is_foreign(host, cluster):
        return "keep", [_foreign(host)]
    if cluster.state == STOPPED and host.role == "server" and host.k3s.get("tombstone"):
        return "keep", [
            Problem(
                host.name,
                "it holds the data of a member that the cluster, which is stopped, no longer has",
                "take it out of the inventory and run again; once the cluster answers, put it back, and "
                f"ansible-playbook wasmfaas.platform.remove_node -e node={host.name} cleans it",
            )
        ]
    if cluster.state == STOPPED:
        return ("keep" if host.runs and host.role == "agent" else "start") if host.has_data else "join", []
    if not host.has_data:
        return _decide_blank(host, member)
    if host.role == "server" and (host.k3s.get("tombstone") or (member is None and not host.runs)):
        return "join", [
            Problem(
                host.name,
                "it holds the data of a member that the cluster no longer has",
                f"clean it: ansible-playbook wasmfaas.platform.remove_node -e node={host.name}; where it stays in the "
                "inventory, ansible-playbook wasmfaas.platform.site then lets it join anew",
            )
        ]
    if member is None:
        return "join", []
    return "keep" if host.runs else "start", []


def _decide_new(host: Host, first: str) -> tuple[str, list[Problem]]:
    if host.role == "server":
        return "init" if host.name == first else "join", []
    if host.has_data:
        return "join", [
            Problem(
                host.name,
                "it belongs to a cluster already, but no server of the inventory holds one",
                "if the servers were lost: ansible-playbook wasmfaas.platform.restore; if it comes from another "
                "cluster: ansible-playbook wasmfaas.platform.reset with an inventory that has only this host",
            )
        ]
    return "join", []


def _decide_blank(host: Host, member: dict[str, t.Any] | None) -> tuple[str, list[Problem]]:
    if member is None:
        return "join", []
    if member["alive"]:
        return "replace", [
            Problem(
                host.name,
                f"the cluster has a node {host.node_name} that is alive and is not this host",
                "give this host another k3s_node_name; if it was made anew under the old name just now, wait a "
                "minute and run again",
            )
        ]
    return "replace", []


def host_problems(host: Host, action: str, hosts: t.Sequence[Host], settings: Settings) -> list[Problem]:
    """What stands against beginning on a host; one that runs already proves that it can."""
    if action not in ACTING:
        return []
    problems = checks.port_problems(host, settings) + checks.connection_problems(host, hosts)
    return problems + (checks.space_problems(host, settings) if action in ENTERING else [])


def version_problems(play: t.Sequence[Host], cluster: Cluster, settings: Settings) -> list[Problem]:
    """Versions that may not meet."""
    problems = []
    wanted = {host.version for host in play if host.role == "server" and is_version(host.version)}
    if len(wanted) > 1:
        problems.append(
            Problem(
                "",
                f"the servers are to have different versions ({', '.join(sorted(wanted))})",
                "set k3s_version once, for the whole cluster",
            )
        )
    newest = max(wanted, key=checks.version_order, default=cluster.version)
    for host in play:
        if host.role == "agent" and (found := agent_problem(host.version, newest)):
            problems.append(Problem(host.name, *found))
        present = _present_version(host, cluster)
        if not is_version(present) or present == host.version or not is_version(host.version):
            continue
        forbidden = (
            upgrade_problem(present, host.version) if host.role == "server" else _agent_step(present, host.version)
        )
        if forbidden:
            problems.append(Problem(host.name, *forbidden))
        elif settings.purpose != "upgrade":
            problems.append(
                Problem(
                    host.name,
                    f"{present} runs, and {host.version} is asked for",
                    f"run ansible-playbook wasmfaas.platform.upgrade, or set k3s_version: {present}",
                )
            )
    joining = [
        host
        for host in play
        if host.role == "server" and not host.has_data and cluster.version and is_version(host.version)
    ]
    if settings.purpose != "upgrade" and not problems:
        problems += [
            Problem(
                host.name,
                f"the cluster's servers run {cluster.version}, and {host.version} is asked for",
                f"run ansible-playbook wasmfaas.platform.upgrade, or set k3s_version: {cluster.version}",
            )
            for host in joining
            if host.version != cluster.version
        ]
    return problems


def gone_nodes(hosts: t.Sequence[Host], cluster: Cluster) -> list[dict[str, t.Any]]:
    """Nodes of the cluster that no host of the inventory stands for, by name or address, and that did not join by
    themselves."""
    names = {host.node_name for host in hosts}
    left_out = set().union(*(host.own_names for host in hosts if not host.known))
    return [
        {"name": name, "control_plane": bool(node["control_plane"]), "ready": bool(node["ready"])}
        for name, node in cluster.nodes.items()
        if name not in names and not left_out & {name, *node["addresses"]} and not is_autoscaled(node)
    ]


def quorum_problems(
    play: t.Sequence[Host],
    actions: t.Mapping[str, str],
    cluster: Cluster,
    gone: t.Sequence[t.Mapping[str, t.Any]],
    settings: Settings,
) -> list[Problem]:
    """Members that can't leave without etcd losing its majority."""
    if cluster.state != RUNNING:
        return []
    replaced = {host.node_name for host in play if host.role == "server" and actions[host.name] == "replace"}
    leaving = replaced | {str(node["name"]) for node in gone if settings.prune}
    voters = {str(node["name"]): bool(node["alive"] and not node.get("member_problem")) for node in cluster.voters}
    # A cluster that answers has its majority, and it does not lose it by a dead member's leaving, nor by that of a
    # stale node after a restore.
    out = sorted(name for name in leaving if voters.get(name))
    staying = [alive for name, alive in voters.items() if name not in leaving]
    if not out or sum(staying) > len(staying) // 2:
        return []
    return [
        Problem(
            "",
            f"without {', '.join(out)}, {sum(staying)} of {len(staying)} servers would be healthy, which is no "
            "majority",
            "bring a server back, or add one, before any other leaves; where they are lost for good: ansible-playbook "
            "wasmfaas.platform.restore",
        )
    ]


def count_problems(
    hosts: t.Sequence[Host],
    actions: t.Mapping[str, str],
    cluster: Cluster,
    gone: t.Sequence[t.Mapping[str, t.Any]],
    settings: Settings,
) -> list[Problem]:
    """A change that leaves an even number of servers: one more machine to fail, and no failure more that is
    survived."""
    servers = [host.name for host in hosts if host.role == "server"]
    staying = [str(node["name"]) for node in gone if node["control_plane"] and not settings.prune]
    leaving = [node for node in gone if node["control_plane"] and settings.prune]
    count = len(servers) + len(staying)
    changes = leaving or any(actions.get(name) in ("init", "join") for name in servers)
    if count % 2 or not changes or settings.even_servers_allowed or count == 0:
        return []
    counted = f" (with {', '.join(staying)}, which the inventory no longer has)" if staying else ""
    prune = "run with -e prune=true, or " if staying else ""
    return [
        Problem(
            "",
            f"there would be {count} servers{counted}: an even number survives the loss of {(count - 1) // 2}, as "
            f"{count - 1} would",
            f"{prune}use {count - 1} or {count + 1} servers (k3s_even_servers_allowed: true allows it, for a change in "
            "two steps)",
        )
    ]


def prune_problems(
    hosts: t.Sequence[Host], cluster: Cluster, gone: t.Sequence[t.Mapping[str, t.Any]], settings: Settings
) -> list[Problem]:
    """Nodes that might belong to a host which this run leaves out under a name it does not tell."""
    addresses = {address for node in cluster.nodes.values() for address in node["addresses"]}
    unknown = [
        host.name
        for host in hosts
        if not host.known and host.node_name not in cluster.nodes and not host.own_names & addresses
    ]
    if not settings.prune or not gone or not unknown:
        return []
    nodes = ", ".join(str(node["name"]) for node in gone)
    return [
        Problem(
            "",
            f"whether the nodes {nodes} belong to {', '.join(unknown)} can't be told, so they are not taken out",
            "run with prune and without --limit",
        )
    ]


def configurations(
    play: t.Sequence[Host], hosts: t.Sequence[Host], cluster: Cluster
) -> tuple[dict[str, dict[str, t.Any]], list[Problem]]:
    """The config.yaml of each host, and what is wrong with the variables that it comes from."""
    problems = [
        problem for host in hosts if host.in_play and host.desired for problem in checks.configuration_problems(host)
    ]
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
    return configuration.build(
        host.desired, node_ip=_node_ip(host, cluster), names=names, cgroup=str(host.node.get("cgroup") or "v2")
    )


def changed_problems(
    configs: t.Mapping[str, t.Mapping[str, t.Any]], hosts: t.Sequence[Host], cluster: Cluster
) -> list[Problem]:
    """Critical keys that differ from what the cluster's servers run with."""
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
                "servers can't change it one by one: stop k3s on all of them (systemctl stop k3s), then run again, "
                "which starts them together"
            )
        problems.append(
            Problem("", f"{flag.name} is {_shown(old)} in the cluster and {_shown(new)} is asked for", next_step)
        )
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
    settled = configuration.join(host.desired, server_url=server_url(host, cluster, hosts, settings))
    begin = configuration.join(host.desired, server_url="", initialize=True) if action == "init" else settled
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
        "join_settled": settled,
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
    """What the user should know, and what does not stop the run."""
    said = _once((host.name, text) for host in play for text in checks.warnings(host))
    for host in play:
        if actions[host.name] not in ACTING:
            said += map(str, checks.connection_problems(host, hosts))
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
    """One line for what is the same on many hosts."""
    names: dict[str, list[str]] = {}
    for name, text in said:
        names.setdefault(text, []).append(name)
    return [f"{', '.join(hosts)}: {text}" for text, hosts in names.items()]


def _different_clusters(servers: t.Sequence[Host]) -> list[Problem]:
    by_authority: dict[str, list[str]] = {}
    for host in servers:
        if host.k3s.get("ca_sha256"):
            by_authority.setdefault(str(host.k3s["ca_sha256"]), []).append(host.name)
    if len(by_authority) < 2:
        return []
    groups = "; ".join(", ".join(names) for names in by_authority.values())
    return [
        Problem(
            "",
            f"the servers belong to {len(by_authority)} different clusters ({groups})",
            "make one inventory for each cluster; where one of them is there by mistake, ansible-playbook "
            "wasmfaas.platform.reset with an inventory that has only its hosts",
        )
    ]


def _is_foreign(host: Host, cluster: Cluster) -> bool:
    own = str(host.k3s.get("ca_sha256") or "")
    if not own or not cluster.ca_sha256 or own == cluster.ca_sha256 or host.role == "server":
        return False  # servers: _different_clusters has said it
    known = {name for server in cluster.live for name in server.own_names}
    return url_host(str(host.k3s.get("server_url") or "")) not in known


def _foreign(host: Host) -> Problem:
    return Problem(
        host.name,
        f"it is an agent of another cluster ({host.k3s.get('server_url') or 'unknown server'})",
        f"take it out of this inventory, or let it forget the other: ansible-playbook wasmfaas.platform.remove_node -e "
        f"node={host.name}",
    )


def _present_version(host: Host, cluster: Cluster) -> str:
    """Version of k3s that runs on a host, or would if it were started."""
    if not host.has_data and not host.runs:
        return ""
    member = cluster.nodes.get(host.node_name) or {}
    return (
        str(member.get("version") or "")
        if is_version(str(member.get("version") or "")) and host.runs
        else _own_version(host)
    )


def _own_version(host: Host) -> str:
    return str(host.k3s.get("version_running") or host.k3s.get("version") or "")


def _agent_step(present: str, wanted: str) -> tuple[str, str] | None:
    """An agent may skip minors (its kubelet is only judged by the servers' version), but not go back."""
    found = upgrade_problem(present, wanted)
    return found if found and "older" in found[0] else None


def _node_ip(host: Host, cluster: Cluster) -> list[str]:
    """Addresses to write down. A node that has begun without keeps without: addresses come and go (virtual ones, those
    of the pod network), and a change of config.yaml is a restart."""
    if host.wanted_addresses:
        return host.wanted_addresses
    begun = host.has_data or host.node_name in cluster.nodes or host.k3s.get("role")
    several = len([address for address in host.node.get("addresses") or [] if ":" not in address]) > 1
    return [host.address] if several and not begun and host.address else []


def _cluster_address(host: Host, cluster: Cluster) -> str:
    """Address of a host that this run leaves out, as the cluster knows it."""
    member = cluster.nodes.get(host.node_name) or {}
    return next(iter(member.get("addresses") or []), "") or ("" if is_loopback(host.reach) else host.reach)


def _shown(value: tuple[str, ...]) -> str:
    return ", ".join(value) or "not set"
