# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolls a canary out beside its function, and puts back what was there before where it does not come up."""

from __future__ import annotations

from .answers import ensure_function_answers
from .canary import with_canary, with_idle_canary
from .cluster_function import ClusterFunction
from .kinds import BY_NAME, HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, SECRET, SPIN_APP, Object
from .lock import DeploymentLock
from .objects import FunctionObjects
from .removal import lead_away_from_canary, leads_to_canary, prune, remove_canary
from .rollout import wait_for_rollout
from .route_status import wait_until_requests_follow
from .undo import undone_on_error
from .version_record import Version, VersionRecord


class CanaryChange:
    """The change of a function's canary; the function's own SpinApp is never written.

    Args:
        objects: those of the canary.
        promoted: those that the function consists of once the canary is promoted.
        weight: the canary's share of the requests, in percent.
        secret: a Secret that has to be made for it.
    """

    def __init__(
        self,
        function: ClusterFunction,
        objects: FunctionObjects,
        promoted: FunctionObjects,
        weight: int,
        secret: Object | None,
    ) -> None:
        if promoted.route is None:
            raise AssertionError("check_shared_route refuses a canary without a route")
        self._function = function
        self._objects = objects
        self._promoted = promoted
        self._route = promoted.route
        self._weight = weight
        self._secret = secret
        self._record = function.canary_record

    def roll_out(self, lock: DeploymentLock) -> None:
        """Do it; raises PlatformError where the canary does not come up, after the earlier one is back."""
        function = self._function
        failed = "the function itself was not touched, and putting back what was before did not succeed"
        with undone_on_error(lock, self._undo, failed=failed):
            with function.stages("apply"):
                if self._secret is not None:
                    function.api.apply(SECRET, self._secret)
                if self._weight < self._record.weight:  # first fewer requests, then fewer replicas
                    self._lead(self._weight)
                self._apply(self._objects, self._record)
            with function.stages("rollout"):
                wait_for_rollout(function.api, self._objects.app, timeout_seconds=function.settings.wait_timeout)
            with function.stages("apply"):
                if not leads_to_canary(function):
                    function.api.apply(HTTP_ROUTE, with_idle_canary(self._route))
                    wait_until_requests_follow(function)
                self._lead(self._weight)
            with function.stages("probe"):
                ensure_function_answers(function, self._promoted)
            lock.ensure_held()
        with function.stages("apply"):
            good = Version(self._objects)
            self._apply(
                self._objects,
                VersionRecord(self._objects.settings_digest, good, weight=self._weight, promotes=self._promoted),
            )
            function.forget()
            self._prune()

    def _lead(self, weight: int) -> None:
        self._function.api.apply(HTTP_ROUTE, with_canary(self._route, weight))

    def _apply(self, objects: FunctionObjects, record: VersionRecord) -> None:
        for item in objects:
            kind = BY_NAME[item["kind"]]
            self._function.api.apply(kind, record.written_to(item) if kind is SPIN_APP else item)

    def _prune(self) -> None:
        """Delete what neither the function nor its canary has."""
        function = self._function
        good = function.record.good
        if good is not None:
            prune(function, good.objects, function.app)
        canary = function.canary_record.good
        kept = [item["metadata"]["name"] for item in (canary.objects.scaling if canary else ())]
        for kind, name in function.owned((HORIZONTAL_POD_AUTOSCALER,), by_canary=True):
            if name not in kept:
                function.api.delete(kind, function.namespace, name)

    def _undo(self, _error: BaseException) -> str:
        """Give the requests back first; then put the earlier canary back, or remove it where there was none."""
        function = self._function
        had_requests = leads_to_canary(function)
        if self._record.good:
            if had_requests:
                self._lead(self._record.weight)
            self._apply(self._record.good.objects, self._record)
            outcome = "its earlier canary was put back"
        else:
            if had_requests:
                lead_away_from_canary(function, self._route)
            remove_canary(function)
            outcome = "nothing of its canary was left"
        function.forget()
        self._prune()
        return f"the function itself was not touched, and {outcome}"
