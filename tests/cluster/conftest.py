# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for the tests of this directory: booted once, and made blank for each test that needs a cluster."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import platform
import shutil
import tempfile
from pathlib import Path

import pytest

from tests import hosts
from tests.k3s_double.build import binary

from .cluster import STAND_IN_SHIM, Cluster

VERSION = "v1.34.1+k3s1"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
NAMES = ("server1", "server2", "server3", "agent1")


@pytest.fixture(scope="package")
def k3s() -> Path:
    """The k3s binary: a real one if K3S_BINARY names it, else the stand-in of tests/k3s_double."""
    return binary(VERSION)


@pytest.fixture(scope="package")
def environment() -> collections.abc.Iterator[hosts.Environment]:
    """Four booted hosts."""
    if reason := hosts.unavailable():
        pytest.skip(reason)
    directory = Path(tempfile.mkdtemp(prefix="wasmfaas-cluster-", dir="/var/tmp"))
    made = hosts.Environment.create(directory / "hosts", NAMES)
    yield made
    made.destroy()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def blank(environment: hosts.Environment, k3s: Path, tmp_path: Path) -> Cluster:
    """Three servers and an agent on blank hosts."""
    wipe_all(environment)
    return cluster_of(environment, k3s, tmp_path)


def wipe_all(environment: hosts.Environment) -> None:
    """Make all hosts blank, and boot them."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: environment.wipe(name, boot=False), NAMES))
    environment.boot(*NAMES)


def cluster_of(environment: hosts.Environment, k3s: Path, directory: Path) -> Cluster:
    """Three servers and an agent on the hosts in their current state."""
    shim = directory / "containerd-shim-spin-v2"
    shim.write_text(STAND_IN_SHIM, encoding="utf-8")
    variables = {
        "k3s_version": VERSION,
        "k3s_binaries": {ARCHITECTURE: str(k3s)},
        "wasm_shims_binaries": {"spin": {ARCHITECTURE: str(shim)}},
        "k3s_cgroup_v1_allowed": True,  # machines that run the tests may have only cgroup v1
        "k3s_minimum_disk_gib": 1,
        "k3s_kubeconfig": str(directory / "kubeconfig.yml"),
        "platform_components": [],  # charts need images
    }
    groups = {"k3s_server/control_plane": ["server1", "server2", "server3"], "k3s_agent/worker_wasm": ["agent1"]}
    return Cluster(environment, directory, groups, variables)
