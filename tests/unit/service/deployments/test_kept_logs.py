# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of a deployment outlives its worker, however that ends."""

from __future__ import annotations

import os
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.deployments import worker
from ansible_collections.wasmfaas.platform.service.deployments.leftovers import MARK
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase
from ansible_collections.wasmfaas.platform.service.deployments.queue import Limits
from ansible_collections.wasmfaas.platform.service.deployments.store import FileDeploymentStore
from ansible_collections.wasmfaas.platform.service.deployments.supervisor import MOST_ATTEMPTS, Supervisor
from ansible_collections.wasmfaas.platform.service.deployments.worker import Worker

from .made import deployment


class RememberedLogs:
    """Where logs are kept; see `LogStore`."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "log"
        self.kept: list[str] = []
        self.earlier = ""
        self.is_kept = threading.Event()

    def file(self, _deployment: Deployment) -> Path:
        return self._file

    def keep(self, _deployment: Deployment) -> None:
        self.kept.append(self._file.read_text())
        self.is_kept.set()

    def resume(self, _deployment: Deployment) -> None:
        self._file.write_text(self.earlier)


class PlayedAdapters:
    """A deployment whose worker comes as far as its variables; see `Adapters`."""

    def __init__(self, directory: Path) -> None:
        self.deployments = FileDeploymentStore(directory / "deployments")
        self.logs = RememberedLogs(directory)
        self.work = directory / "work"
        self.variables = self
        self.reads: t.Callable[[], t.Any] = dict

    def read(self, _tenant: str, _function: str) -> t.Any:
        return self.reads()


@pytest.fixture
def adapters(tmp_path: Path) -> PlayedAdapters:
    return PlayedAdapters(tmp_path)


def made(adapters: PlayedAdapters, **fields: t.Any) -> Deployment:
    return adapters.deployments.update(adapters.deployments.create(deployment()), phase=Phase.BUILDING, **fields)


def started(adapters: PlayedAdapters, **fields: t.Any) -> Worker:
    return Worker(t.cast("t.Any", adapters), made(adapters, **fields))


def told_to_end() -> t.NoReturn:
    raise KeyboardInterrupt


def test_a_worker_that_is_told_to_end_keeps_its_log(adapters: PlayedAdapters) -> None:
    work = started(adapters)
    adapters.reads = told_to_end
    work.line("it begins")
    with pytest.raises(KeyboardInterrupt):
        work.work()
    assert adapters.logs.kept == ["it begins\n"]


def test_a_worker_goes_on_with_the_log_of_the_one_before(adapters: PlayedAdapters) -> None:
    adapters.logs.earlier = "of the first attempt\n"
    work = started(adapters, attempt=2)
    adapters.reads = told_to_end
    work.line("of the second")
    with pytest.raises(KeyboardInterrupt):
        work.work()
    assert adapters.logs.kept == ["of the first attempt\nof the second\n"]


def test_a_log_is_kept_while_it_grows(adapters: PlayedAdapters, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is killed has no time for it."""
    monkeypatch.setattr(worker, "KEEP_LOG_SECONDS", 0.01)
    work = started(adapters)

    def reads() -> t.NoReturn:
        work.line("it begins")
        adapters.logs.is_kept.clear()
        assert adapters.logs.is_kept.wait(60)
        raise PlatformError("It failed.", next_step="Try again.")

    adapters.reads = reads
    work.work()
    assert "it begins\n" in adapters.logs.kept
    assert adapters.logs.kept[-1] == "it begins\nfailed: It failed.\nnext: Try again.\n"


def test_a_worker_whose_work_another_one_does_leaves_the_log_to_that(adapters: PlayedAdapters) -> None:
    work = started(adapters)
    adapters.deployments.update(work._deployment, attempt=5)

    def reads() -> t.NoReturn:
        work.stage("build")
        work._update(reason="it waits")
        raise AssertionError("it goes on")

    adapters.reads = reads
    with pytest.raises(KeyboardInterrupt):
        work.work()
    assert adapters.logs.kept == []
    assert MARK not in os.environ, "what is started later would be killed as a leftover of this build"


@pytest.mark.parametrize("fields", [{"cancelling": True}, {"attempt": MOST_ATTEMPTS}])
def test_the_log_of_a_worker_that_was_killed_for_good_is_kept(
    adapters: PlayedAdapters, fields: dict[str, t.Any]
) -> None:
    adapters.logs.earlier = "it begins\n"
    supervisor = Supervisor(t.cast("t.Any", adapters), Limits())
    ended = supervisor._ended_from_outside(made(adapters, **{"attempt": 1, **fields}), exit_code=-9)
    assert ended.phase.is_finished
    assert adapters.logs.kept == ["it begins\n"]
