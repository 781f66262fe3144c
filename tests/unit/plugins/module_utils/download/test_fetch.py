# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads from a server that gives too much or does not end; test_binaries.py has the others."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import fetch
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

URL = "https://user:secret@files.example.com/k3s"
TIMEOUTS = dataclasses.replace(fetch.TIMEOUTS, attempts=2, first_wait=0.01, download=0.3)


def endless(taken: list[int], pause: float = 0) -> t.Iterator[bytes]:
    while True:
        taken.append(1)
        yield b"x" * 1000
        time.sleep(pause)  # a server that goes on, slowly


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[int, t.Iterator[bytes]], None]:
    def give(status: int, content: t.Iterator[bytes]) -> None:
        transport = httpx2.MockTransport(lambda _request: httpx2.Response(status, content=content))
        monkeypatch.setattr(fetch, "create_client", lambda **_: httpx2.Client(transport=transport))

    return give


def file(tmp_path: Path) -> None:
    fetch.fetch_file(URL, tmp_path / "k3s", "0" * 64, mirror_variable="k3s_release_url", timeouts=TIMEOUTS)


def test_a_file_that_comes_drop_by_drop_ends(tmp_path: Path, answers: t.Callable[..., None]) -> None:
    answers(200, endless([], pause=0.05))
    with pytest.raises(PlatformError, match=r"files\.example\.com had not given its whole answer after 0\.3 s"):
        file(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_too_large_is_not_taken(
    tmp_path: Path, answers: t.Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LARGEST_BYTES", 100_000)
    taken: list[int] = []
    answers(200, endless(taken))
    with pytest.raises(PlatformError, match="gives more than 100000 bytes"):
        file(tmp_path)
    assert len(taken) < 200 and list(tmp_path.iterdir()) == []


def test_of_an_error_nothing_endless_is_read(tmp_path: Path, answers: t.Callable[..., None]) -> None:
    taken: list[int] = []
    answers(404, endless(taken))
    with pytest.raises(PlatformError, match="There is nothing at"):
        file(tmp_path)
    assert len(taken) < 200


def test_a_list_is_read_to_its_limit(answers: t.Callable[..., None]) -> None:
    answers(200, endless([]))
    text = fetch.fetch_text(URL, longest=5000, mirror_variable="k3s_release_url", timeouts=TIMEOUTS)
    assert text == "x" * 5000
    answers(200, endless([], pause=0.05))
    with pytest.raises(PlatformError, match="had not given its whole answer"):
        fetch.fetch_text(URL, longest=1 << 20, mirror_variable="k3s_release_url", timeouts=TIMEOUTS)
