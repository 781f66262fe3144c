# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spin artifacts made without the product's own code, valid or wrong in one point, for the tests of the stand-in; and
ordinary images of one program."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
import ssl
import tarfile
import typing as t
import urllib.parse
from pathlib import Path

import httpx2

from .registries import Registry

WASM = b"\x00asm\x0d\x00\x01\x00"  # the head of a component, which nothing runs
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER_WASM = "application/vnd.wasm.content.layer.v1+wasm"
LAYER_DATA = "application/vnd.wasm.content.layer.v1+data"
LAYER_LOCKED = "application/vnd.fermyon.spin.application.v1+config"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclasses.dataclass
class HandMadeArtifact:
    """An artifact of which a test can change everything before `push`.

    Attributes:
        locked: The locked application as data.
        config: The image configuration.
        layers: Media type and content of the layers before the locked application.
    """

    name: str
    environment: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        wasm = WASM + self.name.encode()
        data = b"x" * 200 + self.name.encode()
        self.layers = [(LAYER_WASM, wasm), (LAYER_DATA, data)]
        component: dict[str, t.Any] = {
            "id": self.name,
            "source": {"content_type": "application/wasm", "digest": digest_of(wasm)},
            "files": [
                {"digest": digest_of(data), "path": "assets/big.txt"},
                {"inline": "aGk", "path": "assets/tiny.txt"},
            ],
        }
        if self.environment:
            component["env"] = self.environment
        self.locked: dict[str, t.Any] = {
            "spin_lock_version": 0,
            "metadata": {"name": self.name, "trigger": {"type": "http"}, "triggers": {}, "version": "0.1.0"},
            "triggers": [
                {
                    "id": f"{self.name}-http-trigger",
                    "trigger_type": "http",
                    "trigger_config": {"component": self.name, "route": "/..."},
                }
            ],
            "components": [component],
        }
        self.config: dict[str, t.Any] = {
            "architecture": "wasm",
            "os": "wasip1",
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        self.label = True
        self.wrong_sizes = False

    @property
    def component(self) -> dict[str, t.Any]:
        component: dict[str, t.Any] = self.locked["components"][0]
        return component

    def push(self, registry: Registry, repository: str, *, index: bool = False) -> str:
        """Upload the artifact. With `index` it is wrapped in an index with an entry for linux/amd64.

        Returns:
            `host/repository@digest`.
        """
        verify: t.Any = ssl.create_default_context(cafile=registry.authority_file) if registry.authority_file else True
        with httpx2.Client(
            base_url=f"{registry.url}/v2/{repository}", auth=registry.auth, verify=verify, trust_env=False
        ) as client:
            locked = json.dumps(self.locked, separators=(",", ":")).encode()
            if self.label:
                self.config["config"] = {"Labels": {"com.fermyon.spin.lockedAppDigest": digest_of(locked)}}
            config = json.dumps(self.config).encode()
            layers = [*self.layers, (LAYER_LOCKED, locked)]
            for content in [config, *(content for _media_type, content in layers)]:
                _upload(client, content)
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
                "layers": [
                    {"mediaType": media_type, "digest": digest_of(content), "size": len(content) + self.wrong_sizes}
                    for media_type, content in layers
                ],
            }
            digest = _put_manifest(client, manifest)
            if index:
                size = len(json.dumps(manifest).encode())
                entry = {
                    "mediaType": MANIFEST,
                    "digest": digest,
                    "size": size,
                    "platform": {"os": "linux", "architecture": "amd64"},
                }
                digest = _put_manifest(
                    client,
                    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]},
                )
        return f"{registry.host}/{repository}@{digest}"


def push_program(registry: Registry, repository: str, program: Path) -> str:
    """Upload an image whose only file is a static program, which it runs.

    Returns:
        `host/repository@digest`.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as layer:
        entry = tarfile.TarInfo(program.name)
        entry.size, entry.mode = program.stat().st_size, 0o755
        with program.open("rb") as file:
            layer.addfile(entry, file)
    content = archive.getvalue()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": [f"/{program.name}"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(content)]},
        }
    ).encode()
    kinds = {"config": (CONFIG, config), "layer": ("application/vnd.oci.image.layer.v1.tar", content)}
    described = {
        name: {"mediaType": media_type, "digest": digest_of(blob), "size": len(blob)}
        for name, (media_type, blob) in kinds.items()
    }
    with httpx2.Client(base_url=f"{registry.url}/v2/{repository}", auth=registry.auth, trust_env=False) as client:
        for _media_type, blob in kinds.values():
            _upload(client, blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": described["config"],
            "layers": [described["layer"]],
        }
        return f"{registry.host}/{repository}@{_put_manifest(client, manifest)}"


def _upload(client: httpx2.Client, content: bytes) -> None:
    started = client.post("/blobs/uploads/").raise_for_status()
    location = urllib.parse.urljoin(str(started.request.url), started.headers["Location"])
    client.put(httpx2.URL(location).copy_add_param("digest", digest_of(content)), content=content).raise_for_status()


def _put_manifest(client: httpx2.Client, manifest: dict[str, t.Any]) -> str:
    content = json.dumps(manifest).encode()
    client.put(
        f"/manifests/{digest_of(content)}", content=content, headers={"Content-Type": manifest["mediaType"]}
    ).raise_for_status()
    return digest_of(content)
