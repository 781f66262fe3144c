# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounds on guessing and on changes."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.service.api.authentication import Rate
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_key_has_its_events_of_a_minute() -> None:
    clock = Clock()
    rate = Rate(3, clock)
    for _turn in range(3):
        rate.check("10.0.0.1", "tries")
        rate.count("10.0.0.1")
    clock.now += 10
    with pytest.raises(ServiceProblem, match="more than 3 tries") as caught:
        rate.check("10.0.0.1", "tries")
    assert caught.value.code is Code.TOO_MANY
    assert caught.value.retry_after == 50
    rate.check("10.0.0.2", "tries")
    clock.now += 50
    rate.check("10.0.0.1", "tries")


def test_memory_is_bounded() -> None:
    rate = Rate(3, Clock())
    for number in range(20_000):
        rate.count(str(number))
    assert len(rate._counts) == 10_000
