# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory that a push of a large layer takes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.integration.support.registries import Registry
from tests.integration.support.servers import build

from .measure import Row, environment

LAYER_BYTES = 500_000_000
_PUSH = """
import sys
from pathlib import Path
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact, Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.pack import file_blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import parse_registry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store
import hashlib, json
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
def small(media_type, data):
    return Blob(media_type, "sha256:" + hashlib.sha256(data).hexdigest(), len(data), data=data)
idle = peak()
layer = file_blob(Path(sys.argv[2]), "application/vnd.wasm.content.layer.v1+wasm")
config = small("application/vnd.oci.image.config.v1+json", b"{}")
manifest = small("application/vnd.oci.image.manifest.v1+json", json.dumps({
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": config.descriptor(), "layers": [layer.descriptor()],
}).encode())
store = open_store(parse_registry(sys.argv[1]), plain_http=True)
store.push("large", Artifact(manifest, config, (layer,), {}), tag="x")
print((peak() - idle) / 1000)
"""


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        layer = directory / "layer.wasm"
        with layer.open("wb") as stream:
            for _block in range(LAYER_BYTES // 10_000_000):
                stream.write(os.urandom(10_000_000))
        registry = Registry(build(), directory / "registry")
        try:
            command = [sys.executable, "-c", _PUSH, f"{registry.host}/bench", str(layer)]
            output = subprocess.run(command, env=environment(), check=True, capture_output=True, text=True).stdout
        finally:
            registry.stop()
    megabytes = float(re.findall(r"[\d.]+", output)[-1])
    return [
        Row("Memory of a push with a layer of 500 MB, above idle", f"{megabytes:.0f} MB", "< 100 MB", megabytes < 100)
    ]
