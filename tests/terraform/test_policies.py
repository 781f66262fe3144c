# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every policy that a node group can have, also those that the default fleet does not use."""

from __future__ import annotations

import re
import typing as t

import pytest

from .policies import WITHOUT_RESOURCE, catalogue, check_narrow
from .support import TERRAFORM, Terraform

VARIABLES = {
    "name": "demo",
    "scope": {"partition": "aws", "region": "us-east-1", "account": "123456789012"},
    "groups": {
        "worker": {
            "permissions": [],
            "join": {
                "parameter_arns": ["arn:aws:ssm:us-east-1:123456789012:parameter/a"],
                "bundles_arn": "arn:aws:s3:::b/w/*",
            },
        }
    },
    "session_manager": True,
    "snapshots_bucket_arn": "arn:aws:s3:::demo-snapshots",
    "telemetry_bucket_arns": ["arn:aws:s3:::demo-logs", "arn:aws:s3:::demo-traces"],
    "interruption_queue_arn": "arn:aws:sqs:us-east-1:123456789012:demo",
    "function_repository_prefix": "demo/functions",
    "mirror_prefixes": ["demo-quay"],
    "hosted_zone_ids": ["Z0123456789ABCDEFGHIJ"],
    "token_key_arn": "arn:aws:kms:us-east-1:123456789012:key/1",
}


@pytest.fixture(scope="module")
def policies(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, t.Any]]:
    return catalogue(terraform.program, tmp_path_factory.mktemp("policies"), VARIABLES)


def test_all_policies_are_narrow_and_have_a_reason(policies: dict[str, dict[str, t.Any]]) -> None:
    for name, policy in policies.items():
        assert len(policy["reason"]) > 30 and policy["statements"], name
        statements = [
            {key: value for key, value in entry.items() if value is not None} for entry in policy["statements"]
        ]
        check_narrow(name, statements)


def test_each_permission_has_a_policy(policies: dict[str, dict[str, t.Any]]) -> None:
    text = (TERRAFORM / "variables.tf").read_text(encoding="utf-8")
    (allowed,) = re.findall(r"permissions must be of (.*)\.\"", text)
    assert {*allowed.split(", "), "session_manager", "join_worker"} == set(policies)


def test_every_action_without_resource_is_used(policies: dict[str, dict[str, t.Any]]) -> None:
    used = {
        action
        for policy in policies.values()
        for statement in policy["statements"]
        if "*" in statement["Resource"]
        for action in statement["Action"]
    }
    assert used == WITHOUT_RESOURCE


def test_kubelets_may_pull_functions_and_mirrored_images(policies: dict[str, dict[str, t.Any]]) -> None:
    """These are the actions that a pull from ECR needs (docs.aws.amazon.com/AmazonECR, repository-policies). A
    validation in variables.tf requires the permission for each group."""
    token, pull, _mirror = policies["registry_pull"]["statements"]
    assert token["Action"] == ["ecr:GetAuthorizationToken"] and token["Resource"] == ["*"]
    assert set(pull["Action"]) == {"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}
    assert [resource.partition(":repository/")[2] for resource in pull["Resource"]] == [
        "demo/functions/*",
        "demo-quay/*",
    ]


def test_actions_that_change_something_are_limited_to_the_cluster(policies: dict[str, dict[str, t.Any]]) -> None:
    """By its name in the resource, or by a tag."""
    # With UpdateInstanceInformation a machine reports about itself.
    reading = re.compile(r"\w+:(Describe|Get|List|BatchGet|BatchCheck)|ssm:UpdateInstanceInformation")
    for name, policy in policies.items():
        for statement in policy["statements"]:
            if all(reading.match(action) or action in WITHOUT_RESOURCE for action in statement["Action"]):
                continue
            named = all(re.search("demo|Z0123456789ABCDEFGHIJ|key/1", resource) for resource in statement["Resource"])
            assert named or statement.get("Condition"), (name, statement)


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": ["s3:*"], "Resource": ["arn:aws:s3:::a"]},
        {"Action": ["s3:GetObject"], "Resource": ["*"]},
        {"Action": ["ssm:GetParameter"], "Resource": ["arn:aws:ssm:us-east-1:123456789012:*"]},
        {"Action": ["s3:GetObject"], "NotResource": ["arn:aws:s3:::a"], "Resource": ["arn:aws:s3:::a"]},
    ],
)
def test_broad_statements_are_found(statement: dict[str, t.Any]) -> None:
    with pytest.raises(AssertionError):
        check_narrow("broad", [statement])
