# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of local functions, where fronts hang."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import state


def write_function(directory: Path, port: int) -> None:
    """A function whose process is this one, and listens at `port`."""
    directory.mkdir(parents=True)
    texts = {name: "x" for name, kind in state._FIELDS.items() if kind is str}
    own = {
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip(),
        "process_id": os.getpid(),
        "process_started": state.process_started(os.getpid()),
        "port": port,
    }
    (directory / state.STATE_FILE).write_text(json.dumps({**texts, **own}), encoding="utf-8")


def test_functions_that_hang_are_asked_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "HEALTH_TIMEOUT_SECONDS", 1)
    names = [f"hangs-{number:02}" for number in range(60)]
    with socket.create_server(("127.0.0.1", 0), backlog=len(names)) as hanging:  # accepts, and never answers
        for name in names:
            write_function(tmp_path / "default" / name, hanging.getsockname()[1])
        begun = time.monotonic()
        found = state.list_functions(tmp_path, None)
        seconds = time.monotonic() - begun
    assert [function.name for function in found] == names
    assert not any(function.alive for function in found)
    assert seconds < 40  # one after the other: 60 s
