# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the IAM policies of terraform/."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t
from pathlib import Path

from .support import TERRAFORM

# IAM actions that AWS cannot restrict to a resource:
# https://docs.aws.amazon.com/service-authorization/latest/reference/
WITHOUT_RESOURCE = {
    "autoscaling:DescribeAutoScalingGroups",
    "autoscaling:DescribeAutoScalingInstances",
    "autoscaling:DescribeLaunchConfigurations",
    "autoscaling:DescribeScalingActivities",
    "autoscaling:DescribeTags",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTopology",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeRegions",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeTags",
    "ec2:DescribeVolumeStatus",
    "ec2:DescribeVolumes",
    "ec2:DescribeVolumesModifications",
    "ec2:DescribeVpcs",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "ecr:GetAuthorizationToken",
    "elasticloadbalancing:DescribeTargetGroups",
    "elasticloadbalancing:DescribeTargetHealth",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}


def check_narrow(name: str, statements: list[dict[str, t.Any]]) -> None:
    """Assert that no action is a pattern, and that every statement names resources, except for WITHOUT_RESOURCE."""
    for statement in statements:
        where = (name, statement)
        assert set(statement) <= {"Action", "Resource", "Condition"}, where
        assert all(isinstance(statement[key], list) and statement[key] for key in ("Action", "Resource")), where
        assert not any("*" in action for action in statement["Action"]), where
        if "*" in statement["Resource"]:
            broad = set(statement["Action"]) - WITHOUT_RESOURCE
            assert not broad, f"{name}: AWS can restrict these actions to a resource: {broad}"
        else:
            assert all(resource.startswith("arn:aws:") for resource in statement["Resource"]), where
            # The part after region and account must name something, such as a bucket or a zone, and not only be `*`.
            assert not any(resource.split(":", 5)[5].split("/")[0] == "*" for resource in statement["Resource"]), where


def catalogue(program: str, directory: Path, variables: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """All policies of the module identity, also those that the default fleet does not use. Terraform's console
    evaluates them without a provider."""
    for name in ("policies.tf", "variables.tf"):
        shutil.copy(TERRAFORM / "modules/identity" / name, directory)
    (directory / "test.auto.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
    done = subprocess.run(
        [program, f"-chdir={directory}", "console"],
        input='jsonencode(merge(local.catalogue, { for group, policy in local.join : "join_${group}" => policy }))\n',
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, t.Any]] = json.loads(json.loads(done.stdout))
    return found
