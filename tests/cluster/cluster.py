# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster on test hosts as an operator sees it: an inventory, the shipped playbooks, and their output."""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import os
import re
import subprocess
import sys
import typing as t
from pathlib import Path

from tests.hosts import Environment, inventory

REPOSITORY = Path(__file__).resolve().parents[2]
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)
STAND_IN_SHIM = '#!/bin/sh\necho "stand-in for containerd-shim-spin-v2"\n'


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished ansible-playbook."""

    exit_code: int
    output: str

    @property
    def changed(self) -> int:
        """The sum of `changed` of all hosts."""
        return sum(int(match[3]) for match in RECAP.finditer(self.output))

    @property
    def hosts(self) -> int:
        return len(RECAP.findall(self.output))

    def succeeded(self) -> Run:
        """Check that the run succeeded, and return it.

        Raises:
            AssertionError: the run failed; the message is the end of its output.
        """
        assert self.exit_code == 0, self.output[-6000:]
        return self

    def unchanged(self) -> Run:
        """Like `succeeded`, and also check that no host reported a change."""
        self.succeeded()
        assert self.hosts > 0
        assert self.changed == 0, self.output[-6000:]
        return self


@dataclasses.dataclass
class Cluster:
    """Test hosts with an inventory.

    Attributes:
        groups: Hosts by group, such as `k3s_server/control_plane`.
        variables: Variables of all hosts.
    """

    environment: Environment
    directory: Path
    groups: dict[str, list[str]]
    variables: dict[str, t.Any]

    @property
    def inventory(self) -> Path:
        path = self.directory / "hosts.json"
        content = inventory(self.environment, self.groups)
        content["all"]["vars"].update(self.variables)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def play(
        self,
        playbook: str,
        *arguments: str,
        environment: collections.abc.Mapping[str, str] | None = None,
        seconds: float = 600,
    ) -> Run:
        """Run a playbook of the repository's root (`site.yml`), or of the collection (`wasmfaas.platform.backup`)."""
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            playbook,
            "-i",
            str(self.inventory),
            *arguments,
        ]
        given = {
            **os.environ,
            "ANSIBLE_HOME": str(REPOSITORY / ".ansible"),
            "ANSIBLE_NOCOLOR": "1",
            **(environment or {}),
        }
        given["PATH"] = f"{Path(sys.executable).parent}:{given['PATH']}"
        finished = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Run(finished.returncode, finished.stdout)

    def kubectl(self, server: str, *arguments: str) -> t.Any:
        """The output of `kubectl ARGUMENTS -o json` on a server."""
        return json.loads(self.environment.run(server, f"k3s kubectl {' '.join(arguments)} -o json").stdout)

    def nodes(self, server: str) -> dict[str, dict[str, t.Any]]:
        """Nodes by name."""
        return {node["metadata"]["name"]: node for node in self.kubectl(server, "get", "nodes")["items"]}


def condition(node: dict[str, t.Any], kind: str) -> str:
    """The status of a node's condition; empty if the node has no such condition."""
    return next((each["status"] for each in node["status"]["conditions"] if each["type"] == kind), "")
