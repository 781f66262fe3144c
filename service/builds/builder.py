# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds an uploaded source; what the pod of a build Job runs.

    python -m ansible_collections.wasmfaas.platform.service.builds.builder

Environment variables: WASMFAAS_BUILD_URL (of the build at the build endpoint), WASMFAAS_BUILD_BEARER_FILE,
WASMFAAS_BUILD_DIRECTORY (to work in). Exit codes: 0 the result was taken; 1 the build failed, and the endpoint knows
why; 75 the endpoint could not be reached.
"""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import shutil
import signal
import sys
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import msgspec

from ...plugins.module_utils import progress
from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.build.components import BuildOptions
from ...plugins.module_utils.function.builder import LocalBuilder, downloads
from ...plugins.module_utils.function.manifest.parse import read_manifest
from ..sources.archive import unpack
from .dependencies import architecture, pack_dependencies, take_dependencies
from .exchange import MOST_RESULT_BYTES, Description, Failure
from .job import TRY_AGAIN
from .result import NamedFiles, write_result

REACH_SECONDS = 300.0
"""How long the endpoint may be away: another replica takes over meanwhile."""

MOST_PROCESSES = 2048
"""Of the user of builds on one machine, or in the user namespace of the pod: a build that forks without end stops
there. The kubelet's `pod-max-pids` bounds a single pod, where it is set."""

_BATCH_BYTES = 64 << 10
_WAITING_LINES = 1000
_LONGEST_LINE = 4096
_KILLED = (-9, 137)
"""Exit codes of a command that SIGKILL ended: that of the shell, and what the shell says of its child."""

_MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")
_CHUNK = 1 << 20


class Unreachable(Exception):
    """The endpoint does not answer, or not this build any more."""


class Endpoint:
    """The build endpoint, as the builder sees it. A replica that does not know the build is one that does not work on
    it; the next connection may reach the other.

    Args:
        reach_seconds: how long it may be away.
    """

    def __init__(self, url: str, bearer: str, reach_seconds: float = REACH_SECONDS) -> None:
        self._url, self._bearer, self._reach_seconds = url, bearer, reach_seconds

    def description(self) -> Description:
        """What to build; raises Unreachable."""
        return msgspec.json.decode(self._send("GET", "").content, type=Description)

    def fetch_source(self, target: Path) -> None:
        """Write the archive of the source; raises Unreachable."""
        self._fetched("/source", target)

    def _fetched(self, suffix: str, target: Path) -> httpx2.Response:
        """The answer to a GET, whose body is written to `target` where it has the status 200; raises Unreachable."""

        def write(client: httpx2.Client) -> httpx2.Response:
            with client.stream("GET", f"{self._url}{suffix}") as response:
                if response.status_code == 200:
                    with target.open("wb") as stream:
                        for data in response.iter_bytes():
                            stream.write(data)
            return response

        return self._tried(write)

    def fetch_dependencies(self, architecture: str, target: Path) -> bool:
        """Write the archive with dependencies of an earlier build to `target`; gives whether there is one. Raises
        Unreachable."""
        return self._fetched(f"/dependencies/{architecture}", target).status_code == 200

    def send_dependencies(self, architecture: str, archive: Path) -> None:
        """Hand on dependencies for later builds; raises Unreachable."""
        size = str(archive.stat().st_size)
        self._send("PUT", f"/dependencies/{architecture}", lambda: _pieces(archive), {"Content-Length": size})

    def send_log(self, number: int, lines: bytes) -> bool:
        """Send lines; gives whether more are taken. Raises Unreachable."""
        headers = {"Batch": str(number)}
        return self._send("POST", "/log", lambda: lines, headers, allowed=(413,)).status_code != 413

    def send_failure(self, failure: Failure) -> None:
        """Tell why the build failed; raises Unreachable."""
        content = msgspec.json.encode(failure)
        self._send("PUT", "/failure", lambda: content)

    def send_result(self, archive: Path) -> None:
        """Hand the result over; raises Unreachable, PlatformError where it is too large."""
        size = archive.stat().st_size
        if size > MOST_RESULT_BYTES:
            raise PlatformError(
                f"What was built has {size >> 20} MiB, and {MOST_RESULT_BYTES >> 20} MiB are taken.",
                next_step="Have the build make smaller Wasm files (a release build), or name fewer files in spin.toml.",
            )
        self._send("PUT", "/result", lambda: _pieces(archive), {"Content-Length": str(size)})

    def _send(
        self,
        method: str,
        suffix: str,
        content: t.Callable[[], bytes | t.Iterator[bytes]] = lambda: b"",
        headers: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> httpx2.Response:
        return self._tried(
            lambda client: client.request(method, f"{self._url}{suffix}", content=content(), headers=headers), allowed
        )

    def _tried(
        self, send: t.Callable[[httpx2.Client], httpx2.Response], allowed: tuple[int, ...] = ()
    ) -> httpx2.Response:
        """The answer to a request, sent until one replica takes it; raises Unreachable."""
        end = time.monotonic() + self._reach_seconds
        wait = 0.1
        while True:
            try:
                # A client for each try: a kept connection would lead to the same replica again.
                with httpx2.Client(
                    headers={"Authorization": f"Bearer {self._bearer}"},
                    timeout=httpx2.Timeout(330, connect=10),
                    trust_env=False,  # HTTP_PROXY is for the build
                ) as client:
                    response = send(client)
                if response.is_success or response.status_code in allowed:
                    return response
                problem = f"HTTP {response.status_code}"
                if response.status_code not in (404, 429) and response.status_code < 500:
                    raise Unreachable(f"{self._url} refuses: {problem}")
            except httpx2.TransportError as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() + wait > end:
                raise Unreachable(f"{self._url} cannot be reached: {problem}")
            time.sleep(wait)  # a replica takes over within seconds
            wait = min(2 * wait, 5.0)


class LogSender:
    """Sends what `progress` tells, in batches; use as a context. Who prints faster than lines are taken waits."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lines: queue.Queue[bytes | None] = queue.Queue(_WAITING_LINES)
        self._is_full = False
        self._error: Unreachable | None = None
        self._thread = threading.Thread(target=self._send, name="log", daemon=True)

    def __enter__(self) -> LogSender:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Wait until all was sent."""
        self._lines.put(None)
        self._thread.join()

    def stage(self, name: str) -> None:
        """See `progress.Listener`; the worker tells the stages."""

    def line(self, text: str) -> None:
        """See `progress.Listener`; raises Unreachable."""
        if self._error is not None:
            raise self._error
        if not self._is_full:
            self._lines.put(text[-_LONGEST_LINE:].replace("\n", " ").encode("utf-8", "replace") + b"\n")

    def _send(self) -> None:
        number = 0
        while (line := self._lines.get()) is not None:
            batch = bytearray(line)
            ended = False
            with contextlib.suppress(queue.Empty):
                while len(batch) < _BATCH_BYTES:
                    following = self._lines.get_nowait()
                    if following is None:
                        ended = True
                        break
                    batch += following
            number += 1
            try:
                if not self._is_full and self._error is None:
                    self._is_full = not self._endpoint.send_log(number, bytes(batch))
            except Unreachable as error:
                self._error = error  # told by the next `line`; until the end the queue is emptied
            if ended:
                return


def main() -> int:
    """Build; gives the exit code."""
    _bound_processes()
    # As the first process of a container it has no handlers but its own.
    signal.signal(signal.SIGTERM, lambda *_arguments: os._exit(128 + signal.SIGTERM))
    bearer = Path(os.environ["WASMFAAS_BUILD_BEARER_FILE"]).read_text(encoding="utf-8").strip()
    endpoint = Endpoint(os.environ["WASMFAAS_BUILD_URL"], bearer)
    directory = Path(os.environ["WASMFAAS_BUILD_DIRECTORY"]).absolute()
    try:
        return build(endpoint, directory)
    except Unreachable as error:
        print(error, file=sys.stderr)
        return TRY_AGAIN


def _bound_processes() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    most = MOST_PROCESSES if hard == resource.RLIM_INFINITY else min(MOST_PROCESSES, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def build(endpoint: Endpoint, directory: Path) -> int:
    """Build what the endpoint has, and hand the result over; gives the exit code. Raises Unreachable."""
    try:
        with LogSender(endpoint) as log, progress.listening(log):
            archive = _built(endpoint, directory)
        endpoint.send_result(archive)
    except PlatformError as error:
        endpoint.send_failure(_failure(error, directory))
        return 1
    return 0


def _built(endpoint: Endpoint, directory: Path) -> Path:
    """Build the source; gives the archive of the result. Raises Unreachable, PlatformError."""
    source, project = directory / "source.archive", directory / "project"
    description = endpoint.description()
    endpoint.fetch_source(source)
    # Of an earlier container of the same pod there is nothing: it is never started again.
    project.mkdir(parents=True)
    for name in ("home", "outputs"):
        (directory / name).mkdir(exist_ok=True)
    unpack(source, project)
    source.unlink()
    manifest = read_manifest(project, profile=description.profile, source_root=project)
    before = NamedFiles(manifest)
    options = BuildOptions(
        directory / "cache", directory / "outputs", directory / "build.log", description.build_timeout
    )
    builder = LocalBuilder(directory / "downloads")
    dependencies = Dependencies(endpoint, directory) if description.keeps_dependencies and architecture() else None
    if dependencies:
        dependencies.take()
    with builder.built(manifest, options) as warnings:
        downloaded = {digest: builder.fetch(url, digest) for digest, url in downloads(manifest).items()}
        archive = directory / "result.tar"
        write_result(manifest, before, downloaded, warnings, archive)
    if dependencies:
        dependencies.hand_on()
    return archive


class Dependencies:
    """What package managers download, from an earlier build with the same lock files to the next one. A build never
    fails for them.

    Args:
        directory: of the build; its `home` is the build's HOME.
    """

    def __init__(self, endpoint: Endpoint, directory: Path) -> None:
        self._endpoint, self._directory, self._home = endpoint, directory, directory / "home"
        self._known: frozenset[str] = frozenset()

    def take(self) -> None:
        """Fetch those of an earlier build; raises Unreachable."""
        archive = self._directory / "dependencies.tar"
        if not self._endpoint.fetch_dependencies(architecture(), archive):
            return
        size = archive.stat().st_size
        unpacked = self._directory / "dependencies"
        try:
            self._known = take_dependencies(archive, self._home, unpacked)
            progress.tell(f"The build begins with {size >> 20} MiB of dependencies of an earlier one.")
        except PlatformError as error:
            progress.tell(f"The dependencies of an earlier build are not used: {error.cause}")
        finally:
            archive.unlink()
            shutil.rmtree(unpacked, ignore_errors=True)

    def hand_on(self) -> None:
        """Send what is new; raises Unreachable."""
        archive = self._directory / "new-dependencies.tar"
        try:
            if pack_dependencies(self._home, self._known, archive):
                self._endpoint.send_dependencies(architecture(), archive)
        except PlatformError as error:
            progress.tell(f"The dependencies are not kept for the next build: {error.cause}")
        finally:
            archive.unlink(missing_ok=True)


def _failure(error: PlatformError, directory: Path) -> Failure:
    """The failure for somebody who has the project, but not this pod."""
    project = str(directory / "project")

    def shown(text: str) -> str:
        text = text.replace(str(error.facts.get("log_file") or "\0"), "the log of the deployment")
        return text.replace(f"cd {project} && ", "").replace(f"{project}/", "").replace(project, "the project")

    exit_code = error.facts.get("exit_code")
    cause, next_step = shown(error.cause), shown(error.next_step)
    if exit_code in _KILLED or _out_of_memory():
        cause = f"{cause}\nIt was killed, as happens to a build that takes more memory than it may have."
        next_step = "Have the build do less at once (fewer parallel jobs), or ask whoever runs the service for more."
    return Failure(
        cause=cause[-30_000:],
        next_step=next_step[:4000],
        command=str(error.facts.get("command") or "")[:16_000],
        exit_code=exit_code if isinstance(exit_code, int) else None,
    )


def _out_of_memory() -> bool:
    """Whether the kernel killed a process of this container because its memory is used up (cgroup v2)."""
    with contextlib.suppress(OSError, ValueError):
        events = dict(line.split() for line in _MEMORY_EVENTS.read_text(encoding="ascii").splitlines())
        return int(events.get("oom_kill", 0)) > 0
    return False


def _pieces(file: Path) -> t.Iterator[bytes]:
    with file.open("rb") as stream:
        while data := stream.read(_CHUNK):
            yield data


if __name__ == "__main__":
    sys.exit(main())
