# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides from a Wasm file's exports how it runs, and refuses what containerd-shim-wasmtime cannot run.

Source of the rules: containerd/runwasi eb9967a (wasmtime 36), crates/containerd-shim-wasmtime/src/instance.rs. The
first export that is a handler of HTTP requests or a run of a command decides; a core module is entered at `_start`.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import PlatformError
from ..function.compatibility.webassembly import WebAssemblyBinary, read_binary
from .model import Kind

COMMAND_EXPORT = "wasi:cli/run"
SERVER_EXPORT = "wasi:http/incoming-handler"
MODULE_ENTRY = "_start"
MODULE_IMPORTS = "wasi_snapshot_preview1"

_COMMAND_PACKAGES = ("wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets")
_PACKAGES: dict[Kind, tuple[str, ...]] = {
    # The shim links wasi:http into servers alone.
    "command": _COMMAND_PACKAGES,
    "server": (*_COMMAND_PACKAGES, "wasi:http"),
}
_VERSION = re.compile(r"0\.2\.\d+")
_OF_SPIN = ("fermyon:", "spin:")
_SHOWN_NAMES = 4


def kind_of(path: Path, *, key: str) -> Kind:
    """How the Wasm file at `path` runs; `key` names the option it comes from, for errors.

    Raises:
        PlatformError: it is no Wasm, no program, or uses interfaces that the shim lacks.
    """
    return kind_of_binary(read_binary(path, key=key), where=f"{key}: {path.name}")


def kind_of_binary(binary: WebAssemblyBinary, *, where: str) -> Kind:
    """As `kind_of`, for what was read already; `where` begins errors."""
    if not binary.is_component:
        return _kind_of_module(binary, where)
    found = next((name for name in binary.exports if name.startswith((COMMAND_EXPORT, SERVER_EXPORT))), None)
    if found is None:
        raise _no_program(binary, where)
    kind: Kind = "server" if found.startswith(SERVER_EXPORT) else "command"
    unknown = [name for name in (found, *binary.imports) if not _is_linked(name, kind)]
    if unknown:
        raise PlatformError(
            f"{where} needs {_listed(unknown)}, which containerd-shim-wasmtime does not give a {kind}: it has "
            f"{', '.join(_PACKAGES[kind])}, of WASI 0.2.",
            next_step=_advice(unknown, kind),
            facts={"unknown": unknown},
        )
    return kind


def _kind_of_module(binary: WebAssemblyBinary, where: str) -> Kind:
    if MODULE_ENTRY not in binary.exports:
        raise _no_program(binary, where)
    unknown = [name for name in binary.imports if name != MODULE_IMPORTS]
    if unknown:
        raise PlatformError(
            f"{where} is a core module that imports from {_listed(unknown)}, and containerd-shim-wasmtime only has "
            f"{MODULE_IMPORTS}.",
            next_step="Build it for wasm32-wasip1 or wasm32-wasip2.",
            facts={"unknown": unknown},
        )
    return "command"


def _is_linked(name: str, kind: Kind) -> bool:
    package, _slash, interface = name.partition("/")
    return package in _PACKAGES[kind] and _VERSION.fullmatch(interface.partition("@")[2]) is not None


def _no_program(binary: WebAssemblyBinary, where: str) -> PlatformError:
    names = (*binary.exports, *binary.imports)
    step = f"Build a command (which exports {COMMAND_EXPORT}, or {MODULE_ENTRY} as a core module), or a server."
    if any(name.startswith(_OF_SPIN) for name in names):
        step = (
            "It is a component of a Spin application: deploy the directory of its spin.toml with `ansible-playbook "
            "wasmfaas.platform.deploy_function -e src=DIRECTORY`."
        )
    return PlatformError(
        f"{where} is no program: it exports {_listed(binary.exports) or 'nothing'}, and "
        + (f"neither {COMMAND_EXPORT} nor {SERVER_EXPORT}." if binary.is_component else f"no {MODULE_ENTRY}."),
        next_step=step,
    )


def _advice(unknown: list[str], kind: Kind) -> str:
    if any(name.startswith(_OF_SPIN) for name in unknown):
        return (
            "Deploy it as a Spin application, with a spin.toml: `ansible-playbook wasmfaas.platform.deploy_function "
            "-e src=DIRECTORY`."
        )
    if kind == "command" and all(name.startswith("wasi:http/") for name in unknown):
        return "Call other services through wasi:sockets, or make it a server of wasi:http."
    if all(name.startswith("wasi:") for name in unknown):
        return "Build it for WASI 0.2 (in Rust: `--target wasm32-wasip2`), with an SDK of that version."
    return "Compose it with a component that exports these (`wac plug`), or leave them out."


def _listed(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")
