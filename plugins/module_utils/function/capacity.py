# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The capacity model: how many replicas a load needs, and what answer time cold starts cost."""

from __future__ import annotations

import math

from ..errors import PlatformError

_EXAMPLE = "write it as in {requests_per_second: 200, service_time_seconds: 0.01, concurrency: 4}."


_ROUNDING = 1e-12
"""Relative error that a product and a quotient of decimal fractions may have, with room to spare."""


def replicas_needed(requests_per_second: float, service_time_seconds: float, concurrency: float) -> int:
    """N = ⌈λ·S/c⌉, by Little's law: λ·S requests are in work at once, and each replica works on c of them.

    Args:
        requests_per_second: λ, the mean arrival rate; 0 or more.
        service_time_seconds: S, the mean time a warm replica works on one request; more than 0.
        concurrency: c, the requests one replica works on at once; 1 or more.

    Returns:
        The number of replicas; 0 where there is no load.

    Raises:
        PlatformError: a value is no number or out of its range.
    """
    rate = _number("requests_per_second", requests_per_second, minimum=0)
    service_time = _number("service_time_seconds", service_time_seconds, minimum=0, exclusive=True)
    slots = _number("concurrency", concurrency, minimum=1)
    replicas = rate * service_time / slots
    if not math.isfinite(replicas):
        raise PlatformError(
            f"{rate:g} requests per second of {service_time:g} s each are more than can be counted.", next_step=_EXAMPLE
        )
    # 0.1 * 3 / 0.3 must be 1 and not 2: what lies within a rounding error above an integer counts as that integer.
    return max(math.ceil(replicas * (1 - _ROUNDING)), 1 if rate > 0 else 0)


def expected_response_time(cold_probability: float, cold_seconds: float, warm_seconds: float) -> float:
    """ERT = p·Tcold + (1−p)·Twarm, in seconds.

    Args:
        cold_probability: p, the share of requests that meet no running replica; 0 to 1.
        cold_seconds: Tcold, the answer time of such a request, start included; 0 or more.
        warm_seconds: Twarm, the answer time of any other; 0 or more.

    Raises:
        PlatformError: a value is no number or out of its range.
    """
    probability = _number("cold_probability", cold_probability, minimum=0, maximum=1)
    cold = _number("cold_seconds", cold_seconds, minimum=0)
    warm = _number("warm_seconds", warm_seconds, minimum=0)
    return probability * cold + (1 - probability) * warm


def _number(name: str, value: object, *, minimum: float, maximum: float = math.inf, exclusive: bool = False) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]  # anything may come from a playbook; what is no number is told below
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if (
        isinstance(value, bool)
        or not math.isfinite(number)
        or number < minimum
        or number > maximum
        or (exclusive and number == minimum)
    ):
        bounds = (
            f"more than {minimum:g}"
            if exclusive
            else f"{minimum:g} or more"
            if maximum == math.inf
            else f"{minimum:g} to {maximum:g}"
        )
        raise PlatformError(f"{name} must be a number, {bounds}, and is {value!r}.", next_step=_EXAMPLE)
    return number
