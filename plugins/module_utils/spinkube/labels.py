# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and annotations that programs without this collection's other parts read too (node_warmer.py)."""

from __future__ import annotations

MANAGED_BY = {"app.kubernetes.io/managed-by": "wasmfaas"}

NODE_LABEL = "wasmfaas.dev/containerd-shim-spin"
"""Set on nodes by the role that installs the shim; its value is the version, as in 0.25.1."""

WARM_NODES = "wasmfaas.dev/warm-nodes"
"""Annotation of a SpinApp, `all` where every node is to start its artifact once (option `warm` of spin_function)."""

WARMED_BY = "wasmfaas.dev/warmed-by"
"""Annotation of a SpinAppExecutor, `servers` where a timer on the cluster's servers does that (role spin_operator)."""
