# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests and patterns that are made to take long are refused or matched at once. What is measured is time of the
processor, and its limits are far above what is needed and far below what the fault would take."""

from __future__ import annotations

import collections.abc
import contextlib
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.globs import (
    compile_pattern,
    find_files,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest

BEGINNING = 'spin_manifest_version = 2\n[application]\nname = "a"\n'
END = '[[trigger.http]]\nroute = "/..."\ncomponent = "c"\n[component.c]\nsource = "c.wasm"\n'


@contextlib.contextmanager
def at_once(seconds: float = 30) -> collections.abc.Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds


@pytest.mark.parametrize("pattern", ["*a" * 13 + "b", "**/*a*/" * 13 + "b", "*?[!x]" * 13 + "b", "**/" * 13 + "b"])
def test_many_stars_are_matched_in_linear_time(pattern: str) -> None:
    expression = compile_pattern(pattern)
    with at_once():
        assert not expression.fullmatch("aa/" * 300 + "c")


def test_many_stars_search_each_directory_once(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 40)
    deepest.mkdir(parents=True)
    (deepest / "file").touch()
    with at_once():
        assert set(find_files(str(tmp_path), "**/*/" * 13 + "*")) == {"/".join(["d"] * 40) + "/file"}
        assert not list(find_files(str(tmp_path), "**/*/" * 13 + "x"))


@pytest.mark.parametrize(
    "key",
    [
        "a." * 20_000 + "a = 1",
        "[" + "a." * 20_000 + "a]",
        "a . " * 80 + "a = 1",
        '"a.b".' * 20_000 + "a = 1",
        "[[" + "'a'." * 20_000 + "a]]",
        "x = { " + "a." * 20_000 + "a = 1 }",
    ],
)
def test_deep_keys_are_refused_with_their_line(tmp_path: Path, key: str) -> None:
    (tmp_path / "spin.toml").write_text(f"{BEGINNING}[application.tool.t]\n{key}\n{END}")
    with at_once(), pytest.raises(PlatformError, match=r"spin\.toml:5: a key has more than 80 parts"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        f'"{"a." * 100}"',
        f"'{'a.' * 100}'",
        f'"""\n"{"a." * 100}\\""""',
        f"'''\n{'a.' * 100}'''",
        f'"" # {"a." * 100}',
        f'"\\"" # "{"a." * 100}',
    ],
)
def test_dots_in_strings_and_comments_are_no_keys(tmp_path: Path, value: str) -> None:
    (tmp_path / "spin.toml").write_text(f"{BEGINNING}description = {value}\n{END}")
    assert read_manifest(tmp_path).name == "a"


@pytest.mark.parametrize("opening", ["[", "{a=", "{a=["])
def test_deep_values_are_refused(tmp_path: Path, opening: str) -> None:
    (tmp_path / "spin.toml").write_text(f"{BEGINNING}x = {opening * 50_000}\n{END}")
    with at_once(), pytest.raises(PlatformError, match="nested too deeply"):
        read_manifest(tmp_path)


def test_thousands_of_problems_end_with_the_first_hundred(tmp_path: Path) -> None:
    unknown = "".join(f"key{number} = 1\n" for number in range(10_000))
    (tmp_path / "spin.toml").write_text(f"{BEGINNING}{unknown}{END}")
    with at_once(), pytest.raises(PlatformError) as caught:
        read_manifest(tmp_path)
    assert len(caught.value.facts["problems"]) == 100


def test_thousands_of_triggers_are_named_at_once(tmp_path: Path) -> None:
    triggers = ",".join(['{ component = "c", channel = "x", address = "redis://r" }'] * 4_000)
    (tmp_path / "spin.toml").write_text(
        f'{BEGINNING}[trigger]\nredis = [{triggers}]\n[component.c]\nsource = "c.wasm"\n'
    )
    with at_once():
        named = [trigger.id for trigger in read_manifest(tmp_path).triggers]
    assert named[:3] == ["c-redis-trigger", "redis-trigger1", "redis-trigger2"] and len(set(named)) == 4_000


def test_large_file_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").write_text(BEGINNING + END + "#" * (1 << 18))
    with pytest.raises(PlatformError, match="is larger than 262144 bytes"):
        read_manifest(tmp_path)
