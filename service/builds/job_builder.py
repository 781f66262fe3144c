# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the build step of a deployment in a Job, for its worker."""

from __future__ import annotations

import base64
import contextlib
import secrets
import shutil
import threading
import time
import typing as t
from pathlib import Path

from ...plugins.module_utils import progress
from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.build.components import BuildOptions
from ...plugins.module_utils.function.builder import downloads
from ...plugins.module_utils.function.manifest.model import Manifest
from ...plugins.module_utils.spinkube.api import Conflict, Forbidden, KubernetesApi, Refused
from ...plugins.module_utils.spinkube.kinds import JOB, POD, SECRET
from ..cluster.settings import BuildSettings
from ..deployments.model import Deployment
from .dependencies import ARCHITECTURES, cache_key
from .dependency_caches import DependencyCaches
from .exchange import Description, Exchange, Failure
from .image import builder_image
from .job import CREATED, Object, job, job_name, secret
from .job_state import JobState
from .result import take_result

LOOK_SECONDS = 2.0
"""How often the Job is looked at; what the build itself says is seen at once."""

BLIND_SECONDS = 600.0
"""How long the API server may be away while a build runs."""

GONE_SECONDS = 120.0
"""How long a deleted Job may take to go."""

_NEXT_SECONDS = 0.1
_SILENT_LOOKS = 5
"""How many looks in a row may show a Job that ended well and handed nothing over: its request may still be written."""


class _HandedToAnother(Exception):
    """A Job that an earlier worker made ended well, and this worker got nothing."""


class JobBuilder:
    """A `Builder` for one deployment. A Job that an earlier worker left at work is waited for, not made again.

    Args:
        api: of the cluster, with the service's own rights.
        exchanges: see `Exchange`; the build endpoint of this replica serves them.
        source: the archive of the source.
        work_directory: for what is handed back; exists.
        waits: called with why the build waits, and with an empty text when it goes on.
        is_cancelled: whether somebody asked for the end of the deployment.
        caches: keeps the dependencies of builds; None keeps none.
    """

    def __init__(
        self,
        api: KubernetesApi,
        settings: BuildSettings,
        deployment: Deployment,
        *,
        exchanges: Path,
        source: Path,
        work_directory: Path,
        waits: t.Callable[[str], None],
        is_cancelled: t.Callable[[], bool],
        caches: DependencyCaches | None = None,
    ) -> None:
        self._api, self._settings, self._deployment = api, settings, deployment
        self._exchange = Exchange(exchanges, deployment.key)
        self._source, self._directory = source, work_directory / "result"
        self._waits, self._is_cancelled, self._caches = waits, is_cancelled, caches

    @contextlib.contextmanager
    def built(self, manifest: Manifest, options: BuildOptions) -> t.Iterator[list[str]]:
        """See `Builder`."""
        if not downloads(manifest) and not any(component.build for component in manifest.components.values()):
            yield []
            return
        image = builder_image(manifest, self._settings.images)
        try:
            key = cache_key(manifest, image) if self._caches is not None else ""
            description = Description(
                profile=manifest.profile, build_timeout=options.timeout_seconds, keeps_dependencies=bool(key)
            )
            try:
                warnings = self._result(image, manifest, description, key)
            except _HandedToAnother:
                progress.tell("What was built went to a worker that has ended; it is built again.")
                warnings = self._result(image, manifest, description, key)
        except PlatformError:
            self._end()
            raise
        except BaseException:
            # Else the service ends, and the replica that takes the deployment up waits for this Job.
            if self._is_cancelled():
                self._end()
            raise
        # While the worker packs what was built; the next build can wait for it, this one's function need not.
        keeping = threading.Thread(target=self._keep_dependencies, args=(key,), name="dependencies", daemon=True)
        keeping.start()
        yield warnings
        keeping.join()

    def _result(self, image: str, manifest: Manifest, description: Description, key: str) -> list[str]:
        """Have the build made and take what it hands back; raises PlatformError."""
        with _told_to_users():
            job_id, bearer, is_new = self._made(image)
        with self._exchange.opened(bearer, self._source, description, self._dependencies(key)):
            with _told_to_users():
                self._secret(job_id, bearer)
            self._wait(is_new=is_new)
            shutil.rmtree(self._directory, ignore_errors=True)
            warnings = take_result(self._exchange.result, manifest, self._directory)
            for architecture in ARCHITECTURES:
                with contextlib.suppress(FileNotFoundError):
                    shutil.move(self._exchange.new_dependencies(architecture), self._new_dependencies(architecture))
            return warnings

    def _dependencies(self, key: str) -> dict[str, Path]:
        """Archives of dependencies for the build, by architecture: its pod's is known when it runs."""
        found: dict[str, Path] = {}
        if self._caches is None or not key:
            return found
        for architecture in ARCHITECTURES:
            target = self._directory.with_name(f"dependencies-{architecture}.tar")
            try:
                if self._caches.fetch(self._deployment.tenant, key, architecture, target):
                    found[architecture] = target
            except (PlatformError, OSError) as error:
                progress.tell(f"The build begins without dependencies of an earlier one: {_cause(error)}")
                break
        return found

    def _keep_dependencies(self, key: str) -> None:
        """Keep what the build handed on for the next one."""
        for architecture in ARCHITECTURES:
            archive = self._new_dependencies(architecture)
            if self._caches is None or not key or not archive.is_file():
                continue
            try:
                self._caches.keep(self._deployment.tenant, key, architecture, archive)
            except (PlatformError, OSError) as error:
                progress.tell(f"The dependencies are not kept for the next build: {_cause(error)}")
            archive.unlink(missing_ok=True)

    def _new_dependencies(self, architecture: str) -> Path:
        return self._directory.with_name(f"new-dependencies-{architecture}.tar")

    def fetch(self, url: str, digest: str) -> Path:
        """See `Builder`; `take_result` checked its digest."""
        return self._directory / "downloads" / digest.removeprefix("sha256:")

    def _made(self, image: str) -> tuple[str, str, bool]:
        """The uid and the bearer of the Job, and whether it was made now: not where one of this deployment is at
        work."""
        namespace, name = self._settings.namespace, job_name(self._deployment)
        end = time.monotonic() + GONE_SECONDS
        while True:
            live = self._api.get(JOB, namespace, name)
            if live is not None and self._is_at_work(live):
                progress.tell("The build that was begun before goes on.")
                return live["metadata"]["uid"], self._bearer() or secrets.token_urlsafe(32), False
            if live is not None:
                if not live["metadata"].get("deletionTimestamp"):
                    self._end()
            else:
                with contextlib.suppress(Conflict):
                    made = self._api.create(JOB, job(self._deployment, image, self._settings))
                    return made["metadata"]["uid"], secrets.token_urlsafe(32), True
            if time.monotonic() > end:
                raise PlatformError(
                    f"The Job {namespace}/{name} of an earlier build does not go away.",
                    next_step="Tell whoever runs the service: `kubectl -n "
                    f"{namespace} get job {name} -o yaml` shows what holds it.",
                )
            time.sleep(_NEXT_SECONDS)  # until the deleted Job is gone

    def _is_at_work(self, live: Object) -> bool:
        metadata, status = live["metadata"], live.get("status") or {}
        ended = any(
            condition.get("status") == "True" and condition.get("type") in ("Complete", "Failed", "FailureTarget")
            for condition in status.get("conditions") or []
        )
        own = (metadata.get("annotations") or {}).get(CREATED) == self._deployment.created
        return own and not ended and not status.get("succeeded") and not metadata.get("deletionTimestamp")

    def _bearer(self) -> str:
        """That of the Job; empty where its Secret was not made yet."""
        found = self._api.get(SECRET, self._settings.namespace, job_name(self._deployment))
        return base64.b64decode(found["data"]["bearer"]).decode() if found else ""

    def _secret(self, job_id: str, bearer: str) -> None:
        desired = secret(self._deployment, bearer, self._settings, job_id)
        end = time.monotonic() + GONE_SECONDS
        while True:
            try:
                self._api.create(SECRET, desired)
                return
            except Conflict:
                if self._bearer() == bearer:
                    return
                # That of a Job that is gone goes after it; nothing of its own waits for that.
                self._api.delete(SECRET, self._settings.namespace, job_name(self._deployment))
                if time.monotonic() > end:
                    raise

    def _wait(self, *, is_new: bool) -> None:
        """Wait until the result is there; raises PlatformError, and _HandedToAnother for a Job of an earlier worker."""
        state = JobState(self._settings, time.monotonic)
        told, silent, following, seen = "", 0, 0.0, time.monotonic()
        while not self._exchange.result.exists():
            if failure := self._exchange.failure():
                raise _error(failure)
            if time.monotonic() >= following:
                following = time.monotonic() + LOOK_SECONDS
                try:
                    found = self._seen()
                except PlatformError:
                    if time.monotonic() - seen > BLIND_SECONDS:
                        raise
                    continue  # the build needs no API server
                seen = time.monotonic()
                live, waiting, ended_well = self._judged(state, *found)
                silent = silent + 1 if ended_well else 0
                if silent > _SILENT_LOOKS and not is_new:
                    raise _HandedToAnother
                if silent > _SILENT_LOOKS:
                    raise PlatformError(
                        "The build ended without handing anything over.",
                        next_step="See that it does not end the processes of others; then deploy again.",
                    )
                if waiting != told and live:
                    told = waiting
                    self._waits(waiting)
                    progress.tell(waiting or "The build runs.")
            time.sleep(_NEXT_SECONDS)  # the endpoint, in another process, writes files and tells nobody
        if told:
            self._waits("")

    def _seen(self) -> tuple[Object | None, list[Object]]:
        """The Job and its pods, oldest first; raises PlatformError where the API server does not answer."""
        namespace, name = self._settings.namespace, job_name(self._deployment)
        live = self._api.get(JOB, namespace, name)
        pods = self._api.list(POD, namespace, labels={"batch.kubernetes.io/job-name": name})
        return live, sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")))

    def _judged(self, state: JobState, live: Object | None, pods: list[Object]) -> tuple[bool, str, bool]:
        """Whether the Job tells anything, why the build waits, and whether the Job ended well; raises PlatformError."""
        namespace, name = self._settings.namespace, job_name(self._deployment)
        if ((live or {}).get("status") or {}).get("succeeded"):
            return True, "", True

        def events() -> list[str]:
            return self._api.events_of(namespace, {name, *(pod["metadata"]["name"] for pod in pods)})

        try:
            return True, state.look(live, pods, events), False
        except PlatformError:
            # What the build itself says of its end is more, and may have come meanwhile.
            time.sleep(_NEXT_SECONDS)
            if self._exchange.failure() or self._exchange.result.exists():
                return False, "", False
            raise

    def _end(self) -> None:
        end_build(self._api, self._settings, self._deployment)


def end_build(api: KubernetesApi, settings: BuildSettings, deployment: Deployment) -> bool:
    """End the build of a deployment with all that it started; gives whether there was a Job of it."""
    return api.delete(JOB, settings.namespace, job_name(deployment))


@contextlib.contextmanager
def _told_to_users() -> t.Iterator[None]:
    """What the API server refuses is no business of whoever uploads, who has no kubeconfig."""
    try:
        yield
    except (Conflict, Forbidden, Refused) as error:
        raise PlatformError(
            f"The build cannot begin: {error.cause}",
            next_step="Deploy again later; if it fails again, tell whoever runs the service.",
        ) from error


def _cause(error: PlatformError | OSError) -> str:
    return error.cause if isinstance(error, PlatformError) else str(error.strerror)


def _error(failure: Failure) -> PlatformError:
    facts: dict[str, t.Any] = {"shown": True}
    if failure.command:
        facts |= {"command": failure.command, "exit_code": failure.exit_code}
    return PlatformError(failure.cause, next_step=failure.next_step, stage="build", facts=facts)
