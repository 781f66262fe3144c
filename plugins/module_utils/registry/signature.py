# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of artifacts in cosign's classic format: an image manifest under the tag `sha256-<hex>.sig`, with a layer
for each signature (sigstore/cosign v3, specs/SIGNATURE_SPEC.md).

A payload holds no time, so the same artifact, annotations and repository give the same bytes, and the digest of a layer
tells what it signs without reading it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
import os
import shlex
import stat
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.artifact.model import Blob
from .answers import json_object
from .distribution import MANIFEST_TYPE

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from .model import Store

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
"""sigstore/cosign v3, pkg/types/media.go."""
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
_KIND = "cosign container image signature"
_NO_TIME = "0001-01-01T00:00:00Z"
_MOST_KEY_BYTES = 64 * 1024
MAKE_KEY = (
    "Make a key with `(umask 077; openssl ecparam -name prime256v1 -genkey -noout | "
    "openssl pkcs8 -topk8 -nocrypt -out signing.key)`."
)


@dataclasses.dataclass(frozen=True)
class Signature:
    """What signing did, or would do in check mode.

    Attributes:
        changed: a signature was written.
        tag: under which the signatures of the artifact are.
        key_id: SHA-256 of the public key (DER, SubjectPublicKeyInfo), 64 hexadecimal digits.
    """

    changed: bool
    tag: str
    key_id: str


@dataclasses.dataclass(frozen=True)
class _Signatures:
    """The manifest to store; what other layers name is in the repository already."""

    manifest: Blob
    new: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    def blobs(self) -> tuple[Blob, ...]:
        return self.new


class Signer:
    """Signs with one key; made by `read_signer`."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self._key = key
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.key_id = hashlib.sha256(public).hexdigest()

    def sign(
        self, store: Store, name: str, image: str, annotations: dict[str, str], *, check_mode: bool = False
    ) -> Signature:
        """Sign the artifact, unless this key's signature with the same annotations is there; others' stay.

        Args:
            name: of the function, as for the store.
            image: reference by digest, `<repository>@sha256:<hex>`.
            annotations: signed too; a verifier can ask for them.

        Raises:
            PlatformError: of the store, or what is under the tag holds no signatures.
        """
        repository, _at, digest = image.partition("@")
        tag = signature_tag(digest)
        payload = _blob(PAYLOAD_TYPE, payload_of(repository, digest, annotations))
        present = _manifest(store.manifest(name, tag), repository, tag)
        layers = present.get("layers", [])
        if any(self._made(layer, payload) for layer in layers):
            return Signature(False, tag, self.key_id)
        if not check_mode:
            layer = {
                "mediaType": PAYLOAD_TYPE,
                "size": payload.size,
                "digest": payload.digest,
                "annotations": {SIGNATURE_ANNOTATION: base64.b64encode(self._signed(payload)).decode()},
            }
            store.push(name, _with_layers(present, [*layers, layer], payload), tag=tag)
        return Signature(True, tag, self.key_id)

    def _signed(self, payload: Blob) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(payload.data or b"", ECDSA(SHA256()))

    def _made(self, layer: dict[str, t.Any], payload: Blob) -> bool:
        """Whether this layer is a signature over the payload that our key made."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        annotations = layer.get("annotations")
        text = annotations.get(SIGNATURE_ANNOTATION) if isinstance(annotations, dict) else None
        if layer.get("digest") != payload.digest or layer.get("mediaType") != PAYLOAD_TYPE or not isinstance(text, str):
            return False
        try:
            self._key.public_key().verify(base64.b64decode(text, validate=True), payload.data or b"", ECDSA(SHA256()))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def signature_tag(digest: str) -> str:
    """The tag of the signatures of the artifact `sha256:<hex>`."""
    return f"{digest.replace(':', '-')}.sig"


def payload_of(repository: str, digest: str, annotations: dict[str, str]) -> bytes:
    """The bytes that are signed, in the "simple signing" format (sigstore/cosign v3, specs/SIGNATURE_SPEC.md)."""
    critical = {
        "identity": {"docker-reference": repository},
        "image": {"docker-manifest-digest": digest},
        "type": _KIND,
    }
    return _json({"critical": critical, "optional": annotations})


def read_signer(path: Path) -> Signer:
    """The signer with the private key of a PEM file; raises PlatformError for a key that cannot be used, or that others
    may read."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(_MOST_KEY_BYTES)
    except OSError as error:
        raise PlatformError(f"signing_key: cannot read {path}: {error.strerror}.", next_step=MAKE_KEY) from error
    if mode & 0o077:
        raise PlatformError(
            f"signing_key: others than its owner may read {path} (mode {mode:04o}).",
            next_step=f"Run `chmod 600 {shlex.quote(str(path))}`.",
        )
    if b"BEGIN ENCRYPTED" in content:
        raise PlatformError(f"signing_key: {path} is encrypted, which is not supported.", next_step=MAKE_KEY)
    try:
        key = load_pem_private_key(content, password=None)
    except Exception as error:  # of several kinds, and the text may quote the file
        raise PlatformError(f"signing_key: {path} holds no unencrypted private key.", next_step=MAKE_KEY) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise PlatformError(f"signing_key: the key in {path} is not of the curve P-256.", next_step=MAKE_KEY)
    return Signer(key)


def _manifest(content: bytes | None, repository: str, tag: str) -> dict[str, t.Any]:
    """The manifest with the signatures that are there, {} without one."""
    if content is None:
        return {}
    manifest = json_object(content)
    layers = manifest.get("layers") if manifest is not None else None
    if (
        manifest is None
        or not isinstance(layers, list)
        or not all(isinstance(layer, dict) and isinstance(layer.get("digest"), str) for layer in layers)
    ):
        raise PlatformError(
            f"What {repository} has under the tag {tag} holds no signatures.",
            next_step="See what put it there, delete the tag, and run again.",
        )
    return manifest


def _with_layers(present: dict[str, t.Any], layers: list[dict[str, t.Any]], payload: Blob) -> _Signatures:
    """The manifest with these layers, and a config that fits them: cosign writes an image without a file system whose
    `diff_ids` are the digests of the payloads, as they are not compressed."""
    config = _blob(
        CONFIG_TYPE,
        _json(
            {
                "architecture": "",
                "created": _NO_TIME,
                "history": [{"created": _NO_TIME} for _layer in layers],
                "os": "",
                "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
                "config": {},
            }
        ),
    )
    new = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE}
    content = _json({**new, **present, "config": config.descriptor(), "layers": layers})
    return _Signatures(_blob(str(present.get("mediaType") or MANIFEST_TYPE), content), (payload, config))


def _json(content: dict[str, t.Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _blob(media_type: str, content: bytes) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content), data=content)
