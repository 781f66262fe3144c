# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test servers as pytest fixtures; conftest.py imports them all: `from .support.fixtures import *` or as a
plugin."""

from __future__ import annotations

import collections.abc
from pathlib import Path

import pytest

from .certificates import CertificateAuthority
from .control_plane import ControlPlane
from .definitions import DefinitionsMissingError, definition_files
from .faulty_proxy import FaultyProxy
from .real_parts import SPIN_OPERATOR, SpinOperator
from .registries import PASSWORD, USERNAME, Registry
from .servers import Programs, build
from .spinkube import SpinkubeStandIn
from .token_server_stand_in import TokenServerStandIn

__all__ = [
    "CertificateAuthority",
    "ControlPlane",
    "FaultyProxy",
    "Programs",
    "Registry",
    "SpinOperator",
    "SpinkubeStandIn",
    "TokenServerStandIn",
    "certificate_authority",
    "control_plane",
    "faulty_proxy",
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


@pytest.fixture(scope="session")
def server_programs() -> Programs:
    """The test servers. The first session on a machine builds them in about 10 minutes."""
    return build()


@pytest.fixture(scope="session")
def server_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory for data and logs of this session's servers. pytest keeps those of the last three sessions below
    /tmp/pytest-of-USER."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def certificate_authority(server_directory: Path) -> CertificateAuthority:
    """The private authority of `registry_with_tls`."""
    return CertificateAuthority(server_directory / "authority")


@pytest.fixture(scope="session")
def control_plane(server_programs: Programs, server_directory: Path) -> collections.abc.Iterator[ControlPlane]:
    """A prepared control plane (`ControlPlane.prepare`). Without `spin_operator`, nothing acts on SpinApps."""
    try:
        definition_files()
    except DefinitionsMissingError as error:
        pytest.skip(str(error))
    plane = ControlPlane(server_programs, server_directory / "control_plane")
    try:
        plane.prepare()
        yield plane
    finally:
        plane.stop()


@pytest.fixture(scope="session")
def spin_operator(
    server_directory: Path, control_plane: ControlPlane, certificate_authority: CertificateAuthority
) -> collections.abc.Iterator[SpinOperator]:
    """The real SpinKube operator with its webhooks for `control_plane`. The first session on a machine builds it in
    about 3 minutes."""
    programs = SPIN_OPERATOR.build_or_skip()
    operator = SpinOperator(programs, control_plane, server_directory, certificate_authority)
    try:
        yield operator
    finally:
        operator.stop()


@pytest.fixture(scope="session")
def spinkube_stand_in(
    server_programs: Programs,
    server_directory: Path,
    control_plane: ControlPlane,
    spin_operator: SpinOperator,
    certificate_authority: CertificateAuthority,
) -> collections.abc.Iterator[SpinkubeStandIn]:
    """The stand-in for kubelet, Gateway and KEDA, for `control_plane` with its real operator. It trusts
    `certificate_authority` for registries."""
    assert spin_operator.server.process.poll() is None
    stand_in = SpinkubeStandIn(
        server_programs, control_plane, server_directory, authorities=[certificate_authority.certificate_file]
    )
    try:
        yield stand_in
    finally:
        stand_in.stop()


@pytest.fixture(scope="session")
def registry(server_programs: Programs, server_directory: Path) -> collections.abc.Iterator[Registry]:
    """A registry without TLS and access control."""
    server = Registry(server_programs, server_directory / "registry")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def registry_with_basic_auth(server_programs: Programs, server_directory: Path) -> collections.abc.Iterator[Registry]:
    """A registry that requires `.username` and `.password` by HTTP basic auth."""
    server = Registry(server_programs, server_directory / "registry_with_basic_auth", basic_auth=True)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def token_server(server_directory: Path) -> collections.abc.Iterator[TokenServerStandIn]:
    """The token server of `registry_with_token_auth`. Tests count its requests or shorten its tokens' lifetime."""
    server = TokenServerStandIn(server_directory / "token_server", username=USERNAME, password=PASSWORD)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def registry_with_token_auth(
    server_programs: Programs, server_directory: Path, token_server: TokenServerStandIn
) -> collections.abc.Iterator[Registry]:
    """A registry that requires a Bearer token of `token_server`, which issues it for `.username` and `.password`."""
    server = Registry(server_programs, server_directory / "registry_with_token_auth", token_server=token_server)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def registry_with_tls(
    server_programs: Programs, server_directory: Path, certificate_authority: CertificateAuthority
) -> collections.abc.Iterator[Registry]:
    """A registry with a certificate of `certificate_authority`, whose file is `.authority_file`."""
    server = Registry(server_programs, server_directory / "registry_with_tls", authority=certificate_authority)
    yield server
    server.stop()


@pytest.fixture
def faulty_proxy(registry: Registry) -> collections.abc.Iterator[FaultyProxy]:
    """A proxy for `registry`, without faults at first; each test gets its own."""
    proxy = FaultyProxy(registry.url)
    yield proxy
    proxy.stop()
