# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds out which containerd-shim-spin the cluster's nodes have."""

from __future__ import annotations

from ..errors import PlatformError
from ..function.compatibility.spin_versions import DEFAULT_SHIM_VERSION
from .api import KubernetesApi
from .kinds import NODE
from .labels import NODE_LABEL


def shim_version_of_nodes(api: KubernetesApi) -> str:
    """The oldest shim version among the labelled nodes; DEFAULT_SHIM_VERSION where no node has the label or the user
    may not list nodes."""
    try:
        nodes = api.list_nodes(NODE)
    except PlatformError:
        return DEFAULT_SHIM_VERSION  # tenants usually may not see nodes
    versions = [version for node in nodes if (version := (node["metadata"].get("labels") or {}).get(NODE_LABEL))]
    return min(versions, key=_numbers, default=DEFAULT_SHIM_VERSION)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.lstrip("v").split("-")[0].split(".") if part.isdigit())
