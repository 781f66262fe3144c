# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a function on a Kubernetes cluster with SpinKube."""

from __future__ import annotations

import functools
import json
import secrets
import typing as t

from ..errors import PlatformError
from ..function import Difference, LiveFunction, WantedFunction
from ..probe import HEALTH_PATH, probe
from ..stages import Stages
from .api import KubernetesApi, MissingKind, Object
from .kinds import BY_NAME, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, SECRET, SPIN_APP, Kind
from .lock import DeploymentLock, deployment_lock
from .objects import LAST_GOOD, MANAGED_BY, SETTINGS_DIGEST, SOURCE_DIGEST, URL, function_objects, labels, secret_object
from .rollout import wait_for_rollout
from .settings import ClusterSettings
from .shim_version import shim_version_of_nodes
from .url import function_url

_UNKNOWN_SECRET = "<a new Secret>"  # noqa: S105 (stands in a diff for the name of one)
_OPTIONAL_KINDS = (HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, HORIZONTAL_POD_AUTOSCALER)
_DELETE_TIMEOUT_SECONDS = 60


class ClusterTarget:
    """One function on one cluster; implements `function.Target`."""

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(self, api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings, stages: Stages) -> None:
        self._api = api
        self._stages = stages
        self._namespace = namespace
        self._name = name
        self._settings = settings

    # reading

    @functools.cached_property
    def _spin_app(self) -> Object | None:
        return self._api.get(SPIN_APP, self._namespace, self._name)

    @functools.cached_property
    def _url(self) -> str:
        return function_url(self._api, self._namespace, self._name, self._settings)

    def exists(self) -> bool:
        """Also true for what a deletion that was cut off left behind."""
        return self._spin_app is not None or any(True for _owned in self._owned((*_OPTIONAL_KINDS, SECRET)))

    def live(self) -> LiveFunction | None:
        return live_function(self._spin_app, self._api.get(DEPLOYMENT, self._namespace, self._name)) if self._spin_app else None

    def shim_version(self) -> str:
        return self._settings.shim_version or shim_version_of_nodes(self._api)

    def difference(self, wanted: WantedFunction) -> Difference:
        secret_name, secret_changes = self._secret(wanted)
        objects = self._objects(wanted, secret_name)
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            live = self._spin_app if kind is SPIN_APP else self._api.get(kind, self._namespace, self._name)
            if not wanted.image:
                wanted_object["spec"].update({"image": "<known after the build>"} if kind is SPIN_APP else {})
            _note(before, after, kind, live, wanted_object)
        if secret_changes:
            after["Secret"] = dict.fromkeys(wanted.variables.secret, "<hidden>")
        if before == after and self._last_good().get("settings_digest") != objects[0]["metadata"]["annotations"][SETTINGS_DIGEST]:
            # The last run was cut off after it wrote the objects: nobody saw the function answer yet.
            before["deployment"], after["deployment"] = "unfinished", "finished"
        return Difference(before, after)

    def _objects(self, wanted: WantedFunction, secret_name: str | None) -> list[Object]:
        return function_objects(wanted, self._settings, self._url if wanted.has_http_trigger else "", secret_name)

    def _last_good(self) -> Object:
        annotations = ((self._spin_app or {}).get("metadata") or {}).get("annotations") or {}
        return t.cast(Object, json.loads(annotations.get(LAST_GOOD, "{}")))

    def _secret(self, wanted: WantedFunction) -> tuple[str | None, bool]:
        """The name of the Secret to use, and whether it is yet to be made.

        A running pod keeps the values it started with, so changed values get a Secret of a new name, and with it new pods.
        """
        if not wanted.variables.secret:
            return None, False
        references = _secret_names(self._spin_app)
        if references:
            live = self._api.get(SECRET, self._namespace, references[0])
            if live is not None and (live.get("data") or {}) == _encoded(wanted.variables.secret):
                return references[0], False
        return _UNKNOWN_SECRET, True

    # writing

    def deploy(self, wanted: WantedFunction) -> LiveFunction:
        with deployment_lock(self._api, self._namespace, self._name, timeout_seconds=self._settings.wait_timeout) as lock:
            self.__dict__.pop("_spin_app", None)  # somebody may have deployed while we built
            previous, last_good = self._spin_app, self._last_good()
            secret_name, secret_changes = self._secret(wanted)
            if secret_changes:
                secret_name = f"{self._name}-variables-{secrets.token_hex(4)}"
            objects = self._objects(wanted, secret_name)
            for wanted_object in objects:
                self._require_kind(wanted_object)
            try:
                with self._stages("apply"):
                    if secret_changes and secret_name:
                        self._api.apply(SECRET, secret_object(wanted, secret_name))
                    self._apply(objects, last_good)
                live = self._wait(wanted, objects)
                lock.ensure_held()
            except BaseException as error:  # an interrupt, too, must not leave a half deployed function
                if not lock.lost.is_set():
                    self._undo(error, objects, previous, last_good)
                raise
            with self._stages("apply"):
                self._finish(objects, last_good, lock)
        return live

    def _require_kind(self, wanted_object: Object) -> None:
        """Refuse before anything is written where the cluster lacks a kind."""
        kind = BY_NAME[wanted_object["kind"]]
        if self._api.get(kind, self._namespace, self._name) is None:
            self._api.list(kind, self._namespace, labels=labels(self._name))

    def _apply(self, objects: list[Object], last_good: Object) -> None:
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            self._api.apply(kind, _with_last_good(wanted_object, last_good) if kind is SPIN_APP else wanted_object)

    def _wait(self, wanted: WantedFunction, objects: list[Object]) -> LiveFunction:
        if not self._settings.wait:
            return live_function(self._applied_app(), None)
        with self._stages("rollout"):
            deployment = wait_for_rollout(self._api, objects[0], timeout_seconds=self._settings.wait_timeout)
        if wanted.has_http_trigger:
            with self._stages("probe"):
                self._probe()
        return live_function(self._applied_app(), deployment)

    def _applied_app(self) -> Object:
        app = self._api.get(SPIN_APP, self._namespace, self._name)
        if app is None:
            raise PlatformError("somebody else deleted the function during the deployment.", next_step="run the same command again to have it.")
        return app

    def _probe(self) -> None:
        try:
            probe(
                self._url,
                path=self._settings.probe_path or HEALTH_PATH,
                timeout_seconds=min(self._settings.wait_timeout, 60),
                address=self._settings.probe_address,
            )
        except PlatformError as error:
            if refusal := self._route_refusal():
                cause = f"{error.cause.rstrip('.')}; the Gateway does not take the route: {refusal}."
                raise PlatformError(cause, next_step=_route_advice(refusal), facts=error.facts) from error
            raise

    def _route_refusal(self) -> str:
        """Why the Gateway's controller does not serve the route; empty where it does or has not said."""
        route = self._api.get(HTTP_ROUTE, self._namespace, self._name) or {}
        conditions = [condition for parent in (route.get("status") or {}).get("parents") or [] for condition in parent.get("conditions") or []]
        return "; ".join(f"{condition['reason']}: {condition['message']}" for condition in conditions if condition["status"] == "False")

    def ensure_answers(self, wanted: WantedFunction) -> LiveFunction:
        app = self._spin_app
        if app is None:
            raise AssertionError("only called where a function is deployed")
        deployment = self._api.get(DEPLOYMENT, self._namespace, self._name)
        live = live_function(app, deployment)
        if live.status == "ready" or not self._settings.wait:
            return live
        return live_function(app, wait_for_rollout(self._api, app, timeout_seconds=self._settings.wait_timeout))

    def _finish(self, objects: list[Object], last_good: Object, lock: DeploymentLock) -> None:
        """Remember this state as the good one, and remove what belonged only to earlier ones."""
        lock.ensure_held()
        # Without waiting nobody saw it answer: what did so before stays the state to go back to.
        good_objects = objects if self._settings.wait else last_good.get("objects") or []
        good = {"settings_digest": objects[0]["metadata"]["annotations"][SETTINGS_DIGEST], "objects": good_objects}
        self._api.apply(SPIN_APP, _with_last_good(objects[0], good))
        self._prune(objects, good_objects)

    def _undo(self, error: BaseException, objects: list[Object], previous: Object | None, last_good: Object) -> None:
        """Put the last good objects back, or the SpinApp that somebody else deployed; a function that never was good is removed."""
        restored = last_good.get("objects") or _restorable(previous)
        try:
            if restored:
                self._apply(restored, last_good)
                self._prune(restored)
                outcome = "the previous version was put back"
                if self._settings.wait and isinstance(error, PlatformError):  # who interrupts does not want to wait
                    wait_for_rollout(self._api, restored[0], timeout_seconds=self._settings.wait_timeout)
            else:
                self._remove_all()
                outcome = "nothing of it was left on the cluster"
        except PlatformError as undo_error:
            outcome = f"putting the previous version back did not succeed: {undo_error.cause.rstrip('.')}"
        if isinstance(error, PlatformError):
            error.cause = f"{error.cause.rstrip('.')}; {outcome}."
            error.facts["undone"] = outcome

    def _prune(self, keep: list[Object], *secrets_of: list[Object]) -> None:
        """Delete the function's objects that `keep` does not name, and its Secrets that neither `keep` nor `secrets_of` refer to."""
        kept = {(item["kind"], item["metadata"]["name"]) for item in keep}
        kept |= {("Secret", name) for objects in (keep, *secrets_of) for name in _secret_names(objects[0] if objects else None)}
        for kind, name in self._owned((*_OPTIONAL_KINDS, SECRET)):
            if (kind.kind, name) not in kept:
                self._api.delete(kind, self._namespace, name)

    def _owned(self, kinds: tuple[Kind, ...]) -> t.Iterator[tuple[Kind, str]]:
        for kind in kinds:
            try:
                found = self._api.list(kind, self._namespace, labels=labels(self._name))
            except MissingKind:
                continue  # what the cluster does not know can't be left over
            yield from ((kind, item["metadata"]["name"]) for item in found)

    def delete(self) -> None:
        with deployment_lock(self._api, self._namespace, self._name, timeout_seconds=self._settings.wait_timeout):
            self._remove_all()

    def _remove_all(self) -> None:
        """The route goes first, so that nobody is sent to a function that is going; the operator's objects follow the SpinApp."""
        import tenacity

        for kind, name in self._owned(_OPTIONAL_KINDS):
            self._api.delete(kind, self._namespace, name)
        self._api.delete(SPIN_APP, self._namespace, self._name, owned_first=True)  # by its name, as one that somebody else deployed lacks our labels
        for kind, name in self._owned((SECRET,)):
            self._api.delete(kind, self._namespace, name)

        def give_up(_state: t.Any) -> t.NoReturn:
            raise PlatformError(
                f"the SpinApp {self._namespace}/{self._name} is still there after {_DELETE_TIMEOUT_SECONDS} s.",
                next_step=f"see what holds it: `kubectl get spinapp -n {self._namespace} {self._name} -o yaml` (finalizers).",
            )

        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda app: app is not None),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(_DELETE_TIMEOUT_SECONDS),
            retry_error_callback=give_up,
        )(lambda: self._api.get(SPIN_APP, self._namespace, self._name))


def list_functions(api: KubernetesApi, namespace: str | None) -> list[LiveFunction]:
    """All SpinApps of a namespace (None: of all), also those that somebody else deployed; two calls however many there are."""
    deployments = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in api.list(DEPLOYMENT, namespace)
        if "core.spinkube.dev/app-name" in (item["metadata"].get("labels") or {})
    }
    apps = api.list(SPIN_APP, namespace)
    found = [live_function(app, deployments.get((app["metadata"]["namespace"], app["metadata"]["name"]))) for app in apps]
    return sorted(found, key=lambda function: (function.namespace, function.name))


def live_function(app: Object, deployment: Object | None) -> LiveFunction:
    """What a SpinApp and its Deployment say of the function."""
    metadata, spec = app["metadata"], app["spec"]
    annotations = metadata.get("annotations") or {}
    status, replicas = _status(deployment)
    return LiveFunction(
        name=metadata["name"],
        namespace=metadata["namespace"],
        source_digest=annotations.get(SOURCE_DIGEST, ""),
        image=spec["image"],
        url=annotations.get(URL, ""),
        status=status,
        created=metadata.get("creationTimestamp", ""),
        details={
            "replicas": replicas,
            "ready_replicas": ((deployment or {}).get("status") or {}).get("readyReplicas", 0),
            "autoscaled": bool(spec.get("enableAutoscaling")),
            "executor": spec.get("executor", ""),
            "managed": (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by") == MANAGED_BY["app.kubernetes.io/managed-by"],
        },
    )


def _status(deployment: Object | None) -> tuple[str, int]:
    if deployment is None:
        return "progressing", 0
    wanted = deployment["spec"].get("replicas", 1)
    status = deployment.get("status") or {}
    if wanted == 0:
        return "stopped", 0
    if status.get("availableReplicas", 0) >= wanted and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]:
        return "ready", wanted
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    failed = conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded" or "ReplicaFailure" in conditions
    return ("failed" if failed else "progressing"), wanted


def _route_advice(refusal: str) -> str:
    if "RefNotPermitted" in refusal:
        return (
            "allow it with a ReferenceGrant in the namespace keda, from HTTPRoutes of the function's namespace to Services"
            " (`ansible-playbook site.yml` makes it)."
        )
    return "see that the Gateway has a listener for the host and allows routes from the function's namespace."


def _secret_names(app: Object | None) -> list[str]:
    """The Secrets that a SpinApp's variables come from."""
    variables = ((app or {}).get("spec") or {}).get("variables") or []
    return [variable["valueFrom"]["secretKeyRef"]["name"] for variable in variables if "secretKeyRef" in (variable.get("valueFrom") or {})]


def _restorable(previous: Object | None) -> list[Object]:
    """The SpinApp as it was before us, for an apply; nothing where it was ours and never good, or was not there."""
    if previous is None or SETTINGS_DIGEST in (previous["metadata"].get("annotations") or {}):
        return []
    metadata = {key: previous["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in previous["metadata"]}
    metadata.setdefault("annotations", {})
    return [{"apiVersion": previous["apiVersion"], "kind": previous["kind"], "metadata": metadata, "spec": previous["spec"]}]


def _with_last_good(app: Object, last_good: Object) -> Object:
    annotations = dict(app["metadata"]["annotations"])
    if last_good:
        annotations[LAST_GOOD] = json.dumps(last_good, sort_keys=True, separators=(",", ":"))
    return {**app, "metadata": {**app["metadata"], "annotations": annotations}}


def _note(before: dict[str, t.Any], after: dict[str, t.Any], kind: Kind, live: Object | None, wanted: Object) -> None:
    """Put what we would own of the object into `before` and `after`."""
    shown = {key: wanted[key] for key in ("metadata", "spec")}
    if live is not None:
        before[kind.kind] = _projected(live, shown)
    after[kind.kind] = shown


def _projected(live: t.Any, wanted: t.Any) -> t.Any:
    """`live` without what `wanted` does not mention: the defaults and fields that others own."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        return {key: _projected(live[key], value) for key, value in wanted.items() if key in live}
    if isinstance(live, list) and isinstance(wanted, list) and len(live) == len(wanted):
        return [_projected(one, other) for one, other in zip(live, wanted, strict=True)]
    return live


def _encoded(values: dict[str, str]) -> dict[str, str]:
    import base64

    return {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
