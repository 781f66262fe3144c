# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures against a store in memory; sigstore/cosign v3, specs/SIGNATURE_SPEC.md is what they are compared with."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import PushResult, Storable
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.signature import (
    MAKE_KEY,
    payload_of,
    read_signer,
    signature_tag,
)
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

REPOSITORY = "registry.example.com/functions/shop"
DIGEST = f"sha256:{'9f' * 32}"
IMAGE = f"{REPOSITORY}@{DIGEST}"
TAG = f"sha256-{'9f' * 32}.sig"
ANNOTATIONS = {"tenant": "user1", "function": "shop", "source_digest": "sha256:ab"}


class MemoryStore:
    """A store that refuses manifests whose blobs it lacks, as registries do."""

    def __init__(self) -> None:
        self.tags: dict[str, bytes] = {}
        self.content: dict[str, bytes] = {}
        self.pushes = 0

    def has(self, name: str, digest: str) -> bool:
        return digest in self.content

    def push(self, name: str, artifact: Storable, *, tag: str) -> PushResult:
        for blob in (*artifact.blobs(), artifact.manifest):
            with blob.open() as stream:
                data = stream.read()
            assert (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data)) == (blob.digest, blob.size)
            self.content[blob.digest] = data
        manifest = self.content[artifact.digest]
        for named in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
            assert len(self.content[named["digest"]]) == named["size"]
        self.tags[tag] = manifest
        self.pushes += 1
        return PushResult(True, 0, 0, "")

    def manifest(self, name: str, reference: str) -> bytes | None:
        return self.tags.get(reference)

    def close(self) -> None:
        pass

    def layers(self) -> list[dict[str, t.Any]]:
        return list(json.loads(self.tags[TAG])["layers"])


def key_file(
    path: Path, key: t.Any = None, encryption: KeySerializationEncryption | None = None, mode: int = 0o600
) -> Path:
    key = key or ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    path.chmod(mode)
    return path


def test_payload_is_that_of_the_specification() -> None:
    assert payload_of("r/x", "sha256:ab", {"tenant": "user1"}) == (
        b'{"critical":{"identity":{"docker-reference":"r/x"},"image":{"docker-manifest-digest":"sha256:ab"},'
        b'"type":"cosign container image signature"},"optional":{"tenant":"user1"}}'
    )
    assert signature_tag(DIGEST) == TAG


def test_signature_verifies_with_the_public_key_alone(tmp_path: Path) -> None:
    key, store = ec.generate_private_key(ec.SECP256R1()), MemoryStore()
    signature = read_signer(key_file(tmp_path / "key", key)).sign(store, "shop", IMAGE, ANNOTATIONS)
    assert (signature.changed, signature.tag, store.pushes) == (True, TAG, 1)
    (layer,) = store.layers()
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    payload = store.content[layer["digest"]]
    made = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    key.public_key().verify(made, payload, ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        key.public_key().verify(made, payload.replace(b"9f9f", b"9e9f", 1), ec.ECDSA(SHA256()))
    assert json.loads(payload) == {
        "critical": {
            "identity": {"docker-reference": REPOSITORY},
            "image": {"docker-manifest-digest": DIGEST},
            "type": "cosign container image signature",
        },
        "optional": ANNOTATIONS,
    }
    config = json.loads(store.content[json.loads(store.tags[TAG])["config"]["digest"]])
    assert config["rootfs"] == {"type": "layers", "diff_ids": [layer["digest"]]}


def test_second_run_signs_nothing_and_check_mode_only_tells(tmp_path: Path) -> None:
    signer, store = read_signer(key_file(tmp_path / "key")), MemoryStore()
    assert signer.sign(store, "shop", IMAGE, ANNOTATIONS, check_mode=True).changed
    assert store.pushes == 0
    signer.sign(store, "shop", IMAGE, ANNOTATIONS)
    for check_mode in (False, True):
        assert not signer.sign(store, "shop", IMAGE, ANNOTATIONS, check_mode=check_mode).changed
    assert store.pushes == 1


def test_other_signatures_stay(tmp_path: Path) -> None:
    store = MemoryStore()
    first, second = (read_signer(key_file(tmp_path / name)) for name in ("first", "second"))
    assert first.key_id != second.key_id
    first.sign(store, "shop", IMAGE, ANNOTATIONS)
    (before,) = store.layers()
    assert second.sign(store, "shop", IMAGE, ANNOTATIONS).changed
    assert first.sign(store, "shop", IMAGE, {**ANNOTATIONS, "tenant": "user2"}).changed
    assert store.layers()[0] == before
    assert len(store.layers()) == 3
    assert not second.sign(store, "shop", IMAGE, ANNOTATIONS).changed


@pytest.mark.parametrize("forged", ["AAAA", "not base64!", None, 7])
def test_layer_that_does_not_verify_is_no_signature(tmp_path: Path, forged: t.Any) -> None:
    signer, store = read_signer(key_file(tmp_path / "key")), MemoryStore()
    signer.sign(store, "shop", IMAGE, ANNOTATIONS)
    manifest = json.loads(store.tags[TAG])
    manifest["layers"][0]["annotations"] = {"dev.cosignproject.cosign/signature": forged}
    store.tags[TAG] = json.dumps(manifest).encode()
    assert signer.sign(store, "shop", IMAGE, ANNOTATIONS).changed
    assert len(store.layers()) == 2


@pytest.mark.parametrize("content", [b"no JSON", b'{"manifests": []}', b'{"layers": [1]}'])
def test_tag_with_something_else_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    signer, store = read_signer(key_file(tmp_path / "key")), MemoryStore()
    store.tags[TAG] = content
    with pytest.raises(PlatformError, match="holds no signatures"):
        signer.sign(store, "shop", IMAGE, ANNOTATIONS)
    assert store.tags[TAG] == content


def test_unusable_keys_are_refused(tmp_path: Path) -> None:
    wide = key_file(tmp_path / "wide", mode=0o640)
    with pytest.raises(PlatformError, match=r"mode 0640") as refused:
        read_signer(wide)
    assert refused.value.next_step == f"Run `chmod 600 {wide}`."
    for path, message in (
        (tmp_path / "missing", "cannot read"),
        (key_file(tmp_path / "encrypted", encryption=BestAvailableEncryption(b"x")), "is encrypted"),
        (key_file(tmp_path / "curve", ec.generate_private_key(ec.SECP384R1())), "not of the curve P-256"),
    ):
        with pytest.raises(PlatformError, match=message) as refused:
            read_signer(path)
        assert refused.value.next_step == MAKE_KEY
    cosign = tmp_path / "cosign.key"
    cosign.write_text("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
    cosign.chmod(0o600)
    with pytest.raises(PlatformError, match="is encrypted"):
        read_signer(cosign)
    cosign.write_text("something else")
    with pytest.raises(PlatformError, match="no unencrypted private key"):
        read_signer(cosign)


def test_the_command_that_is_named_makes_a_key_whose_signature_openssl_accepts(tmp_path: Path) -> None:
    store = MemoryStore()
    subprocess.run(MAKE_KEY.split("`")[1], shell=True, check=True, cwd=tmp_path)
    read_signer(tmp_path / "signing.key").sign(store, "shop", IMAGE, ANNOTATIONS)
    (layer,) = store.layers()
    payload = store.content[layer["digest"]]
    (tmp_path / "signature").write_bytes(base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
    public = ["openssl", "pkey", "-in", "signing.key", "-pubout", "-out", "signing.pub"]
    subprocess.run(public, check=True, cwd=tmp_path)
    verify = ["openssl", "dgst", "-sha256", "-verify", "signing.pub", "-signature", "signature"]
    assert subprocess.run(verify, check=False, input=payload, cwd=tmp_path, capture_output=True).returncode == 0
    assert subprocess.run(verify, check=False, input=payload + b" ", cwd=tmp_path, capture_output=True).returncode == 1
