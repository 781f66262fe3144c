#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node_info
short_description: Read what a host and its k3s are
version_added: 1.0.0
description:
  - Use it to look at a host, with or without k3s. M(wasmfaas.platform.k3s_plan) and M(wasmfaas.platform.k3s_doctor)
    decide with its result.
  - Needs nothing but Python on the host. Something that a host does not have is a value of the result and not an error.
  - Passwords in registries.yaml stay on the controller, which reads that file.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.read_only
  - wasmfaas.platform.k3s.groups
attributes:
  idempotent:
    support: full
    details:
      - This module only reads. It remembers digests of big files below C(/run/wasmfaas).
requirements:
  - python >= 3.9
options:
  gather:
    description:
      - What to read. V(node) is the host and its k3s. V(cluster) asks the API of a ready server for the nodes, and
        implies V(node).
      - V(diagnosis) is what may be wrong, such as certificates, shims, modes of secret files, snapshots, restarts of
        the unit, charts that do not run, and registries that do not answer.
    type: list
    elements: str
    choices: [node, cluster, diagnosis]
    default: [node, cluster]
  connections:
    description:
      - Addresses to try a TCP connection to, as C(host:port).
      - Defaults to the connections that k3s needs between this host and the others of O(servers_group) and
        O(agents_group).
    type: list
    elements: str
  ports:
    description: Ports to look for listeners on, in addition to those of k3s.
    type: list
    elements: dict
    default: []
    suboptions:
      protocol:
        description: Protocol of the port.
        type: str
        choices: [tcp, udp]
        default: tcp
      port:
        description: Number of the port.
        type: int
        required: true
  disk_paths:
    description: Directories whose file systems are measured.
    type: list
    elements: path
    default: [/var/lib/rancher, /usr/local/bin]
  registry_timeout:
    description: With V(diagnosis) in O(gather), seconds that a registry may take to answer.
    type: float
    default: 5
  registry_endpoints:
    description: Registries to ask, each with C(url) and, where set, C(ca_file), C(cert_file), C(key_file), C(insecure).
      The action fills it in.
    type: list
    elements: dict
    default: []
  registry_files:
    description: Files that registries.yaml names. The action fills it in.
    type: list
    elements: str
    default: []
seealso:
  - module: wasmfaas.platform.k3s_plan
  - module: wasmfaas.platform.k3s_doctor
"""

EXAMPLES = r"""
- name: Look at the host
  wasmfaas.platform.k3s_node_info:
  register: k3s_node

- name: Show its k3s
  ansible.builtin.debug:
    var: k3s_node.node.k3s

- name: Read what may be wrong
  wasmfaas.platform.k3s_node_info:
    gather: [diagnosis]
  register: k3s_diagnosis
"""

RETURN = r"""
node:
  description: The host.
  returned: V(node) or V(cluster) in O(gather)
  type: dict
  contains:
    hostname:
      description: Its name in lower case.
      type: str
      returned: always
    machine_id:
      description: Its machine id; empty if it has none.
      type: str
      returned: always
    boot_id:
      description: Differs after each boot.
      type: str
      returned: always
    os:
      description: C(id), C(version_id) and C(id_like) of its os-release.
      type: dict
      returned: always
    architecture:
      description: C(amd64), C(arm64), or what the kernel says if it is another.
      type: str
      returned: always
    cpus:
      description: Number of processors.
      type: int
      returned: always
    memory_bytes:
      description: Memory in bytes.
      type: int
      returned: always
    cgroup:
      description: C(v2), C(v1), or empty.
      type: str
      returned: always
    cgroup_controllers:
      description: Controllers of cgroup v2, such as C(memory); empty on v1.
      type: list
      elements: str
      returned: always
    kernel_modules:
      description: Whether the kernel has each module that k3s needs; null where that is not known.
      type: dict
      returned: always
    later_sysctls:
      description: Kernel settings that the kubelet insists on and that a file behind that of role C(node_prepare) sets
        at the next boot, each with C(value) and C(file).
      type: dict
      returned: always
    firewall:
      description: C(firewalld) or C(ufw) where it is active; else empty.
      type: str
      returned: always
    systemd:
      description: Whether systemd runs the host.
      type: bool
      returned: always
    selinux:
      description: C(enforcing), C(permissive) or C(disabled).
      type: str
      returned: always
    time:
      description: Its clock, in seconds since 1970.
      type: float
      returned: always
    time_synchronized:
      description: Whether its clock follows a time server; null if the host cannot tell.
      type: bool
      returned: always
    addresses:
      description: Addresses of its own interfaces.
      type: list
      elements: str
      returned: always
    interfaces:
      description: The interface of each address, also of virtual ones, without loopback and link-local addresses.
      type: dict
      returned: always
    default_address:
      description: Address from which it reaches others; empty without a default route.
      type: str
      returned: always
    disk:
      description: C(total_bytes), C(free_bytes) and C(noexec) for each of O(disk_paths).
      type: dict
      returned: always
    ports_in_use:
      description: Ports that something listens on, each with C(protocol), C(port), C(process) and C(unit). Empty while
        k3s runs, since the ports are its own then.
      type: list
      elements: dict
      returned: always
    connections:
      description: C(open), C(refused), C(filtered) or C(unknown) for each address of O(connections).
      type: dict
      returned: always
    k3s:
      description:
        - Its k3s. C(role) is C(server), C(agent) or null; C(service) is the state of the unit, or C(missing).
        - C(version) is that of the binary, C(version_running) that of the process, C(binary_sha256) the digest of the
          binary.
        - C(has_data), C(has_server_data), C(has_agent_data), C(datastore), C(tombstone) and C(ca_sha256) say what lies
          on the disk. C(ready), C(enabled) and C(restarting) say how it runs.
        - C(node_name), C(node_ip), C(server_url) and C(cluster_init) are of its settings. C(config) holds the keys of
          config.yaml that all servers share.
        - C(stale_inputs) lists the files that differ from those that the running process was started with.
        - C(certificates_ended) is when the first of its certificates ended that it renews at each start, in seconds
          since 1970; 0 if none has.
        - C(foreign_unit) is the file of its unit if this collection did not write it, such as that of k3s's install
          script; else empty.
      type: dict
      returned: always
cluster:
  description:
    - The cluster, on a server that is ready; null elsewhere.
    - Each of C(nodes) has C(name), C(ready), C(alive) (ready, or only without a pod network), C(roles),
      C(control_plane), C(addresses), C(version), C(unschedulable), C(labels), C(taints), C(created) and
      C(annotations).
    - Its etcd member is described by C(member_name), C(voter) (it counts for the majority, healthy or not), C(learner)
      and C(member_problem) (why it is no healthy voter).
  returned: V(node) or V(cluster) in O(gather)
  type: dict
clock:
  description: C(offset), the seconds by which the clock of the host is ahead of the controller's, and C(error), how
    wrong that may be.
  returned: V(node) or V(cluster) in O(gather)
  type: dict
diagnosis:
  description: What may be wrong.
  returned: V(diagnosis) in O(gather)
  type: dict
  contains:
    unit:
      description: The unit as systemd has it; C(problem) is set if its journal tells of a known one.
      returned: always
      type: dict
      sample: {name: k3s, active: active, sub: running, result: success, enabled: true, restarts: 0, exit_status: 0,
        problem: null}
    certificates:
      description: The certificate files of k3s with the end of their first certificate, in seconds since 1970.
      returned: always
      type: list
      elements: dict
      sample: [{path: /var/lib/rancher/k3s/server/tls/server-ca.crt, authority: true, ends: 2079360000.0}]
    reboot_reason:
      description: Why the host should be rebooted; empty if nothing on it says so.
      returned: always
      type: str
      sample: "packages ask for it: linux-image-6.1.0-40-cloud-amd64"
    exposed_files:
      description: Secret files that others than root can read.
      returned: always
      type: list
      elements: dict
      sample: [{path: /etc/rancher/k3s/token, mode: "0644"}]
    shims:
      description: Shims on disk, handlers in the configuration of containerd, and shims that changed since k3s started.
      returned: always
      type: dict
      sample: {binaries: [containerd-shim-spin-v2], handlers: [runc, spin], changed: []}
    cluster_init_in:
      description: Configuration files that still say cluster-init.
      returned: always
      type: list
      elements: str
    snapshots:
      description: The etcd snapshots on this server; null on an agent. C(bucket) is what k3s lists of the bucket of
        C(etcd-s3), the newest one and why the last one that failed did; null where there is no bucket or the API does
        not answer.
      returned: always
      type: dict
      sample: {directory: /var/lib/rancher/k3s/server/db/snapshots, count: 5, newest: 1795312800.0, bucket: {newest:
        1795312800.0, error: ""}}
    file_systems:
      description: Space and inodes below C(/) and below the data of k3s.
      returned: always
      type: list
      elements: dict
    etcd_size:
      description: Size of the database of etcd and its quota in bytes; null on an agent, or if etcd does not answer.
      returned: always
      type: dict
      sample: {bytes: 20480000, quota: 2147483648}
    credential_provider:
      description: Whether the kubelet has a credential provider, as for Amazon ECR.
      returned: always
      type: bool
    tokens_unsaved:
      description: Whether etcd lacks the tokens of this server, so that k3s would refuse its next start; null on an
        agent, or if the server cannot tell.
      returned: always
      type: bool
    runtime_classes:
      description: The RuntimeClasses of the cluster; null unless the host is a server whose API answers.
      returned: always
      type: list
      elements: dict
      sample: [{name: wasmtime-spin-v2, handler: spin, node_selector: {wasmfaas.dev/spin: "true"}}]
    charts:
      description: Charts of the platform whose pods do not all run, and why; null unless the host is a server whose API
        answers.
      returned: always
      type: list
      elements: dict
      sample: [{name: tempo, namespace: observability, where: pod tempo-0, what: it is not ready yet, next_step:
        "Correct what its last lines name, mostly a value of the chart, and run it again.", severity: warning, pod:
        tempo-0, last_line: starting}]
    hosted_service:
      description: How the hosted service is; empty where it is not installed, null unless the host is a server whose
        API answers.
      returned: always
      type: dict
      sample: {replicas: 2, ready: 1, what: "pod function-service-0: its container ended 7 times", pod:
        function-service-0, last_line: starting, definition: true, oldest_wait: 0.0, failures: {build: 2}}
    registries:
      description: Problems of registries.yaml, missing files that it names, and how each endpoint answered.
      returned: always
      type: dict
      sample: {problems: [], missing_files: [], endpoints: [{url: "https://mirror.example.com", state: answers,
        detail: HTTP 401}]}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.k3s.gather import SUBJECTS, run
from ..module_utils.module_run import run_module


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            gather=dict(type="list", elements="str", choices=list(SUBJECTS), default=["node", "cluster"]),
            servers_group=dict(type="str", default="k3s_server"),
            agents_group=dict(type="str", default="k3s_agent"),
            connections=dict(type="list", elements="str"),
            ports=dict(
                type="list",
                elements="dict",
                default=[],
                options=dict(
                    protocol=dict(type="str", choices=["tcp", "udp"], default="tcp"),
                    port=dict(type="int", required=True),
                ),
            ),
            disk_paths=dict(type="list", elements="path", default=["/var/lib/rancher", "/usr/local/bin"]),
            registry_timeout=dict(type="float", default=5),
            registry_endpoints=dict(type="list", elements="dict", default=[], no_log=False),
            registry_files=dict(type="list", elements="str", default=[], no_log=False),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
