# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes objects of a function as one value, and the labels and annotations that they carry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t

from ..function.model import DesiredFunction
from .kinds import HTTP_ROUTE, SCALED_OBJECT, SECRET, SPIN_APP, Object
from .labels import MANAGED_BY

SOURCE_DIGEST = "wasmfaas.dev/source-digest"
SETTINGS_DIGEST = "wasmfaas.dev/settings-digest"
URL = "wasmfaas.dev/url"
PROGRAM = "wasmfaas.dev/program"
"""Label with the program's name on the objects and pods of a WASI program (../program), which a function must not take
for its own."""

CALLED_PATH = "wasmfaas.dev/called-path"
"""On the SpinApp of a function whose invocations have a memory limit: a path that leads to a component. Spin's health
path enters none, so it answers even where the limit is too small for any invocation."""

LAST_GOOD = "wasmfaas.dev/last-good"
"""On the SpinApp, written after the function answered: what to put back when a later deployment does not come up, and
what ran before (version_record.py)."""

REVISION = "wasmfaas.dev/revision"
"""On the pods: tells those of this deployment from earlier ones, since the SpinApp's status names no generation."""

_NOT_OF_THE_PODS = frozenset({"replicas", "enableAutoscaling", "podAnnotations"})


def labels(name: str) -> dict[str, str]:
    """The labels that every object of the function carries and is found by."""
    return {**MANAGED_BY, "app.kubernetes.io/name": name}


@dataclasses.dataclass(frozen=True)
class FunctionObjects:
    """All objects of a function, or of its canary, but the Secret; iterates over them in the order to apply them.

    Attributes:
        app: the SpinApp.
        scaling: what scales it; empty with a fixed number of replicas.
        route: the HTTPRoute; None for a canary and without an http trigger.
    """

    app: Object
    scaling: tuple[Object, ...] = ()
    route: Object | None = None

    @classmethod
    def of(cls, objects: t.Iterable[Object]) -> FunctionObjects:
        """The objects as iterating over them gave them."""
        by_kind = {item["kind"]: item for item in objects}
        app, route = by_kind.pop(SPIN_APP.kind), by_kind.pop(HTTP_ROUTE.kind, None)
        return cls(app, tuple(by_kind.values()), route)

    def __iter__(self) -> t.Iterator[Object]:
        yield self.app
        yield from self.scaling
        if self.route is not None:
            yield self.route

    @property
    def scale_by_requests(self) -> bool:
        """Whether KEDA gives the function its replicas by its requests."""
        return any(item["kind"] == SCALED_OBJECT.kind for item in self.scaling)

    @property
    def settings_digest(self) -> str:
        """The digest over all of them; empty where somebody else deployed the SpinApp."""
        return settings_digest(self.app)

    def sealed(self) -> FunctionObjects:
        """The objects with the two digests over themselves: that of the pods, and that of all."""
        pods = {name: value for name, value in self.app["spec"].items() if name not in _NOT_OF_THE_PODS}
        annotations = {
            name: value for name, value in self.app["metadata"]["annotations"].items() if name != SETTINGS_DIGEST
        }
        app = {
            **self.app,
            "metadata": {**self.app["metadata"], "annotations": annotations},
            "spec": {**self.app["spec"], "podAnnotations": {REVISION: _digest(pods)[7:23]}},
        }
        sealed = dataclasses.replace(self, app=app)
        annotations[SETTINGS_DIGEST] = _digest(list(sealed))
        return sealed


def settings_digest(app: Object) -> str:
    """The digest over all objects of a function that its SpinApp carries; empty where somebody else deployed it."""
    return str((app["metadata"].get("annotations") or {}).get(SETTINGS_DIGEST, ""))


def secret_names(app: Object | None) -> list[str]:
    """The Secrets that a SpinApp's variables come from."""
    variables = ((app or {}).get("spec") or {}).get("variables") or []
    return [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for variable in variables
        if "secretKeyRef" in (variable.get("valueFrom") or {})
    ]


def secret_object(desired: DesiredFunction, secret_name: str) -> Object:
    """The Secret with the values of the secret variables."""
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {"name": secret_name, "namespace": desired.namespace, "labels": labels(desired.name)},
        "type": "Opaque",
        "stringData": dict(sorted(desired.variables.secret.items())),
    }


def _digest(value: t.Any) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
