# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role key_value_store."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from .checks import Variables, range_problems, whole

LIMITS = {"key_value_store_databases": (1, 1000), "key_value_store_memory": (1, 1_000_000)}
NAME = re.compile("[a-z]([-a-z0-9]{0,50}[a-z0-9])?")
"""A server and its Service have the namespace's name, which begins with a letter then. The label with the revision of a
StatefulSet's pods is 11 characters longer than its name and has 63 at most (Kubernetes, "Labels and Selectors")."""
_QUANTITY = re.compile("([1-9][0-9]*)(Mi|Gi|Ti)")
_MEBIBYTES = {"Mi": 1, "Gi": 1024, "Ti": 1024 * 1024}


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the namespaces and the sizes."""
    namespaces = variables["key_value_store_namespaces"]
    for namespace in namespaces:
        if not NAME.fullmatch(str(namespace)):
            yield Problem(
                "key_value_store_namespaces",
                f"{namespace} cannot have a store, since its server has the namespace's name",
                "list namespaces that begin with a letter and have at most 52 small letters, digits and dashes",
            )
    if len(set(map(str, namespaces))) != len(namespaces):
        yield Problem("key_value_store_namespaces", "lists a namespace twice", "keep one of them")
    yield from range_problems(variables, LIMITS)
    memory = whole(variables["key_value_store_memory"])
    yield from _size_problems("key_value_store_size", variables["key_value_store_size"], 3 * memory)
    limits = variables["key_value_store_resources"].get("limits") or {}
    yield from _size_problems("key_value_store_resources.limits.memory", limits.get("memory", ""), 2 * memory)


def _size_problems(where: str, given: t.Any, least: int) -> t.Iterator[Problem]:
    """A size that is less than what `key_value_store_memory` needs, in MiB."""
    match = _QUANTITY.fullmatch(str(given))
    if match is None:
        yield Problem(where, f"is {given or 'not set'}", "write it as 320Mi or 2Gi")
    elif int(match[1]) * _MEBIBYTES[match[2]] < least:
        yield Problem(
            where,
            f"{given} is too little for the data that key_value_store_memory allows",
            f"give {least}Mi or more, or lower key_value_store_memory",
        )
