# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Spin makes of a core module: it wraps it into a component before it runs it.

Source of every rule: spinframework/spin v4.0.2, crates/componentize/src/lib.rs, module_info.rs and bugs.rs, and the
exports of the adapters beside them.
"""

from __future__ import annotations

import dataclasses
import re

from .webassembly import CoreImport, WebAssemblyBinary

_ADAPTER = "wasi_snapshot_preview1"
_COMMAND = "wasi:cli/run@0.2.0"
_REALLOC = ("cabi_realloc", "canonical_abi_realloc")
_SPIN_1_EXPORTS = {
    "handle-http-request": "fermyon:spin/inbound-http",
    "handle-redis-message": "fermyon:spin/inbound-redis",
}
_SAFE_CLANG = (15, 0, 7)

# Functions of WASI preview 1; the adapters of Spin have these and no others (sock_open of WasmEdge, for one).
_PREVIEW_1_NAMES = """
    args_get args_sizes_get clock_res_get clock_time_get environ_get environ_sizes_get fd_advise fd_allocate fd_close
    fd_datasync fd_fdstat_get fd_fdstat_set_flags fd_fdstat_set_rights fd_filestat_get fd_filestat_set_size
    fd_filestat_set_times fd_pread fd_prestat_dir_name fd_prestat_get fd_pwrite fd_read fd_readdir fd_renumber fd_seek
    fd_sync fd_tell fd_write path_create_directory path_filestat_get path_filestat_set_times path_link path_open
    path_readlink path_remove_directory path_rename path_symlink path_unlink_file poll_oneoff proc_exit proc_raise
    random_get sched_yield sock_accept sock_recv sock_send sock_shutdown
"""
_PREVIEW_1 = frozenset(_PREVIEW_1_NAMES.split())

# Interfaces of Spin 1 as modules imported them then.
_SPIN_1 = {
    "key-value": "close delete exists get get-keys open set",
    "llm": "generate-embeddings infer",
    "outbound-mysql": "execute query",
    "outbound-pg": "execute query",
    "outbound-redis": "del execute get incr publish sadd set smembers srem",
    "spin-config": "get-config",
    "sqlite": "close execute open",
    "wasi-outbound-http": "request",
}


@dataclasses.dataclass(frozen=True)
class WrappedModule:
    """The component that Spin makes: its interfaces, and why it cannot make one.

    `problems` follow on the name of the component, as in "imports env.print, which …".
    """

    imports: tuple[str, ...]
    exports: tuple[str, ...]
    problems: tuple[str, ...] = ()


def wrapped_module(module: WebAssemblyBinary) -> WrappedModule:
    """The component that Spin makes of a core module.

    The interfaces that stand behind WASI preview 1 and those of Spin 1 are left out: every Spin has them.
    """
    bindgen = next((version for tool, version in (module.bindings or {}).items() if tool.startswith("wit-bindgen")), "")
    if bindgen and not _is_new(bindgen):
        return WrappedModule((), (), (f"is a core module made with wit-bindgen {bindgen}, which Spin cannot wrap",))
    if bindgen:
        return _with_interfaces(module)
    if "_start" in module.functions and module.bindings is None and not module.functions.intersection(_REALLOC):
        return WrappedModule((), (_COMMAND,), (*_unsafe_allocation(module), *_unknown_imports(module, {})))
    exports = (name for function, name in _SPIN_1_EXPORTS.items() if function in module.exports)
    return WrappedModule((), tuple(exports), _unknown_imports(module, _SPIN_1))


def _is_new(bindgen: str) -> bool:
    """Whether Spin can wrap what this version of wit-bindgen made: 0.5 to before 1, with a patch number at most."""
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(\.[^.]*)?", bindgen, re.ASCII)
    return match is not None and int(match[1]) == 0 and int(match[2]) >= 5


def _with_interfaces(module: WebAssemblyBinary) -> WrappedModule:
    imports = dict.fromkeys(
        name
        for entry in module.core_imports
        if ":" in (name := entry.module.removeprefix("cm32p2|")) and name[0] != "["
    )
    exports: dict[str, None] = {}
    for function in module.exports:
        # "[async-lift]wasi:http/handler@0.3.0#handle", "cm32p2|wasi:http/incoming-handler@0.2|handle"
        name = re.sub(r"^(\[[a-z-]+\])+", "", function)
        interface = name.removeprefix("cm32p2|").partition("|" if name.startswith("cm32p2|") else "#")[0]
        if ":" in interface and not interface.startswith("cabi_post_"):
            exports[interface] = None
    wanting = [entry for entry in module.core_imports if entry.module == _ADAPTER and entry.name not in _PREVIEW_1]
    return WrappedModule(tuple(imports), tuple(exports), tuple(map(_wanting, wanting)))


def _unknown_imports(module: WebAssemblyBinary, modules: dict[str, str]) -> tuple[str, ...]:
    return tuple(
        _wanting(entry)
        for entry in module.core_imports
        if entry.name not in (_PREVIEW_1 if entry.module == _ADAPTER else modules.get(entry.module, "").split())
    )


def _wanting(entry: CoreImport) -> str:
    return f"imports {entry.name} from {entry.module}, which Spin gives no core module"


def _unsafe_allocation(module: WebAssemblyBinary) -> tuple[str, ...]:
    clang = module.processed_by.get("clang", "")
    match = re.match(r"(\d{1,5})\.(\d{1,5})\.(\d{1,5})(-wasi-sdk)?( |$)", clang, re.ASCII)
    if match is None or tuple(int(number) for number in match.group(1, 2, 3)) >= _SAFE_CLANG:
        return ()
    return (
        (
            f"was made with clang {clang.split(' ')[0]}: Spin refuses what wasi-sdk before 19 made, because its memory "
            "allocation is not safe (spinframework/spin#2552)"
        ),
    )
