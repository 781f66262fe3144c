# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the registries that nodes pull images from."""

from __future__ import annotations

import typing as t

from ...problems import Problem
from .model import SITE, Host, Limits, error, is_active, warning


def configuration(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether registries.yaml can be used."""
    registries = host.diagnosis.get("registries") or {}
    for problem in registries.get("problems") or []:
        yield error(
            host.name,
            "registries-file",
            f"/etc/rancher/k3s/registries.yaml: {problem}",
            f"Correct registries_mirrors and registries_configs in the inventory, then run {SITE}",
        )
    for path in registries.get("missing_files") or []:
        yield error(
            host.name,
            "registries-file-missing",
            f"registries.yaml names {path}, which is not there",
            f"Name the file in registries_certificate_authorities, then run {SITE}",
        )


def endpoints(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the registries answer and are trusted."""
    registries = host.diagnosis.get("registries") or {}
    for endpoint in registries.get("endpoints") or []:
        if endpoint.get("ca_file") in (registries.get("missing_files") or []):
            continue  # `registries-file-missing` reports it
        url, detail = endpoint["url"], endpoint["detail"]
        if endpoint["state"] == "distrusted":
            yield error(
                host.name,
                "registry-distrusted",
                f"{url} is not trusted: {detail}",
                f"Give its authority's certificate in registries_certificate_authorities, then run {SITE}",
            )
        elif endpoint["state"] != "answers":
            yield warning(
                host.name,
                "registry-unreachable",
                f"{url} does not answer as a registry does: {detail}",
                "Start the registry, or open the network from this host to it; until then images come from the next "
                "endpoint",
            )


def login(host: Host, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the node can log in to the registry that functions come from."""
    if host.ecr_registry and host.diagnosis.get("credential_provider") is False and is_active(host):
        yield error(
            host.name,
            "registry-login-missing",
            f"functions come from {host.ecr_registry}, and this node has no login for Amazon ECR: they end in "
            "ImagePullBackOff",
            f"Set registries_ecr_login: true in the inventory, then run {SITE}; or set false, where pods bring "
            "credentials of their own",
        )
