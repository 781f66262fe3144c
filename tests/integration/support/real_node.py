# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real node for a control plane: kube-scheduler, kubelet, containerd with runc, CNI's plugins, and the shim of
tests/real_parts/test_shim for Spin artifacts. It needs root."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import typing as t
from pathlib import Path

from lightkube import ApiError
from lightkube.resources.core_v1 import Node, NodeStatus
from lightkube.types import PatchType

from . import pod_network
from .artifacts import push_program
from .cargo_build import CargoPart
from .control_plane import ControlPlane
from .pod_network import PodNetwork
from .real_parts import RealPart
from .registries import Registry
from .request_path import Cluster
from .servers import Server, answers, free_port, wait_until, write_json, write_private

_PLUGINS = "github.com/containernetworking/plugins/plugins"
_CONTAINERD = "github.com/containerd/containerd/v2"
KUBERNETES_NODE = RealPart(
    "kubernetes_node",
    "k8s.io/kubernetes",
    {".": "kubernetes_node", "./pause": "pause"},
    {},
    minutes=8,
)
CONTAINERD = RealPart(
    "containerd",
    _CONTAINERD,
    {
        f"{_CONTAINERD}/cmd/containerd": "containerd",
        f"{_CONTAINERD}/cmd/containerd-shim-runc-v2": "containerd-shim-runc-v2",
        f"{_PLUGINS}/main/bridge": "bridge",
        f"{_PLUGINS}/main/loopback": "loopback",
        f"{_PLUGINS}/ipam/host-local": "host-local",
    },
    {},
    minutes=3,
)
TEST_SHIM = CargoPart(
    "test_shim",
    "containerd-shim-spin-v2",
    {"cargo": "cargo", "protoc": "protobuf-compiler", "pkg-config": "pkg-config"},
    {"libseccomp": "libseccomp-dev"},
)
WASMTIME_SHIM = "containerd-shim-wasmtime-v1"
"""runwasi's shim for plain WASI programs. It is on no package registry: put one into PATH (docs/development.md)."""

BUILD_MINUTES = 25
"""Approximate time of the first build of all of them on 2 cores."""

PARTS = (CONTAINERD, KUBERNETES_NODE, TEST_SHIM)

NODE = "real-node"
HANDLER_WITHOUT_SHIM = "spin-missing"
"""A handler that containerd's configuration has, and whose shim is not installed."""

_PREFIX = "wasmfaas-node-"
_CGROUPS = Path("/sys/fs/cgroup")
_POD_LINKS = Path("/var/log/containers")
# Kubelet sets them for the whole machine, and never back.
_KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)


def why_not() -> str:
    """Why this machine cannot run a node; empty if it can."""
    if reason := pod_network.why_not():
        return reason
    if shutil.which("runc") is None:
        return "runc is not installed (Debian package runc)"
    return _not_built(CONTAINERD, KUBERNETES_NODE)


def why_no_shim() -> str:
    """Why its pods cannot run functions; empty if they can."""
    return why_not() or _not_built(TEST_SHIM)


def why_no_programs() -> str:
    """Why its pods cannot run plain WASI programs; empty if they can."""
    return why_not() or ("" if shutil.which(WASMTIME_SHIM) else f"{WASMTIME_SHIM} is not in PATH")


def _not_built(*parts: RealPart | CargoPart) -> str:
    missing = [part.name for part in parts if part.built() is None]
    if not missing:
        return ""
    return (
        f"not built: {', '.join(missing)}; `make programs-full`, a part of `make test-full`, builds them in "
        f"{BUILD_MINUTES} minutes"
    )


class RealNode:
    """The node `NODE` of a control plane, Ready and without taints. Start-up: about 20 s.

    Its state is in a directory of its own below /tmp, since paths of sockets must be short, and goes with it. All its
    processes are in control groups of its own.
    """

    def __init__(self, control_plane: ControlPlane, registry: Registry, network: PodNetwork, directory: Path) -> None:
        """Start it.

        Args:
            registry: Where the image of the pods' first container is pushed to. Nodes reach it, as all registries on
                the loopback address, by HTTP.
            network: The bridge of its pods. Its gateway is the node's address.
            directory: Directory for logs; it may exist.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.control_plane = control_plane
        self.containerd_log = directory / "containerd.log"
        remove_left_overs()
        self._stack = contextlib.ExitStack()
        with self._stack:
            owner = f"{os.getpid()} {pod_network.started(os.getpid())}"
            self._name, self._state = _name(owner), state_directory(owner)
            self._stack.callback(_remove, owner)
            self._state.mkdir(mode=0o700)
            settings = {name: Path("/proc/sys", name).read_text() for name in _KERNEL_SETTINGS}
            self._stack.callback(_write_back, settings)
            for group in hierarchies():
                (group / self._name).mkdir()
            # The shims are no children of containerd, but stay in its control group.
            self._runtime_group = next(group for group in hierarchies() if group.name in ("pids", _CGROUPS.name))
            self._runtime_group /= Path(self._name, "runtime")
            self._runtime_group.mkdir()
            self._start_containerd(network, push_program(registry, "pause", Path(_kubernetes_program("pause"))))
            self._start_kubelet(network, directory)
            self._start(
                directory / "kube-scheduler.log",
                [_kubernetes_program("kubernetes_node"), "kube-scheduler"],
                f"--kubeconfig={control_plane.kubeconfig}",
                "--leader-elect=false",
                "--secure-port=0",
            )
            self._stack = self._stack.pop_all()

    def stop(self) -> None:
        """End all its processes and remove what they left."""
        self._stack.close()

    def _start_containerd(self, network: PodNetwork, pause_image: str) -> None:
        programs = self._state / "bin"
        programs.mkdir()
        for directory in filter(None, (CONTAINERD.built(), TEST_SHIM.built())):
            for program in directory.iterdir():
                (programs / program.name).symlink_to(program)
        if wasmtime_shim := shutil.which(WASMTIME_SHIM):
            (programs / WASMTIME_SHIM).symlink_to(Path(wasmtime_shim).resolve())
        network_configuration = self._state / "cni"
        network_configuration.mkdir()
        write_json(network_configuration / "10-test.conflist", _network_configuration(network, self._state))
        socket = self._state / "containerd.sock"
        configuration = write_private(
            self._state / "containerd.toml",
            _CONTAINERD_CONFIGURATION.format(state=self._state, pause_image=pause_image, missing=HANDLER_WITHOUT_SHIM),
        )
        enter = 'echo $$ > "$0" && exec "$@"'
        containerd = self._start(
            self.containerd_log,
            ["sh", "-c", enter, str(self._runtime_group / "cgroup.procs"), str(programs / "containerd")],
            f"--config={configuration}",
            PATH=f"{programs}:/usr/local/sbin:/usr/sbin:/sbin:{os.environ['PATH']}",
        )
        containerd.wait_ready(socket.exists, seconds=120)

    def _start_kubelet(self, network: PodNetwork, directory: Path) -> None:
        health = free_port()
        configuration = write_json(
            self._state / "kubelet.json", _kubelet_configuration(network, self._state, self._name, health)
        )
        write_private(self._state / "resolv.conf", "nameserver 192.0.2.1\n")  # TEST-NET-1: pods ask no name server
        kubelet = self._start(
            directory / "kubelet.log",
            [_kubernetes_program("kubernetes_node"), "kubelet"],
            f"--config={configuration}",
            f"--kubeconfig={self.control_plane.kubeconfig}",
            f"--root-dir={self._state / 'kubelet'}",
            f"--cert-dir={self._state / 'kubelet-keys'}",
            f"--hostname-override={NODE}",
            f"--node-ip={network.gateway}",
            "--node-labels=spin=true,wasmfaas.dev/runtime-wasmtime=true",
        )
        kubelet.wait_ready(lambda: answers(f"http://127.0.0.1:{health}/healthz"), seconds=120)
        kubelet.wait_ready(self._is_ready, seconds=120)
        # The node lifecycle controller, which takes it off, does not run in the control plane of the tests.
        client = self.control_plane.client()
        client.patch(Node, NODE, {"spec": {"taints": None}}, patch_type=PatchType.MERGE)
        # Pods may ask for it, although the kubelet here neither counts nor limits it (localStorageCapacityIsolation).
        disk = {"ephemeral-storage": "100Gi"}
        status = {"status": {"capacity": disk, "allocatable": disk}}
        client.patch(NodeStatus, NODE, status, patch_type=PatchType.MERGE)

    def _start(self, log: Path, command: list[str], *arguments: str, **environment: str) -> Server:
        """Start a process that ends with this one, however it ends."""
        server = Server(["setpriv", "--pdeathsig", "KILL", *command, *arguments], log=log, environment={**environment})
        self._stack.callback(server.stop, seconds=20)
        return server

    def _is_ready(self) -> bool:
        try:
            node = self.control_plane.client().get(Node, NODE)
        except ApiError as error:
            if error.status.code == 404:
                return False
            raise
        conditions = (node.status and node.status.conditions) or []
        return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)


def real_node(stack: contextlib.ExitStack, cluster: Cluster, directory: Path) -> None:
    """For `request_path`: pods run on a real node."""
    node = RealNode(cluster.control_plane, cluster.registry, cluster.network, directory / "node")
    stack.callback(node.stop)


def _kubernetes_program(name: str) -> str:
    directory = KUBERNETES_NODE.built()
    assert directory is not None, why_not()
    return str(directory / name)


# root may not lower oom_score_adj in every container that tests run in, hence `restrict_oom_score_adj`.
_CONTAINERD_CONFIGURATION = """
version = 3
root = "{state}/root"
state = "{state}/state"
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.nri.v1.nri"]
  disable = true
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{state}/bin"]
    conf_dir = "{state}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        Root = "{state}/runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.spin]
      runtime_type = "io.containerd.spin.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.wasmtime]
      runtime_type = "io.containerd.wasmtime.v1"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.{missing}]
      runtime_type = "io.containerd.missing.v1"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{pause_image}"
"""


def _network_configuration(network: PodNetwork, state: Path) -> dict[str, t.Any]:
    subnet = {
        "subnet": f"{network.subnet}.0/24",
        "rangeStart": f"{network.subnet}.16",
        "gateway": network.gateway,
    }
    addresses = {
        "type": "host-local",
        "dataDir": str(state / "addresses"),
        "ranges": [[subnet]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": network.bridge, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "test", "plugins": [bridge]}


def _kubelet_configuration(network: PodNetwork, state: Path, control_group: str, health_port: int) -> dict[str, t.Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{state}/containerd.sock",
        "podCIDR": f"{network.subnet}.0/24",
        "resolvConf": f"{state}/resolv.conf",
        # Nothing answers there, but without it each pod gets a warning as an event.
        "clusterDNS": ["10.43.0.10"],
        "clusterDomain": "cluster.local",
        "podLogsDir": f"{state}/logs",
        "volumePluginDir": f"{state}/volume-plugins",
        # The API server reads logs here. It may be anyone: the bridge leads only to the pods of the test.
        "address": network.gateway,
        "port": free_port(network.gateway),
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "healthzPort": health_port,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{control_group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": [],
        "makeIPTablesUtilChains": False,
        "localStorageCapacityIsolation": False,
        # The machine belongs to the tests: nothing is evicted, no image removed.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
    }


def _name(owner: str) -> str:
    return _PREFIX + owner.replace(" ", "-")


def state_directory(owner: str) -> Path:
    """Where the node of a session of tests, `pod_network.lives`' owner, has its state."""
    return Path(tempfile.gettempdir()) / _name(owner)


def remove_left_overs() -> None:
    """Remove what the nodes of sessions that were killed left."""
    names = {path.name for place in (*hierarchies(), Path(tempfile.gettempdir())) for path in place.glob(f"{_PREFIX}*")}
    for name in names:
        owner = name.removeprefix(_PREFIX).replace("-", " ")
        if not pod_network.lives(owner):
            _remove(owner)


@functools.cache
def hierarchies() -> list[Path]:
    """The root of each hierarchy of control groups: one with version 2."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return sorted({path.resolve() for path in _CGROUPS.iterdir() if (path / "cgroup.procs").exists()})


def _remove(owner: str) -> None:
    """End what is left of the node of this session, and remove its state: processes, control groups, mounts, files."""
    name, state = _name(owner), state_directory(owner)
    groups = [group / name for group in hierarchies()]
    wait_until(lambda: not _killed(groups), seconds=60, what=f"the processes in the control groups {name} have ended")
    wait_until(lambda: not _unmounted(state), seconds=60, what=f"nothing is mounted below {state}")
    for link in _POD_LINKS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(state):
            link.unlink()
    shutil.rmtree(state, ignore_errors=True)
    for group in groups:
        for directory, _names, _files in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _killed(groups: list[Path]) -> bool:
    """Kill the processes in these control groups and those below; whether there were any."""
    found = {int(line) for group in groups for file in group.rglob("cgroup.procs") for line in _lines(file)}
    for process_id in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGKILL)
    return bool(found)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:  # the group has gone
        return []


def _unmounted(state: Path) -> bool:
    """Unmount what is mounted below the directory; whether there was anything."""
    found = sorted(_mount_points(state), reverse=True)
    for mount_point in found:
        subprocess.run(["umount", "--lazy", mount_point], check=False, capture_output=True)
    return bool(found)


def _mount_points(state: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].encode().decode("unicode_escape") for line in lines]
    return [point for point in points if Path(point).is_relative_to(state)]


def _write_back(settings: dict[str, str]) -> None:
    for name, value in settings.items():
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value)
