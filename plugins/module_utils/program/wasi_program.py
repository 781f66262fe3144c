# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module wasi_program: from its parameters to a program that runs, or is pushed or removed."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from ..directories import state_directory
from ..errors import PlatformError
from ..function.deploy_function import DeployResult, check_namespace
from ..function.spin_function import Parameters, cluster_api, registry_of, removal_of, result_of, with_result_file
from ..function.stages import Stages
from ..registry.reference import LayoutLocation
from .deploy_program import ProgramRequest, deploy_program
from .model import ProgramTarget

if t.TYPE_CHECKING:
    from ..spinkube.api import KubernetesApi

_VERBS = {
    "pushed": ("pushed", "would be pushed"),
    "Job": ("ran", "would be run"),
    "Run": ("ran", "would be run"),
    "": ("deployed", "would be deployed"),
}
_RUN_ONCE = ("Job", "Run")
"""The workloads that end: on a cluster, and on this machine."""


def run(parameters: Parameters, check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Do what the parameters of wasi_program ask for; raises PlatformError."""
    stages = Stages()
    if parameters["state"] == "absent":
        return with_result_file(parameters["result_file"], lambda: _remove(parameters, check_mode, stages))
    return with_result_file(parameters["result_file"], lambda: _deploy(parameters, check_mode, stages, hidden))


def _deploy(parameters: Parameters, check_mode: bool, stages: Stages, hidden: set[str]) -> dict[str, t.Any]:
    state = state_directory(parameters["state_directory"])
    local = parameters["target"] == "local"
    if parameters["env_secrets"] and parameters["state"] == "present" and not local:
        hidden |= _secret_values(parameters)
    request = ProgramRequest(
        source=Path(parameters["source"]),
        namespace=parameters["namespace"],
        outputs_directory=state / "outputs",
        log_directory=state / "logs",
        name=parameters["name"],
        build=parameters["build"],
        wasm=parameters["wasm"],
        state=parameters["state"],
        build_timeout_seconds=parameters["build_timeout"],
        check_mode=check_mode,
    )
    api = cluster_api(parameters)
    with contextlib.closing(registry_of(parameters, state, api)) as registry:
        if isinstance(registry.location, LayoutLocation) and parameters["state"] == "present" and not local:
            raise PlatformError(
                f"registry: {registry.location} is a directory, from which no cluster pulls.",
                next_step="Add `-e registry=HOST/PATH`, or only push with `-e state=pushed`.",
            )
        result = deploy_program(request, registry, _target_factory(parameters, stages, api), stages)
    return {**result_of(result, _verb(result, parameters["state"], check_mode)), "output": _output(result)}


def _target_factory(
    parameters: Parameters, stages: Stages, api: t.Callable[[], KubernetesApi]
) -> t.Callable[[str], ProgramTarget]:
    """Gives a program's target; its options are checked now, before anything is read or built."""
    namespace = parameters["namespace"]
    if parameters["target"] == "local":
        from .local import LocalProgram, local_program_settings

        local = local_program_settings(parameters, state_directory(parameters["state_directory"]))
        return lambda name: LocalProgram(namespace, name, local, stages)
    from .cluster import ClusterProgram
    from .settings import program_settings

    settings, cluster = program_settings(parameters), api()
    return lambda name: ClusterProgram(cluster, namespace, name, settings, stages)


def _secret_values(parameters: Parameters) -> set[str]:
    """What the program may write of the Secrets in its environment; raises PlatformError where one does not exist."""
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from ..spinkube.kinds import SECRET
    from ..spinkube.logs import values_of_secrets

    api = KubernetesApi(connection_options(parameters))
    namespace, names = parameters["namespace"], parameters["env_secrets"]
    values = values_of_secrets(api, namespace, names)
    for name in names:
        if api.get(SECRET, namespace, name) is None:
            raise PlatformError(
                f"env_secrets: there is no Secret {namespace}/{name}.",
                next_step=f"Make it: `kubectl create secret generic {name} -n {namespace} --from-literal=NAME=VALUE`.",
            )
    return values


def _remove(parameters: Parameters, check_mode: bool, stages: Stages) -> dict[str, t.Any]:
    name, namespace = parameters["name"], parameters["namespace"]
    check_namespace(namespace)
    target = _target_factory(parameters, stages, cluster_api(parameters))(name)
    with stages("live_state"):
        exists = target.exists()
    if exists and not check_mode:
        with stages("delete"):
            target.delete()
    return removal_of("program", namespace, name, stages, exists=exists, check_mode=check_mode)


def _verb(result: DeployResult, state: str, check_mode: bool) -> str:
    if not result.changed:
        return "unchanged"
    planned = next((workload for workload in _RUN_ONCE if isinstance(result.after.get(workload), dict)), "")
    workload = result.details.get("workload", "") or planned
    return _VERBS["pushed" if state == "pushed" else workload if workload in _RUN_ONCE else ""][check_mode]


def _output(result: DeployResult) -> list[str]:
    """What a program that runs once wrote last."""
    return list(result.details.get("output") or [])
