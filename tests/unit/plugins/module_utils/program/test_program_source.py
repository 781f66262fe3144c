# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a program comes from, and its digest."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.program.source import (
    Source,
    build_program,
    read_source,
)

BUILD = "mkdir -p target && cp main.txt target/app.wasm"


def read(path: Path, command: str | None = None, wasm: str | None = None) -> Source:
    return read_source(path, command=command, wasm=wasm)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "main.txt").write_text("first")
    return directory


def build(source: Source, tmp_path: Path, seconds: float = 60) -> bytes:
    copy = tmp_path / "copy.wasm"
    build_program(
        source,
        log_file=tmp_path / "build.log",
        outputs_directory=tmp_path / "outputs",
        timeout_seconds=seconds,
        copy=copy,
    )
    return copy.read_bytes()


def test_a_file_is_its_own_source(tmp_path: Path) -> None:
    file = tmp_path / "Hello_Wasi.v1.wasm"
    file.write_bytes(b"1")
    source = read(file)
    assert (source.default_name, source.key, source.command) == ("hello-wasi-v1", "source", None)
    first = source.digest()
    (tmp_path / "beside.txt").write_text("no part of it")
    assert source.digest() == first
    assert build(source, tmp_path) == b"1"
    file.write_bytes(b"2")
    assert source.digest() != first


def test_a_directory_is_built(project: Path, tmp_path: Path) -> None:
    source = read(project, BUILD, "target/app.wasm")
    first = source.digest()
    assert build(source, tmp_path) == b"first"
    assert source.digest() == first, "what a build writes is no source"
    (project / "main.txt").write_text("second")
    assert source.digest() != first
    assert build(source, tmp_path) == b"second"
    assert read(project, f"{BUILD} ", "target/app.wasm").digest() != source.digest()


def test_a_file_in_a_directory_needs_no_build(project: Path) -> None:
    (project / "app.wasm").write_bytes(b"x")
    assert read(project, None, "app.wasm") == Source(project, project / "app.wasm", None)


@pytest.mark.parametrize(
    ("place", "command", "wasm", "cause"),
    [
        ("nowhere.wasm", None, None, "does not exist"),
        ("main.txt", "make", None, "build has no meaning"),
        ("main.txt", None, "x.wasm", "wasm has no meaning"),
        (".", None, None, "`wasm` is not given"),
        (".", "make", "../x.wasm", "not below"),
        (".", "make", "/x.wasm", "not below"),
        (".", None, "x.wasm", "does not exist"),
    ],
)
def test_what_names_no_program_is_refused(
    project: Path, place: str, command: str | None, wasm: str | None, cause: str
) -> None:
    with pytest.raises(PlatformError, match=cause):
        read(project / place, command, wasm)


def test_a_spin_application_is_deployed_as_a_function(project: Path) -> None:
    (project / "spin.toml").touch()
    with pytest.raises(PlatformError) as caught:
        read(project)
    assert f"deploy_function -e src={project}" in caught.value.next_step


@pytest.mark.parametrize(
    ("command", "seconds", "cause"),
    [
        ("echo broken; exit 3", 60, "exit code 3. Its last lines:\nbroken"),
        ("echo nothing", 60, "wrote no target/app.wasm. Its last lines:\nnothing"),
        ("sleep 60", 0.2, "did not end within 0.2 s"),
    ],
)
def test_a_build_that_fails_is_told(project: Path, tmp_path: Path, command: str, seconds: float, cause: str) -> None:
    (project / "target").mkdir()
    (project / "target" / "app.wasm").write_text("of an earlier build")
    facts: dict[str, t.Any] = {"command": command}
    with pytest.raises(PlatformError) as caught:
        build(read(project, command, "target/app.wasm"), tmp_path, seconds)
    assert cause in caught.value.cause
    assert facts.items() <= caught.value.facts.items()
    assert (project / "target" / "app.wasm").read_text() == "of an earlier build"
