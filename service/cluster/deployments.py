# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments as FunctionDeployments, custom resources in the namespaces of their tenants."""

from __future__ import annotations

import typing as t
from pathlib import Path

import msgspec

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.spinkube.api import Conflict
from ...plugins.module_utils.spinkube.kinds import Object
from ..deployments.model import Deployment, Phase
from ..deployments.store import Changed, Exists
from .api import FUNCTION_DEPLOYMENT, TENANT_LABEL, ServiceApi

FUNCTION_LABEL = "wasmfaas.dev/function"

_SPEC = ("function", "number", "source", "settings", "settings_digest", "requested_by", "created")
_STATUS = (
    "phase", "attempt", "cancelling", "changed", "url", "artifact", "source_digest", "stages", "warnings", "reason",
    "next_step", "facts", "started", "finished",
)  # fmt: skip

_LONGEST_TEXT = 4096
_MOST_ENTRIES = 32
"""Bounds of roles/function_service/files/functiondeployment.yml."""


class ClusterDeploymentStore:
    """See `DeploymentStore`. An object's resourceVersion is the revision of its deployment.

    Args:
        logs: directory of the logs that this replica writes.
    """

    def __init__(self, api: t.Callable[[], ServiceApi], logs: Path) -> None:
        self._api, self._logs = api, logs

    def create(self, deployment: Deployment) -> Deployment:
        try:
            return as_deployment(self._api().create(FUNCTION_DEPLOYMENT, as_object(deployment)))
        except Conflict:
            raise Exists from None

    def read(self, tenant: str, function: str, number: int) -> Deployment | None:
        found = self._api().get(FUNCTION_DEPLOYMENT, tenant, name_of(function, number))
        return as_deployment(found) if found is not None else None

    def of_function(self, tenant: str, function: str) -> list[Deployment]:
        return self._sorted(self._api().select(FUNCTION_DEPLOYMENT, tenant, labels={FUNCTION_LABEL: function}))

    def of_tenant(self, tenant: str) -> list[Deployment]:
        return self._sorted(self._api().list(FUNCTION_DEPLOYMENT, tenant))

    def tenants(self) -> list[str]:
        """All tenants: those without deployments are no others to the service."""
        return self._api().namespaces(TENANT_LABEL)

    def unfinished(self) -> list[Deployment]:
        objects = self._api().select(FUNCTION_DEPLOYMENT, None, fields=unfinished_fields())
        return sorted(map(as_deployment, objects), key=lambda one: (one.created, one.key))

    def update(self, deployment: Deployment, **changes: t.Any) -> Deployment:
        changed = msgspec.structs.replace(deployment, **changes)
        try:
            written = self._api().replace_status(FUNCTION_DEPLOYMENT, as_object(changed))
        except Conflict:
            raise Changed from None
        except PlatformError:
            if self._api().get(FUNCTION_DEPLOYMENT, deployment.tenant, _name(deployment)) is None:
                raise Changed from None
            raise
        return as_deployment(written)

    def remove(self, deployment: Deployment) -> None:
        self._api().delete(FUNCTION_DEPLOYMENT, deployment.tenant, _name(deployment))
        self.log_file(deployment).unlink(missing_ok=True)

    def log_file(self, deployment: Deployment) -> Path:
        directory = self._logs / deployment.tenant / deployment.function
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return directory / f"{deployment.number}.log"

    @staticmethod
    def _sorted(objects: t.Iterable[Object]) -> list[Deployment]:
        return sorted(map(as_deployment, objects), key=lambda one: (one.function, -one.number))


def unfinished_fields() -> dict[str, t.Any]:
    """The field selector, in lightkube's form, of deployments that are not finished."""
    from lightkube import operators

    return {"status.phase": operators.not_in([phase.value for phase in Phase if phase.is_finished])}


def name_of(function: str, number: int) -> str:
    """Name of the object of a deployment."""
    return f"{function}-{number}"


def _name(deployment: Deployment) -> str:
    return name_of(deployment.function, deployment.number)


def as_object(deployment: Deployment) -> Object:
    """The object of a deployment, with what its schema has no room for cut off."""
    content = msgspec.to_builtins(deployment)
    metadata: Object = {
        "name": _name(deployment),
        "namespace": deployment.tenant,
        "labels": {FUNCTION_LABEL: deployment.function, "app.kubernetes.io/managed-by": "wasmfaas"},
    }
    if deployment.revision > 1:
        metadata["resourceVersion"] = str(deployment.revision)
    status = {_camel(name): _fitting(content[name]) for name in _STATUS if content[name] not in (None, "", {}, [])}
    return {
        "apiVersion": FUNCTION_DEPLOYMENT.api_version,
        "kind": FUNCTION_DEPLOYMENT.kind,
        "metadata": metadata,
        "spec": {_camel(name): content[name] for name in _SPEC},
        "status": status,
    }


def as_deployment(found: Object) -> Deployment:
    """The deployment of an object."""
    spec, status = found["spec"], found.get("status") or {}
    values = {name: spec[_camel(name)] for name in _SPEC if _camel(name) in spec}
    values |= {name: status[_camel(name)] for name in _STATUS if _camel(name) in status}
    metadata = found["metadata"]
    values |= {"tenant": metadata["namespace"], "revision": int(metadata["resourceVersion"])}
    return msgspec.convert({"settings": {}, **values}, Deployment)


def _fitting(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else f"{value[: _LONGEST_TEXT - 1]}…"
    if isinstance(value, list):
        return [_fitting(item) for item in value[:_MOST_ENTRIES]]
    if isinstance(value, dict):
        return {str(key): _fitting(item) for key, item in list(value.items())[:_MOST_ENTRIES]}
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
