# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules for functions and programs have."""

from __future__ import annotations


class ModuleDocFragment:
    # Of modules that find a function, on a cluster or on this machine.
    DOCUMENTATION = r"""
requirements:
  - python >= 3.11
  - lightkube >= 1.0, for O(target=cluster)
options:
  target:
    description:
      - Where the function runs.
      - V(cluster) is Kubernetes with SpinKube.
      - V(local) is a process on this machine.
    type: str
    choices: [cluster, local]
    default: cluster
  state_directory:
    description:
      - Directory with local functions and their data, build logs, and earlier build output while a build runs.
      - The default is C(${XDG_STATE_HOME:-~/.local/state}/wasmfaas).
    type: path
"""

    # Of modules that change what a cluster runs, and call the function to see that it answers.
    ROLLOUT = r"""
options:
  probe_address:
    description:
      - Address to call the function at, as C(host) or C(host:port). The default is the one that DNS gives for the URL's
        host.
    type: str
  probe_ca_file:
    description:
      - Path of the certificate authorities to trust when an C(https://) URL is called. The default is the system's.
    type: path
  wait_timeout:
    description:
      - Seconds to wait for the function, and for another deployment of it to end.
    type: int
    default: 120
"""

    # Of modules that can leave their work to the hosted service.
    HOSTED = r"""
options:
  service:
    description:
      - URL of the hosted service, such as V(https://api.example.com). It builds and runs the function, so neither a
        toolchain nor access to the cluster or its registry is needed here.
      - The namespace is the name of the tenant, and V(default) stands for the tenant of the token.
      - A function that the service deploys has the sources of one project directory, and of the options those that say
        what the function is, which are C(name), C(profile), C(variables), C(timeout), C(probe_path) and
        C(build_timeout). Options that the service decides by itself are refused before anything is sent.
      - Variables that are set in the service and not named here keep their values. A secret one that is set there
        already counts as unchanged in check mode.
      - Excludes C(target=local). The options for access to a cluster have no effect.
    type: str
  service_token_file:
    description: Path of a file with the token for O(service), which is required with it.
    type: path
  service_ca_file:
    description: Path of certificate authorities to trust for O(service), in addition to the system's.
    type: path
  service_plain_http:
    description: Whether the token may be sent to an C(http://) URL of another machine.
    type: bool
    default: false
"""

    # Of modules that push an artifact and run it on a cluster.
    DEPLOYMENT = r"""
options:
  record_key_file:
    description:
      - Path of a file with the key for source records, 64 hexadecimal digits, mode C(0600). An artifact in the registry
        is used without a build only if a record of this key says that it was built from these sources.
      - The default is a key in the Secret C(wasmfaas-record-key) of O(namespace), and for O(state=pushed) and local
        functions a file in O(state_directory). Both are made when they are first needed.
      - Give it to a build pipeline and to the deployments that take what it pushed.
    type: path
  domain:
    description:
      - Domain of the URL C(http://<name>.<namespace>.<domain>).
      - The default is C(<ip>.nip.io) with the address of the O(gateway).
    type: str
  hostname:
    description: The whole host name of the URL, instead of one made from name, namespace and domain.
    type: str
  gateway:
    description: The shared Gateway, as C(namespace/name).
    type: str
    default: wasmfaas-system/wasmfaas
  image_pull_secrets:
    description: Names of Secrets that let the nodes pull from the registry.
    type: list
    elements: str
    default: []
  resources:
    description: The pods' C(requests) and C(limits), as in Kubernetes.
    type: dict
  memory:
    description: Memory of one replica, such as V(128Mi). Sets C(requests.memory) and C(limits.memory) of O(resources).
    type: str
  result_file:
    description: Path of a file to write the result to, as JSON. Writing it does not count as a change.
    type: path
"""
