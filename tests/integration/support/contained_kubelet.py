# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A played kubelet whose containers are real ones of runc, with the user, the root and the limits that the pod asks
for. Their image is Debian's root file system of the test hosts; the network is that of the machine."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import typing as t
from pathlib import Path

from ...hosts.rootfs import rootfs
from .control_plane import ControlPlane
from .played_kubelet import Object, PlayedKubelet
from .servers import REPOSITORY, write_json

MOST_PROCESSES = 200
"""Of a pod, as the kubelet's `podPidsLimit`."""

_COLLECTION = "/opt/wasmfaas/ansible_collections/wasmfaas/platform"
_PACKAGES = "/opt/packages"
_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30}


def why_not() -> str:
    """Why this machine cannot run it; empty if it can."""
    if os.geteuid() != 0:
        return "containers take root"
    missing = [name for name in ("runc", "debootstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


class ContainedKubelet(PlayedKubelet):
    """See `PlayedKubelet`."""

    def __init__(self, control_plane: ControlPlane, namespace: str, directory: Path) -> None:
        super().__init__(control_plane, namespace, directory)
        self._image = rootfs()
        self._mounted: list[Path] = []

    def __exit__(self, *_error: object) -> None:
        super().__exit__()
        for root in self._mounted:
            subprocess.run(["umount", "--lazy", str(root)], check=False, capture_output=True)

    def _run(self, pod: Object, places: dict[str, Path], mapped: t.Callable[[str], str]) -> subprocess.Popen[bytes]:
        uid = pod["metadata"]["uid"]
        bundle = self._directory / uid / "bundle"
        for name in ("upper", "work", "rootfs"):
            (bundle / name).mkdir(parents=True)
        layers = f"lowerdir={self._image},upperdir={bundle}/upper,workdir={bundle}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(bundle / "rootfs")], check=True)
        self._mounted.append(bundle / "rootfs")
        group = pod["spec"]["securityContext"]["fsGroup"]
        for place in places.values():
            os.chown(place, 0, group)
            place.chmod(0o2775)
            for file in place.iterdir():
                os.chown(file, 0, group)
                file.chmod(0o440)
        write_json(bundle / "config.json", _configuration(pod, places))
        return subprocess.Popen(
            ["runc", "run", "--bundle", str(bundle), _name(uid)], stdin=subprocess.DEVNULL, start_new_session=True
        )

    def _kill(self, uid: str) -> None:
        subprocess.run(["runc", "delete", "--force", _name(uid)], check=False, capture_output=True)
        super()._kill(uid)


def _name(uid: str) -> str:
    return f"wasmfaas-build-{uid}"


def _configuration(pod: Object, places: dict[str, Path]) -> Object:
    spec = pod["spec"]
    user = spec["securityContext"]
    (container,) = spec["containers"]
    own = container["securityContext"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    memory = container["resources"]["limits"]["memory"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"/opt/wasmfaas:{_PACKAGES}",
        **{entry["name"]: entry["value"] for entry in container["env"]},
    }
    read_only = {mount["mountPath"] for mount in container["volumeMounts"] if mount.get("readOnly")}
    bound = {
        **{inside: (str(outside), inside in read_only) for inside, outside in places.items()},
        _COLLECTION: (str(REPOSITORY), True),
        _PACKAGES: (site.getsitepackages()[0], True),
    }
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user["runAsUser"], "gid": user["runAsGroup"], "additionalGids": [user["fsGroup"]]},
            "args": container["command"],
            "env": [f"{name}={value}" for name, value in environment.items()],
            "cwd": container["workingDir"],
            "capabilities": {},
            "noNewPrivileges": not own["allowPrivilegeEscalation"],
        },
        "root": {"path": "rootfs", "readonly": own["readOnlyRootFilesystem"]},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            *(
                {
                    "destination": inside,
                    "type": "bind",
                    "source": outside,
                    "options": ["bind", "nosuid", "nodev", "ro" if fixed else "rw"],
                }
                for inside, (outside, fixed) in bound.items()
            ),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")],
            "resources": {
                "memory": {"limit": int(memory[:-2]) * _UNITS[memory[-2:]]},
                "pids": {"limit": MOST_PROCESSES},
            },
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    }
