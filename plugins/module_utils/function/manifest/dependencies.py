# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component's `dependencies`: the components it imports from.

Follows ComponentDependency and ComponentDependencies of Spin's crates/manifest/src/schema/v2.rs, and normalize.rs.
"""

from __future__ import annotations

import typing as t

from .location import KeyPath
from .model import Component, LocalSource
from .names import compatible_version, dependency_name_error, identifier_error, is_version_requirement, nearest
from .paths import Bounds
from .problems import Problems
from .tables import Table, type_name

Dependencies = dict[str, dict[str, t.Any]]

# What decides the kind of a dependency, with the other keys of that kind.
_KINDS: dict[str, tuple[str, ...]] = {
    "version": ("registry", "package", "export", "inherit_configuration"),
    "path": ("export", "inherit_configuration"),
    "url": ("digest", "export", "inherit_configuration"),
    "component": ("export", "inherit_configuration"),
}
_FORMS = '"<version>", { version = … }, { path = … }, { url = …, digest = … } or { component = … }'


def read_dependencies(table: Table, bounds: Bounds) -> Dependencies:
    """Read a `dependencies` table; a bare version becomes {"version": …}."""
    read: Dependencies = {}
    for name, value in table.data.items():
        path: KeyPath = (*table.path, name)
        if error := dependency_name_error(name):
            table.problems.add(
                path,
                f"is no valid name of an import: {error}",
                'Name it as the component imports it: "namespace:package/interface@version".',
            )
        if isinstance(value, str):
            read[name] = {"version": value}
        elif isinstance(value, dict):
            read[name] = _read_table(Table(value, path, table.problems))
        else:
            table.problems.add(path, f"must be a string or a table, but is {type_name(value)}", f"Write {_FORMS}.")
            continue
        _check_values(read[name], path, bounds, table.problems)
    return read


def _read_table(table: Table) -> dict[str, t.Any]:
    kinds = [kind for kind in _KINDS if kind in table.data]
    if len(kinds) != 1:
        mixed = " and ".join(f'"{kind}"' for kind in kinds)
        message = f"{mixed} exclude each other" if kinds else "says neither version, path, url nor component"
        table.problems.add(table.path, message, f"Write one of {_FORMS}.")
        return {}
    kind = kinds[0]
    table.refuse_unknown(
        (kind, *_KINDS[kind]), {"sha256": 'Rename it to "digest"; its value is "sha256:<64 hexadecimal digits>".'}
    )
    read: dict[str, t.Any] = {}
    for key in (kind, *_KINDS[kind]):
        if key == "inherit_configuration":
            inherit = table.data.get(key)
            if inherit is not None:
                read[key] = inherit if isinstance(inherit, bool) else list(table.texts(key))
        elif (value := table.text(key, required=key == "digest", example='digest = "sha256:…"')) is not None:
            read[key] = value
    return read


def _check_values(dependency: dict[str, t.Any], path: KeyPath, bounds: Bounds, problems: Problems) -> None:
    if (version := dependency.get("version")) is not None and not is_version_requirement(version):
        problems.add(path, f'"{version}" is no version requirement', 'Write one such as "1.2.3", ">=0.1.0" or "^2".')
    if (file := dependency.get("path")) is not None and (
        refusal := bounds.refusal(file, "copy the file into the directory of the manifest")
    ):
        problems.add((*path, "path"), *refusal)
    if "url" in dependency:
        check_download(dependency["url"], dependency.get("digest"), path, problems)
    if (component := dependency.get("component")) is not None and (error := identifier_error(component, "-")):
        problems.add(
            (*path, "component"),
            f'"{component}" is no component id: {error}',
            "Write the id of a [component.<id>] of this manifest.",
        )


def check_download(url: str, digest: str | None, path: KeyPath, problems: Problems) -> None:
    """Check the URL and the digest of something to download."""
    import re
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url:
        problems.add(
            (*path, "url"),
            f'"{url}" is no http or https URL',
            "Write a URL such as https://example.com/component.wasm.",
        )
    if digest is not None and not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", digest):
        next_step = (
            'Write digest = "sha256:<64 hexadecimal digits>", as `sha256sum` of the downloaded file prints them.'
        )
        problems.add((*path, "digest"), f'"{digest}" is not "sha256:" and 64 hexadecimal digits', next_step)


def inherit_everything(dependencies: Dependencies) -> None:
    """Spread a component's `dependencies_inherit_configuration = true` over its dependencies."""
    for dependency in dependencies.values():
        dependency["inherit_configuration"] = True


def resolve_components(
    component: Component, components: dict[str, Component], path: KeyPath, problems: Problems
) -> Dependencies:
    """Replace each { component = id } by the source of that component, as Spin does."""
    resolved: Dependencies = {}
    for name, dependency in component.dependencies.items():
        resolved[name] = dependency
        if "component" not in dependency:
            continue
        key: KeyPath = (*path, "dependencies", name, "component")
        wanted = dependency["component"]
        if wanted not in components:
            near = nearest(wanted, components)
            message = f'there is no component "{wanted}"' + (f', did you mean "{near}"?' if near else "")
            problems.add(
                key,
                message,
                f'Write "{near}".' if near else f"Add [component.{wanted}], or name one of {', '.join(components)}.",
                wanted,
            )
            continue
        other = components[wanted]
        if surprises := _own_resources(other):
            message = (
                f'component "{wanted}" cannot be a dependency, because it has its own {", ".join(surprises)}, '
                "which would not apply"
            )
            problems.add(
                key,
                message,
                f"Remove {', '.join(surprises)} from [component.{wanted}], or make a second component for the "
                "dependency.",
                wanted,
            )
            continue
        source = (
            {"path": other.source.path}
            if isinstance(other.source, LocalSource)
            else {"url": other.source.url, "digest": other.source.digest}
        )
        resolved[name] = source | {key: value for key, value in dependency.items() if key != "component"}
    return resolved


def _own_resources(component: Component) -> list[str]:
    resources = {
        "ai_models": component.ai_models,
        "allowed_outbound_hosts": component.allowed_outbound_hosts,
        "dependencies": component.dependencies,
        "environment": component.environment,
        "files": component.files,
        "key_value_stores": component.key_value_stores,
        "sqlite_databases": component.sqlite_databases,
        "variables": component.variables,
    }
    return [name for name, value in resources.items() if value]


def check_dependencies(dependencies: Dependencies, path: KeyPath, problems: Problems) -> None:
    """Apply Spin's validate_dependencies to resolved dependencies."""
    for name, dependency in dependencies.items():
        key: KeyPath = (*path, "dependencies", name)
        is_package = ":" in name or "/" in name
        if not is_package and "version" in dependency and "package" not in dependency:
            problems.add(
                key,
                "must say which package satisfies it, as its name is no package's",
                'Write { version = "…", package = "namespace:name" }.',
            )
        if is_package and "/" not in name and "export" in dependency and "url" not in dependency:
            problems.add(
                key,
                "an export cannot satisfy a whole package",
                f'Name the interface: "{name}/<interface>", or remove "export".',
            )
    packages: dict[str, list[tuple[str, str, str]]] = {}
    for name in dependencies:
        if ":" in name:
            package, interface, version = _split_name(name)
            packages.setdefault(package, []).append((name, interface, version))
    for same_package in packages.values():
        _check_conflicts(same_package, path, problems)


def _check_conflicts(names: list[tuple[str, str, str]], path: KeyPath, problems: Problems) -> None:
    """Note which dependencies on one package, given as (name, interface, version), can satisfy the same import."""
    for position, (name, interface, version) in enumerate(names):
        for other, other_interface, other_version in names[position + 1 :]:
            if version and other_version and compatible_version(version) != compatible_version(other_version):
                continue
            if interface and other_interface and interface != other_interface:
                continue
            message = f'conflicts with the dependency "{name}": both can satisfy the same import'
            problems.add(
                (*path, "dependencies", other),
                message,
                "Remove one of them, or give them different interfaces or incompatible versions.",
            )


def _split_name(name: str) -> tuple[str, str, str]:
    package, _at, version = name.partition("@")
    package, _slash, interface = package.partition("/")
    return package, interface, version
