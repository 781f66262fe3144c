# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much is tested: `make test` runs what proves each behaviour once, `make test-full` every fault on every server
and every boundary between tasks."""

from __future__ import annotations

import os

import pytest

VARIABLE = "WASMFAAS_TESTS"
FULL = os.environ.get(VARIABLE) == "full"
"""Whether this is a run of `make test-full`."""


def only_in_full(covered_by: str) -> pytest.MarkDecorator:
    """A mark for a test, a class or a parameter that runs in `make test-full` alone.

    Args:
        covered_by: what `make test` runs in its place, for the reason that the summary shows.
    """
    return pytest.mark.skipif(not FULL, reason=f"runs in `make test-full`; here: {covered_by}")
