# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets for a running cluster, one host's part each: leaf certificates, tokens, the key that encrypts secrets in
etcd. What is done already is read from the host, so a run after one that was cut off continues."""

from __future__ import annotations

import typing as t

from ..host.journal import host_secrets
from . import certificates, encryption_key, tokens

HOUR = 3600
TIMEOUTS = {"certificates": 300, "encryption-key": 1800}
"""Seconds, where the option `timeout` is missing."""


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_rotation`: its options to its result."""
    hidden.update(host_secrets())
    what = parameters["what"]
    if what == "tokens":
        return tokens.run_step(parameters, check_mode, hidden)
    timeout, minimum_age = parameters["timeout"] or TIMEOUTS[what], parameters["minimum_age"] * HOUR
    if what == "certificates" and parameters["only_ended"]:
        return certificates.renew_ended(
            parameters["unit"], node_name=parameters["node_name"], timeout=timeout, check_mode=check_mode
        )
    if what == "certificates":
        return certificates.rotate(
            parameters["unit"],
            node_name=parameters["node_name"],
            minimum_age=minimum_age,
            timeout=timeout,
            check_mode=check_mode,
        )
    return encryption_key.rotate(
        minimum_age=minimum_age,
        timeout=timeout,
        snapshot=parameters["snapshot"] or "",
        snapshot_directory=parameters["snapshot_directory"] or "",
        check_mode=check_mode,
    )
