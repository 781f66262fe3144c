# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs functions as detached processes on this machine.

For callers: `runtime.start`, `runtime.stop`, `runtime.StartRequest`; `state.read`, `state.list_functions`,
`state.lock`, `state.LocalFunction`; `installation.install`. How the processes work together is told in
roles/local_runtime/README.md.
"""
