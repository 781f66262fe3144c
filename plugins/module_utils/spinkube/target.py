# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a function on a Kubernetes cluster with SpinKube."""

from __future__ import annotations

from ..function.model import DesiredFunction, Difference, LiveFunction
from .checks import check_manifest, check_name, check_not_of_git, check_objects, desired_objects
from .cluster_function import OPTIONAL_KINDS, ClusterFunction
from .difference import compared
from .function_secret import chosen_secret, planned_secret
from .kinds import SECRET
from .live import live_function
from .objects import FunctionObjects
from .shared_stores import reserve_databases
from .warmth import Warmth

# Imports inside of methods are those that an unchanged function never needs; see function/deploy_function.py.


class ClusterTarget:
    """One function on one cluster; implements `function.Target`."""

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(self, function: ClusterFunction) -> None:
        self._function = function
        self._warmth = Warmth(function)

    def exists(self) -> bool:
        """Also true for what a deletion that was cut off left behind; raises PlatformError where Git owns it."""
        function = self._function
        check_not_of_git(function.app)  # check mode refuses what `delete` would
        return (
            function.app is not None
            or any(True for _owned in function.owned((*OPTIONAL_KINDS, SECRET)))
            or function.canary is not None
        )

    def live(self) -> LiveFunction | None:
        live = self._function.live()
        return self._warmth.described(live) if live else None

    def shim_version(self) -> str:
        from .shim_version import shim_version_of_nodes

        return self._function.settings.shim_version or shim_version_of_nodes(self._function.api)

    def check(self, desired: DesiredFunction) -> list[str]:
        secret_name, _is_new = planned_secret(self._function, desired)
        objects = desired_objects(self._function, desired, secret_name)
        warnings = check_manifest(self._function, desired)
        check_objects(self._function, objects)
        self._warmth.check(desired)
        return warnings

    def difference(self, desired: DesiredFunction) -> Difference:
        secret_name, is_new = planned_secret(self._function, desired)
        objects = desired_objects(self._function, desired, secret_name)
        comparison = compared(self._function, objects)
        if is_new:
            comparison.add_new_secret(desired.variables.secret)
        comparison.add_warm_nodes(*self._warmth.compared(desired))
        return comparison.difference(finished=self._function.record.settings_digest == objects.settings_digest)

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        from .version_change import VersionChange

        with self._function.locked() as lock:
            check_name(self._function)  # again, since the name may have been taken before we had the lock
            reserve_databases(self._function, desired.manifest)
            secret = chosen_secret(self._function, desired)
            objects = desired_objects(self._function, desired, secret.name)
            live = self._only_to_warm(desired, objects) if secret.new is None else None
            live = live or VersionChange(self._function, objects, secret.new).roll_out(lock)
            return self._warmth.after(desired, live)

    def _only_to_warm(self, desired: DesiredFunction, objects: FunctionObjects) -> LiveFunction | None:
        """The live function where only nodes are to be made warm for it, which leaves it asleep if it is."""
        function = self._function
        before, after = self._warmth.compared(desired)
        finished = function.record.settings_digest == objects.settings_digest
        if before == after or compared(function, objects).difference(finished=finished):
            return None
        live = function.live()
        return live if live and live.status in ("ready", "sleeping") else None

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        function = self._function
        live = function.live()
        if function.app is None or live is None:
            raise AssertionError("only called where a function is deployed")
        if live.status not in ("ready", "sleeping") and function.settings.wait:
            from .rollout import wait_for_rollout

            deployment = wait_for_rollout(function.api, function.app, timeout_seconds=function.settings.wait_timeout)
            live = live_function(function.app, deployment)
        return self._warmth.described(live)

    def delete(self) -> None:
        from .removal import remove_function

        with self._function.locked():
            check_name(self._function)
            remove_function(self._function)
