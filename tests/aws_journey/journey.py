# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through docs/aws.md: from nothing to a function, the same again without a change, and back to nothing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ..terraform.support import Moto
from .reader import HOME, USER_ID, Reader, changed, commands_to_cluster, commands_to_leave

BOOT_SECONDS = 300.0
SITE = "ansible-playbook site.yml -i inventories/aws"
NOT_TYPED = (
    "ansible-galaxy collection install",  # Galaxy is in the internet; the collection is put where it would be
    "ansible-playbook publish-images.yml",  # base images and packages are too; test_service_images.py makes images
)
FUNCTION = "hello"


def walk(directory: Path) -> None:
    """Type the commands of `From nothing to a cluster`."""
    reader = Reader(directory)
    reader.arrive()
    moto = Moto(reader.cloud["endpoint"])
    for line in commands_to_cluster():
        if line.startswith(NOT_TYPED):
            print(f"not typed: {line}", flush=True)
            if "amazon.aws" in line:
                reader.install_amazon_aws()
        elif line.startswith("terraform apply"):
            reader.type(line, stdin="yes\n")
            # moto has no TLS, and these policies allow nothing else.
            for bucket in ("bundles", "snapshots"):
                moto.client("s3").delete_bucket_policy(Bucket=f"wasmfaas-{cloud_account()}-us-east-1-{bucket}")
        elif line.startswith("ansible k3s_server"):
            _wait_for_machines(reader)
            reader.type(line)
        elif "deploy-function.yml" in line:
            # The function needs no compiler. No shim runs it here, so nobody waits for it.
            reader.type(line.replace("examples/functions/hello-python", f"{HOME}/{FUNCTION}") + " -e wait=false")
        else:
            reader.type(line)
            if line.startswith("cp terraform.tfvars.example"):
                reader.fill_in_variables()


def again(directory: Path) -> None:
    """Both playbooks a second time change nothing, and check mode says so too."""
    reader = Reader(directory)
    for more in ("", " --check --diff"):
        numbers = changed(reader.type(SITE + more))
        assert set(numbers.values()) == {0}, f"changed: {numbers}"


def check(directory: Path) -> None:
    """The result, without Ansible."""
    reader = Reader(directory)
    strangers = [
        str(path)
        for path in reader.home.rglob("*")
        if path.lstat().st_uid != USER_ID
    ]
    assert strangers == [], f"not the reader's: {strangers[:5]}"
    kubeconfig = reader.checkout / "inventories/aws/kubeconfig.yml"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600


def leave(directory: Path) -> None:
    """Destroy everything as the page says, and look that nothing is left."""
    reader = Reader(directory)
    for line in commands_to_leave():
        reader.type(line, stdin="yes\n")


def cloud_account() -> str:
    return "123456789012"


def _wait_for_machines(reader: Reader) -> None:
    end = time.monotonic() + BOOT_SECONDS
    while not (reader.directory / "booted").exists():
        assert time.monotonic() < end, (reader.directory / "cloud.log").read_text(errors="replace")[-3000:]
        time.sleep(0.5)
    names = (reader.directory / "names").read_text(encoding="utf-8")
    with (reader.directory / "hosts_file").open("a", encoding="utf-8") as file:
        file.write(names)
