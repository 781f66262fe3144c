# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest manifest that is accepted. Its last table is that of its component, so that keys can be added."""

from __future__ import annotations

MINIMAL = """spin_manifest_version = 2
[application]
name = "a"
[[trigger.http]]
route = "/..."
component = "a"
[component.a]
source = "a.wasm"
"""
