# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role ingress, and the addresses of the hosts that run it. Runs on the controller."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import typing as t

from ..problems import Problem
from . import certificate
from .checks import Variables, network_problems, range_problems, whole

TRAEFIKS_OWN = (8080, 9100)
"""Ports of Traefik's own entry points `traefik` and `metrics` (chart traefik 41.3.0, values.yaml, ports)."""
DOMAIN = re.compile(r"([a-z0-9]([-a-z0-9]*[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?")
MOST_NAMES = 100
"""Names in a certificate of Let's Encrypt (letsencrypt.org/docs/rate-limits)."""
LIMITS = {
    "ingress_connect_timeout": (1, 60),
    "ingress_drain_seconds": (1, 3600),
    "ingress_drain_delay_seconds": (0, 300),
    "ingress_ready_timeout": (0, 3600),
}
"""Seconds. A pod of Traefik may take both drain times and 10 s to end (its terminationGracePeriodSeconds), and an
update or a drained node waits for it."""
FILES = ("ingress_certificate_file", "ingress_certificate_key_file")
USABLE = re.compile(r"(?!127[.]|0[.])[0-9]+([.][0-9]+){3}")
"""An IPv4 address that other machines may reach; nip.io takes no names."""


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with addresses, ports, networks and the certificate."""
    addresses = variables["ingress_addresses"]
    if not addresses:
        yield Problem(
            "ingress_addresses", "no address is known by which the ingress is reached", "give the one that callers use"
        )
    elif _is_only_here(str(addresses[0])):
        yield Problem(
            "ingress_addresses",
            f"{addresses[0]} is reached from this machine only",
            "give the address that callers use",
        )
    yield from _port_problems(variables)
    yield from network_problems(
        "ingress_proxy_protocol_networks, ingress_trusted_networks",
        [*variables["ingress_proxy_protocol_networks"], *variables["ingress_trusted_networks"]],
        "10.0.0.0/16",
    )
    yield from range_problems(variables, LIMITS)
    share = variables["ingress_traces_share"]
    if not 0 <= float(share) <= 1:
        yield Problem("ingress_traces_share", f"{share} is no share", "give 0.0 to 1.0")
    if variables["ingress_tls"] != "none":
        yield from _https_problems(variables)


def _is_only_here(address: str) -> bool:
    """Whether it is a loopback address, or the one that stands for all of a machine's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    return parsed.is_loopback or parsed.is_unspecified


def _port_problems(variables: Variables) -> t.Iterator[Problem]:
    ports = {name: whole(variables[name]) for name in ("ingress_http_port", "ingress_https_port")}
    for name, port in ports.items():
        if not 1 <= port <= 65535 or port in TRAEFIKS_OWN:
            yield Problem(name, f"{port} cannot be used (8080 and 9100 are Traefik's own)", "give another port")
    if len(set(ports.values())) == 1:
        yield Problem("", "ingress_http_port and ingress_https_port are the same", "give two ports")


def _https_problems(variables: Variables) -> t.Iterator[Problem]:
    domain, source = variables["ingress_domain"], variables["ingress_tls"]
    namespaces = variables["ingress_domain_namespaces"]
    if not DOMAIN.fullmatch(str(domain)):
        yield Problem(
            "ingress_domain",
            f"'{domain}' is no domain, which HTTPS needs",
            "give one of yours, as in functions.example.com, without a star",
        )
    if not namespaces:
        yield Problem("ingress_domain_namespaces", "HTTPS for no namespace", "name one, or ingress_tls: none")
    if source == "files":
        yield from _file_problems(variables)
    if source == "issuer" and "cert_manager" not in variables["__platform_installed"]:
        yield Problem(
            "ingress_tls",
            "issuer needs cert-manager",
            "have cert_manager in platform_components, and not in platform_components_removed",
        )
    if source == "issuer" and len(namespaces) > MOST_NAMES:
        yield Problem(
            "ingress_domain_namespaces",
            f"Let's Encrypt puts at most {MOST_NAMES} names into a certificate",
            "leave namespaces out",
        )


def _file_problems(variables: Variables) -> t.Iterator[Problem]:
    missing = [name for name in FILES if not os.path.isfile(variables[name])]
    for name in missing:
        yield Problem(name, f"there is no file '{variables[name]}' on this machine", "give the path of a PEM file")
    if missing:
        return
    wrong = certificate.problem(
        variables["__ingress_certificate"],
        variables["__ingress_certificate_key"],
        variables["__ingress_certificate_names"],
        days=whole(variables["ingress_certificate_days"]),
        now=datetime.datetime.now(datetime.UTC),
    )
    if wrong:
        yield Problem(
            "ingress_certificate_file",
            f"the certificate of {variables['ingress_certificate_file']} cannot be used: {wrong}",
            str(variables["__ingress_certificate_next"]),
        )


def host_addresses(
    hosts: t.Iterable[str], known: t.Mapping[str, t.Mapping[str, t.Any]], planned: t.Mapping[str, t.Any]
) -> list[str]:
    """The address of each host that runs the ingress, where one is known: its public address, the one that Ansible
    uses, else its own.

    Args:
        hosts: names of the inventory.
        known: variables by host, as `hostvars`.
        planned: `k3s_plan.hosts`, by host; empty where nothing was planned.
    """
    found = []
    for host in hosts:
        own = known.get(host, {})
        node = (own.get("k3s_node") or {}).get("node") or {}
        candidates = (
            own.get("public_ip"),
            own.get("ansible_host"),
            (planned.get(host) or {}).get("address"),
            node.get("default_address"),
        )
        found += [str(address) for address in candidates if USABLE.fullmatch(str(address or ""))][:1]
    return found
