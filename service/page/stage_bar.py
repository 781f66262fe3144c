# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The five stages that a deployment page shows, from a deployment's phase and times."""

from __future__ import annotations

import dataclasses

from ..deployments.model import Deployment, Phase

_STAGES: dict[str, tuple[Phase, tuple[str, ...]]] = {
    "queue": (Phase.QUEUED, ("queue",)),
    "build": (Phase.BUILDING, ("source", "manifest", "source_digest", "toolchain", "build", "compatibility")),
    "pack": (Phase.PACKING, ("artifact",)),
    "publish": (Phase.PUBLISHING, ("registry",)),
    "rollout": (Phase.ROLLING_OUT, ("rollout", "probe")),
}
"""Each with its phase, and the stages of deploy_function whose seconds it adds up."""


@dataclasses.dataclass(frozen=True)
class StageView:
    """One stage: `state` is done, current, failed or pending; `seconds` is None where it took no time yet."""

    name: str
    state: str
    seconds: float | None


def stage_bar(deployment: Deployment) -> list[StageView]:
    """The stages in order."""
    names = list(_STAGES)
    reached = _reached(deployment)
    ended = "failed" if deployment.phase is Phase.FAILED else "pending"  # a cancelled stage neither failed nor is done
    views = []
    for place, name in enumerate(names):
        if place < reached:
            state = "done"
        elif place > reached:
            state = "pending"
        else:
            state = ended if deployment.phase.is_finished else "current"
        spent = [deployment.stages[stage] for stage in _STAGES[name][1] if stage in deployment.stages]
        views.append(StageView(name, state, round(sum(spent), 1) if spent else None))
    return views


def _reached(deployment: Deployment) -> int:
    """Index of the stage that a deployment is in or ended in; their number where all are done."""
    phases = [phase for phase, _stages in _STAGES.values()]
    if deployment.phase is Phase.READY:
        return len(phases)
    if deployment.phase in phases:
        return phases.index(deployment.phase)
    stage = deployment.facts.get("stage", "")
    for place, (_phase, stages) in enumerate(_STAGES.values()):
        if stage in stages:
            return place
    return 1 if deployment.started else 0
