# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of whether nodes can pull the images of functions and of the platform."""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ...problems import Problem
from .hosts import Host

ECR_HOST = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
"""Amazon ECR, private registries (docs.aws.amazon.com/AmazonECR, registry_auth)."""


def login_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Images of Amazon ECR, of functions or of the platform, that nodes could not pull for want of a login."""
    logins = [(host, host.desired["registries_login"]) for host in hosts if host.desired.get("registries_login")]
    without = [host.name for host, login in logins if not login["ecr"]]
    if without and len(without) < len(logins):
        return [
            Problem(
                ", ".join(without),
                "registries_ecr_login is not true there, and is on other hosts",
                "set it once, in group_vars/all.yml of the inventory",
            )
        ]
    problems: dict[str, Problem] = {}
    for _host, login in logins:
        for place in login["images_from"]:
            registry = str(place).partition("://")[2].partition("/")[0] or str(place).partition("/")[0]
            if not ECR_HOST.fullmatch(registry) or registry in login["configured"]:
                continue
            if not login["ecr"] and not login["ecr_decided"]:
                problems[registry] = Problem(
                    "",
                    f"images come from {registry}, and the nodes have no login for Amazon ECR: functions would end "
                    "in ImagePullBackOff",
                    "set registries_ecr_login: true, and nodes use the role of their machine "
                    "(roles/registries/README.md); or false, where pods bring "
                    "credentials of their own (image_pull_secrets)",
                )
            elif login["ecr"] and not any(_matches(registry, str(pattern)) for pattern in login["ecr_match_images"]):
                problems[registry] = Problem(
                    "",
                    f"images come from {registry}, for which registries_ecr_match_images lets no node log in",
                    f"add {registry} to registries_ecr_match_images",
                )
    return list(problems.values())


def _matches(registry: str, pattern: str) -> bool:
    """As the kubelet compares a registry with matchImages: part by part of the host name (kubernetes,
    pkg/credentialprovider/keyring.go, URLsMatch)."""
    parts, expected = registry.split("."), pattern.partition("/")[0].split(".")
    return len(parts) == len(expected) and all(fnmatch.fnmatchcase(part, glob) for part, glob in zip(parts, expected))
