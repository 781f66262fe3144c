# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything of k3s lies on a host; the one place that names these paths."""

from __future__ import annotations

K3S_BINARY = "/usr/local/bin/k3s"
SHIM_DIRECTORY = "/usr/local/bin"
SHIM_PATTERN = "/usr/local/bin/containerd-shim-*"

SERVER_UNIT = "k3s"
AGENT_UNIT = "k3s-agent"
NODE_WARMER = "wasmfaas-node-warmer"
"""Name of the timer, and its service, that make nodes warm (role spin_operator)."""
NODE_WARMER_DIRECTORY = "/usr/local/lib/wasmfaas"
UNIT_DIRECTORY = "/etc/systemd/system"

CONFIG_DIRECTORY = "/etc/rancher/k3s"
CONFIG = "/etc/rancher/k3s/config.yaml"
CONFIG_DROP_INS = "/etc/rancher/k3s/config.yaml.d"
JOIN_CONFIG = "/etc/rancher/k3s/config.yaml.d/join.yaml"
JOIN_ASIDE = "/etc/rancher/k3s/config.yaml.d/join.yaml.whole"
"""The file before the line `server` was taken out of it for one start; k3s reads only *.yaml and *.yml."""
TOKEN = "/etc/rancher/k3s/token"  # noqa: S105 (a path)
AGENT_TOKEN = "/etc/rancher/k3s/agent-token"  # noqa: S105 (a path)
REGISTRIES = "/etc/rancher/k3s/registries.yaml"
NODE_PASSWORD = "/etc/rancher/node/password"  # noqa: S105 (a path)

DATA_DIRECTORY = "/var/lib/rancher/k3s"
SERVER_DIRECTORY = "/var/lib/rancher/k3s/server"
SERVER_TOKEN = "/var/lib/rancher/k3s/server/token"  # noqa: S105 (a path)
"""What k3s itself keeps of the token, in its secure form; `TOKEN` is that of the settings."""
AGENT_DIRECTORY = "/var/lib/rancher/k3s/agent"
ETCD_DIRECTORY = "/var/lib/rancher/k3s/server/db/etcd"
SERVER_CA = "/var/lib/rancher/k3s/server/tls/server-ca.crt"
TOMBSTONE = "/var/lib/rancher/k3s/server/db/etcd/tombstone"
AUDIT_POLICY = "/var/lib/rancher/k3s/server/audit.yaml"
ADMISSION_CONFIG = "/var/lib/rancher/k3s/server/psa.yaml"
KUBELET_KUBECONFIG = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"
CREDENTIAL_PROVIDER_CONFIG = "/var/lib/rancher/credentialprovider/config.yaml"
CREDENTIAL_PROVIDER_DIRECTORY = "/var/lib/rancher/credentialprovider/bin"

RUN_DIRECTORY = "/run/wasmfaas"
"""What this collection remembers until the next boot: what each unit was started with, and digests of big files."""
