# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is."""

from __future__ import annotations

import collections
import random

from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment
from ansible_collections.wasmfaas.platform.service.deployments.queue import Limits, order, startable

from .made import deployment


def numbers(deployments: list[Deployment]) -> list[tuple[str, int]]:
    return [(one.tenant, one.number) for one in deployments]


def test_tenants_take_turns_whoever_came_first() -> None:
    queued = [deployment("a", f"f{number}", number) for number in range(1, 4)]
    queued += [deployment("b", "f", 4), deployment("c", "f", 5)]
    assert numbers(order(queued, [], {})) == [("a", 1), ("b", 4), ("c", 5), ("a", 2), ("a", 3)]


def test_a_tenant_that_has_one_running_waits_for_those_that_have_none() -> None:
    queued = [deployment("a", "f2", 2), deployment("b", "f", 3)]
    assert numbers(order(queued, [deployment("a", "f1", 1)], {"a": 1})) == [("b", 3), ("a", 2)]


def test_of_two_tenants_the_one_that_was_served_longer_ago_is_next() -> None:
    queued = [deployment("a", "f", 1), deployment("b", "f", 2)]
    assert numbers(order(queued, [], {"a": 7, "b": 3})) == [("b", 2), ("a", 1)]


def test_one_function_is_deployed_once_at_a_time() -> None:
    limits = Limits(running=3, running_per_tenant=3)
    queued = [deployment("a", "f", 2), deployment("a", "g", 3)]
    assert numbers(startable(queued, [deployment("a", "f", 1)], {}, limits)) == [("a", 3)]


def test_limits_in_all_and_for_one_tenant() -> None:
    queued = [deployment("a", f"f{number}", number) for number in range(1, 6)] + [deployment("b", "f", 9)]
    assert numbers(startable(queued, [], {}, Limits(running=4, running_per_tenant=2))) == [
        ("a", 1),
        ("b", 9),
        ("a", 2),
    ]
    assert startable(queued, [deployment("c", "f", 1)], {}, Limits(running=1)) == []


def test_nobody_waits_longer_than_their_share() -> None:
    """200 deployments of 20 tenants with random lengths on two places: each tenant's last one begins within 1.5 times
    the time that everything takes."""
    draw = random.Random(7)
    limits = Limits(running=2, running_per_tenant=2)
    tenants = [f"tenant-{number}" for number in range(20)]
    queued = [deployment(tenant, f"f{number}", number) for tenant in tenants for number in range(10)]
    draw.shuffle(queued)
    running: list[tuple[float, Deployment]] = []
    served: dict[str, int] = {}
    begun: dict[str, list[int]] = collections.defaultdict(list)
    clock, begins = 0.0, 0
    while queued or running:
        for one in startable(queued, [place for _end, place in running], served, limits):
            begins += 1
            begun[one.tenant].append(begins)
            served[one.tenant] = begins
            queued.remove(one)
            running.append((clock + draw.uniform(1, 3), one))
        running.sort(key=lambda place: place[0])
        clock, _ended = running.pop(0)
    for turns in begun.values():
        for turn, begin in enumerate(turns, start=1):
            assert begin <= 1.5 * len(tenants) * turn
