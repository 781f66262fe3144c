# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Site playbooks on test hosts (tests/hosts): how long a run takes, and how many tasks it has for each host."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from tests.hosts import Environment, HostsError, inventory, k3s_binary, unavailable

from .measure import ANSIBLE_PLAYBOOK, REPOSITORY, NotMeasuredError, environment

FORKS = int(os.environ.get("BENCH_FORKS", "5"))
"""For all that is measured: Ansible's own default. ansible.cfg of this project says more."""

SECONDS = 900.0
_RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) .* failed=0 +skipped=(\d+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Tasks:
    """What one host had of a run. A task with a loop is one task."""

    run: int
    skipped: int
    changed: int


@dataclasses.dataclass(frozen=True)
class Run:
    """A run that succeeded; `tasks` by host."""

    seconds: float
    tasks: dict[str, Tasks]


@dataclasses.dataclass(frozen=True)
class Site:
    """A site playbook with its inventory. `environment` is the whole environment of its process."""

    name: str
    command: list[str]
    directory: Path
    environment: dict[str, str]

    def run(self) -> Run:
        """Run it once.

        Raises:
            NotMeasuredError: it failed; what it printed is in a file that the message names.
        """
        started = time.monotonic()
        done = subprocess.run(
            self.command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode:
            log = REPOSITORY / "bench" / "output" / f"{self.name}.log"
            log.parent.mkdir(exist_ok=True)
            log.write_text(done.stdout)
            raise NotMeasuredError(f"{self.name} failed, see {log.relative_to(REPOSITORY)}")
        return Run(
            seconds,
            {
                host: Tasks(int(ok), int(skipped), int(changed))
                for host, ok, changed, skipped in _RECAP.findall(done.stdout)
            },
        )


@contextlib.contextmanager
def booted(names: collections.abc.Sequence[str]) -> t.Iterator[Environment]:
    """Blank hosts of these names."""
    if reason := unavailable():
        raise NotMeasuredError(reason)
    # Overlays need a disk, which /tmp may not be.
    directory = Path(tempfile.mkdtemp(prefix="wasmfaas-bench-", dir="/var/tmp"))
    made = Environment(directory / "hosts")
    try:
        Environment.create(made.directory, names)
        yield made
    except HostsError as error:
        raise NotMeasuredError(str(error)) from error
    finally:
        made.destroy()
        shutil.rmtree(directory, ignore_errors=True)


def site(
    hosts: Environment, directory: Path, servers: collections.abc.Sequence[str], agents: collections.abc.Sequence[str]
) -> Site:
    """This project's site.yml. `directory` is for its inventory and its connections: a new one where hosts are new."""
    variables = {
        **k3s_binary.inventory(directory, k3s_binary.selected())["all"]["vars"],
        "k3s_cgroup_v1_allowed": True,  # the build machines have nothing newer
        "k3s_minimum_disk_gib": 1,
        "k3s_kubeconfig": str(directory / "kubeconfig.yml"),
        "platform_components": [],  # charts need images
    }
    hosts_file = write_hosts(
        hosts, directory, {"k3s_server/control_plane": servers, "k3s_agent/worker_wasm": agents}, variables
    )
    command = [ANSIBLE_PLAYBOOK, "site.yml", "-i", str(hosts_file), "--forks", str(FORKS)]
    variables_of_process = {
        **environment(),
        **connections(directory),
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
    }
    return Site("site.yml", command, REPOSITORY, variables_of_process)


def write_hosts(
    hosts: Environment,
    directory: Path,
    groups: collections.abc.Mapping[str, collections.abc.Sequence[str]],
    variables: collections.abc.Mapping[str, t.Any],
) -> Path:
    """An inventory in `directory`."""
    content = inventory(hosts, groups)
    content["all"]["vars"].update(variables)
    # The first value of an option counts: no host is killed here, and a busy machine may be silent for longer than the
    # test hosts' 8 s.
    content["all"]["vars"]["ansible_ssh_common_args"] = (
        f"-o ServerAliveInterval=30 {content['all']['vars']['ansible_ssh_common_args']}"
    )
    path = directory / "hosts.json"
    path.write_text(json.dumps(content))
    return path


def connections(directory: Path) -> dict[str, str]:
    """What keeps one round's open SSH connections from the next one's hosts, which have the same addresses."""
    return {"ANSIBLE_SSH_CONTROL_PATH_DIR": str(directory / "cp"), "ANSIBLE_NOCOLOR": "1"}


def load() -> str:
    """How busy others keep this machine: the load average of the last minute, to be read before a measurement."""
    return f"{os.getloadavg()[0]:.1f}"
