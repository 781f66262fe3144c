# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program on a Kubernetes cluster with containerd-shim-wasmtime: as a Job, or as a Deployment with a Service and
a route."""

from __future__ import annotations

import functools
import typing as t

from ..errors import PlatformError
from ..function.model import Difference, LiveFunction
from ..function.probe import probe
from ..function.stages import Stages
from ..kubernetes.applied import is_applied, without_bookkeeping
from ..spinkube.answers import LONGEST_PROBE_SECONDS
from ..spinkube.api import Forbidden, KubernetesApi
from ..spinkube.difference import projected
from ..spinkube.hosts import check_host_is_free
from ..spinkube.kinds import HTTP_ROUTE, JOB, SPIN_APP, Kind, Object
from ..spinkube.lock import DeploymentLock, deployment_lock
from ..spinkube.objects import PROGRAM
from ..spinkube.removal import delete_and_wait
from ..spinkube.route_status import ensure_served
from ..spinkube.undo import undone_on_error
from ..spinkube.url import FunctionAddress, function_address
from .kinds import BY_NAME, RUNTIME_CLASS, WORKLOADS
from .live import job_status, live_program
from .model import DesiredProgram
from .objects import program_objects, workload_of
from .rollout import NotStarted, last_lines, wait_for_workload
from .settings import ProgramSettings, check_kind

_UNKNOWN_IMAGE = "<known after the build>"


class ClusterProgram:
    """One program on one cluster; implements `model.ProgramTarget`."""

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(
        self, api: KubernetesApi, namespace: str, name: str, settings: ProgramSettings, stages: Stages
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._settings = settings
        self._stages = stages
        self._objects: dict[Kind, Object | None] = {}

    # ---- what is there

    def exists(self) -> bool:
        return any(self._own(kind) is not None for kind in BY_NAME.values())

    def live(self) -> LiveFunction | None:
        return next((live_program(found) for kind in WORKLOADS if (found := self._own(kind)) is not None), None)

    def _get(self, kind: Kind) -> Object | None:
        """The object of a kind that has the program's name; read once."""
        if kind not in self._objects:
            found = self._api.get(kind, self._namespace, self._name)
            self._objects[kind] = None if found is None else {**found, "kind": kind.kind}
        return self._objects[kind]

    def _own(self, kind: Kind) -> Object | None:
        found = self._get(kind)
        return found if found is not None and _is_of_program(found, self._name) else None

    @functools.cached_property
    def _address(self) -> FunctionAddress:
        return function_address(self._api, self._namespace, self._name, self._settings.address)

    def _desired(self, desired: DesiredProgram) -> list[Object]:
        if desired.kind is None:
            raise AssertionError("only called where the kind is known")
        answers = self._settings.listens_at(desired.kind) is not None
        return program_objects(desired, desired.kind, self._settings, self._address if answers else None)

    # ---- before anything is written

    def check(self, desired: DesiredProgram) -> None:
        self._check_name()
        self._check_runtime_class()
        if desired.kind is None:
            return
        check_kind(self._settings, desired.kind)
        for item in self._desired(desired):
            if item["kind"] == HTTP_ROUTE.kind:
                live = self._own(HTTP_ROUTE)
                if live is None or live["spec"].get("hostnames") != item["spec"]["hostnames"]:
                    check_host_is_free(self._api, item, answers=self._answers)

    def _check_name(self) -> None:
        """Raises PlatformError where something else has the program's name."""
        if self._api.get(SPIN_APP, self._namespace, self._name) is not None:
            raise PlatformError(
                f"{self._namespace}/{self._name} is a function.",
                next_step="Choose another name with `-e name=NAME`, or delete the function: `ansible-playbook "
                f"wasmfaas.platform.delete_function -e name={self._name} -e namespace={self._namespace}`.",
            )
        for kind in BY_NAME.values():
            if self._get(kind) is not None and self._own(kind) is None:
                raise PlatformError(
                    f"There is a {kind.kind} {self._namespace}/{self._name} that belongs to no program.",
                    next_step="Choose another name with `-e name=NAME`.",
                )

    def _check_runtime_class(self) -> None:
        try:
            names = [item["metadata"]["name"] for item in self._api.list_nodes(RUNTIME_CLASS)]
        except Forbidden:
            return  # a tenant; the pods' events tell
        if self._settings.runtime_class not in names:
            raise PlatformError(
                f"The cluster has no RuntimeClass {self._settings.runtime_class}, by which a node runs WASI programs.",
                next_step="Set `wasm_shims_installed: [spin, wasmtime]` in the inventory and run `ansible-playbook "
                "wasmfaas.platform.site`, or name another one with `-e runtime_class=NAME`.",
            )

    def _answers(self) -> bool:
        """Whether somebody answers at the URL of a program that is not there yet."""
        try:
            self._probe(0)
        except PlatformError:
            return False
        return True

    def difference(self, desired: DesiredProgram) -> Difference:
        if desired.kind is None:
            return Difference()
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        objects = self._desired(desired)
        for item in objects:
            live = self._own(BY_NAME[item["kind"]])
            if _is_as_desired(item, live):
                continue
            shown = _shown(item)
            after[item["kind"]] = shown
            if live is not None:
                before[item["kind"]] = projected(live, shown)
                if item["kind"] == JOB.kind and job_status(live) == "failed":
                    before[item["kind"]]["state"], after[item["kind"]]["state"] = "failed", "run again"
                elif before[item["kind"]] == shown:  # somebody else wrote the same, and would own it from now on
                    before[item["kind"]]["state"], after[item["kind"]]["state"] = "of others", "ours"
        for kind in self._leftovers(objects):
            before[kind.kind], after[kind.kind] = "there", "deleted"
        return Difference(before, after)

    def _leftovers(self, objects: list[Object]) -> list[Kind]:
        """The kinds of the program's objects that it is not to have."""
        kept = {item["kind"] for item in objects}
        return [kind for kind in BY_NAME.values() if kind.kind not in kept and self._own(kind) is not None]

    # ---- changes

    def deploy(self, desired: DesiredProgram) -> LiveFunction:
        with self._locked() as lock:
            self.check(desired)
            objects = self._desired(desired)
            kind = BY_NAME[workload_of(objects)["kind"]]
            previous = {item["kind"]: self._own(BY_NAME[item["kind"]]) for item in objects}
            failure: PlatformError | None = None
            with undone_on_error(
                lock,
                lambda error: self._undo(objects, previous, error),
                failed="putting the previous version back did not succeed",
            ):
                with self._stages("apply"):
                    for item in objects:
                        self._apply(item)
                try:
                    self._wait(desired, kind)
                except NotStarted:
                    raise
                except PlatformError as error:
                    if kind is not JOB:
                        raise
                    failure = error  # the program ran, and its Job keeps what it wrote
                lock.ensure_held()
            with self._stages("apply"):
                for leftover in self._leftovers(objects):
                    self._delete(leftover)
            if failure is not None:
                raise failure
            return self._described(kind)

    def ensure_runs(self, desired: DesiredProgram) -> LiveFunction:
        kind = BY_NAME[workload_of(self._desired(desired))["kind"]]
        live = self.live()
        if live is not None and live.status not in ("ready", "succeeded"):
            self._wait(desired, kind)
        return self._described(kind)

    def delete(self) -> None:
        with self._locked():
            for kind in BY_NAME.values():
                if self._own(kind) is not None:
                    self._delete(kind)

    def _locked(self) -> t.ContextManager[DeploymentLock]:
        """Hold the lock of the name, and read again what somebody else may have deployed before we had it."""
        self._objects.clear()
        timeout = self._settings.address.wait_timeout
        return deployment_lock(self._api, self._namespace, self._name, timeout_seconds=timeout)

    def _apply(self, item: Object) -> None:
        kind = BY_NAME[item["kind"]]
        live = self._own(kind)
        if _is_as_desired(item, live):
            return
        if kind is JOB and live is not None:  # its pods cannot be changed
            self._delete(kind)
        self._api.apply(kind, item)

    def _wait(self, desired: DesiredProgram, kind: Kind) -> None:
        address = self._settings.address
        if not address.wait:
            return
        with self._stages("run" if kind is JOB else "rollout"):
            wait_for_workload(self._api, kind, self._namespace, self._name, timeout_seconds=address.wait_timeout)
        if desired.kind is not None and self._settings.listens_at(desired.kind) is not None:
            with self._stages("probe"):
                self._ensure_answers()

    def _ensure_answers(self) -> None:
        address = self._settings.address
        try:
            self._probe(min(address.wait_timeout, LONGEST_PROBE_SECONDS))
        except PlatformError as error:
            route = self._api.get(HTTP_ROUTE, self._namespace, self._name)
            ensure_served(route, address.gateway_namespace, error)
            raise

    def _probe(self, timeout_seconds: float) -> None:
        address = self._settings.address
        probe(
            self._address.url,
            path=address.probe_path or "/",
            timeout_seconds=timeout_seconds,
            address=address.probe_address,
            ca_file=address.probe_ca_file,
        )

    def _described(self, kind: Kind) -> LiveFunction:
        self._objects.clear()
        workload = self._own(kind)
        if workload is None:
            raise PlatformError(
                "Somebody else deleted the program during the deployment.",
                next_step="Run the same command again to have it.",
            )
        live = live_program(workload)
        if kind is JOB:
            live.details["output"] = last_lines(self._api, workload)
        return live

    def _undo(self, objects: list[Object], previous: dict[str, Object | None], error: BaseException) -> str:
        """Put back what was there; delete what was not."""
        restored = False
        for item in reversed(objects):
            kind, before = BY_NAME[item["kind"]], previous[item["kind"]]
            if before is None or kind is JOB:
                self._delete(kind)
            else:
                self._api.apply(kind, _to_apply(before))
                restored = restored or kind in WORKLOADS
        if not restored:
            return "nothing of it was left on the cluster"
        address = self._settings.address
        if address.wait and isinstance(error, PlatformError):  # whoever interrupts does not want to wait
            kind = BY_NAME[workload_of(objects)["kind"]]
            wait_for_workload(self._api, kind, self._namespace, self._name, timeout_seconds=address.wait_timeout)
        return "the previous version was put back"

    def _delete(self, kind: Kind) -> None:
        """Delete an object of the program and its pods, and wait until it is gone."""
        delete_and_wait(self._api, kind, self._namespace, self._name, owned_first=kind in WORKLOADS)
        self._objects[kind] = None


def _is_of_program(found: Object, name: str) -> bool:
    return (found["metadata"].get("labels") or {}).get(PROGRAM) == name


def _is_as_desired(item: Object, live: Object | None) -> bool:
    """Whether nothing has to be done about an object; a Job that failed is run again."""
    failed = item["kind"] == JOB.kind and live is not None and job_status(live) == "failed"
    return is_applied(item, live) and not failed


def _shown(item: Object) -> Object:
    """An object as a difference shows it."""
    bare = without_bookkeeping(item)
    shown: Object = {key: bare[key] for key in ("metadata", "spec")}
    template = shown["spec"].get("template")
    if template and not template["spec"]["containers"][0]["image"]:
        containers = [{**container, "image": _UNKNOWN_IMAGE} for container in template["spec"]["containers"]]
        shown["spec"] = {
            **shown["spec"], "template": {**template, "spec": {**template["spec"], "containers": containers}}
        }  # fmt: skip
    return shown


def _to_apply(live: Object) -> Object:
    """A live object as one to be applied, to be what it was."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations")}
    # Written by the Deployment's controller.
    metadata["annotations"] = {
        name: value
        for name, value in metadata["annotations"].items()
        if not name.startswith("deployment.kubernetes.io/")
    }
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": live["spec"]}
