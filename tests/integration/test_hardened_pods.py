# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role spin_operator's policy that takes from pods with Wasm what they do not need, at a real API server."""

from __future__ import annotations

import collections.abc
import typing as t

import pytest
from lightkube import ApiError
from lightkube.resources.core_v1 import Pod

from .support.control_plane import RUNTIME_CLASS, ControlPlane
from .support.deployment import Deployment
from .support.function_project import FunctionProject
from .support.program_node import RUNTIME_CLASS as PROGRAM_RUNTIME_CLASS
from .support.program_node import make_runtime_class
from .support.request_path import (
    MutatingAdmissionPolicy,
    MutatingAdmissionPolicyBinding,
    admitted_pod,
    let_pods_be_hardened,
)
from .support.servers import wait_until

SECCOMP = {"type": "RuntimeDefault"}
CAPABILITIES = {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}  # without `add` the shim leaves nearly all
HARDENED = {"privileged": False, "allowPrivilegeEscalation": False, "capabilities": CAPABILITIES}
IMAGE = "example.com/function"


@pytest.fixture(scope="module")
def hardened(control_plane: ControlPlane) -> collections.abc.Iterator[ControlPlane]:
    make_runtime_class(control_plane)
    policy, binding = let_pods_be_hardened(control_plane, RUNTIME_CLASS, PROGRAM_RUNTIME_CLASS)
    yield control_plane
    client: t.Any = control_plane.client()
    client.delete(MutatingAdmissionPolicyBinding, binding["metadata"]["name"])
    client.delete(MutatingAdmissionPolicy, policy["metadata"]["name"])
    wait_until(
        lambda: admitted_pod(control_plane, runtimeClassName=RUNTIME_CLASS)["securityContext"] == {},
        seconds=120,
        what="the policy has no effect on the tests that follow",
    )


@pytest.mark.parametrize("runtime_class", [RUNTIME_CLASS, PROGRAM_RUNTIME_CLASS])
@pytest.mark.parametrize(
    "own",
    [
        {},
        {"allowPrivilegeEscalation": True, "capabilities": {"add": ["SYS_ADMIN"]}},
        {"privileged": True},
        {"capabilities": {"drop": ["ALL"]}},
        {"seccompProfile": {"type": "Unconfined"}},
    ],
    ids=["none", "escalation", "privileged", "drop-alone", "unconfined"],
)
def test_a_pod_gets_no_more_than_wasm_needs(hardened: ControlPlane, runtime_class: str, own: dict[str, t.Any]) -> None:
    pod = admitted_pod(
        hardened,
        runtimeClassName=runtime_class,
        securityContext={"seccompProfile": own["seccompProfile"]} if "seccompProfile" in own else {},
        containers=[
            {"name": "first", "image": IMAGE, "securityContext": own},
            {"name": "second", "image": IMAGE},
        ],
        initContainers=[{"name": "before", "image": IMAGE, "securityContext": own}],
    )
    assert pod["securityContext"] == {"seccompProfile": SECCOMP}
    expected = {**HARDENED, **({"seccompProfile": SECCOMP} if "seccompProfile" in own else {})}
    assert [one["securityContext"] for one in pod["containers"]] == [expected, HARDENED]
    assert [one["securityContext"] for one in pod["initContainers"]] == [expected]


def test_what_a_pod_asks_for_and_is_not_weaker_stays(hardened: ControlPlane) -> None:
    profile = {"type": "Localhost", "localhostProfile": "profiles/own.json"}
    own = {"runAsUser": 1000, "readOnlyRootFilesystem": True, "seccompProfile": profile}
    pod = admitted_pod(
        hardened,
        runtimeClassName=RUNTIME_CLASS,
        securityContext={"seccompProfile": profile, "fsGroup": 1000},
        containers=[{"name": "function", "image": IMAGE, "securityContext": own, "env": [{"name": "A", "value": "b"}]}],
    )
    assert pod["securityContext"] == {"seccompProfile": profile, "fsGroup": 1000}
    (container,) = pod["containers"]
    assert container["securityContext"] == {**own, **HARDENED}
    assert container["env"] == [{"name": "A", "value": "b"}]


def test_an_ordinary_pod_stays_as_it_is(hardened: ControlPlane) -> None:
    own = {"allowPrivilegeEscalation": True, "capabilities": {"add": ["SYS_ADMIN"]}}
    containers = [{"name": "one", "image": IMAGE}, {"name": "two", "image": IMAGE, "securityContext": own}]
    pod = admitted_pod(hardened, containers=containers)
    assert pod["securityContext"] == {}
    assert [one.get("securityContext") for one in pod["containers"]] == [None, own]


def test_a_function_runs_in_such_a_pod(
    hardened: ControlPlane, deployment: Deployment, project: FunctionProject
) -> None:
    deployed = deployment.deploy(project)
    labels: dict[str, t.Any] = {"core.spinkube.dev/app-name": deployed["name"]}
    pods = [pod.to_dict()["spec"] for pod in hardened.client().list(Pod, namespace="default", labels=labels)]
    assert pods
    for pod in pods:
        assert pod["securityContext"] == {"seccompProfile": SECCOMP}
        assert [one["securityContext"] for one in pod["containers"]] == [HARDENED]
    assert deployment.deploy(project)["changed"] is False


def test_the_policy_is_one_that_the_api_server_compiles(hardened: ControlPlane) -> None:
    """It stores a policy with a wrong expression as well, and refuses each pod then; here it tells it when it is
    written."""
    client: t.Any = hardened.client()
    policy = client.get(MutatingAdmissionPolicy, "wasmfaas-harden-wasm-pods")
    broken = policy.to_dict()
    broken["metadata"] = {"name": "broken"}
    broken["spec"]["mutations"][0]["applyConfiguration"]["expression"] = "Object{spec: nothing}"
    with pytest.raises(ApiError, match="undeclared reference"):
        client.create(MutatingAdmissionPolicy.from_dict(broken), dry_run=True)
