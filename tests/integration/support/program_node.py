# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the node that runs WASI programs: it writes the status of their pods, and answers for servers.

How a container ends is that of containerd-shim-wasmtime by its source (containerd/runwasi eb9967a,
crates/containerd-shim-wasm/src/sys/unix/container/executor.rs): with the program's exit code, or 137. Its kubelet is by
the Kubernetes API: a Job's pod ends as Succeeded or Failed, and a Deployment's becomes ready. No program is executed.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
import typing as t

import httpx2
from lightkube import ApiError, Client
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from .control_plane import ControlPlane, HTTPRoute

RUNTIME_CLASS = "wasmtime-wasi"
PROGRAM_LABEL = "wasmfaas.dev/program"
EXIT_CODE = "STAND_IN_EXIT_CODE"
"""Environment variable: the program ends with this."""
BROKEN_IMAGE = "STAND_IN_BROKEN_IMAGE"
"""Environment variable: the image cannot be pulled."""

_POLL_SECONDS = 0.1
_Pod = create_namespaced_resource("", "v1", "Pod", "pods")
_PodStatus = _Pod.Status


def make_runtime_class(control_plane: ControlPlane) -> None:
    """Make the RuntimeClass of programs' pods. Only the node of `ProgramNode` takes such pods."""
    control_plane.apply(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": RUNTIME_CLASS},
            "handler": "wasmtime",
            "scheduling": {"nodeSelector": {"wasmfaas.dev/runtime-wasmtime": "true"}},
        }
    )


class ProgramNode:
    """Running beside a control plane until it is stopped; `address` is where the programs' URLs are answered."""

    def __init__(self, control_plane: ControlPlane) -> None:
        make_runtime_class(control_plane)
        self._client: Client = control_plane.client()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Front, self._client))
        self.address = f"127.0.0.1:{self._front.server_address[1]}"
        threading.Thread(target=self._front.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._front.shutdown()
        self._front.server_close()

    def _run(self) -> None:
        while not self._ended.wait(_POLL_SECONDS):
            # A pod was deleted meanwhile, or the API server is away or busy: the next look tries again.
            with contextlib.suppress(ApiError, httpx2.HTTPError):
                self._look()

    def _look(self) -> None:
        for pod in self._client.list(_Pod, namespace="*", labels={PROGRAM_LABEL: None}):
            status = self._next_status(pod)
            if status is not None:
                self._write(pod["metadata"], status)

    def _write(self, metadata: dict[str, t.Any], status: dict[str, t.Any]) -> None:
        self._client.patch(
            _PodStatus,
            metadata["name"],
            {"status": status},
            namespace=metadata["namespace"],
            patch_type=PatchType.MERGE,
        )

    @staticmethod
    def _next_status(pod: dict[str, t.Any]) -> dict[str, t.Any] | None:
        """What the kubelet says of a pod next; None for nothing new."""
        if pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") != "Pending":
            return None
        container = pod["spec"]["containers"][0]
        variables = {entry["name"]: entry.get("value") for entry in container.get("env") or []}
        about: dict[str, t.Any] = {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "restartCount": 0,
            "ready": False,
        }
        if BROKEN_IMAGE in variables:
            if pod["status"].get("containerStatuses"):
                return None
            about["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}
            return {"containerStatuses": [about]}
        if pod["spec"]["restartPolicy"] == "Always":
            about |= {"ready": True, "started": True, "state": {"running": {}}}
            return {
                "phase": "Running",
                "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
                "containerStatuses": [about],
            }
        code = int(variables.get(EXIT_CODE) or 0)
        about["state"] = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [about]}


class _Front(http.server.BaseHTTPRequestHandler):
    """Answers as the Gateway does once a route leads to ready pods, and with 404 where no route has the host (Gateway
    API: HTTPRouteRule)."""

    def __init__(self, client: Client, *request: t.Any) -> None:
        self._client = client
        super().__init__(*request)

    def do_GET(self) -> None:
        host = self.headers.get("Host", "").partition(":")[0]
        routes = self._client.list(HTTPRoute, namespace="*")
        found = any(host in (route.get("spec") or {}).get("hostnames", []) for route in routes)
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing: a test that fails says why."""
