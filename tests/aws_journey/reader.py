# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of docs/aws.md: a user without root and sudo, with a checkout of their own, in the network of the hosts.
Types what the page says, line by line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from ..hosts import Environment, k3s_binary
from ..integration.support import platform_stand_in
from ..integration.support.function_project import FunctionProject
from ..terraform.fleet import amazon_aws
from ..terraform.support import CREDENTIALS, MOTO_GAPS, mirror
from . import page

PROJECT = Path(__file__).resolve().parents[2]
HOME, USER, USER_ID = Path("/media/reader"), "reader", 64999
CHECKOUT = HOME / "wasmfaas"
NOT_COPIED = (".*", "__pycache__", "*.tfstate*", "terraform.tfvars", "node_modules", "output", "target")
CREDENTIAL_PROVIDER = """#!/bin/sh
# In the place of cloud-provider-aws's: the login that ECR would give to the role of the machine.
cat >/dev/null
printf '{"kind":"CredentialProviderResponse","apiVersion":"credentialprovider.kubelet.k8s.io/v1",'
printf '"cacheKeyType":"Registry",'
printf '"auth":{"*.dkr.ecr.*.amazonaws.com":{"username":"AWS","password":"123456789012-auth-token"}}}'
"""
# Runs as process 1 of a mount namespace of its own: $1 directory of the journey, $2 working directory; the rest is the
# command. The capability lets the user read this machine's checkout and programs, wherever they are; it may write
# nothing, and there is no way to become root.
ENTER = f"""set -eu
journey="$1"; shift
mount -t tmpfs tmpfs /media
mkdir -p {HOME}
mount --bind "$journey/home" {HOME}
mount --bind "$journey/hosts_file" /etc/hosts
mount --bind "$journey/passwd" /etc/passwd
exec setpriv --reuid={USER_ID} --regid={USER_ID} --clear-groups --no-new-privs --inh-caps=-all,+dac_read_search \
  --ambient-caps=-all,+dac_read_search --bounding-set=-all,+dac_read_search "$@"
"""
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


class Reader:
    """Everything is in `directory`, so that other processes can go on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.checkout = self.home / CHECKOUT.name
        self.hosts = Environment(directory / "hosts")
        self.cloud: dict[str, str] = json.loads((directory / "cloud.json").read_text(encoding="utf-8"))
        self.where = CHECKOUT
        self.exported: dict[str, str] = {}

    # --- before the first command

    def arrive(self) -> None:
        """Make home and checkout, with what the page counts on: Terraform's provider, AWS credentials, a key, kubectl.

        What this machine lacks is in its place: programs that are downloaded are files (k3s, shim, credential
        provider), and the checkout has the overrides for what moto leaves out.
        """
        ignored = shutil.ignore_patterns(*NOT_COPIED)
        shutil.copytree(PROJECT, self.checkout, ignore=ignored, symlinks=True)
        (self.checkout / ".venv").symlink_to(PROJECT / ".venv")
        collections = self.checkout / ".ansible/collections/ansible_collections"
        (collections / "wasmfaas").mkdir(parents=True)
        (collections / "wasmfaas/platform").symlink_to("../../../..")
        (self.home / ".ssh").mkdir(mode=0o700)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "reader", "-f", self.home / ".ssh/id_ed25519"],
            check=True,
        )
        self._make_programs()
        self._make_terraform_work()
        FunctionProject(self.home / "hello", "hello")
        self._write_inventory()
        self._write_machine_files()
        self._own(self.home)

    @staticmethod
    def _own(path: Path) -> None:
        subprocess.run(["chown", "-R", "--no-dereference", f"{USER_ID}:{USER_ID}", str(path)], check=True)

    def _make_programs(self) -> None:
        programs = self.home / "bin"
        programs.mkdir()
        self._k3s = k3s_binary.selected()
        assert self._k3s.binary is not None, "the reader has no internet"
        kubectl = programs / "kubectl"
        kubectl.write_text(f'#!/bin/sh\nexec {self._k3s.binary} kubectl "$@"\n', encoding="utf-8")
        provider = programs / "ecr-credential-provider"
        provider.write_text(CREDENTIAL_PROVIDER, encoding="utf-8")
        for program in (kubectl, provider):
            program.chmod(0o755)

    def _make_terraform_work(self) -> None:
        terraform = self.checkout / "terraform"
        (terraform / "provider_override.tf").write_text(
            'provider "aws" {\n  s3_use_path_style = true\n}\n', encoding="utf-8"
        )
        (terraform / "moto.auto.tfvars").write_text("pull_through_cache = {}\n", encoding="utf-8")
        for name, text in MOTO_GAPS.items():
            (terraform / name).write_text(text, encoding="utf-8")
        if found := mirror():
            text = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{found}"\n  }}\n}}\n'
            (self.home / ".terraformrc").write_text(text, encoding="utf-8")

    def _write_inventory(self) -> None:
        """Another file of the inventory, as a user adds one."""
        both = ("amd64", "arm64")  # the fleet's machines have arm64, the hosts that play them this machine's
        shim = self.home / "bin/containerd-shim-spin-v2"
        shim.write_text(k3s_binary.SHIM, encoding="utf-8")
        shim.chmod(0o755)
        variables: dict[str, t.Any] = {
            "k3s_version": self._k3s.version,
            "k3s_binaries": dict.fromkeys(both, str(self._k3s.binary)),
            "wasm_shims_binaries": {"spin": dict.fromkeys(both, str(HOME / "bin" / shim.name))},
            "registries_ecr_credential_provider": dict.fromkeys(both, str(HOME / "bin/ecr-credential-provider")),
            "k3s_cgroup_v1_allowed": True,  # machines that run the tests may have only cgroup v1
            **platform_stand_in.variables(),
        }
        file = self.checkout / "inventories/aws/stand_ins.yml"
        file.write_text(json.dumps({"all": {"vars": variables}}), encoding="utf-8")  # JSON is YAML

    def _write_machine_files(self) -> None:
        passwd = Path("/etc/passwd").read_text(encoding="utf-8")
        line = f"{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/sh\n"
        (self.directory / "passwd").write_text(f"{passwd.rstrip()}\n{line}", encoding="utf-8")
        self._write_names("")

    def _write_names(self, names: str) -> None:
        """In place, since the running mounts lead to this file."""
        (self.directory / "hosts_file").write_text(f"127.0.0.1 localhost\n{names}", encoding="utf-8")

    # --- commands

    def type(self, line: str, *, stdin: str = "", show: bool = True) -> str:
        """Run a line of the page, and return its output and errors, which are in the file `output` meanwhile.

        Raises:
            AssertionError: it ended with another code than 0.
        """
        print(f"$ {line}", flush=True)
        if found := re.fullmatch(r"cd (\S+)", line):
            self.where = Path(os.path.normpath(self.where / found[1]))
            return ""
        if found := re.fullmatch(r"export (\w+)=(\S+)", line):
            self.exported[found[1]] = found[2].replace("$PWD", str(self.where))
            return ""
        path = self.hosts.network.namespace_path
        enter = ["nsenter", f"--net={path}", "unshare", "--mount", "--propagation", "private"]
        with (self.directory / "output").open("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(
                [
                    *enter,
                    "sh",
                    "-c",
                    ENTER,
                    "sh",
                    str(self.directory),
                    "env",
                    f"--chdir={self.where}",
                    "bash",
                    "-c",
                    line,
                ],
                input=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                env=self._environment(),
                check=False,
            )
            output.seek(0)
            text = output.read()
        if show or done.returncode:
            print(text, flush=True)
        assert done.returncode == 0, f"`{line}` ended with {done.returncode}"
        return text

    def _environment(self) -> dict[str, str]:
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.cloud["endpoint"],
            "CHECKPOINT_DISABLE": "1",
            "GOGC": "400",
            "HOME": str(HOME),
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
            "ANSIBLE_NOCOLOR": "1",
            "PATH": f"{CHECKOUT}/.venv/bin:{HOME}/bin:{os.environ['PATH']}",
            "SSL_CERT_FILE": str(self.directory / "authority/authority.crt"),  # of the registry in ECR's place
            "TF_CLI_ARGS": "-no-color",
            "USER": USER,
            **self.exported,
        }

    # --- what is not typed, but done

    def fill_in_variables(self) -> None:
        """What the page's table asks for."""
        file = self.checkout / "terraform/terraform.tfvars"
        key = (self.home / ".ssh/id_ed25519.pub").read_text(encoding="utf-8").strip()
        text = file.read_text(encoding="utf-8").replace("YOUR_ADDRESS", "203.0.113.254")
        file.write_text(re.sub(r'"ssh-ed25519 [^"]*"', lambda _found: f'"{key}"', text), encoding="utf-8")

    def install_amazon_aws(self) -> None:
        """In the place of `ansible-galaxy collection install amazon.aws`, which needs Galaxy."""
        source = amazon_aws() / "ansible_collections/amazon"
        target = self.checkout / ".ansible/collections/ansible_collections/amazon"
        shutil.copytree(source, target)
        self._own(target)


def changed(output: str) -> dict[str, int]:
    """`changed` by host, from the recap of ansible-playbook.

    Raises:
        AssertionError: there is no recap, or a host failed or was not reached.
    """
    found = RECAP.findall(output)
    assert found, "there is no recap"
    assert all(unreachable == failed == "0" for _host, _ok, _changed, unreachable, failed in found), found
    return {host: int(number) for host, _ok, number, _unreachable, _failed in found}


def commands_to_cluster() -> list[str]:
    return page.commands("From nothing to a cluster")


def commands_to_leave() -> list[str]:
    return page.commands("Share the state, and destroy everything")
