# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""purposes.py: each purpose of k3s_plan gets the hosts that it decides about."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan import purposes

VERSION = "v1.36.4+k3s1"
NODE = {"name": "server-1", "ready": True, "control_plane": True}
K3S = {"role": "server", "ready": True, "node_name": "server-1", "version_running": VERSION}
READY = {"node": {"hostname": "server-1", "k3s": K3S}, "cluster": {"nodes": [NODE]}}


def plan(purpose: str, hostvars: dict[str, dict[str, t.Any]], **options: t.Any) -> dict[str, t.Any]:
    defaults = {
        "servers_group": "k3s_server",
        "agents_group": "k3s_agent",
        "prune": False,
        "nodes": [],
        "keep_hosts": False,
        "confirm": "",
        "backup": {},
        "identity": "",
        "restore_host": "",
    }
    variables = {
        "groups": {"k3s_server": [name for name in hostvars if name.startswith("server")]},
        "hostvars": hostvars,
        "ansible_play_hosts_all": list(hostvars),
        "ansible_play_hosts": list(hostvars),
    }
    return purposes.run(variables, {**defaults, "purpose": purpose, **options})


def test_a_ready_server_serves() -> None:
    found = plan("serve", {"server-1": {"k3s_node": READY}})
    assert (found["api_host"], found["node_names"], found["version"]) == ("server-1", ["server-1"], VERSION)


@pytest.mark.parametrize("purpose", ["site", "upgrade", "serve", "change_all", "remove", "reset", "restore"])
def test_without_a_server_each_purpose_fails_with_problems(purpose: str) -> None:
    with pytest.raises(PlatformError) as raised:
        plan(purpose, {})
    assert raised.value.facts["problems"]


def test_a_restore_that_was_begun_is_continued_where_it_was_begun() -> None:
    memory = {"in_progress": {"identity": "f00", "done": "reset"}}
    installed = {"node": {"k3s": {**K3S, "version": VERSION, "service": "inactive"}}}
    hostvars = {
        "server-1": {"k3s_node": installed},
        "server-2": {"k3s_node": installed, "k3s_restore_memory": memory},
    }
    found = plan("restore", hostvars, confirm="server-1", identity="f00")
    assert found["continuing"] and found["restore_host"] == "server-2"


def test_a_node_bundle_is_planned_for_the_hosts_of_the_play() -> None:
    group = {"architecture": "arm64", "labels": {"a": "b"}}
    desired = {"role": "agent", "name": "group-1", "version": VERSION, "config": {}, "hardening": True}
    found = plan("node_bundle", {"group-1": {"node_bundle_group": group, "k3s_desired": desired}})
    assert found["hosts"]["group-1"]["architecture"] == "arm64"


@pytest.mark.parametrize("purpose", ["site", "upgrade", "change_all", "remove", "reset", "restore"])
@pytest.mark.parametrize(("role", "unit"), [("server", "k3s"), ("agent", "k3s-agent")])
def test_a_k3s_of_another_make_is_refused_before_anything_else(purpose: str, role: str, unit: str) -> None:
    """Of the install script or k3s-ansible; also where the user has confirmed, and where one node alone is foreign."""
    path = f"/etc/systemd/system/{unit}.service"
    foreign = {"node": {"hostname": "server-2", "k3s": {**K3S, "role": role, "foreign_unit": path}}}
    hostvars = {"server-1": {"k3s_node": READY}, "server-2": {"k3s_node": foreign}}
    with pytest.raises(PlatformError) as raised:
        plan(purpose, hostvars, confirm="server-1", nodes=["server-2"])
    (problem,) = raised.value.facts["problems"]
    assert "server-2" in str(problem) and path in str(problem) and f"/usr/local/bin/{unit}-uninstall.sh" in str(problem)
    assert plan("serve", hostvars)["api_host"] == "server-1", "what changes no host works with it"
