# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role of the platform as Ansible sees it, without a play: its variables over those of role platform, its templates
and refusals by Ansible's templar."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

PROJECT = Path(__file__).resolve().parents[3]
ROLES = PROJECT / "roles"

Variables = dict[str, t.Any]

init_plugin_loader([str(PROJECT / ".ansible/collections")])


class RenderedRole:
    """`variables` are those of an inventory: they go over the role's defaults, as in a play."""

    def __init__(self, name: str, **variables: t.Any) -> None:
        self.path = ROLES / name
        self._loader = DataLoader()
        self._loader.set_basedir(str(self.path))
        self._variables: Variables = {
            "groups": {"all": ["server-1"]},
            "hostvars": {},
            "platform_host": "server-1",
            "playbook_dir": "/playbooks",
        }
        self._variables["ansible_search_path"] = [str(self.path)]
        self.name = name
        for file in (ROLES / "platform/defaults/main.yml", self.path / "defaults/main.yml"):
            self._variables |= self._load(file)
        self._variables |= variables
        for file in (ROLES / "platform/vars/main.yml", self.path / "vars/main.yml"):
            self._variables |= self._load(file)

    def _load(self, file: Path) -> Variables:
        return dict(self._loader.load_from_file(str(file), trusted_as_template=True) or {}) if file.exists() else {}

    def value(self, expression: str, **variables: t.Any) -> t.Any:
        """What a Jinja expression comes to in a task of the role."""
        templar = Templar(loader=self._loader, variables={**self._variables, **variables})
        # Through JSON, to be without Ansible's notes of where each value comes from.
        return json.loads(json.dumps(templar.template(trust_as_template("{{ " + expression + " }}"))))

    def template(self, name: str, **variables: t.Any) -> t.Any:
        """What a template gives, read as YAML."""
        return self.value(f"lookup('ansible.builtin.template', '{name}') | from_yaml", **variables)

    def objects(self, name: str = "objects.yml.j2", **variables: t.Any) -> dict[tuple[str, str], Variables]:
        """The objects of a template by kind and name."""
        listed = self.template(name, **variables)
        found = {(item["kind"], item["metadata"]["name"]): item for item in listed}
        assert len(found) == len(listed), "two objects of a kind have one name"
        return found

    def problems(self, **variables: t.Any) -> list[str]:
        """What is wrong with the role's variables, as its check says before anything is touched."""
        return list(self.value(f"query('wasmfaas.platform.role_problems', '{self.name}')", **variables))

    def tasks(self, file: str = "main.yml") -> list[dict[str, t.Any]]:
        """The tasks of a file, those of its blocks in their place."""
        read = self._loader.load_from_file(str(self.path / "tasks" / file), trusted_as_template=True)
        return [task for entry in read for task in entry.get("block", [entry])]

    def refusal(self, task_name: str, file: str = "main.yml", **variables: t.Any) -> str:
        """What a task that asserts says; empty where it lets pass. All its conditions are asked, as `assert` does."""
        (task,) = [task for task in self.tasks(file) if task["name"] == task_name]
        arguments = task["ansible.builtin.assert"]
        conditions = arguments["that"] if isinstance(arguments["that"], list) else [arguments["that"]]
        own = {**self._variables, **variables, **task.get("vars", {})}
        templar = Templar(loader=self._loader, variables=own)
        if all(templar.evaluate_conditional(condition) for condition in conditions):
            return ""
        return str(templar.template(arguments["fail_msg"]))
