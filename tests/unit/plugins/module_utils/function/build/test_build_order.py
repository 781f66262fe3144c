# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component is built after those whose output it needs, and else where it is written."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.order import build_order
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    Component,
    LocalSource,
    Manifest,
    RemoteSource,
)
from hypothesis import given
from hypothesis import strategies as st


def component(name: str, *needs: str, build: bool = True, source: str | None = None) -> Component:
    dependencies = {f"a:b/{number}": {"path": path} for number, path in enumerate(needs)}
    return Component(
        id=name,
        source=LocalSource(source or f"{name}.wasm"),
        build=Build(("make",)) if build else None,
        dependencies=dependencies,
    )


def order(*components: Component) -> list[str]:
    manifest = Manifest(Path("/p/spin.toml"), "a", (), {component.id: component for component in components})
    return [component.id for component in build_order(manifest)]


def test_without_dependencies_the_order_is_that_of_the_manifest() -> None:
    assert order(component("c"), component("a"), component("b")) == ["c", "a", "b"]


def test_components_without_a_build_are_left_out() -> None:
    assert order(component("a", build=False), component("b")) == ["b"]


def test_dependency_is_built_before_what_needs_it() -> None:
    assert order(component("a", "b.wasm"), component("b", "./sub/../c.wasm"), component("c")) == ["c", "b", "a"]


def test_all_that_nothing_needs_stays_where_it_is_written() -> None:
    assert order(component("a"), component("b", "d.wasm"), component("c"), component("d"), component("e")) == [
        "a",
        "d",
        "b",
        "c",
        "e",
    ]


def test_output_is_known_however_it_is_written() -> None:
    assert order(component("a", "./dist//b.wasm"), component("b", source="dist/x/../b.wasm")) == ["b", "a"]


def test_dependency_on_itself_or_on_a_file_nobody_builds_is_none() -> None:
    assert order(component("a", "a.wasm", "given.wasm")) == ["a"]


def test_dependency_that_is_not_by_path_is_none() -> None:
    needing = Component(
        id="a",
        source=LocalSource("a.wasm"),
        build=Build(("make",)),
        dependencies={"x:y/z": {"version": "1"}, "q:r/s": {"url": "https://e", "digest": "sha256:1"}},
    )
    remote = Component(id="r", source=RemoteSource("https://e", "sha256:1"), build=Build(("make",)))
    assert order(needing, remote) == ["a", "r"]


def test_of_two_components_with_one_source_the_one_that_builds_it_comes_first() -> None:
    assert order(
        component("a", "shared.wasm"),
        component("b", source="shared.wasm"),
        component("c", source="shared.wasm", build=False),
    ) == ["b", "a"]


def test_circle_is_refused_with_its_members() -> None:
    with pytest.raises(
        PlatformError,
        match=r"(a -> b -> c -> a|b -> c -> a -> b|c -> a -> b -> c|a -> c -> b -> a|c -> b -> a -> c|b -> a -> c -> "
        r"b)",
    ) as caught:
        order(component("a", "b.wasm"), component("b", "c.wasm"), component("c", "a.wasm"))
    assert caught.value.next_step


@given(st.data())
def test_any_order_without_circles_keeps_every_dependency_first(data: st.DataObject) -> None:
    names = data.draw(st.permutations([f"c{number}" for number in range(6)]))
    needs: dict[str, list[str]] = {
        name: data.draw(st.lists(st.sampled_from(names[:position]), unique=True)) if position else []
        for position, name in enumerate(names)
    }
    written = data.draw(st.permutations(names))
    ordered = order(*(component(name, *(f"{need}.wasm" for need in needs[name])) for name in written))
    assert sorted(ordered) == sorted(names)
    assert all(ordered.index(need) < ordered.index(name) for name in names for need in needs[name])


def test_result_holds_the_components_themselves() -> None:
    one = component("a")
    found: t.Any = build_order(Manifest(Path("/p/spin.toml"), "a", (), {"a": one}))
    assert found == [one]
