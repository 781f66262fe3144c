# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a function to another of its versions that are there: promotes a canary or ends it, or goes back to what ran
before."""

from __future__ import annotations

import dataclasses

from ..errors import PlatformError
from ..function.model import Difference, LiveFunction
from .canary import share
from .kinds import DEPLOYMENT, SECRET
from .objects import Object, route_of, secret_names
from .target import ClusterTarget, live_function
from .versions import last_good, state_to_go_back_to, with_current_secret


@dataclasses.dataclass(frozen=True)
class Move:
    """What is to be done.

    Attributes:
        objects: what the function becomes; empty where it stays what it is.
        ends_canary: whether its canary goes.
        unchanged: why there is nothing to be done; else empty.
    """

    difference: Difference
    objects: list[Object] = dataclasses.field(default_factory=list)
    ends_canary: bool = False
    unchanged: str = ""


class VersionTarget(ClusterTarget):
    """One function whose version changes without its source."""

    def plan(self, state: str, to: str | None) -> Move:
        """What has to be done.

        Args:
            state: `promoted`, `undone`, or `rolled_back`.
            to: digest of the artifact to roll back to; None for the version before.

        Raises:
            PlatformError: there is no such function or version, or the canary never came up.
        """
        if self._spin_app is None:
            raise PlatformError(
                f"there is no function {self._namespace}/{self._name}.",
                next_step="see ansible-playbook wasmfaas.platform.list_functions for those there are, or give `-e "
                "namespace=NAMESPACE`.",
            )
        if state == "rolled_back":
            return self._plan_rollback(self._spin_app, to)
        if self._canary is None:
            return Move(Difference(), unchanged="it has no canary")
        canary = {"image": self._canary["spec"]["image"], "percent": share(self._canary)}
        if state == "undone":
            return Move(Difference({"canary": canary}, {}), ends_canary=True)
        promoted = last_good(self._canary).get("promotes")
        if not promoted:
            raise PlatformError(
                f"the canary of {self._namespace}/{self._name} never came up.",
                next_step=f"deploy it again with `canary`, or end it: `ansible-playbook "
                f"wasmfaas.platform.promote_function -e name={self._name} -e undo=true`.",
            )
        difference = self._difference(promoted, ends_canary=True)
        return Move(Difference({**difference.before, "canary": canary}, difference.after), promoted, ends_canary=True)

    def _plan_rollback(self, app: Object, to: str | None) -> Move:
        state = state_to_go_back_to(app, to)
        if state is None:
            return Move(Difference(), unchanged="this version runs already")
        name = next(iter(secret_names(app)), None)
        secret = self._api.get(SECRET, self._namespace, name) if name else None
        objects = with_current_secret(state, app, secret)
        return Move(self._difference(objects), objects)

    def move(self, state: str, to: str | None) -> LiveFunction:
        """Do it; a version that does not come up is undone. See `plan`."""
        with self._locked() as lock:
            move = self.plan(state, to)
            if move.objects:
                self._roll_out(move.objects, lock)
            if move.ends_canary:
                lock.ensure_held()
                self._forget()
                route = route_of(last_good(self._spin_app).get("objects") or [])
                if route is None:
                    raise AssertionError("a canary is only made beside a function with a route that answered")
                self._end_canary(route)
        self._forget()
        return self.now()

    def now(self) -> LiveFunction:
        """The function as it is."""
        app = self._applied_app()
        return live_function(app, self._api.get(DEPLOYMENT, self._namespace, self._name))
