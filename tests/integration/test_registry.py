# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry step against the real Distribution registry, with skopeo as the second opinion, and against moto's
ECR."""

from __future__ import annotations

import base64
import collections.abc
import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact, Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.ecr import EcrHost, ElasticContainerRegistry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import (
    AwsOptions,
    CredentialOptions,
    Store,
    Timeouts,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import (
    DistributionLocation,
    parse_registry,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.signature import Signer
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store
from cryptography.hazmat.primitives.asymmetric import ec

from .support.fixtures import FaultyProxy, Programs, Registry
from .support.marks import needs_skopeo
from .support.registries import skopeo

WASM = "application/vnd.wasm.content.layer.v1+wasm"
QUICK = Timeouts(connect=2, transfer=2, commit=5, attempts=3, first_wait=0.1, total=10)


def _blob(media_type: str, data: bytes) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)


def _artifact(*layers: bytes | Blob) -> Artifact:
    blobs = [layer if isinstance(layer, Blob) else _blob(WASM, layer) for layer in layers]
    blobs.append(
        _blob(
            "application/vnd.fermyon.spin.application.v1+config", json.dumps([blob.digest for blob in blobs]).encode()
        )
    )
    labels = {"com.fermyon.spin.lockedAppDigest": blobs[-1].digest}
    config = json.dumps(
        {
            "architecture": "wasm",
            "os": "wasip1",
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
    )
    config_blob = _blob("application/vnd.oci.image.config.v1+json", config.encode())
    manifest = {"config": config_blob.descriptor(), "layers": [blob.descriptor() for blob in blobs], "schemaVersion": 2}
    return Artifact(
        _blob("application/vnd.oci.image.manifest.v1+json", json.dumps(manifest, sort_keys=True).encode()),
        config_blob,
        tuple(blobs),
        {},
    )


@contextlib.contextmanager
def _opened(host: str, **more: t.Any) -> collections.abc.Iterator[Store]:
    more.setdefault("timeouts", QUICK)
    with contextlib.closing(open_store(parse_registry(f"{host}/team"), **more)) as store:
        yield store


@pytest.fixture(autouse=True)
def no_credentials_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def registry(server_programs: Programs, tmp_path: Path) -> collections.abc.Iterator[Registry]:
    """An empty registry for each test: these look at what is missing, and some leave 500 MB."""
    server = Registry(server_programs, tmp_path / "registry")
    yield server
    server.stop()
    shutil.rmtree(server.directory)


def test_signatures_of_two_keys_are_beside_the_artifact(registry: Registry) -> None:
    first, second = (Signer(ec.generate_private_key(ec.SECP256R1())) for _key in range(2))
    artifact = _artifact(b"\0asm")
    with _opened(registry.host, plain_http=True) as store:
        image = store.push("hello", artifact, tag="one").image
        assert first.sign(store, "hello", image, {"function": "hello"}).changed
        assert second.sign(store, "hello", image, {"function": "hello"}).changed
        assert not first.sign(store, "hello", image, {"function": "hello"}).changed
        content = store.manifest("hello", f"{artifact.digest.replace(':', '-')}.sig")
        assert content is not None and isinstance(store, DistributionStore)
        layers = json.loads(content)["layers"]
        assert len(layers) == 2 and layers[0]["digest"] == layers[1]["digest"]
        payload = json.loads(store.blob("hello", layers[0]["digest"]))
    assert payload["critical"]["image"] == {"docker-manifest-digest": artifact.digest}
    assert payload["critical"]["identity"] == {"docker-reference": f"{registry.host}/team/hello"}


class CuttingProxy:
    """A TCP proxy that ends connections after so many bytes from the client; `cuts` says how often, -1 is always."""

    def __init__(self, upstream: str, *, cuts: int, after: int) -> None:
        host, _separator, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._cuts, self._after = cuts, after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.was_cut = 0
        self.reached = threading.Event()  # a client sent that much
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._upstream)
                threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _may_cut(self) -> bool:
        with self._lock:
            if self._cuts == 0:
                return False
            self._cuts -= 1
            self.was_cut += 1
            return True

    def _pump(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if counts and passed > self._after:
                    self.reached.set()
                    if self._may_cut():
                        break
                sink.sendall(data)
        for connection in (source, sink):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


# ---- what arrives


@needs_skopeo
def test_pushed_once_and_read_byskopeo(registry: Registry) -> None:
    artifact = _artifact(os.urandom(3_000_000), b"\0asm")
    with _opened(registry.host, plain_http=True) as store:
        first = store.push("hello", artifact, tag="v1")
        size = sum({blob.digest: blob.size for blob in artifact.blobs()}.values())
        assert (first.changed, first.uploaded_blobs, first.uploaded_bytes) == (True, 4, size)
        assert first.image == f"{registry.host}/team/hello@{artifact.digest}"
        assert not store.push("hello", artifact, tag="v1").changed
        assert store.has("hello", artifact.digest) and store.manifest("hello", "v1") == artifact.manifest.data
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/team/hello:v1")
    assert raw.encode() == artifact.manifest.data
    assert json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{first.image}"))["Digest"] == artifact.digest


def test_only_what_changed_is_sent(registry: Registry) -> None:
    common = os.urandom(100_000)
    with _opened(registry.host, plain_http=True) as store:
        store.push("hello", _artifact(common, b"one"), tag="v1")
        result = store.push("hello", _artifact(common, b"two"), tag="v1")
        assert (result.changed, result.uploaded_blobs) == (True, 3) and result.uploaded_bytes < 1000


def test_a_second_push_only_looks(faulty_proxy: FaultyProxy) -> None:
    artifact = _artifact(os.urandom(100_000))
    with _opened(faulty_proxy.host, plain_http=True) as store:
        assert store.push("hello", artifact, tag="v1").changed
        faulty_proxy.reset()
        assert not store.push("hello", artifact, tag="v1").changed and store.has("hello", artifact.digest)
    assert {method for method, _path in faulty_proxy.requests} == {"HEAD"}


@needs_skopeo
@pytest.mark.parametrize("kind", ["registry", "registry_with_token_auth"])
def test_a_blob_of_another_function_is_not_sent_again(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    """Distribution mounts it, also where tokens are for one repository each; where its own source is gone, it is
    sent."""
    server: Registry = request.getfixturevalue(kind)
    credentials = CredentialOptions(server.username or None, server.password or None)
    proxy = FaultyProxy(server.url)
    artifact = _artifact(f"a file server for all, {tmp_path}".encode() * 1000)
    options: dict[str, t.Any] = {"plain_http": True, "credentials": credentials, "pushed_file": tmp_path / "pushed"}
    try:
        with _opened(proxy.host, **options) as store:
            assert store.push("first", artifact, tag="v1").uploaded_blobs == 3
        proxy.reset()
        with _opened(proxy.host, **options) as store:
            second = store.push("second", artifact, tag="v1")
            assert (second.changed, second.uploaded_blobs, second.uploaded_bytes) == (True, 0, 0)
            assert proxy.count("PUT", ".*/blobs/.*") == 0
            assert store.has("second", artifact.digest)
            layer = artifact.layers[0]
            assert t.cast(DistributionStore, store).blob("second", layer.digest) == layer.data
        text = (tmp_path / "pushed").read_text()
        (tmp_path / "pushed").write_text(text.replace("team/second", "team/never"))
        with _opened(proxy.host, **options) as store:
            assert store.push("third", artifact, tag="v1").uploaded_blobs == 3
    finally:
        proxy.stop()


def test_layout_and_registry_are_exchangeable_byskopeo(registry: Registry, tmp_path: Path) -> None:
    artifact, other = _artifact(os.urandom(100_000)), _artifact(b"other")
    layout = open_store(parse_registry(f"oci:{tmp_path}/images"))
    layout.push("hello", artifact, tag="v1")
    layout.push("other", other, tag="v1")
    assert json.loads(skopeo("inspect", f"oci:{tmp_path}/images:hello:v1"))["Digest"] == artifact.digest
    skopeo(
        "copy", "--dest-tls-verify=false", f"oci:{tmp_path}/images:hello:v1", f"docker://{registry.host}/team/hello:v1"
    )
    with _opened(registry.host, plain_http=True) as store:
        assert not store.push("hello", artifact, tag="v1").changed
    skopeo(
        "copy", "--src-tls-verify=false", f"docker://{registry.host}/team/hello:v1", f"oci:{tmp_path}/images:hello:v2"
    )
    assert not layout.push("hello", artifact, tag="v2").changed and not layout.push("other", other, tag="v1").changed


# ---- who may


def _docker_config(directory: Path, content: dict[str, t.Any]) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize("kind", ["registry_with_basic_auth", "registry_with_token_auth"])
def test_credentials(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    registry: Registry = request.getfixturevalue(kind)
    artifact = _artifact(*(os.urandom(1000) for _time in range(6)))

    def push(**more: t.Any) -> bool:
        with _opened(registry.host, plain_http=True, **more) as store:
            return store.push("hello", artifact, tag="v1").changed

    for credentials in (None, CredentialOptions(registry.username, "n0t-the-password")):
        with pytest.raises(PlatformError) as caught:
            push(credentials=credentials)
        assert (
            registry.host in caught.value.cause
            and f"docker login {registry.host}" in caught.value.next_step
            and "n0t-the-password" not in str(caught.value)
        )

    assert push(credentials=CredentialOptions(registry.username, registry.password))
    entry = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    _docker_config(tmp_path / "docker", {"auths": {registry.host: {"auth": entry}}})
    assert push() is False

    helper = tmp_path / "docker-credential-test"
    answer = json.dumps({"ServerURL": registry.host, "Username": registry.username, "Secret": registry.password})
    helper.write_text(f"#!/bin/sh\nread -r server; [ \"$server\" = {registry.host} ] && echo '{answer}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    _docker_config(tmp_path / "docker", {"credHelpers": {registry.host: "test"}})
    assert push() is False


# ---- TLS


def test_private_authority(registry_with_tls: Registry, tmp_path: Path) -> None:
    artifact = _artifact(os.urandom(300_000))
    with _opened(registry_with_tls.host) as store, pytest.raises(PlatformError, match="is not trusted") as caught:
        store.push("hello", artifact, tag="v1")
    assert "registry_ca_file" in caught.value.next_step
    with _opened(registry_with_tls.host, ca_file=registry_with_tls.authority_file) as store:
        assert [store.push("hello", artifact, tag="v1").changed for _time in range(2)] == [True, False]
    with _opened(registry_with_tls.host, plain_http=True) as store, pytest.raises(PlatformError) as caught:
        store.push("hello", artifact, tag="v1")
    assert "registry_plain_http" in caught.value.next_step


def test_https_is_not_given_up_by_itself(registry: Registry) -> None:
    with _opened(registry.host) as store, pytest.raises(PlatformError, match="does not speak HTTPS") as caught:
        store.has("hello", "sha256:" + "0" * 64)
    assert "registry_plain_http: true" in caught.value.next_step


# ---- faults


def test_connection_lost_once_in_the_middle_of_a_blob(registry: Registry) -> None:
    proxy = CuttingProxy(registry.host, cuts=1, after=1_000_000)
    artifact = _artifact(os.urandom(8_000_000), b"small")
    with contextlib.closing(proxy), _opened(proxy.host, plain_http=True) as store:
        assert store.push("hello", artifact, tag="v1").uploaded_blobs == 4
        assert proxy.was_cut == 1 and store.manifest("hello", "v1") == artifact.manifest.data


def test_connection_lost_always_then_run_again(registry: Registry) -> None:
    artifact = _artifact(os.urandom(8_000_000), b"small")
    proxy = CuttingProxy(registry.host, cuts=-1, after=1_000_000)
    with contextlib.closing(proxy), _opened(proxy.host, plain_http=True) as store:
        with pytest.raises(
            PlatformError, match=f"{proxy.host}.* while uploading blob {artifact.layers[0].digest}"
        ) as caught:
            store.push("hello", artifact, tag="v1")
        assert "Run again" in caught.value.next_step and proxy.was_cut >= QUICK.attempts
    with _opened(registry.host, plain_http=True) as store:
        assert store.manifest("hello", "v1") is None
        result = store.push("hello", artifact, tag="v1")
        assert result.changed and 1 <= result.uploaded_blobs <= 4 and store.has("hello", artifact.digest)


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of 1 MiB, to be filled, is mounted by root")
def test_full_disk_is_named_and_the_push_goes_on_when_there_is_space(server_programs: Programs, tmp_path: Path) -> None:
    blobs = tmp_path / "registry" / "blobs"
    blobs.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(blobs)], check=True)
    try:
        registry = Registry(server_programs, tmp_path / "registry")
        try:
            artifact = _artifact(b"small", os.urandom(3 << 20))
            with _opened(registry.host, plain_http=True) as store:
                with pytest.raises(PlatformError, match="no space left on device") as caught:
                    store.push("hello", artifact, tag="v1")
                assert f"Free disk space of {registry.host}" in caught.value.next_step
                assert not store.has("hello", artifact.digest)
                subprocess.run(["mount", "-o", "remount,size=16m", str(blobs)], check=True)
                assert store.push("hello", artifact, tag="v1").changed
                assert store.has("hello", artifact.digest)
        finally:
            registry.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(blobs)], check=True)


def test_a_link_that_a_full_disk_left_empty_is_mended_by_the_next_push(
    server_programs: Programs, tmp_path: Path
) -> None:
    registry = Registry(server_programs, tmp_path / "registry")
    try:
        with _opened(registry.host, plain_http=True) as store:
            store.push("hello", _artifact(b"shared", b"one"), tag="v1")
            links = [link for link in (tmp_path / "registry").rglob("link") if "_layers" in link.parts]
            assert len(links) >= 2
            for link in links:
                link.write_bytes(b"")
            again = _artifact(b"shared", b"two")
            assert store.push("hello", again, tag="v2").changed
            assert store.has("hello", again.digest)
    finally:
        registry.stop()


def test_unreachable_and_slow() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        impatient = Timeouts(connect=0.5, transfer=0.2, attempts=2, first_wait=0.01)
        with (
            _opened(host, plain_http=True, timeouts=impatient) as store,
            pytest.raises(PlatformError, match=rf"{host} gave no answer in time \(0\.2 s"),
        ):
            store.has("hello", "sha256:" + "0" * 64)
    with (
        _opened(host, plain_http=True, timeouts=impatient) as store,
        pytest.raises(PlatformError, match=f"Nothing listens at the registry {host}") as caught,
    ):
        store.has("hello", "sha256:" + "0" * 64)
    assert f"curl -v http://{host}/v2/" in caught.value.next_step
    with (
        _opened("nowhere.invalid", timeouts=impatient) as store,
        pytest.raises(PlatformError, match=r"'nowhere\.invalid' .* cannot be resolved"),
    ):
        store.has("hello", "sha256:" + "0" * 64)


_PUSH = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact, Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import parse_registry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store

def resident(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) / 1024

def blob(fields):
    data = fields.pop("data")
    path = Path(fields["path"]) if fields["path"] else None
    return Blob(**{**fields, "data": data.encode() if data is not None else None, "path": path})

described = json.loads(sys.stdin.read())
artifact = Artifact(blob(described["manifest"]), blob(described["config"]), tuple(map(blob, described["layers"])), {})
store = open_store(parse_registry(sys.argv[2]), plain_http=True)
idle = resident("VmRSS:")
print("ready", flush=True)
result = store.push("hello", artifact, tag="v1")
print(json.dumps({"changed": result.changed, "above_idle": resident("VmHWM:") - idle}), flush=True)
"""


def _start_push(artifact: Artifact, registry: str) -> subprocess.Popen[str]:
    def fields(blob: Blob) -> dict[str, t.Any]:
        return {
            **vars(blob),
            "data": blob.data.decode() if blob.data is not None else None,
            "path": str(blob.path) if blob.path else None,
        }

    described = {
        "manifest": fields(artifact.manifest),
        "config": fields(artifact.config),
        "layers": [fields(blob) for blob in artifact.layers],
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _PUSH, json.dumps(sys.path), registry],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(described))
    process.stdin.close()
    process.stdin = None
    return process


def _large_file(path: Path, size: int) -> Blob:
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        stream.truncate(size)  # sparse: costs no disk here
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return Blob(WASM, f"sha256:{digest.hexdigest()}", size, path=path)


@pytest.mark.parametrize("kind", ["registry", "layout"])
def test_memory_of_a_push_stays_small(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    location = f"oci:{tmp_path}/images" if kind == "layout" else f"{request.getfixturevalue('registry').host}/team"
    process = _start_push(_artifact(_large_file(tmp_path / "large.wasm", 500_000_000)), location)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    result = json.loads(output.splitlines()[-1])
    assert result["changed"] and result["above_idle"] < 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_by_a_signal_then_run_again(registry: Registry, tmp_path: Path, number: signal.Signals) -> None:
    artifact = _artifact(_large_file(tmp_path / "large.wasm", 300_000_000), b"small")
    proxy = CuttingProxy(registry.host, cuts=0, after=20_000_000)
    with contextlib.closing(proxy):
        process = _start_push(artifact, f"{proxy.host}/team")
        assert proxy.reached.wait(30)
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode != 0
    with _opened(registry.host, plain_http=True) as store:
        assert store.manifest("hello", "v1") is None
        assert store.push("hello", artifact, tag="v1").changed and store.has("hello", artifact.digest)


def test_two_at_once_are_never_mixed(registry: Registry) -> None:
    artifacts = [_artifact(os.urandom(500_000), f"{number}".encode(), b"common") for number in range(2)]
    errors: list[BaseException] = []

    def push(artifact: Artifact) -> None:
        try:
            with _opened(registry.host, plain_http=True) as store:
                store.push("hello", artifact, tag="v1")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=push, args=(artifact,)) for artifact in artifacts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    with _opened(registry.host, plain_http=True) as store:
        assert store.manifest("hello", "v1") in [artifact.manifest.data for artifact in artifacts]
        assert all(store.has("hello", artifact.digest) for artifact in artifacts)


# ---- Amazon ECR, as far as moto plays it: token and repositories, not the registry itself


@pytest.fixture
def aws() -> collections.abc.Iterator[AwsOptions]:
    server_module = pytest.importorskip("moto.server", reason="moto[server], the stand-in for AWS, is not installed")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield AwsOptions(access_key="test", secret_key="test", endpoint_url=f"http://{host}:{port}")
    server.stop()


ECR = EcrHost("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012", "eu-west-1")


def test_ecr_token_and_repository(aws: AwsOptions) -> None:
    import boto3

    ecr = ElasticContainerRegistry(ECR, aws)
    credentials = ecr.credentials()
    assert credentials.username == "AWS" and credentials.password
    for _time in range(2):  # the second finds it there
        ecr.create_repository("functions/hello")
    client = boto3.client(
        "ecr",
        region_name="eu-west-1",
        endpoint_url=aws.endpoint_url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    (found,) = client.describe_repositories()["repositories"]
    assert (found["repositoryName"], found["imageTagMutability"], found["imageScanningConfiguration"]) == (
        "functions/hello",
        "MUTABLE",
        {"scanOnPush": True},
    )
    assert found["encryptionConfiguration"] == {"encryptionType": "AES256"}


def test_ecr_credentials_at_a_real_registry(registry_with_basic_auth: Registry, aws: AwsOptions) -> None:
    """The token of ECR is sent, and a refusal names where it came from."""
    location = DistributionLocation(registry_with_basic_auth.host, "team")
    ecr = ElasticContainerRegistry(ECR, aws)
    store = DistributionStore(
        location,
        credentials_for=lambda repository: ecr.credentials(),
        create_repository=ecr.create_repository,
        plain_http=True,
        timeouts=QUICK,
    )
    with (
        contextlib.closing(store),
        pytest.raises(PlatformError, match=r"refuses the credentials from AWS \(eu-west-1\)"),
    ):
        store.push("hello", _artifact(b"x"), tag="v1")


def test_ecr_without_the_right(aws: AwsOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.client
    import botocore.exceptions

    def denied(self: object, operation: str, parameters: object) -> None:
        raise botocore.exceptions.ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, operation
        )

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", denied)
    with pytest.raises(PlatformError, match="AWS refuses ecr:CreateRepository") as caught:
        ElasticContainerRegistry(ECR, aws).create_repository("functions/hello")
    assert (
        "`ecr:CreateRepository` on `arn:aws:ecr:eu-west-1:123456789012:repository/functions/hello`"
        in caught.value.next_step
    )
    unreachable = AwsOptions(access_key="test", secret_key="test", endpoint_url="http://127.0.0.1:1")
    monkeypatch.undo()
    with pytest.raises(PlatformError, match="AWS could not be asked for ecr:GetAuthorizationToken"):
        ElasticContainerRegistry(ECR, unreachable).credentials()
