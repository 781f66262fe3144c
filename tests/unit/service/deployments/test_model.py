# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment may be asked for."""

from __future__ import annotations

import typing as t

import msgspec
import pytest
from ansible_collections.wasmfaas.platform.service.deployments.model import Settings


@pytest.mark.parametrize(
    "given",
    [
        {"probe_path": "/a\n"},
        {"probe_path": "a"},
        {"probe_path": "/a b"},
        {"probe_path": "/" * 1025},
        {"profile": ""},
        {"timeout": 0},
        {"timeout": 3601},
        {"timeout": True},
        {"build_timeout": "1"},
        {"image": "x"},
    ],
)
def test_settings_out_of_bounds_are_refused(given: dict[str, t.Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Settings)


def test_settings_that_are_not_given_are_not_kept() -> None:
    assert msgspec.convert({"probe_path": "/a?b=%20", "timeout": None}, Settings).given() == {"probe_path": "/a?b=%20"}
