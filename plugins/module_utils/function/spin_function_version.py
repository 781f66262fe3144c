# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module spin_function_version: promotes or ends a canary, or rolls back."""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from .deploy_function import DeployResult, check_namespace
from .probe import trusted
from .spin_function import result_of
from .stages import Stages

_VERBS = {
    "promoted": ("promoted", "would be promoted"),
    "undone": ("canary ended, unchanged is", "canary would be ended, unchanged stays"),
    "rolled_back": ("rolled back", "would be rolled back"),
}


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Do what the parameters of spin_function_version ask for; raises PlatformError."""
    if parameters.get("service"):
        return _hosted(parameters, check_mode, hidden)
    return _cluster(parameters, check_mode)


def _hosted(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    from ..hosted.function import roll_back

    if parameters["state"] != "rolled_back":
        raise PlatformError(
            f"state: {parameters['state']} is for canaries, which the hosted service does not make.",
            next_step="Deploy the version that you want.",
        )
    result = roll_back(parameters, check_mode, Stages(), hidden)
    return result_of(result, _VERBS["rolled_back"][check_mode] if result.changed else "unchanged")


def _cluster(parameters: dict[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from ..spinkube.cluster_function import ClusterFunction
    from ..spinkube.settings import ClusterSettings
    from ..spinkube.version_target import VersionTarget

    name, namespace, state = parameters["name"], parameters["namespace"], parameters["state"]
    check_namespace(namespace)
    if parameters["target"] == "local":
        what = "earlier versions" if state == "rolled_back" else "canaries"
        raise PlatformError(
            f"{namespace}/{name}: local functions have no {what}.",
            next_step="Deploy the source that you want, such as an earlier commit, with `-e target=local`, or give "
            "`-e target=cluster` for the function on a cluster.",
        )
    if parameters["probe_ca_file"]:
        trusted(parameters["probe_ca_file"])
    settings = ClusterSettings(
        **{option: parameters[option] for option in ("probe_address", "probe_ca_file", "wait_timeout")}
    )
    stages = Stages()
    api = KubernetesApi(connection_options(parameters))
    target = VersionTarget(ClusterFunction(api, namespace, name, settings, stages))
    with stages("live_state"):
        move = target.plan(state, parameters["to"])
        live = target.now()
    planned = move.objects.app if move.objects else None
    if not move.unchanged and not check_mode:
        live, planned = target.move(state, parameters["to"]), None
    image = planned["spec"]["image"] if planned else live.image
    result = DeployResult(
        changed=not move.unchanged,
        name=name,
        namespace=namespace,
        source_digest=live.source_digest,
        url=live.url,
        image=image,
        digest=image.partition("@")[2],
        stages=stages.seconds,
        before=move.difference.before,
        after=move.difference.after,
        details={"status": live.status, **live.details},
    )
    return result_of(result, f"unchanged, {move.unchanged}:" if move.unchanged else _VERBS[state][check_mode])
