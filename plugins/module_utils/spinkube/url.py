# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds the URL at which the shared Gateway serves a function, and the listener for it."""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ..errors import PlatformError
from .api import KubernetesApi
from .kinds import GATEWAY
from .settings import ClusterSettings

_DEFAULT_PORTS = {"HTTP": 80, "HTTPS": 443}


@dataclasses.dataclass(frozen=True)
class FunctionAddress:
    """Where a function answers; `listener` is the name of the Gateway's listener that it is bound to, None for all."""

    url: str
    listener: str | None = None


def function_address(api: KubernetesApi, namespace: str, name: str, settings: ClusterSettings) -> FunctionAddress:
    """`http://<function>.<namespace>.<domain>`, or the host that is given.

    The domain is the given one, or `<ip>.nip.io` of the address in the Gateway's status; scheme and port are those of
    its listener (http before https). With `tls` the function answers only at the HTTPS listener for the host.

    Raises:
        PlatformError: there is no such Gateway, it has no address yet, or no HTTPS listener for the host.
    """
    gateway = api.get(GATEWAY, settings.gateway_namespace, settings.gateway_name)
    where = f"{settings.gateway_namespace}/{settings.gateway_name}"
    if gateway is None:
        raise PlatformError(
            f"The Gateway {where} does not exist.",
            next_step="Install the ingress with `ansible-playbook wasmfaas.platform.site`, or name another with `-e "
            "gateway=NAMESPACE/NAME`.",
        )
    host = settings.hostname or f"{name}.{namespace}.{settings.domain or _address_domain(gateway, where)}"
    listeners = gateway["spec"].get("listeners") or []
    if settings.tls:
        listener = _tls_listener(listeners, host, where)
        return FunctionAddress(_url("HTTPS", host, listener["port"]), listener["name"])
    ports = {listener["protocol"]: listener["port"] for listener in reversed(listeners)}
    protocol = "HTTP" if "HTTP" in ports or "HTTPS" not in ports else "HTTPS"
    return FunctionAddress(_url(protocol, host, ports.get(protocol, _DEFAULT_PORTS[protocol])))


def _url(protocol: str, host: str, port: int) -> str:
    return f"{protocol.lower()}://{host}" + ("" if port == _DEFAULT_PORTS[protocol] else f":{port}")


def _tls_listener(listeners: list[dict[str, t.Any]], host: str, where: str) -> dict[str, t.Any]:
    """The HTTPS listener whose host name fits best: the same, else the longest wildcard, else one for all hosts
    (Gateway API, Listener.hostname)."""
    secure = [listener for listener in listeners if listener["protocol"] == "HTTPS"]
    fitting = [listener for listener in secure if _fits(listener.get("hostname") or "", host)]
    if not fitting:
        hosts = ", ".join(listener.get("hostname") or "*" for listener in secure)
        raise PlatformError(
            f"tls: the Gateway {where} has no HTTPS listener for {host} "
            + (f"(only for {hosts})." if hosts else "(none at all)."),
            next_step="Choose a host that it has a certificate for (`-e domain=DOMAIN` or `-e hostname=HOST`), give "
            "the ingress a certificate for this one, or leave `tls` out.",
        )
    return max(fitting, key=lambda listener: (listener.get("hostname") == host, len(listener.get("hostname") or "")))


def _fits(hostname: str, host: str) -> bool:
    return hostname in ("", host) or (hostname.startswith("*.") and host.endswith(hostname[1:]))


def _address_domain(gateway: dict[str, object], where: str) -> str:
    status = gateway.get("status")
    addresses = status.get("addresses") or [] if isinstance(status, dict) else []
    for address in addresses:
        try:
            return f"{ipaddress.IPv4Address(address['value'])}.nip.io"
        except ValueError:
            # IPv6, which nip.io does not know, or a host name, as AWS gives to a load balancer without fixed addresses
            continue
    named = next((address["value"] for address in addresses), None)
    raise PlatformError(
        f"The Gateway {where} has {'only the address ' + named if named else 'no address yet'}, so no nip.io name "
        "can be made.",
        next_step="Give the domain with `-e domain=functions.example.com`"
        + (f" and let *.functions.example.com point to {named}." if named else "."),
    )
