# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host of the cluster says about itself beyond host/node_info.py: certificates, shims, file modes, snapshots,
registries. Only reads; runs on the host."""

from __future__ import annotations

import datetime
import glob
import os
import re
import stat
import time
import typing as t

from ansible.module_utils.urls import open_url

from ...errors import PlatformError
from ...host.commands import run_command
from ...host.reboot import reboot_reason
from ...kubernetes.applied import was_applied
from ...kubernetes.kubectl import Kubectl, NotFound, host_kubectl
from ...kubernetes.workloads import Patience, Workloads
from .. import paths
from ..config import config_values
from ..host import inputs, journal
from ..host.certificates import NotACertificate, end_of_first
from ..recovery import server_api, stored_tokens
from . import registry_probe
from .hosted_service_diagnosis import hosted_service

CERTIFICATES = (
    f"{paths.SERVER_DIRECTORY}/tls/*.crt",
    f"{paths.SERVER_DIRECTORY}/tls/etcd/*.crt",
    f"{paths.SERVER_DIRECTORY}/tls/kube-*/*.crt",
    f"{paths.AGENT_DIRECTORY}/*.crt",
)
"""Where k3s keeps them (k3s docs, cli/certificate.md)."""

SECRETS = (
    paths.TOKEN,
    paths.AGENT_TOKEN,
    paths.CONFIG,
    f"{paths.CONFIG_DROP_INS}/*.yaml",
    paths.REGISTRIES,
    paths.NODE_PASSWORD,
    f"{paths.CONFIG_DIRECTORY}/k3s.yaml",
    f"{paths.SERVER_DIRECTORY}/token",
    f"{paths.SERVER_DIRECTORY}/*-token",
    f"{paths.SERVER_DIRECTORY}/cred/*",
    f"{paths.SERVER_DIRECTORY}/tls/*.key",
    f"{paths.SERVER_DIRECTORY}/tls/etcd/*.key",
    f"{paths.SERVER_DIRECTORY}/db/snapshots/*",
    f"{paths.AGENT_DIRECTORY}/*.key",
    f"{paths.AGENT_DIRECTORY}/*.kubeconfig",
)
"""Files that hold a token, a private key, the cluster's content, or may hold a password."""

CONTAINERD_CONFIG = f"{paths.AGENT_DIRECTORY}/etc/containerd/config.toml"
SNAPSHOTS = f"{paths.SERVER_DIRECTORY}/db/snapshots"
METRICS_BYTES = 16 << 20
"""More than etcd's metrics have."""
ETCD_METRICS = "http://127.0.0.1:2381/metrics"
"""k3s serves them there on every server (k3s docs, cli/server.md, etcd-expose-metrics)."""

SNAPSHOT_FILES = "/apis/k3s.cattle.io/v1/etcdsnapshotfiles"
"""Where k3s lists the snapshots of all servers and of the bucket (k3s v1.36.4,
pkg/apis/k3s.cattle.io/v1/types.go)."""
RUNTIME_CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
HELM_CHARTS = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts"
LOOK = Patience(pull_seconds=0, quota_seconds=0, configuration_seconds=0)
"""A single look does not tell how long something lasts."""
JOURNAL_LINES = 200
JOURNAL_SECONDS = 120

RUNTIME_TABLE = re.compile(r"""\.runtimes\.["']?([A-Za-z0-9_-]+)["']?\]""")


def read(
    *, registry_endpoints: t.Sequence[dict[str, t.Any]], registry_files: t.Sequence[str], registry_timeout: float
) -> dict[str, t.Any]:
    """What may be wrong on this host; see `diagnosis` in the documentation of `k3s_node_info`.

    Args:
        registry_endpoints: what registry_probe.probe takes.
        registry_files: paths that registries.yaml names.
        registry_timeout: seconds that a registry may take to answer.
    """
    unit = installed_unit()
    server = unit == paths.SERVER_UNIT
    return {
        "unit": {"name": unit, **(unit_state(unit) if unit else {})},
        "certificates": certificates(),
        "exposed_files": exposed_files(),
        "reboot_reason": reboot_reason(),
        "shims": shims(unit),
        "cluster_init_in": cluster_init_in() if server else [],
        "snapshots": {**snapshots(), "bucket": bucket(host_kubectl())} if server else None,
        "file_systems": file_systems(),
        "etcd_size": etcd_size() if server else None,
        "tokens_unsaved": tokens_unsaved() if server else None,
        "runtime_classes": runtime_classes(host_kubectl()) if server else None,
        "charts": charts(host_kubectl()) if server else None,
        "hosted_service": (
            hosted_service(host_kubectl(), Workloads(host_kubectl(), patience=LOOK), time.time()) if server else None
        ),
        "credential_provider": credential_provider(),
        "registries": {
            "missing_files": [path for path in registry_files if not os.path.isfile(path)],
            "endpoints": registry_probe.probe(registry_endpoints, registry_timeout),
        },
    }


def installed_unit(root: str = "") -> str:
    """`k3s` or `k3s-agent`, "" where the host has neither."""
    units = (
        unit
        for unit in (paths.SERVER_UNIT, paths.AGENT_UNIT)
        if os.path.exists(f"{root}{paths.UNIT_DIRECTORY}/{unit}.service")
    )
    return next(units, "")


def certificates(root: str = "") -> list[dict[str, t.Any]]:
    """Each certificate file: `path`, `authority` (bool), `ends` in seconds since 1970, or `problem`."""
    found = []
    for path in _existing(CERTIFICATES, root):
        entry: dict[str, t.Any] = {"path": path, "authority": path.endswith("-ca.crt")}
        try:
            with open(root + path, "rb") as file:
                entry["ends"] = end_of_first(file.read())
        except (OSError, NotACertificate) as error:
            entry["problem"] = str(error)
        found.append(entry)
    return found


def exposed_files(root: str = "") -> list[dict[str, str]]:
    """Secret files that others than root can read: `path` and `mode`, such as 0644.

    A file in a directory that is closed to others is safe, whatever its mode.
    """
    found = []
    for path in _existing(SECRETS, root):
        status = os.lstat(root + path)
        if stat.S_ISREG(status.st_mode) and _open_to_others(root + path, status, root):
            found.append({"path": path, "mode": f"{stat.S_IMODE(status.st_mode):04o}"})
    return found


def _open_to_others(path: str, status: os.stat_result, root: str) -> bool:
    group_readable, other_readable = (
        bool(status.st_mode & stat.S_IRGRP) and status.st_gid != 0,
        bool(status.st_mode & stat.S_IROTH),
    )
    if status.st_uid != os.geteuid() and status.st_uid != 0:
        return True
    directory = os.path.dirname(path)
    while (group_readable or other_readable) and directory not in (root, "/", ""):
        mode = os.stat(directory).st_mode
        group_readable, other_readable = (
            group_readable and bool(mode & (stat.S_IXGRP | stat.S_IXOTH)),
            other_readable and bool(mode & stat.S_IXOTH),
        )
        directory = os.path.dirname(directory)
    return group_readable or other_readable


def shims(unit: str, root: str = "") -> dict[str, t.Any]:
    """`binaries`: names of the shims on disk; `handlers`: what containerd's configuration knows, None where there is
    none; `changed`: binaries that are not what they were when k3s started, or were not there then."""
    handlers: list[str] | None = None
    try:
        with open(root + CONTAINERD_CONFIG, encoding="utf-8", errors="replace") as file:
            handlers = sorted(set(RUNTIME_TABLE.findall(file.read())))
    except OSError:
        pass
    return {
        "binaries": [os.path.basename(path) for path in _existing((paths.SHIM_PATTERN,), root)],
        "handlers": handlers,
        "changed": [
            os.path.basename(path)
            for path in inputs.stale(unit, root=root)
            if os.path.basename(path).startswith("containerd-shim-")
        ]
        if unit
        else [],
    }


def cluster_init_in(root: str = "") -> list[str]:
    """Configuration files that say `cluster-init: true`. Found by the line: there is no YAML parser here, and k3s's
    file has this key at its top level."""
    found = []
    for path in _existing((paths.CONFIG, f"{paths.CONFIG_DROP_INS}/*.yaml"), root):
        with open(root + path, encoding="utf-8", errors="replace") as file:
            if re.search(r"""^["']?cluster-init["']?\s*:\s*["']?true\b""", file.read(), re.MULTILINE | re.IGNORECASE):
                found.append(path)
    return found


def snapshots(root: str = "") -> dict[str, t.Any]:
    """`directory`, `count` and `newest` (seconds since 1970, None where there is none) of the etcd snapshots on this
    server."""
    directory = SNAPSHOTS
    for path in _existing((paths.CONFIG, f"{paths.CONFIG_DROP_INS}/*.yaml"), root):
        with open(root + path, encoding="utf-8", errors="replace") as file:
            found = re.search(r"""^["']?etcd-snapshot-dir["']?\s*:\s*["']?([^"'\s#]+)""", file.read(), re.MULTILINE)
        directory = found[1] if found else directory
    times = [
        os.path.getmtime(root + path) for path in _existing((f"{directory}/*",), root) if os.path.isfile(root + path)
    ]
    return {"directory": directory, "count": len(times), "newest": max(times, default=None)}


def bucket(kubectl: Kubectl, root: str = "") -> dict[str, t.Any] | None:
    """Snapshots in the bucket of `etcd-s3`, as k3s lists them for the whole cluster: `newest` (seconds since 1970, None
    where there is none that can be used), `error`, why the last one that failed did. None without `etcd-s3`, and where
    the API does not answer."""
    if str(config_values.on_host(root=root).get("etcd-s3", "")).lower() != "true":
        return None
    try:
        listed = kubectl.get(SNAPSHOT_FILES).get("items") or []
    except PlatformError:
        return None
    times, errors = [], []
    for item in listed:
        spec, status = item.get("spec") or {}, item.get("status") or {}
        if not str(spec.get("location") or "").startswith("s3://"):
            continue
        if status.get("readyToUse") and status.get("creationTime"):
            times.append(datetime.datetime.fromisoformat(status["creationTime"].replace("Z", "+00:00")).timestamp())
        elif (status.get("error") or {}).get("message"):
            errors.append((str(status.get("creationTime") or ""), str(status["error"]["message"])))
    return {"newest": max(times, default=None), "error": max(errors, default=("", ""))[1]}


def file_systems(root: str = "") -> list[dict[str, t.Any]]:
    """`/` and that of k3s's data: `path`, `bytes`, `bytes_free`, `inodes`, `inodes_free` (0 inodes: the file system
    does not count them)."""
    found = []
    seen = set()
    for path in ("/", paths.DATA_DIRECTORY):
        try:
            status, device = os.statvfs(root + path), os.stat(root + path).st_dev
        except OSError:
            continue
        if device not in seen:
            seen.add(device)
            found.append(
                {
                    "path": path,
                    "bytes": status.f_blocks * status.f_frsize,
                    "bytes_free": status.f_bavail * status.f_frsize,
                    "inodes": status.f_files,
                    "inodes_free": status.f_favail,
                }
            )
    return found


def credential_provider(root: str = "") -> bool:
    """Whether the kubelet has a credential provider, as for Amazon ECR: its configuration and a binary.

    k3s gives it to the kubelet only if both are there at a start (k3s v1.35.1, pkg/daemons/agent/agent.go,
    ImageCredProvAvailable).
    """
    return os.path.isfile(root + paths.CREDENTIAL_PROVIDER_CONFIG) and bool(
        _existing((f"{paths.CREDENTIAL_PROVIDER_DIRECTORY}/*",), root)
    )


def tokens_unsaved() -> bool | None:
    """Whether etcd lacks the tokens of this server, so that k3s refuses its next start; None where it cannot tell."""
    return stored_tokens.unsaved(server_api.reader(server_api.api_port()))


def etcd_size(url: str = ETCD_METRICS) -> dict[str, int] | None:
    """`bytes` of etcd's database and the `quota` at which it refuses writes; None where etcd does not answer."""
    try:
        with open_url(url, timeout=5, use_proxy=False) as response:
            text = response.read(METRICS_BYTES).decode("utf-8", "replace")
    except OSError:
        return None
    return parse_etcd_size(text)


def parse_etcd_size(metrics: str) -> dict[str, int] | None:
    """The two sizes out of etcd's metrics in Prometheus' text form."""
    found = dict(
        re.findall(r"^(etcd_mvcc_db_total_size_in_bytes|etcd_server_quota_backend_bytes) (\S+)", metrics, re.MULTILINE)
    )
    if len(found) < 2:
        return None
    return {
        "bytes": int(float(found["etcd_mvcc_db_total_size_in_bytes"])),
        "quota": int(float(found["etcd_server_quota_backend_bytes"])),
    }


def unit_state(unit: str) -> dict[str, t.Any]:
    """The unit as systemd has it, and the problem that its journal tells of.

    `active`, `sub`, `result`, `enabled`; `restarts`, by Restart=always since it was last started by hand;
    `exit_status`; `started`, seconds since it was last up; `problem`, what journal.RULES recognise, or None. A unit
    that runs may complain as well: an agent whose token is refused tries again forever.
    """
    properties = "ActiveState,SubState,Result,NRestarts,ExecMainStatus,UnitFileState,ActiveEnterTimestampMonotonic"
    state = parse_unit_state(run_command(["systemctl", "show", f"{unit}.service", f"--property={properties}"]).output)
    # What was said in an earlier boot, or long ago by a unit that runs, need not be so any more.
    recent = ["--boot"] if state["active"] != "active" else [f"--since=-{JOURNAL_SECONDS}s"]
    said = run_command(
        ["journalctl", *recent, "-u", f"{unit}.service", "-n", str(JOURNAL_LINES), "-o", "cat", "--no-pager", "--quiet"]
    ).output
    rule = journal.matching_rule(said)
    return {**state, "problem": rule.problem(unit).as_dictionary() if rule else None}


def parse_unit_state(text: str) -> dict[str, t.Any]:
    """What `systemctl show` prints, as the fields of `unit_state`."""
    shown: dict[str, str] = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {
        "active": shown.get("ActiveState", ""),
        "sub": shown.get("SubState", ""),
        "result": shown.get("Result", ""),
        "enabled": shown.get("UnitFileState", "") == "enabled",
        "restarts": int(shown.get("NRestarts") or 0),
        "exit_status": int(shown.get("ExecMainStatus") or 0),
        "started": max(0.0, round(time.monotonic() - int(shown.get("ActiveEnterTimestampMonotonic") or 0) / 1e6, 1)),
    }


def runtime_classes(kubectl: Kubectl) -> list[dict[str, t.Any]] | None:
    """`name`, `handler` and `node_selector` of the cluster's RuntimeClasses; None where the API does not answer."""
    try:
        listed = kubectl.get(RUNTIME_CLASSES)
    except PlatformError:
        return None
    return [
        {
            "name": item["metadata"]["name"],
            "handler": item.get("handler", ""),
            "node_selector": (item.get("scheduling") or {}).get("nodeSelector") or {},
        }
        for item in listed.get("items") or []
    ]


def charts(kubectl: Kubectl) -> list[dict[str, t.Any]] | None:
    """Charts of the platform whose pods do not all run: `name`, `namespace`, the problem's fields (as `Problem`), `pod`
    ("" where there is none), `last_line` of its log. None where the API does not answer."""
    try:
        listed = kubectl.get(HELM_CHARTS).get("items") or []
    except NotFound:
        return []
    except PlatformError:
        return None
    ours = [entry for entry in listed if was_applied(entry)]
    releases = [(entry["metadata"]["name"], (entry.get("spec") or {}).get("targetNamespace", "")) for entry in ours]
    workloads = Workloads(kubectl, patience=LOOK)
    try:
        return [
            {
                "name": name,
                "namespace": namespace,
                **unready.problem.as_dictionary(),
                "pod": unready.pod,
                "last_line": workloads.log(unready, lines=1),
            }
            for name, namespace in sorted(workloads.unready(releases))
            for unready in workloads.problems(name, namespace)[:1]
        ]
    except PlatformError:
        return None


def _existing(patterns: t.Iterable[str], root: str) -> list[str]:
    return sorted({path[len(root) :] for pattern in patterns for path in glob.glob(root + pattern)})
