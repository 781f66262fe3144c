#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wasi_program
short_description: Run a plain WASI program, without a spin.toml
version_added: 1.0.0
description:
  - Packs a C(.wasm) file as an OCI artifact (the CNCF's Wasm OCI artifact layout), pushes it to a registry, and runs it
    on a Kubernetes cluster with containerd-shim-wasmtime, or with O(target=local) on this machine.
  - A command is a component that exports C(wasi:cli/run), or a core module with C(_start). It runs once, as a Job, and
    the module waits for its end and returns what it wrote; or it is kept running, as a Deployment.
  - A server is a component that exports C(wasi:http/incoming-handler). It is kept running and gets a URL as functions
    do. So does a command that answers HTTP at a port of its own (C(wasi:sockets)), with O(port).
  - A second run with the same input changes nothing, so a command that succeeded is not run again. Another program,
    other arguments or another environment run it again, and so does a failure.
  - The nodes need the shim, C(wasm_shims_installed=[spin, wasmtime]) of role P(wasmfaas.platform.wasm_shims#role).
  - With O(target=local), a command runs once and a server is a process behind a URL at C(127.0.0.1). A command that is
    kept running, or that answers at a port of its own, is refused there.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.function.rollout
  - wasmfaas.platform.function.deployment
  - wasmfaas.platform.registry
  - wasmfaas.platform.kubernetes_auth
attributes:
  check_mode:
    support: full
    details:
      - Nothing is built, pushed or applied. The result has no digest where only a build or a push could tell it.
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
      - The C(.wasm) file, or a directory that holds one, see O(wasm).
      - Required for O(state=present) and O(state=pushed).
    type: path
    aliases: [src]
  wasm:
    description: Path of the Wasm file in the directory O(source).
    type: str
  build:
    description: Shell command that writes O(wasm), run in the directory O(source). Without it, the file is given.
    type: str
  name:
    description:
      - Name of the program, at most 52 of the characters a-z, 0-9 and C(-).
      - The default is the file's name without C(.wasm). Required for O(state=absent).
    type: str
  namespace:
    description: The tenant's namespace. It must exist.
    type: str
    default: default
  target:
    description:
      - Where the program runs.
      - V(cluster) is Kubernetes with containerd-shim-wasmtime.
      - V(local) is a process on this machine, in the local runtime for functions.
    type: str
    choices: [cluster, local]
    default: cluster
  runtime_directory:
    description: Where the role P(wasmfaas.platform.local_runtime#role) installed the runtime. Required for
      O(target=local).
    type: path
  state:
    description:
      - V(present) runs the program.
      - V(pushed) packs it and pushes it, for a build pipeline.
      - V(absent) removes it and all that belongs to it. Artifacts stay in the registry.
    type: str
    choices: [present, absent, pushed]
    default: present
  run:
    description:
      - V(once) makes a Job of the program, V(always) a Deployment, which starts it again when it ends.
      - With O(target=local), V(always) is refused for a command.
      - The default is V(once) for a command without O(port), and V(always) for all others.
    type: str
    choices: [once, always]
  args:
    description: The program's arguments, after its name.
    type: list
    elements: str
    default: []
  env:
    description: Environment variables by name. Not for secrets, see O(env_secrets).
    type: dict
    default: {}
  env_secrets:
    description: Names of Secrets in O(namespace) whose entries become environment variables. Refused with
      O(target=local).
    type: list
    elements: str
    default: []
  port:
    description:
      - Port at which the program answers HTTP. The default for a server of C(wasi:http) is 80.
      - A command with a port gets a Service and a URL.
      - The network policy of a tenant's namespace lets requests only to port 80.
      - With O(target=local), the port of a server at C(127.0.0.1); the default is the one that it has, else a free one.
        Refused there for a command.
    type: int
  replicas:
    description: Number of replicas of a program that is kept running. The default is 1. Refused with
      O(target=local).
    type: int
  retries:
    description:
      - How often a program that runs once is tried again after exit code 137, with which the shim ends where it could
        not run the program, or the program trapped.
      - A program that ends with another code is not tried again.
      - Has no effect with O(target=local), where a program is tried once.
    type: int
    default: 2
  registry:
    description:
      - Where to keep artifacts, as C(host[:port]/path) or C(docker://host/path). Each program gets the repository
        C(path/<name>) there. With O(state=pushed) and O(target=local) also C(oci:DIR) for an OCI image layout on disk.
      - Required for O(state=pushed), and for O(state=present) with O(target=cluster) but in the namespace of a tenant
        that has an account at the cluster's own registry (Secret C(wasmfaas-registry)). The default for
        O(target=local) is an image layout in O(state_directory).
    type: str
  tls:
    description: Whether the program answers only at C(https://). See M(wasmfaas.platform.spin_function).
    type: bool
  timeout:
    description: Seconds that the program may take for a request. See M(wasmfaas.platform.spin_function).
    type: int
    default: 30
  probe_path:
    description: Path that must answer with a status below 400. Without it, a replica gets requests once its port is
      open, and V(/) must answer.
    type: str
    default: ""
  runtime_class:
    description: RuntimeClass that gives the pods the shim.
    type: str
    default: wasmtime-wasi
  service_account:
    description:
      - Name of the pods' service account.
      - Its token lies in the program's file system. Without this option there is none.
    type: str
  cpu:
    description: Processor time reserved for one replica, such as V(250m). Sets C(requests.cpu) of O(resources).
    type: str
  wait:
    description: Whether to wait until the program has ended or answers, and to undo the deployment if it cannot start.
      With O(target=local) it is always so, and a command that has not ended after O(wait_timeout) is stopped.
    type: bool
    default: true
  build_timeout:
    description: Seconds that O(build) may take.
    type: int
    default: 1800
  state_directory:
    description:
      - Directory with local programs, build logs, and earlier build output while a build runs.
      - The default is C(${XDG_STATE_HOME:-~/.local/state}/wasmfaas).
    type: path
seealso:
  - module: wasmfaas.platform.wasi_program_info
  - module: wasmfaas.platform.wasi_program_logs
  - module: wasmfaas.platform.spin_function
  - name: Wasm OCI artifact layout
    description: The form of the artifact.
    link: https://tag-runtime.cncf.io/wgs/wasm/deliverables/wasm-oci-artifact/
"""

EXAMPLES = r"""
- name: Run a program once and see what it writes
  wasmfaas.platform.wasi_program:
    source: ./hello-wasi/target/wasm32-wasip1/release/hello-wasi.wasm
    namespace: user1
    registry: registry.example.com/programs
    args: [--loud]
    env:
      TARGET: world
  register: hello

- name: Build a server and give it a URL
  wasmfaas.platform.wasi_program:
    source: ./echo-wasi
    build: cargo build --release --target wasm32-wasip2 --locked
    wasm: target/wasm32-wasip2/release/echo_wasi.wasm
    namespace: user1
    registry: registry.example.com/programs
    replicas: 2

- name: Run a server on this machine, where the role local_runtime has been run
  wasmfaas.platform.wasi_program:
    source: ./echo-wasi/dist/echo-wasi.wasm
    target: local
    runtime_directory: "{{ local_runtime_directory }}"

- name: Remove a program
  wasmfaas.platform.wasi_program:
    name: hello-wasi
    namespace: user1
    state: absent
"""

RETURN = r"""
name:
  description: Name of the program.
  returned: success
  type: str
  sample: hello-wasi
namespace:
  description: Namespace of the program.
  returned: success
  type: str
  sample: user1
url:
  description: Where the program answers; empty for one that answers nothing.
  returned: state is present
  type: str
  sample: http://echo-wasi.user1.203.0.113.7.nip.io
image:
  description: Reference of the artifact by digest; empty in check mode where it is not known.
  returned: state is present or pushed
  type: str
  sample: registry.example.com/wasm/hello-wasi@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
digest:
  description: Digest of the artifact's manifest.
  returned: state is present or pushed
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
source_digest:
  description: Digest of the Wasm file, or over all that its build depends on.
  returned: state is present or pushed
  type: str
  sample: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
output:
  description: The last lines of a program that ran once.
  returned: state is present or pushed
  type: list
  elements: str
  sample: ["Hello, world!"]
stages:
  description: Seconds that each stage took.
  returned: always
  type: dict
  sample: {source: 0.004, source_digest: 0.012, live_state: 0.021}
details:
  description: What the target says of the program, such as C(kind) (command or server), C(workload) (Job or
    Deployment; Run or Server on this machine), C(status) and C(replicas), or C(exit_code) and C(log_file).
  returned: state is present
  type: dict
  sample: {kind: command, workload: Job, status: succeeded}
summary:
  description: The result as one line.
  returned: always
  type: str
  sample: "ran registry.example.com/wasm/hello-wasi@sha256:9f86d081884c… (registry 0.4 s, run 2.2 s)"
stage:
  description: Stage that failed.
  returned: failure
  type: str
  sample: run
cause:
  description: What went wrong.
  returned: failure
  type: str
next_step:
  description: What to do next.
  returned: failure
  type: str
facts:
  description: More about the failure, such as C(exit_code), C(events) and C(pod_log).
  returned: failure
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.time_limit import DEFAULT_TIMEOUT
from ..module_utils.module_run import run_module
from ..module_utils.program.wasi_program import run
from ..module_utils.spinkube.arguments import deployment_arguments, kubernetes_auth_arguments


def argument_spec() -> dict[str, t.Any]:
    return dict(
        source=dict(type="path", aliases=["src"]),
        wasm=dict(type="str"),
        build=dict(type="str"),
        name=dict(type="str"),
        namespace=dict(type="str", default="default"),
        target=dict(type="str", choices=["cluster", "local"], default="cluster"),
        runtime_directory=dict(type="path"),
        state=dict(type="str", choices=["present", "absent", "pushed"], default="present"),
        run=dict(type="str", choices=["once", "always"]),
        args=dict(type="list", elements="str", default=[]),
        env=dict(type="dict", default={}),
        env_secrets=dict(type="list", elements="str", default=[], no_log=False),
        port=dict(type="int"),
        replicas=dict(type="int"),
        retries=dict(type="int", default=2),
        registry=dict(type="str"),
        tls=dict(type="bool"),
        timeout=dict(type="int", default=DEFAULT_TIMEOUT),
        probe_path=dict(type="str", default=""),
        probe_address=dict(type="str"),
        probe_ca_file=dict(type="path"),
        runtime_class=dict(type="str", default="wasmtime-wasi"),
        service_account=dict(type="str"),
        cpu=dict(type="str"),
        wait=dict(type="bool", default=True),
        wait_timeout=dict(type="int", default=120),
        build_timeout=dict(type="int", default=1800),
        state_directory=dict(type="path"),
        **deployment_arguments(),
        **kubernetes_auth_arguments(),
    )


RULES: dict[str, t.Any] = {
    "required_if": [
        ("state", "present", ("source",)),
        ("state", "pushed", ("source", "registry")),
        ("state", "absent", ("name",)),
    ],
    "required_by": {"build": ("wasm",)},
}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True, **RULES)
    run_module(module, run)


if __name__ == "__main__":
    main()
