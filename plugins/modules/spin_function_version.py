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
  - Changes which version of a deployed function answers, without its source and without a build.
  - A version that does not come up is undone, as M(wasmfaas.platform.spin_function) does it.
author:
  - The wasmfaas.platform authors (@wasmfaas)
extends_documentation_fragment:
  - wasmfaas.platform.attributes
  - wasmfaas.platform.attributes.action_group
  - wasmfaas.platform.kubernetes_auth
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=rolled_back) without O(to) goes back one version each time, and twice is where it began. All else
        changes nothing the second time.
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
      - V(promoted) makes the function what its canary is. The canary keeps its share until the new pods answer, then
        all requests go to the function,
        and the canary is removed.
      - V(undone) gives all requests to the function as it is, and removes its canary.
      - V(rolled_back) makes the function what it was before its last deployment, or the version that O(to) names. The
        last five versions are known.
      - A function without a canary is left as it is by V(promoted) and V(undone).
    type: str
    choices: [promoted, undone, rolled_back]
    required: true
  to:
    description:
      - Digest of the artifact to roll back to, C(sha256:) and at least its first 12 digits. Where it has several
        states, the last one is taken.
      - The version's own settings come back with it, but not the values of its secret variables, which are those of
        now.
    type: str
  probe_address:
    description: Address to probe instead of the one that DNS gives for the URL's host, as C(host) or C(host:port).
    type: str
  probe_ca_file:
    description: Path of the certificate authorities that the certificate of an C(https://) URL is signed by, where they
      are not those of the system.
    type: path
  wait_timeout:
    description: Seconds to wait for the function, and for another deployment of it that is under way.
    type: int
    default: 120
seealso:
  - module: wasmfaas.platform.spin_function
  - module: wasmfaas.platform.spin_function_info
"""

EXAMPLES = r"""
- name: Make the canary the function
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: promoted

- name: Give it up instead
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: undone

- name: Go back to the version before
  wasmfaas.platform.spin_function_version:
    name: shop
    namespace: user1
    state: rolled_back

- name: Go back to a certain version
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
  description: Reference of the artifact that the function runs now, or would run.
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
  description: Stage at which it failed.
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
from ..module_utils.module_run import run_module
from ..module_utils.spinkube.arguments import kubernetes_auth_arguments


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            name=dict(type="str", required=True),
            namespace=dict(type="str", default="default"),
            state=dict(type="str", choices=["promoted", "undone", "rolled_back"], required=True),
            to=dict(type="str"),
            probe_address=dict(type="str"),
            probe_ca_file=dict(type="path"),
            wait_timeout=dict(type="int", default=120),
            **kubernetes_auth_arguments(),
        ),
        supports_check_mode=True,
    )
    run_module(module, run)


if __name__ == "__main__":
    main()
