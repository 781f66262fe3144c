# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module k3s_plan decides for each of its purposes, from the variables of all hosts. Runs on the controller
only."""

from __future__ import annotations

import dataclasses
import typing as t

from ...autoscaled.plan import AutoscaledGroup, plan_groups
from ...problems import raise_if_any
from . import inventory_checks, lifecycle
from .cluster_plan import make_plan
from .hosts import Host, Settings
from .inventory import group_members, host_of

INVENTORY = ("site", "upgrade")
"""Purposes that make the cluster what the inventory says; the module warns of what these plans find."""
READING = ("serve",)
"""Purposes that leave k3s on the hosts as it is."""
NODE_BUNDLE = "node_bundle"


def run(variables: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The plan, as the module's documentation describes it.

    Args:
        variables: of a task, as Ansible gives them.
        options: of the module.

    Raises:
        PlatformError: lists all that is in the way.
    """
    purpose = options["purpose"]
    if purpose == NODE_BUNDLE:
        return plan_groups(_groups(variables))
    hosts = _hosts(variables, options["servers_group"], options["agents_group"])
    if purpose not in READING:
        # Alone: all else that could be said of such a host, and its next step, is for hosts of this collection only.
        raise_if_any(inventory_checks.foreign_problems(hosts))
    if purpose in INVENTORY:
        return make_plan(hosts, Settings.of(hosts, prune=options["prune"], purpose=purpose))
    cluster = lifecycle.Cluster([_with_restore_memory(host, variables["hostvars"][host.name]) for host in hosts])
    if purpose == "remove":
        return lifecycle.remove(cluster, options["nodes"], keep_hosts=options["keep_hosts"])
    if purpose == "reset":
        return lifecycle.reset(cluster, options["confirm"])
    if purpose == "restore":
        return lifecycle.restore(
            cluster,
            options["backup"],
            options["confirm"],
            identity=options["identity"],
            chosen=options["restore_host"],
        )
    if purpose == "recover":
        return lifecycle.recover(cluster, options["survivor"], options["lost"])
    return lifecycle.change_all(cluster) if purpose == "change_all" else lifecycle.serve(cluster)


def _hosts(variables: t.Mapping[str, t.Any], servers_group: str, agents_group: str) -> list[Host]:
    """All hosts of the two groups, with what they shall be and what `k3s_node_info` found on them."""
    play = set(variables.get("ansible_play_hosts_all") or [])
    members = group_members(variables["groups"], servers_group, agents_group)
    return [host_of(name, role, variables["hostvars"][name], in_play=name in play) for name, role in members]


def _with_restore_memory(host: Host, variables: t.Mapping[str, t.Any]) -> Host:
    """The host with what it remembers of a restore, `k3s_restore_memory`."""
    memory = (variables.get("k3s_restore_memory") or {}).get("in_progress") or {}
    return dataclasses.replace(host, info={**host.info, "restore": memory})


def _groups(variables: t.Mapping[str, t.Any]) -> list[tuple[Host, AutoscaledGroup]]:
    """The hosts of the play, each of which stands for all nodes of a group, with `node_bundle_group`, the group."""
    groups = []
    for name in variables["ansible_play_hosts"]:
        own = variables["hostvars"][name]
        given = own["node_bundle_group"]
        group = AutoscaledGroup(
            str(given["architecture"]), dict(given.get("labels") or {}), list(given.get("taints") or [])
        )
        groups.append((host_of(name, "agent", own, in_play=True), group))
    return groups
