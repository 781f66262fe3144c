# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of site.yml accepts the disks, memory and operating system of the machines that Terraform makes by default,
for every group and every machine type.

These tests make the file system of a data volume as the machine does, with mke2fs. For a root volume they use the
constants below.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan import machine_checks
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.plan.hosts import Host, Settings

from .support import PROJECT, TERRAFORM

GIB = 1024**3

SYSTEM_BYTES = 2 * GIB
"""What the image and the first boot use on a root volume: about 1.7 GiB on Amazon Linux 2023, the default."""

RESERVED_SHARE = 0.05
"""What a root file system reserves: ext4 reserves 5 % for root, xfs (Amazon Linux) 1 to 2 % for its log and reserve."""

MACHINE_TYPES = {
    "t4g.medium": (2, 4),
    "t4g.large": (2, 8),
    "t4g.xlarge": (4, 16),
    "m6g.xlarge": (4, 16),
    "m7g.xlarge": (4, 16),
    "c6g.large": (2, 4),
    "c7g.large": (2, 4),
    "c6g.xlarge": (4, 8),
    "c6gn.xlarge": (4, 8),
    "c7g.xlarge": (4, 8),
    "c8g.xlarge": (4, 8),
}
"""vCPUs and GiB of memory by machine type (aws.amazon.com/ec2/instance-types)."""

USABLE_MEMORY = 0.92
"""Share of the memory that the kernel reports: 3.7 of the 4 GiB of a t4g.medium."""

SERVER_CPUS, AGENT_CPUS = 2, 1
"""Minimum of CPUs according to docs.k3s.io, installation/requirements."""

IMAGE = {
    "os": {"id": "amzn", "version_id": "2023", "id_like": "fedora"},
    "architecture": "arm64",
    "systemd": True,
    "cgroup": "v2",
    "selinux": "permissive",
    "time_synchronized": True,
}
"""Facts of Amazon Linux 2023, the default image of variables.tf (docs.aws.amazon.com/linux/al2023: cgroup v2, SELinux
permissive, chrony with Amazon's time service)."""


@pytest.fixture(scope="module")
def settings() -> Settings:
    defaults = yaml.safe_load((PROJECT / "roles/k3s/defaults/main.yml").read_text(encoding="utf-8"))
    return Settings(minimum_disk_bytes=int(defaults["k3s_minimum_disk_gib"] * GIB))


def test_every_default_machine_passes_the_plan(
    default_groups: dict[str, dict[str, t.Any]], settings: Settings, tmp_path: Path
) -> None:
    assert set(default_groups) == {"control-plane", "observability", "worker-wasm", "worker-build", "worker-backend"}
    for name, group in default_groups.items():
        space = _space(group, tmp_path)
        assert space["free_bytes"] >= settings.minimum_disk_bytes, (
            f"{name} has {space['free_bytes'] / GIB:.2f} GiB below /var/lib/rancher"
        )
        for machine_type in group["instance_types"]:
            host = _host(f"{name} on {machine_type}", group, machine_type, space)
            problems = [
                problem.what
                for problem in machine_checks.machine_problems(host) + machine_checks.space_problems(host, settings)
            ]
            assert problems == [], f"{host.name}: {problems}"
            assert machine_checks.warnings(host) == [], host.name
            assert MACHINE_TYPES[machine_type][0] >= (SERVER_CPUS if group["server"] else AGENT_CPUS), host.name


@pytest.mark.parametrize(("root", "data"), [(10, 12), (14, 0)])
def test_smallest_volumes_that_terraform_takes_pass_the_plan(
    settings: Settings, tmp_path: Path, root: int, data: int
) -> None:
    """The run smallest_volumes of validations.tftest.hcl has these sizes. Other runs there show that Terraform refuses
    volumes that are 1 GiB smaller."""
    text = (TERRAFORM / "tests/validations.tftest.hcl").read_text(encoding="utf-8")
    smallest = re.search(r'run "smallest_volumes" \{(.*?)\n\}', text, re.DOTALL)
    assert smallest and f"root_volume_gib = {root}" in smallest[1]
    assert not data or f"data_volume_gib = {data}" in smallest[1]
    space = _space({"root_volume_gib": root, "data_volume_gib": data}, tmp_path)
    assert space["free_bytes"] >= settings.minimum_disk_bytes


def test_the_plan_refuses_a_data_volume_of_ten_gib(settings: Settings, tmp_path: Path) -> None:
    """An ext4 on 10 GiB offers 9.2 GiB."""
    space = _space({"root_volume_gib": 20, "data_volume_gib": 10}, tmp_path)
    host = _host("control-plane", {"server": True}, "t4g.medium", space)
    assert [problem.what for problem in machine_checks.space_problems(host, settings)] == [
        "/var/lib/rancher has 9.2 GiB free, a new node needs 10 GiB"
    ]


def _host(name: str, group: dict[str, t.Any], machine_type: str, space: dict[str, int]) -> Host:
    memory = int(MACHINE_TYPES[machine_type][1] * GIB * USABLE_MEMORY)
    info = {"node": {**IMAGE, "memory_bytes": memory, "disk": {"/var/lib/rancher": space}}}
    return Host(name, "server" if group["server"] else "agent", info=info)


def _space(group: dict[str, t.Any], directory: Path) -> dict[str, int]:
    """What statvfs(2) reports for the file system with /var/lib/rancher. It is on the data volume if there is one, else
    on the root volume."""
    if not group["data_volume_gib"]:
        total = int(group["root_volume_gib"] * GIB * (1 - RESERVED_SHARE))
        return {"total_bytes": total, "free_bytes": total - SYSTEM_BYTES}
    # The command of mount_data_volume.sh.tftpl, on a sparse file instead of a volume.
    script = (TERRAFORM / "modules/machine/files/mount_data_volume.sh.tftpl").read_text(encoding="utf-8")
    command = re.search(r'mkfs\.ext4 (.*) "\$device"', script)
    program, reader = (shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") for name in ("mkfs.ext4", "dumpe2fs"))
    if not program or not reader:
        pytest.skip("e2fsprogs is not installed; its mkfs.ext4 makes the file system of a data volume.")
    assert command
    volume = directory / f"volume-{group['data_volume_gib']}"
    with volume.open("wb") as file:
        file.truncate(group["data_volume_gib"] * GIB)
    subprocess.run([program, "-F", *command[1].split(), str(volume)], check=True, capture_output=True)
    told = subprocess.run([reader, "-h", str(volume)], check=True, capture_output=True, text=True).stdout
    volume.unlink()
    count = {key: int(value) for key, value in re.findall(r"^([A-Z][A-Za-z ]+):\s+(\d+)$", told, re.MULTILINE)}
    size = count["Block size"]
    return {
        "total_bytes": count["Block count"] * size,
        "free_bytes": (count["Free blocks"] - count["Reserved block count"]) * size,
    }
