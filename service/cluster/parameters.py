# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of the module spin_function for a function in a cluster."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from ..parameters import validated
from .settings import ClusterSettings, deployer_of


def cluster_parameters(settings: ClusterSettings, tenant: str, function: str, **given: t.Any) -> dict[str, t.Any]:
    """The parameters for a function of a tenant, with the tenant's rights and the module's defaults for what is not
    given; raises PlatformError."""
    found: dict[str, t.Any] = {
        "name": function,
        "namespace": tenant,
        "target": "cluster",
        "kubeconfig": settings.kubeconfig,
        "impersonate_user": deployer_of(tenant),
        # Apart, so that nothing of a tenant is ever taken for another one's.
        "state_directory": str(Path(settings.state_directory, "tenants", tenant)),
        "cache_directory": str(Path(settings.cache_directory, "tenants", tenant)),
        "registry": settings.registry.replace("{tenant}", tenant),
        "registry_ca_file": settings.registry_ca_file,
        "registry_plain_http": settings.registry_plain_http,
        "record_key_file": settings.record_key_file,
        "domain": settings.domain,
        "gateway": settings.gateway,
        **settings.options,
        **_credentials(settings),
        **given,
    }
    return validated({name: value for name, value in found.items() if value != ""})


def _credentials(settings: ClusterSettings) -> dict[str, str]:
    if not settings.registry_credential_directory:
        return {}
    directory = Path(settings.registry_credential_directory)
    try:
        username, password = ((directory / name).read_text(encoding="utf-8") for name in ("username", "password"))
    except OSError as error:
        raise PlatformError(
            f"registry_credential_directory: {error.filename}: {error.strerror}.",
            next_step="Mount the Secret with the credentials of the registry there.",
        ) from error
    return {"registry_username": username.strip(), "registry_password": password.strip()}
