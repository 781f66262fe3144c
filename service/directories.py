# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the service keeps its things on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Directories:
    """All below the state directory of the collection, so that playbooks see the same functions.

    Attributes:
        state: see `module_utils/directories.py`; local functions lie in it.
        cache: what may be deleted at any time.
        runtime: the installed local runtime (role local_runtime).
    """

    state: Path
    cache: Path
    runtime: Path

    @property
    def service(self) -> Path:
        """What the service alone writes."""
        return self.state / "service"

    @property
    def deployments(self) -> Path:
        """See `FileDeploymentStore`."""
        return self.service / "deployments"

    @property
    def sources(self) -> Path:
        """See `FileSourceStore`."""
        return self.service / "sources"

    @property
    def variables(self) -> Path:
        """See `FileVariableStore`."""
        return self.service / "variables"

    @property
    def work(self) -> Path:
        """Unpacked sources, one directory for each deployment that is worked on."""
        return self.service / "work"
