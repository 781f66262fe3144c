# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One function as it is on one cluster: what is there of it and of its canary."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ..errors import PlatformError
from ..function.model import LiveFunction
from ..function.stages import Stages
from .api import Forbidden, KubernetesApi, MissingKind
from .canary import canary_name, function_of
from .kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    SCALED_OBJECT,
    SPIN_APP,
    Kind,
    Object,
)
from .live import live_function
from .objects import PROGRAM, labels
from .settings import ClusterSettings
from .url import FunctionAddress, function_address
from .version_record import VersionRecord

if t.TYPE_CHECKING:
    from .lock import DeploymentLock

OPTIONAL_KINDS = (HTTP_ROUTE, INTERCEPTOR_ROUTE, SCALED_OBJECT, HORIZONTAL_POD_AUTOSCALER)
"""What a function may have beside its SpinApp and its Secret."""


class ClusterFunction:
    """One function on one cluster. Its SpinApp and its canary are read once; `forget` has them read again."""

    def __init__(
        self, api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings, stages: Stages
    ) -> None:
        self.api = api
        self.namespace = namespace
        self.name = name
        self.settings = settings
        self.stages = stages

    @functools.cached_property
    def app(self) -> Object | None:
        """The function's SpinApp."""
        return self.get(SPIN_APP)

    @functools.cached_property
    def canary(self) -> Object | None:
        """The SpinApp of the function's canary."""
        app = self.api.get(SPIN_APP, self.namespace, self.canary_name)
        return app if function_of(app) == self.name else None

    @functools.cached_property
    def address(self) -> FunctionAddress:
        """Where the Gateway serves the function; raises PlatformError where it cannot."""
        return function_address(self.api, self.namespace, self.name, self.settings)

    @property
    def canary_name(self) -> str:
        return canary_name(self.name)

    @property
    def record(self) -> VersionRecord:
        """What the function remembers of its versions."""
        return VersionRecord.of(self.app)

    @property
    def canary_record(self) -> VersionRecord:
        return VersionRecord.of(self.canary)

    def forget(self) -> None:
        """Read the SpinApps again when they are needed next."""
        for name in ("app", "canary"):
            self.__dict__.pop(name, None)

    def get(self, kind: Kind) -> Object | None:
        """The live object of a kind that has the function's name."""
        return self.api.get(kind, self.namespace, self.name)

    def deployed_app(self) -> Object:
        """The SpinApp as it is now; raises PlatformError where it was deleted meanwhile."""
        app = self.get(SPIN_APP)
        if app is None:
            raise PlatformError(
                "Somebody else deleted the function during the deployment.",
                next_step="Run the same command again to have it.",
            )
        return app

    def live(self) -> LiveFunction | None:
        """The function as users see it; None where there is none."""
        return live_function(self.app, self.get(DEPLOYMENT)) if self.app else None

    def had(self, kind: Kind) -> bool:
        """Whether the function had an object of a kind when it answered last."""
        return _has(self.record, kind)

    def owned(self, kinds: t.Iterable[Kind], *, by_canary: bool = False) -> t.Iterator[tuple[Kind, str]]:
        """The kinds and names of all objects of these kinds that carry the labels of the function, or of its canary.

        What another object owns is deleted with that one: KEDA puts the labels of a ScaledObject on the
        HorizontalPodAutoscaler that it makes. The route of a WASI program with this name is not the function's.
        """
        name = self.canary_name if by_canary else self.name
        for kind in kinds:
            try:
                found = self.api.list(kind, self.namespace, labels=labels(name))
            except MissingKind:
                continue  # nothing can be left of a kind that the cluster does not know
            except Forbidden:
                if kind not in OPTIONAL_KINDS or _has(self.canary_record if by_canary else self.record, kind):
                    raise
                continue  # `checks.check_objects` refuses to write a kind that may not be listed, so there is none
            yield from (
                (kind, item["metadata"]["name"])
                for item in found
                if not item["metadata"].get("ownerReferences") and PROGRAM not in item["metadata"]["labels"]
            )

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[DeploymentLock]:
        """Hold the function's lock, and read again what somebody else may have deployed before we had it."""
        from .lock import deployment_lock  # what is only read takes no lock

        with deployment_lock(self.api, self.namespace, self.name, timeout_seconds=self.settings.wait_timeout) as lock:
            self.forget()
            yield lock


def _has(record: VersionRecord, kind: Kind) -> bool:
    return record.good is not None and any(item["kind"] == kind.kind for item in record.good.objects)
