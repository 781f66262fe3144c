# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any objects of the cluster, by server-side apply under our own field manager: what others have set in them stays."""

from __future__ import annotations

import json
import time
import typing as t

from ..errors import PlatformError
from ..host.waiting import wait_for
from .kubectl import FIELD_MANAGER, UNREACHABLE, Completed, Kubectl, NotFound, host_kubectl, problem

SET_BY_SERVER = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink")
COMMAND_SECONDS = 120
DEFINITION_SECONDS = 20.0
"""How long a kind may take to be served after its CustomResourceDefinition was applied."""
SECRET_FIELDS = ("data", "stringData")

Object = dict[str, t.Any]


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_objects`: its options to its result."""
    objects = parameters["objects"]
    hidden.update(_secret_texts(objects))
    kubectl = host_kubectl(parameters["k3s_program"], seconds=COMMAND_SECONDS)
    return Objects(kubectl, force_conflicts=parameters["force_conflicts"]).reconcile(objects, state=parameters["state"], check_mode=check_mode)


class Objects:
    """Objects of one cluster. `force_conflicts`: whether fields that another manager set otherwise become ours."""

    def __init__(self, kubectl: Kubectl, *, force_conflicts: bool = True, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self._kubectl = kubectl
        self._force_conflicts = force_conflicts
        self._sleep = sleep
        self._definition_seconds = 0.0

    def reconcile(self, objects: list[Object], *, state: str, check_mode: bool) -> dict[str, t.Any]:
        """Apply or delete them in their order; the module's result.

        Raises:
            PlatformError: an object is incomplete or twice in the list, or the API refuses one.
        """
        names = [identity(entry) for entry in objects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PlatformError(f"{', '.join(twice)} is listed twice.", next_step="List every object once.")
        if not objects:
            return {"changed": False, "changed_objects": [], "diff": []}
        before = self._live(objects)
        after = self._deleted(objects, before, check_mode) if state == "absent" else self._applied(objects, check_mode)
        pairs = {identity(entry): (before.get(_key(entry)), after.get(_key(entry))) for entry in objects}
        changed = {name: pair for name, pair in pairs.items() if _differ(*pair, check_mode)}
        return {"changed": bool(changed), "changed_objects": list(changed), "diff": [_difference(name, *pair) for name, pair in changed.items()]}

    def _live(self, objects: list[Object]) -> dict[str, Object]:
        """The objects as they are, by `_key`; without those that don't exist."""
        completed = self._kubectl.completed(["get", "-f", "-", "-o", "json", "--ignore-not-found", "--show-managed-fields"], _list(objects))
        if completed.exit_code == 0:
            return _by_key(completed.output)
        found = problem(completed, "read the objects")
        if not isinstance(found, NotFound):
            raise found
        if len(objects) == 1:
            return {}
        # One kind is not defined yet, such as that of a CRD that is applied with its objects; each by itself then.
        return {name: entry for single in objects for name, entry in self._live([single]).items()}

    def _applied(self, objects: list[Object], check_mode: bool) -> dict[str, Object]:
        arguments = ["apply", "--server-side", f"--field-manager={FIELD_MANAGER}", f"--force-conflicts={str(self._force_conflicts).lower()}", "-f", "-"]
        arguments += ["-o", "json", "--show-managed-fields", *(["--dry-run=server"] if check_mode else [])]
        completed = self._kubectl.completed(arguments, _list(objects))
        if completed.exit_code == 0:
            return _by_key(completed.output)
        found = problem(completed, "take the objects")
        if isinstance(found, NotFound) and len(objects) > 1:
            # kubectl looks all kinds up before it applies the first object; one by one, a kind can be defined by an object before.
            self._definition_seconds = DEFINITION_SECONDS if any(entry["kind"] == "CustomResourceDefinition" for entry in objects) else 0
            return {name: entry for single in objects for name, entry in self._applied([single], check_mode).items()}
        if isinstance(found, NotFound) and check_mode:
            # A namespace or kind that an object before it would make is not there in a dry run.
            return {_key(objects[0]): objects[0]}
        if isinstance(found, NotFound) and self._definition_seconds > 0:
            tries: list[Completed] = []

            def applied() -> bool:
                tries[:] = [self._kubectl.completed(arguments, _list(objects))]
                return tries[0].exit_code == 0

            if wait_for(applied, seconds=self._definition_seconds, interval=0.5, sleep=self._sleep):
                return _by_key(tries[0].output)
            found = problem(tries[0], "take the objects")
        if "conflict" in found.cause.lower() and not self._force_conflicts:
            raise type(found)(found.cause, next_step="Leave those fields out, or take them over: force_conflicts: true.")
        if UNREACHABLE.search(found.cause) is None and len(objects) > 1:
            raise type(found)(found.cause, next_step="Correct the object that it names, and run it again; those before it are applied already.")
        raise found

    def _deleted(self, objects: list[Object], before: dict[str, Object], check_mode: bool) -> dict[str, Object]:
        present = [entry for entry in objects if _key(entry) in before]
        if present and not check_mode:
            arguments = ["delete", "-f", "-", "--ignore-not-found", f"--timeout={COMMAND_SECONDS - 10}s"]
            self._kubectl.call(arguments, _list(present[::-1]), what="delete the objects")
        return {}


def identity(entry: Object) -> str:
    """`Kind namespace/name`, or `Kind name`; with the API group, since two groups may have the same kind.

    Raises:
        PlatformError: one of apiVersion, kind and metadata.name is missing.
    """
    metadata = entry.get("metadata") or {}
    if not entry.get("apiVersion") or not entry.get("kind") or not metadata.get("name"):
        raise PlatformError(
            f"An object has no apiVersion, kind or metadata.name: {json.dumps({key: entry.get(key) for key in ('apiVersion', 'kind')})}.",
            next_step="Add what is missing; lists are written as several objects.",
        )
    group = str(entry["apiVersion"]).rpartition("/")[0]
    kind = f"{entry['kind']}.{group}" if group else str(entry["kind"])
    namespace = metadata.get("namespace")
    return f"{kind} {namespace}/{metadata['name']}" if namespace else f"{kind} {metadata['name']}"


def _list(objects: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def _by_key(output: str) -> dict[str, Object]:
    """What kubectl prints for one or several objects."""
    if not output.strip():
        return {}
    decoder, position = json.JSONDecoder(), 0
    found: list[Object] = []
    while position < len(output):
        read, position = decoder.raw_decode(output, position)
        found += read["items"] if str(read.get("kind", "")).endswith("List") and "items" in read else [read]
        while position < len(output) and output[position].isspace():
            position += 1
    return {_key(entry): entry for entry in found}


def _key(entry: Object) -> str:
    """The same for an object as it was given and as it is: kubectl puts what has no namespace into `default`, where its kind has one."""
    metadata = entry.get("metadata") or {}
    return identity({**entry, "metadata": {**metadata, "namespace": metadata.get("namespace") or "default"}})


def _differ(before: Object | None, after: Object | None, check_mode: bool) -> bool:
    if before is None or after is None:
        return before is not after
    if check_mode:
        return _content(before) != _content(after)
    # The API server leaves the version of an object that an apply does not change (kubernetes.io, reference/using-api/server-side-apply).
    return bool(before["metadata"].get("resourceVersion") != after["metadata"].get("resourceVersion"))


def _content(entry: Object) -> Object:
    metadata = {key: value for key, value in entry["metadata"].items() if key not in SET_BY_SERVER}
    return {**entry, "metadata": metadata}


def _difference(name: str, before: Object | None, after: Object | None) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": _shown(before), "after": _shown(after)}


def _shown(entry: Object | None) -> str:
    if entry is None:
        return ""
    content = {key: value for key, value in _content(entry).items() if key != "status"}
    if content.get("kind") == "Secret":
        for field in SECRET_FIELDS:
            if field in content:
                content[field] = dict.fromkeys(content[field] or {}, "(secret)")
        content["metadata"] = {key: value for key, value in content["metadata"].items() if key != "annotations"}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _secret_texts(objects: list[Object]) -> set[str]:
    """The values in Secrets, as they were given."""
    found: set[str] = set()
    for entry in objects:
        if entry.get("kind") == "Secret":
            for field in SECRET_FIELDS:
                found.update(str(value) for value in (entry.get(field) or {}).values() if value not in (None, ""))
    return found
