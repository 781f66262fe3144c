# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server made by site.yml, moto with what Terraform would have made there, and a host that boots as a machine of
the group worker-wasm."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
import typing as t
from pathlib import Path

from ..cluster.cluster import Cluster, condition
from ..hosts import Environment, k3s_binary
from ..terraform.support import CREDENTIALS, REGION, Moto, moto_server
from .gateway import Fault, Gateway, target_of
from .user_data import Configuration, render

__all__ = ["Fault", "World"]

METADATA_ADDRESS = "169.254.169.254"
ZONE = f"{REGION}b"
CLUSTER, GROUP, BUCKET = "demo", "worker-wasm", "demo-bundles"
BUNDLE_PARAMETER, TOKEN_PARAMETER = (f"/wasmfaas/{CLUSTER}/groups/{GROUP}/{name}" for name in ("bundle", "token"))
LABELS = {"wasmfaas.dev/runtime-spin": "true", "wasmfaas.dev/group": GROUP, "wasmfaas.dev/lifecycle": "spot"}
TAINTS = [{"key": "wasmfaas.dev/only", "value": "wasm", "effect": "NoSchedule"}]
SERVER, MACHINE = "server", "machine"
CLOUD_INIT_UNIT = """[Unit]
Description=Stand-in of cloud-init (tests/autoscaled): runs the user data once
Wants=network-online.target
After=network-online.target
ConditionPathExists=!/var/lib/cloud/instance/boot-finished

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutSec=0
KillMode=process
StandardOutput=journal+console
{environment}
ExecStart=/usr/bin/python3 /usr/local/lib/cloud-init-stand-in

[Install]
WantedBy=multi-user.target
"""


@dataclasses.dataclass(frozen=True)
class End:
    """What a machine that did not join leaves behind.

    Attributes:
        console: what was written there in this life of the machine.
        journal: lines of join-cluster.
        enabled, token: whether the agent's unit is enabled, and whether the join token lies there.
        seconds: from the boot until it was off.
    """

    console: str
    journal: list[str]
    enabled: bool
    token: bool
    seconds: float


class World:
    """Use it as a context: leaving it ends all that it started."""

    def __enter__(self) -> World:
        with contextlib.ExitStack() as stack:
            # Overlays need a disk, which /tmp may not be
            self.directory = Path(tempfile.mkdtemp(prefix="wasmfaas-autoscaled-", dir="/var/tmp"))
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.hosts = Environment.create(self.directory / "hosts", [SERVER, MACHINE])
            stack.callback(self.hosts.destroy)
            self.moto: Moto = stack.enter_context(moto_server(self.directory / "moto.log"))
            self.s3, self.ssm = (
                Gateway(self.hosts.network.gateway, target_of(self.moto.url)) for _service in ("s3", "ssm")
            )
            for gateway in (self.s3, self.ssm):
                stack.callback(gateway.close)
            self._metadata = self.directory / "metadata.json"
            self._metadata.write_text("{}")
            stack.callback(_end, self._start_metadata_service())
            self._made_by_terraform()
            self.cluster = self._cluster()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: types.TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_metadata_service(self) -> subprocess.Popen[bytes]:
        """In the network of the hosts: nothing of this machine, which may have a real one, gets in its way."""
        network = self.hosts.network
        inside = ["ip", "-n", network.namespace, "address", "add"]
        subprocess.run([*inside, f"{METADATA_ADDRESS}/32", "dev", network.bridge], check=True)
        subprocess.run([*inside, f"{network.gateway.rpartition('.')[0]}.2/24", "dev", network.bridge], check=True)
        program = str(Path(__file__).with_name("metadata_service.py"))
        return subprocess.Popen(
            [
                "ip",
                "netns",
                "exec",
                network.namespace,
                sys.executable,
                program,
                METADATA_ADDRESS,
                "80",
                str(self._metadata),
            ]
        )

    def _made_by_terraform(self) -> None:
        self.moto.client("s3").create_bucket(Bucket=BUCKET)
        ssm = self.moto.client("ssm")
        key = self.moto.client("kms").create_key()["KeyMetadata"]["Arn"]
        ssm.put_parameter(Name=BUNDLE_PARAMETER, Value="unset", Type="String")
        ssm.put_parameter(Name=TOKEN_PARAMETER, Value="unset", Type="SecureString", KeyId=key)

    def _cluster(self) -> Cluster:
        address = self.hosts.host(SERVER).address
        group = {
            "inventory_group": "worker_wasm",
            "architecture": k3s_binary.architecture(),
            "labels": LABELS,
            "taints": TAINTS,
        }
        autoscaled = {
            "scaling_group": f"{CLUSTER}-{GROUP}",
            "bundle_parameter": BUNDLE_PARAMETER,
            "token_parameter": TOKEN_PARAMETER,
        }
        fleet = {
            "control-plane": {**group, "inventory_group": "control_plane", "labels": {}, "taints": []},
            GROUP: {**group, **autoscaled},
        }
        # Placed and run by nobody here: no image comes from a registry.
        credential_provider = self.directory / "ecr-credential-provider"
        credential_provider.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        variables = {
            **k3s_binary.inventory(self.directory / "programs", k3s_binary.selected())["all"]["vars"],
            "k3s_cgroup_v1_allowed": True,  # the machines that run the tests have nothing newer
            "k3s_minimum_disk_gib": 1,
            "k3s_kubeconfig": str(self.directory / "kubeconfig.yml"),
            "platform_components": [],  # what runs on the cluster is another matter
            # As in inventories/aws.
            "aws_cluster": {
                "name": CLUSTER,
                "region": REGION,
                "api": {"address": address},
                "buckets": {"bundles": BUCKET},
                "node_groups": fleet,
            },
            "registry": f"123456789012.dkr.ecr.{REGION}.amazonaws.com/{CLUSTER}",
            "registries_ecr_login": True,
            "registries_ecr_credential_provider": {k3s_binary.architecture(): str(credential_provider)},
            "k3s_node_address": "{{ private_ip | default('') }}",
            "k3s_node_labels": "{{ aws_cluster.node_groups[node_group | default('control-plane')].labels }}",
            "k3s_node_taints": "{{ aws_cluster.node_groups[node_group | default('control-plane')].taints }}",
            "k3s_server_config": {"disable-cloud-controller": True, "disable": ["traefik", "servicelb"]},
            "k3s_agent_config": {
                "kubelet-arg": [
                    "max-pods=250",
                    "cloud-provider=external",
                    "provider-id={{ provider_id | default('') }}",
                ]
            },
            "node_bundle_aws_endpoint": self.moto.url,
        }
        return Cluster(t.cast("t.Any", self.hosts), self.directory, {"k3s_server/control_plane": [SERVER]}, variables)

    # --- the cluster

    def site(self, *arguments: str, playbook: str = "site.yml") -> t.Any:
        """site.yml for the one server; publishes for the group worker-wasm."""
        return self.cluster.play(
            playbook,
            *arguments,
            environment={**CREDENTIALS, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "cp")},
        )

    def node(self, name: str) -> dict[str, t.Any] | None:
        return self.cluster.nodes(SERVER).get(name)

    def forget(self, name: str) -> None:
        """As the cloud controller does for an instance that is gone."""
        self.hosts.run(SERVER, f"k3s kubectl delete node {name} --ignore-not-found")

    def parameter(self, name: str) -> str:
        return str(self.moto.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"])

    # --- the machine

    def configuration(self, seconds: int) -> Configuration:
        return Configuration(
            cluster=CLUSTER,
            group=GROUP,
            bucket=BUCKET,
            bundle_parameter=BUNDLE_PARAMETER,
            token_parameter=TOKEN_PARAMETER,
            server=f"https://{self.hosts.host(SERVER).address}:6443",
            seconds=seconds,
            labels=LABELS,
            taints=[f"{taint['key']}={taint['value']}:{taint['effect']}" for taint in TAINTS],
        )

    def launch(self, *, seconds: int = 120) -> str:
        """Boot a blank machine with the group's user data, as a scaling group does; returns the instance's id."""
        self.hosts.wipe(MACHINE, boot=False)
        instance = f"i-{secrets.token_hex(8)}0"
        host = self.hosts.host(MACHINE)
        role = {
            "Code": "Success",
            "AccessKeyId": "ASIATEST",
            "SecretAccessKey": "role-secret",
            "Token": "role-session",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        answers = {
            "user-data": render(self.configuration(seconds)),
            "meta-data/instance-id": instance,
            "meta-data/instance-type": "t4g.xlarge",
            "meta-data/placement/availability-zone": ZONE,
            "meta-data/placement/region": REGION,
            "meta-data/local-ipv4": host.address,
            "meta-data/iam/security-credentials/": "demo-worker-wasm",
            "meta-data/iam/security-credentials/demo-worker-wasm": json.dumps(role),
        }
        self._metadata.write_text(json.dumps({host.address: answers}))
        environment = "\n".join(
            f"Environment={name}={gateway.url}"
            for name, gateway in (("JOIN_S3_URL", self.s3), ("JOIN_SSM_URL", self.ssm))
        )
        unit = "etc/systemd/system/cloud-final.service"
        files = {
            unit: CLOUD_INIT_UNIT.format(environment=environment),
            "usr/local/lib/cloud-init-stand-in": Path(__file__).with_name("cloud_init.py").read_text(),
            "etc/systemd/network/10-host0.network.d/metadata.conf": (
                f"[Route]\nDestination={METADATA_ADDRESS}/32\nScope=link\n"
            ),
        }
        for name, content in files.items():
            path = self.upper / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        wanted = self.upper / "etc/systemd/system/multi-user.target.wants"
        wanted.mkdir(exist_ok=True)
        (wanted / "cloud-final.service").symlink_to(f"/{unit}")
        self._console_begin = self._console.stat().st_size if self._console.exists() else 0
        self.launched = time.monotonic()
        self.hosts.boot(MACHINE)
        return instance

    def await_ready(self, instance: str, *, seconds: float = 120) -> dict[str, t.Any]:
        """The Node, once it is Ready."""
        end = time.monotonic() + seconds
        while True:
            node = self.node(instance)
            if node is not None and condition(node, "Ready") == "True":
                return node
            if time.monotonic() > end:
                raise AssertionError(
                    f"{instance} is not Ready after {seconds:.0f} s: {self.journal()}\n{self.console()[-3000:]}"
                )
            time.sleep(0.1)

    def await_end(self, *, seconds: float = 120) -> End:
        """What is left once the machine has powered off."""
        end = time.monotonic() + seconds
        while self.hosts.running(MACHINE):
            if time.monotonic() > end:
                raise AssertionError(
                    f"The machine did not power off within {seconds:.0f} s: {self.journal()}\n{self.console()[-3000:]}"
                )
            time.sleep(0.2)
        return End(
            console=self.console(),
            journal=self.journal(),
            enabled=os.path.lexists(self.upper / "etc/systemd/system/multi-user.target.wants/k3s-agent.service"),
            token=(self.upper / "etc/rancher/k3s/agent-token").exists(),
            seconds=time.monotonic() - self.launched,
        )

    def stop(self) -> None:
        self.hosts.kill(MACHINE)

    def console(self) -> str:
        return self._console.read_bytes()[self._console_begin :].decode(errors="replace")

    def journal(self) -> list[str]:
        """What join-cluster wrote there, on or off."""
        command = [
            "journalctl",
            "--directory",
            str(self.upper / "var/log/journal"),
            "--identifier=join-cluster",
            "--output=cat",
            "--no-pager",
            "--quiet",
        ]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()

    @property
    def upper(self) -> Path:
        """What the machine has written to its disk."""
        return self.hosts.directory / "hosts" / MACHINE / "upper"

    @property
    def _console(self) -> Path:
        return self.hosts.directory / "hosts" / MACHINE / "console.log"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(30)
