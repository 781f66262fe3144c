# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two tenants made by the role, on the real API server: each attack of attacks.py is tried with a tenant's kubeconfig,
and prints what answered (`pytest -s`)."""

from __future__ import annotations

import collections.abc
import json
import typing as t
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    HORIZONTAL_POD_AUTOSCALER,
    LEASE,
    Kind,
)

from tests.integration.support.control_plane import ControlPlane
from tests.integration.support.playbooks import PlaybookRun, Playbooks
from tests.isolation.attacks import (
    ADMISSION,
    ALLOWED,
    ATTACKER,
    ATTACKS,
    EXTERNAL,
    RIGHTS,
    VICTIM,
    Attack,
    autoscaler,
)
from tests.k3s_double import build

PLAY = {
    "name": "Keep tenants",
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [{"name": "Tenants", "ansible.builtin.include_role": {"name": "wasmfaas.platform.tenant"}}],
}
POLICY = Kind("admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
FEW = 2
"""The quota of each kind here, so that it is soon used up."""


ROLE = Path(__file__).resolve().parents[2] / "roles/tenant"
QUOTA = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))["tenant_quota"]


class Tenants:
    """Runs the role tenant for a list of tenants."""

    def __init__(self, control_plane: ControlPlane, directory: Path) -> None:
        self.directory = directory
        self._playbooks = Playbooks(directory / "home")
        self._playbook = directory / "tenants.yml"
        self._playbook.write_text(yaml.safe_dump([PLAY]))
        self._given = {
            "platform_host": "localhost",
            "platform_kubectl": [str(build.binary()), "kubectl", "--kubeconfig", str(control_plane.kubeconfig)],
            "platform_components": ["cert_manager", "spin_operator", "ingress", "keda"],
            "tenant_kubeconfig_directory": str(directory / "tenants"),
            "tenant_api_url": control_plane.url,
            "tenant_image_prefixes": ["registry.example.com/functions"],
            "tenant_programs": True,
            "tenant_quota": {**QUOTA, **{name: FEW for name in QUOTA if name.startswith("count/")}, "services": FEW},
        }

    def keep(self, *entries: dict[str, t.Any]) -> PlaybookRun:
        given = {**self._given, "tenants": list(entries)}
        done = self._playbooks.run(
            str(self._playbook), "-e", json.dumps(given), directory=self.directory, inventory="local"
        )
        assert done.exit_code == 0, done.output
        return done


@pytest.fixture(scope="module")
def tenants(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Tenants]:
    """The attacker and its victim."""
    made = Tenants(control_plane, tmp_path_factory.mktemp("tenants"))
    entries = ({"name": ATTACKER}, {"name": VICTIM, "hosts": ["shop.example.com"]})
    assert made.keep(*entries).changed > 0
    assert made.keep(*entries).changed == 0
    yield made
    made.keep(*({**entry, "state": "absent"} for entry in entries))
    administrator = KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))
    left = [item["metadata"]["name"] for item in administrator.list_nodes(POLICY)]
    assert not [name for name in left if name.startswith("wasmfaas-tenant")], "the last tenant takes them along"


@pytest.fixture(scope="module")
def attacker(tenants: Tenants) -> KubernetesApi:
    return KubernetesApi(ConnectionOptions(kubeconfig=str(tenants.directory / f"tenants/{ATTACKER}.kubeconfig")))


def attempt(api: KubernetesApi, attack: Attack, name: str = "attack", *, dry_run: bool = True) -> str:
    """What answers; empty where it is taken."""
    metadata = {**attack.body.get("metadata", {}), "name": name, "namespace": attack.namespace}
    wanted = {
        "apiVersion": attack.kind.api_version,
        "kind": attack.kind.kind,
        **attack.body,
        "metadata": metadata,
    }
    try:
        if attack.kind == LEASE:  # for which tenants have no right to apply
            api.create(attack.kind, wanted)
        else:
            api.apply(attack.kind, wanted, dry_run=dry_run)
    except PlatformError as error:
        return " ".join(error.cause.split())
    return ""


@pytest.mark.parametrize("attack", ALLOWED, ids=lambda attack: attack.name)
def test_what_functions_need_is_taken(attacker: KubernetesApi, attack: Attack) -> None:
    assert attempt(attacker, attack) == ""
    if attack.kind == LEASE:
        attacker.delete(LEASE, ATTACKER, "attack")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_the_attack_is_refused(attacker: KubernetesApi, attack: Attack) -> None:
    answer = attempt(attacker, attack)
    print(f"\n{attack.name} ({attack.kind.kind}): {answer or 'TAKEN'}")
    assert answer, "the API server took it"
    assert attack.says in answer
    if attack.by == ADMISSION:
        assert "wasmfaas-tenant" in answer or "ValidatingAdmissionPolicy" in answer, answer
    elif attack.by == RIGHTS:
        assert "forbidden" in answer.lower() or "may not" in answer, answer


@pytest.mark.parametrize(
    "attack",
    list({entry.kind: entry for entry in ALLOWED}.values()),
    ids=lambda attack: attack.name,
)
def test_the_number_of_each_kind_is_bounded(attacker: KubernetesApi, attack: Attack) -> None:
    """What no quota counts fills etcd, and then nobody can write."""
    made: list[str] = []
    try:
        for number in range(FEW + 1):
            name = f"many-{number}"
            answer = attempt(attacker, attack, name, dry_run=False)
            if answer:
                assert "exceeded quota" in answer, answer
                return
            made.append(name)
        pytest.fail(f"{FEW + 1} objects of kind {attack.kind.kind} were taken")
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
