# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of HTTP routes (Spin: crates/routes/src/lib.rs, routefinder 0.5)."""

from __future__ import annotations

import re

RESERVED_PREFIX = "/.well-known/spin/"
"""Spin itself answers below this (Spin: crates/routes/src/lib.rs, WELL_KNOWN_PREFIX)."""


def route_error(route: str) -> tuple[str, str]:
    """Say what is wrong with an HTTP route and what to do, or return two empty strings."""
    if f"/{route.removeprefix('/')}".startswith(RESERVED_PREFIX):
        return (
            f'the route "{route}" is answered by Spin itself',
            f'Choose a route that does not begin with "{RESERVED_PREFIX}".',
        )
    segments = [segment for segment in route.split("/") if segment]
    for position, segment in enumerate(segments):
        is_last = position == len(segments) - 1
        if segment in ("...", "*"):
            if not is_last:
                return (
                    f'the route "{route}" has a wildcard in the middle',
                    'Write "..." only as the last segment, or ":name" for one segment.',
                )
            continue
        if segment.startswith(("*", "...")) or segment.endswith("..."):
            return (
                f'the route "{route}" joins a wildcard with other text',
                'Write "/..." as the last segment, by itself.',
            )
        for part in segment.split("."):
            if part == ":":
                return f'the route "{route}" has a ":" without a name', 'Write ":name".'
            if part.startswith("*"):
                return (
                    f'the route "{route}" joins a wildcard with other text',
                    'Write "/..." as the last segment, by itself.',
                )
    if segments and segments[-1] == "..." and route.endswith("//"):
        # Spin takes away one slash only, and then sees no wildcard.
        return f'the route "{route}" has several "/" after its wildcard', f'Write "{route.rstrip("/")}".'
    return "", ""


def path_of(route: str) -> str:
    """A path that a route matches."""
    segments = [
        "x" if segment.startswith(":") else segment for segment in route.split("/") if segment not in ("", "...")
    ]
    return "/" + "/".join(segments)


def route_key(route: str) -> str:
    """Reduce a route to the part that tells it from others for Spin: without slashes at the ends and names of
    parameters."""
    segments = ["*" if segment == "..." else segment for segment in route.split("/") if segment]
    return "/" + re.sub(r":[^/.]+", ":", "/".join(segments))
