# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the collection's playbooks with the real ansible-playbook, as a user does, and keeps their output."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from .servers import REPOSITORY

RUN_SECONDS = 900.0
ANOTHER_PYTHON_NAME = Path(sys.executable).with_name(f"python{sys.version_info.major}.{sys.version_info.minor}")
"""Another name of this Python. As the interpreter it makes Ansible execute a module in a process of its own."""


@dataclasses.dataclass(frozen=True)
class PlaybookRun:
    """A finished run: its exit code and its whole output."""

    exit_code: int
    output: str

    @property
    def changed(self) -> int:
        """The number of changed tasks in the recap."""
        found = re.search(r"^localhost\s.* changed=(\d+) ", self.output, re.MULTILINE)
        assert found is not None, self.output
        return int(found[1])

    @property
    def result_line(self) -> str:
        """The line with which the play ends."""
        found = re.search(r"^TASK \[Result: (.*)\] \*", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]


class Playbooks:
    """Runs playbooks with `home` as the user's home directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        playbook: str,
        *arguments: str,
        directory: Path = REPOSITORY,
        inventory: str = "single",
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start `ansible-playbook PLAYBOOK -i inventories/INVENTORY ARGUMENTS…` in `directory`, in a new process group.

        Args:
            playbook: one of the collection (`wasmfaas.platform.doctor`), or a file in the root (`site.yml`).
        """
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("ANSIBLE_", "XDG_", "K8S_AUTH_", "KUBECONFIG", "PYTHONPATH"))
        }
        ours = {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "ANSIBLE_HOME": str(REPOSITORY / ".ansible"),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        command = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            playbook if playbook.startswith("wasmfaas.platform.") else str(REPOSITORY / playbook),
            "-i",
            str(REPOSITORY / "inventories" / inventory),
        ]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=directory,
            env={**inherited, **ours, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def finish(process: subprocess.Popen[str], *, seconds: float = RUN_SECONDS) -> PlaybookRun:
        try:
            output, _errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return PlaybookRun(process.returncode, output)

    def run(
        self,
        playbook: str,
        *arguments: str,
        directory: Path = REPOSITORY,
        inventory: str = "single",
        environment: dict[str, str] | None = None,
    ) -> PlaybookRun:
        """Like `start`, but wait for the end."""
        return self.finish(
            self.start(playbook, *arguments, directory=directory, inventory=inventory, environment=environment)
        )


def extra(**variables: object) -> list[str]:
    """`-e name=value` for each variable, quoted as users do. A value that is not text is given as JSON."""
    arguments: list[str] = []
    for name, value in variables.items():
        text = f'{name}="{value}"' if isinstance(value, (str, Path)) else json.dumps({name: value})
        arguments += ["-e", text]
    return arguments
