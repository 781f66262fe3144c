# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the pods of spinkube_stand_in as processes: each in a network namespace with its own address, with its function
in the collection's local runtime.

`pod_network.ContainerRuntime` starts this program. PUT /pods/UID on its Unix socket starts a pod and answers
`{"address": …}`. DELETE ends a pod with SIGKILL, because the Spin shim ends at once on SIGTERM. All pods end with this
program.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.server
import io
import itertools
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import typing as t
import urllib.request
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.local import control, release, runtime
from ansible_collections.wasmfaas.platform.plugins.module_utils.local.installation import (
    Installation,
    read_installation,
)

POD_SCRIPT = Path(__file__).with_name("pod.mjs")
VARIABLE_PREFIX = "SPIN_VARIABLE_"
START_SECONDS = 60.0
POD_ADDRESSES = range(16, 250)  # last numbers; lower ones are this machine's own addresses on the bridge


@dataclasses.dataclass
class Pod:
    """A pod. Its first process leads the process group of all others; its network namespace ends with the last one."""

    process: subprocess.Popen[bytes]
    address: str
    directory: Path


class Pods:
    """All pods of the node."""

    def __init__(self, directory: Path, installation: Installation, bridge: str, subnet: str) -> None:
        """Prepare to run pods.

        Args:
            directory: For releases, which pods share, and for a directory per pod.
            subnet: The /24 of `bridge` without its last number.
        """
        self._directory = directory
        self._installation = installation
        self._bridge = bridge
        self._subnet = subnet
        self._serials = itertools.count()
        self._pods: dict[str, Pod] = {}
        self._preparing = threading.Lock()

    def start(self, identifier: str, order: dict[str, t.Any]) -> str:
        """Start a pod and return its address, where the function listens when it is ready. If the pod runs already, it
        gets a new container."""
        self.stop(identifier)
        application = order["locked_application"]
        repository, digest = str(order["image"]).split("@")
        with self._preparing:  # two pods of one artifact share a release
            prepared = release.prepare(
                self._directory / "releases",
                digest,
                "jco",
                application,
                _blobs_of(repository),
                node=self._installation.node,
                runtime_directory=self._installation.runtime_directory,
            )
        serial, address = self._free_address()
        directory = self._directory / "pods" / str(serial)
        (directory / "data").mkdir(parents=True)
        pod = Pod(self._start_processes(directory), address, directory)
        self._pods[identifier] = pod
        self._connect(pod, f"{self._bridge}p{address.rpartition('.')[2]}")
        pod.process.stdin.write(b"\n")  # type: ignore[union-attr]
        pod.process.stdin.flush()  # type: ignore[union-attr]
        variables = {
            name.removeprefix(VARIABLE_PREFIX).lower(): value
            for name, value in order["environment"].items()
            if name.startswith(VARIABLE_PREFIX)
        }
        state = {
            "namespace": order["namespace"],
            "name": order["pod"],
            "digest": digest,
            "source_digest": "",
            "settings_digest": "",
            "image": order["image"],
        }
        deployed = {
            "runtime": "jco",
            "spin": None,
            "directory": str(prepared.directory),
            "components": prepared.components,
            "data_directory": str(directory / "data"),
            "runtime_config": None,
            "locked_application": application,
            "variables": variables,
            "port": None,
            "timeout_seconds": 3600,  # a pod has no limit of its own: the route has one, and the interceptor
            "ready_timeout_seconds": START_SECONDS,
            "drain_seconds": 5,
            "growth_bytes": runtime.GROWTH_BYTES,
            "state": state,
        }
        threading.Thread(target=_deploy, args=(pod, deployed), daemon=True).start()
        return address

    def _free_address(self) -> tuple[int, str]:
        """The number of a new pod, and an address that no pod has or had recently, because somebody may still take it
        for the old pod's."""
        used = {pod.address for pod in self._pods.values()}
        for serial in itertools.islice(self._serials, len(POD_ADDRESSES)):
            address = f"{self._subnet}.{POD_ADDRESSES[serial % len(POD_ADDRESSES)]}"
            if address not in used:
                return serial, address
        raise OSError(f"all of the node's {len(POD_ADDRESSES)} addresses are taken")

    def _start_processes(self, directory: Path) -> subprocess.Popen[bytes]:
        """Start the pod's first process in its own network namespace. It waits for a line before it begins."""
        command = [
            str(self._installation.node),
            *runtime.NODE_OPTIONS,
            str(POD_SCRIPT),
            str(self._installation.runtime_directory / "front.mjs"),
            str(directory),
        ]
        environment = {name: os.environ[name] for name in runtime.KEPT_ENVIRONMENT if name in os.environ}
        with (directory / "log").open("ab") as log:
            return subprocess.Popen(
                ["unshare", "--net", "--", "sh", "-c", 'read -r _ && exec "$@"', "sh", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )

    def _connect(self, pod: Pod, link: str) -> None:
        ours, theirs = os.readlink("/proc/self/ns/net"), Path(f"/proc/{pod.process.pid}/ns/net")
        _wait(lambda: os.readlink(theirs) != ours, "the pod's network namespace")
        _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pod.process.pid)])
        _run(["ip", "link", "set", link, "master", self._bridge, "up"])
        inside = (
            f"address add {pod.address}/24 dev eth0\nlink set lo up\nlink set eth0 up\nroute add default via "
            f"{self._subnet}.1\n"
        )
        _run(["nsenter", "--target", str(pod.process.pid), "--net", "ip", "-batch", "-"], inside)

    def stop(self, identifier: str) -> None:
        """End a pod at once, if it exists."""
        pod = self._pods.pop(identifier, None)
        if pod is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pod.process.pid, signal.SIGKILL)
            pod.process.wait()

    def stop_all(self) -> None:
        for identifier in tuple(self._pods):
            self.stop(identifier)


def _deploy(pod: Pod, order: dict[str, t.Any]) -> None:
    """Make the pod's front run the release. If that fails, the pod does not become ready, and the log says why."""
    try:
        _wait(lambda: pod.process.poll() is not None or control.status(pod.directory) is not None, "the pod's front")
        control.call(pod.directory, "/deploy", order, timeout_seconds=START_SECONDS)
    except (OSError, TimeoutError, control.ControlError) as error:
        print(f"{order['state']['name']}: {error}", file=sys.stderr, flush=True)


def _blobs_of(repository: str) -> release.OpenBlob:
    """A function that reads blobs of a registry on this machine without TLS."""
    host, _slash, path = repository.partition("/")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def open_blob(digest: str) -> t.BinaryIO:
        with opener.open(f"http://{host}/v2/{path}/blobs/{digest}", timeout=60) as response:
            return io.BytesIO(response.read())

    return open_blob


def _run(command: list[str], text: str = "") -> None:
    finished = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise OSError(f"{' '.join(command)}: {finished.stderr.strip()}")


def _wait(condition: t.Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not there after 20 s")
        time.sleep(0.005)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _handler(pods: Pods) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            order = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._answer(lambda: {"address": pods.start(self.path.rpartition("/")[2], order)})

        def do_DELETE(self) -> None:
            self._answer(lambda: pods.stop(self.path.rpartition("/")[2]))

        def _answer(self, work: t.Callable[[], object]) -> None:
            try:
                status, body = 200, json.dumps(work())
            except Exception as error:
                status, body = 500, f"{type(error).__name__}: {error}"
            self.send_response(status)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def address_string(self) -> str:
            return "stand-in"  # a Unix socket's client has no address

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--socket", "--directory", "--runtime-directory"):
        parser.add_argument(name, type=Path, required=True)
    for name in ("--bridge", "--subnet"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    pods = Pods(arguments.directory, read_installation(arguments.runtime_directory), arguments.bridge, arguments.subnet)
    (arguments.directory / "releases").mkdir(parents=True, exist_ok=True)
    server = _Server(str(arguments.socket), _handler(pods))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    try:
        sys.stdin.read()  # ends when the test session does
    finally:
        pods.stop_all()


if __name__ == "__main__":
    main()
