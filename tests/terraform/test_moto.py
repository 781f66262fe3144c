# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real AWS provider against the moto server: apply, plan again, list with Ansible, scale, replace, destroy.

moto does not implement the following, so nothing tests it: pull-through cache rules, instance refresh, lifecycle
actions, Elastic IPs of load balancers in its answers (support.MOTO_GAPS), launch template and type of a machine that a
scaling group with mixed types starts, IAM's decisions. The last test must stay last, because it destroys the fleet.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import botocore.exceptions
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config import config_check, configuration
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.registry_checks import login_problems

from .fleet import Fleet, many_machines
from .policies import check_narrow
from .support import PROJECT, child_cpu_seconds, resources

INVENTORY = PROJECT / "inventories/aws"
AUTOSCALED_INVENTORY = PROJECT / "inventories/aws_autoscaled"
GROUPS = ("control_plane", "k3s_agent", "k3s_server", "observability", "worker_backend", "worker_build", "worker_wasm")


def test_second_plan_is_empty(fleet: Fleet) -> None:
    changes, seconds = fleet.plan()
    print(f"second plan: {seconds:.1f} s")
    assert changes == []


def test_policies_in_aws_are_narrow(fleet: Fleet) -> None:
    iam = fleet.moto.client("iam")
    found = {policy["PolicyName"]: policy for policy in iam.list_policies(Scope="Local")["Policies"]}
    assert len(found) >= 10
    for name, policy in found.items():
        version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])
        document = version["PolicyVersion"]["Document"]
        assert document["Statement"] and all(statement.pop("Effect") == "Allow" for statement in document["Statement"])
        check_narrow(name, document["Statement"])


def test_a_group_can_read_only_its_own_join_parameters(fleet: Fleet) -> None:
    policies = fleet.terraform.outputs(fleet.directory)["policies"]["value"]
    for group in ("worker-backend", "worker-build", "worker-wasm"):
        resources = {
            resource
            for statement in policies[f"join-{group}"]["document"]["Statement"]
            for resource in statement["Resource"]
        }
        assert resources == {
            f"arn:aws:ssm:us-east-1:123456789012:parameter/wasmfaas/wasmfaas/groups/{group}/bundle",
            f"arn:aws:ssm:us-east-1:123456789012:parameter/wasmfaas/wasmfaas/groups/{group}/token",
            f"arn:aws:s3:::wasmfaas-123456789012-us-east-1-bundles/bundles/{group}/*",
        }


def test_roles_have_exactly_the_policies_of_their_permissions(fleet: Fleet) -> None:
    iam = fleet.moto.client("iam")
    permissions = fleet.terraform.outputs(fleet.directory)["permissions"]["value"]
    assert set(permissions) == {"control-plane", "observability", "worker-backend", "worker-build", "worker-wasm"}
    for group, names in permissions.items():
        attached = iam.list_attached_role_policies(RoleName=f"wasmfaas-{group}")["AttachedPolicies"]
        assert {policy["PolicyName"] for policy in attached} == {f"wasmfaas-{name}" for name in names}
        assert iam.list_role_policies(RoleName=f"wasmfaas-{group}")["PolicyNames"] == []


def test_tags_for_the_autoscaler_agree_with_labels_and_taints(fleet: Fleet) -> None:
    templates = {
        template["LaunchTemplateName"]: template["LaunchTemplateId"]
        for template in fleet.moto.client("ec2").describe_launch_templates()["LaunchTemplates"]
    }
    told = fleet.terraform.outputs(fleet.directory)["cluster"]["value"]["node_groups"]
    groups = fleet.moto.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {group["AutoScalingGroupName"] for group in groups} == {
        f"wasmfaas-{name}" for name in ("worker-backend", "worker-build", "worker-wasm")
    }
    for group in groups:
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        prefix = "k8s.io/cluster-autoscaler/node-template/"
        labels = {
            key.removeprefix(f"{prefix}label/"): value
            for key, value in tags.items()
            if key.startswith(f"{prefix}label/")
        }
        taints = {
            f"{key.removeprefix(f'{prefix}taint/')}={value}"
            for key, value in tags.items()
            if key.startswith(f"{prefix}taint/")
        }
        entry = told[tags["wasmfaas:group"]]
        assert labels == entry["labels"]
        assert taints == {f"{taint['key']}={taint['value']}:{taint['effect']}" for taint in entry["taints"]}
        assert tags["k8s.io/cluster-autoscaler/enabled"] == "true"
        assert tags["k8s.io/cluster-autoscaler/wasmfaas"] == "owned"
        data = fleet.moto.client("ec2").describe_launch_template_versions(
            LaunchTemplateId=templates[group["AutoScalingGroupName"]]
        )
        assert data["LaunchTemplateVersions"][0]["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"


@pytest.fixture(scope="module")
def offline(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The inventory that scripts/terraform_inventory.py makes from the outputs."""
    directory = tmp_path_factory.mktemp("offline")
    outputs = json.dumps(fleet.terraform.outputs(fleet.directory))
    made = subprocess.run(
        [sys.executable, str(PROJECT / "scripts/terraform_inventory.py")],
        input=outputs,
        capture_output=True,
        text=True,
        check=True,
    )
    (directory / "hosts.yml").write_text(made.stdout, encoding="utf-8")
    (directory / "group_vars").symlink_to(PROJECT / "inventories/aws_offline/group_vars")
    return directory / "hosts.yml"


@pytest.fixture(scope="module")
def desired(fleet: Fleet, offline: Path) -> dict[str, dict[str, t.Any]]:
    """Variables that the roles compute from the offline inventory, by host."""
    return _desired(fleet, offline, offline.parent / "desired")


def test_inventory_by_tags_equals_inventory_of_outputs(fleet: Fleet, offline: Path) -> None:
    by_tags, by_outputs = fleet.inventory(INVENTORY), fleet.inventory(offline)
    children = yaml.safe_load(offline.read_text(encoding="utf-8"))["all"]["children"]
    ours = {name for host in children["control_plane"]["hosts"].values() for name in host}
    assert len(set(by_tags["_meta"]["hostvars"]) - {"localhost"}) == 5
    assert _hosts(by_tags, ours) == _hosts(by_outputs, ours)
    assert _groups(by_tags) == _groups(by_outputs)


def test_roles_get_the_same_from_both_inventories(
    fleet: Fleet, desired: dict[str, dict[str, t.Any]], tmp_path: Path
) -> None:
    """The inventory by tags reads the description of the cluster from SSM, the other one from the outputs."""
    by_tags = _desired(fleet, INVENTORY, tmp_path / "desired")
    assert len(by_tags) == 5 and by_tags == desired
    cluster = by_tags["wasmfaas-observability-1"]["aws_cluster"]
    assert cluster == fleet.terraform.outputs(fleet.directory)["cluster"]["value"]
    # The keys that the roles of the platform read.
    assert {
        "name",
        "region",
        "vpc_id",
        "autoscaler_tags",
        "buckets",
        "hosted_zone_ids",
        "ingress",
        "interruption_queue",
        "node_groups",
        "registry",
    } <= set(cluster)
    assert set(cluster["buckets"]) == {"bundles", "logs", "snapshots", "traces"}
    assert len(cluster["ingress"]["addresses"]) == 3
    assert cluster["registry"]["host"] == "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    groups = fleet.moto.client("autoscaling").describe_auto_scaling_groups(
        Filters=[{"Name": "tag-key", "Values": cluster["autoscaler_tags"]}]
    )
    assert {group["AutoScalingGroupName"] for group in groups["AutoScalingGroups"]} == {
        group["scaling_group"] for group in cluster["node_groups"].values() if "scaling_group" in group
    }
    assert fleet.moto.client("sqs").get_queue_attributes(QueueUrl=cluster["interruption_queue"])
    # The limit of a parameter in SSM's free tier.
    assert len(json.dumps(cluster)) <= 4096


def test_configuration_of_k3s_combines_aws_and_hardening(desired: dict[str, dict[str, t.Any]]) -> None:
    for name, entry in desired.items():
        config = configuration.build(entry["k3s_desired"])
        arguments = dict(argument.split("=", 1) for argument in config["kubelet-arg"])
        assert arguments["cloud-provider"] == "external" and arguments["provider-id"] == entry["provider_id"]
        assert arguments["streaming-connection-idle-timeout"] == "5m"
        assert "tls-cipher-suites" in arguments and config["protect-kernel-defaults"]
        if entry["k3s_desired"]["role"] == "server":
            assert config["disable-cloud-controller"] and config["disable"] == ["traefik", "servicelb"]
            assert config["secrets-encryption"] and config["etcd-expose-metrics"] and config["etcd-s3"]
            assert config["etcd-s3-bucket"] == entry["aws_cluster"]["buckets"]["snapshots"]
            assert entry["aws_cluster"]["api"]["address"] in config["tls-san"] and len(config["tls-san"]) == 4
            assert any(argument.startswith("audit-log-path=") for argument in config["kube-apiserver-arg"])
        assert config_check.validate(entry["k3s_desired"]["config"], host=name, role=entry["k3s_desired"]["role"]) == []
    # The machines of the control plane and of observability run no Wasm.
    assert all(
        not [label for label in entry["k3s_desired"]["labels"] if "runtime" in label] for entry in desired.values()
    )
    assert {entry["k3s_desired"]["labels"]["wasmfaas.dev/group"] for entry in desired.values()} == {
        "control-plane",
        "observability",
    }


def test_nodes_can_pull_the_functions(desired: dict[str, dict[str, t.Any]]) -> None:
    """The inventory uses Terraform's registry in ECR. The plan accepts it, and nodes log in to the `registry` to which
    deploy-function.yml pushes."""
    hosts = [Host(name, entry["k3s_desired"]["role"], desired=entry["k3s_desired"]) for name, entry in desired.items()]
    assert login_problems(hosts) == []
    for entry in desired.values():
        login = entry["k3s_desired"]["registries_login"]
        assert login["ecr"] is True and login["images_from"][0] == entry["aws_cluster"]["registry"]["functions"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("cluster_name: other", "no parameter /wasmfaas/other/cluster in us-east-1"),
        ("region: eu-north-1", "in eu-north-1"),
    ],
)
def test_error_names_a_cluster_that_does_not_exist(fleet: Fleet, tmp_path: Path, line: str, said: str) -> None:
    key = line.partition(":")[0]
    lines = (INVENTORY / "cluster.aws_cluster.yml").read_text(encoding="utf-8").splitlines()
    source = tmp_path / "cluster.aws_cluster.yml"
    source.write_text("\n".join([*(entry for entry in lines if not entry.startswith(key)), line]), encoding="utf-8")
    with pytest.raises(AssertionError) as refused:
        fleet.ansible(
            "ansible-inventory", (source,), "--list", environment={"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
        )
    message = " ".join(str(refused.value).split())
    assert said in message and "Next: Run `terraform apply`" in message


def test_all_aws_inventories_follow_aws_region(fleet: Fleet) -> None:
    elsewhere = {"AWS_REGION": "eu-north-1", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    for source in (INVENTORY / "machines.aws_ec2.yml", AUTOSCALED_INVENTORY / "autoscaled.aws_ec2.yml"):
        listed = json.loads(fleet.ansible("ansible-inventory", (source,), "--list", environment=elsewhere))
        assert not listed["_meta"]["hostvars"], source
    with pytest.raises(AssertionError, match=r"in\s+eu-north-1"):
        fleet.ansible("ansible-inventory", (INVENTORY / "cluster.aws_cluster.yml",), "--list", environment=elsewhere)


def test_offline_inventory_refuses_other_json() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "scripts/terraform_inventory.py")],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "terraform output -json" in done.stderr


def test_autoscaled_machines_are_listed_only_by_their_own_inventory(fleet: Fleet) -> None:
    groups = _groups(fleet.inventory(INVENTORY, AUTOSCALED_INVENTORY))
    assert {name: len(hosts) for name, hosts in groups.items()} == {
        "control_plane": 3,
        "k3s_agent": 4,
        "k3s_server": 3,
        "observability": 2,
        "worker_backend": 1,
        "worker_build": 1,
    }


def test_an_apply_keeps_what_the_autoscaler_and_site_yml_changed(fleet: Fleet) -> None:
    ssm, autoscaling = fleet.moto.client("ssm"), fleet.moto.client("autoscaling")
    secret, digest = "K10secret::server:token", "a" * 64
    ssm.put_parameter(
        Name="/wasmfaas/wasmfaas/groups/worker-wasm/token", Value=secret, Type="SecureString", Overwrite=True
    )
    ssm.put_parameter(Name="/wasmfaas/wasmfaas/groups/worker-wasm/bundle", Value=digest, Type="String", Overwrite=True)
    autoscaling.set_desired_capacity(AutoScalingGroupName="wasmfaas-worker-wasm", DesiredCapacity=3)

    assert fleet.apply() == "0 added, 0 changed, 0 destroyed"
    assert (
        ssm.get_parameter(Name="/wasmfaas/wasmfaas/groups/worker-wasm/token", WithDecryption=True)["Parameter"]["Value"]
        == secret
    )
    assert ssm.get_parameter(Name="/wasmfaas/wasmfaas/groups/worker-wasm/bundle")["Parameter"]["Value"] == digest
    assert secret not in (fleet.directory / "terraform.tfstate").read_text(encoding="utf-8")
    assert len(_groups(fleet.inventory(AUTOSCALED_INVENTORY))["worker_wasm"]) == 3

    autoscaling.set_desired_capacity(AutoScalingGroupName="wasmfaas-worker-wasm", DesiredCapacity=0)
    assert "worker_wasm" not in _groups(fleet.inventory(AUTOSCALED_INVENTORY))


def test_two_hundred_autoscaled_machines_are_listed_in_seconds(fleet: Fleet, tmp_path: Path) -> None:
    with many_machines(fleet.moto, tmp_path) as source:
        before = child_cpu_seconds()
        groups = _groups(fleet.inventory(source))
        seconds = child_cpu_seconds() - before
    # bench/terraform_plan.py measures the goal of 5 s; this limit only notices large changes.
    assert len(groups["worker_wasm"]) == 200 and seconds <= 10


def test_a_replaced_server_keeps_name_address_and_volume(fleet: Fleet) -> None:
    before = resources(fleet.directory)
    address = 'module.control_plane.module.machine["2"]'
    fleet.apply(f"-replace={address}.aws_instance.this")
    after = resources(fleet.directory)
    assert after[f"{address}.aws_instance.this"]["id"] != before[f"{address}.aws_instance.this"]["id"]
    assert after[f"{address}.aws_instance.this"]["tags"] == before[f"{address}.aws_instance.this"]["tags"]
    for kept in ("aws_eip.this[0]", "aws_network_interface.this", "aws_ebs_volume.data[0]"):
        assert after[f"{address}.{kept}"]["id"] == before[f"{address}.{kept}"]["id"]
    assert after[f"{address}.aws_eip.this[0]"]["public_ip"] == before[f"{address}.aws_eip.this[0]"]["public_ip"]
    assert (
        after[f"{address}.aws_volume_attachment.data[0]"]["instance_id"] == after[f"{address}.aws_instance.this"]["id"]
    )
    for number in ("1", "3"):
        other = f'module.control_plane.module.machine["{number}"].aws_instance.this'
        assert after[other]["id"] == before[other]["id"]
    assert "wasmfaas-control-plane-2" in _groups(fleet.inventory(INVENTORY))["k3s_server"]


def test_a_new_image_or_type_stops_no_server(fleet: Fleet) -> None:
    groups = _default_groups(fleet)
    groups["control-plane"] |= {"instance_types": ["t4g.large"], "image_id": "ami-0123456789abcdef0"}
    path = fleet.directory / "other.tfvars.json"
    path.write_text(json.dumps({"node_groups": groups}), encoding="utf-8")
    changes, _text = fleet.plan(f"-var-file={path}", "-refresh=false")
    assert [change for change in changes if "module.control_plane" in change] == []


def test_destroy_leaves_nothing_but_protects_snapshots(fleet: Fleet) -> None:
    s3 = fleet.moto.client("s3")
    bucket = "wasmfaas-123456789012-us-east-1-snapshots"
    with pytest.raises(botocore.exceptions.ClientError, match="Forbidden"):
        s3.put_object(Bucket=bucket, Key="etcd-snapshot-1", Body=b"over plain HTTP, which the bucket's policy denies")
    for name in (bucket, "wasmfaas-123456789012-us-east-1-bundles"):
        s3.delete_bucket_policy(Bucket=name)
    s3.put_object(Bucket=bucket, Key="etcd-snapshot-1", Body=b"a snapshot")
    s3.put_object(
        Bucket="wasmfaas-123456789012-us-east-1-bundles", Key="bundles/worker-wasm/x.tar.gz", Body=b"a bundle"
    )
    refused = fleet.terraform.run(fleet.directory, "destroy", "-auto-approve", "-no-color", expected=(1,))
    assert bucket in refused.stderr and "BucketNotEmpty" in refused.stderr
    assert _left(fleet) == {"s3": [bucket]}

    fleet.apply("-var=destroy_snapshots=true", '-target=module.artifacts.aws_s3_bucket.this["snapshots"]')
    fleet.terraform.run(fleet.directory, "destroy", "-auto-approve", "-no-color", "-var=destroy_snapshots=true")
    assert _left(fleet) == {}


def _hosts(inventory: dict[str, t.Any], names: set[str]) -> dict[str, dict[str, t.Any]]:
    """The variables `names` of each host, without the mark that Ansible puts on text from AWS."""

    def plain(value: t.Any) -> t.Any:
        return value["__ansible_unsafe"] if isinstance(value, dict) and set(value) == {"__ansible_unsafe"} else value

    return {
        host: {name: plain(variables.get(name)) for name in names}
        for host, variables in inventory["_meta"]["hostvars"].items()
    }


def _groups(inventory: dict[str, t.Any]) -> dict[str, list[str]]:
    """Hosts by group, for the groups in GROUPS that have any; hosts of child groups included."""

    def members(group: str) -> set[str]:
        entry = inventory.get(group, {})
        return {*entry.get("hosts", []), *(host for child in entry.get("children", []) for host in members(child))}

    return {name: sorted(members(name)) for name in GROUPS if members(name)}


def _desired(fleet: Fleet, source: Path, directory: Path) -> dict[str, dict[str, t.Any]]:
    """The variables that the roles wasm_shims, registries and k3s compute for each host. Their tasks for this do not
    connect to hosts."""
    names = ("aws_cluster", "k3s_desired", "provider_id")
    content = f"{{{{ dict({names!r} | zip([{', '.join(names)}])) | to_json }}}}"
    tasks = [
        {"import_role": {"name": "wasm_shims", "tasks_from": "plan"}},
        {"import_role": {"name": "registries", "tasks_from": "plan"}},
        {"import_role": {"name": "k3s", "tasks_from": "desired"}},
        {"copy": {"dest": f"{directory}/{{{{ inventory_hostname }}}}.json", "content": content}},
    ]
    variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    directory.mkdir()
    playbook = directory / "playbook.yml"
    playbook.write_text(
        yaml.safe_dump([{"hosts": "k3s_server:k3s_agent", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    environment = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles")}
    fleet.ansible("ansible-playbook", (source,), str(playbook), "-e", json.dumps(variables), environment=environment)
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")}


def _default_groups(fleet: Fleet) -> dict[str, t.Any]:
    done = subprocess.run(
        [fleet.terraform.program, f"-chdir={fleet.directory}", "console"],
        input="jsonencode(var.node_groups)\n",
        env=fleet.terraform.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    groups: dict[str, t.Any] = json.loads(json.loads(done.stdout))
    return groups


def _left(fleet: Fleet) -> dict[str, list[str]]:
    """What is left of all that Terraform makes, by service, without what every account has from the start."""
    ec2, elb, client = fleet.moto.client("ec2"), fleet.moto.client("elbv2"), fleet.moto.client
    instances = [
        i
        for r in ec2.describe_instances()["Reservations"]
        for i in r["Instances"]
        if i["State"]["Name"] not in ("terminated", "shutting-down")
    ]
    vpcs = [vpc["VpcId"] for vpc in ec2.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]]
    found = {
        "instances": [instance["InstanceId"] for instance in instances],
        "volumes": [volume["VolumeId"] for volume in ec2.describe_volumes()["Volumes"]],
        "addresses": [address["AllocationId"] for address in ec2.describe_addresses()["Addresses"]],
        # moto does not remove the interfaces of scaling groups' machines.
        "interfaces": [
            entry["NetworkInterfaceId"]
            for entry in ec2.describe_network_interfaces()["NetworkInterfaces"]
            if entry["Description"].startswith("wasmfaas-")
        ],
        "vpcs": vpcs,
        "security groups": [
            group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"] if group["VpcId"] in vpcs
        ],
        "templates": [
            template["LaunchTemplateName"] for template in ec2.describe_launch_templates()["LaunchTemplates"]
        ],
        "keys": [key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]],
        "scaling groups": [
            group["AutoScalingGroupName"]
            for group in client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        ],
        "load balancers": [entry["LoadBalancerName"] for entry in elb.describe_load_balancers()["LoadBalancers"]],
        "target groups": [entry["TargetGroupName"] for entry in elb.describe_target_groups()["TargetGroups"]],
        "roles": [
            role["RoleName"]
            for role in client("iam").list_roles()["Roles"]
            if not role["Path"].startswith("/aws-service-role/")
        ],
        "policies": [policy["PolicyName"] for policy in client("iam").list_policies(Scope="Local")["Policies"]],
        "profiles": [
            profile["InstanceProfileName"] for profile in client("iam").list_instance_profiles()["InstanceProfiles"]
        ],
        "s3": [
            bucket["Name"]
            for bucket in client("s3").list_buckets()["Buckets"]
            if bucket["Name"].startswith("wasmfaas-")
        ],
        "parameters": [
            entry["Name"]
            for entry in client("ssm").describe_parameters()["Parameters"]
            if entry["Name"].startswith("/wasmfaas/")
        ],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "rules": [rule["Name"] for rule in client("events").list_rules()["Rules"]],
        "repositories": [
            repository["repositoryName"] for repository in client("ecr").describe_repositories()["repositories"]
        ],
    }
    return {name: entries for name, entries in found.items() if entries}
