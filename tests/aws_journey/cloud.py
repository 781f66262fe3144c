# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 for the scenario `aws_journey`: for each machine that moto says is running, a test host with its addresses, its
data volume, its user and its key; and the load balancers with the targets and health checks that moto knows."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest

from ..autoscaled import cloud_init
from ..autoscaled.world import CLOUD_INIT_UNIT, METADATA_ADDRESS
from ..hosts import Environment
from ..hosts.environment import HostSpecification
from ..integration.support import load_balancer, platform_stand_in
from ..integration.support.certificates import CertificateAuthority
from ..integration.support.registries import Registry
from ..integration.support.servers import build, wait_until
from ..terraform.fleet import amazon_aws
from ..terraform.support import Moto, mirror, moto_server
from . import cluster_parts, listeners

ACCOUNT, REGION, CLUSTER = "123456789012", "us-east-1", "wasmfaas"
REGISTRY_HOST = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com"
REGISTRY_LOGIN = ("AWS", f"{ACCOUNT}-auth-token")
"""What moto's GetAuthorizationToken gives."""
PUBLIC_PREFIX, PRIVATE_PREFIX = 24, 16
PLAYED_GROUPS = ("control-plane", "observability", "worker-backend")
"""Groups whose machines are test hosts. Those of the other groups stay numbers in moto, which saves two cores."""
GIB = 1 << 30
POLL_SECONDS = 2.0
START_SECONDS = 180.0
SETUP = """set -eu
ip address add {private}/{private_prefix} dev host0
[ -z "{public}" ] || ip address add {public}/{public_prefix} dev host0
ip route add {metadata}/32 dev host0
id {user} >/dev/null 2>&1 || useradd --create-home --shell /bin/bash {user}
install -d -m 0700 -o {user} /home/{user}/.ssh
echo {key} >/home/{user}/.ssh/authorized_keys
chown {user} /home/{user}/.ssh/authorized_keys
echo '{user} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/90-cloud-init-users
rm /root/.ssh/authorized_keys
printf '{names}' >>/etc/hosts
cat >/usr/bin/cloud-init <<'END'
#!/bin/sh
# Ends as with a deprecated key of the image.
[ "$*" = "status --wait" ] && echo "status: done" && exit 2
exit 1
END
chmod 0755 /usr/bin/cloud-init
"""


class Cloud:
    """All of it, in the network of the hosts. `serve` runs until the directory of the hosts is gone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts = Environment(directory / "hosts")
        self.address = f"{self.hosts.network.gateway.rpartition('.')[0]}.2"
        """Of moto, the registry, and the machine with Ansible."""
        self.public = f"{PUBLIC_NETWORK[-2]}"
        self._booted: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._metadata = directory / "metadata.json"
        self._listeners = directory / "listeners.json"

    def serve(self) -> None:
        with contextlib.ExitStack() as stack:
            self._prepare_network()
            moto = stack.enter_context(moto_server(self.directory / "moto.log", self.address))
            authority = CertificateAuthority(self.directory / "authority")
            registry = Registry(
                build(),
                self.directory / "registry",
                basic_auth=True,
                authority=authority,
                address=f"{self.address}:443",
                names=(REGISTRY_HOST,),
                login=REGISTRY_LOGIN,
            )
            stack.callback(registry.stop)
            self._metadata.write_text("{}", encoding="utf-8")
            self._listeners.write_text("[]", encoding="utf-8")
            metadata_service = Path(cloud_init.__file__).with_name("metadata_service.py")
            self._start(stack, str(metadata_service), METADATA_ADDRESS, "80", str(self._metadata))
            self._start(stack, "-m", listeners.__name__, str(self._listeners))
            inventory = self.directory / "home/wasmfaas/inventories/aws"
            parts = threading.Thread(target=cluster_parts.play, args=(inventory, self.directory), daemon=True)
            parts.start()
            (self.directory / "cloud.json").write_text(json.dumps({"endpoint": moto.url, "address": self.address}))
            while (self.hosts.directory / "hosts.json").exists():
                self._follow(moto)
                time.sleep(POLL_SECONDS)  # moto tells nobody of a change

    def _prepare_network(self) -> None:
        network = self.hosts.network
        for address in (
            f"{self.address}/24",
            f"{METADATA_ADDRESS}/32",
            f"{self.public}/{PUBLIC_PREFIX}",
        ):
            subprocess.run(["ip", "address", "replace", address, "dev", network.bridge], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def _start(self, stack: contextlib.ExitStack, *arguments: str) -> None:
        with (self.directory / "cloud.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)

    # --- what moto says

    def _follow(self, moto: Moto) -> None:
        """Boot what is new, and tell the load balancers about their targets. Nothing happens before Terraform has
        described the cluster, which it does last."""
        ssm = moto.client("ssm")
        try:
            described = ssm.get_parameter(Name=f"/wasmfaas/{CLUSTER}/cluster")["Parameter"]["Value"]
        except ssm.exceptions.ParameterNotFound:
            return
        cluster = json.loads(described)
        running = {
            instance["InstanceId"]: instance
            for reservation in moto.client("ec2").describe_instances()["Reservations"]
            for instance in reservation["Instances"]
            if instance["State"]["Name"] == "running"
        }
        groups = {name: _tags(instance).get("wasmfaas:group", "") for name, instance in running.items()}
        new = [name for name in running if name not in self._booted and groups[name] in PLAYED_GROUPS]
        if new and not self._booted:
            self._balance(moto, cluster, running)  # before anyone asks for the API
        if new:
            self._boot(moto, cluster, [running[name] for name in new])
            (self.directory / "booted").touch()

    def _boot(self, moto: Moto, cluster: dict[str, t.Any], machines: list[dict[str, t.Any]]) -> None:
        ec2 = moto.client("ec2")
        sizes = {
            attachment["InstanceId"]: volume["Size"]
            for volume in ec2.describe_volumes()["Volumes"]
            for attachment in volume["Attachments"]
            if _tags(volume).get("Name", "").endswith("-data")
        }
        keys = {
            pair["KeyName"]: pair["PublicKey"] for pair in ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        }
        names = {machine["InstanceId"]: _host_name(machine) for machine in machines}
        Environment.create(
            self.hosts.directory,
            [
                HostSpecification(names[machine["InstanceId"]], data_size=sizes.get(machine["InstanceId"], 0) * GIB)
                for machine in machines
            ],
        )
        for machine in machines:
            name = names[machine["InstanceId"]]
            tags = _tags(machine)
            self._metadata_of(moto, machine, self.hosts.host(name).address)
            script = SETUP.format(
                private=machine["PrivateIpAddress"],
                private_prefix=PRIVATE_PREFIX,
                public=machine.get("PublicIpAddress", "") if tags["wasmfaas:join"] == "ssh" else "",
                public_prefix=PUBLIC_PREFIX,
                metadata=METADATA_ADDRESS,
                user=tags["wasmfaas:user"],
                key=shlex.quote(keys[machine["KeyName"]].strip()) if "KeyName" in machine else "''",
                names=f"{self._addresses['api']} {cluster['api']['address']}\\n{self.address} {REGISTRY_HOST}\\n",
            )
            self.hosts.console(name, script)
            if tags["wasmfaas:join"] == "self":
                self._run_user_data(moto, name)
            self._booted[machine["InstanceId"]] = name

    def _metadata_of(self, moto: Moto, machine: dict[str, t.Any], address: str) -> None:
        role = {"Code": "Success", "AccessKeyId": "ASIATEST", "SecretAccessKey": "role-secret", "Token": "role-session"}
        group = _tags(machine)["wasmfaas:group"]
        answers = {
            "user-data": _user_data(moto, group) if _tags(machine)["wasmfaas:join"] == "self" else "",
            "meta-data/instance-id": machine["InstanceId"],
            "meta-data/instance-type": machine["InstanceType"],
            "meta-data/placement/availability-zone": machine["Placement"]["AvailabilityZone"],
            "meta-data/placement/region": REGION,
            "meta-data/local-ipv4": machine["PrivateIpAddress"],
            "meta-data/iam/security-credentials/": f"{CLUSTER}-{group}",
            f"meta-data/iam/security-credentials/{CLUSTER}-{group}": json.dumps(
                {**role, "Expiration": "2099-01-01T00:00:00Z"}
            ),
        }
        known = json.loads(self._metadata.read_text(encoding="utf-8"))
        known |= {address: answers, machine["PrivateIpAddress"]: answers}
        partial = self._metadata.with_suffix(".new")
        partial.write_text(json.dumps(known), encoding="utf-8")
        partial.replace(self._metadata)

    def _run_user_data(self, moto: Moto, name: str) -> None:
        """As cloud-init does at the first boot."""
        environment = "\n".join(f"Environment={key}={moto.url}" for key in ("JOIN_S3_URL", "JOIN_SSM_URL"))
        files = {
            "/usr/local/lib/cloud-init-stand-in": Path(cloud_init.__file__).read_text(encoding="utf-8"),
            "/etc/systemd/system/cloud-final.service": CLOUD_INIT_UNIT.format(environment=environment),
        }
        for path, content in files.items():
            encoded = base64.b64encode(content.encode()).decode()
            self.hosts.console(name, f"echo {encoded} | base64 -d >{path}")
        self.hosts.console(name, "systemctl daemon-reload && systemctl start --no-block cloud-final.service")

    # --- the load balancers

    def _balance(self, moto: Moto, cluster: dict[str, t.Any], running: dict[str, dict[str, t.Any]]) -> None:
        """The private load balancer at an address of the VPC, the public one at its Elastic IPs."""
        elb = moto.client("elbv2")
        found: list[load_balancer.Listener] = []
        for balancer in elb.describe_load_balancers()["LoadBalancers"]:
            public = balancer.get("Scheme") != "internal"  # moto has none where the provider gives none
            network = ipaddress.ip_network(
                moto.client("ec2").describe_vpcs(VpcIds=[balancer["VpcId"]])["Vpcs"][0]["CidrBlock"]
            )
            own = cluster["ingress"]["addresses"] if public else [str(network[-10])]
            for address in own:
                prefix = PUBLIC_PREFIX if public else PRIVATE_PREFIX
                subprocess.run(
                    ["ip", "address", "replace", f"{address}/{prefix}", "dev", self.hosts.network.bridge], check=True
                )
            self._addresses |= {"ingress" if public else "api": own[0], balancer["DNSName"]: own[0]}
            for listener in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]:
                arn = listener["DefaultActions"][0]["TargetGroupArn"]
                group = elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]
                health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
                port = group["HealthCheckPort"]
                check = load_balancer.HealthCheck(
                    protocol=group["HealthCheckProtocol"],
                    port=0 if port == "traffic-port" else int(port),
                    path=group.get("HealthCheckPath", "/"),
                    interval=float(group["HealthCheckIntervalSeconds"]),
                    healthy_threshold=group["HealthyThresholdCount"],
                    unhealthy_threshold=group["UnhealthyThresholdCount"],
                )
                targets = [running[entry["Target"]["Id"]] for entry in health]
                found += [
                    load_balancer.Listener(
                        address,
                        listener["Port"],
                        tuple((target["PrivateIpAddress"], group["Port"]) for target in targets),
                        check,
                    )
                    for address in own
                ]
        listeners.write(found, self._listeners)
        names = [f"{address} {name}" for name, address in self._addresses.items() if "." in name]
        names.append(f"{self.address} {REGISTRY_HOST}")
        (self.directory / "names").write_text("\n".join(names) + "\n", encoding="utf-8")


PUBLIC_NETWORK = ipaddress.ip_network("203.0.113.0/24")
"""Where tests/terraform/moto_server.py takes Elastic IPs from; a network of documentation."""


def start(directory: Path) -> None:
    """Make the network, and start `serve` in it. Returns when moto answers.

    Raises:
        AssertionError: something is not available, or moto does not start.
    """
    missing = unavailable()
    assert not missing, missing
    directory.mkdir(parents=True, exist_ok=True)
    hosts = Environment.create(directory / "hosts", [])
    build()
    with (directory / "cloud.log").open("ab") as log:
        process = subprocess.Popen(
            [
                "nsenter",
                f"--net={hosts.network.namespace_path}",
                sys.executable,
                "-m",
                "tests.aws_journey",
                "serve",
                "--directory",
                str(directory),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    wait_for("cloud.json", directory, START_SECONDS, process)
    process.returncode = 0  # it outlives this process


def wait_for(name: str, directory: Path, seconds: float, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until the process of `serve` has written a file.

    Args:
        process: it, where it is a child of this one.

    Raises:
        AssertionError: it did not within `seconds`, or ended; the message is the end of its log.
    """
    file = directory / name
    with contextlib.suppress(TimeoutError):  # the log says more
        wait_until(lambda: file.exists() or (process and process.poll() is not None), seconds=seconds, what=name)
    assert file.exists(), (directory / "cloud.log").read_text(errors="replace")[-3000:]


def unavailable() -> str:
    """Why this machine cannot make the journey, whose network leads nowhere; empty if it can. Puts into caches what can
    be had."""
    if not shutil.which("terraform"):
        return "terraform is not in PATH"
    if mirror() is None:
        return "Terraform's AWS provider is not in a mirror directory (docs/aws.md)"
    if os.environ.get("K3S_VERSION"):
        return "K3S_VERSION downloads k3s: name a file by K3S_BINARY"
    try:
        amazon_aws()
    except pytest.skip.Exception as error:
        return str(error)
    return platform_stand_in.unavailable()


def _tags(entry: dict[str, t.Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entry.get("Tags", [])}


def _host_name(machine: dict[str, t.Any]) -> str:
    tags = _tags(machine)
    return tags["Name"] if tags["wasmfaas:join"] == "ssh" else str(machine["InstanceId"])


def _user_data(moto: Moto, group: str) -> str:
    """That of the group's launch template."""
    versions = moto.client("ec2").describe_launch_template_versions(LaunchTemplateName=f"{CLUSTER}-{group}")
    newest = versions["LaunchTemplateVersions"][-1]["LaunchTemplateData"]
    return base64.b64decode(newest["UserData"]).decode()
