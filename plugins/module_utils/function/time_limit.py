# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits on how long a request may take: one rule for all targets."""

from __future__ import annotations

from ..errors import PlatformError

DEFAULT_TIMEOUT = 30
"""Seconds that a function may take for a request."""

MAXIMUM_SECONDS = 24 * 3600
"""A Duration of the Gateway API has at most five digits before its unit (GEP-2257)."""


def checked_seconds(option: str, seconds: int) -> int:
    """Give `seconds`, the value of the option of this name; raises PlatformError where it is no time to wait for an
    answer."""
    if not 1 <= seconds <= MAXIMUM_SECONDS:
        raise PlatformError(
            f"{option}: {seconds} is out of range.", next_step=f"Give 1 to {MAXIMUM_SECONDS} seconds, without a unit."
        )
    return seconds
