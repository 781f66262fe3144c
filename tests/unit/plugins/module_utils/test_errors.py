# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception that users see."""

from __future__ import annotations

from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError


def test_text_names_stage_cause_and_next_step() -> None:
    error = PlatformError("It is broken.", next_step="mend it.")
    assert str(error) == "It is broken. Next: mend it."
    error.stage = "build"
    assert str(error) == "build: It is broken. Next: mend it."


def test_facts_are_its_own() -> None:
    one, other = PlatformError("a", next_step="b"), PlatformError("a", next_step="b")
    one.facts["key"] = "value"
    assert other.facts == {}
