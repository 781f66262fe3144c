# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test servers for the attacks of one tenant on another, on the cluster and on the account."""

from __future__ import annotations

from tests.integration.support.fixtures import control_plane, server_directory, server_programs

# pytest finds fixtures by their names in this module.
__all__ = ["control_plane", "server_directory", "server_programs"]
