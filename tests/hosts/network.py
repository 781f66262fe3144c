# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of an environment: a network namespace with a bridge, and one link from this machine to it.

The bridge has its own namespace, so that this machine's firewall (Docker sets FORWARD to DROP) does not affect traffic
between hosts, and so that deleting the namespace deletes everything in it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import ipaddress
import json
import os
import typing as t
from pathlib import Path

from .errors import HostsError, call
from .rootfs import cache

_PREFIX = "wf-"
_NAMESPACE_PREFIX = "wasmfaas-"
_BRIDGE = "hosts"
_LABEL = "wasmfaas test hosts: "


@dataclasses.dataclass(frozen=True)
class Network:
    """The network of an environment.

    Attributes:
        identifier: Five hexadecimal digits, part of every interface's name.
        subnet: A /24 in 10.0.0.0/8; its .1 is this machine.
    """

    identifier: str
    subnet: str

    @property
    def namespace(self) -> str:
        return f"{_NAMESPACE_PREFIX}{self.identifier}"

    @property
    def namespace_path(self) -> Path:
        return Path("/run/netns") / self.namespace

    @property
    def link(self) -> str:
        return f"{_PREFIX}{self.identifier}"

    @property
    def bridge(self) -> str:
        return _BRIDGE

    @property
    def gateway(self) -> str:
        return str(ipaddress.IPv4Network(self.subnet)[1])

    def address(self, index: int) -> str:
        """The address of the host with this number, counted from 1."""
        return str(ipaddress.IPv4Network(self.subnet)[10 + index])

    def attach(self, interface: str) -> None:
        call(["ip", "-n", self.namespace, "link", "set", interface, "master", _BRIDGE])

    def detach(self, interface: str) -> None:
        """Remove the interface from the bridge. The host keeps its link and its addresses, but reaches nobody."""
        call(["ip", "-n", self.namespace, "link", "set", interface, "nomaster"])

    def attached(self, interface: str) -> bool:
        return self.namespace_path.exists() and "master" in call(
            ["ip", "-n", self.namespace, "-o", "link", "show", "dev", interface], allowed=(0, 1)
        )

    def remove_interface(self, interface: str) -> None:
        """Remove both ends of a link, if it still exists."""
        if self.namespace_path.exists():
            # It may go in this moment, with the host at its other end: then the exit code is 2, and else 1.
            call(["ip", "-n", self.namespace, "link", "delete", interface], allowed=(0, 1, 2))
            if call(["ip", "-n", self.namespace, "-o", "link", "show", "dev", interface], allowed=(0, 1)):
                raise HostsError(f"the interface {interface} of {self.namespace} is still there after its removal")

    def remove(self) -> None:
        """Remove the network, even if only a part of it exists."""
        if any(link["ifname"] == self.link for link in _links()):
            call(["ip", "link", "delete", self.link], allowed=(0, 1))
        if self.namespace_path.exists():
            call(["ip", "netns", "delete", self.namespace])


def create(identifier: str, owner: str) -> Network:
    """Make a network with addresses that nothing on this machine uses. The link stores `owner`, so that `owners` finds
    it after a crash."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "network.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # no other environment may take the same addresses meanwhile
        network = Network(identifier, unused_subnet(int(identifier, 16)))
        namespace = ["-n", network.namespace]
        try:
            call(["ip", "netns", "add", network.namespace])
            # Keeps bridged packets away from iptables in this namespace.
            for file in ("iptables", "ip6tables", "arptables"):
                path = f"/proc/sys/net/bridge/bridge-nf-call-{file}"
                call(["nsenter", f"--net={network.namespace_path}", "sh", "-c", f"[ ! -e {path} ] || echo 0 > {path}"])
            peer = ["peer", "name", "machine", "netns", network.namespace]
            call(["ip", "link", "add", network.link, "type", "veth", *peer])
            call(["ip", "link", "set", network.link, "alias", (_LABEL + owner)[:255]])
            call(["ip", "address", "add", f"{network.gateway}/24", "dev", network.link])
            # The bridge gets its own address. Otherwise it uses the lowest address of its ports, which changes when a
            # host ends, and packets to the old address are lost.
            address = f"02:{os.urandom(5).hex(':')}"
            bridge = ["type", "bridge", "forward_delay", "0", "stp_state", "0"]
            call(["ip", *namespace, "link", "add", _BRIDGE, "address", address, *bridge])
            call(["ip", *namespace, "link", "set", "machine", "master", _BRIDGE, "up"])
            call(["ip", *namespace, "link", "set", _BRIDGE, "up"])
            call(["ip", "link", "set", network.link, "up"])
        except HostsError:
            network.remove()
            raise
    return network


def owners() -> dict[str, str]:
    """The state directories of all networks on this machine, by identifier of the network."""
    return {
        link["ifname"].removeprefix(_PREFIX): link["ifalias"].removeprefix(_LABEL)
        for link in _links()
        if link["ifname"].startswith(_PREFIX) and str(link.get("ifalias", "")).startswith(_LABEL)
    }


def _links() -> list[dict[str, t.Any]]:
    return [link for link in json.loads(call(["ip", "-j", "link", "show"]) or "[]") if link]


def unused_subnet(start: int) -> str:
    """`free_subnet`, of what no route of this machine leads to."""
    routes = json.loads(call(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
    taken = []
    for route in routes:
        destination = str(route.get("dst", "default"))
        if destination != "default":
            taken.append(ipaddress.IPv4Network(destination, strict=False))
    return free_subnet(taken, start)


def free_subnet(taken: list[ipaddress.IPv4Network], start: int) -> str:
    """A /24 of 10.128.0.0/9 (k3s uses 10.42 and 10.43) that overlaps none of `taken`. The search begins at number
    `start`.

    Raises:
        HostsError: all are taken.
    """
    count = 1 << 15
    for offset in range(count):
        number = (start + offset) % count
        candidate = ipaddress.IPv4Network(((10 << 24) + (1 << 23) + (number << 8), 24))
        if not any(candidate.overlaps(other) for other in taken):
            return str(candidate)
    raise HostsError("No free network in 10.128.0.0/9: `ip route` shows what is taken.")
