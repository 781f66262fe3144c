# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of the tables, so that a new line in them cannot break the check."""

from __future__ import annotations

import re

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.spin_versions import (
    COMPATIBLE_WITHIN_MINOR,
    DEFAULT_SHIM_VERSION,
    HANDLERS,
    HOST_NAMESPACES,
    INTERFACES,
    SPIN_OF_SHIM,
    TRIGGERS_OF_SHIM,
)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def test_shims_are_written_newest_first_and_newer_ones_have_no_older_spin() -> None:
    shims = [numbers(shim) for shim in SPIN_OF_SHIM]
    spins = [numbers(spin) for spin in SPIN_OF_SHIM.values()]
    assert shims == sorted(shims, reverse=True)
    assert spins == sorted(spins, reverse=True)
    assert all(len(shim) == 2 for shim in shims)
    assert all(len(spin) == 3 for spin in spins)


def test_no_shim_release_is_left_out() -> None:
    assert [minor for _major, minor in map(numbers, SPIN_OF_SHIM)] == list(range(25, 11, -1))


@pytest.mark.parametrize(
    ("shim", "spin"),
    [
        ("0.25", "4.0.1"),
        ("0.24", "3.6.3"),
        ("0.23", "3.6.2"),
        ("0.22", "3.5.0"),
        ("0.21", "3.4.0"),
        ("0.20", "3.3.1"),
        ("0.17", "3.0.0"),
        ("0.15", "2.6.0"),
        ("0.12", "2.2.0"),
    ],
)
def test_published_pairs(shim: str, spin: str) -> None:
    assert SPIN_OF_SHIM[shim] == spin


def test_default_shim_is_in_the_table_and_trusts_no_foreign_machine_code() -> None:
    assert ".".join(DEFAULT_SHIM_VERSION.split(".")[:2]) in SPIN_OF_SHIM
    assert numbers(DEFAULT_SHIM_VERSION) >= (0, 25, 1), (
        "older shims run precompiled native code that an image brings along"
    )


def test_interfaces_name_known_namespaces_and_versions() -> None:
    for pattern, (since, until) in INTERFACES.items():
        assert re.fullmatch(r"[a-z]+:[a-z*-]+(/[a-z*-]+)?(@\S+)?", pattern), pattern
        assert pattern.startswith(HOST_NAMESPACES), pattern
        assert len(numbers(since)) == 3
        assert until is None or numbers(until) > numbers(since)


def test_more_special_patterns_come_first() -> None:
    """The first pattern that fits decides."""
    assert list(INTERFACES).index("fermyon:spin/mqtt@2.0.0") < list(INTERFACES).index("fermyon:spin/*@2.0.0")


def test_families_are_among_the_interfaces() -> None:
    assert set(COMPATIBLE_WITHIN_MINOR) <= set(INTERFACES)
    assert all(re.search(r"@\d+\.\d+$", family) for family in COMPATIBLE_WITHIN_MINOR)


def test_shim_runs_http_and_what_else_its_source_names() -> None:
    assert {"http", "redis", "sqs", "mqtt", "command"} == TRIGGERS_OF_SHIM
    assert "wasi:http/incoming-handler" in HANDLERS["http"]
