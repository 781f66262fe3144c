#!/usr/bin/python
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: spin_function_version
short_description: Promote or end the canary of a function, or roll a function back
version_added: 1.0.0
description:
  - Changes which version of a deployed function answers. Needs neither its source nor a build.
  - Undoes the change if the version does not come up, as M(wasmfaas.platform.spin_function) does.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.function.rollout
  - wasmfaas.platform.function.hosted
  - wasmfaas.platform.kubernetes_auth
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=rolled_back) without O(to) goes back to the version before, so a second run returns to the first
        version. All else changes nothing the second time.
requirements:
  - python >= 3.11
  - lightkube >= 1.0
  - httpx2 and tenacity
options:
  name:
    description: Name of the function.
    type: str
    required: true
  namespace:
    description: Namespace of the function.
    type: str
    default: default
  state:
    description:
      - V(promoted) deploys the canary's artifact and options as the function. The canary keeps its weight until the new
        pods answer. Then all requests go to the function, and the canary is removed.
      - V(undone) leads all requests to the function as it is, and removes its canary.
      - V(rolled_back) restores the version before the last deployment, or the one that O(to) names. The last five
        versions are known.
      - V(promoted) and V(undone) change nothing where the function has no canary.
    type: str
    choices: [promoted, undone, rolled_back]
    required: true
  to:
    description:
      - Digest of the artifact to roll back to, C(sha256:) and at least its first 12 digits. Of several versions with
        this artifact the newest is restored.
      - The version's own settings are restored as well, but its secret variables get their current values.
      - With O(service), a number of a deployment too. There all variables get their current values.
    type: str
  target:
    description:
      - Where the function runs.
      - V(cluster) is Kubernetes with SpinKube.
      - V(local) is refused, since functions on this machine have no earlier versions and no canaries.
    type: str
    choices: [cluster, local]
    default: cluster
seealso:
  - module: wasmfaas.platform.spin_function
  - module: wasmfaas.platform.spin_function_info
"""

EXAMPLES = r"""
- name: Promote the canary
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: promoted

- name: End the canary instead
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: undone

- name: Roll back to the version before
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: rolled_back

- name: Roll back to a certain version
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: rolled_back
    to: sha256:9f86d081884c
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
  description: Where the function answers.
  returned: success
  type: str
  sample: http://shop.user1.203.0.113.7.nip.io
image:
  description: Reference of the artifact that the function runs; in check mode, of the one that it would run.
  returned: success
  type: str
  sample: registry.example.com/functions/shop@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
digest:
  description: Digest of the artifact's manifest.
  returned: success
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
source_digest:
  description: Digest over the source that the function was built from.
  returned: success
  type: str
  sample: sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
stages:
  description: Seconds that each stage took.
  returned: success
  type: dict
  sample: {live_state: 0.021, apply: 0.034, rollout: 2.2, probe: 0.01}
details:
  description: What the cluster says of the function, such as C(status), C(replicas) and the C(earlier) versions.
  returned: success
  type: dict
  sample: {status: ready, replicas: 2, ready_replicas: 2}
summary:
  description: The result as one line.
  returned: success
  type: str
  sample: "rolled back http://shop.user1.203.0.113.7.nip.io sha256:9f86d081884c (2.26 s: rollout 2.20 s)"
stage:
  description: Stage that failed.
  returned: failure
  type: str
  sample: rollout
cause:
  description: What went wrong.
  returned: failure
  type: str
next_step:
  description: What to do next.
  returned: failure
  type: str
facts:
  description: More about the failure, such as C(events) and C(pod_log).
  returned: failure
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.function.spin_function_version import run
from ..module_utils.hosted.arguments import hosted_arguments
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            namespace=dict(type="str", default="default"),
            state=dict(type="str", choices=["promoted", "undone", "rolled_back"], required=True),
            to=dict(type="str"),
            target=dict(type="str", choices=["cluster", "local"], default="cluster"),
            probe_address=dict(type="str"),
            probe_ca_file=dict(type="path"),
            wait_timeout=dict(type="int", default=120),
            **hosted_arguments(),
            **kubernetes_auth_arguments(),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
