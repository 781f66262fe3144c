# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes Kubernetes objects as plain dictionaries, and turns the API server's refusals into errors that say
what to do."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import typing as t

from ..errors import PlatformError
from .connection import ConnectionOptions, connect
from .kinds import EVENT, POD, Kind, Object

if t.TYPE_CHECKING:
    import lightkube

FIELD_MANAGER = "wasmfaas"
"""Field manager of what we write by server-side apply; fields that others own stay theirs."""

# Named here, since inside the class `list` is its method.
_ACCESS_REVIEW = Kind("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews")

Objects = list[Object]
Lines = list[str]


class Conflict(PlatformError):
    """The object changed or exists already (409)."""


class MissingKind(PlatformError):
    """The cluster does not know the kind."""


class Forbidden(PlatformError):
    """The user lacks the permission for this (403)."""


class Refused(PlatformError):
    """Admission, a quota or the kind's schema does not take the object (400, 403, 422)."""


class KubernetesApi:
    """The few calls that the deployment of a function makes; every method may raise PlatformError."""

    def __init__(self, options: ConnectionOptions, *, patient: bool = True) -> None:
        """`patient`: see `connect`."""
        self._options = options
        self._patient = patient

    @functools.cached_property
    def _client(self) -> lightkube.Client:
        return connect(self._options, patient=self._patient)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None where there is none (or not even its kind)."""
        found: Object | None = None
        with self._translated("get", kind, namespace, name, missing_is_none=True):
            found = self._client.get(resource(kind), name, namespace=namespace)
        return found  # noqa: RET504 (the context swallows a 404)

    def list(self, kind: Kind, namespace: str | None = None, *, labels: dict[str, t.Any] | None = None) -> Objects:
        """All objects of a kind in a namespace (None: in all); raises MissingKind where the cluster lacks it."""
        with self._translated("list", kind, namespace, None):
            return list(self._client.list(resource(kind), namespace=namespace or "*", labels=labels))

    def list_nodes(self, kind: Kind) -> Objects:
        """All objects of a kind that lives outside of namespaces."""
        with self._translated("list", kind, None, None):
            return list(self._client.list(resource(kind, namespaced=False)))

    def get_outside(self, kind: Kind, name: str) -> Object | None:
        """One object of a kind that lives outside of namespaces, or None where there is none."""
        found: Object | None = None
        with self._translated("get", kind, None, name, missing_is_none=True):
            found = self._client.get(resource(kind, namespaced=False), name)
        return found  # noqa: RET504 (the context swallows a 404)

    def may(self, verb: str, kind: Kind, namespace: str) -> bool:
        """Whether the user has a permission in a namespace; asks the API server without trying it."""
        attributes = {"namespace": namespace, "verb": verb, "group": kind.group, "resource": kind.plural}
        with self._translated("ask about", _ACCESS_REVIEW, None, None):
            review = self._client.create(
                resource(_ACCESS_REVIEW, namespaced=False)({"spec": {"resourceAttributes": attributes}})
            )
        return bool(review["status"].get("allowed"))

    def annotate(self, kind: Kind, namespace: str, name: str, annotations: dict[str, str]) -> None:
        """Set annotations of an object that exists. `apply` keeps them as long as it does not name them."""
        from lightkube.types import PatchType

        change = {"metadata": {"annotations": annotations}}
        with self._translated("annotate", kind, namespace, name):
            self._client.patch(resource(kind), name, change, namespace=namespace, patch_type=PatchType.MERGE)

    def apply(self, kind: Kind, desired: Object, *, dry_run: bool = False) -> Object:
        """Server-side apply: our fields become exactly `desired`; returns the whole object."""
        metadata = desired["metadata"]
        with self._translated("apply", kind, metadata["namespace"], metadata["name"]):
            return t.cast(
                Object,
                self._client.apply(resource(kind)(desired), field_manager=FIELD_MANAGER, force=True, dry_run=dry_run),
            )

    def create(self, kind: Kind, desired: Object, *, dry_run: bool = False) -> Object:
        """Create an object; raises Conflict where it exists."""
        metadata = desired["metadata"]
        with self._translated("create", kind, metadata["namespace"], metadata["name"]):
            return t.cast(
                Object, self._client.create(resource(kind)(desired), field_manager=FIELD_MANAGER, dry_run=dry_run)
            )

    def replace(self, kind: Kind, desired: Object) -> Object:
        """Put an object back as a whole; raises Conflict where somebody else changed it since it was read."""
        metadata = desired["metadata"]
        with self._translated("update", kind, metadata["namespace"], metadata["name"]):
            return t.cast(Object, self._client.replace(resource(kind)(desired), field_manager=FIELD_MANAGER))

    def delete(
        self, kind: Kind, namespace: str, name: str, *, owned_first: bool = False, grace_seconds: int | None = None
    ) -> bool:
        """Delete an object and what it owns; False where there was none. With `owned_first` what it owns is deleted
        before it. `grace_seconds` is for a pod: how long it may take to end; None for as long as it says itself."""
        from lightkube.types import CascadeType

        existed = False
        with self._translated("delete", kind, namespace, name, missing_is_none=True):
            self._client.delete(
                resource(kind),
                name,
                namespace=namespace,
                grace_period=grace_seconds,
                cascade=CascadeType.FOREGROUND if owned_first else CascadeType.BACKGROUND,
            )
            existed = True
        return existed  # noqa: RET504 (the context swallows a 404)

    def events_of(self, namespace: str, names: t.Collection[str]) -> Lines:
        """The events about the objects called `names`, oldest first, one line each.

        Their times are whole seconds; within one, the order is that in which they were written.
        """
        found = []
        for event in self.list(EVENT, namespace):
            about = event.get("involvedObject") or {}
            if about.get("name") in names:
                last = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or ""
                found.append(
                    (
                        last,
                        int(event["metadata"].get("resourceVersion") or 0),
                        (
                            f"{event.get('type')} {event.get('reason')} {about.get('kind')}/{about.get('name')}: "
                            f"{event.get('message')}"
                        ),
                    )
                )
        return [line for _time, _version, line in sorted(found)]

    def pod_log(self, namespace: str, name: str, *, lines: int = 40) -> str:
        """The last lines of a pod's log; empty where there is none yet."""
        import httpx2

        # The log is an extra: its absence must not hide the real error
        with contextlib.suppress(httpx2.HTTPError, PlatformError):
            return "".join(self._client.log(name, namespace=namespace, tail_lines=lines))
        return ""

    def container_log(
        self,
        namespace: str,
        name: str,
        container: str,
        *,
        lines: int,
        since_seconds: int | None = None,
        previous: bool = False,
    ) -> Lines:
        """The last lines of a container's log, or of that of its previous run; nothing where there is none. Raises
        Forbidden without the permission."""
        from lightkube.core.exceptions import ApiError
        from lightkube.resources.core_v1 import PodLog

        parameters = {
            "container": container,
            "tailLines": lines,
            "sinceSeconds": since_seconds,
            "previous": True if previous else None,
        }
        with self._translated("read the log of", POD, namespace, name):
            client: t.Any = self._client._client  # its own `log` does not know `previous`
            request = client.build_adapter_request(
                client.prepare_request("get", PodLog, name=name, namespace=namespace, params=parameters)
            )
            response = client.send(request)
            try:
                client.raise_for_status(response)
            except ApiError as error:
                # It has not started yet, had no run before, or is gone
                if error.response is not None and error.response.status_code in (400, 404):
                    return []
                raise
        return list(response.iter_lines())

    @contextlib.contextmanager
    def _translated(
        self, verb: str, kind: Kind, namespace: str | None, name: str | None, *, missing_is_none: bool = False
    ) -> t.Iterator[None]:
        import httpx2
        from lightkube.core.exceptions import ApiError

        try:
            yield
        except ApiError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == 404 and missing_is_none:
                return
            raise _explained(error, status, verb, kind, namespace, name) from error
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == 404:  # an unknown group answers in plain text
                if missing_is_none:
                    return
                raise _missing_kind(kind) from error
            raise PlatformError(
                f"The Kubernetes API server answered {error.response.status_code} to {verb} {kind.plural}.",
                next_step="See that the address is an API server's, and that the credentials are right.",
            ) from error


@functools.cache
def resource(kind: Kind, *, namespaced: bool = True, status: bool = False) -> t.Any:
    """lightkube's class for a kind, or for the status of one in a namespace.

    Its `create_…_resource` would refuse a kind for which other code of the process has made typed classes.
    """
    from lightkube import generic_resource

    info = generic_resource.create_api_info(kind.group, kind.version, kind.kind, kind.plural)
    base: type = generic_resource.GenericNamespacedResource if namespaced else generic_resource.GenericGlobalResource
    if status:
        base = generic_resource.GenericNamespacedStatus
        info = dataclasses.replace(info, parent=info.resource, action="status")
    return type(kind.kind, (base,), {"_api_info": info})


def _missing_kind(kind: Kind) -> MissingKind:
    return MissingKind(
        f"The cluster has no {kind.kind} ({kind.api_version}).",
        next_step=f"Install {kind.provider} on the cluster (`ansible-playbook wasmfaas.platform.site`)."
        if kind.provider
        else "Use a supported Kubernetes version.",
    )


def _explained(error: t.Any, status: int, verb: str, kind: Kind, namespace: str | None, name: str | None) -> Exception:
    what = f"{verb} {kind.kind}" + (
        f" {namespace}/{name}" if name else f" in namespace {namespace}" if namespace else ""
    )
    message = str(error.status.message or error).strip()
    if status == 409:
        return Conflict(
            f"{what}: {message}.", next_step="Run the same command again; somebody else changed it at the same time."
        )
    if status == 401:
        return PlatformError(
            f"{what}: the API server does not know these credentials.",
            next_step="Log in again or name another kubeconfig with `-e kubeconfig=PATH`.",
        )
    if status == 403 and "exceeded quota" in message:
        return Refused(
            f"{what}: {message}.",
            next_step=f"Delete functions that namespace {namespace} does not need, or have its ResourceQuota raised.",
        )
    if status == 403 and "webhook" not in message:
        return Forbidden(
            f"{what}: forbidden: {message}.",
            next_step=f"Ask the cluster's administrator for the permission to {verb} {kind.plural} in namespace "
            f"{namespace}, or use another kubeconfig.",
        )
    if status == 404:
        if namespace and f'namespaces "{namespace}"' in message:
            return PlatformError(
                f"{what}: the namespace {namespace} does not exist.",
                next_step=f"Make it: `kubectl create namespace {namespace}`.",
            )
        return _missing_kind(kind)
    if status == 422 or status == 400 or "webhook" in message:
        return Refused(
            f"{what}: the API server refuses it: {message}",
            next_step="Correct the option that the message names, then run the same command again.",
        )
    return PlatformError(
        f"{what}: {message} (HTTP {status}).",
        next_step="Run the same command again; if it fails again, look at the API server's log.",
    )
