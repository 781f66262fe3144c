# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for every input."""

from __future__ import annotations

import copy
import os
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest import tables
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.files import expand_files
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.location import find_line
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    FilesMount,
    LocalSource,
    Manifest,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from hypothesis import given, settings
from hypothesis import strategies as st

BASE: dict[str, t.Any] = {
    "spin_manifest_version": 2,
    "application": {"name": "a", "authors": ["x"], "trigger": {"http": {"base": "/"}}},
    "variables": {"v": {"default": "x"}},
    "trigger": {"http": [{"route": "/...", "component": "a", "executor": {"type": "http"}}]},
    "component": {
        "a": {
            "source": {"url": "https://e.com/a", "digest": "sha256:" + "0" * 64},
            "variables": {"x": "{{ v }}"},
            "environment": {"A": "b"},
            "files": ["a/*", {"source": "a", "destination": "/"}],
            "exclude_files": ["b"],
            "allowed_outbound_hosts": ["https://{{ v }}"],
            "key_value_stores": ["default"],
            "build": {"command": "make", "workdir": "w", "watch": ["*"]},
            "dependencies": {"a:b": {"path": "b.wasm", "inherit_configuration": ["ai_models"]}},
            "profile": {"p": {"source": "p.wasm", "build": {"command": ["x"]}}},
        }
    },
}
VERSION_1: dict[str, t.Any] = {
    "spin_manifest_version": "1",
    "name": "a",
    "trigger": {"type": "http"},
    "variables": {"v": {"required": True}},
    "component": [
        {
            "id": "a",
            "source": "a.wasm",
            "trigger": {"route": "/"},
            "config": {"x": "{{ v }}"},
            "allowed_http_hosts": ["e.com"],
            "build": {"command": "x"},
        }
    ],
}
# Tables in which the user chooses the keys.
OPEN = {
    ("application", "trigger"),
    ("variables",),
    ("trigger",),
    ("component",),
    ("component", "a", "variables"),
    ("component", "a", "environment"),
    ("component", "a", "dependencies"),
    ("component", "a", "profile"),
    ("component", 0, "config"),
    ("component", 0, "environment"),
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{{", "{{ v }}", "..", "/", "*", "a", "\0", "https://e.com"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def to_toml(value: t.Any) -> str:
    """Write a value as an inline TOML value; None as an empty string."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_toml(str(key))} = {to_toml(element)}" for key, element in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    escaped = "".join(
        character if character.isalnum() or character in " -_/.*:{}" else f"\\U{ord(character):08x}"
        for character in value or ""
    )
    return f'"{escaped}"'


def read(manifest: dict[str, t.Any]) -> Manifest:
    return read_bytes(
        "\n".join(f"{to_toml(key)} = {to_toml(value)}" for key, value in manifest.items()).encode(
            "utf-8", "surrogatepass"
        )
    )


def read_bytes(content: bytes) -> Manifest:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "spin.toml").write_bytes(content)
        return read_manifest(Path(directory))


def places(value: t.Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """All key paths of a value."""
    found = [path]
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


def at(value: t.Any, path: tuple[str | int, ...]) -> t.Any:
    for key in path:
        value = value[key]
    return value


def test_the_bases_are_good() -> None:
    assert read(BASE).name == read(VERSION_1).name == "a"


@given(st.sampled_from([BASE, VERSION_1]), st.data(), st.from_regex(r"[a-z_]{3,12}", fullmatch=True))
def test_an_unknown_key_is_refused_and_named(base: dict[str, t.Any], data: st.DataObject, key: str) -> None:
    closed = [path for path in places(base) if isinstance(at(base, path), dict) and path not in OPEN]
    path = data.draw(st.sampled_from(closed))
    changed = copy.deepcopy(base)
    at(changed, path)[f"zz{key}"] = 1
    try:
        read(changed)
    except PlatformError as error:
        assert f"zz{key}" in error.cause
        assert error.next_step
    else:
        raise AssertionError(f"{path}: zz{key} was accepted")


@given(st.sampled_from([BASE, VERSION_1]), st.data(), values)
def test_any_value_anywhere_is_read_or_refused(base: dict[str, t.Any], data: st.DataObject, value: t.Any) -> None:
    path = data.draw(st.sampled_from([path for path in places(base) if path]))
    changed = copy.deepcopy(base)
    at(changed, path[:-1])[path[-1]] = value
    try:
        assert read(changed).path.name == "spin.toml"
    except PlatformError as error:
        assert error.cause.startswith("spin.toml:")
        assert error.next_step


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for head in (b"", b"spin_manifest_version = 2\n", b'spin_version = "1"\n'):
        try:
            assert read_bytes(head + content).path.name == "spin.toml"
        except PlatformError as error:
            assert error.cause.startswith("spin.toml")


@given(
    st.text(alphabet="[]{}\"'=.#ab \n\\", max_size=80),
    st.lists(st.sampled_from(["a", "b"]) | st.integers(0, 2), max_size=3),
)
def test_a_line_is_one_of_the_file(text: str, path: list[str | int]) -> None:
    line = find_line(text, tuple(path), "a")
    assert line is None or 1 <= line <= max(1, len(text.splitlines()))


names = st.sampled_from(["a", "b", ".c", "d e", "x[1]", "link"])
patterns = st.lists(
    names | st.sampled_from(["*", "**", "?", "[a-c]", ".*", ".", "..", "", "/"]), min_size=1, max_size=5
).map("/".join)
mounts = st.lists(patterns | st.builds(FilesMount, patterns, patterns), max_size=3)
trees = st.lists(
    st.tuples(
        st.lists(names, min_size=1, max_size=3).map("/".join),
        st.sampled_from(["file", "file", "file", "/etc", "..", ".", "../a", "a"]),
    ),
    max_size=8,
)


def build_tree(root: Path, tree: list[tuple[str, str]], mtime: int) -> None:
    for name, kind in tree:
        path = root / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "file":
                path.write_text(name)
                os.utime(path, (mtime, mtime))
            else:
                path.symlink_to(kind)
        except OSError:
            continue  # something else has the name already


def expand(root: Path, files: list[str | FilesMount], exclude: list[str]) -> list[tuple[str, str]] | str:
    component = Component("a", LocalSource("a.wasm"), files=tuple(files), exclude_files=tuple(exclude))
    try:
        expanded = expand_files(Manifest(root / "spin.toml", "a", (), {"a": component}), component)
    except PlatformError as error:
        return error.cause
    for file in expanded:
        assert not file.path.startswith(("/", "../"))
        assert ".." not in file.path.split("/")
        assert file.source.resolve().is_relative_to(root.resolve())
        assert file.source.is_file()
    return [(file.path, str(file.source.relative_to(root.resolve()))) for file in expanded]


@settings(max_examples=200)
@given(trees, mounts, st.lists(names, max_size=2))
def test_files_stay_inside(tree: list[tuple[str, str]], files: list[str | FilesMount], exclude: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "project"
        root.mkdir()
        build_tree(root, tree, 1)
        assert expand(root, files, exclude) is not None


@given(
    trees.map(
        lambda tree: list({name.split("/")[0]: ("/".join(name.split("/")), "file") for name, _kind in tree}.values())
    ),
    mounts,
    st.randoms(),
)
def test_order_and_time_of_creation_do_not_matter(
    tree: list[tuple[str, str]], files: list[str | FilesMount], random: t.Any
) -> None:
    shuffled = list(tree)
    random.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as directory:
        first, second = Path(directory) / "1" / "project", Path(directory) / "2" / "project"
        for root, order, mtime in ((first, tree, 1), (second, shuffled, 1_000_000_000)):
            root.mkdir(parents=True)
            build_tree(root, order, mtime)
        assert expand(first, files, []) == expand(second, files, [])


def test_every_toml_type_has_a_name() -> None:
    examples: list[object] = ["", True, 1, 1.0, [], {}]
    assert [tables.type_name(example) for example in examples] == [
        "a string",
        "true or false",
        "an integer",
        "a number",
        "an array",
        "a table",
    ]
