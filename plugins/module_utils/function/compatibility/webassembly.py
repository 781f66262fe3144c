# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a Wasm binary imports and exports, without a Wasm runtime and without loading its code.

Sources of the format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md and
https://webassembly.github.io/spec/core/binary/modules.html; of the custom sections:
https://github.com/WebAssembly/tool-conventions/blob/main/ProducersSection.md. Sections that are not wanted are skipped
by seeking, so a 40 MB component costs some reads.
"""

from __future__ import annotations

import dataclasses
import io
import typing as t
from pathlib import Path

from ...errors import PlatformError

CORE_MODULE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"

LARGEST_BINARY = 1 << 30
"""Bytes; Wasmtime takes no larger one (wasmparser 0.247.0, MAX_WASM_MODULE_SIZE)."""

_CUSTOM = 0
_COMPONENT_IMPORTS, _COMPONENT_EXPORTS = 10, 11
_MODULE_IMPORTS, _MODULE_EXPORTS = 2, 7
_LARGEST_NAME = 100_000  # bytes (wasmparser 0.247.0, MAX_WASM_STRING_SIZE)
_LARGEST_READ = 16 << 20  # bytes of a section with names: thousands of times what real ones have
_MOST_SECTIONS = 100_000
_PRODUCERS = "producers"
_BINDINGS = "component-type"  # the section's name begins with it


@dataclasses.dataclass(frozen=True)
class CoreImport:
    """One import of a core module: `name` out of `module`."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class WebAssemblyBinary:
    """The outside of a Wasm binary; names are whole, such as `wasi:http/incoming-handler@0.2.0`.

    Attributes:
        imports: of a core module: the names of the modules that it imports from.
        core_imports: of a core module.
        functions: of a core module: its exports that are functions.
        processed_by: of a core module: the tools that made it, with their versions.
        bindings: of a core module with a component's interfaces in a custom section: the tools that wrote these; None
            where it has no such section.
    """

    is_component: bool
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    core_imports: tuple[CoreImport, ...] = ()
    functions: frozenset[str] = frozenset()
    processed_by: dict[str, str] = dataclasses.field(default_factory=dict)
    bindings: dict[str, str] | None = None


def read_binary(path: Path, *, key: str) -> WebAssemblyBinary:
    """Read the outside of the Wasm file at `path`; `key` is the manifest's key that names it, for errors.

    Raises PlatformError where the file is missing, empty, text (WAT), not Wasm, cut off, or larger than Wasmtime takes.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        # Opening a pipe would wait for ever
        raise PlatformError(
            f"{key}: {path} is no regular file.", next_step="Name the .wasm file that the build writes."
        )
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise PlatformError(
            f"{key}: {path} does not exist.",
            next_step="Correct `source` in spin.toml, or give the component a `build.command` that writes this file.",
        ) from None
    except IsADirectoryError:
        raise PlatformError(f"{key}: {path} is a directory.", next_step="Name the Wasm file in it.") from None
    except OSError as error:
        raise PlatformError(
            f"{key}: {path} cannot be read: {error.strerror}.",
            next_step="Make the file readable for the user that deploys.",
        ) from error
    with stream:
        if stream.seek(0, io.SEEK_END) > LARGEST_BINARY:
            raise PlatformError(
                f"{key}: {path} has more than {LARGEST_BINARY >> 30} GiB, and no shim can load so much.",
                next_step="Leave data out of the Wasm file: mount it with `files`, or read it from a store.",
            )
        stream.seek(0)
        preamble = stream.read(8)
        if preamble not in (CORE_MODULE, COMPONENT):
            raise PlatformError(
                f"{key}: {path} is not WebAssembly: {_what_it_is(preamble)}.",
                next_step="Build the component, and name the .wasm file it writes.",
            )
        try:
            return _read_component(stream) if preamble == COMPONENT else _read_module(stream)
        except (EOFError, UnicodeDecodeError, ValueError) as error:
            raise PlatformError(
                f"{key}: {path} is cut off or damaged: {error}.", next_step="Build the component again."
            ) from None


def _what_it_is(preamble: bytes) -> str:
    if not preamble:
        return "the file is empty"
    if preamble.lstrip().startswith(b"("):
        return (
            "it is WebAssembly text (WAT), which the shim cannot run; compile it with `wat2wasm` or `wasm-tools parse`"
        )
    if preamble.startswith(b"\0asm"):
        return f"it has the unknown binary version {preamble[4:].hex()}"
    return f"it begins with {preamble[:4].hex(' ')} and not with 00 61 73 6d"


def _sections(stream: t.BinaryIO) -> t.Iterator[tuple[int, int]]:
    """Yield (id, size) with the stream at the section's first byte; whatever the caller leaves unread is skipped."""
    end_of_file = stream.seek(0, io.SEEK_END)
    position = 8
    number = 0
    while position < end_of_file:
        number += 1
        if number > _MOST_SECTIONS:
            raise ValueError(f"it has more than {_MOST_SECTIONS} sections")
        stream.seek(position)
        identifier = stream.read(1)[0]
        size = _unsigned(stream)
        start = stream.tell()
        position = start + size
        if position > end_of_file:
            raise EOFError(f"section {identifier} ends {position - end_of_file} bytes after the file")
        yield identifier, size


def _section(stream: t.BinaryIO, size: int) -> io.BytesIO:
    """The whole section, to be read for its names."""
    if size < 0:
        raise EOFError("a section ends too early")
    if size > _LARGEST_READ:
        raise ValueError(f"a section with names has {size} bytes, more than {_LARGEST_READ}")
    return io.BytesIO(stream.read(size))


def _read_component(stream: t.BinaryIO) -> WebAssemblyBinary:
    imports: list[str] = []
    exports: list[str] = []
    for identifier, size in _sections(stream):
        if identifier == _COMPONENT_IMPORTS:
            section = _section(stream, size)
            for _index in range(_unsigned(section)):
                imports.append(_external_name(section))
                _skip_external_description(section)
        elif identifier == _COMPONENT_EXPORTS:
            section = _section(stream, size)
            for _index in range(_unsigned(section)):
                exports.append(_external_name(section))
                _skip_sort_and_index(section)
                if _byte(section) == 1:
                    _skip_external_description(section)
    return WebAssemblyBinary(True, tuple(imports), tuple(exports))


def _read_module(stream: t.BinaryIO) -> WebAssemblyBinary:
    imports: list[CoreImport] = []
    exports: list[str] = []
    functions: set[str] = set()
    processed_by: dict[str, str] = {}
    bindings: dict[str, str] | None = None
    for identifier, size in _sections(stream):
        if identifier == _MODULE_IMPORTS:
            section = _section(stream, size)
            for _index in range(_unsigned(section)):
                imports.append(CoreImport(_name(section), _name(section)))
                _skip_module_import_description(section)
        elif identifier == _MODULE_EXPORTS:
            section = _section(stream, size)
            for _index in range(_unsigned(section)):
                exports.append(_name(section))
                if _byte(section) == 0:
                    functions.add(exports[-1])
                _unsigned(section)
        elif identifier == _CUSTOM:
            end = stream.tell() + size
            name = _name(stream)
            if name == _PRODUCERS:
                processed_by = _processed_by(_section(stream, end - stream.tell()))
            elif name.startswith(_BINDINGS):
                bindings = _bindings(_section(stream, end - stream.tell())) or bindings
    return WebAssemblyBinary(
        False,
        tuple(dict.fromkeys(entry.module for entry in imports)),
        tuple(exports),
        tuple(imports),
        frozenset(functions),
        processed_by,
        bindings,
    )


def _bindings(section: io.BytesIO) -> dict[str, str] | None:
    """The tools named in a section with a component's interfaces, which are written as a component; None for what is
    none, as it is to Spin."""
    if section.read(8) != COMPONENT:
        return None
    content = io.BytesIO(COMPONENT + section.read())
    found: dict[str, str] = {}
    for identifier, size in _sections(content):
        end = content.tell() + size
        if identifier == _CUSTOM and _name(content) == _PRODUCERS:
            found |= _processed_by(_section(content, end - content.tell()))
    return found


def _processed_by(section: io.BytesIO) -> dict[str, str]:
    found: dict[str, str] = {}
    for _field in range(_unsigned(section)):
        field = _name(section)
        for _value in range(_unsigned(section)):
            tool, version = _name(section), _name(section)
            if field == "processed-by":
                found[tool] = version
    return found


def _byte(stream: t.BinaryIO) -> int:
    data = stream.read(1)
    if not data:
        raise EOFError("a section ends too early")
    return data[0]


def _unsigned(stream: t.BinaryIO) -> int:
    """An unsigned LEB128 number."""
    value = shift = 0
    while True:
        byte = _byte(stream)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _name(stream: t.BinaryIO) -> str:
    size = _unsigned(stream)
    if size > _LARGEST_NAME:
        raise ValueError(f"a name has {size} bytes, more than {_LARGEST_NAME}")
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("a name ends too early")
    return data.decode()


def _external_name(stream: t.BinaryIO) -> str:
    kind = _byte(stream)  # 0x00 name, 0x01 interface name (both are written alike), 0x02 with a version suffix
    if kind > 2:
        raise ValueError(f"unknown kind of name {kind}")
    name = _name(stream)
    if kind == 2:
        _name(stream)
    return name


def _skip_sort_and_index(stream: t.BinaryIO) -> None:
    if _byte(stream) == 0:  # a core sort has a second byte
        _byte(stream)
    _unsigned(stream)


def _skip_external_description(stream: t.BinaryIO) -> None:
    kind = _byte(stream)
    if kind == 0:  # core module type
        _byte(stream)
        _unsigned(stream)
    elif kind in (1, 4, 5):  # function, component, instance: a type index
        _unsigned(stream)
    elif kind in (2, 3):  # value bound, type bound: equal to an index, or a value type or sub-resource
        bound = _byte(stream)
        if not (kind == 3 and bound == 1):
            _unsigned(stream)
    else:
        raise ValueError(f"unknown kind of import {kind}")


def _skip_module_import_description(stream: t.BinaryIO) -> None:
    kind = _byte(stream)
    if kind == 0:  # function
        _unsigned(stream)
    elif kind == 1:  # table
        _byte(stream)
        _skip_limits(stream)
    elif kind == 2:  # memory
        _skip_limits(stream)
    elif kind == 3:  # global
        _byte(stream)
        _byte(stream)
    elif kind == 4:  # tag
        _byte(stream)
        _unsigned(stream)
    else:
        raise ValueError(f"unknown kind of import {kind}")


def _skip_limits(stream: t.BinaryIO) -> None:
    flags = _byte(stream)
    _unsigned(stream)
    if flags & 1:
        _unsigned(stream)
