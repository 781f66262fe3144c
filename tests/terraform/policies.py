# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policies of terraform/ may hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import typing as t
from pathlib import Path

from .support import TERRAFORM

# IAM actions for which AWS has no resource type to narrow them to:
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
    """No action by pattern; every resource, but of actions that have none."""
    for statement in statements:
        assert set(statement) <= {"Action", "Resource", "Condition"}, (name, statement)
        assert all(isinstance(statement[key], list) and statement[key] for key in ("Action", "Resource")), (
            name,
            statement,
        )
        assert not any("*" in action for action in statement["Action"]), (name, statement)
        if "*" in statement["Resource"]:
            assert set(statement["Action"]) <= WITHOUT_RESOURCE, (
                f"{name}: these can be narrowed: {set(statement['Action']) - WITHOUT_RESOURCE}"
            )
        else:
            assert all(resource.startswith("arn:aws:") for resource in statement["Resource"]), (name, statement)
            # Of the account and the region, of S3 and Route 53 of the one bucket or zone: none ends in a pattern over
            # everything.
            assert not any(resource.split(":", 5)[5].split("/")[0] == "*" for resource in statement["Resource"]), (
                name,
                statement,
            )


def catalogue(program: str, folder: Path, variables: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    """All policies of the module identity, used by the default fleet or not; Terraform's console evaluates them without
    a provider."""
    for name in ("policies.tf", "variables.tf"):
        shutil.copy(TERRAFORM / "modules/identity" / name, folder)
    (folder / "test.auto.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
    done = subprocess.run(
        [program, f"-chdir={folder}", "console"],
        input='jsonencode(merge(local.catalogue, { for group, policy in local.join : "join_${group}" => policy }))\n',
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, t.Any]] = json.loads(json.loads(done.stdout))
    return found
