# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The capacity model: N is the least number of replicas that carries the load."""

from __future__ import annotations

import math
import sys
import typing as t
from fractions import Fraction

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.capacity import (
    expected_response_time,
    replicas_needed,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("rate", "service_time", "concurrency", "replicas"),
    [
        (200, 0.01, 1, 2),
        (200, 0.01, 4, 1),
        (201, 0.01, 1, 3),
        (1000, 0.25, 10, 25),
        (0, 1, 1, 0),
        (0.5, 0.1, 1, 1),
        ("200", "0.01", "1", 2),
    ],
)
def test_replicas(rate: float, service_time: float, concurrency: float, replicas: int) -> None:
    assert replicas_needed(rate, service_time, concurrency) == replicas


@pytest.mark.parametrize(
    ("rate", "service_time", "concurrency", "replicas"),
    [(3, 0.1, 1.5, 1), (0.3, 1, 1, 1), (1.1 + 2.2, 10, 1.1, 30), (7, 0.1, 1.4, 1), (3e9, 0.1, 3, 100_000_000)],
)
def test_rounding_error_above_an_integer_costs_no_replica(
    rate: float, service_time: float, concurrency: float, replicas: int
) -> None:
    assert replicas_needed(rate, service_time, concurrency) == replicas


@pytest.mark.parametrize("rate", [1e-15, 1e-9, 1e-300, 5e-324])
def test_any_load_needs_a_replica(rate: float) -> None:
    assert replicas_needed(rate, 0.001, 100) == 1


_positive = st.floats(min_value=1e-6, max_value=1e6, allow_nan=False)


@given(rate=_positive, service_time=_positive, concurrency=st.floats(min_value=1, max_value=1e4))
def test_it_is_the_least_number_that_carries_the_load(rate: float, service_time: float, concurrency: float) -> None:
    replicas = replicas_needed(rate, service_time, concurrency)
    load = Fraction(rate) * Fraction(service_time)
    assert replicas * Fraction(concurrency) * (1 + Fraction(1, 10**11)) >= load
    assert (replicas - 1) * Fraction(concurrency) < load


@given(
    service_time=st.integers(1, 5000).map(lambda milliseconds: Fraction(milliseconds, 1000)),
    rate=st.integers(0, 10**6).map(lambda tenths: Fraction(tenths, 10)),
    concurrency=st.integers(10, 2000).map(lambda tenths: Fraction(tenths, 10)),
)
def test_decimal_fractions_are_reckoned_as_on_paper(
    rate: Fraction, service_time: Fraction, concurrency: Fraction
) -> None:
    assert replicas_needed(float(rate), float(service_time), float(concurrency)) == math.ceil(
        rate * service_time / concurrency
    )


_BAD: list[t.Any] = [None, "", "many", math.nan, math.inf, -math.inf, True, [], {}, -1, "nan", 10**400]


@pytest.mark.parametrize("value", _BAD)
@pytest.mark.parametrize("place", range(3))
def test_what_is_no_number_or_out_of_range_is_refused(value: t.Any, place: int) -> None:
    arguments: list[t.Any] = [1, 1, 1]
    arguments[place] = value
    with pytest.raises(
        PlatformError, match=("requests_per_second", "service_time_seconds", "concurrency")[place]
    ) as caught:
        replicas_needed(*arguments)
    assert caught.value.next_step


def test_bounds() -> None:
    with pytest.raises(PlatformError, match="service_time_seconds must be a number, more than 0, and is 0"):
        replicas_needed(1, 0, 1)
    with pytest.raises(PlatformError, match=r"concurrency must be a number, 1 or more, and is 0\.5"):
        replicas_needed(1, 1, 0.5)


def test_load_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(PlatformError, match="more than can be counted"):
        replicas_needed(1e300, 1e300, 1)


@pytest.mark.parametrize(("cold", "expected"), [(0, 0.01), (1, 2.0), (0.5, 1.005), (0.01, 0.0299)])
def test_expected_response_time(cold: float, expected: float) -> None:
    assert expected_response_time(cold, 2.0, 0.01) == pytest.approx(expected)


@given(probability=st.floats(0, 1), cold=st.floats(0, 1e6), warm=st.floats(0, 1e6))
def test_expected_response_time_lies_between_warm_and_cold(probability: float, cold: float, warm: float) -> None:
    slack = 1e-9 * max(cold, warm) + sys.float_info.min  # rounding, also of numbers next to 0
    assert min(cold, warm) - slack <= expected_response_time(probability, cold, warm) <= max(cold, warm) + slack


@pytest.mark.parametrize(
    "arguments", [(-0.1, 1, 1), (1.1, 1, 1), (0.5, -1, 1), (0.5, 1, -1), ("x", 1, 1), (None, 1, 1)]
)
def test_expected_response_time_refuses_what_is_out_of_range(arguments: tuple[t.Any, t.Any, t.Any]) -> None:
    with pytest.raises(PlatformError):
        expected_response_time(*arguments)


def test_probability_is_named_with_its_range() -> None:
    with pytest.raises(PlatformError, match="cold_probability must be a number, 0 to 1, and is 2"):
        expected_response_time(2, 1, 1)
