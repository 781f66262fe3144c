# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the stages of a deployment, tells when one begins, and notes in an error the stage that failed."""

from __future__ import annotations

import contextlib
import time
import typing as t

from .. import progress
from ..errors import PlatformError


class Stages:
    """Use as `with stages("build"): …`; `seconds` is what the result reports."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> t.Iterator[None]:
        started = time.monotonic()
        progress.tell_stage(name)
        try:
            yield
        except PlatformError as error:
            error.stage = error.stage or name
            raise
        finally:
            progress.tell_stage("")
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)
