# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any objects of the cluster, by server-side apply under our own field manager.

What others have set in them stays. Unchanged objects are only read.
"""

from __future__ import annotations

import json
import re
import time
import typing as t

from ..errors import PlatformError
from ..host.waiting import wait_for
from .applied import SET_BY_SERVER, Object, is_applied, prepared, without_bookkeeping
from .kubectl import (
    FIELD_MANAGER,
    UNREACHABLE,
    ApiProblem,
    Completed,
    Kubectl,
    NotFound,
    Unreachable,
    host_kubectl,
    problem,
)

COMMAND_SECONDS = 120
DEFINITION_SECONDS = 20.0
"""How long a kind may take to be served after its CustomResourceDefinition was applied."""
DELETION_SECONDS = 300.0
SECRET_FIELDS = ("data", "stringData")
KEPT_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
"""Never deleted, whatever is asked for: the cluster depends on them."""
MISSING = re.compile(
    r'namespaces "(?P<namespace>[^"]+)" not found'
    r'|no matches for kind "(?P<kind>[^"]+)" in version "(?P<version>[^"]+)"'
)
"""What the API server (NamespaceLifecycle) and kubectl say of an object whose namespace or kind is not there."""
WEBHOOK = re.compile(r"failed calling webhook|failed to call webhook|conversion webhook for", re.IGNORECASE)


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_objects`: its options to its result."""
    objects = parameters["objects"]
    hidden.update(secret_texts(objects))
    kubectl = host_kubectl(parameters["k3s_binary"], command=parameters.get("kubectl") or (), seconds=COMMAND_SECONDS)
    return Objects(kubectl, force_conflicts=parameters["force_conflicts"]).reconcile(
        objects, state=parameters["state"], check_mode=check_mode
    )


class Objects:
    """Objects of one cluster.

    Args:
        force_conflicts: whether fields that another manager set otherwise become ours.
        webhook_seconds: after charts: how long a webhook that does not answer is asked again; kinds that are not served
            yet are waited for too.
        show: what a difference shows of an object, for kinds that would fill the screen.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        *,
        force_conflicts: bool = True,
        webhook_seconds: float = 0.0,
        deletion_seconds: float = DELETION_SECONDS,
        show: t.Callable[[Object], Object] = dict,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._kubectl = kubectl
        self._force_conflicts = force_conflicts
        self._webhook_seconds = webhook_seconds
        self._deletion_seconds = deletion_seconds
        self._show = show
        self._sleep = sleep

    def reconcile(
        self, objects: list[Object], *, state: str, check_mode: bool, before: dict[str, Object] | None = None
    ) -> dict[str, t.Any]:
        """Apply or delete them in their order; the module's result. Kinds that are defined among them come first.
        `before`: what `known` gave for them.

        Raises:
            PlatformError: an object is incomplete or twice in the list, or the API refuses one.
        """
        names = [identity(entry) for entry in objects]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise PlatformError(f"{', '.join(twice)} is listed twice.", next_step="List every object once.")
        if not objects:
            return result({}, {}, [])
        before = self.live(objects) if before is None else before
        if state == "absent":
            self._delete(objects, before, check_mode)
            kept = {key: entry for key, entry in before.items() if _kept(entry)}
            return result(before, kept, objects, self._show)
        return result(before, {**before, **self.apply(objects, before, check_mode=check_mode)}, objects, self._show)

    def live(self, objects: list[Object]) -> dict[str, Object]:
        """The objects as they are, by `object_key`; without those that do not exist. One request for each, and one
        command if all their kinds are known, else one for each kind."""
        found = self.known(objects)
        if found is not None:
            return found
        # One kind is not defined yet, such as that of a CRD that is applied with its objects.
        kinds: dict[tuple[str, str], list[Object]] = {}
        for entry in objects:
            kinds.setdefault((entry["apiVersion"], entry["kind"]), []).append(entry)
        if len(kinds) == 1:
            return {}
        return {name: entry for same in kinds.values() for name, entry in (self.known(same) or {}).items()}

    def known(self, objects: list[Object]) -> dict[str, Object] | None:
        """As `live`, by one command; None if one of the kinds is not known to the API."""
        if not objects:
            return {}
        completed = self._kubectl.completed(
            ["get", "-f", "-", "-o", "json", "--ignore-not-found", "--show-managed-fields"], _list(objects)
        )
        if completed.exit_code == 0:
            return _read(completed.output)
        found = problem(completed, "read the objects")
        if not isinstance(found, NotFound):
            raise found
        return None

    def apply(self, objects: list[Object], before: dict[str, Object], *, check_mode: bool) -> dict[str, Object]:
        """Apply the objects that differ from `before`. Returns those that were applied, by `object_key`, as they are
        afterwards."""
        desired = [prepared(entry) for entry in objects]
        due = [entry for entry in desired if not is_applied(entry, before.get(object_key(entry)))]
        definitions = [entry for entry in desired if _is_definition(entry)]
        after = self._applied([entry for entry in due if _is_definition(entry)], check_mode, False)
        if definitions and not check_mode:
            self._wait_established(definitions, {**before, **after})
        return {
            **after,
            **self._applied([entry for entry in due if not _is_definition(entry)], check_mode, bool(definitions)),
        }

    def _applied(self, objects: list[Object], check_mode: bool, definitions: bool) -> dict[str, Object]:
        if not objects:
            return {}
        arguments = [
            "apply",
            "--server-side",
            f"--field-manager={FIELD_MANAGER}",
            f"--force-conflicts={str(self._force_conflicts).lower()}",
            "-f",
            "-",
        ]
        arguments += ["-o", "json", "--show-managed-fields", *(["--dry-run=server"] if check_mode else [])]
        completed = self._kubectl.completed(arguments, _list(objects))
        if completed.exit_code == 0:
            return _read(completed.output)
        found = problem(completed, "take the objects")
        absent = isinstance(found, NotFound)
        unanswered = WEBHOOK.search(found.cause) is not None
        if check_mode and absent and (lacking := _lacking(objects, completed.error)):
            others = [entry for entry in objects if entry not in lacking]
            return {**self._applied(others, check_mode, definitions), **_by_key(lacking)}
        if len(objects) > 1 and (absent or (check_mode and unanswered)):
            # One by one, what an object before makes is there; and of a dry run, which object a webhook is asked for.
            return {
                name: entry
                for single in objects
                for name, entry in self._applied([single], check_mode, definitions).items()
            }
        if check_mode and (absent or unanswered):
            # A namespace, kind or webhook that an object before it would make is not there in a dry run.
            return _by_key(objects)
        # After a chart: webhooks may not answer yet, and kinds that it brought may not be served yet.
        patience = (
            self._webhook_seconds
            if unanswered
            else DEFINITION_SECONDS
            if absent and (definitions or self._webhook_seconds)
            else 0.0
        )
        if patience > 0:
            tries: list[Completed] = []

            def applied() -> bool:
                tries[:] = [self._kubectl.completed(arguments, _list(objects))]
                return tries[0].exit_code == 0

            if wait_for(applied, seconds=patience, interval=0.5, sleep=self._sleep):
                return _read(tries[0].output)
            found = problem(tries[0], "take the objects")
        if WEBHOOK.search(found.cause):
            raise type(found)(
                found.cause,
                next_step="See why that webhook does not answer: its pods, and the network from the servers to them. "
                "Then run it again.",
            )
        if "conflict" in found.cause.lower() and not self._force_conflicts:
            raise type(found)(
                found.cause, next_step="Leave those fields out, or take them over: force_conflicts: true."
            )
        if UNREACHABLE.search(found.cause) is None and len(objects) > 1:
            raise type(found)(
                found.cause,
                next_step="Correct the object that it names, and run it again; those before it are applied already.",
            )
        raise found

    def _wait_established(self, definitions: list[Object], known: dict[str, Object]) -> None:
        """Wait until the API serves the kinds, or says why not."""
        waiting = [entry for entry in definitions if not _established(known.get(object_key(entry)))]
        seen = dict(known)

        def served() -> bool:
            seen.update(self.live(waiting))
            waiting[:] = [entry for entry in waiting if not _established(seen.get(object_key(entry)))]
            return not waiting

        if waiting and not wait_for(served, seconds=DEFINITION_SECONDS, interval=0.2, sleep=self._sleep):
            first = waiting[0]["metadata"]["name"]
            conditions = (seen.get(object_key(waiting[0]), {}).get("status") or {}).get("conditions") or []
            said = (
                "; ".join(str(entry.get("message")) for entry in conditions if entry.get("status") == "False")
                or "the API server has not said why"
            )
            raise ApiProblem(
                f"The definition {first} was applied, but its kind is not served: {said}.",
                next_step="Remove what it names, such as another definition of that kind.",
            )

    def _delete(self, objects: list[Object], before: dict[str, Object], check_mode: bool) -> None:
        """Delete, the last one first and namespaces after all else, and wait until they are gone."""
        present = [entry for entry in reversed(objects) if object_key(entry) in before and not _kept(entry)]
        if check_mode:
            return
        for batch in (
            [entry for entry in present if not _is_namespace(entry)],
            [entry for entry in present if _is_namespace(entry)],
        ):
            if batch:
                self._kubectl.call(
                    ["delete", "-f", "-", "--ignore-not-found", "--wait=false"], _list(batch), what="delete the objects"
                )
                self._wait_gone(batch)

    def _wait_gone(self, objects: list[Object]) -> None:
        left: dict[str, Object] = {}

        def gone() -> bool:
            try:
                found = self.live(objects)
            except Unreachable:
                return False
            left.clear()
            # An object that a controller has made anew under the same name is not the one that was deleted.
            left.update({key: entry for key, entry in found.items() if entry["metadata"].get("deletionTimestamp")})
            return not left

        if not wait_for(gone, seconds=self._deletion_seconds, interval=0.2, sleep=self._sleep):
            entry = next(iter(left.values()))
            holders = entry["metadata"].get("finalizers") or (entry.get("spec") or {}).get("finalizers") or []
            conditions = (entry.get("status") or {}).get("conditions") or []
            said = " ".join(str(found.get("message", "")) for found in conditions if found.get("status") == "True")[
                :500
            ]
            cause = (
                f"{identity(entry)} is not gone {self._deletion_seconds:g} s after it was deleted: it waits for "
                f"{', '.join(holders) or 'nobody'}. {said}"
            )
            step = (
                "See that the controller which holds it runs, and run it again; a finalizer whose controller is "
                "gone for good is taken out by hand."
            )
            raise ApiProblem(cause.rstrip(), next_step=step)


def result(
    before: dict[str, Object],
    after: dict[str, Object],
    objects: list[Object],
    show: t.Callable[[Object], Object] = dict,
) -> dict[str, t.Any]:
    """A module's result: `changed`, `changed_objects` and `diff` of `objects`."""
    pairs = {identity(entry): (before.get(object_key(entry)), after.get(object_key(entry))) for entry in objects}
    changed = {name: pair for name, pair in pairs.items() if _differ(*pair)}
    return {
        "changed": bool(changed),
        "changed_objects": list(changed),
        "diff": [_difference(name, *pair, show) for name, pair in changed.items()],
    }


def identity(entry: Object) -> str:
    """`Kind namespace/name`, or `Kind name`; with the API group, since two groups may have the same kind.

    Raises:
        PlatformError: one of apiVersion, kind and metadata.name is missing.
    """
    metadata = entry.get("metadata") or {}
    if not entry.get("apiVersion") or not entry.get("kind") or not metadata.get("name"):
        raise PlatformError(
            "An object has no apiVersion, kind or metadata.name: "
            f"{json.dumps({key: entry.get(key) for key in ('apiVersion', 'kind')})}.",
            next_step="Add what is missing; lists are written as several objects.",
        )
    group = str(entry["apiVersion"]).rpartition("/")[0]
    kind = f"{entry['kind']}.{group}" if group else str(entry["kind"])
    namespace = metadata.get("namespace")
    return f"{kind} {namespace}/{metadata['name']}" if namespace else f"{kind} {metadata['name']}"


def _lacking(objects: list[Object], errors: str) -> list[Object]:
    """The objects that kubectl refused in a dry run only because their namespace or kind is not there; none if it
    cannot be told. kubectl goes on after an object that is refused, and says why for each."""
    said = list(MISSING.finditer(errors))
    namespaces = {match["namespace"] for match in said if match["namespace"]}
    kinds = {(match["version"], match["kind"]) for match in said}
    lacking = [
        entry
        for entry in objects
        if entry["metadata"].get("namespace") in namespaces or (entry["apiVersion"], entry["kind"]) in kinds
    ]
    return lacking if len(lacking) == len(said) else []


def _by_key(objects: list[Object]) -> dict[str, Object]:
    return {object_key(entry): entry for entry in objects}


def _list(objects: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def _read(output: str) -> dict[str, Object]:
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
    return _by_key(found)


def object_key(entry: Object) -> str:
    """The same for an object as it was given and as it is: kubectl puts what has no namespace into `default`, where its
    kind has one."""
    metadata = entry.get("metadata") or {}
    return identity({**entry, "metadata": {**metadata, "namespace": metadata.get("namespace") or "default"}})


def _is_definition(entry: Object) -> bool:
    return bool(entry["kind"] == "CustomResourceDefinition")


def _is_namespace(entry: Object) -> bool:
    return bool(entry["kind"] == "Namespace" and entry["apiVersion"] == "v1")


def _kept(entry: Object) -> bool:
    return _is_namespace(entry) and entry["metadata"]["name"] in KEPT_NAMESPACES


def _established(live: Object | None) -> bool:
    conditions = ((live or {}).get("status") or {}).get("conditions") or []
    return any(entry.get("type") == "Established" and entry.get("status") == "True" for entry in conditions)


def _differ(before: Object | None, after: Object | None) -> bool:
    if before is None or after is None:
        return before is not after
    return _content(before) != _content(after)


def _content(entry: Object) -> Object:
    """An object without the notes of the API server, controllers and this collection: an apply that changes only those
    has changed nothing."""
    bare = without_bookkeeping(entry)
    metadata = {key: value for key, value in bare["metadata"].items() if key not in SET_BY_SERVER}
    return {**{key: value for key, value in bare.items() if key != "status"}, "metadata": metadata}


def _difference(
    name: str, before: Object | None, after: Object | None, show: t.Callable[[Object], Object]
) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": _shown(before, show), "after": _shown(after, show)}


def _shown(entry: Object | None, show: t.Callable[[Object], Object]) -> str:
    if entry is None:
        return ""
    content = show(_content(entry))
    if content.get("kind") == "Secret":
        for field in SECRET_FIELDS:
            if field in content:
                content[field] = dict.fromkeys(content[field] or {}, "(secret)")
        content["metadata"] = {key: value for key, value in content["metadata"].items() if key != "annotations"}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def secret_texts(objects: list[Object]) -> set[str]:
    """The values in Secrets, as the caller gave them."""
    found: set[str] = set()
    for entry in objects:
        if entry.get("kind") == "Secret":
            for field in SECRET_FIELDS:
                found.update(str(value) for value in (entry.get(field) or {}).values() if value not in (None, ""))
    return found
