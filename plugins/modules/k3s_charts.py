#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_charts
short_description: Have Helm charts in a cluster, with the objects that they need and that need them
version_added: 1.0.0
description:
  - Applies O(definitions) and O(objects), installs O(charts) all at once and waits for them, then applies
    O(objects_after); or removes all of that in the other order.
  - Charts go in as C(HelmChart) objects, which k3s' own Helm controller installs, or by the program C(helm) where there
    is no such controller.
  - A chart is there when its installation has succeeded and its Deployments, StatefulSets and DaemonSets are rolled
    out, also those that the
    prometheus-operator makes of its objects. If that fails, the error has the reason and the last lines of the pod. A
    run that was cut off is taken up again
    by the next one.
  - What is as it was applied is read once and not written. Of charts that are there already the workloads are read too,
    by one list of each kind in a
    namespace. Those that do not run have two minutes, in which pods that wait for their next try are started anew; then
    it is an error as above. Pods of a
    DaemonSet on nodes that are not ready do not count.
  - Runs on a host with C(kubectl), such as a server of the cluster.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.chart_sources
attributes:
  check_mode:
    support: full
    details:
      - By a dry run of the API server. What a missing kind or namespace prevents counts as changed.
      - What charts would do is not foretold, only that they change.
      - Definitions that are not on the controller yet are not downloaded, and count as changed.
  diff_mode:
    support: full
    details:
      - Of charts, the values. Values of Secrets are not shown.
  idempotent:
    support: full
requirements:
  - python >= 3.9 and kubectl on the host
  - helm >= 3.12 on the host, without k3s' Helm controller
  - httpx2 and tenacity on the controller, for O(definitions)
options:
  objects:
    description:
      - Objects as the API has them, applied before the charts; CustomResourceDefinitions first, which are waited for.
        No log shows them.
    type: list
    elements: dict
    default: []
  charts:
    description: Charts to have.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the release, and of its entry in O(sources).
        type: str
        required: true
      namespace:
        description: Where it goes; made if O(objects) does not have it.
        type: str
        required: true
      values:
        description: Values of the chart. Anybody who may read HelmCharts, or the records of helm, can read them; refer
          to Secrets.
        type: dict
        default: {}
      bootstrap:
        description: Whether nodes are not ready before it is there, such as a cloud controller.
        type: bool
        default: false
      take_ownership:
        description: Whether it takes over objects that others have made under the names of its own.
        type: bool
        default: false
      timeout:
        description: Seconds for this chart, instead of O(timeout).
        type: int
  objects_after:
    description: Objects applied after the charts are ready. A webhook that does not answer yet is asked again for 60
      seconds.
    type: list
    elements: dict
    default: []
  objects_absent:
    description:
      - Objects that are not to be there, such as those of a setting that is switched off now. Their C(apiVersion),
        C(kind) and C(metadata) are enough. Deleted
        in the end, if they are there and this module has applied them; also with O(state=absent).
    type: list
    elements: dict
    default: []
  kubectl:
    description: Program and first arguments of kubectl on the host.
    type: list
    elements: str
    default: [/usr/local/bin/k3s, kubectl]
  helm:
    description: The program helm on the host. It uses the C(--kubeconfig) and C(--context) of O(kubectl), or that of
      k3s.
    type: str
    default: helm
  installer:
    description:
      - How charts get in. V(controller) is k3s' Helm controller, V(helm) is the program, V(auto) the first if the
        cluster has it, or else the second.
    type: str
    choices: [auto, controller, helm]
    default: auto
  timeout:
    description: Seconds that a chart's installation may take, and again its pods.
    type: int
    default: 600
  state:
    description:
      - V(absent) deletes O(objects_after), the last one first, uninstalls O(charts), the last one first, and deletes
        O(objects), namespaces last.
        Each is waited for.
    type: str
    choices: [present, absent]
    default: present
  remove_definitions:
    description: With O(state=absent), whether CustomResourceDefinitions go too, and with them every object of their
      kinds in the whole cluster.
    type: bool
    default: false
seealso:
  - module: wasmfaas.platform.k3s_objects
"""

EXAMPLES = r"""
- name: Have cert-manager
  wasmfaas.platform.k3s_charts:
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: cert-manager
    charts:
      - name: cert-manager
        namespace: cert-manager
        values:
          crds:
            enabled: true
    objects_after:
      - apiVersion: cert-manager.io/v1
        kind: ClusterIssuer
        metadata:
          name: self-signed
        spec:
          selfSigned: {}
    sources:
      cert-manager:
        repository: oci://quay.io/jetstack/charts/cert-manager
        version: v1.21.1

- name: Remove it, in the other order
  wasmfaas.platform.k3s_charts:
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: cert-manager
    charts:
      - name: cert-manager
        namespace: cert-manager
    state: absent
"""

RETURN = r"""
changed_objects:
  description: What was changed, or would be in check mode; releases of helm as C(release NAMESPACE/NAME).
  returned: success
  type: list
  elements: str
  sample: [Namespace cert-manager, HelmChart.helm.cattle.io kube-system/cert-manager, ClusterIssuer.cert-manager.io
  self-signed]
facts:
  description: Of a chart that is not there, its name, its namespace, the pod that fails and its last lines.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts.component import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.paths import K3S_PROGRAM
from ansible_collections.wasmfaas.platform.plugins.module_utils.module_run import run_module


def main() -> None:
    definition = dict(url=dict(type="str"), sha256=dict(type="str"), path=dict(type="path"))
    chart = dict(
        name=dict(type="str", required=True),
        namespace=dict(type="str", required=True),
        values=dict(type="dict", default={}),
        bootstrap=dict(type="bool", default=False),
        take_ownership=dict(type="bool", default=False),
        timeout=dict(type="int"),
    )
    module = AnsibleModule(
        argument_spec=dict(
            definitions=dict(type="list", elements="dict", default=[], options=definition),
            objects=dict(type="list", elements="dict", default=[], no_log=True),
            charts=dict(type="list", elements="dict", default=[], options=chart, no_log=True),
            objects_after=dict(type="list", elements="dict", default=[], no_log=True),
            objects_absent=dict(type="list", elements="dict", default=[], no_log=True),
            sources=dict(type="dict", default={}, no_log=True),
            kubectl=dict(type="list", elements="str", default=[K3S_PROGRAM, "kubectl"]),
            helm=dict(type="str", default="helm"),
            installer=dict(type="str", choices=["auto", "controller", "helm"], default="auto"),
            timeout=dict(type="int", default=600),
            state=dict(type="str", choices=["present", "absent"], default="present"),
            remove_definitions=dict(type="bool", default=False),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
