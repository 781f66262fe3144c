# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as its users get it: built, installed from the tarball into an empty directory, and run from there."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Installed:
    """The tarball, where it is installed, and an empty directory to work in, without any file of the project."""

    tarball: Path
    collection: Path
    work_directory: Path
    environment: dict[str, str]

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a program of Ansible's, which sees this installation only; output and errors come together."""
        return run_program(self.work_directory, self.environment, program, *arguments)


def run_program(
    directory: Path, environment: dict[str, str], program: str, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).parent / program, *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("packaging")
    work_directory = base / "empty"
    work_directory.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "ANSIBLE_HOME": str(base / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(base / "collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    built = run_program(PROJECT, environment, "ansible-galaxy", "collection", "build", "--output-path", base)
    assert built.returncode == 0, built.stdout
    (tarball,) = base.glob("wasmfaas-platform-*.tar.gz")
    made = run_program(
        work_directory,
        environment,
        "ansible-galaxy",
        "collection",
        "install",
        "--offline",
        tarball,
        "--collections-path",
        base / "collections",
    )
    assert made.returncode == 0, made.stdout
    return Installed(tarball, base / "collections/ansible_collections/wasmfaas/platform", work_directory, environment)
