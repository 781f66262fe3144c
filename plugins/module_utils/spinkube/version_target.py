# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a function to another of its versions: promotes a canary or ends it, or rolls back."""

from __future__ import annotations

import dataclasses

from ..errors import PlatformError
from ..function.model import Difference, LiveFunction
from .checks import check_not_of_git
from .cluster_function import ClusterFunction
from .difference import compared
from .kinds import DEPLOYMENT, SECRET, Object
from .live import live_function
from .objects import FunctionObjects, secret_names
from .removal import end_canary
from .rollback import version_to_roll_back_to, with_current_secret
from .version_change import VersionChange


@dataclasses.dataclass(frozen=True)
class Move:
    """What has to be done.

    Attributes:
        objects: what the function becomes; None where it stays what it is.
        ends_canary: whether its canary is removed.
        unchanged: why nothing has to be done; else empty.
    """

    difference: Difference
    objects: FunctionObjects | None = None
    ends_canary: bool = False
    unchanged: str = ""


class VersionTarget:
    """One function whose version changes without its source."""

    def __init__(self, function: ClusterFunction) -> None:
        self._function = function

    def plan(self, state: str, to: str | None) -> Move:
        """Find out what has to be done.

        Args:
            state: `promoted`, `undone`, or `rolled_back`.
            to: digest of the artifact to roll back to; None for the version before.

        Raises:
            PlatformError: there is no such function or version, or the canary never came up.
        """
        function = self._function
        if function.app is None:
            raise PlatformError(
                f"There is no function {function.namespace}/{function.name}.",
                next_step="See `ansible-playbook wasmfaas.platform.list_functions` for those there are, or give `-e "
                "namespace=NAMESPACE`.",
            )
        check_not_of_git(function.app)
        if state == "rolled_back":
            return self._plan_rollback(function.app, to)
        if function.canary is None:
            return Move(Difference(), unchanged="it has no canary")
        canary = {"image": function.canary["spec"]["image"], "weight": function.canary_record.weight}
        if state == "undone":
            return Move(Difference({"canary": canary}, {}), ends_canary=True)
        promoted = function.canary_record.promotes
        if promoted is None:
            raise PlatformError(
                f"The canary of {function.namespace}/{function.name} never came up.",
                next_step="Deploy it again with `canary`, or end it: `ansible-playbook "
                f"wasmfaas.platform.promote_function -e name={function.name} -e undo=true`.",
            )
        difference = self._difference(promoted, ends_canary=True)
        return Move(Difference({**difference.before, "canary": canary}, difference.after), promoted, ends_canary=True)

    def _plan_rollback(self, app: Object, to: str | None) -> Move:
        version = version_to_roll_back_to(app, to)
        if version is None:
            return Move(Difference(), unchanged="this version runs already")
        name = next(iter(secret_names(app)), None)
        secret = self._function.api.get(SECRET, self._function.namespace, name) if name else None
        objects = with_current_secret(version, app, secret)
        return Move(self._difference(objects), objects)

    def _difference(self, objects: FunctionObjects, *, ends_canary: bool = False) -> Difference:
        finished = self._function.record.settings_digest == objects.settings_digest
        return compared(self._function, objects, ends_canary=ends_canary).difference(finished=finished)

    def move(self, state: str, to: str | None) -> LiveFunction:
        """Do what `plan` says; a version that does not come up is undone."""
        function = self._function
        with function.locked() as lock:
            move = self.plan(state, to)
            if move.objects:
                VersionChange(function, move.objects).roll_out(lock)
            if move.ends_canary:
                lock.ensure_held()
                function.forget()
                good = function.record.good
                if good is None or good.objects.route is None:
                    raise AssertionError("a canary is only made beside a function with a route that answered")
                end_canary(function, good.objects.route)
        function.forget()
        return self.now()

    def now(self) -> LiveFunction:
        """The function as it is."""
        return live_function(self._function.deployed_app(), self._function.get(DEPLOYMENT))
