# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role platform: which components there are, and where their charts come from."""

from __future__ import annotations

import typing as t

from ..problems import Problem
from .checks import Variables, chart_problems

LISTS = ("platform_components", "platform_components_removed", "platform_only")


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the choice of components."""
    known: list[str] = variables["__platform_roles"]
    installed: list[str] = variables["__platform_installed"]
    removed: list[str] = variables["__platform_removed"]
    for name in LISTS:
        for component in variables[name]:
            if component not in known:
                yield Problem(name, f"there is no component {component}", f"use {', '.join(known)}")
    for component in variables["platform_only"]:
        if component in known and component not in installed + removed:
            yield Problem(
                "platform_only",
                f"{component} is neither to be installed nor to be removed",
                "add it to platform_components, which names all components",
            )
    if "cert_manager" in removed and "spin_operator" in installed:
        yield Problem(
            "platform_components_removed",
            "the SpinKube operator's webhook has its certificate from cert_manager and would end with it",
            "remove spin_operator too, or leave cert_manager",
        )
    if "function_builds" in removed and "function_service" in installed:
        yield Problem(
            "platform_components_removed",
            "the hosted service builds in the namespace of function_builds",
            "remove function_service too, or leave function_builds",
        )
    charts = list(variables["platform_charts"])
    yield from chart_problems("platform_chart_overrides", variables["platform_chart_overrides"], charts)
