# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module wasi_program_logs: reads what a program wrote."""

from __future__ import annotations

import typing as t

from ..directories import state_directory
from ..errors import PlatformError
from ..function.spin_function_logs import local_log, read_logs, refuse_since

if t.TYPE_CHECKING:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.kinds import Object
    from ..spinkube.logs import ContainerLog


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Read the log that the parameters of wasi_program_logs name; raises PlatformError."""
    return read_logs(
        parameters, lambda since: _local(parameters, since), lambda since: _cluster(parameters, since, hidden)
    )


def _local(parameters: dict[str, t.Any], since: int | None) -> list[ContainerLog]:
    from .local import list_local_programs

    refuse_since(since, "a local program")
    namespace, name = parameters["namespace"], parameters["name"]
    found = list_local_programs(state_directory(parameters["state_directory"]), namespace)
    program = next((program for program in found if program.name == name), None)
    if program is None:
        raise _no_program(namespace, name, "`ansible-playbook wasmfaas.platform.list_programs -e target=local`")
    return [local_log(program, parameters["lines"])]


def _cluster(parameters: dict[str, t.Any], since: int | None, hidden: set[str]) -> list[ContainerLog]:
    from ..spinkube.api import KubernetesApi
    from ..spinkube.arguments import connection_options
    from ..spinkube.kinds import POD
    from ..spinkube.logs import pod_logs
    from ..spinkube.objects import PROGRAM

    namespace, name, lines = parameters["namespace"], parameters["name"], parameters["lines"]
    api = KubernetesApi(connection_options(parameters))
    pods = api.list(POD, namespace, labels={PROGRAM: name})
    if not pods and not _workloads(api, namespace, name):
        raise _no_program(namespace, name, "`ansible-playbook wasmfaas.platform.list_programs`")
    hidden |= _secret_values(api, namespace, pods)
    logs = [log for pod in pods for log in pod_logs(api, pod, lines, since)]
    logs.sort(key=lambda log: (log.pod, not log.previous))
    return logs


def _no_program(namespace: str, name: str, listing: str) -> PlatformError:
    return PlatformError(
        f"There is no program {namespace}/{name}.",
        next_step=f"See {listing} for those there are, or give `-e namespace=NAMESPACE`.",
    )


def _workloads(api: KubernetesApi, namespace: str, name: str) -> list[Object]:
    from ..spinkube.objects import PROGRAM
    from .kinds import WORKLOADS

    return [found for kind in WORKLOADS for found in api.list(kind, namespace, labels={PROGRAM: name})]


def _secret_values(api: KubernetesApi, namespace: str, pods: list[Object]) -> set[str]:
    """What the program may have written of the Secrets in its environment; raises PlatformError where they cannot be
    read to black them out."""
    from ..spinkube.logs import values_of_secrets

    names = {
        source["secretRef"]["name"]
        for pod in pods
        for container in pod["spec"]["containers"]
        for source in container.get("envFrom") or []
        if "secretRef" in source
    }
    return values_of_secrets(api, namespace, sorted(names))
