# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The desired function and the live one, and the interface of the targets that run functions."""

from __future__ import annotations

import dataclasses
import typing as t

from .artifact.model import Artifact
from .manifest.model import Manifest
from .variables import VariableValues


@dataclasses.dataclass(frozen=True)
class LiveFunction:
    """A deployed function as its target knows it.

    Attributes:
        source_digest: of the project it was built from; empty where somebody else deployed it.
        image: full reference with digest, as in `registry.example/functions/hello@sha256:…`.
        url: empty for a function without an http trigger.
        status: `ready`, `progressing`, `failed`, `sleeping` (a scaler took the last replica, and a request wakes it)
            or `stopped`.
        details: what only one target knows (replicas, process id, log file, …).
    """

    name: str
    namespace: str
    source_digest: str
    image: str
    url: str
    status: str
    created: str = ""
    details: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The manifest digest in `image`; empty where a tag is deployed."""
        return self.image.partition("@")[2]


@dataclasses.dataclass(frozen=True)
class DesiredFunction:
    """A function as it is asked for.

    Attributes:
        image: full reference with digest; `""` in check mode, where only a build could tell it.
        artifact: None where `image` is already deployed or pushed, so that nothing was built.
    """

    name: str
    namespace: str
    source_digest: str
    image: str
    manifest: Manifest
    variables: VariableValues
    artifact: Artifact | None = None

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]

    @property
    def has_http_trigger(self) -> bool:
        return any(trigger.type == "http" for trigger in self.manifest.triggers)

    @property
    def has_only_http_triggers(self) -> bool:
        """Whether a replica more takes nothing from the others, such as messages."""
        return all(trigger.type == "http" for trigger in self.manifest.triggers)


@dataclasses.dataclass(frozen=True)
class Difference:
    """What a deployment changes at the target, for `changed` and for `--diff`; empty where nothing does."""

    before: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    after: dict[str, t.Any] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.before != self.after


class Target(t.Protocol):
    """Where a function runs."""

    needs_artifact: bool
    """Whether `deploy` needs the artifact itself, not only its reference."""

    def exists(self) -> bool:
        """Whether anything of the function is there."""

    def live(self) -> LiveFunction | None:
        """The live function; read once per run."""

    def shim_version(self) -> str:
        """The oldest containerd-shim-spin that may run the function."""

    def check(self, desired: DesiredFunction) -> list[str]:
        """Refuse what `deploy` would refuse, before anything is built; where `needs_artifact`, again with the artifact
        before it is pushed. Gives warnings; writes nothing."""

    def difference(self, desired: DesiredFunction) -> Difference:
        """What `deploy` would change; writes nothing."""

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        """Deploy the function, wait until it answers, and put the last good version back if it does not."""

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        """Check that an unchanged function answers; start it or wait for it where it does not."""

    def delete(self) -> None:
        """Remove all that belongs to the function."""
