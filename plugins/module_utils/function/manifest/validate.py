# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks what only the whole manifest shows: triggers and their components, routes, variables, hosts, file patterns."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from .dependencies import check_dependencies, resolve_components
from .globs import pattern_error
from .hosts import host_error
from .location import KeyPath
from .model import Component, FilesMount, Manifest, Trigger
from .names import nearest
from .paths import is_outside, path_error
from .problems import Problems
from .tables import Table, type_name
from .templates import split_template

# Below this Spin answers by itself (Spin: crates/routes/src/lib.rs, WELL_KNOWN_PREFIX).
RESERVED_PREFIX = "/.well-known/spin/"
_HTTP_KEYS = ("id", "component", "components", "dependencies", "route", "executor", "static_response")
_REDIS_KEYS = ("id", "component", "components", "dependencies", "channel", "address")
# "spin" is an old name of "http"; "wasip3-unstable" is known to Spin 3.5 and 3.6 only.
_EXECUTORS = ("http", "spin", "wagi", "wasip3-unstable")


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
    _check_triggers(manifest, problems)
    for name, component in manifest.components.items():
        _check_templates(manifest, component, paths[name], problems)
        _check_files(manifest, component, paths[name], problems)
        check_dependencies(component.dependencies, paths[name], problems)


# Triggers


def _check_triggers(manifest: Manifest, problems: Problems) -> None:
    _check_http_settings(manifest, problems)
    redis = manifest.trigger_settings.get("redis", {})
    _check_variables_in(redis.get("address"), manifest, ("application", "trigger", "redis", "address"), problems)
    positions: dict[str, int] = {}
    routes: dict[str, Trigger] = {}
    for trigger in manifest.triggers:
        path: KeyPath = ("trigger", trigger.type, positions.get(trigger.type, 0))
        positions[trigger.type] = positions.get(trigger.type, 0) + 1
        if trigger.component not in manifest.components:
            near = nearest(trigger.component, manifest.components)
            message = f'there is no component "{trigger.component}"' + (f', did you mean "{near}"?' if near else "")
            next_step = (
                f'Write component = "{near}", or add [component.{trigger.component}].'
                if near
                else f"Add [component.{trigger.component}] with its source."
            )
            problems.add((*path, "component"), message, next_step)
        if trigger.type == "http":
            _check_http_trigger(trigger, path, problems)
            _check_duplicate(trigger, path, routes, problems)
        elif trigger.type == "redis":
            _check_redis_trigger(manifest, trigger, path, problems)


def _check_http_settings(manifest: Manifest, problems: Problems) -> None:
    table = Table(manifest.trigger_settings.get("http", {}), ("application", "trigger", "http"), problems)
    table.refuse_unknown(("base",))
    base = table.text("base")
    if base not in (None, "/"):
        message = f'the base "{base}" is not supported; Spin 3 and newer refuse it'
        problems.add(
            (*table.path, "base"),
            message,
            f'Remove it and write it at the beginning of each route, as in route = "{(base or "").rstrip("/")}/...".',
        )


def _check_http_trigger(trigger: Trigger, path: KeyPath, problems: Problems) -> None:
    table = Table(trigger.settings, path, problems)
    table.refuse_unknown(
        _HTTP_KEYS, {"path": 'Rename it to "route".', "base": "Write it at the beginning of the route."}
    )
    key: KeyPath = (*path, "route")
    route = table.data.get("route")
    example = 'Write route = "/..." for all paths, "/hello" for one, or { private = true } for none.'
    if route is None:
        problems.add(path, '"route" is missing', example)
    elif isinstance(route, dict):
        private = table.table("route")
        private.refuse_unknown(("private",))
        if private.flag("private") is not True:
            problems.add(key, "a route that is a table must be { private = true }", example)
    elif not isinstance(route, str):
        problems.add(key, f"must be a string or {{ private = true }}, but is {type_name(route)}", example)
    else:
        message, next_step = route_error(route)
        if message:
            problems.add(key, message, next_step)
    if "static_response" in table.data:
        message = "excludes component: the trigger either calls a component or gives a fixed response"
        problems.add((*path, "static_response"), message, "Remove static_response.")
    if "executor" in table.data:
        executor = table.table("executor")
        kind = executor.text("type", required=isinstance(table.data["executor"], dict), example='type = "http"')
        if kind is not None and kind not in _EXECUTORS:
            problems.add(
                (*executor.path, "type"), f'unknown executor "{kind}"', f"Write one of {', '.join(_EXECUTORS)}."
            )
        executor.refuse_unknown(("type", "argv", "entrypoint") if kind == "wagi" else ("type",))
        for name in ("argv", "entrypoint"):
            executor.text(name)


def route_error(route: str) -> tuple[str, str]:
    """Say what is wrong with an HTTP route and what to do, or return two empty strings (Spin: crates/routes/src/lib.rs,
    routefinder 0.5)."""
    if not route.startswith("/"):
        return f'the route "{route}" does not start with "/"', f'Write "/{route}".'
    if f"{route}/".startswith(RESERVED_PREFIX):
        return (
            f'the route "{route}" is answered by Spin itself',
            f'Choose a route that does not begin with "{RESERVED_PREFIX}".',
        )
    segments = [segment for segment in route.split("/") if segment]
    for position, segment in enumerate(segments):
        is_last = position == len(segments) - 1
        if segment in ("...", "*"):
            if not is_last:
                return (
                    f'the route "{route}" has a wildcard in the middle',
                    'Write "..." only as the last segment, or ":name" for one segment.',
                )
            continue
        if segment.startswith(("*", "...")) or segment.endswith("..."):
            return (
                f'the route "{route}" joins a wildcard with other text',
                'Write "/..." as the last segment, by itself.',
            )
        for part in segment.split("."):
            if part == ":":
                return f'the route "{route}" has a ":" without a name', 'Write ":name".'
            if part.startswith("*"):
                return (
                    f'the route "{route}" joins a wildcard with other text',
                    'Write "/..." as the last segment, by itself.',
                )
    if segments and segments[-1] == "..." and not route.endswith("/..."):
        return f'the route "{route}" has a "/" after its wildcard', f'Write "{route.rstrip("/")}".'
    return "", ""


def route_key(route: str) -> str:
    """Reduce a route to what must differ for Spin to tell two apart: slashes at the ends and names of parameters do not
    count."""
    segments = ["*" if segment == "..." else segment for segment in route.split("/") if segment]
    return "/" + re.sub(r":[^/.]+", ":", "/".join(segments))


def _check_duplicate(trigger: Trigger, path: KeyPath, routes: dict[str, Trigger], problems: Problems) -> None:
    route = trigger.settings.get("route")
    if not isinstance(route, str):
        return
    other = routes.setdefault(route_key(route), trigger)
    if other is trigger:
        return
    alike = "" if other.settings["route"] == route else f' (there written "{other.settings["route"]}")'
    this_trigger = f'trigger "{trigger.id}" (component "{trigger.component}")'
    message = (
        f'the route "{route}" of {this_trigger} is also that of trigger "{other.id}" (component '
        f'"{other.component}"){alike}'
    )
    problems.add((*path, "route"), message, "Give each trigger a route of its own; Spin would call only one of them.")


def _check_redis_trigger(manifest: Manifest, trigger: Trigger, path: KeyPath, problems: Problems) -> None:
    table = Table(trigger.settings, path, problems)
    table.refuse_unknown(_REDIS_KEYS)
    channel = table.text("channel", required=True, example='channel = "…"')
    address = table.text("address")
    if address is None and "address" not in manifest.trigger_settings.get("redis", {}):
        problems.add(
            path, "no Redis server is given", 'Add address = "redis://…" here or in [application.trigger.redis].'
        )
    _check_variables_in(channel, manifest, (*path, "channel"), problems)
    _check_variables_in(address, manifest, (*path, "address"), problems)


# Variables and hosts


def _check_templates(manifest: Manifest, component: Component, path: KeyPath, problems: Problems) -> None:
    for name, template in component.variables.items():
        _check_variables_in(template, manifest, (*path, "variables", name), problems)
    defaults = {name: variable.default for name, variable in manifest.variables.items()}
    for index, host in enumerate(component.allowed_outbound_hosts):
        key: KeyPath = (*path, "allowed_outbound_hosts", index)
        if _check_variables_in(host, manifest, key, problems) and (error := host_error(host, defaults)):
            problems.add(
                key,
                f'"{host}" is no allowed host: {error}',
                'Write <scheme>://<host>[:<port>], such as "https://api.example.com" or "*://*:*" for all.',
                host,
            )


def _check_variables_in(template: t.Any, manifest: Manifest, path: KeyPath, problems: Problems) -> bool:
    """Note undeclared variables and unclosed braces in a template; return whether there were none."""
    if not isinstance(template, str):
        return True
    try:
        parts = split_template(template)
    except ValueError as error:
        problems.add(path, f'"{template}": {error}', 'Close it: "{{ variable }}".', template)
        return False
    unknown = [name for is_expression, name in parts if is_expression and name not in manifest.variables]
    for name in unknown:
        near = nearest(name, manifest.variables)
        message = f'the variable "{name}" is not declared in [variables]' + (
            f', did you mean "{near}"?' if near else ""
        )
        problems.add(
            path,
            message,
            f'Write "{{{{ {near} }}}}", or declare it in [variables].'
            if near
            else f"Add {name or 'a name'} = {{ required = true }} to [variables].",
            template,
        )
    return not unknown


# Files


def _check_files(manifest: Manifest, component: Component, path: KeyPath, problems: Problems) -> None:
    folder = manifest.folder
    for index, mount in enumerate(component.files):
        key: KeyPath = (*path, "files", index)
        if isinstance(mount, FilesMount):
            if error := path_error(folder, mount.source):
                problems.add(
                    key,
                    f"source {error}",
                    "Move the files into the folder of the manifest and write their path relative to it.",
                    mount.source,
                )
            if "\0" in mount.destination or is_outside(_normal(mount.destination)):
                problems.add(
                    key,
                    f'destination "{mount.destination}" leaves the root of the guest',
                    'Write a destination without "..".',
                    mount.destination,
                )
            continue
        last = mount.rpartition("/")[2]
        if last in (".", ".."):
            what = "the current folder" if last == "." else "the parent folder"
            next_step = 'Write { source = ".", destination = "/" }, or a pattern that ends in "**/*".'
            problems.add(key, f'the pattern "{mount}" ends in {what} ({last})', next_step, mount)
        elif error := path_error(folder, mount):
            problems.add(
                key, error, "Move the files into the folder of the manifest and write their path relative to it.", mount
            )
        elif not os.path.exists(folder / mount) and (error := pattern_error(mount)):
            problems.add(
                key,
                f'"{mount}" is no valid pattern: {error}',
                'Write a pattern such as "assets/**/*"; a special character is written in brackets: "[[]".',
                mount,
            )
    for index, pattern in enumerate(component.exclude_files):
        if error := pattern_error(pattern):
            next_step = 'Write a pattern such as "secrets/*"; a special character is written in brackets: "[[]".'
            problems.add(
                (*path, "exclude_files", index), f'"{pattern}" is no valid pattern: {error}', next_step, pattern
            )


def _normal(destination: str) -> str:
    return os.path.normpath(destination.lstrip("/"))
