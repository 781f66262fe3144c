# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The leaf certificates of the k3s of this host: which there are, how old they are, and whether one has ended.

k3s renews them at its start only (k3s v1.36.4, pkg/daemons/control/deps/deps.go createClientCertKey; those of the node
come from a server at each start, pkg/agent/config/config.go), so one that has ended belongs to a k3s that has not been
started since.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time

from .. import paths
from . import certificates

AUTHORITY_SUFFIXES = ("-ca.crt", "-ca.nochain.crt")

OF_SERVERS = (
    "tls/client-admin.crt",
    "tls/client-kube-apiserver.crt",
    "tls/serving-kube-apiserver.crt",
    "tls/client-controller.crt",
    "tls/client-scheduler.crt",
    "tls/client-auth-proxy.crt",
    "tls/etcd/client.crt",
    "tls/etcd/server-client.crt",
    "tls/etcd/peer-server-client.crt",
)
"""In the server's directory. Not all of them: what an older k3s left there is renewed no more."""
OF_NODES = ("client-kubelet.crt", "serving-kubelet.crt")
"""In the agent's directory, on servers too."""


def leaves(unit: str) -> list[str]:
    """Files of the certificates that k3s makes anew where they are missing. Those of the authorities are not among
    them."""
    directory = f"{paths.SERVER_DIRECTORY}/tls" if unit == paths.SERVER_UNIT else paths.AGENT_DIRECTORY
    found = [*glob.glob(f"{directory}/*.crt"), *glob.glob(f"{directory}/etcd/*.crt")]
    return sorted(path for path in found if not path.endswith(AUTHORITY_SUFFIXES))


def ages(unit: str) -> tuple[float, float]:
    """When the oldest leaf certificate was made, and when the first one ends, in seconds since 1970; zeros where there
    are none.

    A certificate's own beginning does not tell: k3s sets it to that of its authority (rancher/dynamiclistener,
    cert.NewSignedCert).
    """
    made, ends = [], []
    for path in leaves(unit):
        with contextlib.suppress(OSError, certificates.NotACertificate), open(path, "rb") as file:
            ends.append(certificates.end_of_first(file.read()))
            made.append(os.path.getmtime(path))
    return (min(made), min(ends)) if made else (0.0, 0.0)


def ended(unit: str, *, root: str = "", now: float | None = None) -> float:
    """When the first of the certificates ended that k3s renews at each start, in seconds since 1970; 0 where none has.

    Args:
        now: seconds since 1970; the present where left out.
    """
    now = time.time() if now is None else now
    ends = []
    for path in _renewed(unit):
        with contextlib.suppress(OSError, certificates.NotACertificate), open(root + path, "rb") as file:
            ends.append(certificates.end_of_first(file.read()))
    return min((end for end in ends if end < now), default=0.0)


def taken_away(unit: str) -> bool:
    """Whether k3s has lost its leaf certificates, but not its authority: `k3s certificate rotate` does that, and the
    next start makes new ones."""
    authority = paths.SERVER_CA if unit == paths.SERVER_UNIT else f"{paths.AGENT_DIRECTORY}/server-ca.crt"
    return os.path.exists(authority) and not os.path.exists(_renewed(unit)[0])


def _renewed(unit: str) -> list[str]:
    nodes = [f"{paths.AGENT_DIRECTORY}/{name}" for name in OF_NODES]
    return [f"{paths.SERVER_DIRECTORY}/{name}" for name in OF_SERVERS] + nodes if unit == paths.SERVER_UNIT else nodes
