# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter image_registry."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.wasmfaas.platform.plugins.filter.image_registry import image_registry


def test_a_registry_is_replaced_or_stays() -> None:
    assert image_registry("quay.io", {"quay.io": "mirror.example.com/quay/"}) == "mirror.example.com/quay"
    assert image_registry("ghcr.io", {"quay.io": "mirror.example.com/quay"}) == "ghcr.io"
    assert image_registry("ghcr.io", None) == "ghcr.io"


@pytest.mark.parametrize(
    ("registry", "replacements"),
    [
        ("", {}),
        ("quay.io/keda", {}),
        ("quay.io", ["a"]),
        ("quay.io", {"quay.io": "https://mirror.example.com"}),
        ("quay.io", {"quay.io": ""}),
    ],
)
def test_what_is_no_registry_is_an_error(registry: str, replacements: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="image_registry"):
        image_registry(registry, replacements)
