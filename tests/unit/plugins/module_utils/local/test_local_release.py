# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the local runtime needs no process: refusals, names, locks and state files."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import control, release, runtime, state


def application(**trigger: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {"name": "test"},
        "variables": {"needed": {}, "optional": {"default": ""}},
        "triggers": [
            {"id": "t", "trigger_type": "http", "trigger_config": {"component": "c", "route": "/..."}, **trigger}
        ],
        "components": [{"id": "c", "source": {"digest": "sha256:0"}}],
    }


def test_a_plain_application_passes() -> None:
    for name in ("jco", "spin"):
        release.check(application(), name, {"needed": "1"})
    unreached = application()
    unreached["triggers"][0]["trigger_config"]["executor"] = {"type": "http"}
    release.check(unreached, "jco", {"needed": "1"})


@pytest.mark.parametrize(
    ("change", "variables", "message"),
    [
        ({}, {}, r"required variable needed\. Next"),
        ({"trigger_type": "mqtt"}, {"needed": "1"}, "of the type mqtt"),
        (
            {"trigger_config": {"component": "c", "route": "/", "executor": {"type": "wasip3-unstable"}}},
            {"needed": "1"},
            "executor wasip3-unstable",
        ),
    ],
)
def test_refusals_of_the_embedded_runtime(change: dict[str, t.Any], variables: dict[str, str], message: str) -> None:
    with pytest.raises(PlatformError, match=message) as caught:
        release.check(application(**change), "jco", variables)
    assert caught.value.next_step


def test_spin_needs_an_http_trigger_too() -> None:
    with pytest.raises(PlatformError, match="no HTTP trigger"):
        release.check(application(trigger_type="redis"), "spin", {"needed": "1"})


def test_release_names_differ_by_what_made_them() -> None:
    digest = "sha256:" + "ab" * 32
    names = {
        release.release_name(digest, kind, Path("/cache") / version)
        for kind in ("jco", "spin")
        for version in ("0123456789", "abcdef0123")
    }
    assert names == {
        "abababababab-jco-01234567",
        "abababababab-jco-abcdef01",
        "abababababab-spin-01234567",
        "abababababab-spin-abcdef01",
    }


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"text"'])
def test_a_state_file_that_says_nothing_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "default" / "hello").mkdir(parents=True)
    (tmp_path / "default" / "hello" / "state.json").write_text(content)
    assert state.read(tmp_path, "default", "hello") is None
    assert state.list_functions(tmp_path, None) == []


def test_a_state_file_of_before_the_reboot_is_not_alive(tmp_path: Path) -> None:
    directory = tmp_path / "default" / "hello"
    directory.mkdir(parents=True)
    fields = dict.fromkeys(("digest", "source_digest", "settings_digest", "image", "url", "runtime", "started_at"), "x")
    process = {
        "process_id": os.getpid(),
        "process_started": state.process_started(os.getpid()),
        "boot_id": "before",
        "port": 1,
    }
    (directory / "state.json").write_text(json.dumps({**fields, **process}))
    function = state.read(tmp_path, "default", "hello")
    assert function is not None and not function.alive


def test_process_start_times() -> None:
    own = state.process_started(os.getpid())
    assert own is not None and own > 0
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert state.process_started(child) is None  # ended, though not waited for
    os.waitpid(child, 0)
    assert state.process_started(child) is None


def test_the_lock_can_be_taken_again_inside_and_leaves_nothing(tmp_path: Path) -> None:
    with state.lock(tmp_path, "default", "hello", 1):
        with state.lock(tmp_path, "default", "hello", 1):
            assert (tmp_path / "default" / "hello.lock").read_text() == f"{os.getpid()}\n"
        assert (tmp_path / "default" / "hello.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_stopping_nothing(tmp_path: Path) -> None:
    assert not runtime.stop(tmp_path, "default", "hello")
    assert list(tmp_path.iterdir()) == []


def test_no_front_no_status(tmp_path: Path) -> None:
    assert control.status(tmp_path) is None
    assert control.status(tmp_path / "missing") is None


def test_secrets_are_not_shown_with_the_request(tmp_path: Path) -> None:
    request = runtime.StartRequest(
        state_directory=tmp_path,
        runtime_directory=tmp_path,
        namespace="default",
        name="hello",
        digest="d",
        source_digest="s",
        settings_digest="t",
        image="i",
        locked_application={},
        open_blob=lambda _digest: (tmp_path / "none").open("rb"),
        variables={"token": "s3cret"},
    )
    assert "s3cret" not in repr(request)
