# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads Wasm binaries that are written byte by byte here, and broken ones."""

from __future__ import annotations

import os
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.webassembly import (
    CoreImport,
    WebAssemblyBinary,
    read_binary,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

COMPONENT, MODULE = b"\0asm\x0d\0\x01\0", b"\0asm\x01\0\0\0"


@pytest.fixture
def read(tmp_path: Path) -> t.Callable[[bytes], WebAssemblyBinary]:
    def from_bytes(data: bytes) -> WebAssemblyBinary:
        (tmp_path / "app.wasm").write_bytes(data)
        return read_binary(tmp_path / "app.wasm", key="component.c.source")

    return from_bytes


def test_component(read: t.Any, wasm: t.Any) -> None:
    found = read(
        wasm.component(
            imports=["wasi:cli/stdout@0.2.0", "fermyon:spin/key-value@2.0.0"],
            exports=["wasi:http/incoming-handler@0.2.0"],
            padding=100_000,
        )
    )
    assert found == WebAssemblyBinary(
        True, ("wasi:cli/stdout@0.2.0", "fermyon:spin/key-value@2.0.0"), ("wasi:http/incoming-handler@0.2.0",)
    )


def test_core_module(read: t.Any, wasm: t.Any) -> None:
    found = read(
        wasm.module(
            imports=[("env", "a"), ("env", "b"), ("wasi_snapshot_preview1", "fd_write")],
            exports=["_start", "memory"],
            custom=["name", "target_features"],
        )
    )
    assert found == WebAssemblyBinary(
        False,
        ("env", "wasi_snapshot_preview1"),
        ("_start", "memory"),
        core_imports=(
            CoreImport("env", "a"),
            CoreImport("env", "b"),
            CoreImport("wasi_snapshot_preview1", "fd_write"),
        ),
        functions=frozenset({"_start", "memory"}),
    )


def test_core_module_says_which_tools_made_it_and_its_interfaces(read: t.Any, wasm: t.Any) -> None:
    binary = wasm.module(exports=["_start"])
    binary += wasm.producers({"clang": "18.1.2-wasi-sdk"})
    binary += wasm.section(
        0, wasm.text("component-type:hello") + COMPONENT + wasm.producers({"wit-bindgen-rust": "0.57.1"})
    )
    found = read(binary)
    assert found.processed_by == {"clang": "18.1.2-wasi-sdk"}
    assert found.bindings == {"wit-bindgen-rust": "0.57.1"}
    assert read(wasm.module() + wasm.section(0, wasm.text("component-type:old") + b"\x04")).bindings is None


def test_sections_of_a_component_may_come_several_times_and_in_any_order(read: t.Any, wasm: t.Any) -> None:
    def imports(*names: str) -> bytes:
        return bytes(wasm.section(10, wasm.vector([b"\x00" + wasm.text(name) + b"\x05\x00" for name in names])))

    nested = wasm.section(4, wasm.component(imports=["not:seen/inside"]))
    core = wasm.section(1, wasm.module(imports=[("not-seen", "x")]))
    assert read(COMPONENT + imports("a:b/c") + nested + core + imports("d:e/f", "g:h/i")).imports == (
        "a:b/c",
        "d:e/f",
        "g:h/i",
    )


def test_every_kind_of_import_of_a_component_is_passed_over(read: t.Any, wasm: t.Any) -> None:
    """https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md, externdesc and importname'."""
    descriptions = [
        b"\x00\x11\x05",
        b"\x01\x80\x01",
        b"\x02\x00\x03",
        b"\x02\x01\x7f",
        b"\x03\x00\x81\x02",
        b"\x03\x01",
        b"\x04\x07",
        b"\x05\x7f",
    ]
    imports = [b"\x00" + wasm.text(f"n{number}") + description for number, description in enumerate(descriptions)]
    imports.append(b"\x01" + wasm.text("a:b/c@1.0.0") + b"\x05\x00")
    imports.append(b"\x02" + wasm.text("a:b/d@1") + wasm.text(".2.3") + b"\x05\x00")
    found = read(COMPONENT + wasm.section(10, wasm.vector(imports)))
    assert found.imports == (*(f"n{number}" for number in range(len(descriptions))), "a:b/c@1.0.0", "a:b/d@1")


def test_every_kind_of_export_of_a_component_is_passed_over(read: t.Any, wasm: t.Any) -> None:
    exports = [
        b"\x00" + wasm.text("function") + b"\x01\x00\x00",
        b"\x00" + wasm.text("core-module") + b"\x00\x11\x05\x00",
        b"\x00" + wasm.text("typed") + b"\x05\x03\x01\x05\x09",
        b"\x00" + wasm.text("last") + b"\x05\x00\x00",
    ]
    assert read(COMPONENT + wasm.section(11, wasm.vector(exports))).exports == (
        "function",
        "core-module",
        "typed",
        "last",
    )


def test_every_kind_of_import_of_a_module_is_passed_over(read: t.Any, wasm: t.Any) -> None:
    kinds = [
        b"\x00\x05",
        b"\x01\x70\x01\x00\x10",
        b"\x02\x00\x01",
        b"\x02\x03\x01\x80\x80\x04",
        b"\x03\x7f\x01",
        b"\x04\x00\x02",
    ]
    imports = [wasm.text(f"m{number}") + wasm.text("x") + kind for number, kind in enumerate(kinds)]
    assert read(MODULE + wasm.section(2, wasm.vector(imports))).imports == tuple(
        f"m{number}" for number in range(len(kinds))
    )


@pytest.mark.parametrize("data", [COMPONENT, MODULE])
def test_binary_with_nothing_in_it(read: t.Any, data: bytes) -> None:
    assert (read(data).imports, read(data).exports) == ((), ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"(module)", "WebAssembly text"),
        (b"\n  (component)", "WebAssembly text"),
        (b"\0asm", "unknown binary version"),
        (b"\0asm\x02\0\0\0", "unknown binary version 02000000"),
        (b"\x7fELF\x02\x01\x01", "begins with 7f 45 4c 46"),
        (b"\0as", "begins with 00 61 73"),
    ],
)
def test_what_is_no_webassembly_is_named(read: t.Any, data: bytes, reason: str) -> None:
    with pytest.raises(PlatformError, match=f"component.c.source: .*app.wasm is not WebAssembly: .*{reason}") as caught:
        read(data)
    assert caught.value.next_step


def test_missing_file_and_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"gone\.wasm does not exist") as caught:
        read_binary(tmp_path / "gone.wasm", key="k")
    assert "build.command" in caught.value.next_step
    with pytest.raises(PlatformError, match="is a directory"):
        read_binary(tmp_path, key="k")


def test_file_that_may_not_be_read_is_named(
    without_privileges: t.Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        path = Path(directory) / "app.wasm"
        path.write_bytes(COMPONENT)
        path.chmod(0)
        with without_privileges(), pytest.raises(PlatformError, match="cannot be read: Permission denied"):
            read_binary(path, key="k")


def test_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app.wasm")
    errors: list[PlatformError] = []

    def refused() -> None:
        with pytest.raises(PlatformError, match="is no regular file") as caught:
            read_binary(tmp_path / "app.wasm", key="k")
        errors.append(caught.value)

    thread = threading.Thread(target=refused, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert errors


def test_cut_off_binary_is_refused_wherever_it_is_cut_inside_a_section(read: t.Any, wasm: t.Any) -> None:
    whole = wasm.component(imports=["wasi:cli/stdout@0.2.0"])
    boundaries = set()
    position = 8
    while position < len(whole):
        boundaries.add(position)
        position += 2 + whole[position + 1]
    assert position == len(whole)
    for end in range(8, len(whole)):
        if end in boundaries:
            assert not read(whole[:end]).exports
        else:
            with pytest.raises(PlatformError, match="is cut off or damaged"):
                read(whole[:end])


_HUGE = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"


@settings(max_examples=400, deadline=None)
@given(preamble=st.sampled_from([COMPONENT, MODULE, b""]), rest=st.binary(max_size=200))
@example(preamble=MODULE, rest=b"\x00\x0a" + _HUGE + b"\x00")  # the name of a custom section that asks for 2^62 bytes
@example(preamble=MODULE, rest=b"\x02\x0d\x01" + _HUGE + b"xxx")
@example(preamble=COMPONENT, rest=b"\x0a\x0d\x01\x00" + _HUGE + b"xx")
@example(preamble=COMPONENT, rest=b"\x0a\x0a" + _HUGE + b"\x00")
@example(preamble=COMPONENT, rest=b"\x00" + b"\xff" * 12)
@example(preamble=COMPONENT, rest=b"\x0a\x05\x01\x00\x02\xff\xfe")
def test_no_bytes_give_anything_but_a_function_error(
    preamble: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.wasm"
    path.write_bytes(preamble + rest)
    try:
        found = read_binary(path, key="component.c.source")
    except PlatformError as error:
        assert error.cause.startswith("component.c.source: ")
        assert error.next_step
    else:
        assert (preamble + rest).startswith(COMPONENT if found.is_component else MODULE)


_names = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=6)


@settings(max_examples=100, deadline=None)
@given(imports=_names, exports=_names, position=st.integers(min_value=0), byte=st.integers(0, 255))
def test_components_are_read_back_and_damaged_ones_raise_at_most_a_function_error(
    imports: list[str],
    exports: list[str],
    position: int,
    byte: int,
    wasm: t.Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.getbasetemp() / "component.wasm"
    written = wasm.component(imports=imports, exports=exports)
    path.write_bytes(written)
    assert read_binary(path, key="k") == WebAssemblyBinary(True, tuple(imports), tuple(exports))
    position %= len(written)
    path.write_bytes(written[:position] + bytes([byte]) + written[position + 1 :])
    try:
        assert isinstance(read_binary(path, key="k"), WebAssemblyBinary)
    except PlatformError as error:
        assert error.cause.startswith("k: ")


def test_large_component_is_not_read_into_memory(tmp_path: Path, wasm: t.Any) -> None:
    import tracemalloc

    path = tmp_path / "large.wasm"
    with path.open("wb") as stream:
        stream.write(COMPONENT + b"\x01" + wasm.number(1 << 29))
        stream.seek(1 << 29, os.SEEK_CUR)  # a hole in the file: it takes no room on the disk
        stream.write(wasm.section(11, wasm.vector([b"\x00" + wasm.text("x:y/z") + b"\x05\x00\x00"])))
    tracemalloc.start()
    try:
        assert read_binary(path, key="k").exports == ("x:y/z",)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("preamble", [COMPONENT, MODULE])
@pytest.mark.parametrize("identifier", [0, 1, 2, 7, 10, 11])
def test_section_of_4_gib_without_content_is_refused_without_reading_it(
    tmp_path: Path, wasm: t.Any, preamble: bytes, identifier: int
) -> None:
    path = tmp_path / "sparse.wasm"
    with path.open("wb") as stream:
        stream.write(preamble + bytes([identifier]) + wasm.number((1 << 32) - 1))
        stream.truncate(stream.tell() + (1 << 32) - 1)
    assert memory_of_refusal(path, "has more than 1 GiB") < 1 << 20


@pytest.mark.parametrize(
    ("preamble", "sections"),
    [
        (COMPONENT, b"\x0a"),
        (COMPONENT, b"\x0b"),
        (MODULE, b"\x02"),
        (MODULE, b"\x07"),
        (MODULE, b"\x00\xff\xff\xff\xff\x01\x09producers"),
    ],
)
def test_section_with_names_that_is_far_too_large_is_not_read(
    tmp_path: Path, wasm: t.Any, preamble: bytes, sections: bytes
) -> None:
    size = (1 << 29) - 1
    path = tmp_path / "sparse.wasm"
    with path.open("wb") as stream:
        stream.write(preamble + sections[:1] + wasm.number(size) + sections[6:])
        stream.truncate(len(preamble) + 1 + len(wasm.number(size)) + size)
    assert memory_of_refusal(path, "a section with names has 5368709.. bytes") < 1 << 20


def test_holes_are_no_sections(tmp_path: Path) -> None:
    path = tmp_path / "sparse.wasm"
    with path.open("wb") as stream:
        stream.write(COMPONENT)
        stream.truncate(1 << 29)  # zeros: 268 million custom sections without even a name
    assert memory_of_refusal(path, "more than 100000 sections") < 1 << 20


def memory_of_refusal(path: Path, reason: str) -> int:
    """The most memory that the refusal of a file took, in bytes."""
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises(PlatformError, match=reason):
            read_binary(path, key="k")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
