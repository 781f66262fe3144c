# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options to reach a Kubernetes API server, shared by all modules that talk to one."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of a kubeconfig, or its content as a dictionary.
      - Where it is missing, E(K8S_AUTH_KUBECONFIG), then E(KUBECONFIG), then the service account of a pod, then
        C(~/.kube/config) is used.
    type: raw
  context:
    description:
      - Context of the kubeconfig to use. E(K8S_AUTH_CONTEXT) is used where it is missing, then the current context.
    type: str
  host:
    description:
      - URL of the API server. E(K8S_AUTH_HOST) is used where it is missing.
    type: str
  api_key:
    description:
      - Bearer token. E(K8S_AUTH_API_KEY) is used where it is missing.
    type: str
  username:
    description:
      - User name for basic authentication. E(K8S_AUTH_USERNAME) is used where it is missing.
    type: str
  password:
    description:
      - Password for basic authentication. E(K8S_AUTH_PASSWORD) is used where it is missing.
    type: str
  client_cert:
    description:
      - Path of the client certificate. E(K8S_AUTH_CERT_FILE) is used where it is missing.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - Path of the client certificate's key. E(K8S_AUTH_KEY_FILE) is used where it is missing.
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - Path of the certificate authorities to trust. E(K8S_AUTH_SSL_CA_CERT) is used where it is missing.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether to verify the API server's certificate. E(K8S_AUTH_VERIFY_SSL) is used where it is missing, then what
        the kubeconfig says.
    type: bool
    aliases: [verify_ssl]
  proxy:
    description:
      - URL of an HTTP proxy to reach the API server. E(K8S_AUTH_PROXY) is used where it is missing.
    type: str
  impersonate_user:
    description:
      - User to act as. E(K8S_AUTH_IMPERSONATE_USER) is used where it is missing.
    type: str
  impersonate_groups:
    description:
      - Groups to act as.
    type: list
    elements: str
"""
