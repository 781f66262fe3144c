# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source digest against `sha256sum` over the same tree."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_digest import source_digest

from .measure import Row

FILES, FILE_BYTES = 1000, 1_000_000
ROOT_FILES, ROOT_DIRECTORIES, ROOT_FILE_BYTES = 10_000, 100, 4_000
_MANIFEST = """
spin_manifest_version = 2
application = { name = "large" }
[[trigger.http]]
route = "/..."
component = "main"
[component.main]
source = "file-0.bin"
"""
_BUILD = """
[component.main.build]
command = "cargo build"
workdir = "../.."
"""


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "spin.toml").write_text(_MANIFEST)
        for index in range(FILES):
            (directory / f"file-{index}.bin").write_bytes(os.urandom(FILE_BYTES))
        ours, theirs = [], []
        for _round in range(4):  # by turns; the first, which may read from the disk, does not count
            started = time.monotonic()
            subprocess.run(
                ["sh", "-c", "find . -type f -print0 | xargs -0 sha256sum"],
                cwd=directory,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            theirs.append(time.monotonic() - started)
            started = time.monotonic()
            source_digest(read_manifest(directory))
            ours.append(time.monotonic() - started)
        our, their = min(ours[1:]), min(theirs[1:])
    result = f"{their / our:.2f} × ({1 / our:.2f} GB/s to {1 / their:.2f} GB/s)"
    return [
        Row(
            "Source digest of 1 GB in 1,000 files: speed to that of `sha256sum`", result, "≥ 0.5 ×", their / our >= 0.5
        ),
        _source_root(),
    ]


def _source_root() -> Row:
    """A function of a workspace, all of whose files count."""
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        project = top / "apps" / "large"
        project.mkdir(parents=True)
        (project / "spin.toml").write_text(_MANIFEST.replace('"file-0.bin"', '"../../target/large.wasm"') + _BUILD)
        for index in range(ROOT_FILES):
            directory = top / f"member-{index % ROOT_DIRECTORIES}" / "src"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"file-{index}.rs").write_bytes(os.urandom(ROOT_FILE_BYTES))
        taken = []
        for _round in range(4):
            started = time.monotonic()
            source_digest(read_manifest(project, source_root=top))
            taken.append(time.monotonic() - started)
    seconds = min(taken[1:])
    name = f"Source digest over a `source_root` of {ROOT_FILES:,} files of {ROOT_FILE_BYTES // 1000} kB"
    return Row(name, f"{seconds:.2f} s", "", None)
