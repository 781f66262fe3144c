# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments as files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.service.deployments.model import Phase, Settings
from ansible_collections.wasmfaas.platform.service.deployments.store import Changed, Exists, FileDeploymentStore

from .made import deployment


@pytest.fixture
def store(tmp_path: Path) -> FileDeploymentStore:
    return FileDeploymentStore(tmp_path / "deployments")


def test_what_was_kept_is_read(store: FileDeploymentStore) -> None:
    made = deployment(settings=Settings(timeout=5), stages={"build": 1.5})
    store.create(made)
    assert store.read("user1", "shop", 1) == made
    assert store.read("user1", "shop", 2) is None
    assert store.tenants() == ["user1"]
    assert [one.function for one in store.of_tenant("user1")] == ["shop"]
    assert store.of_tenant("user2") == []


def test_a_number_is_given_once(store: FileDeploymentStore) -> None:
    store.create(deployment())
    with pytest.raises(Exists):
        store.create(deployment(source="sha256:" + "1" * 64))
    only = store.read("user1", "shop", 1)
    assert only is not None
    assert only.source == "sha256:" + "0" * 64


def test_of_many_that_take_the_same_number_one_gets_it(store: FileDeploymentStore) -> None:
    made: list[str] = []

    def create(who: str) -> None:
        try:
            store.create(deployment(requested_by=who))
            made.append(who)
        except Exists:
            pass

    threads = [threading.Thread(target=create, args=(f"user-{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = store.read("user1", "shop", 1)
    assert kept is not None
    assert made == [kept.requested_by]


def test_a_change_of_what_somebody_else_changed_is_refused(store: FileDeploymentStore) -> None:
    made = deployment()
    store.create(made)
    building = store.update(made, phase=Phase.BUILDING)
    with pytest.raises(Changed):
        store.update(made, cancelling=True)
    assert store.read("user1", "shop", 1) == building
    assert building.revision == 2


def test_many_changes_at_once_are_all_counted(store: FileDeploymentStore) -> None:
    store.create(deployment())

    def count() -> None:
        for _turn in range(10):
            while True:
                live = store.read("user1", "shop", 1)
                assert live is not None
                try:
                    store.update(live, attempt=live.attempt + 1)
                    break
                except Changed:
                    continue

    threads = [threading.Thread(target=count) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    live = store.read("user1", "shop", 1)
    assert live is not None
    assert live.attempt == 40


def test_unfinished_ones_in_the_order_of_their_creation(store: FileDeploymentStore) -> None:
    for number in (3, 1, 2, 10):
        store.create(deployment(function=f"f{number}", number=number))
    done = store.read("user1", "f2", 2)
    assert done is not None
    store.update(done, phase=Phase.FAILED)
    assert [one.number for one in store.unfinished()] == [1, 3, 10]


def test_newest_first_beyond_nine(store: FileDeploymentStore) -> None:
    for number in (1, 2, 10, 9):
        store.create(deployment(number=number))
    assert [one.number for one in store.of_function("user1", "shop")] == [10, 9, 2, 1]


def test_nothing_stays_of_what_is_removed(store: FileDeploymentStore) -> None:
    made = deployment()
    store.create(made)
    store.log_file(made).write_text("line\n")
    store.remove(made)
    store.remove(made)
    assert store.read("user1", "shop", 1) is None
    assert not store.log_file(made).exists()
    assert (store.of_tenant("user1"), store.tenants()) == ([], [])
