# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a node's container runtime gets images from: the content of k3s's registries.yaml
(docs.k3s.io/installation/private-registry)."""

from __future__ import annotations

import copy
import typing as t

Settings = dict[str, t.Any]


def registries(
    mirrors: Settings, configs: Settings, *, authorities: t.Mapping[str, str], own: Own | None, embedded_mirror: bool
) -> Settings:
    """The keys `mirrors` and `configs`.

    Args:
        mirrors, configs: as in registries.yaml; what they say counts over what is added here, but for `authorities`.
        authorities: path of an authority's certificate on the node, by host.
        own: the cluster's own registry; None where there is none.
        embedded_mirror: whether nodes give each other the images they have.
    """
    every = copy.deepcopy(dict(configs))
    for host, path in authorities.items():
        every = merged(every, {host: {"tls": {"ca_file": path}}})
    added: Settings = {}
    if own:
        addresses = own.addresses()
        for address in addresses:
            every = merged({address: own.config()}, every)
        endpoints = [f"https://{address}" for address in addresses]
        added = {address: {"endpoint": list(endpoints)} for address in addresses[1:]}
    everywhere: Settings = {"*": {}} if embedded_mirror else {}
    return {"mirrors": {**added, **mirrors, **everywhere}, "configs": every}


class Own(t.NamedTuple):
    """The cluster's own registry. Nothing here changes with the servers: k3s starts again for each change."""

    hosts: t.Sequence[str]
    """What images are called after: names or addresses, without a port."""
    port: int
    """The one that it has on every node."""
    password: str
    """The one of the user `nodes`."""
    authority: str
    """Path of its authority's certificate on the node."""

    def addresses(self) -> list[str]:
        """HOST:PORT, first the node's own loopback address: each node reaches the registry by its own port."""
        hosts = dict.fromkeys(["127.0.0.1", *self.hosts])
        return [f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in hosts]

    def config(self) -> Settings:
        """Its entry below `configs`."""
        return {"auth": {"username": "nodes", "password": self.password}, "tls": {"ca_file": self.authority}}


def merged(first: Settings, second: Settings) -> Settings:
    """`second` laid over `first`, dictionaries in them merged; as Ansible's filter `combine` with recursive=true."""
    result = dict(first)
    for key, value in second.items():
        known = result.get(key)
        result[key] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result
