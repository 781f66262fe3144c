# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The config.yaml and join.yaml of a node: the user's keys over the collection's own.

Defaults after k3s-io/k3s docs, security/hardening-guide (CIS benchmark); config.yaml holds no secret, tokens lie in
files of their own.
"""

from __future__ import annotations

import typing as t

from .. import paths
from ..version import is_version, parse
from .config_check import at_registration, label_value, normalized

CIPHER_SUITES = (
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
)
"""CIS 4.2.12, without the suites that have no forward secrecy."""

KUBELET = (
    "streaming-connection-idle-timeout=5m",
    f"tls-cipher-suites={','.join(CIPHER_SUITES)}",
    # None (Kubernetes v1.34.1, pkg/kubelet/nodestatus/setters.go): tenants may list nodes, and would see what others
    # run. The scheduler then does not know which node holds an image, which counts for large ones alone.
    "node-status-max-images=0",
)

GROUP_LABEL = "wasmfaas.dev/group"
BUILD_GROUP = "worker-build"
"""Value of GROUP_LABEL on nodes where the hosted service builds what users upload."""

BUILD_KUBELET = ("pod-max-pids=4096",)
"""Processes and threads of one pod, which the kubelet does not bound by default (kubernetes v1.34.1,
pkg/kubelet/apis/config/v1beta1/defaults.go, PodPidsLimit): a build that forks without end would take all of its node.
Twice of what the builder allows its user (service/builds/builder.py, MOST_PROCESSES), so that a build meets that bound
first, whose error the log shows."""

AUDIT = (
    f"audit-log-path={paths.SERVER_DIRECTORY}/logs/audit.log",
    f"audit-policy-file={paths.AUDIT_POLICY}",
    "audit-log-maxage=30",
    "audit-log-maxbackup=10",
    "audit-log-maxsize=100",
)
CIS_API_SERVER = (
    # NodeRestriction is k3s's own default, which setting the argument would take away.
    "enable-admission-plugins=NodeRestriction,EventRateLimit",
    f"admission-control-config-file={paths.ADMISSION_CONFIG}",
    "service-account-extend-token-expiration=false",
)
CIS_CONTROLLER_MANAGER = ("terminated-pod-gc-threshold=100",)

JOINED_VALUES = ("enable-admission-plugins",)
"""Arguments whose value is a list with commas, to which the user's is added."""

ADDED = ("tls-san",)
"""Lists to which the user's items are added; other lists replace the collection's."""

DEFAULT_API_PORT = 6443
FAIL_ON_CGROUP_V1 = (1, 35)
"""First minor version whose kubelet does not start on cgroup v1 (KubeletConfiguration, failCgroupV1)."""


def build(
    desired: t.Mapping[str, t.Any],
    *,
    node_ip: t.Sequence[str] = (),
    flannel_interface: str = "",
    names: t.Sequence[str] = (),
    cgroup: str = "v2",
) -> dict[str, t.Any]:
    """The dictionary that becomes config.yaml, keys sorted.

    Args:
        desired: what the role `k3s` says of the host (k3s_desired): role, name, version, config, labels, hardening,
            cis, embedded_mirror, api_address, api_port, cgroup_v1_allowed.
        node_ip: addresses of the node where they are to be written down; k3s takes that of the default route else.
        flannel_interface: the interface between the nodes where it is not that of the default route; empty if it is.
        names: names and addresses beside its own that clients reach this server by: they go into its certificate.
        cgroup: `v1` or `v2`, of the host.
    """
    role = str(desired["role"])
    ours = _both(desired, cgroup)
    if node_ip:
        ours["node-ip"] = list(node_ip)
    if flannel_interface:
        ours["flannel-iface"] = flannel_interface
    if role == "server":
        ours |= _server(desired, names)
    for key, value in desired.get("config", {}).items():
        if value is None:
            ours.pop(key, None)
        elif key.endswith("-arg"):
            ours[key] = merge_arguments(ours.get(key, []), normalized(key, value, role))
        elif key in ADDED:
            ours[key] = list(dict.fromkeys([*ours.get(key, []), *normalized(key, value, role)]))
        else:
            ours[key] = normalized(key, value, role)
    return {key: ours[key] for key in sorted(ours) if ours[key] != []}


def join(desired: t.Mapping[str, t.Any], *, server_url: str, initialize: bool = False) -> dict[str, t.Any]:
    """The dictionary that becomes config.yaml.d/join.yaml: what k3s reads for a node's first start only, so that a
    change of it asks for no restart.

    Args:
        server_url: of the server to join; "" for the first one.
        initialize: whether a new cluster begins here.
    """
    content: dict[str, t.Any] = {"token-file": paths.TOKEN if desired["role"] == "server" else paths.AGENT_TOKEN}
    if initialize:
        content["cluster-init"] = True
    elif server_url:
        content["server"] = server_url
    labels = {key: label_value(value) for key, value in (desired.get("labels") or {}).items()}
    listed = [f"{key}={value}" for key, value in sorted(labels.items()) if at_registration(key)]
    taints = [
        f"{taint['key']}={label_value(taint.get('value'))}:{taint['effect']}" for taint in desired.get("taints") or []
    ]
    return content | ({"node-label": listed} if listed else {}) | ({"node-taint": taints} if taints else {})


def merge_arguments(ours: t.Sequence[str], users: t.Sequence[str]) -> list[str]:
    """Arguments of a component (`name=value`): ours but for those whose name the user gives, then the user's."""
    given = {_name(argument): argument for argument in users}
    merged = [argument for argument in ours if _name(argument) not in given]
    own = {_name(argument): argument for argument in ours}
    for argument in users:
        name = _name(argument)
        if name in JOINED_VALUES and name in own:
            values = [*own[name].partition("=")[2].split(","), *argument.partition("=")[2].split(",")]
            merged.append(f"{name}={','.join(dict.fromkeys(filter(None, values)))}")
        else:
            merged.append(argument)
    return merged


def layered(layers: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """The user's dictionaries as one, the later over the earlier; arguments of a component are put together by name."""
    whole: dict[str, t.Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = whole.get(key)
            whole[key] = (
                value
                if value is None or before is None or not key.endswith("-arg")
                else merge_arguments(_texts(before), _texts(value))
            )
    return whole


def _texts(value: t.Any) -> list[str]:
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def _both(desired: t.Mapping[str, t.Any], cgroup: str) -> dict[str, t.Any]:
    hardened = bool(desired.get("hardening") or desired.get("cis"))
    kubelet = list(KUBELET) if hardened else []
    version = str(desired.get("version", ""))
    if (
        cgroup == "v1"
        and desired.get("cgroup_v1_allowed")
        and is_version(version)
        and (parse(version).major, parse(version).minor) >= FAIL_ON_CGROUP_V1
    ):
        kubelet.append("fail-cgroupv1=false")
    if (desired.get("labels") or {}).get(GROUP_LABEL) == BUILD_GROUP:
        kubelet += BUILD_KUBELET
    return {
        "node-name": str(desired["name"]),
        "kubelet-arg": kubelet,
        **({"protect-kernel-defaults": True} if hardened else {}),
    }


def _server(desired: t.Mapping[str, t.Any], names: t.Sequence[str]) -> dict[str, t.Any]:
    cis = bool(desired.get("cis"))
    hardened = cis or bool(desired.get("hardening"))
    port = int(desired.get("api_port") or DEFAULT_API_PORT)
    sans = [str(desired.get("api_address") or ""), *names]
    return {
        "agent-token-file": paths.AGENT_TOKEN,
        # k3s adds the node's own name and addresses itself, and all servers share one certificate, to which each adds
        # its names: a list of all servers here would restart every server whenever one is added.
        "tls-san": [name for name in dict.fromkeys(sans) if name],
        "write-kubeconfig-mode": "0600",
        "kube-apiserver-arg": [*(AUDIT if hardened else ()), *(CIS_API_SERVER if cis else ())],
        "kube-controller-manager-arg": list(CIS_CONTROLLER_MANAGER if cis else ()),
        **({"secrets-encryption": True} if hardened else {}),
        **({"embedded-registry": True} if desired.get("embedded_mirror") else {}),
        **({"https-listen-port": port} if port != DEFAULT_API_PORT else {}),
    }


def _name(argument: str) -> str:
    return argument.partition("=")[0]
