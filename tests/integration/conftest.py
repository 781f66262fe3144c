# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all integration tests: the test servers, and a small function to deploy."""

from __future__ import annotations

import collections.abc
import itertools
from pathlib import Path

import pytest

from .support.deployment import Deployment
from .support.fixtures import *  # noqa: F403  # pytest finds fixtures by their names in this module
from .support.function_project import FunctionProject

_numbers = itertools.count(1)


@pytest.fixture
def project(tmp_path: Path) -> FunctionProject:
    """A small function, alone under its name, which is built in a few milliseconds."""
    return FunctionProject(tmp_path / "project", f"function-{next(_numbers)}")


@pytest.fixture
def deployment(
    control_plane: ControlPlane,  # noqa: F405
    spinkube_stand_in: SpinkubeStandIn,  # noqa: F405
    registry: Registry,  # noqa: F405
    tmp_path: Path,
) -> collections.abc.Iterator[Deployment]:
    """Deploys to the test cluster, and removes what it deployed."""
    made = Deployment(control_plane, spinkube_stand_in, registry, tmp_path / "home")
    yield made
    made.remove_all()
