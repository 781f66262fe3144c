# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the order in which components are built (crates/build/src/lib.rs: a dependency before what depends on it, else
as written)."""

from __future__ import annotations

import graphlib

from ...errors import PlatformError
from ..manifest.model import Component, LocalSource, Manifest


def build_order(manifest: Manifest) -> list[Component]:
    """The components that have build commands, each after those whose output it depends on by `path`.

    Raises:
        PlatformError: the components depend on each other in a circle.
    """
    producers = {
        manifest.absolute(component.source.path): component.id
        for component in manifest.components.values()
        if component.build and isinstance(component.source, LocalSource)
    }
    needed = {
        component.id: [
            producer
            for dependency in component.dependencies.values()
            if "path" in dependency
            and (producer := producers.get(manifest.absolute(dependency["path"]))) not in (None, component.id)
        ]
        for component in manifest.components.values()
    }
    try:
        graphlib.TopologicalSorter(needed).prepare()
    except graphlib.CycleError as error:
        raise PlatformError(
            f"spin.toml: the components {' -> '.join(error.args[1])} depend on each other in a circle.",
            next_step="Remove one of these `dependencies`.",
        ) from None
    ordered: dict[str, Component] = {}

    def add(identifier: str) -> None:
        if identifier not in ordered:
            for producer in needed[identifier]:
                add(producer)
            ordered[identifier] = manifest.components[identifier]

    for identifier in manifest.components:
        add(identifier)
    return [component for component in ordered.values() if component.build]
