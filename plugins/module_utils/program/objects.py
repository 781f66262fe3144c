# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the Kubernetes objects of a program from its settings."""

from __future__ import annotations

import typing as t

from ..kubernetes.applied import prepared
from ..spinkube.function_objects import route_spec
from ..spinkube.kinds import DEPLOYMENT, HTTP_ROUTE, JOB, SERVICE, Kind, Object
from ..spinkube.objects import PROGRAM, SOURCE_DIGEST, URL, labels
from ..spinkube.url import FunctionAddress
from .artifact import PROGRAM_KIND
from .model import NOT_RUN, DesiredProgram
from .model import Kind as ProgramKind
from .settings import ProgramSettings

CONTAINER = "program"

PRE_STOP_SECONDS = 5
"""A server still answers for so long after its pod is to end: until every proxy knows. At SIGTERM the shim ends at once
(instance.rs, handle_signals)."""

_SECURITY: Object = {
    "allowPrivilegeEscalation": False,
    # `drop` alone leaves nearly all: libcontainer (youki) of runwasi 1.0 takes the empty list for none given.
    "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def program_objects(
    desired: DesiredProgram, kind: ProgramKind, settings: ProgramSettings, address: FunctionAddress | None
) -> list[Object]:
    """The objects that the program is to consist of, as to be applied, in that order; the first is its workload.

    Args:
        address: where it will answer; None where it answers nothing.
    """
    marks = {**labels(desired.name), PROGRAM: desired.name}
    metadata: Object = {"name": desired.name, "namespace": desired.namespace, "labels": marks}
    about = {
        **metadata,
        "annotations": {
            SOURCE_DIGEST: desired.source_digest,
            PROGRAM_KIND: kind,
            **({URL: address.url} if address else {}),
        },
    }
    port = settings.listens_at(kind)
    pods = {"metadata": {"labels": marks}, "spec": _pod_spec(desired, kind, settings, port)}
    if settings.runs_once(kind):
        objects = [_object(JOB, about, _job_spec(pods, settings))]
    else:
        spec = {"replicas": settings.replicas or 1, "selector": {"matchLabels": {PROGRAM: desired.name}}}
        objects = [_object(DEPLOYMENT, about, {**spec, "template": pods})]
    if address is not None:
        service = {
            "selector": {PROGRAM: desired.name},
            "ports": [{"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"}],
        }
        objects.append(_object(SERVICE, metadata, service))
        route = route_spec(desired.name, settings.address, address.url, address.listener)
        objects.append(_object(HTTP_ROUTE, metadata, route))
    return [prepared(item) for item in objects]


def _object(kind: Kind, metadata: Object, spec: Object) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def _job_spec(pods: Object, settings: ProgramSettings) -> Object:
    # A program that fails by itself is not run again: it may have done half of its work.
    failed_by_itself = {
        "action": "FailJob",
        "onExitCodes": {"containerName": CONTAINER, "operator": "NotIn", "values": [0, NOT_RUN]},
    }
    return {"backoffLimit": settings.retries, "podFailurePolicy": {"rules": [failed_by_itself]}, "template": pods}


def _pod_spec(desired: DesiredProgram, kind: ProgramKind, settings: ProgramSettings, port: int | None) -> Object:
    address = settings.address
    environment = [{"name": name, "value": literal(value)} for name, value in settings.env.items()]
    if kind == "server":
        # The shim's default is port 8080 (crates/containerd-shim-wasmtime/src/http_proxy.rs).
        environment.append({"name": "WASMTIME_HTTP_PROXY_SOCKET_ADDR", "value": f"0.0.0.0:{port}"})
    container: Object = {
        "name": CONTAINER,
        "image": desired.image,
        # The artifact names no entry point, and without one containerd makes no container. It is the program's args[0].
        "command": [f"/{desired.name}.wasm"],
        "args": [literal(argument) for argument in settings.args],
        "env": environment,
        "envFrom": [{"secretRef": {"name": name}} for name in settings.env_secrets],
        "resources": address.resources or {},
        "securityContext": _SECURITY,
    }
    if port is not None:
        container["ports"] = [{"name": "http", "containerPort": port, "protocol": "TCP"}]
        probe = {"httpGet": {"path": address.probe_path, "port": port}} if address.probe_path else {}
        container["readinessProbe"] = {**(probe or {"tcpSocket": {"port": port}}), "periodSeconds": 1}
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}}
    secrets = [{"name": name} for name in address.image_pull_secrets]
    return {
        "runtimeClassName": settings.runtime_class,
        "restartPolicy": "Never" if settings.runs_once(kind) else "Always",
        # The shim gives the program the whole file system of its pod, which would hold the account's token.
        "automountServiceAccountToken": address.service_account is not None,
        "enableServiceLinks": False,
        **({"serviceAccountName": address.service_account} if address.service_account else {}),
        **({"imagePullSecrets": secrets} if secrets else {}),
        "containers": [{name: value for name, value in container.items() if value or name == "image"}],
    }


def literal(text: str) -> str:
    """A text in which Kubernetes expands no `$(NAME)`."""
    return text.replace("$", "$$")


def workload_of(objects: t.Sequence[Object]) -> Object:
    """The Job or Deployment among a program's objects."""
    return objects[0]
