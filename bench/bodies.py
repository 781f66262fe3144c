# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory that a large body takes in the local runtime: one that a component gives back as it comes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.local import installation, runtime, state

from tests.integration.support.large_bodies import memory_growth, streamed
from tests.integration.support.workbench import built_workbench
from tests.integration.test_local_runtime import Application, Functions

from .measure import REPOSITORY, NotMeasuredError, Row

BODY_BYTES = 800_000_000
FIRST_BYTES = 20_000_000
TIMEOUT_SECONDS = 1800.0
MOST_BYTES = 64 << 20


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        installed = installation.install(REPOSITORY / "roles" / "local_runtime" / "files")
        functions = Functions(Path(temporary) / "state", installed)
        component = built_workbench().read_bytes()
        function = functions.start(Application().component("c", component), timeout_seconds=TIMEOUT_SECONDS)
        try:
            streamed(function.port, FIRST_BYTES)  # a first, smaller body: what the processes take for any
            started = time.monotonic()
            same: list[bool] = []
            growth = memory_growth(functions.processes(), lambda: same.append(streamed(function.port, BODY_BYTES)))
            seconds = time.monotonic() - started
        finally:
            for one in state.list_functions(functions.root, None):
                runtime.stop(functions.root, one.namespace, one.name)
    if same != [True]:
        raise NotMeasuredError("the body that came back is another one")
    each = " and ".join(f"{grown / 2**20:.0f}" for grown in sorted(growth.values()))
    return [
        Row(
            f"Local runtime, a body of {BODY_BYTES // 10**6} MB both ways ({BODY_BYTES / seconds / 10**6:.0f} MB/s): "
            "growth of its processes",
            f"{each} MiB",
            "≤ 64 MiB each",
            max(growth.values()) <= MOST_BYTES,
        )
    ]
