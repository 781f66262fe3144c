# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the triggers of a manifest: their components, routes, executors and channels."""

from __future__ import annotations

from .location import KeyPath
from .model import Manifest, Trigger
from .names import nearest
from .problems import Problems
from .routes import route_error, route_key
from .tables import Table, type_name
from .variable_uses import check_variables_in

_HTTP_KEYS = ("id", "component", "components", "dependencies", "route", "executor", "static_response")
_REDIS_KEYS = ("id", "component", "components", "dependencies", "channel", "address")
# "spin" is an old name of "http"; only Spin 3.5 and 3.6 know "wasip3-unstable".
_EXECUTORS = ("http", "spin", "wagi", "wasip3-unstable")


def check_triggers(manifest: Manifest, problems: Problems) -> None:
    """Note what is wrong with the triggers."""
    _check_http_settings(manifest, problems)
    redis = manifest.trigger_settings.get("redis", {})
    check_variables_in(redis.get("address"), manifest, ("application", "trigger", "redis", "address"), problems)
    positions: dict[str, int] = {}
    routes: dict[str, Trigger] = {}
    for trigger in manifest.triggers:
        path: KeyPath = ("trigger", trigger.type, positions.get(trigger.type, 0))
        positions[trigger.type] = positions.get(trigger.type, 0) + 1
        if trigger.component and trigger.component not in manifest.components:
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
        if trigger.component:
            message = "excludes component: the trigger either calls a component or gives a fixed response"
            problems.add((*path, "static_response"), message, "Remove static_response.")
        _check_static_response(table.table("static_response"))
    if "executor" in table.data:
        executor = table.table("executor")
        kind = executor.text("type", required=isinstance(table.data["executor"], dict), example='type = "http"')
        if kind is not None and kind not in _EXECUTORS:
            problems.add(
                (*executor.path, "type"), f'unknown executor "{kind}"', f"Write one of {', '.join(_EXECUTORS)}."
            )
        executor.refuse_unknown(("type", "argv", "entrypoint") if kind == "wagi" else ("type",))
        executor.text("argv")
        if executor.text("entrypoint") not in (None, "_start"):
            message = "is no longer supported; Spin calls what the component exports as wasi:cli/run"
            problems.add((*executor.path, "entrypoint"), message, "Remove entrypoint.")


def _check_static_response(response: Table) -> None:
    response.text("body")
    response.text_map("headers")
    status = response.data.get("status_code", 200)
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 999:
        response.problems.add(
            (*response.path, "status_code"), "must be a number from 100 to 999", "Write one such as status_code = 404."
        )


def _check_duplicate(trigger: Trigger, path: KeyPath, routes: dict[str, Trigger], problems: Problems) -> None:
    route = trigger.settings.get("route")
    if not isinstance(route, str):
        return
    other = routes.setdefault(route_key(route), trigger)
    if other is trigger:
        return
    alike = "" if other.settings["route"] == route else f' (there written "{other.settings["route"]}")'
    message = f'the route "{route}" of {_named(trigger)} is also that of {_named(other)}{alike}'
    problems.add((*path, "route"), message, "Give each trigger a route of its own; Spin would call only one of them.")


def _named(trigger: Trigger) -> str:
    return f'trigger "{trigger.id}"' + (f' (component "{trigger.component}")' if trigger.component else "")


def _check_redis_trigger(manifest: Manifest, trigger: Trigger, path: KeyPath, problems: Problems) -> None:
    table = Table(trigger.settings, path, problems)
    table.refuse_unknown(_REDIS_KEYS)
    channel = table.text("channel", required=True, example='channel = "…"')
    address = table.text("address")
    if address is None and "address" not in manifest.trigger_settings.get("redis", {}):
        problems.add(
            path, "no Redis server is given", 'Add address = "redis://…" here or in [application.trigger.redis].'
        )
    check_variables_in(channel, manifest, (*path, "channel"), problems)
    check_variables_in(address, manifest, (*path, "address"), problems)
