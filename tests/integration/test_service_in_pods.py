# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service in a pod of a real node: role function_service makes it, from the image that publish-images.yml
makes; its builds are Jobs in pods of the node, and what they deploy runs in a pod too. Scheduler, kubelet, containerd,
runc, the SpinKube operator and the gateway are real; a shim of the tests runs the function.

The node has no kube-proxy and no cluster DNS, so the service's pod is in the network of the machine, where the API
server and the registry are, and builds get its address. It is one pod, because two would need the same ports."""

from __future__ import annotations

import collections.abc
import functools
import json
import platform
import subprocess
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.binaries import MACHINES
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.publish import run as publish
from ansible_collections.wasmfaas.platform.plugins.modules.service_images import argument_spec
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Event, Namespace, Pod
from lightkube.types import PatchType

from tests.extent import only_in_full
from tests.hosts.rootfs import rootfs
from tests.k3s_double import build

from .support import real_node
from .support.base_image import base_layout, root_with_python_alone
from .support.function_project import BuiltFunction
from .support.real_parts import SPIN_OPERATOR
from .support.request_path import RequestPath, let_pods_be_probed_at_once, request_path, why_not
from .support.servers import wait_until
from .support.service_replica import archive_of
from .support.tenants import Tenants
from .support.workbench import built_workbench

_REASON = why_not() or real_node.why_no_shim()
pytestmark = [
    only_in_full("tests/integration/test_service_cluster.py, where replicas and builds are processes"),
    pytest.mark.skipif(bool(_REASON), reason=_REASON),
]

TENANT, SERVICE, BUILDS = "shop", "wasmfaas-service", "wasmfaas-builds"
NAME = "function-service"
READY_SECONDS = 300
DEPLOY_SECONDS = 900
"""The first start of a component on the node compiles it."""


class Hosted(t.NamedTuple):
    """The running service."""

    path: RequestPath
    host: str
    kubectl: list[str]

    def curl(self, path: str, token: str, *arguments: str) -> str:
        """What the service answers to curl, by its host at the Gateway."""
        port, address = self.path.gateway.port, self.path.gateway.address
        command = ["curl", "--silent", "--show-error", "--resolve", f"{self.host}:{port}:{address}", *arguments]
        command += ["-H", f"Authorization: Bearer {token}", f"http://{self.host}:{port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEPLOY_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[RequestPath]:
    SPIN_OPERATOR.build_or_skip()
    with request_path(tmp_path_factory.mktemp("service_in_pods"), real_node.real_node) as running:
        let_pods_be_probed_at_once(running.control_plane)
        yield running


@pytest.fixture(scope="module")
def images(path: RequestPath, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the images are that publish-images.yml makes."""
    directory = tmp_path_factory.mktemp("images")
    here = next(name for name, machine in MACHINES.items() if machine == platform.machine())
    other = "arm64" if here == "amd64" else "amd64"
    base = base_layout(directory / "base", {here: rootfs(), other: root_with_python_alone(directory / "other")})
    parameters = {name: option.get("default") for name, option in argument_spec().items()} | {
        "registry": f"{path.registry.host}/team",
        "registry_plain_http": True,
        "images": [NAME, "builder-python"],
        "base_image": base,
        "cache_directory": str(directory / "cache"),
    }
    assert publish(parameters, False, set())["changed"]
    return f"{path.registry.host}/team/wasmfaas"


@pytest.fixture(scope="module")
def hosted(path: RequestPath, images: str, tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    plane, host = path.control_plane, f"api.{path.gateway.address}.nip.io"
    role = Tenants(
        plane,
        tmp_path_factory.mktemp("role"),
        platform_hosts="localhost",
        platform_components=["function_builds", "function_service"],
        platform_node_selector={},
        tenants=[{"name": TENANT}],
        registry=f"{path.registry.host}/functions",
        function_service_images=images,
        function_service_host=host,
        function_service_replicas=1,
        function_service_registry_plain_http=True,
        function_service_options={
            "probe_address": f"{path.gateway.address}:{path.gateway.port}",
            "wait_timeout": DEPLOY_SECONDS,
        },
        function_service_build_cpu="500m",
        function_service_build_memory="512Mi",
        function_service_build_ephemeral_storage="2Gi",
        function_service_ready_timeout=0,
    )
    made = role.play("wasmfaas.platform.platform")
    assert made.exit_code == 0, made.output
    _put_into_the_machines_network(path)
    client = plane.client()

    def ready() -> bool:
        status = client.get(Deployment, NAME, namespace=SERVICE).status
        return bool(status and status.readyReplicas and status.updatedReplicas == status.replicas == 1)

    wait_until(ready, seconds=READY_SECONDS, what="the pod of the service is ready")
    return Hosted(path, host, [str(build.binary()), "kubectl", "--kubeconfig", str(plane.kubeconfig)])


def _put_into_the_machines_network(path: RequestPath) -> None:
    """Give the service what kube-proxy and cluster DNS would."""
    client = path.control_plane.client()
    privileged = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    client.patch(Namespace, SERVICE, privileged, patch_type=PatchType.MERGE)
    found = client.get(ConfigMap, NAME, namespace=SERVICE).data
    assert found is not None
    settings = yaml.safe_load(found["service.yml"])
    settings["builds"]["service_url"] = f"http://{path.network.gateway}:8801"
    changed = {"data": {"service.yml": json.dumps(settings)}}
    client.patch(ConfigMap, NAME, changed, namespace=SERVICE, patch_type=PatchType.MERGE)
    server = [
        {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
        {"name": "KUBERNETES_SERVICE_PORT", "value": str(path.control_plane.port)},
    ]
    pod = {"hostNetwork": True, "containers": [{"name": "service", "env": server}]}
    spec = {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}, "template": {"spec": pod}}
    client.patch(Deployment, NAME, {"spec": spec}, namespace=SERVICE, patch_type=PatchType.STRATEGIC)


def test_upload_build_and_function_are_pods(hosted: Hosted, tmp_path: Path) -> None:
    command = [*hosted.kubectl, "-n", SERVICE, "exec", f"deployment/{NAME}", "--"]
    command += ["python", "-m", "ansible_collections.wasmfaas.platform.service", "token", "--name", "admin"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()

    project = BuiltFunction(tmp_path / "project", built_workbench(), "hello").project
    archive = tmp_path / "hello.tar.gz"
    archive.write_bytes(archive_of(project))
    source = f"/v1/tenants/{TENANT}/functions/hello/source"
    told = hosted.curl(source, token, "-T", str(archive))
    lines = told.splitlines()
    assert lines[-1].startswith(f"ready http://hello.{TENANT}."), told
    # The Job goes with the end of the deployment; what the kubelet said of its pod stays.
    events = hosted.path.control_plane.client().list(Event, namespace=BUILDS)
    assert any(event.reason == "Started" and event.involvedObject.kind == "Pod" for event in events), told
    host = lines[-1].removeprefix("ready http://").partition(":")[0]
    assert hosted.path.gateway.get(host, "/", timeout=120).status_code == 200
    (pod,) = hosted.path.control_plane.client().list(Pod, namespace=TENANT)
    assert pod.spec is not None and pod.spec.nodeName == real_node.NODE
    assert "unchanged" in hosted.curl(source, token, "-T", str(archive)).splitlines()
    function = f"/v1/tenants/{TENANT}/functions/hello"
    seen = json.loads(hosted.curl(function, token))
    assert (seen["status"], seen["deployment"]["phase"]) == ("ready", "Ready")
    log = functools.partial(hosted.curl, f"{function}/logs", token)
    assert hosted.path.gateway.get(host, "/print?text=from-the-pod", timeout=120).status_code == 200
    wait_until(lambda: "from-the-pod" in log(), seconds=60, what="the log has what the function wrote")
    hosted.curl(function, token, "-X", "DELETE")
    wait_until(
        lambda: not list(hosted.path.control_plane.client().list(Pod, namespace=TENANT)),
        seconds=READY_SECONDS,
        what="the pod of the function goes",
    )
