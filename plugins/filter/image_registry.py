# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `image_registry`; its documentation stands in image_registry.yml."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError


def image_registry(registry: str, replacements: dict[str, str] | None) -> str:
    """The registry to pull from instead of `registry`; see image_registry.yml."""
    if not isinstance(registry, str) or not registry or "/" in registry:
        raise AnsibleFilterError(f"image_registry: takes the name of a registry such as quay.io, not {registry!r}.")
    if not isinstance(replacements, (dict, type(None))):
        raise AnsibleFilterError(
            f"image_registry: the replacements are a dictionary, not a {type(replacements).__name__}."
        )
    replacement = (replacements or {}).get(registry, registry)
    if not isinstance(replacement, str) or not replacement or "://" in replacement:
        raise AnsibleFilterError(
            f"image_registry: {registry} is replaced by {replacement!r}, which is no registry: write HOST or "
            "HOST/PATH, without https://."
        )
    return replacement.rstrip("/")


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"image_registry": image_registry}
