# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role tenant, and the parts of its objects that are computed."""

from __future__ import annotations

import base64
import json
import re
import typing as t

from ..function.reserved_names import RESERVED_FUNCTIONS
from ..problems import Problem
from .checks import Variables, network_problems, whole

Tenant = t.Mapping[str, t.Any]

NAME = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
HOST = re.compile("([*][.])?([a-z0-9]([-a-z0-9]*[a-z0-9])?[.])+[a-z0-9]([-a-z0-9]*[a-z0-9])?")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([munkKMGTPE]|[KMGTPE]i)?")
"""A quantity of Kubernetes, without exponents."""
NIP_IO = "nip.io"
ADDRESS = "[0-9]{1,3}([.-][0-9]{1,3}){3}"
"""An IPv4 address as nip.io reads it at the end of a host, with dots or dashes."""
API_URL = re.compile("https://[^:/]+(:[0-9]+)?")
LOGIN = ("server", "username", "password")
NETWORKS = ("tenant_blocked_networks", "tenant_node_networks", "tenant_cluster_networks", "tenant_egress_networks")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the tenants and what they share."""
    tenants = variables["tenant_list"]
    yield from _name_problems([str(tenant.get("name", "")) for tenant in tenants], variables["__tenant_reserved"])
    listed = variables.get("tenants") or []
    others = [*tenants, *(entry for entry in listed if isinstance(entry, dict) and "name" in entry)]
    own = {
        *(str(variables.get(name) or "") for name in ("function_service_host", "observability_grafana_hostname")),
        *(f"api.{domain}" for domain in variables["tenant_domains"]),
    }
    for tenant in tenants:
        yield from _host_problems(tenant, others, variables["tenant_domains"], own)
        yield from _tenant_problems(tenant)
    networks = [network for name in NETWORKS for network in variables[name]]
    yield from network_problems(", ".join(NETWORKS), networks, "10.1.2.0/24")
    yield from _login_problems(variables)
    if whole(variables["tenant_token_days"]) < 1:
        yield Problem("tenant_token_days", f"{variables['tenant_token_days']} is no time", "give 1 or more")
    if variables["tenant_kubeconfig_directory"] and tenants:
        url = variables["tenant_api_url"]
        if not API_URL.fullmatch(str(url)):
            yield Problem(
                "tenant_api_url",
                f"'{url}' is no URL of an API",
                'set it, as in https://k3s.example.com:6443, or tenant_kubeconfig_directory: ""',
            )


def _name_problems(names: list[str], reserved: list[str]) -> t.Iterator[Problem]:
    for name in names:
        if not NAME.fullmatch(name):
            yield Problem(
                f"tenant '{name}'",
                "that cannot be a namespace",
                "use a letter, then small letters, digits and dashes, at most 63",
            )
    for name in names:
        if name in reserved or name.startswith("kube-"):
            yield Problem(f"tenant {name}", f"the namespace {name} is the system's own", "take another name")
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield Problem(f"tenant {name}", "is listed twice", "keep one of them")


def _host_problems(
    tenant: Tenant, others: t.Sequence[Tenant], domains: t.Sequence[str], own: t.Collection[str]
) -> t.Iterator[Problem]:
    """What is wrong with the hosts that are listed for a tenant: they hold beside those of its own form.

    Args:
        own: hosts of the platform itself.
    """
    name = tenant.get("name", "")
    rest = [other for other in others if other["name"] != name]
    taken = [host for other in rest for host in _listed_hosts(other)]
    for host in map(str, tenant.get("hosts") or []):
        if not HOST.fullmatch(host):
            yield Problem(f"tenant {name}", f"{host} is no host", "write it as in shop.example.com, without a scheme")
        elif host in own:
            yield Problem(f"tenant {name}", f"the host {host} is the platform's own", "take another")
        elif host in taken:
            yield Problem(f"tenant {name}", f"the host {host} is another tenant's as well", "leave it to one of them")
        elif owners := [other["name"] for other in rest if re.match(host_pattern(str(other["name"]), domains), host)]:
            yield Problem(
                f"tenant {name}", f"the host {host} is of the form of tenant {owners[0]}'s functions", "take another"
            )
        elif host.startswith("*.") and (
            covered := [domain for domain in domains if f".{domain}".endswith(host.removeprefix("*"))]
        ):
            yield Problem(
                f"tenant {name}",
                f"the host {host} covers all tenants' hosts below {covered[0]}",
                "name single hosts, or another domain",
            )


def _tenant_problems(tenant: Tenant) -> t.Iterator[Problem]:
    name = tenant.get("name", "")
    for quantity in (tenant.get("quota") or {}).values():
        if quantity is not None and not QUANTITY.fullmatch(str(quantity)):
            yield Problem(f"tenant {name}", f"quota: {quantity} is no quantity", "write it as in 500m, 2 or 4Gi")
    yield from network_problems(f"tenant {name}: egress_networks", tenant.get("egress_networks") or [], "10.1.2.0/24")


def _listed_hosts(tenant: Tenant) -> list[t.Any]:
    """The hosts of a tenant that may not be in tenant_list, so that nothing has checked that they are a list."""
    hosts = tenant.get("hosts") or []
    return hosts if isinstance(hosts, list) else [hosts]


def _login_problems(variables: Variables) -> t.Iterator[Problem]:
    names = [tenant.get("name") for tenant in variables["tenant_list"]]
    credentials = variables["tenant_registry_credentials"]
    # tenant.yml keeps one tenant, named by the variable `tenant`, and the credentials are those of all.
    if names and "tenant" not in variables:
        for name in credentials:
            if name not in names:
                yield Problem(
                    "tenant_registry_credentials",
                    f"there is no tenant {name}",
                    "correct the name, or add it to the tenants",
                )
    for name, logins in credentials.items():
        if any(not isinstance(login, dict) or not set(LOGIN) <= set(login) for login in logins):
            yield Problem(
                f"tenant_registry_credentials.{name}", "an entry lacks server, username or password", "give all three"
            )


def docker_configuration(logins: t.Iterable[t.Mapping[str, str]]) -> str:
    """Content of a Secret of type kubernetes.io/dockerconfigjson (Kubernetes, "Pull an Image from a Private Registry").

    Args:
        logins: each with server, username and password.
    """
    entries = {}
    for login in logins:
        username, password = str(login["username"]), str(login["password"])
        encoded = base64.b64encode(f"{username}:{password}".encode()).decode()
        entries[str(login["server"])] = {"username": username, "password": password, "auth": encoded}
    return json.dumps({"auths": entries})


def host_pattern(name: str, domains: t.Sequence[str]) -> str:
    """Regular expression (RE2) of the hosts that a tenant's functions have of themselves.

    Args:
        domains: <function>.<tenant>.<domain> with one of these, of which `nip.io` stands for <IPv4 address>.nip.io.
    """
    return f"^[*a-z0-9][-a-z0-9]*[.]{name}[.]({'|'.join(_domain_pattern(domain) for domain in domains)})$"


def _domain_pattern(domain: str) -> str:
    literal = re.escape(domain).replace("\\.", "[.]").replace("\\-", "-")
    return f"{ADDRESS}[.]{literal}" if domain == NIP_IO else literal


def route_rule(name: str, domains: t.Sequence[str], hosts: t.Sequence[str]) -> dict[str, str]:
    """Validation of a ValidatingAdmissionPolicy: each list of hosts in `variables.given` must name hosts, and each must
    be the tenant's.

    Args:
        domains: those of `tenant_domains`.
        hosts: hosts of another form that are the tenant's too.
    """
    shown = [f"<address>.{NIP_IO}" if domain == NIP_IO else domain for domain in domains]
    forms = [f"as in <function>.{name}.{domain}" for domain in shown] + list(hosts)
    # A route that there is already keeps its host.
    reserved = f"(request.operation == 'CREATE' && host.split('.')[0] in {sorted(RESERVED_FUNCTIONS)})"
    matches = f" || host.matches('{host_pattern(name, domains)}') && !{reserved}" if domains else ""
    return {
        "expression": "size(variables.given) > 0 && variables.given.all(hosts, size(hosts) > 0 && hosts.all(host, "
        f"host in {json.dumps(list(hosts))}{matches}))",
        "message": f"a route of tenant {name} must name hosts of its own: {' or '.join(forms) or 'it has none'}. More "
        "are listed in `tenant_domains`, for all tenants, and `hosts` of the tenant. No new function is called "
        f"{', '.join(sorted(RESERVED_FUNCTIONS))}",
        "reason": "Invalid",
    }
