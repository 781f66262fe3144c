# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host tells for the diagnosis, from files as k3s leaves them."""

from __future__ import annotations

import http.server
import json
import os
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.doctor import node_diagnosis
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl


def write(root: Path, path: str, text: str = "x", mode: int = 0o600) -> Path:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def test_exposed_files(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write(tmp_path, paths.TOKEN, mode=0o644)
    write(tmp_path, paths.AGENT_TOKEN, mode=0o600)
    write(tmp_path, paths.CONFIG, mode=0o604)
    hidden = write(tmp_path, f"{paths.SERVER_DIRECTORY}/tls/client-admin.key", mode=0o644)
    hidden.parent.chmod(0o700)
    (tmp_path / "var/lib/rancher/k3s/server/token").symlink_to(hidden)
    assert node_diagnosis.exposed_files(str(tmp_path)) == [
        {"path": paths.CONFIG, "mode": "0604"},
        {"path": paths.TOKEN, "mode": "0644"},
    ]
    hidden.parent.chmod(0o755)
    assert {"path": f"{paths.SERVER_DIRECTORY}/tls/client-admin.key", "mode": "0644"} in node_diagnosis.exposed_files(
        str(tmp_path)
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_others(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.chown(write(tmp_path, paths.TOKEN), 12345, 0)
    group = write(tmp_path, paths.REGISTRIES, mode=0o640)
    assert [entry["path"] for entry in node_diagnosis.exposed_files(str(tmp_path))] == [paths.TOKEN]
    os.chown(group, 0, 12345)
    assert [entry["path"] for entry in node_diagnosis.exposed_files(str(tmp_path))] == [paths.REGISTRIES, paths.TOKEN]


def test_certificates(tmp_path: Path) -> None:
    write(tmp_path, f"{paths.SERVER_DIRECTORY}/tls/server-ca.crt", "nonsense")
    write(tmp_path, f"{paths.SERVER_DIRECTORY}/tls/etcd/client.crt", "nonsense")
    found = node_diagnosis.certificates(str(tmp_path))
    assert [(entry["path"].rsplit("/", 1)[1], entry["authority"], entry["problem"]) for entry in found] == [
        ("client.crt", False, "no certificate in it"),
        ("server-ca.crt", True, "no certificate in it"),
    ]


CONTAINERD = """
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'spin']
  runtime_type = "io.containerd.spin.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'spin'.options]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes."wasmtime"]
"""


def test_shims(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert node_diagnosis.shims("k3s", root) == {"binaries": [], "handlers": None, "changed": []}
    write(tmp_path, "/usr/local/bin/containerd-shim-spin-v2", mode=0o755)
    write(tmp_path, node_diagnosis.CONTAINERD_CONFIG, CONTAINERD)
    found = node_diagnosis.shims("k3s", root)
    assert found["binaries"] == ["containerd-shim-spin-v2"]
    assert found["handlers"] == ["runc", "spin", "wasmtime"]
    assert found["changed"] == ["containerd-shim-spin-v2"], "there is no record of what k3s was started with"
    assert node_diagnosis.shims("", root)["changed"] == []


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cluster-init: true\n", True),
        ('"cluster-init": "true"\n', True),
        ("# cluster-init: true\n", False),
        ("cluster-init: false\n", False),
    ],
)
def test_cluster_init(tmp_path: Path, text: str, left: bool) -> None:
    write(tmp_path, paths.JOIN_CONFIG, f"token-file: /x\n{text}")
    assert node_diagnosis.cluster_init_in(str(tmp_path)) == ([paths.JOIN_CONFIG] if left else [])


def test_snapshots(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert node_diagnosis.snapshots(root) == {"directory": node_diagnosis.SNAPSHOTS, "count": 0, "newest": None}
    for name, when in (("a", 100), ("b", 300), ("c", 200)):
        os.utime(write(tmp_path, f"{node_diagnosis.SNAPSHOTS}/{name}"), (when, when))
    assert node_diagnosis.snapshots(root) == {"directory": node_diagnosis.SNAPSHOTS, "count": 3, "newest": 300}
    write(tmp_path, paths.CONFIG, "etcd-snapshot-dir: /backup\n")
    assert node_diagnosis.snapshots(root) == {"directory": "/backup", "count": 0, "newest": None}


def test_snapshots_in_a_bucket_are_those_that_k3s_lists(tmp_path: Path) -> None:
    listed = {
        "items": [
            {
                "spec": {"location": "file:///x/a", "nodeName": "s1"},
                "status": {"readyToUse": True, "creationTime": "2026-11-22T09:00:00Z"},
            },
            {
                "spec": {"location": "s3://b/a", "nodeName": "s3"},
                "status": {"readyToUse": True, "creationTime": "2026-11-22T07:15:12Z"},
            },
            {
                "spec": {"location": "s3://b/c"},
                "status": {"creationTime": "2026-11-22T08:00:00Z", "error": {"message": "Access Denied"}},
            },
            {"spec": {"location": "s3://b/d"}},
        ]
    }
    kubectl = Kubectl(lambda _arguments, _input: Completed(0, json.dumps(listed), ""))
    assert node_diagnosis.bucket(kubectl, str(tmp_path)) is None, "no etcd-s3"
    write(tmp_path, paths.CONFIG, "etcd-s3: true\netcd-s3-bucket: b\n")
    assert node_diagnosis.bucket(kubectl, str(tmp_path)) == {"newest": 1795331712.0, "error": "Access Denied"}
    silent = Kubectl(lambda _arguments, _input: Completed(1, "", "connection refused"))
    assert node_diagnosis.bucket(silent, str(tmp_path)) is None


def test_installed_unit(tmp_path: Path) -> None:
    assert node_diagnosis.installed_unit(str(tmp_path)) == ""
    write(tmp_path, "/etc/systemd/system/k3s-agent.service")
    assert node_diagnosis.installed_unit(str(tmp_path)) == "k3s-agent"


def test_a_credential_provider_is_its_configuration_and_a_program(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert node_diagnosis.credential_provider(root) is False
    write(tmp_path, paths.CREDENTIAL_PROVIDER_CONFIG)
    assert node_diagnosis.credential_provider(root) is False
    write(tmp_path, f"{paths.CREDENTIAL_PROVIDER_DIRECTORY}/ecr-credential-provider")
    assert node_diagnosis.credential_provider(root) is True


def test_file_systems(tmp_path: Path) -> None:
    [root] = node_diagnosis.file_systems(str(tmp_path))
    assert root["path"] == "/" and 0 < root["bytes_free"] <= root["bytes"]


def test_unit_state() -> None:
    shown = (
        "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=12\nExecMainStatus=1\n"
        "UnitFileState=enabled\n"
    )
    up = f"ActiveEnterTimestampMonotonic={int((time.monotonic() - 90) * 1e6)}\n"
    read = node_diagnosis.parse_unit_state(shown + up)
    assert 89 < read.pop("started") < 95
    assert read == {
        "active": "activating",
        "sub": "auto-restart",
        "result": "exit-code",
        "enabled": True,
        "restarts": 12,
        "exit_status": 1,
    }
    nothing = node_diagnosis.parse_unit_state("")
    assert (nothing["active"], nothing["enabled"], nothing["restarts"]) == ("", False, 0)


def test_etcd_size() -> None:
    metrics = b"# HELP x\netcd_mvcc_db_total_size_in_bytes 2.048e+07\netcd_server_quota_backend_bytes 2.147483648e+09\n"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(metrics)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    assert node_diagnosis.etcd_size(f"http://127.0.0.1:{server.server_port}/metrics") == {
        "bytes": 20480000,
        "quota": 2147483648,
    }
    server.server_close()
    assert node_diagnosis.etcd_size(f"http://127.0.0.1:{server.server_port}/metrics") is None
    assert node_diagnosis.parse_etcd_size("nothing of etcd") is None


def test_runtime_classes() -> None:
    listed = {
        "items": [
            {"metadata": {"name": "wasmtime-spin-v2"}, "handler": "spin", "scheduling": {"nodeSelector": {"a": "b"}}},
            {"metadata": {"name": "nvidia"}, "handler": "nvidia"},
        ]
    }
    assert node_diagnosis.runtime_classes(Kubectl(lambda _arguments, _input: Completed(0, json.dumps(listed), ""))) == [
        {"name": "wasmtime-spin-v2", "handler": "spin", "node_selector": {"a": "b"}},
        {"name": "nvidia", "handler": "nvidia", "node_selector": {}},
    ]
    assert (
        node_diagnosis.runtime_classes(Kubectl(lambda _arguments, _input: Completed(1, "", "connection refused")))
        is None
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error from server (NotFound): the server could not find the requested resource", []),
        ("The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?", None),
    ],
)
def test_charts_where_there_is_no_helm_controller_or_no_api(said: str, told: list[object] | None) -> None:
    """Those of a cluster that has both: tests/integration/test_charts.py."""
    assert node_diagnosis.charts(Kubectl(lambda _arguments, _input: Completed(1, "", said))) == told


def test_charts_that_others_installed_are_not_looked_at() -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], _input: str | None) -> Completed:
        asked.append(arguments)
        return Completed(
            0,
            json.dumps({"items": [{"metadata": {"name": "traefik"}, "spec": {"targetNamespace": "kube-system"}}]}),
            "",
        )

    assert node_diagnosis.charts(Kubectl(run)) == []
    assert len(asked) == 1
