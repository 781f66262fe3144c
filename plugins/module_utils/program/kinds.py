# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of Kubernetes objects that a program consists of."""

from __future__ import annotations

from ..spinkube.kinds import DEPLOYMENT, HTTP_ROUTE, JOB, SERVICE, Kind

RUNTIME_CLASS = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses")

WORKLOADS = (JOB, DEPLOYMENT)
"""A program has one of them."""

BY_NAME = {kind.kind: kind for kind in (HTTP_ROUTE, SERVICE, *WORKLOADS)}
"""All kinds, in the order in which they are deleted, by the `kind` of an object."""
