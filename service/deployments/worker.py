# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Works on one deployment, as a process of its own: from the uploaded source to a function that answers.

    python -m ansible_collections.wasmfaas.platform.service.deployments.worker ADAPTERS TENANT FUNCTION NUMBER

ADAPTERS is what `Adapters.to_json` gives. It writes each phase down before it acts on it, so whoever starts it
again after it was killed goes on from what is there: every step may be done twice.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import typing as t

from ...plugins.module_utils import progress
from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.spin_function import run
from ..adapters import Adapters, adapters_of
from ..masking import without_secrets
from ..variables import Variable
from .language import source_language
from .leftovers import MARK, mark
from .log import LogWriter
from .model import Deployment, Phase, now
from .store import Changed

PHASES = {
    "build": Phase.BUILDING,
    "artifact": Phase.PACKING,
    "registry": Phase.PUBLISHING,
    "rollout": Phase.ROLLING_OUT,
    "probe": Phase.ROLLING_OUT,
}
"""The phase of each stage of deploy_function that has one; in the others the phase stays."""

KEEP_LOG_SECONDS = 30.0
"""How much of a log is lost at most with the machine that wrote it."""

_MOST_OTHERS = 3
"""How many functions of the same source are asked for what was built for them."""

_ORDER = (Phase.QUEUED, Phase.BUILDING, Phase.PACKING, Phase.PUBLISHING, Phase.ROLLING_OUT)


def main() -> None:
    """See the module's docstring; waits while another process works on the deployment."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # lets a build's processes end with it
    adapters, tenant, function, number = adapters_of(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    deployment = adapters.deployments.read(tenant, function, number)
    if deployment is None:
        return
    with adapters.holding(deployment):
        deployment = adapters.deployments.read(tenant, function, number)
        if deployment is not None:
            Worker(adapters, deployment).work()


class Worker:
    """Works on one deployment that no other process works on."""

    def __init__(self, adapters: Adapters, deployment: Deployment) -> None:
        self._adapters, self._store, self._deployment = adapters, adapters.deployments, deployment
        self._variables: dict[str, Variable] = {}
        self._work_directory = adapters.work / ".".join(map(str, deployment.key))
        self._source = self._work_directory / "source"
        self._stage = ""
        self._language = ""
        if deployment.attempt > 1:
            with contextlib.suppress(PlatformError):  # the log then begins with this attempt
                adapters.logs.resume(deployment)
        self._log = LogWriter(adapters.logs.file(deployment), self._secrets)
        self._is_replaced = False
        self._keeping, self._is_log_kept = threading.Lock(), threading.Event()

    def work(self) -> None:
        """Bring the deployment to an end, and write down which one it was."""
        if self._deployment.phase.is_finished:
            return
        try:
            with progress.listening(self), self._log_kept_meanwhile():
                self._finish(phase=Phase.READY, **self._deploy())
        except PlatformError as error:
            self._log.line(f"failed: {error.cause}")
            self._log.line(f"next: {self._next_step(error)}")
            facts = {name: self._shown(error.facts[name]) for name in ("command", "exit_code") if name in error.facts}
            self._finish(
                phase=Phase.FAILED,
                reason=self._shown(error.cause),
                next_step=self._shown(self._next_step(error)),
                facts={**self._facts(), **({"stage": error.stage} if error.stage else {}), **facts},
            )
        except BaseException:
            # The service ends, or somebody cancelled: whoever takes the deployment up begins with this log.
            if not self._is_replaced:
                self._keep_log()
            raise
        finally:
            os.environ.pop(MARK, None)  # what this process starts later is no leftover of the build
            shutil.rmtree(self._work_directory, ignore_errors=True)
            self._log.close()

    def _deploy(self) -> dict[str, t.Any]:
        """Deploy the function; gives what changes in the deployment. Raises PlatformError."""
        deployment = self._deployment
        self._variables = self._adapters.variables.read(deployment.tenant, deployment.function)
        if deployment.attempt > 1:
            self._log.line(f"--- attempt {deployment.attempt}: the one before was ended from outside")
        shutil.rmtree(self._work_directory, ignore_errors=True)
        self._work_directory.mkdir(parents=True, mode=0o700)
        self._adapters.sources.unpack(deployment.tenant, deployment.source, self._source)
        self._language = source_language(self._source)
        parameters = self._adapters.parameters(
            deployment.tenant,
            deployment.function,
            source=str(self._source),
            source_root=str(self._source),
            variables={name: variable.value for name, variable in self._variables.items()},
            **deployment.settings.given(),
        )
        builder = self._adapters.builder(deployment, self._work_directory, self._waits)
        result = run(parameters, False, set(), built_as=self._built_as(), builder=builder)
        for warning in result.get("warnings", []):
            self._log.line(f"warning: {warning}")
        self._log.line(f"ready {result['url']}")
        return {
            "changed": result["changed"],
            "url": result["url"],
            "artifact": result["digest"],
            "source_digest": result["source_digest"],
            "stages": {**self._deployment.stages, **result["stages"]},
            "warnings": [self._shown(warning) for warning in result.get("warnings", [])],
            "facts": self._facts(),
        }

    def _facts(self) -> dict[str, str]:
        return {"language": self._language} if self._language else {}

    def _built_as(self) -> tuple[str, ...]:
        """Other functions of the tenant that were built from the same source."""
        own = self._deployment
        others = dict.fromkeys(
            one.function
            for one in self._store.of_tenant(own.tenant)
            if one.function != own.function and one.source == own.source and one.phase is Phase.READY
        )
        return tuple(others)[:_MOST_OTHERS]

    def stage(self, name: str) -> None:
        """See `progress.Listener`."""
        if name == "build":
            os.environ[MARK] = mark(self._deployment)
        elif name:
            os.environ.pop(MARK, None)
        phase = PHASES.get(name)
        if phase is Phase.PUBLISHING and self._deployment.phase is not Phase.PACKING:
            return  # it is only looked there for what was built before
        if phase is not None and name != self._stage:
            self._stage = name
            self._log.line(f"--- {name}")
            if _ORDER.index(phase) > _ORDER.index(self._deployment.phase):
                self._update(phase=phase)

    def _waits(self, reason: str) -> None:
        """Note why the build waits, which an empty reason ends."""
        if self._deployment.reason != reason and not self._deployment.cancelling:
            self._update(reason=reason)

    def line(self, text: str) -> None:
        """See `progress.Listener`."""
        self._log.line(text)

    def _finish(self, **changes: t.Any) -> None:
        # Before, as whoever reads of the end reads the rest of the log next.
        self._keep_log()
        self._update(finished=now(), **changes)

    def _keep_log(self) -> None:
        self._is_log_kept.set()
        with self._keeping:  # else an older state could be kept after this one
            try:
                self._adapters.logs.keep(self._deployment)
            except PlatformError as error:
                self._log.line(f"warning: this log is not kept: {error.cause}")

    @contextlib.contextmanager
    def _log_kept_meanwhile(self) -> t.Iterator[None]:
        """Keep the log now and then: this process may be killed, with the machine that has the file."""

        def keep() -> None:
            while not self._is_log_kept.wait(KEEP_LOG_SECONDS):
                with self._keeping, contextlib.suppress(PlatformError):  # the next time, or at the end
                    if not self._is_log_kept.is_set():
                        self._adapters.logs.keep(self._deployment)

        threading.Thread(target=keep, name="log", daemon=True).start()
        try:
            yield
        finally:
            self._is_log_kept.set()

    def _update(self, **changes: t.Any) -> None:
        """Change the deployment. Only its wish to be cancelled may have been written by somebody else."""
        while True:
            try:
                self._deployment = self._store.update(self._deployment, **changes)
                return
            except Changed:
                live = self._store.read(*self._deployment.key)
                if live is None or live.phase.is_finished or live.attempt != self._deployment.attempt:
                    self._is_replaced = True
                    raise KeyboardInterrupt from None  # it ended, or another process works on it
                self._deployment = live

    def _next_step(self, error: PlatformError) -> str:
        """The error's, for somebody who has the project and the deployment's log, but not this machine's disk."""
        source = str(self._source)
        text = error.next_step.replace(f"cd {source} && ", "").replace(f"{source}/", "").replace(source, "the project")
        log_file = error.facts.get("log_file")
        return text.replace(str(log_file), "the log of the deployment") if log_file else text

    def _shown(self, value: t.Any) -> t.Any:
        return without_secrets(value, self._secrets()) if isinstance(value, str) else value

    def _secrets(self) -> set[str]:
        return {variable.value for variable in self._variables.values() if variable.secret}


if __name__ == "__main__":
    main()
