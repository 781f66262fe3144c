# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that ours begin with: read from a registry or an image layout, known by its digest."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import tarfile
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.artifact.model import Blob
from ..registry.distribution import DistributionStore
from ..registry.image_layout import ImageLayoutStore
from ..registry.reference import LayoutLocation, parse_registry
from ..registry.store import open_store
from .layers import LAYER_TYPE, Layer

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_UNCOMPRESSED_TYPE = "application/vnd.oci.image.layer.v1.tar"
_LAYER_TYPES = {
    LAYER_TYPE: LAYER_TYPE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_TYPE,
    _UNCOMPRESSED_TYPE: _UNCOMPRESSED_TYPE,
}
"""By the type in the base image, the type of the same bytes in ours. tarfile reads both."""
_REFERENCE = re.compile(r"(?P<place>.+)@(?P<digest>sha256:[0-9a-f]{64})")
_PYTHON = re.compile(r"(?:\./)?usr/(?P<local>local/)?bin/python(?P<three>3)?")
_VERSIONED = re.compile(r"python(3\.\d+)")


@dataclasses.dataclass(frozen=True)
class Reference:
    """A base image.

    Attributes:
        place: `host/path/name`, `host/path/name:tag` or `oci:DIR`.
        digest: of its manifest or index.
    """

    place: str
    digest: str

    def __str__(self) -> str:
        return f"{self.place}@{self.digest}"


@dataclasses.dataclass(frozen=True)
class BaseImage:
    """A base image for one architecture.

    Attributes:
        config: as in the image (image-spec 1.1, config.md).
        python: version of its `python3`, such as 3.13.
        interpreter: path of its `python3`.
        has_python: whether there is a `python` too.
    """

    layers: tuple[Layer, ...]
    config: dict[str, t.Any]
    python: str
    interpreter: str
    has_python: bool


def parse_reference(text: str, option: str) -> Reference:
    """What an option for a base image means.

    Args:
        text: `host/path/name[:tag]@sha256:…` or `oci:DIR@sha256:…`.

    Raises:
        PlatformError: it has no digest.
    """
    match = _REFERENCE.fullmatch(text.strip())
    if match is None:
        raise PlatformError(
            f"`{option}` {text!r} is no image with a digest.",
            next_step="Write `registry.example.com/python:3.13-slim@sha256:…` or `oci:DIR@sha256:…`; `skopeo inspect "
            "--format '{{.Digest}}' docker://IMAGE` tells the digest.",
        )
    return Reference(match["place"], match["digest"])


class BaseReader:
    """Reads base images.

    Args:
        cache: keeps their blobs.
        ca_file: certificate authorities to trust for their registries besides the system's.
        plain_http: speak HTTP to their registries.
    """

    def __init__(self, cache: Path, *, ca_file: Path | None = None, plain_http: bool = False) -> None:
        self._cache = cache / "blobs"
        self._ca_file = ca_file
        self._plain_http = plain_http
        self._found: dict[tuple[Reference, str], BaseImage] = {}

    def read(self, reference: Reference, architecture: str) -> BaseImage:
        """The base image for one architecture.

        Raises:
            PlatformError: it is not there, not for this architecture, of a kind that we cannot take, or has no Python.
        """
        known = self._found.get((reference, architecture))
        if known is None:
            known = self._found[reference, architecture] = self._read(reference, architecture)
        return known

    def _read(self, reference: Reference, architecture: str) -> BaseImage:
        with contextlib.closing(self._source(reference)) as source:
            try:
                digest, manifest = reference.digest, json.loads(source.manifest(reference.digest))
                if manifest.get("mediaType") in INDEX_TYPES or "manifests" in manifest:
                    digest = _of_architecture(reference, manifest["manifests"], architecture)
                    manifest = json.loads(source.manifest(digest))
                config_path = source.blob(manifest["config"]["digest"], manifest["config"]["size"])
                config = json.loads(config_path.read_bytes())
                layers = tuple(
                    Layer(
                        Blob(
                            _layer_type(reference, entry["mediaType"]),
                            entry["digest"],
                            entry["size"],
                            path=source.blob(entry["digest"], entry["size"]),
                        ),
                        diff_id,
                        "",
                    )
                    for entry, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True)
                )
                found = str(config["architecture"])
            except (ValueError, KeyError, TypeError) as error:
                raise PlatformError(
                    f"{reference} is no container image ({type(error).__name__}: {error}).",
                    next_step="Name the digest of an image's manifest or index.",
                ) from error
        if found != architecture:
            raise PlatformError(
                f"{reference} is for {found}, not for {architecture}.",
                next_step="Name the digest of the index, or leave the architecture out of `architectures`.",
            )
        return BaseImage(layers, config, *_python(reference, layers))

    def _source(self, reference: Reference) -> _Source:
        if reference.place.startswith("oci:"):
            location = parse_registry(reference.place)
            if not isinstance(location, LayoutLocation):
                raise AssertionError(f"{reference.place} is a directory")
            return _LayoutSource(reference, ImageLayoutStore(location))
        repository, _colon, tag = reference.place.rpartition(":")
        if "/" in tag or not repository:  # a port, or nothing
            repository = reference.place
        path, _slash, name = repository.rpartition("/")
        store = open_store(parse_registry(path), ca_file=self._ca_file, plain_http=self._plain_http)
        if not isinstance(store, DistributionStore):
            raise AssertionError(f"{path} is a registry")
        return _RegistrySource(reference, store, name, self._cache)


class _Source(t.Protocol):
    """Where a base image is."""

    def manifest(self, digest: str) -> bytes: ...

    def blob(self, digest: str, size: int) -> Path:
        """A file with the blob."""

    def close(self) -> None: ...


class _RegistrySource:
    def __init__(self, reference: Reference, store: DistributionStore, name: str, cache: Path) -> None:
        self._reference, self._store, self._name, self._cache = reference, store, name, cache

    def manifest(self, digest: str) -> bytes:
        found = self._store.manifest(self._name, digest)
        if found is None:
            raise _missing(self._reference)
        return found

    def blob(self, digest: str, size: int) -> Path:
        path = self._cache / digest.removeprefix("sha256:")
        if not path.is_file():  # under its name only when its digest was right
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            try:
                self._store.download(self._name, digest, partial, most=size)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        return path

    def close(self) -> None:
        self._store.close()


class _LayoutSource:
    def __init__(self, reference: Reference, store: ImageLayoutStore) -> None:
        self._reference, self._store = reference, store

    def manifest(self, digest: str) -> bytes:
        return self.blob(digest, -1).read_bytes()

    def blob(self, digest: str, size: int) -> Path:
        path = self._store.blob_path(digest)
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError:
            raise _missing(self._reference) from None
        if f"sha256:{found}" != digest:
            raise PlatformError(
                f"{path} is not what its name says.", next_step="Copy the base image anew, such as with skopeo."
            )
        return path

    def close(self) -> None:
        self._store.close()


def _missing(reference: Reference) -> PlatformError:
    return PlatformError(
        f"The base image {reference} is not there.",
        next_step="Name another digest with `base_image` or `compiler_base_image`; registries may delete old images.",
    )


def _of_architecture(reference: Reference, entries: list[dict[str, t.Any]], architecture: str) -> str:
    for entry in entries:
        platform = entry.get("platform") or {}
        if platform.get("os") == "linux" and platform.get("architecture") == architecture:
            return str(entry["digest"])
    raise PlatformError(
        f"{reference} is not for {architecture}.",
        next_step="Choose another base image, or leave the architecture out of `architectures`.",
    )


def _layer_type(reference: Reference, media_type: str) -> str:
    if media_type not in _LAYER_TYPES:
        raise PlatformError(
            f"{reference} has layers of the type {media_type}, which cannot be taken over.",
            next_step="Choose a base image whose layers are compressed with gzip.",
        )
    return _LAYER_TYPES[media_type]


def _python(reference: Reference, layers: t.Sequence[Layer]) -> tuple[str, str, bool]:
    """Version and path of the `python3` that is found first in PATH, by where its symbolic link points; and whether
    there is a `python`."""
    version, interpreter, has_python = "", "", False
    for layer in reversed(layers):
        with layer.blob.open() as stream, tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                match = _PYTHON.fullmatch(member.name)
                if match is None:
                    continue
                if not match["three"]:
                    has_python = True
                    continue
                found = _VERSIONED.fullmatch(member.linkname.rpartition("/")[2])
                if found and (match["local"] or not version):
                    version, interpreter = found[1], f"/{member.name.removeprefix('./')}"
        if interpreter.startswith("/usr/local/"):
            break
    if not version:
        raise PlatformError(
            f"{reference} has no python3 in /usr/local/bin or /usr/bin.",
            next_step="Choose a base image with Python 3.11 or later.",
        )
    return version, interpreter, has_python
