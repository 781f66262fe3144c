# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the service in a cluster: one file, the same for all replicas and their workers."""

from __future__ import annotations

import typing as t
import urllib.parse
from pathlib import Path

import msgspec
import yaml

from ...plugins.module_utils.errors import PlatformError
from ..deployments.queue import Limits
from ..tokens import ALL_TENANTS, Role

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

DEPLOYER = "deployer"
"""The account of each tenant's namespace with whose rights the service acts there (role tenant)."""


class BuildSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How builds run; each is a Job with one pod.

    Attributes:
        namespace: of the Jobs.
        service_url: where the pods of builds reach the leader's build endpoint.
        images: by language (`python`, `javascript`, `go`, `rust`, `static`): full references.
        image_pull_secret: name of a Secret of `namespace`; empty for none.
        memory, cpu, ephemeral_storage: request and limit of a build, as quantities of Kubernetes.
        deadline_seconds: for a build from the start of its pod.
        node_selector: labels of the nodes for builds.
        tolerations: of the pods, as in Kubernetes.
        runtime_class: name of a RuntimeClass, as for gVisor; empty for the node's own.
        host_users: false gives each pod a user namespace, which the nodes' kernel and runtime must support.
        priority_class: name of a PriorityClass; empty for none.
    """

    namespace: str = "wasmfaas-builds"
    service_url: str = "http://function-service-builds.wasmfaas-service:8801"
    images: dict[str, str] = {}
    image_pull_secret: str = ""
    memory: str = "2Gi"
    cpu: str = "2"
    ephemeral_storage: str = "8Gi"
    deadline_seconds: t.Annotated[int, msgspec.Meta(ge=1)] = 1800
    node_selector: dict[str, str] = {}
    tolerations: list[dict[str, t.Any]] = []
    runtime_class: str = ""
    host_users: bool = True
    priority_class: str = ""


class OidcRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What those with a claim may do.

    Attributes:
        claim: its name, such as `groups` or, in tokens of GitHub's actions, `repository`.
        value: which it must have, or which must be in it where it is a list.
        tenant: what the role is for; `*` with the role `admin`.
        role: as a token's.
    """

    claim: str
    value: str
    tenant: str
    role: Role


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider whose tokens are taken.

    Attributes:
        issuer: its URL, as `iss` has it in its tokens.
        client_id: what must be in `aud` of a token: the service's name at the provider.
        rules: the first one that fits a token says what it allows; a token that none fits is not taken.
        name_claim: the claim by which its owner is named in deployments and in the audit log, after `oidc:`.
    """

    issuer: str
    client_id: str
    rules: list[OidcRule]
    name_claim: str = "sub"

    def __post_init__(self) -> None:
        url = urllib.parse.urlsplit(self.issuer)
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOCAL_HOSTS):
            raise ValueError("oidc.issuer: must be an https URL")
        if not self.client_id:
            raise ValueError("oidc.client_id: must not be empty, as tokens for every other service would be taken")
        for rule in self.rules:
            if (rule.role is Role.ADMIN) != (rule.tenant == ALL_TENANTS):
                raise ValueError(f"oidc.rules: the role {rule.role} cannot be for the tenant {rule.tenant!r}")


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What whoever runs the service sets. Secrets are files beside it, named here by their paths.

    Attributes:
        service_url: of the API and the page, as users write it, such as `https://api.203.0.113.7.nip.io`.
        namespace: of the service itself: its Lease and the Secrets of its tokens.
        kubeconfig: path; empty takes the service account of the pod.
        registry: as the option of spin_function, in which `{tenant}` stands for the tenant; empty takes the account of
            each tenant at the cluster's own registry.
        registry_credential_directory: path of a directory with the files `username` and `password`; empty for none, as
            with the role of a machine on AWS.
        registry_ca_file: path of a PEM file; empty for public authorities.
        registry_plain_http: whether the registry has no TLS.
        record_key_file: path of the key for source records; empty takes the key of each tenant's namespace, with which
            deployments by a playbook are recognized as well.
        domain, gateway: as the options of spin_function; empty takes its defaults.
        options: more options of spin_function, for every function.
        limits: of the queue.
        builds: see `BuildSettings`.
        oidc: see `OidcSettings`; without it only the service's own tokens are taken.
        lease_seconds: after how many seconds without a sign of the working replica another one takes over.
        state_directory, cache_directory: paths of directories that may be empty at each start.
    """

    service_url: str
    namespace: str = "wasmfaas-service"
    kubeconfig: str = ""
    registry: str = ""
    registry_credential_directory: str = ""
    registry_ca_file: str = ""
    registry_plain_http: bool = False
    record_key_file: str = ""
    domain: str = ""
    gateway: str = ""
    options: dict[str, t.Any] = {}
    limits: Limits = Limits()
    builds: BuildSettings = BuildSettings()
    oidc: OidcSettings | None = None
    lease_seconds: t.Annotated[int, msgspec.Meta(ge=3, le=600)] = 15
    state_directory: str = "/var/lib/wasmfaas"
    cache_directory: str = "/var/cache/wasmfaas"


def read_settings(file: Path) -> ClusterSettings:
    """The settings in a file of YAML or JSON; raises PlatformError."""
    try:
        return msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), ClusterSettings)
    except OSError as error:
        raise PlatformError(
            f"{file}: {error.strerror}.", next_step="Give the file with the settings: `--settings FILE`."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise PlatformError(
            f"{file} holds no settings of the service: {' '.join(str(error).split())}.",
            next_step="Correct it; service/cluster/settings.py describes each setting.",
        ) from error


def deployer_of(tenant: str) -> str:
    """The user that the service impersonates for all that it does with what is a tenant's."""
    return f"system:serviceaccount:{tenant}:{DEPLOYER}"
