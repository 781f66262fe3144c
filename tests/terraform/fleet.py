# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The default fleet on the moto server, and the inventory that Ansible sees."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
import zipfile
from pathlib import Path

import pytest

from .support import CREDENTIALS, PROJECT, Moto, Terraform, copy_configuration

# The newest release with the same ansible-core as this project. It is one wheel of 50 MB with all collections; only
# amazon.aws is extracted and cached.
ANSIBLE_PACKAGE = "ansible==12.3.0"
VARIABLES = {
    "pull_through_cache": {},  # moto lacks CreatePullThroughCacheRule
    "admin_cidrs": ["198.51.100.0/24"],
    "ssh_public_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPZ8mQb0pGm8m6cW1bq0p9Wm8m6cW1bq0p9Wm8m6cW1b test",
}


@dataclasses.dataclass(frozen=True)
class Fleet:
    """The copy of terraform/ in `directory`, applied to the moto server."""

    terraform: Terraform
    moto: Moto
    directory: Path

    def plan(self, *arguments: str) -> tuple[list[str], float]:
        """The changes that the next apply would make, and the seconds that the plan took."""
        started = time.monotonic()
        done = self.terraform.run(self.directory, "plan", "-json", "-detailed-exitcode", *arguments, expected=(0, 2))
        seconds = time.monotonic() - started
        messages = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return [
            f"{m['change']['action']} {m['change']['resource']['addr']}"
            for m in messages
            if m["type"] == "planned_change"
        ], seconds

    def apply(self, *arguments: str) -> str:
        """Apply. Returns what it did, as `1 added, 0 changed, 1 destroyed`."""
        done = self.terraform.run(self.directory, "apply", "-auto-approve", "-no-color", *arguments)
        return done.stdout.rpartition("Apply complete! Resources: ")[2].partition(".")[0]

    def inventory(self, *sources: Path) -> dict[str, t.Any]:
        """The output of `ansible-inventory --list`."""
        return t.cast("dict[str, t.Any]", json.loads(self.ansible("ansible-inventory", sources, "--list")))

    def ansible(
        self, program: str, sources: tuple[Path, ...], *arguments: str, environment: dict[str, str] | None = None
    ) -> str:
        options = [part for source in sources for part in ("-i", str(source))]
        # The user's settings must not matter, so it gets its own home.
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
        settings |= {
            **CREDENTIALS,
            "ANSIBLE_COLLECTIONS_PATH": f"{amazon_aws()}:{PROJECT / '.ansible/collections'}",
            "AWS_ENDPOINT_URL": self.moto.url,
            "ANSIBLE_HOME": str(self.directory / ".ansible"),
        }
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *options, *arguments],
            env=settings | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
            cwd=PROJECT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def apply_fleet(terraform: Terraform, moto: Moto, directory: Path) -> Fleet:
    fleet = new_fleet(terraform, moto, directory)
    fleet.apply()
    return fleet


def new_fleet(terraform: Terraform, moto: Moto, parent: Path) -> Fleet:
    """A fleet that is not applied yet."""
    directory = copy_configuration(parent / "terraform")
    moto.override(directory)
    (directory / "test.auto.tfvars.json").write_text(json.dumps(VARIABLES), encoding="utf-8")
    terraform.initialize(directory)
    return Fleet(terraform.at(moto), moto, directory)


@contextlib.contextmanager
def many_machines(moto: Moto, directory: Path, count: int = 200) -> collections.abc.Iterator[Path]:
    """Start `count` machines of an autoscaled group of a cluster `large`, and yield the inventory that lists them: a
    copy of inventories/aws_autoscaled with that name."""
    ec2 = moto.client("ec2")
    tags = {
        "wasmfaas:cluster": "large",
        "wasmfaas:join": "self",
        "wasmfaas:group": "worker-wasm",
        "wasmfaas:role": "agent",
        "wasmfaas:user": "ec2-user",
    }
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    specification = [
        {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
    ]
    started = ec2.run_instances(
        ImageId=image, InstanceType="t4g.xlarge", MinCount=count, MaxCount=count, TagSpecifications=specification
    )["Instances"]
    try:
        source = directory / "autoscaled.aws_ec2.yml"
        text = (PROJECT / "inventories/aws_autoscaled/autoscaled.aws_ec2.yml").read_text(encoding="utf-8")
        source.write_text(text.replace("[wasmfaas]", "[large]"), encoding="utf-8")
        yield source
    finally:
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in started])


def amazon_aws() -> Path:
    """A directory of collections with amazon.aws, in the cache. Skips the test if it is not available."""
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        / "wasmfaas/collections"
        / ANSIBLE_PACKAGE.replace("==", "-")
    )
    if cache.is_dir():
        return cache
    download = cache.with_name(f"{cache.name}.{os.getpid()}")
    download.mkdir(parents=True)
    try:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--no-deps", "--only-binary", ":all:", "--dest", str(download), ANSIBLE_PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"The collection amazon.aws is not available: {done.stderr.strip()[-300:]}")
        (wheel,) = download.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(
                download, [name for name in archive.namelist() if name.startswith("ansible_collections/amazon/aws/")]
            )
        wheel.unlink()
        if not cache.is_dir():
            download.rename(cache)
    finally:
        shutil.rmtree(download, ignore_errors=True)
    return cache
