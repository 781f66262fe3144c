# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter `kubeconfig_usable`; its documentation stands in kubeconfig_usable.yml."""

from __future__ import annotations

import time
import typing as t

from ..module_utils.platform.tenant_credentials import usable


def kubeconfig_usable(kubeconfig: str, account: str, server: str, authority: str) -> bool:
    """Whether a tenant's kubeconfig can stay; see kubeconfig_usable.yml."""
    return usable(str(kubeconfig or ""), account=account, server=server, authority=authority, now=time.time())


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"kubeconfig_usable": kubeconfig_usable}
