# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of an environment as an Ansible inventory."""

from __future__ import annotations

import collections.abc
import typing as t
from pathlib import Path

import yaml

from .environment import Environment
from .errors import HostsError


def inventory(
    environment: Environment, groups: collections.abc.Mapping[str, collections.abc.Sequence[str]]
) -> dict[str, t.Any]:
    """An inventory of the hosts in `groups`.

    Args:
        groups: Names of hosts by group. `k3s_server/control_plane` is the group control_plane, a child of k3s_server.
            Without groups the inventory holds all hosts, to be used with another inventory that has the groups.

    Raises:
        HostsError: a group names a host that does not exist.
    """
    addresses = {host.name: host.address for host in environment.hosts()}
    children: dict[str, t.Any] = {}
    for path, names in groups.items():
        level = children
        group: dict[str, t.Any] = {}
        for part in path.split("/"):
            group = level.setdefault(part, {})
            level = group.setdefault("children", {})
        for name in names:
            if name not in addresses:
                raise HostsError(f"group {path}: no test host is called {name}")
            group.setdefault("hosts", {})[name] = {"ansible_host": addresses[name]}
    for group in children.values():
        _prune_empty(group)
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(environment.key),
        # Ignores the user's ssh configuration and known hosts. A connection that Ansible keeps open ends soon after its
        # host has ended.
        "ansible_ssh_common_args": (
            f"-F none -o UserKnownHostsFile={environment.known_hosts} -o StrictHostKeyChecking=yes "
            "-o IdentitiesOnly=yes -o ServerAliveInterval=1 -o ServerAliveCountMax=8"
        ),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    content: dict[str, t.Any] = {"vars": variables}
    if groups:
        content["children"] = children
    else:
        content["hosts"] = {name: {"ansible_host": address} for name, address in addresses.items()}
    return {"all": content}


def write_inventory(
    environment: Environment, groups: collections.abc.Mapping[str, collections.abc.Sequence[str]], path: Path
) -> None:
    """Write `inventory` as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(inventory(environment, groups), sort_keys=False))


def _prune_empty(group: dict[str, t.Any]) -> None:
    for child in group.get("children", {}).values():
        _prune_empty(child)
    if not group.get("children", True):
        del group["children"]
