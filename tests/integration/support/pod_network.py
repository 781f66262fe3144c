# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of pods that run as processes, and the container runtime that starts them. Both need root and
iproute2."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_collections.wasmfaas.platform.tests.hosts.network import unused_subnet

from .servers import REPOSITORY, Server

_LABEL = "wasmfaas test pods: "
_networks = itertools.count()


def why_not() -> str:
    """Why this machine cannot run pods as processes; empty if it can."""
    if os.geteuid() != 0:
        return "pods with their own addresses need root"
    missing = [name for name in ("ip", "nsenter", "unshare", "setpriv") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)} (Debian packages iproute2 and util-linux)" if missing else ""


class PodNetwork:
    """A bridge with the address `.gateway` of this machine. Pods need their own addresses, because an endpoint of
    Kubernetes must not be a loopback address."""

    def __init__(self) -> None:
        """Make the bridge, and remove those of test sessions that were killed."""
        links = json.loads(_ip("-j", "link", "show"))
        for link in links:
            owner = str(link.get("ifalias", ""))
            if owner.startswith(_LABEL) and not lives(owner.removeprefix(_LABEL)):
                _ip("link", "delete", link["ifname"])
        self.bridge = f"wfp{os.getpid() % 0xFFFFF:05x}{next(_networks)}"
        # The bridge gets its own address. Otherwise it uses the lowest address of its ports, which changes when a pod
        # ends, and packets to the old address are lost.
        address = f"02:{os.urandom(5).hex(':')}"
        options = ("type", "bridge", "forward_delay", "0", "stp_state", "0")
        _ip("link", "add", self.bridge, "address", address, *options)
        try:
            _ip("link", "set", self.bridge, "alias", f"{_LABEL}{os.getpid()} {started(os.getpid())}")
            network = ipaddress.IPv4Network(unused_subnet(0x4000 + os.getpid() % 0x3000))
            self.subnet = str(network[0]).rpartition(".")[0]
            self.gateway = str(network[1])
            _ip("address", "add", f"{self.gateway}/24", "dev", self.bridge)
            _ip("link", "set", self.bridge, "up")
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("link", "delete", self.bridge)


class ContainerRuntime:
    """The process of `container_runtime.py`; spinkube_stand_in connects to its `socket`."""

    def __init__(self, network: PodNetwork, directory: Path, runtime_directory: Path) -> None:
        """Start it. `runtime_directory` is where the role local_runtime has installed the packages of Node.js."""
        self.directory = directory
        self.socket = directory / "socket"
        directory.mkdir(parents=True)
        program = str(Path(__file__).with_name("container_runtime.py"))
        options = {
            "--socket": self.socket,
            "--directory": directory,
            "--runtime-directory": runtime_directory,
            "--bridge": network.bridge,
            "--subnet": network.subnet,
        }
        self.server = Server(
            [sys.executable, program, *(str(part) for option in options.items() for part in option)],
            log=directory / "log",
            environment={"PYTHONPATH": str(REPOSITORY / ".ansible" / "collections")},
        )
        self.server.wait_ready(self.socket.exists, seconds=20)

    def stop(self) -> None:
        self.server.stop()


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def started(process_id: int) -> str:
    """When the process began, in clock ticks since boot: with its id, it names one process."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(") ")[2].split()[19]


def lives(owner: str) -> bool:
    """Whether the process `ID STARTED` lives."""
    process_id, _space, begun = owner.partition(" ")
    try:
        return started(int(process_id)) == begun
    except (OSError, ValueError):
        return False
