# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which deployment is worked on next: fair between tenants, in order within one, and one at a time per function."""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from .model import Deployment


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of the queue, all in deployments.

    Attributes:
        running: worked on at once.
        running_per_tenant: of these, of one tenant.
        queued: waiting at once; more are refused.
        queued_per_tenant: of these, of one tenant.
    """

    running: int = 2
    running_per_tenant: int = 2
    queued: int = 1000
    queued_per_tenant: int = 50


class Queue(t.Protocol):
    """Deployments on their way, as the operations of the service see them."""

    @property
    def limits(self) -> Limits:
        """Its bounds."""

    def submit(self, deployment: Deployment) -> None:
        """Queue a deployment that was just created."""

    def queued(self, tenant: str | None = None, function: str | None = None) -> list[Deployment]:
        """The deployments that wait, in the order in which they will begin."""

    def position(self, deployment: Deployment) -> int | None:
        """Its place in the queue, 1 for the next; None where it does not wait."""

    def cancel(self, deployment: Deployment, reason: str, next_step: str) -> Deployment | None:
        """End a deployment that waits or is worked on. Gives it as it is then; None where it is too late."""


def order(
    queued: t.Sequence[Deployment], running: t.Sequence[Deployment], served: t.Mapping[str, int]
) -> list[Deployment]:
    """The queue in the order in which its deployments will begin.

    Tenants take turns: next is the one with the fewest running, and among those the one that was served longest ago.

    Args:
        queued: in the order in which they were created.
        running: those that are worked on.
        served: counts up with each deployment that began; the last count of each tenant.
    """
    waiting: dict[str, collections.deque[Deployment]] = {}
    for deployment in queued:
        waiting.setdefault(deployment.tenant, collections.deque()).append(deployment)
    begun = collections.Counter(deployment.tenant for deployment in running)
    turn = dict(served)
    following = max(turn.values(), default=0) + 1
    ordered = []
    while waiting:
        tenant = min(waiting, key=lambda one: (begun[one], turn.get(one, 0), waiting[one][0].created))
        ordered.append(waiting[tenant].popleft())
        begun[tenant] += 1
        turn[tenant], following = following, following + 1
        if not waiting[tenant]:
            del waiting[tenant]
    return ordered


def startable(
    queued: t.Sequence[Deployment], running: t.Sequence[Deployment], served: t.Mapping[str, int], limits: Limits
) -> list[Deployment]:
    """The deployments that may begin now, in order."""
    busy = {(one.tenant, one.function) for one in running}
    of_tenant = collections.Counter(one.tenant for one in running)
    free = limits.running - len(running)
    found: list[Deployment] = []
    for deployment in order(queued, running, served):
        if len(found) >= free:
            break
        place = (deployment.tenant, deployment.function)
        if place in busy or of_tenant[deployment.tenant] >= limits.running_per_tenant:
            continue
        busy.add(place)
        of_tenant[deployment.tenant] += 1
        found.append(deployment)
    return found
