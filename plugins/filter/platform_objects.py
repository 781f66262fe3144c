# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters for objects and files of the platform's roles; the documentation of each stands in its NAME.yml."""

from __future__ import annotations

import typing as t

from ..module_utils.platform.function_registry import configuration
from ..module_utils.platform.function_service import binding, images
from ..module_utils.platform.ingress import host_addresses
from ..module_utils.platform.network_policies import (
    build_network_policies,
    function_network_policy,
    network_policies,
    public_networks,
)
from ..module_utils.platform.registries import Own, registries
from ..module_utils.platform.spin_operator import executor_spec
from ..module_utils.platform.tenant import docker_configuration, route_rule
from ..module_utils.platform.tenant_policies import Limits, policies


def builds_network_policies(blocked: list[str], opened: list[str]) -> list[dict[str, t.Any]]:
    """Whom builds may call; see builds_network_policies.yml."""
    return build_network_policies(blocked, opened)


def component_network_policies(component: str, ports: list[int] | None = None) -> list[dict[str, t.Any]]:
    """Who may call the pods of a component; see component_network_policies.yml."""
    return network_policies(component, [int(port) for port in ports or []])


def function_service_binding(tenant: str) -> dict[str, t.Any]:
    """Lets the hosted service act as a tenant; see function_service_binding.yml."""
    return binding(tenant)


def function_service_images(place: str, version: str, overrides: dict[str, str]) -> dict[str, str]:
    """The images of the hosted service; see function_service_images.yml."""
    return images(place, version, overrides)


def functions_network_policy(
    namespace: str,
    pods: dict[str, t.Any],
    labels: dict[str, str],
    blocked: list[str],
    opened: list[str],
    telemetry: bool,
    name: str = "functions",
) -> dict[str, t.Any]:
    """Who may call functions, and whom they may call; see functions_network_policy.yml."""
    return function_network_policy(namespace, pods, labels, blocked, opened, telemetry=bool(telemetry), name=name)


def host_public_networks(hosts: list[str], known: dict[str, t.Any]) -> list[str]:
    """The public addresses of hosts as CIDRs; see host_public_networks.yml."""
    return public_networks(hosts, known)


def node_registries(
    mirrors: dict[str, t.Any],
    configs: dict[str, t.Any],
    authorities: dict[str, str],
    own: dict[str, t.Any],
    own_authority: str,
    embedded_mirror: bool,
) -> dict[str, t.Any]:
    """The content of registries.yaml; see node_registries.yml."""
    known = Own(own["hosts"], own["port"], own["users"]["nodes"], own_authority) if own else None
    return registries(mirrors, configs, authorities=authorities, own=known, embedded_mirror=bool(embedded_mirror))


def spin_executor_spec(
    runtime_class: str, otlp_endpoints: dict[str, str], default_authorities: bool
) -> dict[str, t.Any]:
    """The spec of a SpinAppExecutor; see spin_executor_spec.yml."""
    return executor_spec(runtime_class, otlp_endpoints, default_authorities=bool(default_authorities))


def tenant_route_rule(name: str, domains: list[str], hosts: list[str]) -> dict[str, str]:
    """Which hosts a tenant's routes may have; see tenant_route_rule.yml."""
    return route_rule(name, domains, hosts)


def tenant_policies(
    runtime_class: str,
    program_runtime_class: str,
    image_prefixes: list[str],
    secret_bytes: int,
    empty_dir_size: str,
) -> list[dict[str, t.Any]]:
    """What the API server takes in the namespaces of tenants; see tenant_policies.yml."""
    limits = Limits(tuple(image_prefixes), runtime_class, program_runtime_class, int(secret_bytes), empty_dir_size)
    return policies(limits)


def zot_configuration(
    storage: str,
    bucket: dict[str, t.Any],
    keep_images: int,
    keep_days: int,
    path: str = "",
    tenants: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """The configuration of the registry zot; see zot_configuration.yml."""
    return configuration(
        storage, bucket, keep_images=keep_images, keep_days=keep_days, path=path.strip("/"), tenants=list(tenants)
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {
            "builds_network_policies": builds_network_policies,
            "component_network_policies": component_network_policies,
            "docker_configuration": docker_configuration,
            "function_service_binding": function_service_binding,
            "function_service_images": function_service_images,
            "functions_network_policy": functions_network_policy,
            "host_addresses": host_addresses,
            "host_public_networks": host_public_networks,
            "node_registries": node_registries,
            "spin_executor_spec": spin_executor_spec,
            "tenant_policies": tenant_policies,
            "tenant_route_rule": tenant_route_rule,
            "zot_configuration": zot_configuration,
        }
