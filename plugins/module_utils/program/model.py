# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a program is to be, and the interface of the targets that run programs."""

from __future__ import annotations

import dataclasses
import typing as t

from ..function.artifact.model import Artifact
from ..function.model import Difference, LiveFunction

Kind = t.Literal["command", "server"]
"""A command runs from its start to its end; a server answers HTTP requests by `wasi:http/incoming-handler`."""

NOT_RUN = 137
"""How containerd-shim-wasmtime ends where it cannot run the program, or the program traps (containerd/runwasi eb9967a,
crates/containerd-shim-wasm/src/sys/unix/container/executor.rs); so does roles/local_runtime/files/command.mjs."""

LAST_LINES = 40
"""How many lines of what a program wrote are shown without being asked for."""


@dataclasses.dataclass(frozen=True)
class DesiredProgram:
    """A program as it is asked for.

    Attributes:
        image: full reference with digest; `""` in check mode, where only a build could tell it.
        kind: None in check mode, where only a build could tell it.
        artifact: None where the target does without, see `ProgramTarget.needs_artifact`, and until it is built.
    """

    name: str
    namespace: str
    source_digest: str
    image: str = ""
    kind: Kind | None = None
    artifact: Artifact | None = None

    @property
    def digest(self) -> str:
        """The manifest digest in `image`."""
        return self.image.partition("@")[2]


class ProgramTarget(t.Protocol):
    """Where a program runs. A live program is described as a live function is.

    Attributes:
        needs_artifact: whether `deploy` needs the artifact itself, also where it was pushed earlier.
    """

    needs_artifact: bool

    def live(self) -> LiveFunction | None:
        """The live program; read once per run."""

    def check(self, desired: DesiredProgram) -> None:
        """Refuse what `deploy` would refuse, as far as it is known; writes nothing."""

    def difference(self, desired: DesiredProgram) -> Difference:
        """What `deploy` would change; writes nothing."""

    def deploy(self, desired: DesiredProgram) -> LiveFunction:
        """Run the program: wait until a command has ended, or a server answers."""

    def ensure_runs(self, desired: DesiredProgram) -> LiveFunction:
        """Wait for an unchanged program that is not where `deploy` would have brought it."""

    def exists(self) -> bool:
        """Whether anything of the program is there."""

    def delete(self) -> None:
        """Remove all that belongs to the program."""
