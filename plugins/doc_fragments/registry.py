# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Access to the registry that a module pushes to."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  registry_username:
    description: User at the registry. The default comes from Docker's and Podman's configuration and credential
      helpers.
    type: str
  registry_password:
    description: Password of O(registry_username).
    type: str
  registry_ca_file:
    description: Path of certificate authorities to trust for the registry, in addition to the system's.
    type: path
  registry_plain_http:
    description: Whether to speak HTTP to the registry instead of HTTPS.
    type: bool
    default: false
  aws_endpoint_url:
    description: URL of the AWS API for Amazon ECR. The default is the public one.
    type: str
"""
