# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""After site.yml was killed at a task, the next run makes the same cluster as an undisturbed run."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.extent import FULL

from .cluster import Cluster, Run, condition

CALLBACK = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"), "ANSIBLE_CALLBACKS_ENABLED": "cut_off"}

STEP = 1 if FULL else 9
"""`make test-full` kills site.yml at every task, which takes 15 minutes; `make test` at every ninth."""

AFTER_A_CHANGE = ("Sort the hosts", "Remove the settings of the first start")
"""Tasks after a change that the next run might not complete: files are written but k3s has not started, or k3s has
started but `cluster-init` is still set."""


@pytest.fixture
def small(blank: Cluster) -> Cluster:
    """One server and one agent, which need less time and still run every kind of task."""
    blank.groups = {"k3s_server/control_plane": ["server1"], "k3s_agent/worker_wasm": ["agent1"]}
    return blank


def cut(cluster: Cluster, **where: str) -> tuple[Run, list[str]]:
    """Run site.yml until it is killed or ends. Returns the run, and the names of the tasks that began."""
    tasks = cluster.directory / "tasks"
    run = cluster.play("site.yml", environment={**CALLBACK, "CUT_OFF_TASKS": str(tasks), **where})
    return run, tasks.read_text(encoding="utf-8").splitlines()


def converges(cluster: Cluster) -> None:
    """The next run succeeds, the run after it changes nothing, and the cluster agrees with the inventory."""
    cluster.play("site.yml").succeeded()
    cluster.play("site.yml").unchanged()
    nodes = cluster.nodes("server1")
    assert {name: condition(node, "Ready") for name, node in nodes.items()} == {"server1": "True", "agent1": "True"}
    assert nodes["agent1"]["metadata"]["labels"]["wasmfaas.dev/runtime-spin"] == "true"
    assert (
        "cluster-init" not in cluster.environment.run("server1", "cat /etc/rancher/k3s/config.yaml.d/join.yaml").stdout
    )


@pytest.mark.parametrize("name", AFTER_A_CHANGE)
def test_the_second_run_completes_the_first(small: Cluster, name: str) -> None:
    run, tasks = cut(small, CUT_OFF_NAME=name)
    assert run.exit_code == -signal.SIGKILL, run.output[-3000:]
    assert name in tasks[-1]
    converges(small)


def test_site_yml_converges_after_being_killed_at_later_and_later_tasks(small: Cluster) -> None:
    boundary = STEP
    while True:
        run, tasks = cut(small, CUT_OFF_AT=str(boundary))
        if run.exit_code == 0:
            break
        assert run.exit_code == -signal.SIGKILL, run.output[-3000:]
        assert len(tasks) == boundary
        boundary += STEP
    assert boundary >= 3 * STEP  # it was killed at least twice
    converges(small)
