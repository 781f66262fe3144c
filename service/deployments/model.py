# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment: one source with one set of settings on its way to a function that answers."""

from __future__ import annotations

import datetime
import enum
import typing as t

import msgspec


class Phase(enum.StrEnum):
    """How far a deployment is. A phase is written down before the work of it begins."""

    QUEUED = "Queued"
    BUILDING = "Building"
    PACKING = "Packing"
    PUBLISHING = "Publishing"
    ROLLING_OUT = "RollingOut"
    READY = "Ready"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens to the deployment."""
        return self in (Phase.READY, Phase.FAILED, Phase.CANCELLED)


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Options of the module spin_function that a deployment may set; None takes the module's default.

    Attributes:
        profile: build profile of spin.toml.
        timeout: seconds that the function has for one request.
        build_timeout: seconds for the build commands of one component.
        probe_path: of the request that must be answered after the roll-out.
    """

    profile: t.Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None = None
    timeout: t.Annotated[int, msgspec.Meta(ge=1, le=3600)] | None = None
    build_timeout: t.Annotated[int, msgspec.Meta(ge=1, le=3600)] | None = None
    probe_path: t.Annotated[str, msgspec.Meta(pattern=r"^/[!-~]*\Z", max_length=1024)] | None = None

    def given(self) -> dict[str, t.Any]:
        """Those that are set, by name."""
        found: dict[str, t.Any] = msgspec.to_builtins(self)
        return found


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one deployment; also its JSON form.

    Attributes:
        number: counts 1, 2, 3 … for each function.
        source: tree digest of the uploaded source, `sha256:…`.
        settings_digest: keyed digest of settings and variables; tells two apart without giving secrets away.
        changed: whether the function is another one afterwards; None until that is known.
        artifact: manifest digest of the OCI artifact; empty until there is one.
        source_digest: what module_utils/function/source_digest.py gives for the source.
        stages: seconds by stage of deploy_function, and `queue`.
        reason: why it failed, was cancelled or waits.
        next_step: what the user does about the reason.
        facts: the project's language; of a failure also the stage, the command, its exit code.
        attempt: how often its work was begun.
        requested_by: name of the token.
        created, started, finished: RFC 3339 in UTC; empty until then.
        cancelling: somebody asked for its end.
        revision: counts its changes; a writer names the one that it read.
    """

    number: int
    tenant: str
    function: str
    source: str
    settings: Settings
    settings_digest: str
    requested_by: str
    created: str
    phase: Phase = Phase.QUEUED
    changed: bool | None = None
    url: str = ""
    artifact: str = ""
    source_digest: str = ""
    stages: dict[str, float] = {}
    warnings: list[str] = []
    reason: str = ""
    next_step: str = ""
    facts: dict[str, t.Any] = {}
    attempt: int = 0
    started: str = ""
    finished: str = ""
    cancelling: bool = False
    revision: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        """Identifies it."""
        return self.tenant, self.function, self.number

    @property
    def content(self) -> tuple[str, str]:
        """Two deployments of a function with the same content deploy the same."""
        return self.source, self.settings_digest


def now() -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(start: str, end: str) -> float:
    """Seconds from one RFC 3339 time to another; 0 where one is empty."""
    if not start or not end:
        return 0.0
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)).total_seconds()
