#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spin_function
short_description: Deploy a Spin project as a function with a URL
version_added: 1.0.0
description:
  - Builds a Spin application, packs it as an OCI artifact, pushes it to a registry, and runs it on a Kubernetes cluster
    with SpinKube or on this machine.
  - With O(service), uploads the sources to the hosted service, which does the same there.
  - Compares a digest over the project's files with that of the deployed function, so a second run with the same input
    builds and changes nothing.
  - Undoes a deployment that does not come up; the previous version keeps answering.
  - On this machine the work runs in Ansible's own process, which is faster and shows the output of a build and the
    progress of a push. With C(become), C(async), C(environment) or another C(ansible_python_interpreter), and on other
    hosts, it runs as an ordinary module.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.function
  - wasmfaas.platform.function.rollout
  - wasmfaas.platform.function.deployment
  - wasmfaas.platform.registry
  - wasmfaas.platform.function.hosted
  - wasmfaas.platform.kubernetes_auth
attributes:
  check_mode:
    support: full
    details:
      - Nothing is built, pushed or applied. The result has no digest where only a build could tell it.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - httpx2 and tenacity
  - boto3, for Amazon ECR
  - PyYAML, for O(state=rendered)
  - cryptography, for O(signing_key)
options:
  source:
    description:
      - The project directory with a C(spin.toml), or the path of a manifest file.
      - Some manifests are refused that Spin loads. Two triggers with the same route, of which Spin would call
        only one; an application without a trigger or without a component; an undeclared variable, also where
        nothing uses it yet; an absolute path, or one that leaves O(source_root); a pattern in C(files) that
        leaves the project directory, since the function would not see its files; a route that joins C(...) with
        other text; a trigger of any type without a component, except one with a C(static_response); a C(redis)
        trigger without channel or address.
      - Required for O(state=present), O(state=pushed) and O(state=rendered).
    type: path
    aliases: [src]
  source_root:
    description:
      - A directory that holds the project directory and all that C(spin.toml) names outside of it, as a Cargo or npm
        workspace (C(source = "../../target/…"), C(workdir = "..")). No path may leave it, not even through a symbolic
        link.
      - The default is the top directory of the git repository that the project lies in, or else the project directory.
      - If this option is given, or if a path in C(spin.toml) leaves the project directory, every file of this directory
        counts as a source, by the same rules as those of the project (C(.gitignore), caches, build output). The
        artifact holds only what C(spin.toml) names.
    type: path
  name:
    description:
      - Name of the function, at most 52 of the characters a-z, 0-9 and C(-).
      - The default is the application's name in C(spin.toml). Required for O(state=absent).
    type: str
  namespace:
    description: The tenant's namespace. On a cluster it must exist.
    type: str
    default: default
  state:
    description:
      - V(present) makes the function answer at its URL.
      - V(pushed) builds the artifact and pushes it, for a build pipeline.
      - V(absent) removes the function and all that belongs to it, the key-value stores and databases of a local
        function included (see O(keep_data)). Artifacts stay in the registry.
      - V(rendered) builds and pushes as V(present) does, and writes the objects that V(present) would apply to a file
        in O(directory), for a GitOps tool such as Argo CD or Flux. No cluster is contacted, so a function with an
        C(http) trigger needs O(domain) or O(hostname), and O(tls), O(canary), O(key_value_store=shared), O(service),
        O(target=local) and values of secret variables are refused. O(wait_timeout), the options for probing and those
        for the access to a cluster have no effect.
    type: str
    choices: [present, absent, pushed, rendered]
    default: present
  directory:
    description:
      - Where O(state=rendered), which requires it, writes the file C(NAME.yaml), with all objects of the function. It
        is made if it does not exist. Other files there are not touched.
      - A file of this name that holds something else, or a function of another namespace, is refused.
    type: path
  registry:
    description:
      - Where to keep artifacts, as C(host[:port]/path), C(docker://host/path), or C(oci:DIR) for an OCI image layout on
        disk. Each function gets the repository C(path/<name>) there.
      - Required for O(target=cluster), but for O(state=present) in the namespace of a tenant that has an account at the
        cluster's own registry. Its path, user, password and authority are then read from the Secret
        C(wasmfaas-registry) there.
      - The default for O(target=local) is an image layout in O(state_directory).
    type: str
  signing_key:
    description:
      - File with the private key that signs the artifact in its registry before it is deployed, in cosign's classic
        format. An unencrypted P-256 key in PEM that only its owner may read (mode 0600).
      - The signature names the namespace (C(tenant)), the function (C(function)) and the digest of its sources
        (C(source_digest)). If this key's signature is there with the same values, nothing is written.
      - Nothing is signed without it. Refused where O(registry) is a directory, and with O(service).
    type: path
  profile:
    description: Spin's build profile, as in C(spin build --profile).
    type: str
  variables:
    description:
      - Values of the application's variables by name.
      - Those that C(spin.toml) marks as secret are kept in a Kubernetes Secret, or in memory for O(target=local).
      - With O(target=cluster), names that stand in the environment of a pod are refused, as V(path), V(home) and
        V(redis_port), since the shim would replace their values.
    type: dict
    default: {}
  replicas:
    description: A fixed number of replicas, 1 or more. The default is 1, without O(autoscale) and O(load).
    type: int
  autoscale:
    description: How the number of replicas follows the load. Excludes O(replicas).
    type: dict
    suboptions:
      min:
        description: Fewest replicas; 0 lets the function sleep until a request comes. The default is 1.
        type: int
      max:
        description: Most replicas. The default follows from O(load), else it is 10.
        type: int
      target_concurrency:
        description: Requests that one replica works on at once. The default is 10 where no other target is given. Needs
          KEDA with its HTTP add-on.
        type: int
      target_requests_per_second:
        description: Requests per second for one replica. Needs KEDA with its HTTP add-on.
        type: int
      target_cpu_percent:
        description:
          - Percent of the CPU request in O(resources) for one replica. Needs no KEDA.
          - Hardly ever adds a replica, which a deployment warns of. Kubernetes sees no processor time of a function's
            pod on nodes with cgroup v1, and by the source of the shim's library a thousandth of it with cgroup v2.
        type: int
      cooldown_seconds:
        description: Seconds without a request until the last replica is removed. The default is 300.
        type: int
      cold_start_timeout:
        description: Seconds that a request waits for the first replica before it is answered with status 504. The
          default is the platform's (C(keda_cold_start_timeout) of role P(wasmfaas.platform.keda#role)). The time of
          O(timeout) begins after it.
        type: int
  load:
    description:
      - The expected load, which gives O(autoscale) its defaults.
      - N = ceil(requests_per_second * service_time_seconds / concurrency) replicas carry it.
      - O(autoscale.max) becomes 2 * N, and O(autoscale.target_concurrency) the concurrency.
    type: dict
    suboptions:
      requests_per_second:
        description: Mean arrival rate.
        type: float
        required: true
      service_time_seconds:
        description: Mean time that a warm replica works on one request.
        type: float
        required: true
      concurrency:
        description: Requests that one replica works on at once.
        type: float
        default: 1
  canary:
    description:
      - Weight of a canary, the percent of the requests that it gets, 1 to 100.
      - The source is deployed as a second version, the canary, beside the function, which stays as it is until
        M(wasmfaas.platform.spin_function_version) promotes the canary or ends it.
      - The canary gets as many of the replicas as its weight needs, at least one.
      - A run with another weight changes only the weights. A run without this option deploys the function, and its
        canary keeps its weight.
      - A function that scales by requests cannot have a canary, since KEDA's interceptor knows no weights.
    type: int
  tls:
    description:
      - Whether the function answers only at C(https://), at the HTTPS listener of the O(gateway) that fits its host
        best.
      - Without it the function answers at all listeners, and its URL is C(http://) where one of them speaks HTTP.
    type: bool
  executor:
    description: Name of the SpinAppExecutor in the namespace.
    type: str
    default: containerd-shim-spin
  service_account:
    description: Name of the pods' service account.
    type: str
  cpu:
    description: Processor time reserved for one replica, such as V(250m). Sets C(requests.cpu) of O(resources). The
      replica may use more while its node is idle.
    type: str
  invocation_limits:
    description:
      - Limits of one invocation, such as V(128Mi) for C(memory). Needs containerd-shim-spin 0.20 or later.
      - With a limit of C(memory) and without O(probe_path), the deployment also calls the first route, and is undone if
        that ends with a status of 500 or above.
    type: dict
  runtime_config:
    description:
      - Spin's runtime configuration (key-value stores, SQLite databases), as in C(spec.runtimeConfig) of a SpinApp.
      - Needed for each store that the components name, but for V(default). Without it, that one lies in the pod, and
        its data is lost with the pod.
    type: dict
  key_value_store:
    description:
      - Where the key-value stores lie that O(runtime_config) does not configure.
      - V(shared) gives each of them a database of the platform's own store, which the role C(key_value_store) keeps for
        the namespace. All replicas see the same data, and a deployment keeps it.
      - A database stays the function's when it is deleted, so a new one of the same name finds its data.
      - V(pod) is the default. Then only V(default) can be used, and it lies in the pod.
    type: str
    choices: [pod, shared]
  components:
    description: Components of the application to run. An empty list runs all.
    type: list
    elements: str
    default: []
  probe_path:
    description: Path that must answer with a status below 400. An empty one stands for Spin's own
      C(/.well-known/spin/health).
    type: str
    default: ""
  timeout:
    description:
      - Seconds that the function may take for a request. Then the caller gets status 504.
      - If the function scales by requests, KEDA's interceptor keeps this limit, until the head of the answer. Otherwise
        the O(gateway) does, until the end of the answer, if its controller supports C(timeouts) of HTTPRoutes. Traefik
        3.7, the platform's own, ignores them.
      - With O(target=local) the limit holds until the end of the answer, and a process that goes on after it is
        replaced.
    type: int
    default: 30
  shim_version:
    description:
      - Version of containerd-shim-spin that must be able to run the function.
      - The default is the oldest one in the nodes' label C(wasmfaas.dev/containerd-shim-spin), or V(0.25.1) where no
        node has it.
      - A component that uses an interface (C(wasi:), C(spin:), C(fermyon:)) that this shim lacks is refused.
      - This collection knows the interfaces of shims up to 0.25. With a later version, interfaces that it does not know
        only cause a warning.
    type: str
  warm:
    description:
      - On which nodes the function is started once before a request needs it there. The first start of an artifact on a
        node pulls and compiles it, which takes seconds and, for that time, about 500 MB more of the node's memory.
      - V(all) does so on every node that takes Wasm pods and has not run the artifact, after the function answers. A
        short pod of its own, which gets no requests, starts there and is removed, on three nodes at a time. It is
        the default where O(autoscale.min) is 0.
      - Nodes that join later, and those that get another version of the shim, are cold at first. The cluster's servers
        start the function there within minutes, if the role P(wasmfaas.platform.spin_operator#role) has them do so.
        Otherwise the next run with the same options does, and reports a change. A node where that fails is a warning.
      - V(running) starts nothing, and only counts the nodes where replicas run at the deployment.
      - V(none) does neither, and is the default otherwise.
      - Without the permission to create pods, which a tenant's kubeconfig lacks, V(all) leaves all of it to the
        servers, and is refused where they do not do it. It is refused as well for a function with a trigger other than
        C(http), which would work on its messages on every node. As the default it does nothing there.
    type: str
    choices: [all, running, none]
  wait:
    description: Whether to wait until the function answers, and to undo the deployment if it does not.
    type: bool
    default: true
  build_timeout:
    description: Seconds that the build commands of one component may take.
    type: int
    default: 1800
  cache_directory:
    description: Directory for Python environments and downloads, kept between builds. The default is
      C(${XDG_CACHE_HOME:-~/.cache}/wasmfaas).
    type: path
  runtime_directory:
    description: Where the role P(wasmfaas.platform.local_runtime#role) installed the runtime. Required for
      O(target=local).
    type: path
  keep_data:
    description: Whether the key-value stores and databases of a local function stay when it is removed. The next
      deployment with its name and namespace finds them again.
    type: bool
    default: false
  sqlite_statements:
    description:
      - A file of SQL that is run in each SQLite database of a local function when the database is new, before the
        function starts, as C(spin up --sqlite @FILE) does for V(default).
      - If the content of the file changes, the next deployment runs the whole file in the existing databases, so write
        statements that can run again, such as C(CREATE TABLE IF NOT EXISTS). Otherwise it is not run again.
      - The file is one transaction in each database, and must not hold C(BEGIN), C(COMMIT), C(ROLLBACK) or C(ATTACH) of
        a file. If a statement fails, the database stays as it was, and the running version keeps answering.
      - Refused with O(target=cluster).
    type: path
  port:
    description: Port of a local function on 127.0.0.1. The default is the port that it has, or a free one.
    type: int
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

- name: Deploy a function that sleeps while nobody calls it
  wasmfaas.platform.spin_function:
    source: ./shop
    namespace: user1
    registry: registry.example.com/functions
    autoscale:
      min: 0
      max: 20
      target_concurrency: 8

- name: Give 10 percent of the requests to a new version
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

- name: Deploy a function with the hosted service
  wasmfaas.platform.spin_function:
    source: ./shop
    service: https://api.example.com
    service_token_file: ~/.config/wasmfaas/token

- name: Build and push only
  wasmfaas.platform.spin_function:
    source: ./shop
    registry: registry.example.com/functions
    state: pushed

- name: Write the objects of a function for Argo CD or Flux
  wasmfaas.platform.spin_function:
    source: ./shop
    namespace: user1
    registry: registry.example.com/functions
    domain: functions.example.com
    state: rendered
    directory: ../deployments/functions/shop

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
  returned: state is present or rendered
  type: str
  sample: http://shop.user1.203.0.113.7.nip.io
image:
  description: Reference of the deployed artifact by digest; empty in check mode where only a build could tell it.
  returned: state is present, pushed or rendered
  type: str
  sample: registry.example.com/functions/shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
digest:
  description: Digest of the artifact's manifest.
  returned: state is present, pushed or rendered
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
source_digest:
  description: Digest over the project's files and all else that the build depends on.
  returned: state is present, pushed or rendered
  type: str
  sample: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
signature:
  description: The C(tag) in the function's repository that holds the artifact's signatures, and C(key_id), the SHA-256
    of the public key. The tag is empty in check mode where only a build could tell it.
  returned: signing_key is given, and state is present, pushed or rendered
  type: dict
  sample:
    key_id: 1f5b0c8c9d7d1b9a4ef1f0ee6a5b0dd0b9f0a8a5bb40f4ac7c9f0c8f5f9e0a11
    tag: sha256-9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08.sig
stages:
  description: Seconds that each stage took.
  returned: always
  type: dict
  sample: {manifest: 0.004, source_digest: 0.012, live_state: 0.021}
details:
  description: What the target says of the function, such as C(status) and C(replicas), or C(process_id) and
    C(log_file). C(warm) has the number of C(nodes) on which the function is warm, C(of) how many (none where the user
    may not see that), C(failed), why others are not, and C(later), true where the servers make the others warm.
  returned: state is present or rendered
  type: dict
  sample: {status: ready, replicas: 2, ready_replicas: 2, warm: {nodes: 3, of: 3}}
summary:
  description: The result as one line.
  returned: always
  type: str
  sample: "deployed http://shop.user1.203.0.113.7.nip.io sha256:9f86d081884c (build 8.1 s, registry 0.4 s, rollout 2.2
    s)"
stage:
  description: Stage that failed.
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
  description: More about the failure, such as C(output), C(exit_code), C(events) and C(pod_log); C(shown) where the
    output was shown while it ran.
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.spin_function import run
from ..module_utils.function.time_limit import DEFAULT_TIMEOUT
from ..module_utils.hosted.arguments import hosted_arguments
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import deployment_arguments, kubernetes_auth_arguments


def argument_spec() -> dict[str, t.Any]:
    return dict(
        source=dict(type="path", aliases=["src"]),
        source_root=dict(type="path"),
        name=dict(type="str"),
        namespace=dict(type="str", default="default"),
        state=dict(type="str", choices=["present", "absent", "pushed", "rendered"], default="present"),
        directory=dict(type="path"),
        target=dict(type="str", choices=["cluster", "local"], default="cluster"),
        registry=dict(type="str"),
        signing_key=dict(type="path", no_log=False),
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
                cold_start_timeout=dict(type="int"),
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
        tls=dict(type="bool"),
        executor=dict(type="str", default="containerd-shim-spin"),
        service_account=dict(type="str"),
        cpu=dict(type="str"),
        invocation_limits=dict(type="dict"),
        runtime_config=dict(type="dict"),
        key_value_store=dict(type="str", choices=["pod", "shared"]),
        components=dict(type="list", elements="str", default=[]),
        probe_path=dict(type="str", default=""),
        probe_address=dict(type="str"),
        probe_ca_file=dict(type="path"),
        timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        shim_version=dict(type="str"),
        warm=dict(type="str", choices=["all", "running", "none"]),
        wait=dict(type="bool", default=True),
        wait_timeout=dict(type="int", default=120),
        build_timeout=dict(type="int", default=1800),
        cache_directory=dict(type="path"),
        state_directory=dict(type="path"),
        runtime_directory=dict(type="path"),
        keep_data=dict(type="bool", default=False),
        sqlite_statements=dict(type="path"),
        port=dict(type="int"),
        **deployment_arguments(),
        **hosted_arguments(),
        **kubernetes_auth_arguments(),
    )


RULES: dict[str, t.Any] = {
    "required_if": [
        ("state", "present", ("source",)),
        ("state", "pushed", ("source", "registry")),
        ("state", "rendered", ("source", "registry", "directory")),
        ("state", "absent", ("name",)),
    ],
    "mutually_exclusive": [("replicas", "autoscale"), ("replicas", "load"), ("canary", "warm")],
}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True, **RULES)
    run_module(module, run)


if __name__ == "__main__":
    main()
