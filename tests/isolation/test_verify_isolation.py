# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook verify_isolation on the real API server: what it proves, what it notices, and that nothing is left."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from lightkube import Client, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.models.rbac_v1 import RoleRef, Subject
from lightkube.resources.admissionregistration_v1 import ValidatingAdmissionPolicy
from lightkube.resources.core_v1 import Namespace
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding

from tests.integration.support.control_plane import ControlPlane
from tests.integration.support.playbooks import PlaybookRun
from tests.integration.support.tenants import Tenants

VICTIM = "wasmfaas-verify-victim"
OF_CLUSTER = (Namespace, ClusterRole, ClusterRoleBinding, ValidatingAdmissionPolicy)


@pytest.fixture
def tenants(control_plane: ControlPlane, tmp_path: Path) -> Tenants:
    return Tenants(control_plane, tmp_path, platform_hosts="localhost", tenant_programs=True)


@pytest.fixture
def administrator(control_plane: ControlPlane) -> Client:
    return Client(KubeConfig.from_file(control_plane.kubeconfig).get())


def verify(tenants: Tenants, **variables: t.Any) -> PlaybookRun:
    return tenants.play("wasmfaas.platform.verify_isolation", **variables)


def names(administrator: Client) -> set[str]:
    """Of all that a tenant has outside of its namespace, and the namespaces."""
    found: set[str] = set()
    for kind in OF_CLUSTER:
        items: t.Iterable[t.Any] = administrator.list(kind)
        found |= {f"{kind.__name__}/{item.metadata.name}" for item in items}
    return found


def test_every_attack_is_refused_and_nothing_is_left(tenants: Tenants, administrator: Client, tmp_path: Path) -> None:
    before = names(administrator)
    done = verify(tenants, verify_isolation_report=str(tmp_path / "report.json"))
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["passed"] and report["counts"]["refused"] > 80
    assert (report["counts"]["taken"], report["counts"]["unclear"]) == (0, 0)
    assert {"RBAC", "ValidatingAdmissionPolicy", "ResourceQuota"} <= set(report["by"])
    without_reason = [entry for entry in report["attacks"] if not entry["answer"]]
    assert not without_reason
    assert f"Passed: {sum(report['counts'].values())} attacks, {report['counts']['refused']} refused (" in done.output
    assert "tenant_image_prefixes is empty" in done.output
    assert names(administrator) == before
    assert not list((tmp_path / "tenants").glob("*"))


def test_an_attack_that_gets_through_is_told_and_what_a_stopped_run_left_is_removed(
    tenants: Tenants, administrator: Client, tmp_path: Path
) -> None:
    before = names(administrator)
    labels = {"wasmfaas.dev/tenant": VICTIM, "wasmfaas.dev/verify-isolation": "true"}
    administrator.create(Namespace(metadata=ObjectMeta(name=VICTIM, labels=labels)))
    binding = ClusterRoleBinding(
        metadata=ObjectMeta(name="too-much"),
        roleRef=RoleRef(apiGroup="rbac.authorization.k8s.io", kind="ClusterRole", name="view"),
        subjects=[Subject(apiGroup="rbac.authorization.k8s.io", kind="Group", name="system:serviceaccounts")],
    )
    administrator.create(binding)
    try:
        done = verify(
            tenants,
            tenant_quota={"services": "10"},
            verify_isolation_timeout=5,
            verify_isolation_report=str(tmp_path / "report.json"),
        )
    finally:
        administrator.delete(ClusterRoleBinding, "too-much")
    assert done.exit_code == 2, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    taken = {entry["tried"] for entry in report["attacks"] if entry["result"] == "taken"}
    assert {"to read the victim's pods", "to read all pods", "a lock", "a route"} <= taken
    assert "to read the victim's secrets" not in taken, "the role `view` does not read them"
    assert "reading, to read all pods (Pod): the attack got through; RBAC should refuse it. Next: Run" in done.output
    assert names(administrator) == before


def test_a_namespace_of_others_is_not_touched(tenants: Tenants, administrator: Client) -> None:
    administrator.create(Namespace(metadata=ObjectMeta(name="of-others")))
    before = names(administrator)
    done = verify(tenants, verify_isolation_tenants=["of-others", VICTIM])
    assert done.exit_code == 2 and "a namespace of-others that verify_isolation did not make" in done.output
    assert names(administrator) == before
    done = verify(tenants, tenant_kubeconfig_directory="")
    assert done.exit_code == 2 and "the attacks need kubeconfigs. Next: Name a directory" in done.output
