#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spin_function
short_description: Deploy a Spin project folder as a function with a URL
version_added: 1.0.0
description:
  - Builds a Spin application, packs it as an OCI artifact, pushes it to a registry, and runs it on a Kubernetes cluster
    with SpinKube or on this machine.
  - The same input again changes nothing. What decides is a digest over the project's files, so that nothing is built or
    pushed to find that out.
  - A function that does not come up is undone; the previous version keeps answering.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.kubernetes_auth
attributes:
  check_mode:
    support: full
    details:
      - Nothing is built, pushed or applied. The digest of an artifact that was never built is not known and left out.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - python >= 3.11
  - lightkube >= 1.0, for O(target=cluster)
  - httpx2 and tenacity
  - boto3, for Amazon ECR
options:
  source:
    description:
      - The project folder with a C(spin.toml), or the path of a manifest file.
      - Required for O(state=present) and O(state=pushed).
    type: path
    aliases: [src]
  name:
    description:
      - Name of the function, at most 52 of the characters a-z, 0-9 and C(-).
      - The application's name in C(spin.toml) is used where it is missing. Required for O(state=absent).
    type: str
  namespace:
    description: Namespace of the function, which is the tenant's. It must exist for O(target=cluster).
    type: str
    default: default
  state:
    description:
      - V(present) makes the function answer at its URL.
      - V(pushed) builds and pushes the artifact only, as a build pipeline wants.
      - V(absent) removes the function and all that belongs to it. Artifacts stay in the registry.
    type: str
    choices: [present, absent, pushed]
    default: present
  target:
    description:
      - V(cluster) runs the function on Kubernetes with SpinKube.
      - V(local) runs it as a process of this machine.
    type: str
    choices: [cluster, local]
    default: cluster
  registry:
    description:
      - Where artifacts are kept, C(host[:port]/path), C(docker://host/path), or C(oci:DIR) for an OCI image layout on
        disk.
      - Each function has the repository C(path/<name>) in it.
      - O(target=local) uses an image layout below O(state_directory) where it is missing; O(target=cluster) requires
        it.
    type: str
  registry_username:
    description: User for the registry. Docker's and Podman's configuration and credential helpers are used where it is
      missing.
    type: str
  registry_password:
    description: Password for O(registry_username).
    type: str
  registry_ca_file:
    description: Path of certificate authorities that the registry's certificate may be signed by, in addition to the
      system's.
    type: path
  registry_plain_http:
    description: Whether to speak HTTP to the registry instead of HTTPS.
    type: bool
    default: false
  aws_endpoint_url:
    description: URL of the AWS API to use for Amazon ECR instead of the public one.
    type: str
  profile:
    description: Spin's build profile, as in C(spin build --profile).
    type: str
  variables:
    description:
      - Values for the application's variables by name.
      - Those that C(spin.toml) marks as secret are kept in a Kubernetes Secret, or in a file of mode 0600 for
        O(target=local).
    type: dict
    default: {}
  replicas:
    description: A fixed number of replicas, 1 or more. 1 is used where this, O(autoscale) and O(load) are missing.
    type: int
  autoscale:
    description: Lets the number of replicas follow the load. Contradicts O(replicas).
    type: dict
    suboptions:
      min:
        description: Fewest replicas; 0 lets the function sleep until a request comes. 1 is used where it is missing.
        type: int
      max:
        description: Most replicas. 10 is used where it is missing, or what follows from O(load).
        type: int
      target_concurrency:
        description: Requests that one replica is to work on at once. 10 is used where no target is given. Needs KEDA
          with its HTTP add-on.
        type: int
      target_requests_per_second:
        description: Requests per second that one replica is to take. Needs KEDA with its HTTP add-on.
        type: int
      target_cpu_percent:
        description: Percent of O(resources)'s CPU request that a replica is to use. Needs no KEDA.
        type: int
      cooldown_seconds:
        description: Seconds without a request until the last replica goes. 300 is used where it is missing.
        type: int
  load:
    description:
      - The expected load, from which starting values for O(autoscale) follow.
      - N = ceil(requests_per_second * service_time_seconds / concurrency) replicas carry it.
      - O(autoscale.max) becomes 2 * N and O(autoscale.target_concurrency) the concurrency, where they are missing.
    type: dict
    suboptions:
      requests_per_second:
        description: Mean arrival rate.
        type: float
        required: true
      service_time_seconds:
        description: Mean time a warm replica works on one request.
        type: float
        required: true
      concurrency:
        description: Requests that one replica works on at once.
        type: float
        default: 1
  canary:
    description:
      - Deploys the source as a second version beside the one that runs, and gives it this percent of the requests, 1 to
        100.
      - The function itself stays as it is until M(wasmfaas.platform.spin_function_version) promotes the canary, or ends
        it.
      - The canary gets the share of the replicas that its share of the requests needs, at least one.
      - Another share changes the weights alone. Without this option the function itself is deployed, and its canary
        keeps its share.
      - Can't go with a function that scales by requests, since KEDA's interceptor knows no shares.
    type: int
  domain:
    description:
      - Domain of the URL C(http://<name>.<namespace>.<domain>).
      - C(<ip>.nip.io) with the address of the O(gateway) is used where it is missing.
    type: str
  hostname:
    description: The whole host name of the URL, instead of one made from name, namespace and domain.
    type: str
  gateway:
    description: The shared Gateway, as C(namespace/name).
    type: str
    default: wasmfaas-system/wasmfaas
  tls:
    description:
      - Whether the function answers at C(https://) only. Its route is then bound to the HTTPS listener of the
        O(gateway) that fits the host best.
      - Without it the function answers at all listeners, and its URL is that of the HTTP one where there is one.
    type: bool
  executor:
    description: Name of the SpinAppExecutor in the namespace.
    type: str
    default: containerd-shim-spin
  image_pull_secrets:
    description: Names of Secrets with which the nodes pull from the registry.
    type: list
    elements: str
    default: []
  service_account:
    description: Name of the pods' service account.
    type: str
  resources:
    description: The pods' C(requests) and C(limits), as in Kubernetes.
    type: dict
  memory:
    description: Memory of one replica, such as V(128Mi), as C(requests.memory) and C(limits.memory) of O(resources).
    type: str
  cpu:
    description: Processor time that one replica has for sure, such as V(250m), as C(requests.cpu) of O(resources). It
      may use more where a node is idle.
    type: str
  invocation_limits:
    description: Limits for one invocation, such as V(128Mi) for C(memory). Needs containerd-shim-spin 0.20 or later.
    type: dict
  runtime_config:
    description: Spin's runtime configuration, as in the field C(spec.runtimeConfig) of a SpinApp (key-value stores,
      SQLite databases).
    type: dict
  components:
    description: Components of the application to run, all where it is empty.
    type: list
    elements: str
    default: []
  probe_path:
    description: Path that must answer with a status below 400. Spin's own C(/.well-known/spin/health) is used where it
      is empty.
    type: str
    default: ""
  probe_address:
    description: Address to probe instead of the one that DNS gives for the URL's host, as C(host) or C(host:port).
    type: str
  probe_ca_file:
    description: Path of the certificate authorities that the certificate of an C(https://) URL is signed by, where they
      are not those of the system.
    type: path
  shim_version:
    description:
      - Version of containerd-shim-spin that the function must run on.
      - The label C(wasmfaas.dev/containerd-shim-spin) of the cluster's nodes is read where it is missing, then
        V(0.25.1) is used.
      - A component that uses an interface (C(wasi:), C(spin:), C(fermyon:)) that this shim lacks is refused. With a
        version later than those that this
        collection knows (0.25), what a later one may have is let through with a warning.
    type: str
  wait:
    description: Whether to wait until the function answers, and to undo the deployment if it does not. Without it
      nothing is undone.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for the function, and for another deployment of it that is under way.
    type: int
    default: 120
  build_timeout:
    description: Seconds that the build commands of one component may take.
    type: int
    default: 1800
  cache_directory:
    description: Keeps Python environments and downloads between builds. C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas) is used
      where it is missing.
    type: path
  state_directory:
    description:
      - Keeps build logs, local functions with their data, and earlier build output while a build runs.
      - C(${XDG_STATE_HOME:-~/.local/state}/wasmfaas) is used where it is missing.
    type: path
  runtime_directory:
    description: Where the role C(local_runtime) installed the runtime of O(target=local).
    type: path
  port:
    description: Port of a local function on 127.0.0.1. It keeps its port, and gets a free one first, where it is
      missing.
    type: int
  result_file:
    description: Path of a file to write the result to, as JSON. Writing it is no change.
    type: path
seealso:
  - module: wasmfaas.platform.spin_function_info
  - module: wasmfaas.platform.spin_function_version
  - module: wasmfaas.platform.spin_function_logs
  - name: SpinApp
    description: The object that a function becomes on a cluster.
    link: https://www.spinkube.dev/docs/reference/spin-app/
"""

EXAMPLES = r"""
- name: Deploy a function on the cluster
  wasmfaas.platform.spin_function:
    source: ./shop
    namespace: user1
    registry: registry.example.com/functions
    variables:
      greeting: hi

- name: Let it sleep when nobody calls
  wasmfaas.platform.spin_function:
    source: ./shop
    namespace: user1
    registry: registry.example.com/functions
    autoscale:
      min: 0
      max: 20
      target_concurrency: 8

- name: Let a new version take 10 percent of the requests
  wasmfaas.platform.spin_function:
    source: ./shop
    namespace: user1
    registry: registry.example.com/functions
    canary: 10

- name: Run a function on this machine
  wasmfaas.platform.spin_function:
    source: ./shop
    target: local
    runtime_directory: "{{ local_runtime_directory }}"

- name: Build and push only
  wasmfaas.platform.spin_function:
    source: ./shop
    registry: registry.example.com/functions
    state: pushed

- name: Remove a function
  wasmfaas.platform.spin_function:
    name: shop
    namespace: user1
    state: absent
"""

RETURN = r"""
name:
  description: Name of the function.
  returned: success
  type: str
  sample: shop
namespace:
  description: Namespace of the function.
  returned: success
  type: str
  sample: user1
url:
  description: Where the function answers; empty without an http trigger.
  returned: state is present
  type: str
  sample: http://shop.user1.203.0.113.7.nip.io
image:
  description: Reference of the deployed artifact by digest; empty in check mode where only a build would tell it.
  returned: state is present or pushed
  type: str
  sample: registry.example.com/functions/shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
digest:
  description: Digest of the artifact's manifest.
  returned: state is present or pushed
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
source_digest:
  description: Digest over all that the result depends on.
  returned: state is present or pushed
  type: str
  sample: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
stages:
  description: Seconds that each stage took.
  returned: always
  type: dict
  sample: {manifest: 0.004, source_digest: 0.012, live_state: 0.021}
details:
  description: What the target says of the function, such as C(status), C(replicas), or C(process_id) and C(log_file).
  returned: state is present
  type: dict
  sample: {status: ready, replicas: 2, ready_replicas: 2}
summary:
  description: The result as one line.
  returned: always
  type: str
  sample: "deployed http://shop.user1.203.0.113.7.nip.io sha256:9f86d081884c (build 8.1 s, registry 0.4 s, rollout 2.2
    s)"
stage:
  description: Stage at which it failed.
  returned: failure
  type: str
  sample: build
cause:
  description: What went wrong.
  returned: failure
  type: str
next_step:
  description: What to do next.
  returned: failure
  type: str
facts:
  description: More about the failure, such as C(output), C(exit_code), C(events) and C(pod_log).
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.spin_function import run
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def argument_spec() -> dict[str, t.Any]:
    return dict(
        source=dict(type="path", aliases=["src"]),
        name=dict(type="str"),
        namespace=dict(type="str", default="default"),
        state=dict(type="str", choices=["present", "absent", "pushed"], default="present"),
        target=dict(type="str", choices=["cluster", "local"], default="cluster"),
        registry=dict(type="str"),
        registry_username=dict(type="str"),
        registry_password=dict(type="str", no_log=True),
        registry_ca_file=dict(type="path"),
        registry_plain_http=dict(type="bool", default=False),
        aws_endpoint_url=dict(type="str"),
        profile=dict(type="str"),
        variables=dict(type="dict", default={}, no_log=True),
        replicas=dict(type="int"),
        autoscale=dict(
            type="dict",
            options=dict(
                min=dict(type="int"),
                max=dict(type="int"),
                target_concurrency=dict(type="int"),
                target_requests_per_second=dict(type="int"),
                target_cpu_percent=dict(type="int"),
                cooldown_seconds=dict(type="int"),
            ),
        ),
        load=dict(
            type="dict",
            options=dict(
                requests_per_second=dict(type="float", required=True),
                service_time_seconds=dict(type="float", required=True),
                concurrency=dict(type="float", default=1),
            ),
        ),
        canary=dict(type="int"),
        domain=dict(type="str"),
        hostname=dict(type="str"),
        gateway=dict(type="str", default="wasmfaas-system/wasmfaas"),
        tls=dict(type="bool"),
        executor=dict(type="str", default="containerd-shim-spin"),
        image_pull_secrets=dict(type="list", elements="str", default=[], no_log=False),
        service_account=dict(type="str"),
        resources=dict(type="dict"),
        memory=dict(type="str"),
        cpu=dict(type="str"),
        invocation_limits=dict(type="dict"),
        runtime_config=dict(type="dict"),
        components=dict(type="list", elements="str", default=[]),
        probe_path=dict(type="str", default=""),
        probe_address=dict(type="str"),
        probe_ca_file=dict(type="path"),
        shim_version=dict(type="str"),
        wait=dict(type="bool", default=True),
        wait_timeout=dict(type="int", default=120),
        build_timeout=dict(type="int", default=1800),
        cache_directory=dict(type="path"),
        state_directory=dict(type="path"),
        runtime_directory=dict(type="path"),
        port=dict(type="int"),
        result_file=dict(type="path"),
        **kubernetes_auth_arguments(),
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[
            ("state", "present", ("source",)),
            ("state", "pushed", ("source", "registry")),
            ("state", "absent", ("name",)),
        ],
        mutually_exclusive=[("replicas", "autoscale"), ("replicas", "load")],
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
