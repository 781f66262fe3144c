# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error status of a registry means, and what to do then."""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from .transport import Peer

if t.TYPE_CHECKING:
    import httpx2


def refusal(response: httpx2.Response, peer: Peer, repository: str, message: str, did: str) -> PlatformError:
    """Make the error for a status that is none of success.

    Args:
        message: what the registry says of it; empty where it says nothing.
        did: what was being done, as in `reading team/hello:v1`.
    """
    address, status = peer.address, response.status_code
    cause = f"The registry {address} answered HTTP {status}{f' ({message})' if message else ''}, while {did}."
    upper = message.upper()
    if status == 400 and peer.plain_http and "HTTPS" in upper:
        return PlatformError(cause, next_step="Leave `registry_plain_http` out: this port speaks HTTPS.")
    if status == 403:
        return PlatformError(
            cause,
            next_step=f"Give the account the right to push to {repository}, or run `docker login {address}` with "
            "another one.",
        )
    if status == 404 and "BLOB_UNKNOWN" not in upper:
        return PlatformError(
            cause,
            next_step=f"Create the repository {repository} (or the project it belongs to) in {address}, or check "
            "the path in `registry`.",
        )
    if "BLOB_UNKNOWN" in upper:
        return PlatformError(
            cause,
            next_step="Run again. If it stays so, the registry's cache names blobs that its garbage collection "
            "removed: restart the registry.",
        )
    if status == 405 or "UNSUPPORTED" in upper:
        return PlatformError(
            cause,
            next_step="The registry is read-only or a pull-through cache: choose another `registry`, or allow "
            "pushes in its configuration.",
        )
    if status == 413:
        return PlatformError(
            cause,
            next_step=f"Raise the largest request body of {address} or of the proxy in front of it (nginx: "
            "`client_max_body_size`).",
        )
    if status == 429:
        wait = response.headers.get("Retry-After")
        return PlatformError(
            cause,
            next_step=f"Run again {f'after {wait} s' if wait and wait.isdigit() else 'later'}, or raise the rate "
            "limit of the account.",
        )
    if status == 507 or "NO SPACE" in upper:
        return PlatformError(
            cause,
            next_step=f"Free disk space of {address}: delete old tags and run the registry's garbage collection; "
            "or give it a larger disk.",
        )
    if "QUOTA" in upper:
        return PlatformError(
            cause,
            next_step=f"Raise the quota of {repository.partition('/')[0]} in {address}, or delete old tags there.",
        )
    if "IMMUTABLE" in upper or "ALREADYEXISTS" in upper.replace(" ", "") or status == 409:
        return PlatformError(cause, next_step="Use another tag, or make the tags of this repository mutable.")
    if status >= 500:
        return PlatformError(
            cause,
            next_step=f"See the log and the free disk space of {address}; then run again: what is stored is not "
            "sent again.",
        )
    return PlatformError(cause, next_step=f"Check that {address} is an OCI registry and `registry` is right.")
