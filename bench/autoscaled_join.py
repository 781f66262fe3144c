# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of a scaling group that joins without Ansible (tests/autoscaled): from its boot to a node that is Ready,
beside site.yml that adds the same host by SSH."""

from __future__ import annotations

import statistics
import time

from tests.autoscaled import World
from tests.autoscaled.world import MACHINE
from tests.hosts import HostsError, k3s_binary, unavailable

from .measure import Entry, NotMeasuredError, Row
from .site import load

ROUNDS = 3
READY_SECONDS = 20.0
RATIO = 0.3
NOT_PUBLISHED = ("-e", '{"node_bundle_cluster": {}}')
"""What is measured by SSH has no bundles to look after."""


def measure() -> list[Entry]:
    if reason := unavailable():
        raise NotMeasuredError(reason)
    before = load()
    try:
        with World() as world:
            world.site().succeeded()
            alone, by_ssh = [], []
            for _round in range(ROUNDS):
                alone.append(_joins(world))
                by_ssh.append(_is_added(world))
            size = world.moto.client("s3").list_objects_v2(Bucket="demo-bundles")["Contents"][0]["Size"]
    except (HostsError, AssertionError) as error:
        raise NotMeasuredError(str(error)) from error
    ready, added = statistics.median(alone), statistics.median(by_ssh)
    k3s = k3s_binary.selected()
    note = (
        f"Medians of {ROUNDS} rounds by turns, each with a blank host; {_range(alone)} and {_range(by_ssh)}. The "
        "boot begins with systemd as process 1: "
        f"EC2's own time before that is not in it. The host that site.yml adds is booted already. "
        f"Bundle: {size / 1e6:.0f} MB, from the moto server on the same machine. "
        f"k3s {k3s.version}: {k3s.origin}. Load average just before: {before}."
    )
    return [
        Row(
            "Machine of a scaling group: from boot to Ready",
            f"{ready:.1f} s",
            f"≤ {READY_SECONDS:.0f} s",
            ready <= READY_SECONDS,
        ),
        Row(
            "The same to `site.yml` adding the host by SSH",
            f"{ready / added:.2f} × ({ready:.1f} s to {added:.1f} s)",
            f"≤ {RATIO} ×",
            ready / added <= RATIO,
        ),
        note,
    ]


def _joins(world: World) -> float:
    instance = world.launch()
    world.await_ready(instance)
    seconds = time.monotonic() - world.launched
    world.stop()
    world.forget(instance)
    return seconds


def _is_added(world: World) -> float:
    world.hosts.wipe(MACHINE)
    groups = world.cluster.groups
    world.cluster.groups = {**groups, "k3s_agent/worker_wasm": [MACHINE]}
    try:
        started = time.monotonic()
        world.site(*NOT_PUBLISHED).succeeded()
        seconds = time.monotonic() - started
    finally:
        world.cluster.groups = groups
    world.stop()
    world.forget(MACHINE)
    return seconds


def _range(seconds: list[float]) -> str:
    return f"{min(seconds):.1f} to {max(seconds):.1f} s"
