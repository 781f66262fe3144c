# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times of the stages, and the stage at which an error happened."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import stages as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times: list[float] = []
    monkeypatch.setattr(module.time, "monotonic", lambda: times.pop(0))
    return times


def test_seconds_of_each_stage_in_the_order_of_their_first_time(clock: list[float]) -> None:
    stages = Stages()
    clock += [10, 11.5, 20, 20.25, 30, 30.1]
    for name in ("build", "registry", "build"):
        with stages(name):
            pass
    assert stages.seconds == {"build": 1.6, "registry": 0.25}
    assert list(stages.seconds) == ["build", "registry"]


def test_error_gets_the_innermost_stage_and_the_time_counts_all_the_same() -> None:
    stages = Stages()
    with pytest.raises(PlatformError) as caught, stages("outer"), stages("inner"):
        raise PlatformError("a", next_step="b")
    assert caught.value.stage == "inner"
    assert set(stages.seconds) == {"inner", "outer"}


def test_stage_that_an_error_brings_along_stays() -> None:
    with pytest.raises(PlatformError) as caught, Stages()("outer"):
        raise PlatformError("a", next_step="b", stage="probe")
    assert caught.value.stage == "probe"


def test_other_exceptions_pass() -> None:
    stages = Stages()
    with pytest.raises(KeyboardInterrupt), stages("build"):
        raise KeyboardInterrupt
    assert "build" in stages.seconds
