# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the hosted service: made by the collection, pushed to a real registry, judged by skopeo, unpacked, and
run in a container. The base image is what debootstrap makes (support/base_image.py)."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.binaries import MACHINES
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.publish import run
from ansible_collections.wasmfaas.platform.plugins.modules.service_images import argument_spec
from lightkube.resources.core_v1 import Pod

from tests.extent import only_in_full
from tests.hosts.rootfs import rootfs

from .support import real_node
from .support.base_image import base_layout, root_with_python_alone
from .support.control_plane import ControlPlane
from .support.marks import needs_skopeo
from .support.playbooks import Playbooks, extra
from .support.pod_network import PodNetwork
from .support.registries import Registry, skopeo
from .support.servers import Programs, wait_until

HERE = next((name for name, machine in MACHINES.items() if machine == platform.machine()), "")
OTHER = "arm64" if HERE == "amd64" else "amd64"
MODULE = "ansible_collections.wasmfaas.platform.service"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("debootstrap") is None or not HERE,
    reason="a root file system is made and entered: it takes root and debootstrap, on amd64 or arm64",
)
pytestmark = needs_root


class Made(t.NamedTuple):
    """What the first run made in a registry."""

    parameters: dict[str, t.Any]
    results: dict[str, dict[str, t.Any]]
    registry: Registry

    def raw(self, image: str, reference: str) -> dict[str, t.Any]:
        """The manifest or index as skopeo reads it."""
        address = f"docker://{self.registry.host}/team/wasmfaas/{image}{reference}"
        return t.cast("dict[str, t.Any]", json.loads(skopeo("inspect", "--raw", "--tls-verify=false", address)))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("base_image")
    other = root_with_python_alone(directory / "other")
    return base_layout(directory / "layout", {HERE: rootfs(), OTHER: other})


@pytest.fixture(scope="module")
def made(base: str, registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Made:
    parameters = {name: option.get("default") for name, option in argument_spec().items()} | {
        "registry": f"{registry.host}/team",
        "registry_plain_http": True,
        "images": ["function-service", "builder-python"],
        "base_image": base,
        "compiler_base_image": base,
        "cache_directory": str(tmp_path_factory.mktemp("image_cache")),
    }
    result = run(parameters, False, set())
    assert result["changed"]
    assert [one["changed"] for one in result["images"].values()] == [True, True]
    return Made(parameters, result["images"], registry)


@needs_skopeo
def test_the_index_has_an_image_for_each_architecture(made: Made) -> None:
    for image, result in made.results.items():
        index = made.raw(image, ":1.0.0")
        assert [entry["platform"] for entry in index["manifests"]] == [
            {"os": "linux", "architecture": architecture} for architecture in ("amd64", "arm64")
        ]
        address = f"docker://{result['image']}"
        for entry in index["manifests"]:
            architecture = entry["platform"]["architecture"]
            told = json.loads(skopeo("inspect", "--tls-verify=false", f"--override-arch={architecture}", address))
            assert (told["Os"], told["Architecture"]) == ("linux", architecture)
            assert told["Labels"]["org.opencontainers.image.title"] == image
            assert result["digest"] == told["Digest"], "skopeo tells that of the index"
            config = json.loads(
                skopeo("inspect", "--config", "--tls-verify=false", f"--override-arch={architecture}", address)
            )
            assert config["config"]["User"] == "65532:65532"
            assert config["config"]["Entrypoint"] == ["python3", "-m", MODULE]
    layers = [{layer["digest"] for layer in made.raw(image, f":1.0.0-{HERE}")["layers"]} for image in made.results]
    assert layers[0] == layers[1], "a builder of Python is the service's image under another name"


@needs_skopeo
def test_programs_in_a_layer_are_for_its_architecture(made: Made) -> None:
    """By the headers of ELF files (elf.h: e_machine)."""
    machines = {"amd64": 62, "arm64": 183}
    for architecture, machine in machines.items():
        found = set()
        _base, *ours = made.raw("function-service", f":1.0.0-{architecture}")["layers"]
        for layer in ours:
            url = f"{made.registry.url}/v2/team/wasmfaas/function-service/blobs/{layer['digest']}"
            with tarfile.open(fileobj=io.BytesIO(httpx2.get(url, timeout=60).content)) as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() else None
                    head = content.read(20) if content is not None else b""
                    if head.startswith(b"\x7fELF"):
                        found.add(int.from_bytes(head[18:20], "little"))
        assert found == {machine}


def test_a_second_run_changes_nothing(made: Made, tmp_path: Path) -> None:
    for check_mode in (True, False):
        again = run({**made.parameters, "cache_directory": str(tmp_path)}, check_mode, set())
        assert not again["changed"] and again["diff"] == {"before": "", "after": ""}
        assert {name: one["image"] for name, one in again["images"].items()} == {
            name: one["image"] for name, one in made.results.items()
        }
    assert not any(tmp_path.iterdir()), "nothing was downloaded to see that"


def test_another_tag_would_be_made_from_the_same_layers(made: Made) -> None:
    told = run({**made.parameters, "version": "2.0.0", "images": ["function-service"]}, True, set())
    assert told["changed"] and told["images"]["function-service"]["digest"] == ""
    assert told["diff"]["before"] == "" and told["diff"]["after"].startswith("function-service:2.0.0 made from sha256:")


@needs_skopeo
def test_in_a_directory_they_have_the_same_digests(made: Made, tmp_path: Path) -> None:
    result = run({**made.parameters, "registry": f"oci:{tmp_path}/images"}, False, set())
    assert {name: one["digest"] for name, one in result["images"].items()} == {
        name: one["digest"] for name, one in made.results.items()
    }
    told = json.loads(skopeo("inspect", f"oci:{tmp_path}/images:function-service:1.0.0"))
    assert told["Architecture"] == HERE
    # What stands in a registry or a directory can be the base of others, here that of the whole service.
    again = run({**made.parameters, "registry": f"oci:{tmp_path}/images"}, False, set())
    assert not again["changed"]


@needs_skopeo
def test_a_base_image_is_read_from_a_registry(made: Made, base: str, tmp_path: Path) -> None:
    place, _at, digest = base.removeprefix("oci:").partition("@")
    name = f"{made.registry.host}/mirror/python"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{place}:base", f"docker://{name}:3.11")
    parameters = made.parameters | {
        "registry": f"{made.registry.host}/mirrored",
        "base_image": f"{name}:3.11@{digest}",
        "base_plain_http": True,
        "images": ["builder-python"],
    }
    result = run(parameters, False, set())
    assert result["changed"]
    from_registry = made.raw("builder-python", f":1.0.0-{HERE}")["layers"]
    raw = skopeo(
        "inspect",
        "--raw",
        "--tls-verify=false",
        f"docker://{made.registry.host}/mirrored/wasmfaas/builder-python:1.0.0-{HERE}",
    )
    assert json.loads(raw)["layers"] == from_registry
    with pytest.raises(PlatformError, match="is not there"):
        run({**parameters, "base_image": f"{name}@sha256:{'0' * 64}"}, False, set())


@needs_skopeo
def test_the_service_starts_in_its_image(made: Made, tmp_path: Path) -> None:
    root = unpacked(made, "function-service", tmp_path)
    shown = in_image(root, made, "function-service", "-m", MODULE, "--help")
    assert shown.startswith("usage:")
    # All of the service and of what a build imports, but for `make serve`'s own entry.
    program = (
        "import importlib, pkgutil, ansible_collections.wasmfaas.platform.service as service;"
        "names = [m.name for m in pkgutil.walk_packages(service.__path__, service.__name__ + '.')];"
        "[importlib.import_module(name) for name in names if not name.endswith('__main__')];"
        "from ansible_collections.wasmfaas.platform.plugins.module_utils.function import deploy_function;"
        "import os; print(len(names), os.getuid())"
    )
    count, user = in_image(root, made, "function-service", "-c", program).split()
    assert int(count) > 30
    assert user == "65532"
    with pytest.raises(AssertionError, match=r"Read-only file system|Permission denied"):
        in_image(root, made, "function-service", "-c", "open('/opt/wasmfaas/new', 'w')")
    writable = [path for path in (root / "opt").rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []


def test_the_playbook(made: Made, tmp_path: Path) -> None:
    playbooks = Playbooks(tmp_path / "home")
    arguments = extra(
        **{
            name: made.parameters[name]
            for name in ("registry", "registry_plain_http", "images", "base_image", "compiler_base_image")
        }
    )
    checked = playbooks.run("publish-images.yml", "--check", "--diff", *arguments, *extra(version="3.0.0"))
    assert checked.exit_code == 0, checked.output
    assert checked.changed == 1 and "+function-service:3.0.0 made from sha256:" in checked.output
    done = playbooks.run("wasmfaas.platform.publish_images", *arguments)
    assert done.exit_code == 0, done.output
    assert done.changed == 0 and done.result_line == "version 1.0.0, 0 of 2 images were made"
    refused = playbooks.run("publish-images.yml")
    assert refused.exit_code != 0 and "No registry is named" in refused.output


@only_in_full("that toolchains are put in place: tests/unit/plugins/module_utils/service_images")
@needs_skopeo
def test_node_and_go_run_in_their_images(made: Made, tmp_path: Path) -> None:
    run({**made.parameters, "images": ["builder-go"], "architectures": [HERE]}, False, set())
    root = unpacked(made, "builder-go", tmp_path)
    program = (
        "import subprocess; [print(subprocess.check_output(command, text=True).strip()) for command in "
        "(['node', '--version'], ['npm', '--version'], ['go', 'version'], ['go', 'list', 'net/http'])]"
    )
    node, npm, go, package = in_image(root, made, "builder-go", "-c", program).splitlines()
    assert node.startswith("v24.") and npm and go.startswith("go version go1.26") and package == "net/http"


def unpacked(made: Made, image: str, directory: Path) -> Path:
    """The root file system of an image for this machine."""
    layout = directory / "layout"
    address = f"docker://{made.registry.host}/team/wasmfaas/{image}:1.0.0-{HERE}"
    skopeo("copy", "--src-tls-verify=false", address, f"oci:{layout}:image")
    root = directory / "root"
    root.mkdir()
    for layer in made.raw(image, f":1.0.0-{HERE}")["layers"]:
        blob = layout / "blobs/sha256" / layer["digest"].removeprefix("sha256:")
        subprocess.run(["tar", "-xzf", str(blob), "-C", str(root)], check=True, timeout=300)
    (root / "dev").mkdir(exist_ok=True)
    shutil.rmtree(layout)
    return root


def in_image(root: Path, made: Made, image: str, *arguments: str) -> str:
    """What Python writes in the image, with its user and environment: in a container of runc without capabilities,
    whose root file system is read-only, or, where there is no runc, in a chroot."""
    address = f"docker://{made.registry.host}/team/wasmfaas/{image}:1.0.0-{HERE}"
    config = json.loads(skopeo("inspect", "--config", "--tls-verify=false", address))["config"]
    environment = [*config["Env"], "HOME=/tmp"]
    if shutil.which("runc") is None:
        program = ["chroot", f"--userspec={config['User']}", str(root), "env", "-i", *environment, "python", *arguments]
        return ran(program)
    with tempfile.TemporaryDirectory() as bundle:
        subprocess.run(["runc", "spec"], cwd=bundle, check=True, timeout=60)
        file = Path(bundle, "config.json")
        container = json.loads(file.read_text())
        user, _colon, group = config["User"].partition(":")
        container["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "env": environment,
            "cwd": config["WorkingDir"],
            "args": ["python", *arguments],
            "capabilities": {},
        }
        container["process"].pop("oomScoreAdj", None)
        container["root"] = {"path": str(root), "readonly": True}
        options = ["nosuid", "nodev", "mode=1777", "size=256m"]
        container["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})
        file.write_text(json.dumps(container))
        return ran(["runc", "run", f"--bundle={bundle}", f"wasmfaas-images-{os.getpid()}"])


def ran(program: list[str]) -> str:
    done = subprocess.run(program, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@only_in_full("that the service starts in a container of runc")
@pytest.mark.skipif(bool(real_node.why_not()), reason=real_node.why_not())
def test_the_service_starts_in_a_pod(made: Made, server_programs: Programs, tmp_path: Path) -> None:
    """A real kubelet and containerd pull the image by its digest, and run it as a restricted pod with a read-only root
    file system."""
    with contextlib.ExitStack() as stack:
        plane = ControlPlane(server_programs, tmp_path / "control_plane")
        stack.callback(plane.stop)
        network = PodNetwork()
        stack.callback(network.remove)
        stack.callback(real_node.RealNode(plane, made.registry, network, tmp_path / "node").stop)
        plane.create_namespace("images")
        names = {"name": "service", "namespace": "images"}
        container = {
            "name": "service",
            "image": made.results["function-service"]["image"],
            "args": ["--help"],
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            },
            "volumeMounts": [{"name": "temporary", "mountPath": "/tmp"}],
        }
        plane.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": names,
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [container],
                    "volumes": [{"name": "temporary", "emptyDir": {}}],
                },
            }
        )
        client = plane.client()

        def phase() -> str:
            status = client.get(Pod, "service", namespace="images").status
            return str(status.phase) if status else ""

        wait_until(lambda: phase() in ("Succeeded", "Failed"), seconds=300, what="the end of the pod")
        written = "".join(client.log("service", namespace="images"))
        assert phase() == "Succeeded", written
        assert written.startswith("usage:")
