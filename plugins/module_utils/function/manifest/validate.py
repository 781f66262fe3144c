# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what only the whole manifest shows: triggers and their components, routes, variables, hosts, file patterns."""

from __future__ import annotations

import dataclasses
import typing as t

from .dependencies import check_dependencies, resolve_components
from .file_mounts import check_files
from .location import KeyPath
from .model import Component, FilesMount, LocalSource, Manifest
from .problems import Problems
from .triggers import check_triggers
from .variable_uses import check_component_variables


def normalise_dependencies(manifest: Manifest, paths: dict[str, KeyPath], problems: Problems) -> Manifest:
    """Return the manifest with each dependency on another component replaced by that component's source."""
    resolved = {}
    for name, component in manifest.components.items():
        resolved[name] = component
        if component.dependencies:
            resolved[name] = dataclasses.replace(
                component, dependencies=resolve_components(component, manifest.components, paths[name], problems)
            )
    return dataclasses.replace(manifest, components=resolved)


def validate(manifest: Manifest, paths: dict[str, KeyPath], problems: Problems) -> None:
    """Note all that is wrong across the manifest.

    Args:
        manifest: read and normalised.
        paths: where each component was written.
        problems: takes what is wrong.
    """
    check_triggers(manifest, problems)
    for name, component in manifest.components.items():
        check_component_variables(manifest, component, paths[name], problems)
        check_files(manifest, component, paths[name], problems)
        check_dependencies(component.dependencies, paths[name], problems)


def reaches_out(manifest: Manifest) -> bool:
    """Whether a path of the manifest leads out of its directory."""
    bounds = manifest.bounds
    return bounds.source_root != bounds.directory and any(
        bounds.leaves_directory(path) for component in manifest.components.values() for path in _paths(component)
    )


def _paths(component: Component) -> t.Iterator[str]:
    """All paths and file patterns of a component, relative to the directory of the manifest."""
    if isinstance(component.source, LocalSource):
        yield component.source.path
    if component.build:
        yield component.build.workdir
        yield from component.build.watch
    for mount in component.files:
        yield mount.source if isinstance(mount, FilesMount) else mount
    for dependency in component.dependencies.values():
        if "path" in dependency:
            yield dependency["path"]
