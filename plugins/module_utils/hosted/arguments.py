# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module arguments of the documentation fragment function.hosted."""

from __future__ import annotations

import typing as t


def hosted_arguments() -> dict[str, t.Any]:
    """They are a part of an argument_spec."""
    return dict(
        service=dict(type="str"),
        service_token_file=dict(type="path", no_log=False),
        service_ca_file=dict(type="path"),
        service_plain_http=dict(type="bool", default=False),
    )
