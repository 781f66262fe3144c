# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps nodes warm for a function: where its artifact was compiled before, a start takes a moment."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..errors import PlatformError
from ..function.model import DesiredFunction, LiveFunction
from .cluster_function import ClusterFunction
from .kinds import DEPLOYMENT, POD, SPIN_APP, SPIN_APP_EXECUTOR, Object
from .labels import WARMED_BY
from .objects import REVISION
from .warm_record import WARM, Marks, WarmRecord, counted, wasm_nodes


class Warmth:
    """On which nodes a function is warm, by its option `warm`. The nodes are read once."""

    def __init__(self, function: ClusterFunction) -> None:
        self._function = function

    def check(self, desired: DesiredFunction) -> None:
        """Raises PlatformError where `warm` is given and cannot be done."""
        settings = self._function.settings
        if not settings.warm_is_given or settings.warm != "all":
            return
        if not desired.has_only_http_triggers:
            raise PlatformError(
                f"warm: the function {desired.name} has a trigger other than http, and would work on its messages on "
                "every node.",
                next_step="Leave `warm` out.",
            )
        if not self._may_make_pods and not self._servers_warm:
            raise PlatformError(
                f"warm: takes the permission to create pods in namespace {desired.namespace}, which this kubeconfig "
                "does not have, and the cluster's servers do not do it.",
                next_step="Leave `warm` out, deploy with an administrator's kubeconfig, or have the platform installed "
                "with `spin_operator_warm_nodes: true`.",
            )

    def compared(self, desired: DesiredFunction) -> tuple[list[str], list[str]]:
        """The nodes that are warm, and those that `after` makes so; the same where that does nothing."""
        if self._function.settings.warm != "all":
            return [], []
        nodes = self._nodes(desired) or {}
        warm = WarmRecord.of(self._function.app).on(desired.digest, nodes)
        return (sorted(warm), sorted(nodes)) if warm != nodes and self._may_make_pods else ([], [])

    def described(self, live: LiveFunction) -> LiveFunction:
        """The live function with the number of its warm nodes, where it is to have any."""
        record = WarmRecord.of(self._function.app)
        if self._function.settings.warm == "none" or live.digest not in record.artifacts:
            return live
        nodes = self._known_nodes
        return dataclasses.replace(live, details={**live.details, "warm": counted(record, live.digest, nodes)})

    def after(self, desired: DesiredFunction, live: LiveFunction) -> LiveFunction:
        """Make the nodes warm once the function answers, and remember which are.

        A node where that fails is named in `details`, and the next deployment tries again. Who may not make pods leaves
        it to the cluster's servers, where they do it.
        """
        nodes = self._nodes(desired)
        if nodes is None:
            return live
        try:
            with self._function.stages("warm"):
                state = self._made_warm(live.digest, nodes)
        except PlatformError as error:  # the function answers, whatever keeps its nodes cold
            state = {"nodes": 0, "of": len(nodes), "failed": dict.fromkeys(nodes, error.cause)}
        return dataclasses.replace(live, details={**live.details, "warm": state})

    def _made_warm(self, digest: str, nodes: Marks) -> dict[str, t.Any]:
        function = self._function
        app, deployment, failed = function.deployed_app(), function.get(DEPLOYMENT), dict[str, str]()
        record, ran = WarmRecord.of(app), self._ran(app)
        warm = {name: mark for name, mark in nodes.items() if name in ran} | record.on(digest, nodes)
        cold = [name for name in nodes if name not in warm]
        if function.settings.warm == "all" and cold and deployment is not None and self._may_make_pods:
            from .warm_pods import WarmPods

            failed = WarmPods(function.api, app, deployment["spec"]["template"]).run(cold)
            warm |= {name: nodes[name] for name in cold if name not in failed}
            record = WarmRecord.of(function.deployed_app())  # the servers may have written meanwhile
            warm |= record.on(digest, nodes)
            failed = {name: reason for name, reason in failed.items() if name not in warm}
        now = record.with_artifact(self._runtime_class, digest, warm)
        if now != record:
            function.api.annotate(SPIN_APP, function.namespace, function.name, {WARM: now.written()})
        later = function.settings.warm == "all" and warm != nodes and self._servers_warm
        return {
            **counted(now, digest, nodes),
            **({"failed": failed} if failed else {}),
            **({"later": True} if later else {}),
        }

    def _nodes(self, desired: DesiredFunction) -> Marks | None:
        """The nodes that may be warm; None where they do not matter, or the function should not run on each."""
        mode = self._function.settings.warm
        return None if mode == "none" or (mode == "all" and not desired.has_only_http_triggers) else self._known_nodes

    def _ran(self, app: Object) -> set[str]:
        """The nodes where a pod of this version runs."""
        revision = (app["spec"].get("podAnnotations") or {}).get(REVISION)
        return {
            pod["spec"].get("nodeName", "")
            for pod in self._function.api.list(
                POD, self._function.namespace, labels={"core.spinkube.dev/app-name": self._function.name}
            )
            if (pod["metadata"].get("annotations") or {}).get(REVISION) == revision
            and any("running" in (one.get("state") or {}) for one in pod["status"].get("containerStatuses") or [])
        }

    @functools.cached_property
    def _may_make_pods(self) -> bool:
        api, namespace = self._function.api, self._function.namespace
        return api.may("create", POD, namespace) and api.may("delete", POD, namespace)

    @functools.cached_property
    def _known_nodes(self) -> Marks | None:
        """The nodes that take the function's pods; None where the user may not see them."""
        try:
            return wasm_nodes(self._function.api, self._runtime_class) if self._runtime_class else {}
        except PlatformError:
            return None

    @functools.cached_property
    def _runtime_class(self) -> str:
        """Of the function's executor; empty where that has none, or is not there."""
        deployment = (self._executor.get("spec") or {}).get("deploymentConfig") or {}
        return str(deployment.get("runtimeClassName") or "")

    @property
    def _servers_warm(self) -> bool:
        """Whether the cluster's servers make nodes warm, for functions of those who may not make pods as well."""
        return ((self._executor.get("metadata") or {}).get("annotations") or {}).get(WARMED_BY) == "servers"

    @functools.cached_property
    def _executor(self) -> Object:
        function = self._function
        return function.api.get(SPIN_APP_EXECUTOR, function.namespace, function.settings.executor) or {}


def failures(details: dict[str, t.Any]) -> list[str]:
    """Warnings about the nodes that `Warmth.after` could not make warm."""
    failed = (details.get("warm") or {}).get("failed") or {}
    return [
        f"warm: the first start on node {name} will take longer, since the function did not start there before: "
        f"{reason}. Next: Run the same command again once that is mended."
        for name, reason in sorted(failed.items())
    ]
