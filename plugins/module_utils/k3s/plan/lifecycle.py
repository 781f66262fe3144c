# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the playbooks for an existing cluster decide before they touch it: on which server to work, whom it concerns,
and what stands in the way.

The plan of site.yml wants every host there and healthy; these playbooks are for clusters that are not. Runs on the
controller only.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing as t

from ...problems import Problem, raise_if_any
from .. import version
from ..recovery.restore import RESET
from .cluster_plan import KEEP_OUT
from .hosts import Host, is_autoscaled
from .machine_checks import certificate_problems

Result = dict[str, t.Any]

TAKE_OUT = "take it out of the inventory"


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The hosts of the inventory, in its order."""

    hosts: t.Sequence[Host]

    @property
    def servers(self) -> list[Host]:
        return [host for host in self.hosts if host.role == "server"]

    @property
    def live(self) -> list[Host]:
        """Servers whose API answers. Those that the cluster itself counts as healthy come first: a server that was cut
        off believes in itself for a while."""
        return [host for host in self.servers if host.is_live_server]

    @property
    def nodes(self) -> list[dict[str, t.Any]]:
        """The cluster's nodes, as its first live server sees them."""
        return list((self.live[0].info["cluster"] or {}).get("nodes") or []) if self.live else []

    @property
    def node_names(self) -> list[str]:
        return [str(node["name"]) for node in self.nodes]

    def common(self) -> Result:
        """What every playbook gets."""
        first = self.live[0] if self.live else None
        return {
            "api_host": first.name if first else "",
            "api_node": first.node_name if first else "",
            "version": str(first.k3s.get("version_running") or first.k3s.get("version") or "") if first else "",
            "node_names": self.node_names,
            "servers": [host.name for host in self.servers if host.known],
            "server_addresses": [host.address for host in self.servers if host.address],
            "unreachable_hosts": [host.name for host in self.hosts if host.unreachable],
            "messages": [],
        }


def serve(cluster: Cluster) -> Result:
    """For a playbook that needs one living server.

    Raises:
        PlatformError: there is none.
    """
    raise_if_any(no_live_server(cluster))
    return cluster.common()


def no_live_server(cluster: Cluster) -> list[Problem]:
    if not cluster.servers:
        return [Problem("", "the inventory has no servers", "name hosts in the group k3s_server")]
    if cluster.live:
        return []
    if ended := [problem for host in cluster.servers for problem in certificate_problems(host)]:
        return ended
    found = ", ".join(
        f"{host.name} {host.unreachable or host.k3s.get('service') or 'unknown'}" for host in cluster.servers
    )
    fix = (
        "run ansible-playbook wasmfaas.platform.site, which starts a stopped cluster; wasmfaas.platform.doctor says "
        "more; without a majority of the servers, ansible-playbook wasmfaas.platform.restore or a new member"
    )
    return [Problem("", f"no server of the cluster answers ({found})", fix)]


def change_all(cluster: Cluster) -> Result:
    """For a playbook that changes every node, one after the other: all must be there and healthy.

    Raises:
        PlatformError: some are not.
    """
    problems = no_live_server(cluster)
    ready = {str(node["name"]): node for node in cluster.nodes}
    for host in cluster.hosts:
        if host.unreachable:
            problems.append(
                Problem(
                    host.name,
                    f"it cannot be reached ({host.unreachable})",
                    "bring it back, or remove it with ansible-playbook wasmfaas.platform.remove_node -e force=true",
                )
            )
        elif not host.in_play:
            problems.append(
                Problem(
                    host.name,
                    "--limit leaves it out, and then it would keep what the others no longer accept",
                    "run it without --limit",
                )
            )
        elif cluster.live and (ended := certificate_problems(host)):
            problems += ended
        elif cluster.live and host.node_name not in ready:
            problems.append(
                Problem(
                    host.name,
                    f"the cluster has no node {host.node_name}",
                    "run ansible-playbook wasmfaas.platform.site first, it lets the host join",
                )
            )
        elif cluster.live and not ready[host.node_name].get("ready"):
            problems.append(
                Problem(
                    host.name,
                    "its node is not Ready",
                    "wasmfaas.platform.doctor says why; or remove it with ansible-playbook "
                    "wasmfaas.platform.remove_node -e force=true",
                )
            )
        elif cluster.live and (ill := ready[host.node_name].get("member_problem")):
            fix = "wasmfaas.platform.doctor says why; or remove it with ansible-playbook wasmfaas.platform.remove_node"
            problems.append(Problem(host.name, f"its etcd member is not healthy ({ill})", fix))
    missing = sorted(
        name for name in set(ready) - {host.node_name for host in cluster.hosts} if not is_autoscaled(ready[name])
    )
    if missing:
        fix = (
            "add the hosts, and clean with ansible-playbook wasmfaas.platform.remove_node those that were removed and "
            "came back; or remove the nodes with ansible-playbook wasmfaas.platform.site -e prune=true"
        )
        problems.append(Problem("", f"no host of the inventory has the nodes {', '.join(missing)}", fix))
    raise_if_any(problems)
    return cluster.common()


def remove(cluster: Cluster, names: t.Sequence[str], *, keep_hosts: bool = False) -> Result:
    """Which nodes leave, which hosts are cleaned, and from which server that is done.

    Args:
        names: of hosts in the inventory or of nodes.
        keep_hosts: whether k3s stays on the hosts; it is stopped and disabled there then.

    Raises:
        PlatformError: an unknown name, or no server would be left.
    """
    problems = no_live_server(cluster)
    if not names:
        problems.append(Problem("", "no node is named", "add -e node=NAME, or several with commas"))
    by_name = {**{host.node_name: host for host in cluster.hosts}, **{host.name: host for host in cluster.hosts}}
    known = sorted({*by_name, *cluster.node_names})
    nodes: list[str] = []
    hosts: list[Host] = []
    for name in dict.fromkeys(names):
        host = by_name.get(name)
        if host is not None:
            nodes.append(host.node_name)
            hosts.append(host)
        elif name in cluster.node_names:
            nodes.append(name)
        elif cluster.live:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(
                Problem(
                    "",
                    f"there is no node and no host {name}",
                    f"did you mean {near[0]}?" if near else f"name one of {', '.join(known)}",
                )
            )
    staying = [host for host in cluster.live if host.name not in {leaving.name for leaving in hosts}]
    if cluster.live and hosts and not staying:
        fix = "add another server first; to take the whole cluster down, use ansible-playbook wasmfaas.platform.reset"
        problems.append(Problem("", "no living server would be left", fix))
    raise_if_any(problems)
    result = Cluster([*staying, *(host for host in cluster.hosts if host not in staying)]).common()
    unreachable = [host.name for host in hosts if host.unreachable or not host.known]
    servers_left = len({host.node_name for host in cluster.servers} - set(nodes))
    messages = []
    if any(host.role == "server" for host in hosts) and servers_left % 2 == 0:
        messages.append(f"{servers_left} servers tolerate no more failures than {servers_left - 1}: add one soon")
    without_host = [node for node in nodes if node not in {host.node_name for host in hosts}]
    if without_host:
        messages.append(
            f"{', '.join(without_host)}: no host of the inventory stands for it, so k3s stays on it where it still "
            f"exists: {KEEP_OUT}"
        )
    if unreachable:
        messages.append(
            f"{', '.join(unreachable)}: cannot be reached, so k3s is still on it: {KEEP_OUT}; once it is reached, "
            "run this again, which cleans it"
        )
    reached = [host.name for host in hosts if host.known]
    clean, stop = ([], reached) if keep_hosts else (reached, [])
    return {**result, "remove_nodes": nodes, "clean_hosts": clean, "stop_hosts": stop, "messages": messages}


def reset(cluster: Cluster, confirmed: str) -> Result:
    """Whether the whole cluster may be taken down.

    Args:
        confirmed: must be the name of the first server in the inventory.

    Raises:
        PlatformError: not confirmed, or some hosts would keep a half of the cluster.
    """
    problems = not_confirmed(
        cluster, confirmed, "all nodes, all data of the cluster and all volumes on its hosts are deleted"
    )
    for host in cluster.hosts:
        if host.unreachable:
            problems.append(
                Problem(
                    host.name,
                    f"it cannot be reached ({host.unreachable})",
                    "bring it back, or take it out of the inventory and never start its k3s again",
                )
            )
        elif not host.in_play:
            problems.append(
                Problem(
                    host.name,
                    "--limit leaves it out, but a cluster is reset as a whole",
                    "run it without --limit; for single nodes use ansible-playbook wasmfaas.platform.remove_node",
                )
            )
    raise_if_any(problems)
    return cluster.common()


def not_confirmed(cluster: Cluster, confirmed: str, what: str) -> list[Problem]:
    wanted = cluster.servers[0].name if cluster.servers else ""
    if wanted and confirmed == wanted:
        return []
    return [Problem("", f"it is not confirmed that {what}", f"add -e confirm={wanted}, the name of the first server")]


def restore(
    cluster: Cluster, backup: t.Mapping[str, t.Any], confirmed: str, *, identity: str, chosen: str = ""
) -> Result:
    """On which server the snapshot is restored, and whether a run that was cut off is continued.

    Args:
        backup: of k3s_backup_info; only `version`, `authority`, `s3` and `fetched` count. May be empty for a snapshot
            in a bucket that nothing is known of.
        identity: what tells this restore from others; hosts remember it (`k3s_restore` of their info).
        chosen: the server that the user wants; the first one where empty.

    Raises:
        PlatformError: not confirmed, a server that would come back with the old data, or a version that cannot read the
            snapshot.
    """
    servers = cluster.servers
    problems = not_confirmed(
        cluster, confirmed, "the cluster goes back to the snapshot and forgets all that was written since"
    )
    names = [host.name for host in servers]
    if chosen and chosen not in names:
        problems.append(
            Problem(
                "", f"{chosen} is no server of the inventory", f"name one of {', '.join(names)} with -e restore_host"
            )
        )
    for host in cluster.hosts:
        problems += restore_problems(host, str(backup.get("version") or ""))
    raise_if_any(problems)
    done = {host.name: host.info.get("restore") or {} for host in servers}
    continuing = [name for name in names if done[name].get("identity") == identity and done[name].get("done") in RESET]
    if continuing and chosen and chosen not in continuing:
        raise_if_any(
            [
                Problem(
                    "",
                    f"this restore was begun on {continuing[0]}",
                    f"leave out -e restore_host, or name {continuing[0]}",
                )
            ]
        )
    first = next(
        (host for host in servers if host.name == (continuing[0] if continuing else chosen or names[0])), servers[0]
    )
    same = all(host.k3s.get("ca_sha256") in ("", None, backup.get("authority")) for host in cluster.hosts)
    return {
        **cluster.common(),
        "restore_host": first.name,
        "restore_node": first.node_name,
        "restore_address": first.address,
        "continuing": bool(continuing),
        "others": [name for name in names if name != first.name],
        "same_cluster": same,
        "keep_nodes": [host.node_name for host in cluster.hosts],
    }


def recover(cluster: Cluster, survivor: str, lost: t.Sequence[str]) -> Result:
    """Whether a server may become the only member of etcd, with the data that it has, and what becomes of the others.

    The cluster cannot say how many members it has: without a majority it does not answer. So the user says which are
    gone.

    Args:
        survivor: name in the inventory of the server whose data is kept.
        lost: servers that are gone for good; names of hosts in the inventory, or of nodes.

    Raises:
        PlatformError: a majority is there, or it is not said of each server what became of it.
    """
    gone = set(lost)
    lost_hosts = [host for host in cluster.servers if gone & {host.name, host.node_name}]
    lost_nodes = {host.node_name for host in lost_hosts} | gone.difference(host.name for host in lost_hosts)
    staying = [host for host in cluster.servers if host not in lost_hosts]
    identity = f"recovery of {survivor}"
    done = {host.name: host.info.get("restore") or {} for host in staying}
    begun = {name for name, memory in done.items() if memory.get("identity") == identity}
    first = next((host for host in staying if host.name == survivor and host.has_data), None)
    nothing = bool(cluster.live) and not begun and not lost_nodes & set(cluster.node_names)
    if not nothing:
        problems = _unsaid(cluster, survivor, lost_hosts, staying) if first is None or not lost else []
        problems += [_not_lost(host) for host in lost_hosts if host.has_data]
        if cluster.live and not begun:
            problems = [_answers(cluster, lost_nodes)]
        elif not problems and not begun:
            problems = _majority_problems(staying, len(lost_nodes))
        for host in cluster.hosts:
            if host not in lost_hosts:
                problems += absence_problems(host, "name it with -e lost=NAME" if host.role == "server" else TAKE_OUT)
        raise_if_any(problems)
    return {
        **cluster.common(),
        "restore_host": first.name if first else "",
        "restore_node": first.node_name if first else "",
        "restore_address": first.address if first else "",
        "continuing": survivor in begun and done[survivor].get("done") in RESET,
        # Blank ones are left to site.yml.
        "others": [host.name for host in staying if host is not first and (host.has_data or host.name in begun)],
        "agents": [host.name for host in cluster.hosts if host.role != "server"],
        "keep_nodes": [host.node_name for host in cluster.hosts if host not in lost_hosts],
        "identity": identity,
        "nothing_to_do": nothing,
    }


def _unsaid(cluster: Cluster, survivor: str, lost: t.Sequence[Host], staying: t.Sequence[Host]) -> list[Problem]:
    """What the user has not said, or not so that it can be done."""
    problems = []
    holding = [host.name for host in staying if host.has_data]
    if survivor not in holding:
        what = f"{survivor} is no server of the inventory" if survivor else "it is not said whose data is kept"
        if survivor in [host.name for host in lost]:
            what = f"{survivor} is named as lost and as survivor"
        elif survivor in [host.name for host in cluster.servers]:
            what = f"{survivor} cannot be reached, or has no data of etcd"
        step = f"name one of {', '.join(holding)} with -e survivor=NAME"
        none = "no server has data of etcd: run ansible-playbook wasmfaas.platform.restore with a backup"
        problems.append(Problem("", what, step if holding else none))
    if not lost:
        problems.append(
            Problem("", "it is not said which servers are gone for good", "name them with -e lost=NAME,NAME")
        )
    return problems


def _not_lost(host: Host) -> Problem:
    what = "it is named as lost, but it can be reached and has data of etcd"
    return Problem(host.name, what, "leave it out of -e lost: it counts for the majority")


def _answers(cluster: Cluster, lost_nodes: t.Collection[str]) -> Problem:
    dead = ",".join(name for name in cluster.node_names if name in lost_nodes)
    return Problem(
        "",
        "the cluster answers, so the majority of its servers is there",
        f"run ansible-playbook wasmfaas.platform.remove_node -e node={dead} -e force=true, which removes the lost ones",
    )


def _majority_problems(staying: t.Sequence[Host], lost: int) -> list[Problem]:
    holding = [host.name for host in staying if host.has_data]
    total = len(staying) + lost
    if len(holding) <= total // 2:
        return []
    return [
        Problem(
            "",
            f"{', '.join(holding)} {'are' if len(holding) > 1 else 'is'} {len(holding)} of {total} servers, a majority "
            "that forms the cluster by itself",
            "run ansible-playbook wasmfaas.platform.site, which starts them; if more servers are gone for good, name "
            "all of them with -e lost=NAME,NAME",
        )
    ]


def restore_problems(host: Host, needed: str) -> list[Problem]:
    if absent := absence_problems(host):
        return absent
    if host.role != "server":
        return []
    own = str(host.k3s.get("version") or "")
    if not own or host.k3s.get("service") == "missing":
        return [
            Problem(
                host.name,
                "k3s is not installed there",
                "run ansible-playbook wasmfaas.platform.site with these hosts first: it installs k3s and makes an "
                "empty cluster, which is then replaced",
            )
        ]
    if version.is_version(own) and version.is_version(needed):
        mine, theirs = version.parse(own), version.parse(needed)
        # k3s docs, cli/etcd-snapshot.md: "the same version … a higher minor version is also acceptable".
        if (mine.major, mine.minor) < (theirs.major, theirs.minor):
            what = f"its k3s {own} is older than that of the snapshot, {needed}"
            return [
                Problem(
                    host.name,
                    what,
                    f"set k3s_version to {needed} and run ansible-playbook wasmfaas.platform.upgrade or, where the "
                    "cluster is lost, ansible-playbook wasmfaas.platform.reset and ansible-playbook "
                    "wasmfaas.platform.site first",
                )
            ]
        if (mine.major, mine.minor) > (theirs.major, theirs.minor + 1):
            return [
                Problem(
                    host.name,
                    f"its k3s {own} skips a minor version after that of the snapshot, {needed}",
                    f"set k3s_version to {needed}",
                )
            ]
    return []


def absence_problems(host: Host, if_gone: str = TAKE_OUT) -> list[Problem]:
    """A host that a restore would leave out.

    Args:
        if_gone: what to do about one that is gone for good.
    """
    if host.unreachable:
        if host.role == "server":
            what = (
                f"it cannot be reached ({host.unreachable}), and would bring back the cluster as it was before "
                "when it starts again"
            )
            return [Problem(host.name, what, f"bring it back; or, if it is gone for good, {if_gone}")]
        return [Problem(host.name, f"it cannot be reached ({host.unreachable})", f"bring it back, or {if_gone}")]
    if not host.in_play:
        return [
            Problem(host.name, "--limit leaves it out, but a cluster is restored as a whole", "run it without --limit")
        ]
    return []
