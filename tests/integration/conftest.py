# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all integration tests: the test servers, and a small function to deploy."""

from __future__ import annotations

import collections.abc
import itertools
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions

from .support.control_plane import ControlPlane
from .support.deployment import Deployment
from .support.fixtures import (
    certificate_authority,
    control_plane,
    faulty_proxy,
    registry,
    registry_with_basic_auth,
    registry_with_tls,
    registry_with_token_auth,
    server_directory,
    server_programs,
    spin_operator,
    spinkube_stand_in,
    token_server,
)
from .support.function_project import FunctionProject
from .support.registries import Registry
from .support.spinkube import SpinkubeStandIn

# pytest finds fixtures by their names in this module.
__all__ = [
    "api",
    "certificate_authority",
    "control_plane",
    "deployment",
    "faulty_proxy",
    "project",
    "reference_grant",
    "registry",
    "registry_with_basic_auth",
    "registry_with_tls",
    "registry_with_token_auth",
    "server_directory",
    "server_programs",
    "spin_operator",
    "spinkube_stand_in",
    "token_server",
]

_numbers = itertools.count(1)


@pytest.fixture
def project(tmp_path: Path) -> FunctionProject:
    """A small function, alone under its name, which is built in a few milliseconds."""
    return FunctionProject(tmp_path / "project", f"function-{next(_numbers)}")


@pytest.fixture
def deployment(
    control_plane: ControlPlane,
    spinkube_stand_in: SpinkubeStandIn,
    registry: Registry,
    tmp_path: Path,
) -> collections.abc.Iterator[Deployment]:
    """Deploys to the test cluster, and removes what it deployed."""
    made = Deployment(control_plane, spinkube_stand_in.front, registry, tmp_path / "home")
    yield made
    made.remove_all()


@pytest.fixture
def api(control_plane: ControlPlane) -> KubernetesApi:
    """The API of the test cluster, as modules ask it."""
    return KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))


@pytest.fixture
def reference_grant(control_plane: ControlPlane) -> None:
    """What the role keda will make: the way from the namespace `default` to KEDA's interceptor."""
    control_plane.apply(
        {
            "apiVersion": "gateway.networking.k8s.io/v1beta1",
            "kind": "ReferenceGrant",
            "metadata": {"name": "functions", "namespace": "keda"},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
                "to": [{"group": "", "kind": "Service"}],
            },
        }
    )
