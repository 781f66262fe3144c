# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml killed at a task: the next run makes the same cluster as a run that was left alone."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.extent import FULL

from .cluster import Cluster, Run, condition

CALLBACK = {"ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"), "ANSIBLE_CALLBACKS_ENABLED": "cut_off"}

STEP = 1 if FULL else 9
"""All boundaries take a quarter of an hour: `make test-full`. Every ninth is what each run of the tests does."""

AFTER_A_CHANGE = ("Sort the hosts", "Remove the settings of the first start")
"""Tasks that follow a change that a forgetful playbook would not repeat: files without a start, a start with
`cluster-init` still there."""


@pytest.fixture
def small(blank: Cluster) -> Cluster:
    """One server, one agent: every kind of task, in less time."""
    blank.groups = {"k3s_server/control_plane": ["server1"], "k3s_agent/worker_wasm": ["agent1"]}
    return blank


def cut(cluster: Cluster, **where: str) -> tuple[Run, list[str]]:
    """Run site.yml until it is killed, or to its end; the names of the tasks that it began."""
    tasks = cluster.directory / "tasks"
    run = cluster.play("site.yml", environment={**CALLBACK, "CUT_OFF_TASKS": str(tasks), **where})
    return run, tasks.read_text(encoding="utf-8").splitlines()


def converges(cluster: Cluster) -> None:
    """The next run succeeds, the one after changes nothing, and the cluster is what the inventory says."""
    cluster.play("site.yml").succeeded()
    cluster.play("site.yml").unchanged()
    nodes = cluster.nodes("server1")
    assert {name: condition(node, "Ready") for name, node in nodes.items()} == {"server1": "True", "agent1": "True"}
    assert nodes["agent1"]["metadata"]["labels"]["wasmfaas.dev/runtime-spin"] == "true"
    assert (
        "cluster-init" not in cluster.environment.run("server1", "cat /etc/rancher/k3s/config.yaml.d/join.yaml").stdout
    )


@pytest.mark.parametrize("name", AFTER_A_CHANGE)
def test_first_run_is_made_good_by_the_second(small: Cluster, name: str) -> None:
    run, tasks = cut(small, CUT_OFF_NAME=name)
    assert run.exit_code == -signal.SIGKILL, run.output[-3000:]
    assert name in tasks[-1]
    converges(small)


def test_killed_again_and_again_at_later_tasks_it_still_converges(small: Cluster) -> None:
    boundary = STEP
    while True:
        run, tasks = cut(small, CUT_OFF_AT=str(boundary))
        if run.exit_code == 0:
            break
        assert run.exit_code == -signal.SIGKILL, run.output[-3000:]
        assert len(tasks) == boundary
        boundary += STEP
    assert boundary >= 3 * STEP  # it was killed twice at least before there were no more tasks
    converges(small)
