# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles use each other in one direction only (docs/decisions/0014-one-role-for-k3s.md), and plays name hosts by the two
groups of the inventory."""

from __future__ import annotations

import graphlib
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.inventory import AGENTS_GROUP, SERVERS_GROUP

PROJECT = Path(__file__).resolve().parents[3]
COLLECTION = "wasmfaas.platform."
NAMES = sorted(path.name for path in (PROJECT / "roles").iterdir() if (path / "meta/main.yml").exists())
ROLE_ACTIONS = ("include_role", "import_role")
OTHER_ROLE = re.compile(r"\.\./([a-z0-9_]+)/(?:tasks|templates|vars|defaults|files|handlers)\b")
"""A path from one role into another, in any file of a role."""


def uses_of(role: str) -> set[str]:
    """Roles whose tasks, templates or variables `role` names.

    A name in a variable is no use: role platform calls the components that its caller lists, and knows none of them.
    """
    directory = PROJECT / "roles" / role
    meta = yaml.safe_load((directory / "meta/main.yml").read_text(encoding="utf-8"))
    used = {str(entry["role"]) for entry in meta["dependencies"]}
    for file in directory.glob("tasks/**/*.yml"):
        used |= {name for name, _entry_point in calls_of(yaml.safe_load(file.read_text(encoding="utf-8")))}
    for file in directory.rglob("*"):
        if file.is_file() and file.suffix in (".yml", ".j2"):
            used |= {COLLECTION + name for name in OTHER_ROLE.findall(file.read_text(encoding="utf-8"))}
    return {name.removeprefix(COLLECTION) for name in used if "{{" not in name}


def calls_of(content: t.Any) -> t.Iterator[tuple[str, str]]:
    """Role and entry point of each call in plays, tasks and their blocks."""
    if isinstance(content, list):
        for entry in content:
            yield from calls_of(entry)
    elif isinstance(content, dict):
        for key, value in content.items():
            if key.rpartition(".")[2] in ROLE_ACTIONS and isinstance(value, dict):
                yield str(value["name"]), str(value.get("tasks_from", "main"))
            elif key in ("block", "rescue", "always", "tasks"):
                yield from calls_of(value)


def test_roles_use_each_other_without_a_ring() -> None:
    graph = {role: uses_of(role) for role in NAMES}
    assert set().union(*graph.values()) <= set(NAMES)
    assert graph["node_bundle"] >= {"k3s", "registries", "wasm_shims", "node_prepare"}, "the search finds nothing"
    assert all(role not in used for role, used in graph.items())
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the ring


def test_every_entry_point_that_is_called_exists() -> None:
    """Ansible checks that only for `import_role`, before a run."""
    files = [*PROJECT.glob("playbooks/**/*.yml"), *PROJECT.glob("roles/*/tasks/**/*.yml")]
    called = {call for file in files for call in calls_of(yaml.safe_load(file.read_text(encoding="utf-8")))}
    known = {(role, entry_point) for role, entry_point in called if "{{" not in role + entry_point}
    assert len(known) > 30
    paths = {f"roles/{role.removeprefix(COLLECTION)}/tasks/{entry_point}.yml" for role, entry_point in known}
    assert sorted(path for path in paths if not (PROJECT / path).exists()) == []


def test_the_page_of_role_k3s_names_every_entry_point() -> None:
    page = (PROJECT / "roles/k3s/README.md").read_text(encoding="utf-8")
    inner = {"agent_token", "airgap_images"}  # parts of other entry points
    names = {path.stem for path in (PROJECT / "roles/k3s/tasks").glob("*.yml")} - inner
    assert sorted(name for name in names if f"`{name}`" not in page) == []


@pytest.mark.parametrize("role", [role for role in NAMES if role != "k3s"])
def test_no_role_reads_private_variables_of_another(role: str) -> None:
    """But for those of k3s, which say what the host is: its plan, its unit, its files."""
    others = [name for name in NAMES if name not in (role, "k3s", "platform")]
    private = re.compile(rf"\b__({'|'.join(others)})_\w+")
    found = {
        (file.name, match[0])
        for file in (PROJECT / "roles" / role).rglob("*")
        if file.is_file() and file.suffix in (".yml", ".j2")
        for match in private.finditer(file.read_text(encoding="utf-8"))
    }
    assert found == set()


def test_plays_name_hosts_by_the_two_groups_of_the_inventory() -> None:
    """`hosts` of a play sees no group_vars, so the names can be no variables."""
    made_by_plays = ("k3s_restore_", "k3s_removal_", "k3s_reboot_")
    for path in sorted((PROJECT / "playbooks").glob("*.yml")):
        for play in yaml.safe_load(path.read_text(encoding="utf-8")):
            hosts = str(play.get("hosts", "localhost"))
            if "{{" not in hosts and hosts != "localhost":
                for name in hosts.split(":"):
                    assert name in (SERVERS_GROUP, AGENTS_GROUP) or name.startswith(made_by_plays), (path.name, hosts)
