# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server sees of the hosted service. kubectl is played; its selectors on the real API server:
tests/integration/test_function_service_role.py."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor.hosted_service_diagnosis import (
    DEPLOYMENT,
    FAILED,
    UNFINISHED,
    hosted_service,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.workloads import Workloads

NOW = 1_800_000_000.0
MISSING = "Error from server (NotFound): the server could not find the requested resource"
RUNNING = {
    "kind": "Deployment",
    "metadata": {"name": "function-service", "namespace": "wasmfaas-service", "generation": 1},
    "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}},
    "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2,
               "availableReplicas": 2},
}  # fmt: skip


def seen(**answers: t.Any) -> dict[str, t.Any] | None:
    """Answers by name: deployment, unfinished, failed; text is an error."""
    paths = {"deployment": DEPLOYMENT, "unfinished": UNFINISHED, "failed": FAILED}

    def run(arguments: list[str], _input: str | None) -> Completed:
        for name, answer in answers.items():
            if paths[name] in arguments:
                return Completed(1, "", answer) if isinstance(answer, str) else Completed(0, json.dumps(answer), "")
        raise AssertionError(arguments)

    kubectl = Kubectl(run)
    return hosted_service(kubectl, Workloads(kubectl), NOW)


def entry(phase: str, at: str, stage: str = "") -> dict[str, t.Any]:
    status = {"phase": phase, "finished": at, "facts": {"stage": stage} if stage else {}}
    return {"spec": {"created": at}, "status": status if phase else {}}


@pytest.mark.parametrize(("said", "told"), [(MISSING, {}), ("The connection to the server was refused", None)])
def test_where_it_is_not_installed_or_nobody_answers(said: str, told: object) -> None:
    assert seen(deployment=said) == told


def test_what_waits_and_what_failed_lately() -> None:
    found = seen(
        deployment=RUNNING,
        unfinished={"items": [entry("", "2027-01-15T07:50:00Z"), entry("Building", "2027-01-15T01:00:00Z")]},
        failed={
            "items": [
                entry("Failed", "2027-01-15T07:30:00.500Z", "build"),
                entry("Failed", "2027-01-15T07:40:00Z"),
                entry("Failed", "2027-01-15T05:00:00Z", "build"),
            ]
        },
    )
    assert found is not None and (found["ready"], found["replicas"], found["what"]) == (2, 2, "")
    assert found["oldest_wait"] == 600.0
    assert found["failures"] == {"build": 1, "service": 1}


def test_the_definition_that_is_missing() -> None:
    found = seen(deployment=RUNNING, unfinished=MISSING)
    assert found is not None and found["definition"] is False
