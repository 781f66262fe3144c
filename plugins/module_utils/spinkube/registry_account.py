# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of a tenant at the cluster's own registry, which role tenant puts into a Secret of its namespace."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import secrets
from pathlib import Path

from ..errors import PlatformError
from ..host import whole_file
from .api import Forbidden, KubernetesApi
from .kinds import SECRET

SECRET_NAME = "wasmfaas-registry"  # noqa: S105 (a name)


@dataclasses.dataclass(frozen=True)
class RegistryAccount:
    """Where a tenant's artifacts are, and who may push there.

    Attributes:
        registry: the tenant's own path, as in `192.0.2.11:30500/functions/user1`.
        authority: PEM of the certificate authority that signed the registry's certificate.
    """

    registry: str
    username: str
    password: str = dataclasses.field(repr=False)
    authority: str

    def authority_file(self, cache_directory: Path) -> Path:
        """A file with the authority, below a directory that may be deleted at any time; raises PlatformError."""
        name = hashlib.sha256(self.authority.encode()).hexdigest()
        path = cache_directory / "authorities" / f"{name}.pem"
        try:
            if not path.is_file() or path.read_text("utf-8") != self.authority:
                path.parent.mkdir(parents=True, exist_ok=True)
                whole_file.write(path, self.authority, mode=0o644, partial=f"{path}.{secrets.token_hex(8)}")
        except OSError as error:
            raise PlatformError(
                f"Cannot write {path}: {error.strerror}.",
                next_step="Let this user write to `cache_directory`, or give `registry_ca_file`.",
            ) from error
        return path


def registry_account(api: KubernetesApi, namespace: str) -> RegistryAccount | None:
    """The account of the tenant with this namespace; None where it has none, or the user may not read it. Raises
    PlatformError where it is damaged."""
    try:
        secret = api.get(SECRET, namespace, SECRET_NAME)
    except Forbidden:
        return None
    if secret is None:
        return None
    data = secret.get("data") or {}
    try:
        return RegistryAccount(
            *(base64.b64decode(data[key]).decode() for key in ("registry", "username", "password", "ca.crt"))
        )
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        raise PlatformError(
            f"The Secret {namespace}/{SECRET_NAME} is damaged.",
            next_step="Have the operator run `ansible-playbook wasmfaas.platform.tenant -e "
            f"tenant={namespace}`, or give `registry`.",
        ) from None
