# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Replaces the machines of a scaling group, so that they start from the current node bundle: EC2's instance refresh.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/asg-instance-refresh.html
"""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from .aws import Aws

RUNNING = ("Pending", "InProgress", "Baking", "Cancelling", "RollbackInProgress")

NEW_FIRST = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 110}
"""New machines start before old ones are terminated, a tenth of the group at a time, at least one: a group of one
machine is never empty."""


def refresh(aws: Aws, name: str, *, warmup: int, check_mode: bool) -> dict[str, t.Any]:
    """Begin an instance refresh, unless the group has no machines.

    Args:
        name: name of the scaling group.
        warmup: seconds that a new machine has to join before the next one is replaced.

    Returns:
        `changed`, `instance_refresh` (its id; "" in check mode or if the group has no machines), `machines`.

    Raises:
        PlatformError: there is no such group, it is being refreshed, or AWS refuses something.
    """
    groups = aws.call("autoscaling:DescribeAutoScalingGroups", name, AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        raise PlatformError(
            f"There is no scaling group {name} in {aws.region}.",
            next_step="Run `terraform apply`, and look at region and cluster name.",
        )
    machines = len(groups[0]["Instances"])
    running = [
        found["InstanceRefreshId"]
        for found in aws.call("autoscaling:DescribeInstanceRefreshes", name, AutoScalingGroupName=name)[
            "InstanceRefreshes"
        ]
        if found["Status"] in RUNNING
    ]
    if running:
        raise _already(name, running[0])
    if not machines:
        return {"changed": False, "instance_refresh": "", "machines": 0}
    begun = ""
    if not check_mode:
        # The launch template is unchanged, so with SkipMatching all machines would be skipped.
        preferences: dict[str, t.Any] = {**NEW_FIRST, "InstanceWarmup": warmup, "SkipMatching": False}
        answer = aws.call(
            "autoscaling:StartInstanceRefresh",
            name,
            missing=("InstanceRefreshInProgress",),
            AutoScalingGroupName=name,
            Strategy="Rolling",
            Preferences=preferences,
        )
        if answer is None:
            raise _already(name, "begun just now")
        begun = str(answer["InstanceRefreshId"])
    return {"changed": True, "instance_refresh": begun, "machines": machines}


def _already(name: str, refresh_id: str) -> PlatformError:
    return PlatformError(
        f"The machines of {name} are being replaced already (instance refresh {refresh_id}); another was not begun.",
        next_step=f"Wait for it, or `aws autoscaling cancel-instance-refresh --auto-scaling-group-name {name}`; then "
        "run again with -e refresh=GROUP.",
    )


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """What the module scaling_group_refresh does; `parameters` are its options."""
    aws = Aws(parameters["region"], parameters["profile"], parameters["endpoint_url"])
    return refresh(aws, parameters["name"], warmup=parameters["warmup"], check_mode=check_mode)
