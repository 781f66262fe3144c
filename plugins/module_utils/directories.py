# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things are kept on the machine that deploys, after the XDG Base Directory Specification."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory(given: str | None) -> Path:
    """What may be deleted at any time: `${XDG_CACHE_HOME:-~/.cache}/wasmfaas`, or what was given."""
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas"


def state_directory(given: str | None) -> Path:
    """What lasts, such as the data of local functions: `${XDG_STATE_HOME:-~/.local/state}/wasmfaas`, or what was
    given."""
    return (
        Path(given)
        if given
        else Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "wasmfaas"
    )
