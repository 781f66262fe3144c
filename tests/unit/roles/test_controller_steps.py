# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing runs with sudo on the machine where Ansible runs: who deploys there has no root, and needs none. The steps
there say so by the variable ansible_become too: a user's own group_vars may set it, and it counts over the keyword.

What the files say; tests/integration/test_controller_steps.py runs some with a sudo that fails.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[3]
PLAYBOOKS = sorted(PROJECT.glob("playbooks/*.yml"))
TASK_FILES = sorted(
    [
        *PROJECT.glob("roles/*/tasks/*.yml"),
        *PROJECT.glob("roles/*/handlers/*.yml"),
        *PROJECT.glob("playbooks/tasks/*.yml"),
    ]
)
INVENTORIES = sorted(
    path
    for directory in ("inventories", "molecule", "examples", "tests")
    for path in (PROJECT / directory).rglob("*.y*ml")
    if path.is_file()
    and (directory in ("inventories", "examples") or "inventory" in path.parts or "group_vars" in path.parts)
)
ON_THE_CONTROLLER = ("localhost", "127.0.0.1", "::1")
HOSTS = ("k3s_server", "k3s_agent", "k3s_restore", "k3s_removal")
"""How `hosts` of a play names hosts of a cluster."""
WITHOUT_ROOT = (
    "ansible.builtin.assert",
    "ansible.builtin.debug",
    "ansible.builtin.fail",
    "ansible.builtin.group_by",
    "ansible.builtin.set_fact",
    "wasmfaas.platform.k3s_doctor",
)
"""What runs on the controller whatever the host is. Roles are not: these begin with their own tasks."""

RUN_BY_ANSIBLE = (
    "ansible.builtin.debug",
    "ansible.builtin.fail",
    "ansible.builtin.set_fact",
    "wasmfaas.platform.k3s_verify_ha",
)
"""What runs in Ansible's own process, as the user who started it."""


def tasks_of(entries: t.Any, inherited: t.Any = None) -> t.Iterator[tuple[dict[str, t.Any], t.Any]]:
    """Each task with the `become` that counts for it: its own, else its block's, else `inherited`; None where nobody
    says."""
    for entry in entries or []:
        become = entry.get("become", inherited)
        nested = [entry[key] for key in ("block", "rescue", "always") if key in entry]
        if not nested:
            yield entry, become
        for block in nested:
            yield from tasks_of(block, become)


def plays() -> list[tuple[Path, dict[str, t.Any]]]:
    return [
        (path, play)
        for path in PLAYBOOKS
        for play in yaml.safe_load(path.read_text(encoding="utf-8"))
        if "hosts" in play
    ]


def play_tasks(play: dict[str, t.Any]) -> list[tuple[dict[str, t.Any], t.Any]]:
    return [
        found
        for key in ("pre_tasks", "tasks", "post_tasks", "handlers")
        for found in tasks_of(play.get(key), play.get("become"))
    ]


def is_local(target: object) -> bool:
    return (
        str(target) in ON_THE_CONTROLLER or "default('localhost')" in str(target) or "groups.node_bundle" in str(target)
    )


def delegated() -> list[tuple[str, dict[str, t.Any], t.Any]]:
    """All tasks that are delegated to this machine, or are local by their connection: file and name, task, and the
    become that counts."""
    found = [
        (path, task, become)
        for path in TASK_FILES
        for task, become in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    found += [(path, task, become) for path, play in plays() for task, become in play_tasks(play)]
    return [
        (f"{path.relative_to(PROJECT)}: {task.get('name')}", task, become)
        for path, task, become in found
        if is_local(task.get("delegate_to"))
        or "local_action" in task
        or str(task.get("connection", "")).endswith("local")
    ]


def test_delegated_tasks_stay_the_user() -> None:
    tasks = delegated()
    assert len(tasks) >= 12
    for where, task, become in tasks:
        assert become is False, (
            f"{where} runs on this machine, and with sudo where its play says become. Next: become: false"
        )
        assert task.get("vars", {}).get("ansible_become") is False, (
            f"{where} runs with sudo where group_vars say ansible_become. Next: vars: ansible_become: false"
        )


def test_plays_on_this_machine_stay_the_user() -> None:
    local = [(path, play) for path, play in plays() if is_local(play["hosts"])]
    assert len(local) >= 8
    for path, play in local:
        assert play.get("become") is False, f"{path.name}: {play['name']}"
        # Where tasks are delegated to hosts, each of the others says it itself; those without root do not have to.
        for task, _become in play_tasks(play) if path.name == "verify_ha.yml" else []:
            assert _says_the_same(task) or "include" in str(list(task)) or any(key in RUN_BY_ANSIBLE for key in task), (
                task
            )
        assert path.name == "verify_ha.yml" or play["vars"]["ansible_become"] is False, f"{path.name}: {play['name']}"
        # What they delegate to hosts says itself that it is root there.
        for task, become in play_tasks(play):
            assert "delegate_to" not in task or is_local(task["delegate_to"]) or become is not False, (
                f"{path.name}: {task.get('name')}"
            )


@pytest.mark.parametrize("path", sorted(PROJECT.glob("playbooks/tasks/*.yml")), ids=lambda path: path.name)
def test_included_tasks_say_who_they_are(path: Path) -> None:
    """They are included by a play on this machine, whose become is false."""
    for task, become in tasks_of(yaml.safe_load(path.read_text(encoding="utf-8"))):
        assert "delegate_to" not in task or is_local(task["delegate_to"]) or become is not None, (
            f"{path.name}: {task.get('name')}"
        )


def test_where_root_depends_on_a_variable_ansible_become_does_too() -> None:
    found = [(path.name, play) for path, play in plays() if isinstance(play.get("become"), str)]
    found += [
        (path.name, task)
        for path in [*PLAYBOOKS, *TASK_FILES]
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
        for task, _become in (play_tasks(entry) if "hosts" in entry else tasks_of([entry]))
        if isinstance(task.get("become"), str)
    ]
    assert len(found) >= 9
    for name, entry in found:
        assert _says_the_same(entry), f"{name}: {entry['name']}"


def _says_the_same(entry: dict[str, t.Any]) -> bool:
    """Whether a play or task says by ansible_become what it says by its keyword; true for one that is root."""
    return entry.get("become") is True or (
        "become" in entry and entry.get("vars", {}).get("ansible_become") == entry["become"]
    )


def test_plays_on_hosts_become_root_themselves() -> None:
    """No inventory has to say it: as a variable it would count on this machine too, and over any keyword."""
    on_hosts = [(path, play) for path, play in plays() if any(group in play["hosts"] for group in HOSTS)]
    assert len(on_hosts) >= 25
    for path, play in on_hosts:
        if play.get("become") is True:
            continue
        for task, become in play_tasks(play):
            where = f"{path.name}: {play['name']}: {task.get('name')}"
            roles = [value for key, value in task.items() if key.endswith(("include_role", "import_role"))]
            # Looks at hosts in the one role for which it says become, and works on this machine else
            if roles and path.name == "bundle.yml":
                assert roles[0]["tasks_from"] != "look" or roles[0]["apply"]["become"] is True, where
            # With hosts of one's own, which may be this machine, it does not become root
            elif path.name not in {"platform.yml", "verify_isolation.yml"}:
                assert become is True or any(key in WITHOUT_ROOT for key in task), where


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_inventory_makes_this_machine_become_root(path: Path) -> None:
    """In `all`, or for localhost. For groups of hosts a user may set it, though the plays do that."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "group_vars":
        forbidden = [content] if path.stem == "all" else []
    elif isinstance(content, dict) and "plugin" not in content:
        everything = content.get("all") or {}
        forbidden = [
            everything.get("vars") or {},
            *(entry or {} for name, entry in (everything.get("hosts") or {}).items() if name in ON_THE_CONTROLLER),
        ]
    else:
        forbidden = [(content or {}).get("compose") or {}] if isinstance(content, dict) else []
    for variables in forbidden:
        assert not [name for name in variables or {} if name.startswith("ansible_become") or name == "ansible_sudo"], (
            path
        )


@pytest.mark.parametrize(
    "directory",
    sorted(path for path in (PROJECT / "inventories").iterdir() if path.name != "aws_offline"),
    ids=lambda path: path.name,
)
def test_inventories_name_this_machine_where_they_speak_of_their_directory(directory: Path) -> None:
    """A localhost that Ansible makes up has no `inventory_dir`: variables with it are undefined there, and fall back to
    what may be another cluster's."""
    texts = {path: path.read_text(encoding="utf-8") for path in directory.rglob("*.yml")}
    inventories = [yaml.safe_load(text) for path, text in texts.items() if path.parent == directory]
    named = any("localhost" in ((content.get("all") or {}).get("hosts") or {}) for content in inventories)
    assert named or not any("inventory_dir" in text for text in texts.values())


def test_the_inventory_that_terraform_makes_says_nothing_of_root() -> None:
    for name in ("scripts/terraform_inventory.py", "plugins/inventory/aws_cluster.py", "terraform/outputs.tf"):
        assert "become" not in (PROJECT / name).read_text(encoding="utf-8"), name
