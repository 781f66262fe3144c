# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kubelet that plays the pods of one namespace: it runs the command of a pod's only container as a process, with the
container's environment, and with directories for its volumes. There is no image, and no isolation."""

from __future__ import annotations

import base64
import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import httpx2
from lightkube import ApiError
from lightkube.resources.core_v1 import Pod, Secret
from lightkube.types import PatchType

from .control_plane import ControlPlane

_MARK = "PLAYED_POD"
_LOOK_SECONDS = 0.2

Object = dict[str, t.Any]


class PlayedKubelet:
    """Use as a context; `hold` keeps it from starting pods, `keep_running` from telling of their ends."""

    def __init__(self, control_plane: ControlPlane, namespace: str, directory: Path) -> None:
        self.hold = threading.Event()
        self.keep_running = threading.Event()
        self.started: list[Object] = []
        self._client: t.Any = control_plane.client()
        self._namespace, self._directory = namespace, directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ends: dict[str, datetime.datetime] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="kubelet")

    def __enter__(self) -> PlayedKubelet:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        for uid in list(self._processes):
            self._kill(uid)

    def disrupt(self, name: str) -> None:
        """Take the pod's machine away, as the end of a spot instance does."""
        pod = self._client.get(Pod, name, namespace=self._namespace)
        self._status(
            name,
            phase="Failed",
            conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}],
        )
        self._kill(pod.metadata.uid)

    def fail(self, name: str, **status: t.Any) -> None:
        """End the pod with this status, as a kubelet does that evicts it."""
        pod = self._client.get(Pod, name, namespace=self._namespace)
        self._status(name, phase="Failed", **status)
        self._kill(pod.metadata.uid)

    def pods(self) -> list[Object]:
        """The pods there are, oldest first."""
        found = [pod.to_dict() for pod in self._client.list(Pod, namespace=self._namespace)]
        return sorted(found, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def set_status(self, name: str, **status: t.Any) -> None:
        """Set fields of a pod's status."""
        self._status(name, **status)

    def _play(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            with contextlib.suppress(ApiError, httpx2.HTTPError):  # the API server may be away
                self._look()

    def _look(self) -> None:
        pods = {pod["metadata"]["uid"]: pod for pod in self.pods()}
        for uid in set(self._processes) - set(pods):
            self._kill(uid)
        for uid, pod in pods.items():
            process = self._processes.get(uid)
            phase = (pod.get("status") or {}).get("phase")
            name = pod["metadata"]["name"]
            if process is None:
                if phase == "Pending" and not self.hold.is_set():
                    self._start(pod)
            elif (code := process.poll()) is not None and not self.keep_running.is_set():
                self._kill(uid)
                if phase not in ("Pending", "Running"):
                    self._processes.pop(uid)
                else:
                    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
                    self._status(
                        name, phase="Failed" if code else "Succeeded", containerStatuses=[_container(pod, state)]
                    )
            elif phase == "Pending":  # an earlier try to say so was refused
                self._running(pod)
            elif phase == "Running" and datetime.datetime.now(datetime.UTC) > self._ends[uid]:
                self.fail(name, reason="DeadlineExceeded")

    def _start(self, pod: Object) -> None:
        spec, uid = pod["spec"], pod["metadata"]["uid"]
        (container,) = spec["containers"]
        root = self._directory / uid
        shutil.rmtree(root, ignore_errors=True)  # of a try that was cut off
        root.mkdir(parents=True)
        places = {}
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in container["volumeMounts"]:
            place = places[mount["mountPath"]] = root / mount["name"]
            place.mkdir()
            if reference := volumes[mount["name"]].get("secret"):
                try:
                    secret = self._client.get(Secret, reference["secretName"], namespace=self._namespace)
                except ApiError:
                    shutil.rmtree(root)
                    return  # a kubelet waits until it is there
                for key, value in secret.data.items():
                    (place / key).write_bytes(base64.b64decode(value))

        def mapped(text: str) -> str:
            for inside, outside in places.items():
                if text == inside or text.startswith(f"{inside}/"):
                    return f"{outside}{text.removeprefix(inside)}"
            return text

        self.started.append(pod)
        self._processes[uid] = self._run(pod, places, mapped)
        seconds = spec["activeDeadlineSeconds"]
        self._ends[uid] = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
        self._running(pod)

    def _running(self, pod: Object) -> None:
        self._status(
            pod["metadata"]["name"],
            phase="Running",
            containerStatuses=[_container(pod, {"running": {"startedAt": _now()}})],
        )

    def _run(self, pod: Object, places: dict[str, Path], mapped: t.Callable[[str], str]) -> subprocess.Popen[bytes]:
        """Start the command of the pod's container.

        Args:
            places: directories of its volumes, by where the container has them.
            mapped: from a path in the container to that outside.
        """
        (container,) = pod["spec"]["containers"]
        given = {entry["name"]: mapped(entry["value"]) for entry in container["env"]}
        program, *arguments = container["command"]
        assert program == "python3"
        python_path = os.pathsep.join(entry for entry in sys.path if entry)
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=mapped(container["workingDir"]),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": python_path, **given, _MARK: pod["metadata"]["uid"]},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _kill(self, uid: str) -> None:
        """Kill all that a pod's container started, as the end of its namespace of processes does."""
        wanted = f"{_MARK}={uid}".encode()
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                        os.kill(int(entry.name), signal.SIGKILL)
        if process := self._processes.get(uid):
            process.wait()

    def _status(self, name: str, **status: t.Any) -> None:
        with contextlib.suppress(ApiError, httpx2.HTTPError):  # it is gone, or the API server is away
            self._client.patch(
                Pod.Status,
                name,
                {"status": status},
                namespace=self._namespace,
                patch_type=PatchType.STRATEGIC,
            )


def _container(pod: Object, state: Object) -> Object:
    (container,) = pod["spec"]["containers"]
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
