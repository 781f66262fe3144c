# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E402 (Ansible wants a plugin's documentation above its imports)
"""What Terraform says of the cluster, read once for each run: a lookup in group_vars would ask AWS anew for every
variable of every host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: aws_cluster
short_description: The description of a cluster that terraform/ left in AWS
version_added: 1.0.0
author: The wasmfaas.platform authors (@wasmfaas)
description:
  - Gives all hosts the variable C(aws_cluster), the content of the SSM parameter C(/wasmfaas/NAME/cluster), which
    Terraform writes.
  - Finds no hosts; for these stand files of P(amazon.aws.aws_ec2#inventory) beside it. Its own files end in
    C(aws_cluster.yml).
  - Credentials are found as the AWS CLI finds them; C(AWS_PROFILE) names others, C(AWS_ENDPOINT_URL) another AWS.
requirements:
  - boto3
options:
  plugin:
    description: Name of this plugin.
    type: str
    required: true
    choices: [wasmfaas.platform.aws_cluster]
  region:
    description: Terraform's variable O(region).
    type: str
    default: us-east-1
    env:
      - name: AWS_REGION
  cluster_name:
    description: Terraform's variable O(cluster_name).
    type: str
    default: wasmfaas
"""

EXAMPLES = r"""
# cluster.aws_cluster.yml
plugin: wasmfaas.platform.aws_cluster
region: eu-central-1
cluster_name: wasmfaas
"""

import json
import typing as t

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

VARIABLE = "aws_cluster"


class InventoryModule(BaseInventoryPlugin):  # type: ignore[misc] # Ansible has no type information
    """See DOCUMENTATION."""

    NAME = "wasmfaas.platform.aws_cluster"

    def verify_file(self, path: str) -> bool:
        """Whether a file is this plugin's, by its name."""
        return bool(super().verify_file(path)) and path.endswith(("aws_cluster.yml", "aws_cluster.yaml"))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Give the group `all` the variable."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        inventory.set_variable("all", VARIABLE, _read(self.get_option("region"), self.get_option("cluster_name")))


def _read(region: str, cluster_name: str) -> dict[str, t.Any]:
    try:
        import boto3
        import botocore.exceptions
    except ImportError as error:
        raise AnsibleParserError(
            f"The Python that runs Ansible has no {error.name}. Next: Install it with pip install boto3."
        ) from error
    name = f"/wasmfaas/{cluster_name}/cluster"
    try:
        found = boto3.client("ssm", region_name=region).get_parameter(Name=name)["Parameter"]["Value"]
        cluster = json.loads(found)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, ValueError) as error:
        if getattr(error, "response", {}).get("Error", {}).get("Code") == "ParameterNotFound":
            raise AnsibleParserError(
                f"There is no parameter {name} in {region}. Next: Run `terraform apply`, or name its region in "
                "AWS_REGION and its cluster_name here; AWS_PROFILE chooses the account."
            ) from error
        raise AnsibleParserError(
            f"The parameter {name} cannot be read in {region}: {error}. Next: Check `aws sts get-caller-identity`."
        ) from error
    if not isinstance(cluster, dict):
        raise AnsibleParserError(
            f"The parameter {name} in {region} is not what terraform/ writes. Next: Run `terraform apply` again."
        )
    return cluster
