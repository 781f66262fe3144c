# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports of each other the nodes of a cluster must reach (docs.k3s.io, installation/requirements), and what the
time of a round trip says of a clock."""

from __future__ import annotations

import typing as t

from .hosts import is_loopback, url

ETCD_PORTS = (2379, 2380)
KUBELET_PORT = 10250


class Peer(t.NamedTuple):
    """A host as the others reach it."""

    name: str
    role: str
    address: str


def connections(own: Peer, others: t.Iterable[Peer], api_port: int) -> list[str]:
    """What a host must be able to connect to, as "host:port". UDP, which flannel's VXLAN needs, gives no answer to look
    at."""
    targets = []
    for other in others:
        if other.name == own.name or is_loopback(other.address):
            continue
        ports: list[int] = [api_port] if other.role == "server" else []
        if own.role == "server":
            ports += [*(ETCD_PORTS if other.role == "server" else ()), KUBELET_PORT]
        targets += [url(other.address, port).removeprefix("https://") for port in ports]
    return targets


def clock_difference(host_time: float, before: float, after: float) -> dict[str, float]:
    """By how many seconds a host's clock is ahead of this one's (`offset`), and how wrong that may be (`error`): it was
    read somewhere between the two."""
    return {"offset": round(host_time - (before + after) / 2, 3), "error": round((after - before) / 2, 3)}
