# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a function consist of other objects: applies them, waits, calls the function, and puts the last good version
back where it does not answer."""

from __future__ import annotations

from ..errors import PlatformError
from ..function.model import LiveFunction
from .answers import ensure_function_answers
from .canary import with_canary
from .checks import check_objects
from .cluster_function import ClusterFunction
from .kinds import BY_NAME, DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, HTTP_ROUTE, SCALED_OBJECT, SECRET, SPIN_APP, Object
from .live import live_function
from .lock import DeploymentLock
from .objects import SETTINGS_DIGEST, FunctionObjects
from .removal import prune, remove_function
from .rollout import AsleepError, is_asleep, wait_for_rollout
from .undo import undone_on_error
from .wake import kept_awake, wake

_SCALER_TIMEOUT_SECONDS = 20.0
_SCALED_ALREADY = "is already managed by the hpa"


class VersionChange:
    """The change of a function from what it is to other objects.

    Args:
        secret: a Secret that has to be made for them.
    """

    def __init__(self, function: ClusterFunction, objects: FunctionObjects, secret: Object | None = None) -> None:
        self._function = function
        self._objects = objects
        self._secret = secret
        self._previous = function.app
        self._record = function.record

    def roll_out(self, lock: DeploymentLock) -> LiveFunction:
        """Do it; raises PlatformError where the function does not come up, after the last good version is back."""
        function = self._function
        check_objects(function, self._objects)
        self._wake_for_another_scaler()
        with undone_on_error(lock, self._undo, failed="putting the previous version back did not succeed"):
            with function.stages("apply"):
                if self._secret is not None:
                    function.api.apply(SECRET, self._secret)
                self._apply(self._objects)
            live = self._wait()
            lock.ensure_held()
        with function.stages("apply"):
            lock.ensure_held()
            self._remember()
        return live

    def _wake_for_another_scaler(self) -> None:
        """Wake a function that sleeps if a HorizontalPodAutoscaler is to have it, which scales nothing that is at 0
        replicas (Kubernetes v1.36: pkg/controller/podautoscaler/horizontal.go, ScalingDisabled)."""
        function, good = self._function, self._record.good
        takes_over = bool(self._objects.scaling) and not self._objects.scale_by_requests
        if takes_over and good is not None and good.objects.scale_by_requests and is_asleep(function.get(DEPLOYMENT)):
            with function.stages("apply"):
                wake(function, good.objects)

    def _apply(self, objects: FunctionObjects) -> None:
        function = self._function
        for item in objects:
            kind = BY_NAME[item["kind"]]
            if kind is SCALED_OBJECT:
                self._apply_scaled_object(item)
            elif kind is HTTP_ROUTE:  # it leads to the canary as well while there is one
                function.api.apply(kind, with_canary(item, function.canary_record.weight))
            else:
                function.api.apply(kind, self._record.written_to(item) if kind is SPIN_APP else item)

    def _apply_scaled_object(self, scaled_object: Object) -> None:
        """Apply a ScaledObject, after the function's HorizontalPodAutoscaler is deleted.

        KEDA's webhook refuses a ScaledObject while an autoscaler of somebody else has the Deployment, and learns of its
        deletion a moment later (KEDA v2.20.2: apis/keda/v1alpha1/scaledobject_webhook.go, verifyHpas).
        """
        import tenacity

        function = self._function
        replaced = list(function.owned((HORIZONTAL_POD_AUTOSCALER,)))
        for kind, name in replaced:
            function.api.delete(kind, function.namespace, name)
        tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: bool(replaced) and isinstance(error, PlatformError) and _SCALED_ALREADY in error.cause
            ),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(_SCALER_TIMEOUT_SECONDS),
            reraise=True,
        )(lambda: function.api.apply(SCALED_OBJECT, scaled_object))

    def _wait(self) -> LiveFunction:
        function = self._function
        if not function.settings.wait:
            return live_function(function.deployed_app(), None)
        with kept_awake(function, self._objects):
            try:
                with function.stages("rollout"):
                    deployment = wait_for_rollout(
                        function.api,
                        self._objects.app,
                        timeout_seconds=function.settings.wait_timeout,
                        must_run=self._objects.scale_by_requests,
                    )
            except AsleepError:
                with function.stages("probe"):  # says what keeps requests from it, where it is the way there
                    ensure_function_answers(function, self._objects, timeout_seconds=0)
                raise
        if self._objects.route is not None:
            with function.stages("probe"):
                ensure_function_answers(function, self._objects)
        return live_function(function.deployed_app(), deployment)

    def _remember(self) -> None:
        """Remember this version as the good one, and delete what belonged only to earlier ones."""
        record = self._record.after(self._objects, answered=self._function.settings.wait)
        self._function.api.apply(SPIN_APP, record.written_to(self._objects.app))
        prune(self._function, self._objects, record.good_app)

    def _undo(self, error: BaseException) -> str:
        """Put the last good version back, or the SpinApp that somebody else deployed; delete a function that never
        answered."""
        function, good = self._function, self._record.good
        restored = good.objects if good else _as_somebody_deployed(self._previous)
        if restored is None:
            remove_function(function)
            return "nothing of it was left on the cluster"
        self._apply(restored)
        prune(function, restored)
        if function.settings.wait and isinstance(error, PlatformError):  # whoever interrupts does not want to wait
            wait_for_rollout(function.api, restored.app, timeout_seconds=function.settings.wait_timeout)
        return "the previous version was put back"


def _as_somebody_deployed(app: Object | None) -> FunctionObjects | None:
    """The SpinApp as it was, to be applied; None where there was none, or a deployment of ours that never answered."""
    if app is None or SETTINGS_DIGEST in (app["metadata"].get("annotations") or {}):
        return None
    metadata = {
        key: app["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in app["metadata"]
    }
    metadata.setdefault("annotations", {})
    return FunctionObjects(
        {"apiVersion": app["apiVersion"], "kind": app["kind"], "metadata": metadata, "spec": app["spec"]}
    )
