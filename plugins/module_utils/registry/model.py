# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of the registry step: put an artifact where a cluster or a local runtime reads it, and nothing if it is
there already."""

from __future__ import annotations

import dataclasses
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from ..function.artifact.model import Blob


@dataclasses.dataclass(frozen=True)
class PushResult:
    """What a push did."""

    changed: bool  # a blob, the manifest or the tag was written
    uploaded_blobs: int  # without the manifest
    uploaded_bytes: int
    image: str  # the reference by digest


@dataclasses.dataclass(frozen=True)
class Timeouts:
    """All in seconds but `attempts`; the defaults wait out a restart of a registry, not an outage."""

    connect: float = 10.0
    transfer: float = 60.0  # the longest silence while sending or receiving
    # The longest wait for the answer to a whole blob, which a registry may copy to object storage first.
    commit: float = 300.0
    # The longest wait for an answer that comes drop by drop, after the longest silence that is allowed for it.
    answer: float = 120.0
    # The longest time for the whole of a file that is downloaded.
    download: float = 3600.0
    attempts: int = 5
    first_wait: float = 0.5  # before the second attempt; doubles each time
    total: float = 120.0  # no new attempt at the same thing begins after this
    longest_wait: float = 30.0  # a `Retry-After` above this is an error at once


@dataclasses.dataclass(frozen=True)
class CredentialOptions:
    """The user at the registry; without a name, Docker's and Podman's files and credential helpers are asked."""

    username: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    file: Path | None = None  # a config.json or auth.json to read instead of the usual places


@dataclasses.dataclass(frozen=True)
class AwsOptions:
    """Options for Amazon ECR; boto3's usual rules (environment, ~/.aws, instance role) give those that are None."""

    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = dataclasses.field(default=None, repr=False)
    session_token: str | None = dataclasses.field(default=None, repr=False)
    endpoint_url: str | None = None
    ca_file: Path | None = None


class Storable(t.Protocol):
    """What a store takes: an artifact, an image, or an index over images that are stored already."""

    @property
    def manifest(self) -> Blob:
        """The manifest or the index."""

    @property
    def digest(self) -> str:
        """That of `manifest`."""

    def blobs(self) -> tuple[Blob, ...]:
        """All that must be stored before `manifest` may be."""


class Store(t.Protocol):
    """A place for artifacts. Every method raises PlatformError and nothing else for what a user can act on."""

    def has(self, name: str, digest: str) -> bool:
        """Whether the artifact `digest` (`sha256:<hex>`) of function `name` can be pulled."""

    def push(self, name: str, artifact: Storable, *, tag: str) -> PushResult:
        """Store what is missing, then point `tag` at it. After a failure, another run continues where this one
        stopped."""

    def manifest(self, name: str, reference: str) -> bytes | None:
        """The bytes of the manifest that a tag or a digest names, or None; their sha256 is the artifact's digest."""

    def close(self) -> None:
        """Close the connections."""
