# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way through docs/aws.md: from nothing to a function, the same again without a change, and back to nothing."""

from __future__ import annotations

import collections
import fnmatch
import json
import typing as t
from pathlib import Path

import yaml

from ..terraform.support import Moto
from .cloud import ACCOUNT, REGION, wait_for
from .reader import CHECKOUT, HOME, USER_ID, Reader, changed, commands_to_cluster, commands_to_leave

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
                moto.client("s3").delete_bucket_policy(Bucket=f"wasmfaas-{ACCOUNT}-{REGION}-{bucket}")
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
    strangers = [str(path) for path in reader.home.rglob("*") if path.lstat().st_uid != USER_ID]
    assert strangers == [], f"not the reader's: {strangers[:5]}"
    kubeconfig = reader.checkout / "inventories/aws/kubeconfig.yml"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    reader.exported["KUBECONFIG"] = str(CHECKOUT / "inventories/aws/kubeconfig.yml")
    _check_nodes(_kubectl(reader, "nodes"))
    cluster = json.loads(reader.type("terraform -chdir=terraform output -json cluster"))
    (route,) = _kubectl(reader, "httproutes", f"app.kubernetes.io/name={FUNCTION}")
    assert route["spec"]["hostnames"] == [f"{FUNCTION}.default.{cluster['ingress']['addresses'][0]}.nip.io"]
    (app,) = _kubectl(reader, "spinapps")
    image = app["spec"]["image"]
    assert image.startswith(f"{cluster['registry']['functions']}/{FUNCTION}"), image
    for node in ("wasmfaas-observability-1", *_autoscaled(_kubectl(reader, "nodes"))):
        _check_login(reader, node, image)


def _kubectl(reader: Reader, kind: str, selector: str = "") -> list[dict[str, t.Any]]:
    line = f"kubectl get {kind} --output json" + (f" --selector {selector}" if selector else "")
    return list(json.loads(reader.type(line, show=False))["items"])


def _check_nodes(nodes: list[dict[str, t.Any]]) -> None:
    ready = {
        node["metadata"]["name"]: node["metadata"]["labels"]["wasmfaas.dev/group"]
        for node in nodes
        if {"type": "Ready", "status": "True"}.items()
        <= next(one for one in node["status"]["conditions"] if one["type"] == "Ready").items()
    }
    groups = collections.Counter(ready.values())
    assert groups == {"control-plane": 3, "observability": 2, "worker-backend": 1}, ready
    assert not [node for node in nodes if not node["spec"].get("providerID", "").startswith("aws:///")]


def _autoscaled(nodes: list[dict[str, t.Any]]) -> list[str]:
    return [node["metadata"]["name"] for node in nodes if node["metadata"]["labels"].get("wasmfaas.dev/join") == "self"]


def _check_login(reader: Reader, node: str, image: str) -> None:
    """The node's kubelet would get the function: the login that its credential provider gives opens the registry,
    which is closed to others. The configuration is read as the kubelet does (Kubernetes 1.34,
    pkg/credentialprovider/plugin)."""
    place = "/var/lib/rancher/credentialprovider"
    configuration = yaml.safe_load(reader.hosts.console(node, f"cat {place}/config.yaml").stdout)
    (provider,) = configuration["providers"]
    registry, _slash, rest = image.partition("/")
    assert any(fnmatch.fnmatch(registry, pattern) for pattern in provider["matchImages"]), provider
    request = {"kind": "CredentialProviderRequest", "apiVersion": provider["apiVersion"], "image": image}
    answer = reader.hosts.console(node, f"echo '{json.dumps(request)}' | {place}/bin/{provider['name']}").stdout
    ((pattern, login),) = json.loads(answer)["auth"].items()
    assert fnmatch.fnmatch(registry, pattern)
    repository, _at, digest = rest.partition("@")
    url = f"https://{registry}/v2/{repository.partition(':')[0]}/manifests/{digest}"
    ask = f"curl -sk -o /dev/null -w '%{{http_code}}' -H 'Accept: application/vnd.oci.image.manifest.v1+json' {url}"
    assert reader.hosts.console(node, ask).stdout == "401"
    assert reader.hosts.console(node, f"{ask} -u '{login['username']}:{login['password']}'").stdout == "200", url


def leave(directory: Path) -> None:
    """Destroy everything as the page says, and look that nothing is left."""
    reader = Reader(directory)
    for line in commands_to_leave():
        reader.type(line, stdin="yes\n")


def _wait_for_machines(reader: Reader) -> None:
    wait_for("booted", reader.directory, BOOT_SECONDS)
    names = (reader.directory / "names").read_text(encoding="utf-8")
    with (reader.directory / "hosts_file").open("a", encoding="utf-8") as file:
        file.write(names)
