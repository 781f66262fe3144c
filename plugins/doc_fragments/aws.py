# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that call AWS."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - python >= 3.11
  - boto3 >= 1.40
options:
  region:
    description: The AWS region.
    type: str
    required: true
  profile:
    description: Profile of C(~/.aws). By default boto3 looks for credentials in its usual places.
    type: str
  endpoint_url:
    description: URL of an API to use instead of AWS.
    type: str
"""
