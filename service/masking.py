# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blacks out the values of secrets in what users see."""

from __future__ import annotations

import typing as t

from ..plugins.module_utils.module_run import HIDDEN, searched


def without_secrets(text: str, secrets: t.Iterable[str]) -> str:
    """The text with each secret blacked out, except those that are too short to be looked for."""
    for secret in sorted(searched(set(secrets)), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text
