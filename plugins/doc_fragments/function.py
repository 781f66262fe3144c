# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules for functions have."""

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
