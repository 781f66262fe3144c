# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tenants made by the role, on the real API server: each attack of module_utils/platform/attacks.py is tried with a
tenant's kubeconfig, and prints what answered (`pytest -s`)."""

from __future__ import annotations

import collections.abc
import typing as t
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.attacks import (
    EXTERNAL,
    Attack,
    Setting,
    allowed,
    attacks,
    autoscaler,
    workload,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.tenant_isolation import (
    NOT_TRIED,
    REFUSED,
    TAKEN,
    Answer,
    attempt,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    LEASE,
    Kind,
)

from tests.integration.support.control_plane import ControlPlane
from tests.integration.support.playbooks import PlaybookRun
from tests.integration.support.tenants import Tenants

POLICY = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
ATTACKER, VICTIM = "attacker", "victim"
SETTING = Setting(
    attacker=ATTACKER,
    victim=VICTIM,
    image_prefixes=("registry.example.com/functions/{tenant}",),
    domains=("nip.io",),
    victim_hosts=("shop.example.com",),
)
ALLOWED = allowed(SETTING)
FEW = 2
_COUNTED_LATE = 8
"""How many objects more a loaded machine may take."""
"""The quota of each kind here, so that it is soon used up."""


ROLE = Path(__file__).resolve().parents[2] / "roles/tenant"
QUOTA = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))["tenant_quota"]


def keep(tenants: Tenants, *entries: dict[str, t.Any]) -> PlaybookRun:
    done = tenants.run(*entries)
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def tenants(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Tenants]:
    """The attacker and its victim."""
    made = Tenants(
        control_plane,
        tmp_path_factory.mktemp("tenants"),
        tenant_image_prefixes=list(SETTING.image_prefixes),
        tenant_programs=True,
        tenant_quota={**QUOTA, **{name: FEW for name in QUOTA if name.startswith("count/")}, "services": FEW},
    )
    entries = ({"name": ATTACKER}, {"name": VICTIM, "hosts": list(SETTING.victim_hosts)})
    assert keep(made, *entries).changed > 0
    assert keep(made, *entries).changed == 0
    yield made
    keep(made, *({**entry, "state": "absent"} for entry in entries))
    administrator = KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))
    left = [item["metadata"]["name"] for item in administrator.list_nodes(POLICY)]
    assert not [name for name in left if name.startswith("wasmfaas-tenant")], "the last tenant takes them along"


@pytest.fixture(scope="module")
def attacker(tenants: Tenants) -> KubernetesApi:
    return tenants.api(ATTACKER)


@pytest.mark.parametrize("attack", ALLOWED, ids=lambda attack: attack.name)
def test_what_functions_need_is_taken(attacker: KubernetesApi, attack: Attack) -> None:
    assert attempt(attacker, attack, SETTING) == Answer(TAKEN)


@pytest.mark.parametrize("attack", attacks(SETTING), ids=lambda attack: attack.name)
def test_the_attack_is_refused(attacker: KubernetesApi, attack: Attack) -> None:
    answer = attempt(attacker, attack, SETTING)
    print(f"\n{attack.name} ({attack.kind.kind}): {answer.text or answer.outcome}")
    if attack.not_tried:
        assert answer == Answer(NOT_TRIED, text=attack.not_tried)
        return
    assert (answer.outcome, answer.by) == (REFUSED, attack.by), answer
    assert attack.says in answer.text


@pytest.mark.parametrize(
    "attack",
    list({entry.kind: entry for entry in ALLOWED}.values()),
    ids=lambda attack: attack.name,
)
def test_the_number_of_each_kind_is_bounded(attacker: KubernetesApi, attack: Attack) -> None:
    """What no quota counts fills etcd, and then nobody can write.

    The controller that counts reads from a cache (kubernetes v1.34.1: pkg/quota/v1/generic/evaluator.go). Right after a
    write it may count one too few, and one more object is taken.
    """
    made: list[str] = []
    most = FEW + _COUNTED_LATE
    try:
        for number in range(most + 1):
            name = f"many-{number}"
            answer = attempt(attacker, attack, SETTING, name=name, dry_run=False)
            if answer.outcome != TAKEN:
                assert answer.by == "ResourceQuota", answer
                return
            made.append(name)
        pytest.fail(f"{most + 1} objects of kind {attack.kind.kind} were taken")
    finally:
        for name in made:
            attacker.delete(attack.kind, ATTACKER, name)


@pytest.mark.parametrize(
    ("user", "taken"), [("system:serviceaccount:keda:keda-operator", True), ("system:serviceaccount:other:x", False)]
)
def test_keda_makes_its_own_autoscaler(control_plane: ControlPlane, tenants: Tenants, user: str, taken: bool) -> None:
    """For a ScaledObject of the tenant it makes one by an external metric (KEDA v2.20.2: controllers/keda/hpa.go)."""
    wanted = {
        "apiVersion": HORIZONTAL_POD_AUTOSCALER.api_version,
        "kind": HORIZONTAL_POD_AUTOSCALER.kind,
        "metadata": {"name": "keda-hpa-shop"},
        **autoscaler(EXTERNAL),
    }
    answer = httpx2.post(
        f"{control_plane.url}/apis/autoscaling/v2/namespaces/{ATTACKER}/horizontalpodautoscalers?dryRun=All",
        json=wanted,
        headers={"Impersonate-User": user, "Impersonate-Group": "system:masters"},
        verify=control_plane.administrator_tls(),
        trust_env=False,
    )
    assert (answer.status_code == 201) is taken, answer.text


@pytest.mark.parametrize(
    ("user", "runtime_class", "taken"),
    [
        ("system:serviceaccount:spin-operator:spin-operator-controller-manager", "wasmtime-spin-v2", True),
        ("system:serviceaccount:spin-operator:spin-operator-controller-manager", "runc", False),
        ("system:serviceaccount:attacker-spin-operator:x", "wasmtime-spin-v2", False),
        ("system:serviceaccount:other:x", "wasmtime-wasi", True),
    ],
)
def test_the_operator_alone_makes_the_deployments_of_functions(
    control_plane: ControlPlane, tenants: Tenants, user: str, runtime_class: str, taken: bool
) -> None:
    """Each user here may write all, so that only the policies refuse."""
    rights = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "writers"}
    control_plane.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "writers"},
            "roleRef": rights,
            "subjects": [group],
        }
    )
    command = ["/"] if runtime_class == "wasmtime-spin-v2" else ["/shop.wasm"]
    wanted = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": "shop"},
        **workload(SETTING, answers=True, pod={"runtimeClassName": runtime_class}, command=command),
    }
    answer = httpx2.post(
        f"{control_plane.url}/apis/apps/v1/namespaces/{ATTACKER}/deployments?dryRun=All",
        json=wanted,
        headers={"Impersonate-User": user, "Impersonate-Group": "writers"},
        verify=control_plane.administrator_tls(),
        trust_env=False,
    )
    assert (answer.status_code == 201) is taken, answer.text
    if not taken:
        assert f"of tenant {ATTACKER} must run a WASI program" in answer.text


def test_every_kind_that_a_tenant_may_write_is_counted() -> None:
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf-8"))
    written = {
        f"count/{resource}.{group}" if group else f"count/{resource}"
        for rule in variables["__tenant_rules"] + variables["__tenant_program_rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if {"create", "patch", "update"} & set(rule["verbs"])
    }
    counted = {*QUOTA, *(f"count/{name}" for name in QUOTA)}  # `services` is the older form
    assert written <= counted
    assert f"count/{LEASE.plural}.{LEASE.group}" in written
