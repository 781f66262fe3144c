# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the URL at which the shared Gateway will serve a function."""

from __future__ import annotations

import ipaddress

from ..errors import PlatformError
from .api import KubernetesApi
from .kinds import GATEWAY
from .settings import ClusterSettings

_DEFAULT_PORTS = {"HTTP": 80, "HTTPS": 443}


def function_url(api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings) -> str:
    """`http://<function>.<namespace>.<domain>`, or the host that is given.

    The domain is the given one, or `<ip>.nip.io` of the address in the Gateway's status; scheme and port are those of its listener (http before https).

    Raises:
        PlatformError: there is no such Gateway, or it has no address yet.
    """
    gateway = api.get(GATEWAY, settings.gateway_namespace, settings.gateway_name)
    where = f"{settings.gateway_namespace}/{settings.gateway_name}"
    if gateway is None:
        raise PlatformError(
            f"the Gateway {where} does not exist.",
            next_step="install the ingress with `ansible-playbook site.yml`, or name another with `-e gateway=NAMESPACE/NAME`.",
        )
    host = settings.hostname or f"{name}.{namespace}.{settings.domain or _address_domain(gateway, where)}"
    listeners = {listener["protocol"]: listener["port"] for listener in reversed(gateway["spec"].get("listeners") or [])}
    protocol = "HTTP" if "HTTP" in listeners or "HTTPS" not in listeners else "HTTPS"
    port = listeners.get(protocol, _DEFAULT_PORTS[protocol])
    return f"{protocol.lower()}://{host}" + ("" if port == _DEFAULT_PORTS[protocol] else f":{port}")


def _address_domain(gateway: dict[str, object], where: str) -> str:
    status = gateway.get("status")
    addresses = status.get("addresses") or [] if isinstance(status, dict) else []
    for address in addresses:
        try:
            return f"{ipaddress.IPv4Address(address['value'])}.nip.io"
        except ValueError:
            continue  # IPv6, which nip.io does not know, or a host name, as AWS gives to a load balancer without fixed addresses
    named = next((address["value"] for address in addresses), None)
    raise PlatformError(
        f"the Gateway {where} has {'only the address ' + named if named else 'no address yet'}, so no nip.io name can be made.",
        next_step="give the domain with `-e domain=functions.example.com`" + (f" and let *.functions.example.com point to {named}." if named else "."),
    )
