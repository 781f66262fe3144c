# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small real inputs for the tests: Wasm binaries written byte by byte, and project directories."""

from __future__ import annotations

import collections.abc
import contextlib
import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest

HTTP_HANDLER = "wasi:http/incoming-handler@0.2.0"


class WebAssemblyWriter:
    """Writes the outside of Wasm binaries; what they do is left out."""

    @staticmethod
    def number(value: int) -> bytes:
        """LEB128."""
        encoded = b""
        while True:
            value, low = value >> 7, value & 0x7F
            encoded += bytes([low | (0x80 if value else 0)])
            if not value:
                return encoded

    def text(self, value: str) -> bytes:
        return self.number(len(value.encode())) + value.encode()

    def section(self, identifier: int, content: bytes) -> bytes:
        return bytes([identifier]) + self.number(len(content)) + content

    def vector(self, items: t.Sequence[bytes]) -> bytes:
        return self.number(len(items)) + b"".join(items)

    def component(
        self, *, imports: t.Sequence[str] = (), exports: t.Sequence[str] = (HTTP_HANDLER,), padding: int = 0
    ) -> bytes:
        """A component that imports and exports instances; `padding` bytes lie in a custom section before them."""
        binary = b"\0asm\x0d\0\x01\0"
        binary += self.section(0, self.text("padding") + bytes(padding))
        binary += self.section(10, self.vector([b"\x00" + self.text(name) + b"\x05\x00" for name in imports]))
        binary += self.section(11, self.vector([b"\x00" + self.text(name) + b"\x05\x00\x00" for name in exports]))
        return binary

    def module(
        self, *, imports: t.Sequence[tuple[str, str]] = (), exports: t.Sequence[str] = (), custom: t.Sequence[str] = ()
    ) -> bytes:
        """A core module that imports and exports functions."""
        binary = b"\0asm\x01\0\0\0"
        binary += b"".join(self.section(0, self.text(name) + b"data") for name in custom)
        binary += self.section(
            2, self.vector([self.text(module) + self.text(name) + b"\x00\x00" for module, name in imports])
        )
        binary += self.section(7, self.vector([self.text(name) + b"\x00\x00" for name in exports]))
        return binary

    def producers(self, processed_by: dict[str, str]) -> bytes:
        """The custom section that says which tools made a binary."""
        tools = self.vector([self.text(tool) + self.text(version) for tool, version in processed_by.items()])
        return self.section(0, self.text("producers") + self.vector([self.text("processed-by") + tools]))

    def bindings(self, tool: str, version: str) -> bytes:
        """The custom section with the interfaces of the component that a core module is made for."""
        return self.section(
            0, self.text("component-type:test") + b"\0asm\x0d\0\x01\0" + self.producers({tool: version})
        )


@pytest.fixture(scope="session")
def wasm() -> WebAssemblyWriter:
    return WebAssemblyWriter()


SPIN_TOML = """
spin_manifest_version = 2

[application]
name = "hello"
version = "0.1.0"

[[trigger.http]]
route = "/..."
component = "hello"

[component.hello]
source = "app.wasm"
"""

MakeProject = collections.abc.Callable[..., Manifest]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """Writes a project directory and reads its manifest: (spin.toml or what to add to the smallest one, files by path,
    directory)."""

    def make(
        spin_toml: str | None = None,
        files: dict[str, bytes | str] | None = None,
        *,
        extra: str = "",
        directory: Path | None = None,
        profile: str | None = None,
    ) -> Manifest:
        directory = directory or tmp_path / "project"
        for path, content in {"spin.toml": (spin_toml or SPIN_TOML) + extra, **(files or {})}.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_manifest(directory, profile=profile)

    return make


@pytest.fixture
def without_privileges() -> t.Callable[[], t.ContextManager[None]]:
    """Makes file permissions count also where the tests run as root; only for directories that anybody may enter."""

    @contextlib.contextmanager
    def nobody() -> t.Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return nobody
