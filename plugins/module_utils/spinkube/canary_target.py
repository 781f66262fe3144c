# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a version of a function beside the one that answers, and gives it a share of the requests."""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from ..function.model import Difference, LiveFunction, WantedFunction
from ..function.stages import Stages
from .api import KubernetesApi, Object
from .canary import canary_name, canary_objects, check_canary, check_shares, function_of, share, with_canary
from .kinds import BY_NAME, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, SECRET, SPIN_APP
from .objects import route_of, settings_digest
from .rollout import wait_for_rollout
from .settings import ClusterSettings
from .target import ClusterTarget, _add_outcome, _note, live_function
from .versions import last_good, with_last_good


class CanaryTarget(ClusterTarget):
    """The canary of one function; implements `function.Target`. The function's own SpinApp is never written here.

    What the function runs already needs no canary: the same options again, after they were promoted, change nothing.
    """

    def __init__(
        self, api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings, stages: Stages, percent: int
    ) -> None:
        super().__init__(api, namespace, name, settings, stages)
        check_canary(name, percent, wait=settings.wait)
        self._percent = percent

    # reading

    def live(self) -> LiveFunction | None:
        if self._spin_app is None:
            raise PlatformError(
                f"canary: there is no function {self._namespace}/{self._name} yet that this could be a canary of.",
                next_step="deploy it without `canary`.",
            )
        if self._canary is None:
            return super().live()
        return self._live_canary(self._canary)

    def _live_canary(self, canary: Object) -> LiveFunction:
        """The canary, at the URL of its function."""
        found = live_function(canary, self._api.get(DEPLOYMENT, self._namespace, canary_name(self._name)))
        return LiveFunction(
            name=self._name,
            namespace=self._namespace,
            source_digest=found.source_digest,
            image=found.image,
            url=live_function(self._spin_app, None).url if self._spin_app else "",
            status=found.status,
            created=found.created,
            details={**found.details, "canary_percent": share(canary)},
        )

    def check(self, wanted: WantedFunction) -> None:
        self._check(self._objects(wanted, self._secret(wanted)[0]))

    def _check(self, objects: list[Object]) -> None:
        """As for the function, and that both can share its route; `objects` are those to be promoted one day."""
        if not last_good(self._spin_app).get("objects"):
            raise PlatformError(
                f"canary: {self._namespace}/{self._name} was not deployed by this collection, or nobody saw it answer.",
                next_step="deploy it without `canary` first.",
            )
        check_shares(self._name, self._api.get(HTTP_ROUTE, self._namespace, self._name), route_of(objects))
        super()._check(objects)
        other = self._api.get(SPIN_APP, self._namespace, canary_name(self._name))
        if other is not None and function_of(other) != self._name:
            raise PlatformError(
                f"canary: there is another function {self._namespace}/{canary_name(self._name)}, and this is the "
                "name of the canary.",
                next_step="deploy without `canary`, or delete that function.",
            )

    def difference(self, wanted: WantedFunction) -> Difference:
        if self._canary is None and not (of_the_function := super().difference(wanted)):
            return of_the_function
        secret_name, secret_changes = self._secret(wanted)
        promoted = self._objects(wanted, secret_name)
        objects = canary_objects(wanted, self._settings, self._percent, promoted, secret_name)
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            _note(
                before,
                after,
                kind,
                self._api.get(kind, self._namespace, wanted_object["metadata"]["name"]),
                wanted_object,
            )
        if route := route_of(promoted):
            _note(
                before,
                after,
                HTTP_ROUTE,
                self._api.get(HTTP_ROUTE, self._namespace, self._name),
                with_canary(route, self._percent),
            )
        if secret_changes:
            after["Secret"] = dict.fromkeys(wanted.variables.secret, "<hidden>")
        if before == after and last_good(self._canary).get("settings_digest") != settings_digest(objects):
            before["deployment"], after["deployment"] = "unfinished", "finished"
        return Difference(before, after)

    # writing

    def deploy(self, wanted: WantedFunction) -> LiveFunction:
        with self._locked() as lock:
            name, secret = self._secret_to_use(wanted)
            promoted = self._objects(wanted, name)
            self._check(promoted)
            route = route_of(promoted)
            if route is None:
                raise AssertionError("checked")
            objects = canary_objects(wanted, self._settings, self._percent, promoted, name)
            good, earlier_share = last_good(self._canary), share(self._canary)
            try:
                with self._stages("apply"):
                    if secret is not None:
                        self._api.apply(SECRET, secret)
                    if self._percent < earlier_share:  # first fewer requests, then fewer replicas
                        self._api.apply(HTTP_ROUTE, with_canary(route, self._percent))
                    self._apply_canary(objects, good)
                with self._stages("rollout"):
                    wait_for_rollout(self._api, objects[0], timeout_seconds=self._settings.wait_timeout)
                with self._stages("apply"):
                    self._api.apply(HTTP_ROUTE, with_canary(route, self._percent))
                with self._stages("probe"):
                    self._probe_or_explain(promoted)
                lock.ensure_held()
            except BaseException as error:
                if not lock.lost.is_set():
                    self._undo_canary(error, route, good, earlier_share)
                raise
            with self._stages("apply"):
                good = {
                    "settings_digest": settings_digest(objects),
                    "objects": objects,
                    "percent": self._percent,
                    "promotes": promoted,
                }
                self._apply_canary(objects, good)
                self._forget()
                self._prune_all()
            return self._live_canary(self._canary or objects[0])

    def ensure_answers(self, wanted: WantedFunction) -> LiveFunction:
        if self._canary is None:
            return super().ensure_answers(wanted)
        live = self._live_canary(self._canary)
        if live.status != "ready":
            wait_for_rollout(self._api, self._canary, timeout_seconds=self._settings.wait_timeout)
        return self._live_canary(self._canary)

    def _apply_canary(self, objects: list[Object], good: Object) -> None:
        for wanted_object in objects:
            kind = BY_NAME[wanted_object["kind"]]
            self._api.apply(kind, with_last_good(wanted_object, good) if kind is SPIN_APP else wanted_object)

    def _prune_all(self) -> None:
        """Remove what neither the function nor its canary has."""
        good = last_good(self._spin_app)
        self._prune(good["objects"], [self._spin_app] if self._spin_app else [])
        kept = [
            item["metadata"]["name"]
            for item in last_good(self._canary).get("objects") or []
            if item["kind"] == HORIZONTAL_POD_AUTOSCALER.kind
        ]
        for kind, name in self._owned((HORIZONTAL_POD_AUTOSCALER,), canary_name(self._name)):
            if name not in kept:
                self._api.delete(kind, self._namespace, name)

    def _undo_canary(self, error: BaseException, route: Object, good: Object, earlier_share: int) -> None:
        """Give the requests back first; then the canary that was there before comes back, or none is left."""
        outcome = "the function itself was not touched, and "
        try:
            live_route = self._api.get(HTTP_ROUTE, self._namespace, self._name)
            had_requests = live_route is not None and len(live_route["spec"]["rules"][0].get("backendRefs") or []) > 1
            if had_requests:
                self._api.apply(HTTP_ROUTE, with_canary(route, earlier_share))
            if good:
                self._apply_canary(good["objects"], good)
                outcome += "its earlier canary was put back"
            else:
                if had_requests:
                    self._drain()
                self._remove_canary()
                outcome += "nothing of its canary was left"
            self._forget()
            self._prune_all()
        except PlatformError as undo_error:
            outcome += f"putting back what was before did not succeed: {undo_error.cause.rstrip('.')}"
        _add_outcome(error, outcome)
