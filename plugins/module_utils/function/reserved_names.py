# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that no new function has."""

from __future__ import annotations

RESERVED_FUNCTIONS = frozenset({"api", "www", "mail", "admin", "auth", "login", "static", "status"})
"""A user may take the host of such a function for one of the platform."""
