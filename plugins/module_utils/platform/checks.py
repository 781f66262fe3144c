# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of several roles share."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.common.validation import check_type_bool

from ..problems import Problem

Variables = t.Mapping[str, t.Any]
"""A role's variables, filled in when they are read: a broken variable that no rule reads does no harm."""

NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A label as of RFC 1123, which names of namespaces are (Kubernetes, "Object Names and IDs")."""

NETWORK = re.compile(r"[0-9a-fA-F:.]+/[0-9]+")
"""An IP network as a CIDR; addresses are not checked further."""


def is_true(value: t.Any) -> bool:
    """A variable that the argument specification says is a truth value."""
    return bool(check_type_bool(value))


def whole(value: t.Any) -> int:
    """A whole number; 0 where it is none, which no rule takes for a number that it asks for."""
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return 0


def range_problems(variables: Variables, limits: t.Mapping[str, tuple[int, int]]) -> t.Iterator[Problem]:
    """Numbers that are out of their range.

    Args:
        limits: the least and the most of each variable, in its own unit.
    """
    for name, (least, most) in limits.items():
        if not least <= whole(variables[name]) <= most:
            yield Problem(
                name,
                f"{variables[name]} is out of range",
                f"give {least} to {most}, or leave it out to have the default",
            )


def namespace_problems(variable: str, names: t.Iterable[t.Any]) -> t.Iterator[Problem]:
    """Names that Kubernetes takes for no namespace."""
    for name in names:
        if not NAMESPACE.fullmatch(str(name)):
            yield Problem(variable, f"{name} cannot be a namespace", "use small letters, digits and dashes, at most 63")


def network_problems(variables: str, networks: t.Iterable[t.Any], example: str) -> t.Iterator[Problem]:
    """Entries that are no CIDR."""
    for network in networks:
        if not NETWORK.fullmatch(str(network)):
            yield Problem(variables, f"{network} is no network", f"write it as in {example}")


def resources_problems(role: str, given: t.Mapping[str, t.Any], pods: t.Sequence[str]) -> t.Iterator[Problem]:
    """The variable ROLE_resources, which must hold the resources of all pods of the role, and of no others."""
    if sorted(given) != sorted(pods):
        yield Problem(
            f"{role}_resources",
            f"must hold {', '.join(pods)}, and holds {', '.join(given) or 'nothing'}",
            f"copy all of it from roles/{role}/defaults/main.yml and change what you want",
        )


def chart_problems(variable: str, given: t.Iterable[str], charts: t.Sequence[str]) -> t.Iterator[Problem]:
    """Keys of a variable by chart that are no chart's name."""
    for chart in given:
        if chart not in charts:
            yield Problem(variable, f"there is no chart {chart}", f"use {', '.join(charts)}")
