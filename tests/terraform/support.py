# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Terraform from PATH, its AWS provider from a mirror directory or the network, and the moto server in place of AWS."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import boto3
import botocore.exceptions
import pytest

from ..integration.support.servers import free_port

PROJECT = Path(__file__).resolve().parents[2]
TERRAFORM = PROJECT / "terraform"
REGION = "us-east-1"
PROVIDER = "registry.terraform.io/hashicorp/aws"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}

# Overrides for what moto leaves out of its answers, which a second plan would add again. All else must agree.
MOTO_GAPS = {
    # DescribeLoadBalancers does not return the Elastic IPs.
    "modules/load_balancer/moto_override.tf": """\
resource "aws_lb" "this" {
  lifecycle {
    ignore_changes = [subnet_mapping, subnets]
  }
}
""",
    # Tags of the template itself are returned as tags for machines.
    "modules/node_group/moto_override.tf": """\
resource "aws_launch_template" "this" {
  lifecycle {
    ignore_changes = [tag_specifications]
  }
}
""",
}


def mirror() -> Path | None:
    """The directory of a mirror that holds the AWS provider. Looks at $TERRAFORM_PROVIDER_MIRROR, or else at the
    directories that Terraform itself searches, and then at /opt."""
    data = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local/share"))
    candidates = [
        Path.home() / ".terraform.d/plugins",
        data / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
    ]
    candidates += sorted(Path("/opt").glob("*/"))
    if given := os.environ.get("TERRAFORM_PROVIDER_MIRROR"):
        candidates = [Path(given)]
    return next((directory for directory in candidates if (directory / PROVIDER).is_dir()), None)


@dataclasses.dataclass(frozen=True)
class Terraform:
    """Runs Terraform in a copy of a configuration, which keeps the working tree clean."""

    program: str
    environment: dict[str, str]

    def run(
        self, directory: Path, *arguments: str, expected: tuple[int, ...] = (0,), seconds: int = 900
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.program, f"-chdir={directory}", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
        output = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        assert done.returncode in expected, f"terraform {' '.join(arguments)} ended with {done.returncode}:\n{output}"
        return done

    def initialize(self, directory: Path) -> None:
        """Run `terraform init`. Skips the test if the provider is not available."""
        done = subprocess.run(
            [self.program, f"-chdir={directory}", "init", "-no-color"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if (
            done.returncode
            and PROVIDER.rsplit("/", maxsplit=1)[-1] in done.stderr
            and ("Failed to query" in done.stderr or "Failed to install" in done.stderr)
        ):
            pytest.skip(
                "Terraform's AWS provider is not available, neither from a mirror directory nor from the network: "
                f"{' '.join(done.stderr.split())[:200]}…"
            )
        assert done.returncode == 0, done.stderr

    def outputs(self, directory: Path) -> dict[str, t.Any]:
        answer: dict[str, t.Any] = json.loads(self.run(directory, "output", "-json").stdout)
        return answer

    def at(self, moto: Moto) -> Terraform:
        """The same Terraform, with the moto server in place of AWS.

        It sets a variable and not `endpoints` in the provider's configuration, because the provider spends six seconds
        on that block.
        """
        return dataclasses.replace(self, environment=self.environment | {"AWS_ENDPOINT_URL": moto.url})


def resources(directory: Path) -> dict[str, dict[str, t.Any]]:
    """Attributes by address, from the state. `terraform show -json` returns the same but takes five seconds."""
    state = json.loads((directory / "terraform.tfstate").read_text(encoding="utf-8"))
    return {
        _address(entry, instance): instance["attributes"]
        for entry in state["resources"]
        if entry["mode"] == "managed"
        for instance in entry["instances"]
    }


def _address(entry: dict[str, t.Any], instance: dict[str, t.Any]) -> str:
    index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
    return ".".join(filter(None, [entry.get("module"), entry["type"], entry["name"]])) + index


def terraform_program() -> str:
    """The path of Terraform. Skips the test if it is not in PATH."""
    program = shutil.which("terraform")
    if not program:
        pytest.skip("terraform is not in PATH.")
    return program


def find_terraform(directory: Path) -> Terraform:
    """Terraform with settings in `directory`. Skips the test if it is not in PATH."""
    program = terraform_program()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
    environment |= {**CREDENTIALS, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "HOME": str(directory)}
    # The provider keeps its large schema in memory. Less frequent garbage collection saves a fifth of the time.
    environment.setdefault("GOGC", "400")
    if found := mirror():
        settings = directory / "terraform.rc"
        text = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{found}"\n  }}\n}}\n'
        settings.write_text(text, encoding="utf-8")
        environment["TF_CLI_CONFIG_FILE"] = str(settings)
    return Terraform(program, environment)


def copy_configuration(directory: Path) -> Path:
    """A copy of terraform/ without the files of a user's own runs."""
    return Path(
        shutil.copytree(
            TERRAFORM, directory, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars", "backend.tf")
        )
    )


@dataclasses.dataclass(frozen=True)
class Moto:
    """The moto server, which stands in for AWS."""

    url: str

    def client(self, service: str) -> t.Any:
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def override(self, configuration: Path) -> None:
        """Add the overrides that a copied configuration needs for moto."""
        (configuration / "provider_override.tf").write_text(
            'provider "aws" {\n  s3_use_path_style = true\n}\n', encoding="utf-8"
        )
        for name, text in MOTO_GAPS.items():
            (configuration / name).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def moto_server(log: Path, address: str = "127.0.0.1") -> collections.abc.Iterator[Moto]:
    port = free_port(address)
    program = str(Path(__file__).with_name("moto_server.py"))
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, program, "-H", address, "-p", str(port)],
            stdout=file,
            stderr=file,
            env=os.environ | CREDENTIALS,
        )
        try:
            moto = Moto(f"http://{address}:{port}")
            _wait_until_up(moto, process, log)
            yield moto
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def child_cpu_seconds() -> float:
    """CPU seconds of all child processes so far, which do not depend on how busy this machine is."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _wait_until_up(moto: Moto, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            moto.client("sts").get_caller_identity()
        except botocore.exceptions.BotoCoreError:
            assert process.poll() is None and time.monotonic() < deadline, f"moto does not start:\n{log.read_text()}"
            time.sleep(0.2)
        else:
            return
