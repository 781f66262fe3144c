# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory by which the worker of a deployment and the build endpoint of the same replica reach each other.

It is there as long as the worker waits for its build, and so is the bearer. A build that finds none at one replica
tries the other one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import threading
import types
import typing as t
from pathlib import Path

import msgspec

from ...plugins.module_utils import progress
from ...plugins.module_utils.host import whole_file

MOST_LOG_BYTES = 12 << 20
"""Of the log that is taken of one build at all; `deployments.log` keeps less."""

MOST_RESULT_BYTES = 600 << 20
"""Of an archive with what was built; `sources.limits` bounds what comes out of it."""

_SOURCE = "source.archive"
_LONGEST_LINE = 16 << 10


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What a build is told of its work.

    Attributes:
        profile: build profile of spin.toml; None for none.
        build_timeout: seconds for the commands of one component.
        keeps_dependencies: whether there may be dependencies of an earlier build, and new ones are kept.
    """

    profile: str | None
    build_timeout: float
    keeps_dependencies: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a build failed, as it says itself; see `PlatformError`."""

    cause: t.Annotated[str, msgspec.Meta(max_length=32_000)]
    next_step: t.Annotated[str, msgspec.Meta(max_length=4_000)]
    command: t.Annotated[str, msgspec.Meta(max_length=16_000)] = ""
    exit_code: int | None = None


class _About(msgspec.Struct, frozen=True, kw_only=True):
    bearer_digest: str
    description: Description


class Exchange:
    """The place for one build.

    Args:
        root: of all builds of this replica.
        key: of the deployment.
    """

    def __init__(self, root: Path, key: tuple[str, str, int]) -> None:
        # Short, and nothing of what a request says is in it.
        self._directory = root / hashlib.sha256("/".join(map(str, key)).encode()).hexdigest()[:32]

    @contextlib.contextmanager
    def opened(
        self,
        bearer: str,
        source: Path,
        description: Description,
        dependencies: t.Mapping[str, Path] = types.MappingProxyType({}),
    ) -> t.Iterator[None]:
        """For the worker: the endpoint takes the build inside of the context, and its log is told by `progress`.

        Args:
            source: the archive.
            dependencies: archives of earlier builds by architecture; they are moved away.
        """
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)
        about = _About(bearer_digest=_digest(bearer), description=description)
        try:
            # The store may make room for other sources while the build waits for its machine.
            shutil.copyfile(source, self._directory / _SOURCE)
            for architecture, archive in dependencies.items():
                shutil.move(archive, self.dependencies(architecture))
            with _log_received(self._directory):
                whole_file.write(self._directory / "about.json", msgspec.json.encode(about).decode())
                yield
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def failure(self) -> Failure | None:
        """For the worker: why the build failed; None while it has not said so."""
        try:
            return msgspec.json.decode((self._directory / "failure.json").read_bytes(), type=Failure)
        except FileNotFoundError:
            return None

    @property
    def result(self) -> Path:
        """The archive of what was built; appears when it is whole."""
        return self._directory / "result.tar"

    def new_dependencies(self, architecture: str) -> Path:
        """The archive of dependencies that the build hands on; appears when it is whole, and before the result."""
        return self._directory / f"new-dependencies-{architecture}.tar"

    # For the endpoint.

    def admits(self, bearer: str) -> bool | None:
        """Whether this is the bearer of the build; None where no worker waits for it."""
        about = self._about()
        return None if about is None else hmac.compare_digest(about.bearer_digest, _digest(bearer))

    @property
    def source(self) -> Path:
        """The archive; it is not there where no worker waits any more."""
        return self._directory / _SOURCE

    def description(self) -> Description | None:
        """See `Description`; None where no worker waits any more."""
        about = self._about()
        return about.description if about else None

    def fail(self, failure: Failure) -> None:
        """Keep why the build failed; raises OSError."""
        whole_file.write(self._directory / "failure.json", msgspec.json.encode(failure).decode())

    def dependencies(self, architecture: str) -> Path:
        """The archive of dependencies of an earlier build; not there where there is none."""
        return self._directory / f"dependencies-{architecture}.tar"

    def partial(self) -> Path:
        """A name for a file that is not whole yet."""
        return self._directory / f".partial-{os.urandom(8).hex()}"

    @contextlib.contextmanager
    def log_address(self) -> t.Iterator[str]:
        """The socket that takes log lines."""
        with _short(self._directory) as directory:
            yield f"{directory}/log"

    def _about(self) -> _About | None:
        try:
            return msgspec.json.decode((self._directory / "about.json").read_bytes(), type=_About)
        except FileNotFoundError:
            return None


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode("utf-8", "surrogatepass")).hexdigest()


@contextlib.contextmanager
def _short(directory: Path) -> t.Iterator[str]:
    """A path of the directory that is short enough for the address of a socket (108 bytes, unix(7))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _log_received(directory: Path) -> t.Iterator[None]:
    """Tell the lines that the endpoint hands on; one that is sent twice, as its answer was lost, once."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        with _short(directory) as short:
            listener.bind(f"{short}/log")
        listener.listen(4)
        thread = threading.Thread(target=_receive, args=(listener,), name="build-log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _receive(listener: socket.socket) -> None:
    last = 0
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return  # closed: the build is over
        with connection, contextlib.suppress(OSError, ValueError), connection.makefile("rb") as stream:
            connection.settimeout(60)
            number = int(stream.readline(32))
            if number > last:
                last = number
                while line := stream.readline(_LONGEST_LINE):
                    progress.tell(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            else:
                while stream.read(1 << 16):
                    pass
            connection.sendall(b".")
