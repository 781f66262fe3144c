# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role cert_manager."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from .checks import Variables, range_problems, resources_problems

LIMITS = {"cert_manager_startup_check_timeout": (10, 3600)}  # seconds
PODS = ("controller", "webhook", "injector", "startup_check")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the issuer and the pods."""
    yield from range_problems(variables, LIMITS)
    email = variables["cert_manager_acme_email"]
    if email and not re.fullmatch(r"[^@ ]+@[^@ ]+[.][^@ ]+", str(email)):
        yield Problem("cert_manager_acme_email", f"{email} is no mail address", "give one that somebody reads")
    if email and not variables["cert_manager_acme_region"]:
        yield Problem(
            "cert_manager_acme_email",
            "asks for an issuer that uses Route 53, and no region is known",
            "set cert_manager_acme_region, as in us-east-1",
        )
    for server in variables["cert_manager_dns_servers"]:
        if not re.fullmatch(".+:[0-9]+", str(server)):
            yield Problem("cert_manager_dns_servers", f"{server} lacks a port", "write HOST:53")
    yield from resources_problems("cert_manager", variables["cert_manager_resources"], PODS)
