# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that push to a registry."""

from __future__ import annotations

import typing as t


def registry_arguments() -> dict[str, t.Any]:
    """The options of doc fragment registry, as part of an argument_spec."""
    return dict(
        registry_username=dict(type="str"),
        registry_password=dict(type="str", no_log=True),
        registry_ca_file=dict(type="path"),
        registry_plain_http=dict(type="bool", default=False),
        aws_endpoint_url=dict(type="str"),
    )
