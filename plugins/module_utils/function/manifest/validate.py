# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what only the whole manifest shows: triggers and their components, routes, variables, hosts, file patterns."""

from __future__ import annotations

import dataclasses

from .dependencies import check_dependencies, resolve_components
from .file_mounts import check_files
from .location import KeyPath
from .model import Manifest
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
