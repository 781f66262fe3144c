# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the role tenant, with the real kubectl, on the real API server."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions

from tests.k3s_double import build

from .control_plane import ControlPlane
from .playbooks import PlaybookRun, Playbooks

PLAY = {
    "name": "Keep tenants",
    "hosts": "localhost",
    "gather_facts": False,
    "tasks": [{"name": "Tenants", "ansible.builtin.include_role": {"name": "wasmfaas.platform.tenant"}}],
}


class Tenants:
    """The role with the variables of an inventory; its kubeconfigs are in `directory`/tenants."""

    def __init__(self, control_plane: ControlPlane, directory: Path, **variables: t.Any) -> None:
        """Args:
        variables: over those that every run has.
        """
        self.directory = directory
        self._playbooks = Playbooks(directory / "home")
        self._playbook = directory / "tenants.yml"
        self._playbook.write_text(yaml.safe_dump([PLAY]))
        self.variables: dict[str, t.Any] = {
            "platform_host": "localhost",
            "platform_kubectl": [str(build.binary()), "kubectl", "--kubeconfig", str(control_plane.kubeconfig)],
            "platform_components": ["cert_manager", "spin_operator", "ingress", "keda"],
            "tenant_kubeconfig_directory": str(directory / "tenants"),
            "tenant_api_url": control_plane.url,
            **variables,
        }

    def run(self, *tenants: dict[str, t.Any], arguments: tuple[str, ...] = (), **variables: t.Any) -> PlaybookRun:
        """Keep these tenants.

        Args:
            arguments: more for ansible-playbook.
            variables: over those of this object.
        """
        return self.play(str(self._playbook), *arguments, tenants=list(tenants), **variables)

    def play(self, playbook: str, *arguments: str, **variables: t.Any) -> PlaybookRun:
        """Run any playbook with the same variables."""
        given = json.dumps({**self.variables, **variables})
        return self._playbooks.run(playbook, "-e", given, *arguments, directory=self.directory, inventory="local")

    def api(self, tenant: str) -> KubernetesApi:
        """The API with the kubeconfig of a tenant."""
        return KubernetesApi(ConnectionOptions(kubeconfig=str(self.directory / f"tenants/{tenant}.kubeconfig")))
