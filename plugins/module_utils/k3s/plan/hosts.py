# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the inventory as the plan sees them: what is desired of each, and what k3s_node_info found there."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ...errors import PlatformError
from .. import paths

STARTED = ("active", "activating")
"""States of a unit that runs or will by itself."""

AUTOSCALED_LABEL = ("wasmfaas.dev/join", "self")
"""Label of autoscaled nodes, which have no host in the inventory; terraform/modules/node_group/files/join_cluster.py
sets it."""


@dataclasses.dataclass(frozen=True)
class Host:
    """One host of the two groups.

    Args:
        name: in the inventory.
        role: `server` or `agent`, by its group.
        desired: k3s_desired of role k3s; empty for a host that this run leaves out.
        info: result of k3s_node_info; empty where there is none.
        in_play: whether the host is part of this run; false if --limit leaves it out.
        unreachable: why it could not be examined; "" where it could.
        reach: name or address by which Ansible reaches it.
        sources: for each key of its configuration, the variable that sets it.
    """

    name: str
    role: str
    desired: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    info: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    in_play: bool = True
    unreachable: str = ""
    reach: str = ""
    node_name_hint: str = ""
    sources: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it was examined in this run."""
        return bool(self.info.get("node")) and not self.unreachable

    @property
    def node(self) -> dict[str, t.Any]:
        return self.info.get("node") or {}

    @property
    def k3s(self) -> dict[str, t.Any]:
        return self.node.get("k3s") or {}

    @property
    def node_name(self) -> str:
        return str(self.desired.get("name") or self.node_name_hint or self.name)

    @property
    def unit(self) -> str:
        return paths.SERVER_UNIT if self.role == "server" else paths.AGENT_UNIT

    @property
    def has_data(self) -> bool:
        """Whether it holds the data of a member of a cluster in its role; a server's data is that of etcd."""
        return bool(self.k3s.get("has_server_data" if self.role == "server" else "has_agent_data"))

    @property
    def runs(self) -> bool:
        """Whether k3s runs there in its desired role, or will by itself."""
        return self.k3s.get("role") == self.role and self.k3s.get("service") in STARTED

    @property
    def certificates_ended(self) -> float:
        """When the first certificate ended of a k3s that runs, in seconds since 1970; 0 where none has. A k3s that does
        not run renews them at its start."""
        return float(self.k3s.get("certificates_ended") or 0.0) if self.runs else 0.0

    @property
    def is_live_server(self) -> bool:
        """Whether it is a server whose API is ready and told of its cluster."""
        return (
            self.known
            and self.k3s.get("role") == "server"
            and bool(self.k3s.get("ready"))
            and bool(self.info.get("cluster"))
        )

    @property
    def desired_addresses(self) -> list[str]:
        """What the inventory says, else what config.yaml on the host already says, which must not change by itself."""
        said = [part.strip() for part in str(self.desired.get("address") or "").split(",") if part.strip()]
        return said or self._addresses_of_interface or list(self.k3s.get("node_ip") or [])

    @property
    def _addresses_of_interface(self) -> list[str]:
        """The first IPv4 and the first IPv6 address of the interface that the inventory names."""
        wanted = str(self.desired.get("interface") or "")
        found = [address for address, name in (self.node.get("interfaces") or {}).items() if wanted and name == wanted]
        families = {":" in address: address for address in reversed(found)}
        return [families[family] for family in (False, True) if family in families]

    @property
    def address(self) -> str:
        """The address by which other nodes reach it; "" if it is unknown."""
        return (
            next(iter(self.desired_addresses), "")
            or str(self.node.get("default_address") or "")
            or next(iter(self.node.get("addresses") or []), "")
        )

    @property
    def own_names(self) -> set[str]:
        """All names and addresses that may stand for it in a URL."""
        return {
            name
            for name in (self.name, self.node_name, self.reach, self.address, *(self.node.get("addresses") or []))
            if name
        }

    @property
    def version(self) -> str:
        """The desired version of k3s."""
        return str(self.desired.get("version") or "")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of the cluster, not of a host.

    Args:
        purpose: `site` or `upgrade`; only an upgrade may change versions.
        prune: whether nodes that the inventory no longer has leave the cluster in this run.
        clock_tolerance: seconds by which the clocks of two hosts may differ.
    """

    api_address: str = ""
    api_port: int = 6443
    even_servers_allowed: bool = False
    clock_tolerance: float = 30.0
    minimum_disk_bytes: int = 0
    prune: bool = False
    purpose: str = "site"

    @classmethod
    def of(cls, hosts: t.Sequence[Host], *, prune: bool = False, purpose: str = "site") -> Settings:
        """Read from the first host that has them; the role gives all hosts the same values.

        Raises:
            PlatformError: a value is not a number.
        """
        desired = next((host.desired for host in hosts if host.desired), {})
        try:
            return cls(
                api_address=str(desired.get("api_address") or ""),
                api_port=int(desired.get("api_port") or cls.api_port),
                even_servers_allowed=bool(desired.get("even_servers_allowed")),
                clock_tolerance=float(desired.get("maximum_clock_difference") or cls.clock_tolerance),
                minimum_disk_bytes=int(float(desired.get("minimum_disk_gib") or 0) * 1024**3),
                prune=prune,
                purpose=purpose,
            )
        except (TypeError, ValueError) as error:
            raise PlatformError(
                f"k3s_api_port, k3s_maximum_clock_difference or k3s_minimum_disk_gib is not a number: {error}.",
                next_step="Write it as a number.",
            ) from error


def is_autoscaled(node: t.Mapping[str, t.Any]) -> bool:
    """Whether a node of the cluster, as k3s_node_info describes it, is a machine of a scaling group."""
    label, value = AUTOSCALED_LABEL
    return bool((node.get("labels") or {}).get(label) == value)


def url(host: str, port: int) -> str:
    """The URL of the API at an address or name."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def url_host(text: str) -> str:
    """The name or address in the URL of a server; "" if it has none."""
    rest = text.partition("://")[2].partition("/")[0]
    return rest[1:].partition("]")[0] if rest.startswith("[") else rest.partition(":")[0]


def is_loopback(name: str) -> bool:
    """Whether a name or address means the machine that uses it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", "localhost.localdomain", "")
