# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says whether a tenant's kubeconfig on this machine is still good, so that a run without changes makes no new
token."""

from __future__ import annotations

import base64
import json
import typing as t


def usable(kubeconfig: str, *, account: str, server: str, authority: str, now: float) -> bool:
    """Whether the file holds a token of this very account (`account` is its uid, which another of its name has not), at
    this API, half of whose life is ahead.

    Args:
        authority: PEM of the API's authority.
        now: seconds since 1970.
    """
    import yaml

    try:
        content = yaml.safe_load(kubeconfig)
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        claims = token_claims(user["token"])
        same = (
            cluster["server"] == server
            and base64.b64decode(cluster["certificate-authority-data"]).decode() == authority
        )
        own = claims["kubernetes.io"]["serviceaccount"]["uid"] == account
        return bool(same and own and claims["exp"] - now > (claims["exp"] - claims["iat"]) / 2)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, yaml.YAMLError):
        return False  # not written by us, or cut off: a new one takes its place


def token_claims(token: str) -> dict[str, t.Any]:
    """What a token says of itself (RFC 7519); its signature is the API server's to check. Raises ValueError where it is
    none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a token")
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(claims, dict):
        raise ValueError("not a token")
    return claims
