# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments for tests."""

from __future__ import annotations

import typing as t

from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Settings


def deployment(tenant: str = "user1", function: str = "shop", number: int = 1, **more: t.Any) -> Deployment:
    """A deployment that was just created; later numbers a second later."""
    given: dict[str, t.Any] = {
        "number": number,
        "tenant": tenant,
        "function": function,
        "source": "sha256:" + "0" * 64,
        "settings": Settings(),
        "settings_digest": "hmac-sha256:1",
        "requested_by": "alice",
        "created": f"2026-11-30T09:00:{number % 60:02}.000Z",
    }
    return Deployment(**{**given, **more})
