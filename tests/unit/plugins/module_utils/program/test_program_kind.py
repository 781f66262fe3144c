# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Wasm file is a command, which a server, and which neither."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.kind import kind_of

RUN = "wasi:cli/run@0.2.6"
HANDLER = "wasi:http/incoming-handler@0.2.0"


@pytest.fixture
def kind(tmp_path: Path) -> t.Callable[[bytes], str]:
    def of(binary: bytes) -> str:
        (tmp_path / "app.wasm").write_bytes(binary)
        return kind_of(tmp_path / "app.wasm", key="source")

    return of


@pytest.mark.parametrize(
    ("imports", "exports", "expected"),
    [
        (["wasi:io/streams@0.2.0", "wasi:sockets/tcp@0.2.3"], [RUN], "command"),
        (["wasi:http/types@0.2.0", "wasi:cli/stdout@0.2.9"], [HANDLER], "server"),
        ([], ["own:package/thing", HANDLER], "server"),
        ([], [RUN, HANDLER], "command"),  # the first one decides, as in the shim
        ([], [HANDLER, RUN], "server"),
    ],
)
def test_exports_of_a_component_decide(
    kind: t.Any, wasm: t.Any, imports: list[str], exports: list[str], expected: str
) -> None:
    assert kind(wasm.component(imports=imports, exports=exports)) == expected


def test_a_core_module_with_a_start_is_a_command(kind: t.Any, wasm: t.Any) -> None:
    imports = [("wasi_snapshot_preview1", "fd_write"), ("wasi_snapshot_preview1", "proc_exit")]
    assert kind(wasm.module(imports=imports, exports=["memory", "_start"])) == "command"


@pytest.mark.parametrize(
    ("imports", "exports", "cause", "next_step"),
    [
        ([], [], "exports nothing", "Build a command"),
        ([], ["own:package/thing"], "exports own:package/thing", "Build a command"),
        ([], ["fermyon:spin/inbound-redis"], "is no program", "deploy_function -e src=DIRECTORY"),
        (["fermyon:spin/key-value@2.0.0"], [HANDLER], "fermyon:spin/key-value@2.0.0", "deploy_function -e"),
        ([], ["wasi:cli/run@0.3.0"], "wasi:cli/run@0.3.0", "WASI 0.2"),
        (["wasi:cli/stdout@0.3.0-rc-2026-03-15"], [RUN], "0.3.0-rc-2026-03-15", "WASI 0.2"),
        (["wasi:http/outgoing-handler@0.2.0"], [RUN], "outgoing-handler", "wasi:sockets"),
        (["wasi:keyvalue/store@0.2.0"], [HANDLER], "wasi:keyvalue/store", "WASI 0.2"),
        (["own:package/thing"], [RUN], "own:package/thing", "Compose it"),
        (["thing"], [RUN], "needs thing", "Compose it"),
    ],
)
def test_a_component_that_the_shim_cannot_run_is_refused(
    kind: t.Any, wasm: t.Any, imports: list[str], exports: list[str], cause: str, next_step: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        kind(wasm.component(imports=imports, exports=exports))
    assert cause in caught.value.cause and next_step in caught.value.next_step
    assert caught.value.cause.startswith("source: app.wasm")


@pytest.mark.parametrize(
    ("imports", "exports", "cause"),
    [
        ([("wasi_snapshot_preview1", "fd_write")], ["_initialize"], "no _start"),
        ([("env", "host")], ["_start"], "imports from env"),
        ([("wasi_unstable", "fd_write")], ["_start"], "imports from wasi_unstable"),
    ],
)
def test_a_module_that_the_shim_cannot_run_is_refused(
    kind: t.Any, wasm: t.Any, imports: list[tuple[str, str]], exports: list[str], cause: str
) -> None:
    with pytest.raises(PlatformError, match=cause):
        kind(wasm.module(imports=imports, exports=exports))


def test_text_is_refused(kind: t.Any) -> None:
    with pytest.raises(PlatformError, match="WebAssembly text"):
        kind(b"(module)")
