#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_charts
short_description: Install Helm charts in a cluster, with the objects that belong to them
version_added: 1.0.0
description:
  - Use it for a part of the platform that consists of charts and objects, such as a controller with its settings. For
    objects alone there is M(wasmfaas.platform.k3s_objects).
  - Applies O(definitions) and O(objects), installs all O(charts) at once and waits for them, then applies
    O(objects_after). With O(state=absent) it removes everything in the opposite order.
  - Charts become C(HelmChart) objects, which the Helm controller of k3s installs. Without that controller, C(helm)
    installs them.
  - A chart is ready when its installation has succeeded and its Deployments, StatefulSets and DaemonSets are rolled
    out, including those that the prometheus-operator makes of its objects. If that fails, the error has the reason and
    the last lines of the pod. A run after one that was cut off continues.
  - Unchanged objects are read once and not written. The workloads of installed charts are read too, with one list of
    each kind in a namespace. Workloads that do not run have two minutes, in which pods that wait for their next try are
    restarted; then the module fails as above. Pods of a DaemonSet on nodes that are not ready do not count.
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
      - Uses a dry run of the API server. Objects whose kind or namespace is missing count as changed.
      - Predicts that a chart changes, and not what it would do.
      - Definitions that are not on the controller yet are not downloaded and count as changed.
  diff_mode:
    support: full
    details:
      - Shows the values of charts. Values of Secrets are not shown.
  idempotent:
    support: full
requirements:
  - python >= 3.9 and kubectl on the host
  - helm >= 3.12 on the host, if the cluster has no Helm controller of k3s
  - httpx2 and tenacity on the controller, for O(definitions) and O(charts_by_checksum)
options:
  objects:
    description:
      - Objects as the API has them, applied before the charts. CustomResourceDefinitions are applied first and waited
        for. They are not logged.
    type: list
    elements: dict
    default: []
  charts:
    description: Charts to install.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the release, and of its entry in O(sources).
        type: str
        required: true
      namespace:
        description: Namespace of the release, which is made if O(objects) does not have it.
        type: str
        required: true
      values:
        description: Values of the chart. Anybody who may read HelmCharts, or the records of helm, can read them, so
          refer to Secrets instead of giving passwords.
        type: dict
        default: {}
      bootstrap:
        description: Whether nodes become ready only with this chart, such as a cloud controller.
        type: bool
        default: false
      take_ownership:
        description: Whether the release takes over objects of the same names that others have made.
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
      - Objects that must not exist, such as those of a setting that is switched off now. Their C(apiVersion), C(kind)
        and C(metadata) are enough. They are deleted at the end if this module has applied them, also with
        O(state=absent).
    type: list
    elements: dict
    default: []
  charts_by_checksum:
    description:
      - Whether charts whose checksum is known are downloaded to the controller, compared there, and handed to the
        cluster. Those in an air-gap bundle were compared when it was made.
    type: bool
    default: false
  kubectl:
    description: Command and first arguments of kubectl on the host.
    type: list
    elements: str
    default: [/usr/local/bin/k3s, kubectl]
  helm:
    description: Command of helm on the host. It uses the C(--kubeconfig) and C(--context) of O(kubectl), or the
      kubeconfig of k3s.
    type: str
    default: helm
  installer:
    description:
      - What installs charts. V(controller) is the Helm controller of k3s, V(helm) is the command on the host, V(auto)
        is the controller if the cluster has it, else helm.
    type: str
    choices: [auto, controller, helm]
    default: auto
  timeout:
    description: Seconds that the installation of a chart may take, and again until its pods run.
    type: int
    default: 600
  state:
    description:
      - V(absent) deletes O(objects_after), uninstalls O(charts) and deletes O(objects), the last one first each time
        and namespaces at the end. It waits for each.
    type: str
    choices: [present, absent]
    default: present
  remove_definitions:
    description: With O(state=absent), whether to delete CustomResourceDefinitions too, and with them every object of
      their kinds in the whole cluster.
    type: bool
    default: false
seealso:
  - module: wasmfaas.platform.k3s_objects
"""

EXAMPLES = r"""
- name: Install cert-manager
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

- name: Remove it
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
  description: If a chart is not ready, its name, its namespace, the pod that fails and its last lines.
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.charts.component import run
from ..module_utils.k3s.paths import K3S_BINARY
from ..module_utils.module_run import run_module


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
            charts_by_checksum=dict(type="bool", default=False),
            kubectl=dict(type="list", elements="str", default=[K3S_BINARY, "kubectl"]),
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
