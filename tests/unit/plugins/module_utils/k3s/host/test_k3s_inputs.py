# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k3s was started with: the record that the unit writes, read back, against the files as they are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.digests import Digests
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import inputs

UNIT = "k3s"


class Root:
    """A host's files under one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, path: str, content: str = "content") -> None:
        (self.directory / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path[1:]).write_text(content, encoding="utf-8")

    def remove(self, path: str) -> None:
        (self.directory / path[1:]).unlink()

    def start(self) -> None:
        """What systemd does before k3s: the line's own shell, with every path below this root."""
        line = inputs.exec_start_pre(UNIT)
        assert line.startswith("ExecStartPre=-/bin/sh -c '")
        script = line.replace("\\\n", " ").partition("'")[2].rpartition("'")[0]
        script = re.sub(r"(?<=[ ;])/(?=usr|etc|var|run)", f"{self.directory}/", script).replace(
            f"grep -vF {self.directory}", "grep -vF "
        )
        subprocess.run(["/bin/sh", "-c", script], check=True)
        record = self.directory / inputs.record_path(UNIT)[1:]
        record.write_text(record.read_text(encoding="utf-8").replace(f" {self.directory}/", " /"), encoding="utf-8")

    def stale(self) -> list[str]:
        return inputs.stale(UNIT, root=str(self.directory), digests=Digests(str(self.directory / "digests.json")))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path)
    made.write(paths.K3S_BINARY, "program")
    made.write(paths.CONFIG, "a: 1")
    made.write(paths.JOIN_CONFIG, "server: x")
    made.write(f"{paths.UNIT_DIRECTORY}/{UNIT}.service", "[Service]")
    return made


pytestmark = pytest.mark.skipif(
    shutil.which("sha256sum") is None, reason="sha256sum, which the unit calls, is not installed"
)


def test_nothing_is_stale_after_a_start(root: Root) -> None:
    root.start()
    assert root.stale() == []
    recorded = inputs.recorded(UNIT, root=str(root.directory))
    assert recorded is not None
    assert sorted(recorded) == sorted([paths.K3S_BINARY, paths.CONFIG, f"{paths.UNIT_DIRECTORY}/{UNIT}.service"])
    assert (root.directory / "run/wasmfaas").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "path",
    [
        paths.K3S_BINARY,
        paths.CONFIG,
        f"{paths.CONFIG_DROP_INS}/extra.yaml",
        paths.REGISTRIES,
        f"{paths.SHIM_DIRECTORY}/containerd-shim-spin-v2",
        paths.CREDENTIAL_PROVIDER_CONFIG,
        f"{paths.CREDENTIAL_PROVIDER_DIRECTORY}/ecr-credential-provider",
        paths.AUDIT_POLICY,
        paths.ADMISSION_CONFIG,
        f"{paths.UNIT_DIRECTORY}/{UNIT}.service",
        f"{paths.UNIT_DIRECTORY}/{UNIT}.service.d/proxy.conf",
    ],
)
def test_every_input_that_comes_changes_or_goes_is_seen(root: Root, path: str) -> None:
    root.start()
    root.write(path, "other content")
    assert root.stale() == [path]
    root.start()
    assert root.stale() == []
    root.remove(path)
    assert root.stale() == [path]
    root.start()
    assert root.stale() == []


@pytest.mark.parametrize(
    "path",
    [
        paths.JOIN_CONFIG,
        f"{paths.SHIM_DIRECTORY}/containerd-shim-spin-v2.wasmfaas-partial",
        paths.TOKEN,
        f"{paths.K3S_BINARY}-old",
    ],
)
def test_what_needs_no_restart(root: Root, path: str) -> None:
    root.start()
    root.write(path, "other content")
    assert root.stale() == []


def test_without_a_record_everything_is_stale(root: Root) -> None:
    assert inputs.recorded(UNIT, root=str(root.directory)) is None
    assert root.stale() == sorted([paths.K3S_BINARY, paths.CONFIG, f"{paths.UNIT_DIRECTORY}/{UNIT}.service"])


def test_units_have_records_of_their_own() -> None:
    assert inputs.record_path("k3s") != inputs.record_path("k3s-agent")
    assert f"{paths.UNIT_DIRECTORY}/k3s-agent.service" in inputs.patterns("k3s-agent")
    assert f"{paths.UNIT_DIRECTORY}/k3s.service" not in inputs.patterns("k3s-agent")


@pytest.mark.parametrize("unit", ["k3s", "k3s-agent"])
def test_the_line_has_nothing_that_systemd_replaces(unit: str) -> None:
    setting = inputs.exec_start_pre(unit)
    assert all(line.endswith(" \\") for line in setting.splitlines()[:-1])
    line = setting.replace("\\\n", " ")
    assert not set('$%\\"') & set(line)
    assert line.count("'") == 2


@pytest.mark.parametrize("unit", ["k3s", "k3s-agent"])
def test_the_unit_that_the_role_writes_has_it(unit: str) -> None:
    template = Path(__file__).resolve().parents[6] / "roles/k3s/templates/k3s.service.j2"
    assert f"\n{inputs.exec_start_pre(unit)}\n" in template.read_text(encoding="utf-8").replace("{{ unit }}", unit)
