# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a version of a function beside the one that answers, and gives it a weight."""

from __future__ import annotations

import dataclasses

from ..errors import PlatformError
from ..function.model import DesiredFunction, Difference, LiveFunction
from .canary import canary_objects, check_canary, check_shared_route, function_of, with_canary
from .canary_change import CanaryChange
from .checks import check_manifest, check_no_program, check_objects, desired_objects
from .cluster_function import ClusterFunction
from .difference import Comparison
from .function_secret import chosen_secret, planned_secret
from .kinds import BY_NAME, DEPLOYMENT, HTTP_ROUTE, SPIN_APP, Object
from .live import live_function
from .objects import FunctionObjects
from .rollout import wait_for_rollout
from .shared_stores import reserve_databases, settings_with_stores
from .target import ClusterTarget
from .version_record import VersionRecord


class CanaryTarget:
    """The canary of one function; implements `function.Target`.

    What the function runs already needs no canary: after a promotion the same options change nothing.

    Args:
        weight: the canary's share of the requests, in percent.
    """

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(self, function: ClusterFunction, weight: int) -> None:
        check_canary(function.name, weight, wait=function.settings.wait)
        self._function = function
        self._target = ClusterTarget(function)
        self._weight = weight

    def exists(self) -> bool:
        return self._target.exists()

    def shim_version(self) -> str:
        return self._target.shim_version()

    def live(self) -> LiveFunction | None:
        function = self._function
        if function.app is None:
            raise PlatformError(
                f"canary: there is no function {function.namespace}/{function.name} yet that this could be a canary "
                "of.",
                next_step="Deploy it without `canary`.",
            )
        return self._target.live() if function.canary is None else self._live_canary(function.canary)

    def _live_canary(self, canary: Object) -> LiveFunction:
        """The canary under the name and at the URL of its function."""
        function = self._function
        found = live_function(canary, function.api.get(DEPLOYMENT, function.namespace, function.canary_name))
        return dataclasses.replace(
            found,
            name=function.name,
            url=live_function(function.app, None).url if function.app else "",
            details={**found.details, "canary_weight": VersionRecord.of(canary).weight},
        )

    def check(self, desired: DesiredFunction) -> list[str]:
        secret_name, _is_new = planned_secret(self._function, desired)
        objects = desired_objects(self._function, desired, secret_name)
        warnings = check_manifest(self._function, desired)
        self._check(objects)
        return warnings

    def _check(self, promoted: FunctionObjects) -> None:
        """Check that the function could become these objects, and that both versions can share its route."""
        function = self._function
        if function.record.good is None:
            raise PlatformError(
                f"canary: {function.namespace}/{function.name} was not deployed by this collection, or nobody saw it "
                "answer.",
                next_step="Deploy it without `canary` first.",
            )
        check_shared_route(function.name, function.get(HTTP_ROUTE), promoted.route)
        check_objects(function, promoted)
        other = function.api.get(SPIN_APP, function.namespace, function.canary_name)
        if other is not None and function_of(other) != function.name:
            raise PlatformError(
                f"canary: there is another function {function.namespace}/{function.canary_name}, and this is the "
                "name of the canary.",
                next_step="Deploy without `canary`, or delete that function.",
            )
        if other is None:
            check_no_program(function.api, function.namespace, function.canary_name)

    def difference(self, desired: DesiredFunction) -> Difference:
        function = self._function
        if function.canary is None and not (of_the_function := self._target.difference(desired)):
            return of_the_function
        secret_name, is_new = planned_secret(function, desired)
        promoted = desired_objects(function, desired, secret_name)
        settings = settings_with_stores(function, desired.manifest)
        objects = canary_objects(desired, settings, self._weight, promoted, secret_name)
        comparison = Comparison()
        for item in objects:
            kind = BY_NAME[item["kind"]]
            comparison.add(kind, function.api.get(kind, function.namespace, item["metadata"]["name"]), item)
        if promoted.route is not None:
            comparison.add(HTTP_ROUTE, function.get(HTTP_ROUTE), with_canary(promoted.route, self._weight))
        if is_new:
            comparison.add_new_secret(desired.variables.secret)
        return comparison.difference(finished=function.canary_record.settings_digest == objects.settings_digest)

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        function = self._function
        with function.locked() as lock:
            reserve_databases(function, desired.manifest)
            secret = chosen_secret(function, desired)
            promoted = desired_objects(function, desired, secret.name)
            self._check(promoted)
            settings = settings_with_stores(function, desired.manifest)
            objects = canary_objects(desired, settings, self._weight, promoted, secret.name)
            CanaryChange(function, objects, promoted, self._weight, secret.new).roll_out(lock)
            return self._live_canary(function.canary or objects.app)

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        function = self._function
        if function.canary is None:
            return self._target.ensure_answers(desired)
        if self._live_canary(function.canary).status != "ready":
            wait_for_rollout(function.api, function.canary, timeout_seconds=function.settings.wait_timeout)
        return self._live_canary(function.canary)

    def delete(self) -> None:
        self._target.delete()
