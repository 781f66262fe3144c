# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the live objects of a function with the desired ones."""

from __future__ import annotations

import typing as t

from ..function.model import Difference
from .canary import with_canary
from .cluster_function import ClusterFunction
from .kinds import BY_NAME, HTTP_ROUTE, SPIN_APP, Kind, Object
from .objects import FunctionObjects
from .stored import in_spelling_of


class Comparison:
    """Collects what differs, one object after another."""

    def __init__(self) -> None:
        self._before: dict[str, t.Any] = {}
        self._after: dict[str, t.Any] = {}

    def add(self, kind: Kind, live: Object | None, desired: Object) -> None:
        """Compare the fields of an object that `desired` names."""
        shown = {key: desired[key] for key in ("metadata", "spec")}
        if not shown["spec"].get("image", True):
            shown["spec"] = {**shown["spec"], "image": "<known after the build>"}
        if live is not None:
            self._before[kind.kind] = projected(in_spelling_of(live, shown) if kind is SPIN_APP else live, shown)
        self._after[kind.kind] = shown

    def add_new_secret(self, variables: t.Iterable[str]) -> None:
        """Show that a Secret with these variables is made, without their values."""
        self._after["Secret"] = dict.fromkeys(variables, "<hidden>")

    def add_warm_nodes(self, before: list[str], after: list[str]) -> None:
        """Show the names of the nodes on which the function starts faster."""
        if before != after:
            self._before["warm_nodes"], self._after["warm_nodes"] = before, after

    def difference(self, *, finished: bool) -> Difference:
        """Give what differs.

        Args:
            finished: whether the deployment that wrote the live objects also saw the function answer. One that was cut
                off before is a difference by itself.
        """
        if self._before == self._after and not finished:
            self._before["deployment"], self._after["deployment"] = "unfinished", "finished"
        return Difference(self._before, self._after)


def compared(function: ClusterFunction, objects: FunctionObjects, *, ends_canary: bool = False) -> Comparison:
    """Compare the objects of a function; `ends_canary` says that its route no longer leads to a canary."""
    comparison = Comparison()
    weight = 0 if ends_canary else function.canary_record.weight
    for item in objects:
        kind = BY_NAME[item["kind"]]
        live = function.app if kind is SPIN_APP else function.get(kind)
        comparison.add(kind, live, with_canary(item, weight) if kind is HTTP_ROUTE else item)
    return comparison


def projected(live: t.Any, desired: t.Any) -> t.Any:
    """Give `live` without what `desired` does not mention: defaults, and fields that others own."""
    if isinstance(live, dict) and isinstance(desired, dict):
        return {key: projected(live[key], value) for key, value in desired.items() if key in live}
    if isinstance(live, list) and isinstance(desired, list) and len(live) == len(desired):
        return [projected(one, other) for one, other in zip(live, desired, strict=True)]
    return live
