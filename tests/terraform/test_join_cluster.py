# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that makes a machine a node. moto plays S3 and SSM; the metadata service and systemctl are stand-ins."""

from __future__ import annotations

import ast
import collections.abc
import hashlib
import http.server
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import threading
import types
import typing as t
import uuid
from pathlib import Path

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from .support import TERRAFORM, Moto

PROGRAM = TERRAFORM / "modules/node_group/files/join_cluster.py"
TOKEN = "K10abc::node:0123456789"
FILES = {
    "usr/local/bin/k3s": (b"a binary", 0o755),
    "etc/rancher/k3s/config.yaml": (b"node-label: []\n", 0o600),
    "etc/systemd/system/k3s-agent.service": (b"[Unit]\n", 0o644),
}


class MetadataStandIn(http.server.BaseHTTPRequestHandler):
    """The metadata service, version 2: it answers only requests with a token."""

    data: t.ClassVar = {
        "instance-id": "i-0123456789abcdef0",
        "instance-type": "t4g.xlarge",
        "placement/availability-zone": "us-east-1b",
        "placement/region": "us-east-1",
        "local-ipv4": "10.20.16.9",
        "iam/security-credentials/": "demo-role",
        "iam/security-credentials/demo-role": json.dumps(
            {"AccessKeyId": "test", "SecretAccessKey": "test-secret", "Token": "test-session"}
        ),
    }

    def do_PUT(self) -> None:
        self._answer(200, "metadata-token" if self.path == "/latest/api/token" else "")

    def do_GET(self) -> None:
        if self.path == "/healthz":  # plays the kubelet
            self._answer(200, "ok")
            return
        value = self.data.get(self.path.removeprefix("/latest/meta-data/"))
        if self.headers.get("X-aws-ec2-metadata-token") != "metadata-token":
            self._answer(401, "")
        else:
            self._answer(200 if value is not None else 404, value or "")

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def metadata() -> collections.abc.Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MetadataStandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Machine:
    """A directory that stands in for a machine's root, and the program that runs on it."""

    def __init__(self, moto: Moto, metadata: str, directory: Path) -> None:
        self.moto = moto
        self.root = directory / "root"
        self.log = directory / "systemctl.log"
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.bucket = "join-test-bundles"
        self.bundle_parameter = f"/join-test/{self.group}/bundle"
        self.token_parameter = f"/join-test/{self.group}/token"
        self._environment = {
            "JOIN_METADATA_URL": metadata,
            "JOIN_S3_URL": moto.url,
            "JOIN_SSM_URL": moto.url,
            "JOIN_ROOT": str(self.root),
            "JOIN_KUBELET_URL": f"{metadata}/healthz",
        }
        self.root.mkdir()
        programs = directory / "bin"
        programs.mkdir()
        systemctl = programs / "systemctl"
        systemctl.write_text(
            f'#!/bin/sh\necho "$*" >>{self.log}\ncase "$*" in "enable "*) test ! -e {directory}/broken ;; esac\n'
        )
        systemctl.chmod(0o755)
        self._path = f"{programs}:{os.environ['PATH']}"
        self.broken = directory / "broken"
        self._configuration = directory / "join.json"
        moto.client("s3").create_bucket(Bucket=self.bucket)

    def publish(self, bundle: bytes, *, digest: str = "", token: str = TOKEN) -> None:
        found = digest or hashlib.sha256(bundle).hexdigest()
        self.moto.client("s3").put_object(Bucket=self.bucket, Key=f"bundles/{self.group}/{found}.tar.gz", Body=bundle)
        self.set_parameter(self.bundle_parameter, found)
        self.set_parameter(self.token_parameter, token)

    def set_parameter(self, name: str, value: str) -> None:
        self.moto.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)

    def join(self, *, seconds: int = 60, **environment: str) -> subprocess.CompletedProcess[str]:
        self._configuration.write_text(
            json.dumps(
                {
                    "cluster": "demo",
                    "group": self.group,
                    "bucket": self.bucket,
                    "bundle_parameter": self.bundle_parameter,
                    "token_parameter": self.token_parameter,
                    "server": "https://api:6443",
                    "seconds": seconds,
                    "labels": {"wasmfaas.dev/wasm": "true"},
                    "taints": ["wasmfaas.dev/only=wasm:NoSchedule"],
                }
            )
        )
        settings = {
            "PATH": self._path,
            "JOIN_CONFIGURATION": str(self._configuration),
            **self._environment,
            **environment,
        }
        return subprocess.run(
            [sys.executable, str(PROGRAM)], env=settings, capture_output=True, text=True, check=False, timeout=120
        )

    def systemctl(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def files(self) -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(self.root)): (path.read_bytes(), path.stat().st_mode & 0o777)
            for path in self.root.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def machine(moto: Moto, metadata: str, tmp_path: Path) -> Machine:
    return Machine(moto, metadata, tmp_path)


def bundle_of(files: dict[str, tuple[bytes, int]], **links: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(f"usr/local/bin/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()


def test_puts_files_in_place_and_starts_the_agent(machine: Machine) -> None:
    machine.publish(bundle_of(FILES, kubectl="k3s"))
    done = machine.join()
    assert done.returncode == 0 and re.search(r"Joined demo as group-\w+ after [0-9.]+ s\.", done.stderr), done.stderr
    files = machine.files()
    settings = files.pop("etc/rancher/k3s/config.yaml.d/90-machine.yaml")
    assert files.pop("etc/rancher/k3s/agent-token") == (f"{TOKEN}\n".encode(), 0o600)
    assert files.pop("usr/local/bin/kubectl")[0] == b"a binary"
    assert (machine.root / "usr/local/bin/kubectl").is_symlink()
    assert files == FILES
    assert json.loads(settings[0]) == {
        "server": "https://api:6443",
        "token-file": "/etc/rancher/k3s/agent-token",
        "node-name": "i-0123456789abcdef0",
        "node-ip": "10.20.16.9",
        "kubelet-arg+": ["cloud-provider=external", "provider-id=aws:///us-east-1b/i-0123456789abcdef0"],
        "node-label+": [
            "node.kubernetes.io/instance-type=t4g.xlarge",
            "topology.kubernetes.io/region=us-east-1",
            "topology.kubernetes.io/zone=us-east-1b",
            "wasmfaas.dev/join=self",
            "wasmfaas.dev/wasm=true",
        ],
        "node-taint+": ["wasmfaas.dev/only=wasm:NoSchedule"],
    }
    assert machine.systemctl() == [
        "daemon-reload",
        "restart systemd-modules-load.service systemd-sysctl.service",
        "enable --now k3s-agent.service",
    ]
    assert TOKEN not in done.stdout + done.stderr and "test-secret" not in done.stderr


@pytest.mark.parametrize("missing", ["bundle", "token"])
def test_waits_for_what_site_yml_writes_later(machine: Machine, missing: str) -> None:
    machine.publish(bundle_of(FILES))
    late = machine.bundle_parameter if missing == "bundle" else machine.token_parameter
    value = machine.moto.client("ssm").get_parameter(Name=late, WithDecryption=True)["Parameter"]["Value"]
    machine.set_parameter(late, "unset")
    timer = threading.Timer(3, machine.set_parameter, (late, value))
    timer.start()
    done = machine.join()
    timer.join()
    assert done.returncode == 0 and f"Not yet: The parameter {late} has no value yet." in done.stderr, done.stderr


def _assert_untouched(machine: Machine, done: subprocess.CompletedProcess[str], *patterns: str) -> None:
    """The program said why, put nothing in place, and powered off, so that the scaling group starts another machine."""
    last = done.stderr.splitlines()[-1]
    begin = f"join-cluster: This machine did not join demo as {machine.group} within "
    assert done.returncode == 1 and last.startswith(begin), done.stderr
    for pattern in patterns:
        assert re.search(pattern, last), last
    assert machine.files() == {} and machine.systemctl() == ["poweroff"]
    for absent in ("Traceback", TOKEN, "test-secret", "test-session"):
        assert absent not in done.stderr


def test_gives_up_on_a_wrong_checksum(machine: Machine) -> None:
    machine.publish(bundle_of(FILES), digest="0" * 64)
    _assert_untouched(machine, machine.join(seconds=3), "has the sha256 [0-9a-f]{64}", "Run site.yml again")


def test_gives_up_without_a_token(machine: Machine) -> None:
    machine.publish(bundle_of(FILES), token="unset")
    _assert_untouched(machine, machine.join(seconds=3), "/token has no value yet. site.yml writes it.")


def test_gives_up_without_a_node_bundle(machine: Machine) -> None:
    machine.set_parameter(machine.bundle_parameter, "1" * 64)
    machine.set_parameter(machine.token_parameter, TOKEN)
    _assert_untouched(machine, machine.join(seconds=3), "GET .*/1{64}.tar.gz gives 404: .*NoSuchKey")


def test_gives_up_if_s3_refuses_connections(machine: Machine) -> None:
    machine.publish(bundle_of(FILES))
    done = machine.join(seconds=3, JOIN_S3_URL="http://127.0.0.1:9")
    _assert_untouched(machine, done, "GET http://127.0.0.1:9/.*refused")


def test_gives_up_without_a_metadata_service(machine: Machine) -> None:
    done = machine.join(seconds=3, JOIN_METADATA_URL="http://127.0.0.1:9")
    _assert_untouched(machine, done, "PUT http://127.0.0.1:9/latest/api/token: ")


def test_refuses_a_parameter_that_holds_no_checksum(machine: Machine) -> None:
    machine.set_parameter(machine.bundle_parameter, "v1.2.3")
    _assert_untouched(machine, machine.join(), "/bundle holds no sha256")


@pytest.mark.parametrize("name", ["root/.ssh/authorized_keys", "etc/../root/x", "/etc/passwd"])
def test_refuses_a_bundle_with_a_file_elsewhere(machine: Machine, name: str) -> None:
    machine.publish(bundle_of(FILES | {name: (b"", 0o644)}))
    _assert_untouched(machine, machine.join(), "no file or link below usr/local/")


def test_refuses_a_bundle_that_is_no_archive(machine: Machine) -> None:
    machine.publish(b"not an archive")
    _assert_untouched(machine, machine.join(), "cannot be unpacked")


def test_agent_that_does_not_start_leaves_no_token(machine: Machine) -> None:
    machine.publish(bundle_of(FILES))
    machine.broken.touch()
    done = machine.join(seconds=3, JOIN_ON_FAILURE="stay")
    assert done.returncode == 1 and "journalctl -u k3s-agent.service" in done.stderr.splitlines()[-1]
    assert machine.systemctl()[-1] == "disable --now k3s-agent.service"
    assert "etc/rancher/k3s/agent-token" not in machine.files()


def test_agent_that_the_cluster_does_not_let_in_is_disabled(machine: Machine) -> None:
    machine.publish(bundle_of(FILES))
    done = machine.join(seconds=3, JOIN_KUBELET_URL="http://127.0.0.1:9/healthz", JOIN_ON_FAILURE="stay")
    said = "the cluster has not let it in. See `journalctl -u k3s-agent.service`"
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1], done.stderr
    assert machine.systemctl()[-1] == "disable --now k3s-agent.service"
    assert "etc/rancher/k3s/agent-token" not in machine.files()


def test_an_unexpected_error_ends_in_one_line_too(machine: Machine) -> None:
    machine.publish(bundle_of(FILES))
    (machine.root / "etc").write_text("not a directory")
    done = machine.join(seconds=3)
    assert done.returncode == 1 and "This machine did not join demo" in done.stderr.splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr
    assert machine.systemctl() == ["poweroff"]


def test_can_run_twice(machine: Machine) -> None:
    machine.publish(bundle_of(FILES))
    assert machine.join().returncode == 0
    assert machine.join().returncode == 0


def test_signature_is_the_same_as_botocores() -> None:
    program = _module()
    me = {"access_key": "AKIDEXAMPLE", "secret_key": "a-secret", "session_token": "a-session", "region": "eu-central-1"}
    for service, method, url, body in (
        ("ssm", "POST", "https://ssm.eu-central-1.amazonaws.com/", b"{}"),
        ("s3", "GET", "https://a-bucket.s3.eu-central-1.amazonaws.com/bundles/a/b.tar.gz", b""),
    ):
        ours = program.signed(me, service, method, url, {}, body)
        request = botocore.awsrequest.AWSRequest(
            method=method, url=url, data=body, headers={"X-Amz-Content-SHA256": ours["X-Amz-Content-Sha256"]}
        )
        request.context["timestamp"] = ours["X-Amz-Date"]
        credentials = botocore.credentials.Credentials("AKIDEXAMPLE", "a-secret", "a-session")
        signer = botocore.auth.SigV4Auth(credentials, service, "eu-central-1")
        signer._modify_request_before_signing(request)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        assert ours["Authorization"].rpartition("Signature=")[2] == signer.signature(text, request)


def test_runs_on_python_3_9() -> None:
    """Amazon Linux 2023 has Python 3.9, so the program uses no newer syntax."""
    assert ast.parse(PROGRAM.read_text(encoding="utf-8"), feature_version=(3, 9))


def _module() -> types.ModuleType:
    specification = importlib.util.spec_from_file_location("join_cluster", PROGRAM)
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
