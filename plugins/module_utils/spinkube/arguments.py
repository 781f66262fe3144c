# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module arguments of the documentation fragments kubernetes_auth, function.deployment and registry."""

from __future__ import annotations

import typing as t

from ..registry.arguments import registry_arguments
from .connection import ConnectionOptions


def _from(variable: str) -> tuple[t.Any, list[str]]:
    from ansible.module_utils.basic import env_fallback

    return (env_fallback, [variable])


def kubernetes_auth_arguments() -> dict[str, t.Any]:
    """The argument_spec; names, aliases and environment variables are those of kubernetes.core."""
    return {
        "kubeconfig": {"type": "raw", "no_log": True, "fallback": _from("K8S_AUTH_KUBECONFIG")},
        "context": {"type": "str", "fallback": _from("K8S_AUTH_CONTEXT")},
        "host": {"type": "str", "fallback": _from("K8S_AUTH_HOST")},
        "api_key": {"type": "str", "no_log": True, "fallback": _from("K8S_AUTH_API_KEY")},
        "username": {"type": "str", "fallback": _from("K8S_AUTH_USERNAME")},
        "password": {"type": "str", "no_log": True, "fallback": _from("K8S_AUTH_PASSWORD")},
        "client_cert": {"type": "path", "aliases": ["cert_file"], "fallback": _from("K8S_AUTH_CERT_FILE")},
        "client_key": {
            "type": "path",
            "no_log": False,
            "aliases": ["key_file"],
            "fallback": _from("K8S_AUTH_KEY_FILE"),
        },
        "ca_cert": {"type": "path", "aliases": ["ssl_ca_cert"], "fallback": _from("K8S_AUTH_SSL_CA_CERT")},
        "validate_certs": {"type": "bool", "aliases": ["verify_ssl"], "fallback": _from("K8S_AUTH_VERIFY_SSL")},
        "proxy": {"type": "str", "fallback": _from("K8S_AUTH_PROXY")},
        "impersonate_user": {"type": "str", "fallback": _from("K8S_AUTH_IMPERSONATE_USER")},
        "impersonate_groups": {"type": "list", "elements": "str"},
    }


def connection_options(parameters: dict[str, t.Any]) -> ConnectionOptions:
    """What the user gave, as the connection takes it; a kubeconfig may be a path or a dictionary."""
    names = kubernetes_auth_arguments()
    given = {name: parameters[name] for name in names if parameters[name] is not None}
    given["impersonate_groups"] = tuple(given.get("impersonate_groups", ()))
    return ConnectionOptions(**given)


def deployment_arguments() -> dict[str, t.Any]:
    """The options of doc fragments function.deployment and registry, as part of an argument_spec."""
    return dict(
        **registry_arguments(),
        record_key_file=dict(type="path", no_log=False),
        domain=dict(type="str"),
        hostname=dict(type="str"),
        gateway=dict(type="str", default="wasmfaas-system/wasmfaas"),
        image_pull_secrets=dict(type="list", elements="str", default=[], no_log=False),
        resources=dict(type="dict"),
        memory=dict(type="str"),
        result_file=dict(type="path"),
    )
