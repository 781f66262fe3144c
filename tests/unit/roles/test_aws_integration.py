# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role aws_integration asks of its charts, how that fits what terraform/ makes, and what it refuses."""

from __future__ import annotations

import collections.abc
import re
import typing as t

import hcl2
import pytest

from .checked_tasks import problem
from .role_rendering import PROJECT, RenderedRole

IDENTITY = (PROJECT / "terraform/modules/identity/policies.tf").read_text(encoding="utf-8")
CLUSTER: dict[str, t.Any] = {
    "name": "shop",
    "region": "eu-central-1",
    "vpc_id": "vpc-0123456789abcdef0",
    "interruption_queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-interruptions",
    "autoscaler_tags": ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"],
    "node_groups": {
        "control-plane": {
            "permissions": [
                "cloud_controller",
                "cluster_autoscaler",
                "ebs_csi",
                "registry_pull",
                "snapshots",
                "termination_handler",
            ]
        },
        "worker-wasm": {"permissions": ["registry_pull"]},
    },
}
SERVERS = {f"server-{number}": {"node_group": "control-plane"} for number in (1, 2, 3)}
INVENTORY: dict[str, t.Any] = {"aws_cluster": CLUSTER, "k3s_server_config": {"disable-cloud-controller": True}}


def with_servers(servers: dict[str, dict[str, str]]) -> RenderedRole:
    own = {
        "k3s_version": "v1.36.4+k3s1",
        "groups": {"k3s_server": list(servers)},
        "hostvars": servers,
    }
    return RenderedRole("aws_integration", **INVENTORY, **own)


ROLE = with_servers(SERVERS)


def charts(**variables: t.Any) -> dict[str, dict[str, t.Any]]:
    """Of the module's option `charts`, by name."""
    return {entry["name"]: entry for entry in ROLE.value("__aws_integration_charts", **variables)}


def values(chart: str, **variables: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", charts(**variables)[chart]["values"])


def test_parts_are_on_but_the_load_balancer_controller() -> None:
    assert list(charts()) == [
        "aws-cloud-controller-manager",
        "aws-ebs-csi-driver",
        "cluster-autoscaler",
        "aws-node-termination-handler",
    ]


@pytest.mark.parametrize("part", ["cloud_controller", "ebs_csi", "cluster_autoscaler", "termination_handler"])
def test_each_part_has_its_switch(part: str) -> None:
    assert len(charts(**{f"aws_integration_{part}": False})) == 3
    assert list(charts(aws_integration_load_balancer_controller=True))[-1] == "aws-load-balancer-controller"


def test_what_is_switched_off_is_what_gets_removed() -> None:
    removed = ROLE.value("__aws_integration_unwanted", aws_integration_ebs_csi=False)
    assert removed == ["aws-ebs-csi-driver", "aws-load-balancer-controller"]


def test_all_that_uses_the_machine_s_role_runs_on_servers_as_k3s_labels_them() -> None:
    found = charts(aws_integration_load_balancer_controller=True)
    selectors = [
        entry["values"].get("nodeSelector") or entry["values"]["controller"]["nodeSelector"] for entry in found.values()
    ]
    assert selectors == [{"node-role.kubernetes.io/control-plane": "true"}] * 5


# ---- Cloud controller


def test_cloud_controller_is_installed_while_nodes_are_tainted() -> None:
    assert [name for name, entry in charts().items() if entry.get("bootstrap")] == ["aws-cloud-controller-manager"]
    tolerations = values("aws-cloud-controller-manager")["tolerations"]
    # With any value: the kubelet's own is "true".
    assert {
        "key": "node.cloudprovider.kubernetes.io/uninitialized",
        "operator": "Exists",
        "effect": "NoSchedule",
    } in tolerations
    assert not any("tolerationSeconds" in toleration for toleration in tolerations)


def test_cloud_controller_initializes_nodes_and_deletes_those_of_dead_machines_and_does_nothing_else() -> None:
    arguments = dict(
        argument.removeprefix("--").split("=", 1) for argument in values("aws-cloud-controller-manager")["args"]
    )
    assert arguments["controllers"].split(",") == ["cloud-node-controller", "cloud-node-lifecycle-controller"]
    assert arguments["cloud-provider"] == "aws"
    assert arguments["cluster-name"] == "shop"
    assert arguments["configure-cloud-routes"] == "false"


@pytest.mark.parametrize(("version", "tag"), [("v1.36.4+k3s1", "v1.36.1"), ("v1.34.2+k3s1", "v1.34.0")])
def test_images_are_of_the_cluster_s_minor_version(version: str, tag: str) -> None:
    assert values("aws-cloud-controller-manager", k3s_version=version)["image"]["tag"] == tag
    assert (
        values("cluster-autoscaler", k3s_version=version)["image"]["tag"].rpartition(".")[0] == tag.rpartition(".")[0]
    )


# ---- Volumes


def test_volumes_carry_the_tag_that_their_policy_asks_for() -> None:
    assert values("aws-ebs-csi-driver")["controller"]["k8sTagClusterId"] == "shop"
    # The driver adds kubernetes.io/cluster/<id>: owned (its docs/options.md); the policy's conditions compare with just
    # that.
    assert re.search(r'cluster_tag\s*=\s*"kubernetes\.io/cluster/\$\{var\.name\}"', IDENTITY)
    assert '"aws:RequestTag/${local.cluster_tag}" = "owned"' in IDENTITY


def test_storage_class_is_encrypted_and_the_default() -> None:
    (storage_class,) = values("aws-ebs-csi-driver")["storageClasses"]
    assert storage_class["name"] == "gp3"
    assert storage_class["parameters"]["type"] == "gp3"
    assert storage_class["parameters"]["encrypted"] == "true"
    assert storage_class["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"


def test_storage_class_need_not_be_the_default() -> None:
    (storage_class,) = values("aws-ebs-csi-driver", aws_integration_storage_class_default=False)["storageClasses"]
    assert storage_class["annotations"] == {"storageclass.kubernetes.io/is-default-class": "false"}


@pytest.mark.parametrize(("servers", "replicas", "budget"), [(1, 1, False), (3, 2, True)])
def test_volume_controllers_are_as_many_as_servers_allow(servers: int, replicas: int, budget: bool) -> None:
    found = with_servers(dict(list(SERVERS.items())[:servers])).template("values_aws-ebs-csi-driver.yml.j2")
    assert found["controller"]["replicaCount"] == replicas
    assert found["controller"]["podDisruptionBudget"]["enabled"] is budget


# ---- Autoscaler and terraform/


@pytest.fixture(scope="module")
def scaling_group() -> dict[str, t.Any]:
    """The local `autoscaler_tags` of terraform/modules/node_group, as its source has it."""
    with (PROJECT / "terraform/modules/node_group/main.tf").open(encoding="utf-8") as file:
        return t.cast("dict[str, t.Any]", hcl2.load(file)["locals"][0])


def test_autoscaler_looks_for_the_tags_that_terraform_puts_on_scaling_groups(scaling_group: dict[str, t.Any]) -> None:
    found = values("cluster-autoscaler")["autoDiscovery"]
    written = str(scaling_group["autoscaler_tags"]).replace("${var.name}", "shop")
    assert found["clusterName"] == "shop"
    assert len(found["tags"]) == 2
    for tag in found["tags"]:
        assert tag in written
    # All of what the output `cluster` says is what this role is given.
    outputs = (PROJECT / "terraform/outputs.tf").read_text(encoding="utf-8").replace("${var.cluster_name}", "shop")
    assert '["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"]' in outputs


def test_autoscaler_may_resize_exactly_the_groups_that_it_looks_for() -> None:
    assert '"aws:ResourceTag/k8s.io/cluster-autoscaler/${var.name}" = "owned"' in IDENTITY
    assert "autoScalingGroupName/${var.name}-*" in IDENTITY


def test_labels_and_taints_of_an_empty_group_are_told_in_the_autoscaler_s_words(
    scaling_group: dict[str, t.Any],
) -> None:
    """As read by cluster-autoscaler 1.36, cloudprovider/aws/aws_manager.go: extractLabelsFromAsg, extractTaintsFromAsg,
    extractAllocatableResourcesFromAsg."""
    written = str(scaling_group["autoscaler_tags"])
    assert "k8s.io/cluster-autoscaler/node-template/label/${key}" in written
    assert "k8s.io/cluster-autoscaler/node-template/taint/${taint.key}" in written
    assert "${taint.value}:${taint.effect}" in written
    assert "k8s.io/cluster-autoscaler/node-template/resources/ephemeral-storage" in written
    # The node gets the same ones: both come from the same two variables.
    configuration = str(scaling_group["user_data"])
    assert "labels" in configuration
    assert "${taint.key}=${taint.value}:${taint.effect}" in configuration


def test_autoscaler_s_arguments() -> None:
    arguments = values("cluster-autoscaler")["extraArgs"]
    assert arguments["expander"] == "least-waste"
    # Else no node goes on which anything of the platform runs.
    assert arguments["skip-nodes-with-local-storage"] is False
    assert arguments["skip-nodes-with-system-pods"] is False
    assert (
        values("cluster-autoscaler", aws_integration_scale_down_unneeded_time="10m")["extraArgs"][
            "scale-down-unneeded-time"
        ]
        == "10m"
    )


# ---- Termination handler


def test_termination_handler_reads_terraform_s_queue_and_finds_nodes_by_provider_id() -> None:
    found = values("aws-node-termination-handler")
    assert found["enableSqsTerminationDraining"] is True
    assert found["queueURL"] == CLUSTER["interruption_queue"]
    assert found["awsRegion"] == CLUSTER["region"]
    assert found["useProviderId"] is True
    assert found["deleteSqsMsgIfNodeNotFound"] is True
    # Drained before the machine goes, which is 120 s after the notice.
    assert found["nodeTerminationGracePeriod"] < 120


def test_termination_handler_minds_only_machines_with_terraform_s_tag() -> None:
    tag = values("aws-node-termination-handler")["managedTag"]
    assert f'"{tag}"' in (PROJECT / "terraform/locals.tf").read_text(encoding="utf-8")


@pytest.mark.parametrize("chart", ["cluster-autoscaler", "aws-node-termination-handler"])
def test_single_pods_leave_a_lost_node_before_a_spot_notice_runs_out(chart: str) -> None:
    seconds = {
        entry["key"]: entry["tolerationSeconds"]
        for entry in values(chart)["tolerations"]
        if "tolerationSeconds" in entry
    }
    assert seconds == {"node.kubernetes.io/not-ready": 30, "node.kubernetes.io/unreachable": 30}


# ---- All charts


def test_images_come_from_the_mirrors() -> None:
    mirrors = {"registry.k8s.io": "mirror.example.com/kubernetes", "public.ecr.aws": "mirror.example.com/ecr"}
    found = charts(aws_integration_load_balancer_controller=True, platform_image_registries=mirrors)
    repositories = list(repositories_in([entry["values"] for entry in found.values()]))
    assert len(repositories) == 12
    assert [repository for repository in repositories if not repository.startswith("mirror.example.com/")] == []


def repositories_in(value: t.Any) -> collections.abc.Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "repository":
                yield entry
            else:
                yield from repositories_in(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from repositories_in(entry)


def test_own_values_count_over_the_role_s() -> None:
    own = {"cluster-autoscaler": {"extraArgs": {"expander": "priority", "v": 4}}}
    arguments = values("cluster-autoscaler", aws_integration_values=own)["extraArgs"]
    assert arguments["expander"] == "priority"
    assert arguments["max-node-provision-time"] == "10m"


# ---- Refusals, before anything is touched


def without(name: str) -> dict[str, t.Any]:
    return {key: value for key, value in CLUSTER.items() if key != name}


CASES: dict[str, tuple[dict[str, t.Any], str]] = {
    "no cluster": ({"aws_cluster": {}}, "what Terraform knows of the cluster is missing or incomplete"),
    "zone instead of region": ({"aws_cluster": {**CLUSTER, "region": "eu-central-1a"}}, "missing or incomplete"),
    "unknown minor": (
        {"k3s_version": "v1.99.0+k3s1"},
        r"no version of aws-cloud-controller-manager is known for Kubernetes v1\.99\.0\+k3s1",
    ),
    "no version at all": ({"aws_integration_kubernetes_version": "latest"}, "is known for Kubernetes latest"),
    "no queue": ({"aws_cluster": without("interruption_queue")}, "URL of the queue .* is missing"),
    "foreign tags": (
        {"aws_cluster": {**CLUSTER, "autoscaler_tags": ["k8s.io/cluster-autoscaler/enabled"]}},
        "would resize groups of other clusters",
    ),
    "permission missing": (
        {"aws_integration_load_balancer_controller": True},
        "may not load_balancer_controller .group control-plane.",
    ),
    "two cloud controllers": ({"k3s_server_config": {}}, "exactly one must run"),
    "an empty value": ({"k3s_server_config": {"disable-cloud-controller": None}}, "exactly one must run"),
    "typo in a chart's name": (
        {"aws_integration_values": {"cluster_autoscaler": {}}},
        "there is no chart cluster_autoscaler",
    ),
    "longer than a spot notice": (
        {"aws_integration_drain_seconds": 121},
        "aws_integration_drain_seconds: 121 is out of range. Next: Give 1 to 120",
    ),
    "no cloud controller": ({"aws_integration_cloud_controller": False}, "exactly one must run"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_named(case: str) -> None:
    variables, message = CASES[case]
    found = " ".join(ROLE.problems(**variables))
    assert re.search(message, found)
    assert "Next: " in found


def test_cluster_that_is_not_known_at_all_is_named() -> None:
    role = RenderedRole("aws_integration", k3s_version="v1.36.4+k3s1", k3s_server_config={})
    assert "Use inventories/aws, or set aws_cluster" in " ".join(role.problems())


def test_good_input_passes() -> None:
    assert ROLE.problems() == []


def test_what_is_switched_off_need_not_be_right() -> None:
    assert ROLE.problems(aws_cluster=without("interruption_queue"), aws_integration_termination_handler=False) == []


def test_driver_stays_while_volumes_need_it() -> None:
    lines = ["ebs.csi.aws.com pvc-1", " pvc-2", "other.csi.example.com pvc-3"]
    removed = {
        "__aws_integration_removed": ["aws-ebs-csi-driver"],
        "__aws_integration_volumes": {"stdout_lines": lines},
    }
    assert "delete the volumes pvc-1." in problem(ROLE, "uninstall.yml", **removed)
    assert problem(ROLE, "uninstall.yml", **removed | {"__aws_integration_volumes": {"stdout_lines": lines[1:]}}) == ""
    assert problem(ROLE, "uninstall.yml", **removed | {"__aws_integration_removed": ["cluster-autoscaler"]}) == ""
