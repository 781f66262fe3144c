# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of terraform/."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.scripts import cost

from .fleet import Fleet, apply_fleet
from .support import Moto, Terraform, copy_configuration, find_terraform, moto_server, terraform_program


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    return find_terraform(tmp_path_factory.mktemp("terraform-settings"))


@pytest.fixture(scope="session")
def initialized(terraform: Terraform, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A copy of terraform/, ready for validate and test. Starts the apply of the fleet if later tests need it."""
    if any("fleet" in getattr(item, "fixturenames", ()) for item in request.session.items):
        request.getfixturevalue("fleet_underway")
    directory = copy_configuration(tmp_path_factory.mktemp("mocked") / "terraform")
    terraform.initialize(directory)
    return directory


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Moto]:
    with moto_server(tmp_path_factory.mktemp("moto") / "moto.log") as server:
        yield server


@pytest.fixture(scope="session")
def fleet_underway(
    terraform: Terraform, moto: Moto, tmp_path_factory: pytest.TempPathFactory
) -> collections.abc.Iterator[concurrent.futures.Future[Fleet]]:
    """The default fleet while the real provider applies it. This takes 90 seconds, most of which it waits."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=1) as executor:
        yield executor.submit(apply_fleet, terraform, moto, tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="session")
def fleet(fleet_underway: concurrent.futures.Future[Fleet]) -> Fleet:
    """The default fleet, applied once for all tests. Skips if the provider is not available."""
    return fleet_underway.result()


@pytest.fixture(scope="session")
def default_groups() -> dict[str, dict[str, t.Any]]:
    """`node_groups` of the default fleet, independent of a terraform.tfvars in terraform/."""
    terraform_program()
    return t.cast("dict[str, dict[str, t.Any]]", cost.read_variables(Path("/dev/null"))["node_groups"])
