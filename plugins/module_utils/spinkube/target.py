# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a function on a Kubernetes cluster with SpinKube."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
import typing as t

from ..errors import PlatformError
from ..function.model import Difference, LiveFunction, WantedFunction
from ..function.probe import HEALTH_PATH, probe
from ..function.stages import Stages
from .api import Forbidden, KubernetesApi, MissingKind, Object
from .canary import canary_name, check_shares, function_of, share, with_canary
from .hosts import check_host_is_free
from .kinds import (
    BY_NAME,
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    SCALED_OBJECT,
    SECRET,
    SPIN_APP,
    Kind,
)
from .lock import DeploymentLock, deployment_lock
from .objects import (
    MANAGED_BY,
    SETTINGS_DIGEST,
    SOURCE_DIGEST,
    URL,
    function_objects,
    labels,
    route_of,
    secret_names,
    secret_object,
    settings_digest,
)
from .rollout import wait_for_rollout
from .settings import ClusterSettings
from .shim_version import shim_version_of_nodes
from .stored import in_spelling_of
from .url import FunctionAddress, function_address
from .versions import described, earlier_states, last_good, next_good, with_last_good

_UNKNOWN_SECRET = "<a new Secret>"  # noqa: S105 (stands in a diff for the name of one)
_OPTIONAL_KINDS = (HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, HORIZONTAL_POD_AUTOSCALER)
_DELETE_TIMEOUT_SECONDS = 60
_ROUTE_TIMEOUT_SECONDS = 10.0
_SCALER_TIMEOUT_SECONDS = 20.0
_SCALED_ALREADY = "is already managed by the hpa"
_DRAIN_SECONDS = 3.0
"""How long a backend lives on after it left the route: no condition tells that every proxy knows, and that the requests
in work are answered."""


class ClusterTarget:
    """One function on one cluster; implements `function.Target`."""

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(
        self, api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings, stages: Stages
    ) -> None:
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
    def _canary(self) -> Object | None:
        """The SpinApp of the function's canary."""
        app = self._api.get(SPIN_APP, self._namespace, canary_name(self._name))
        return app if function_of(app) == self._name else None

    @functools.cached_property
    def _address(self) -> FunctionAddress:
        return function_address(self._api, self._namespace, self._name, self._settings)

    def exists(self) -> bool:
        """Also true for what a deletion that was cut off left behind."""
        return (
            self._spin_app is not None
            or any(True for _owned in self._owned((*_OPTIONAL_KINDS, SECRET)))
            or self._canary is not None
        )

    def live(self) -> LiveFunction | None:
        return (
            live_function(self._spin_app, self._api.get(DEPLOYMENT, self._namespace, self._name))
            if self._spin_app
            else None
        )

    def shim_version(self) -> str:
        return self._settings.shim_version or shim_version_of_nodes(self._api)

    def check(self, wanted: WantedFunction) -> None:
        self._check(self._objects(wanted, self._secret(wanted)[0]))

    def difference(self, wanted: WantedFunction) -> Difference:
        secret_name, secret_changes = self._secret(wanted)
        difference = self._difference(self._objects(wanted, secret_name))
        after = {
            **difference.after,
            **({"Secret": dict.fromkeys(wanted.variables.secret, "<hidden>")} if secret_changes else {}),
        }
        return Difference(difference.before, after)

    def _difference(self, objects: list[Object], *, ends_canary: bool = False) -> Difference:
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            live = self._spin_app if kind is SPIN_APP else self._api.get(kind, self._namespace, self._name)
            _note(before, after, kind, live, wanted_object if ends_canary else self._shared(wanted_object))
        if before == after and last_good(self._spin_app).get("settings_digest") != settings_digest(objects):
            # The last run was cut off after it wrote the objects: nobody saw the function answer yet.
            before["deployment"], after["deployment"] = "unfinished", "finished"
        return Difference(before, after)

    def _objects(self, wanted: WantedFunction, secret_name: str | None) -> list[Object]:
        if unknown := [name for name in self._settings.components if name not in wanted.manifest.components]:
            raise PlatformError(
                f"components: {wanted.manifest.path.name} has no component {', '.join(unknown)}, only "
                f"{', '.join(wanted.manifest.components)}.",
                next_step="correct the name, or leave `components` out to have all.",
            )
        address = self._address if wanted.has_http_trigger else FunctionAddress("")
        return function_objects(wanted, self._settings, address.url, secret_name, address.listener)

    def _shared(self, wanted_object: Object) -> Object:
        """The object as it is applied: the route leads to a canary as well while there is one."""
        return (
            with_canary(wanted_object, share(self._canary))
            if wanted_object["kind"] == HTTP_ROUTE.kind
            else wanted_object
        )

    def _secret(self, wanted: WantedFunction) -> tuple[str | None, bool]:
        """The name of the Secret to use, and whether it is yet to be made.

        A running pod keeps the values it started with, so changed values get a Secret of a new name, and with it new
        pods.
        """
        if not wanted.variables.secret:
            return None, False
        for name in dict.fromkeys((*secret_names(self._spin_app)[:1], *secret_names(self._canary)[:1])):
            live = self._api.get(SECRET, self._namespace, name)
            if live is not None and (live.get("data") or {}) == _encoded(wanted.variables.secret):
                return name, False
        return _UNKNOWN_SECRET, True

    def _check(self, objects: list[Object]) -> None:
        """Refuse what can't come to be, before anything is written."""
        self._check_name()
        live_route = None
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            live = self._api.get(kind, self._namespace, self._name)
            if live is None:
                self._api.list(
                    kind, self._namespace, labels=labels(self._name)
                )  # tells where the cluster lacks the kind
            live_route = live if kind is HTTP_ROUTE else live_route
        wanted_kinds = {wanted_object["kind"] for wanted_object in objects}
        for _dropped in self._owned(
            tuple(kind for kind in _OPTIONAL_KINDS if kind.kind not in wanted_kinds and _had(self._spin_app, kind))
        ):
            pass  # what may not even be listed can't be removed afterwards
        route = route_of(objects)
        if self._canary is not None:
            check_shares(self._name, live_route, route)
        if route is not None and (
            live_route is None or live_route["spec"].get("hostnames") != route["spec"]["hostnames"]
        ):
            check_host_is_free(self._api, route, answers=lambda: self._answers(objects))

    def _check_name(self) -> None:
        if function := function_of(self._spin_app):
            raise PlatformError(
                f"{self._namespace}/{self._name} is the canary of the function {function}.",
                next_step=f"choose another name, or end the canary: `ansible-playbook "
                f"wasmfaas.platform.promote_function -e name={function}`, or with `-e undo=true`.",
            )

    def _answers(self, objects: list[Object]) -> bool:
        """Whether somebody answers at the URL of a function that is not there yet."""
        with contextlib.suppress(PlatformError):
            self._probe(objects, timeout_seconds=0)
            return True
        return False

    # writing

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[DeploymentLock]:
        with deployment_lock(
            self._api, self._namespace, self._name, timeout_seconds=self._settings.wait_timeout
        ) as lock:
            self._forget()  # somebody may have deployed while we built
            yield lock

    def _forget(self) -> None:
        """Read anew what was read."""
        for name in ("_spin_app", "_canary"):
            self.__dict__.pop(name, None)

    def deploy(self, wanted: WantedFunction) -> LiveFunction:
        with self._locked() as lock:
            name, secret = self._secret_to_use(wanted)
            return self._roll_out(self._objects(wanted, name), lock, secret)

    def _secret_to_use(self, wanted: WantedFunction) -> tuple[str | None, Object | None]:
        """The name of the Secret with the function's secret variables, and the Secret where it is yet to be made."""
        name, is_new = self._secret(wanted)
        if not is_new:
            return name, None
        name = f"{self._name}-variables-{secrets.token_hex(4)}"
        return name, secret_object(wanted, name)

    def _roll_out(self, objects: list[Object], lock: DeploymentLock, secret: Object | None = None) -> LiveFunction:
        """Make the function these objects, see that it answers, and remember them; else put back what was."""
        previous, good = self._spin_app, last_good(self._spin_app)
        self._check(objects)
        try:
            with self._stages("apply"):
                if secret is not None:
                    self._api.apply(SECRET, secret)
                self._apply(objects, good)
            live = self._wait(objects)
            lock.ensure_held()
        except BaseException as error:  # an interrupt, too, must not leave a half deployed function
            if not lock.lost.is_set():
                self._undo(error, previous, good)
            raise
        with self._stages("apply"):
            self._finish(objects, good, lock)
        return live

    def _apply(self, objects: list[Object], good: Object) -> None:
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            if kind is SCALED_OBJECT:
                self._apply_scaled_object(wanted_object)
            else:
                self._api.apply(
                    kind, with_last_good(wanted_object, good) if kind is SPIN_APP else self._shared(wanted_object)
                )

    def _apply_scaled_object(self, wanted_object: Object) -> None:
        """Apply a ScaledObject; the function's HorizontalPodAutoscaler goes first.

        KEDA's webhook refuses a ScaledObject while an autoscaler of somebody else has the Deployment, and learns of its
        deletion a moment later (KEDA v2.20.2: apis/keda/v1alpha1/scaledobject_webhook.go, verifyHpas).
        """
        import tenacity

        replaced = list(self._owned((HORIZONTAL_POD_AUTOSCALER,)))
        for kind, name in replaced:
            self._api.delete(kind, self._namespace, name)
        tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: bool(replaced) and isinstance(error, PlatformError) and _SCALED_ALREADY in error.cause
            ),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(_SCALER_TIMEOUT_SECONDS),
            reraise=True,
        )(lambda: self._api.apply(SCALED_OBJECT, wanted_object))

    def _wait(self, objects: list[Object]) -> LiveFunction:
        if not self._settings.wait:
            return live_function(self._applied_app(), None)
        with self._stages("rollout"):
            deployment = wait_for_rollout(self._api, objects[0], timeout_seconds=self._settings.wait_timeout)
        if route_of(objects) is not None:
            with self._stages("probe"):
                self._probe_or_explain(objects)
        return live_function(self._applied_app(), deployment)

    def _applied_app(self) -> Object:
        app = self._api.get(SPIN_APP, self._namespace, self._name)
        if app is None:
            raise PlatformError(
                "somebody else deleted the function during the deployment.",
                next_step="run the same command again to have it.",
            )
        return app

    def _probe(self, objects: list[Object], *, timeout_seconds: float) -> None:
        app = objects[0]
        probe(
            app["metadata"]["annotations"][URL],
            path=((app["spec"].get("checks") or {}).get("readiness") or {}).get("httpGet", {}).get("path", HEALTH_PATH),
            timeout_seconds=timeout_seconds,
            address=self._settings.probe_address,
            ca_file=self._settings.probe_ca_file,
        )

    def _probe_or_explain(self, objects: list[Object]) -> None:
        try:
            self._probe(objects, timeout_seconds=min(self._settings.wait_timeout, 60))
        except PlatformError as error:
            route = self._api.get(HTTP_ROUTE, self._namespace, self._name) or {"metadata": {}}
            if not _is_looked_at(route):
                cause = (
                    f"{error.cause.rstrip('.')}; the Gateway's controller has not looked at the route since it "
                    "was written."
                )
                where = self._settings.gateway_namespace
                step = (
                    f"see that it runs: `kubectl get pods -n {where}` (wasmfaas.platform.site makes it as deployment "
                    "traefik), or `ansible-playbook wasmfaas.platform.doctor`;"
                )
                raise PlatformError(
                    cause, next_step=f"{step} then run the same command again.", facts=error.facts
                ) from error
            if refusal := _refusal(route):
                cause = f"{error.cause.rstrip('.')}; the Gateway does not take the route: {refusal}."
                raise PlatformError(cause, next_step=_route_advice(refusal), facts=error.facts) from error
            raise

    def ensure_answers(self, wanted: WantedFunction) -> LiveFunction:
        app = self._spin_app
        if app is None:
            raise AssertionError("only called where a function is deployed")
        deployment = self._api.get(DEPLOYMENT, self._namespace, self._name)
        live = live_function(app, deployment)
        if live.status == "ready" or not self._settings.wait:
            return live
        return live_function(app, wait_for_rollout(self._api, app, timeout_seconds=self._settings.wait_timeout))

    def _finish(self, objects: list[Object], good: Object, lock: DeploymentLock) -> None:
        """Remember this state as the good one, and remove what belonged only to earlier ones."""
        lock.ensure_held()
        next_state = next_good(good, objects, answered=self._settings.wait)
        self._api.apply(SPIN_APP, with_last_good(objects[0], next_state))
        self._prune(objects, next_state["objects"])

    def _undo(self, error: BaseException, previous: Object | None, good: Object) -> None:
        """Put the last good objects back, or the SpinApp that somebody else deployed; a function that never was good is
        removed."""
        restored = good.get("objects") or _restorable(previous)
        try:
            if restored:
                self._apply(restored, good)
                self._prune(restored)
                outcome = "the previous version was put back"
                if self._settings.wait and isinstance(error, PlatformError):  # who interrupts does not want to wait
                    wait_for_rollout(self._api, restored[0], timeout_seconds=self._settings.wait_timeout)
            else:
                self._remove_all()
                outcome = "nothing of it was left on the cluster"
        except PlatformError as undo_error:
            outcome = f"putting the previous version back did not succeed: {undo_error.cause.rstrip('.')}"
        _add_outcome(error, outcome)

    def _prune(self, keep: list[Object], *secrets_of: list[Object]) -> None:
        """Delete the function's objects that `keep` does not name, and its Secrets that neither `keep`, `secrets_of`
        nor the canary refer to."""
        kept = {(item["kind"], item["metadata"]["name"]) for item in keep}
        for objects in (keep, *secrets_of, [self._canary], last_good(self._canary).get("objects") or []):
            kept |= {("Secret", name) for name in secret_names(objects[0] if objects else None)}
        for kind, name in self._owned((*_OPTIONAL_KINDS, SECRET)):
            if (kind.kind, name) not in kept:
                self._api.delete(kind, self._namespace, name)

    def _owned(self, kinds: tuple[Kind, ...], name: str | None = None) -> t.Iterator[tuple[Kind, str]]:
        """The objects of the function, or of its canary's `name`, of these kinds.

        What another object owns goes with that one: KEDA puts the labels of a ScaledObject on the
        HorizontalPodAutoscaler that it makes.
        """
        for kind in kinds:
            try:
                found = self._api.list(kind, self._namespace, labels=labels(name or self._name))
            except MissingKind:
                continue  # what the cluster does not know can't be left over
            except Forbidden:
                if kind not in _OPTIONAL_KINDS or _had(self._canary if name else self._spin_app, kind):
                    raise
                continue  # who writes a kind may list it, which `_check` sees to; so there is nothing of it
            yield from (
                (kind, item["metadata"]["name"]) for item in found if not item["metadata"].get("ownerReferences")
            )

    def _end_canary(self, route: Object) -> None:
        """Lead all requests to the function, and remove its canary once none is on its way there."""
        if self._canary is None:
            return
        with self._stages("apply"):
            self._api.apply(HTTP_ROUTE, route)
        with self._stages("drain"):
            self._drain()
        with self._stages("delete"):
            self._remove_canary()
            self._forget()
            good = last_good(self._spin_app)
            self._prune(good.get("objects") or [], [self._spin_app] if self._spin_app else [])

    def _drain(self) -> None:
        """Wait until the Gateway's controller has taken the route as it is now, and what it sent elsewhere before is
        answered."""
        import tenacity

        def is_taken() -> bool:
            route = self._api.get(HTTP_ROUTE, self._namespace, self._name) or {"metadata": {}}
            parents = (route.get("status") or {}).get("parents") or []
            seen = [
                condition.get("observedGeneration", 0)
                for parent in parents
                for condition in parent.get("conditions") or []
            ]
            return bool(seen) and min(seen) >= route["metadata"].get("generation", 0)

        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda taken: not taken),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(_ROUTE_TIMEOUT_SECONDS),
            retry_error_callback=lambda _state: None,  # some controllers write no generation
        )(is_taken)
        time.sleep(_DRAIN_SECONDS)

    def _remove_canary(self) -> None:
        """Without a look at the route."""
        name = canary_name(self._name)
        for kind, scaler in self._owned((HORIZONTAL_POD_AUTOSCALER,), name):
            self._api.delete(kind, self._namespace, scaler)
        self._remove_app(name)

    def delete(self) -> None:
        with self._locked():
            self._check_name()
            self._remove_all()

    def _remove_all(self) -> None:
        """The route goes first, so that nobody is sent to a function that is going; the operator's objects follow the
        SpinApp."""
        for kind, name in self._owned(_OPTIONAL_KINDS):
            self._api.delete(kind, self._namespace, name)
        if self._canary is not None:
            self._remove_canary()
        self._remove_app(self._name)  # by its name, as one that somebody else deployed lacks our labels
        for kind, name in self._owned((SECRET,)):
            self._api.delete(kind, self._namespace, name)

    def _remove_app(self, name: str) -> None:
        """Delete a SpinApp and wait until nothing of it is left: what comes under its name next must not meet its
        Deployment."""
        import tenacity

        self._api.delete(SPIN_APP, self._namespace, name, owned_first=True)

        def give_up(_state: t.Any) -> t.NoReturn:
            raise PlatformError(
                f"the SpinApp {self._namespace}/{name} is still there after {_DELETE_TIMEOUT_SECONDS} s.",
                next_step=f"see what holds it: `kubectl get spinapp -n {self._namespace} {name} -o yaml` (finalizers).",
            )

        tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda app: app is not None),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(_DELETE_TIMEOUT_SECONDS),
            retry_error_callback=give_up,
        )(lambda: self._api.get(SPIN_APP, self._namespace, name))


def list_functions(api: KubernetesApi, namespace: str | None) -> list[LiveFunction]:
    """All SpinApps of a namespace (None: of all), also those that somebody else deployed, canaries as part of their
    functions; two calls however many."""
    deployments = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in api.list(DEPLOYMENT, namespace)
        if "core.spinkube.dev/app-name" in (item["metadata"].get("labels") or {})
    }
    apps = {(app["metadata"]["namespace"], app["metadata"]["name"]): app for app in api.list(SPIN_APP, namespace)}
    found = []
    for (where, name), app in sorted(apps.items()):
        if (where, function_of(app)) in apps:
            continue
        key = (where, canary_name(name))
        canary = apps.get(key) if function_of(apps.get(key)) == name else None
        found.append(live_function(app, deployments.get((where, name)), canary, deployments.get(key)))
    return found


def live_function(
    app: Object, deployment: Object | None, canary: Object | None = None, canary_deployment: Object | None = None
) -> LiveFunction:
    """What a SpinApp and its Deployment say of the function, and those of its canary."""
    metadata, spec = app["metadata"], app["spec"]
    annotations = metadata.get("annotations") or {}
    status, replicas = _status(deployment)
    of_canary = (
        {"canary": {"percent": share(canary), **_state(canary, canary_deployment)}} if canary is not None else {}
    )
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
            "ready_replicas": _ready(deployment),
            "autoscaled": bool(spec.get("enableAutoscaling")),
            "executor": spec.get("executor", ""),
            "managed": (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by")
            == MANAGED_BY["app.kubernetes.io/managed-by"],
            "earlier": [described(state) for state in earlier_states(app)],
            **of_canary,
        },
    )


def _state(app: Object, deployment: Object | None) -> dict[str, t.Any]:
    image = str(app["spec"]["image"])
    status, replicas = _status(deployment)
    return {
        "image": image,
        "digest": image.partition("@")[2],
        "status": status,
        "replicas": replicas,
        "ready_replicas": _ready(deployment),
    }


def _ready(deployment: Object | None) -> int:
    return int(((deployment or {}).get("status") or {}).get("readyReplicas", 0))


def _status(deployment: Object | None) -> tuple[str, int]:
    if deployment is None:
        return "progressing", 0
    wanted = deployment["spec"].get("replicas", 1)
    status = deployment.get("status") or {}
    if wanted == 0:
        return "stopped", 0
    if (
        status.get("availableReplicas", 0) >= wanted
        and status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    ):
        return "ready", wanted
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    failed = (
        conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded" or "ReplicaFailure" in conditions
    )
    return ("failed" if failed else "progressing"), wanted


def _conditions(route: Object) -> list[Object]:
    """What the Gateway's controller says of an HTTPRoute."""
    return [
        condition
        for parent in (route.get("status") or {}).get("parents") or []
        for condition in parent.get("conditions") or []
    ]


def _is_looked_at(route: Object) -> bool:
    """Whether the Gateway's controller has seen an HTTPRoute as it is now. Some write no generation: then its having
    said anything counts."""
    seen = [condition.get("observedGeneration", 0) for condition in _conditions(route)]
    return bool(seen) and (max(seen) == 0 or max(seen) >= route["metadata"].get("generation", 0))


def _refusal(route: Object) -> str:
    """Why the Gateway's controller does not serve an HTTPRoute; empty where it does."""
    return "; ".join(
        f"{condition['reason']}: {condition['message']}"
        for condition in _conditions(route)
        if condition["status"] == "False"
    )


def _had(app: Object | None, kind: Kind) -> bool:
    """Whether a function, when it was last seen to answer, had an object of a kind."""
    return any(item["kind"] == kind.kind for item in last_good(app).get("objects") or [])


def _route_advice(refusal: str) -> str:
    if "RefNotPermitted" in refusal:
        return (
            "allow it with a ReferenceGrant in the namespace keda, from HTTPRoutes of the function's namespace to "
            "Services"
            " (`ansible-playbook wasmfaas.platform.site` makes it)."
        )
    return "see that the Gateway has a listener for the host and allows routes from the function's namespace."


def _restorable(previous: Object | None) -> list[Object]:
    """The SpinApp as it was before us, for an apply; nothing where it was ours and never good, or was not there."""
    if previous is None or SETTINGS_DIGEST in (previous["metadata"].get("annotations") or {}):
        return []
    metadata = {
        key: previous["metadata"][key]
        for key in ("name", "namespace", "labels", "annotations")
        if key in previous["metadata"]
    }
    metadata.setdefault("annotations", {})
    return [
        {"apiVersion": previous["apiVersion"], "kind": previous["kind"], "metadata": metadata, "spec": previous["spec"]}
    ]


def _add_outcome(error: BaseException, outcome: str) -> None:
    """Tell in an error what was made of what it left."""
    if isinstance(error, PlatformError):
        error.cause = f"{error.cause.rstrip('.')}; {outcome}."
        error.facts["undone"] = outcome


def _note(before: dict[str, t.Any], after: dict[str, t.Any], kind: Kind, live: Object | None, wanted: Object) -> None:
    """Put what we would own of the object into `before` and `after`."""
    shown = {key: wanted[key] for key in ("metadata", "spec")}
    if not shown["spec"].get("image", True):
        shown["spec"] = {**shown["spec"], "image": "<known after the build>"}
    if live is not None:
        before[kind.kind] = _projected(in_spelling_of(live, shown) if kind is SPIN_APP else live, shown)
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
