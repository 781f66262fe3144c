# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples as tests use them: copies without what builds left, and the component of echo-wasi."""

from __future__ import annotations

import functools
import hashlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from .go_build import cache_directory, locked
from .servers import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
MADE_BY_BUILDS = shutil.ignore_patterns(
    "app.wasm", "main.wasm", "dist", "build", "target", "node_modules", "__pycache__", ".pytest_cache"
)
_ECHO_WASI = ("programs/echo-wasi", "functions/hello-go/wasihttp")
"""The example, and what its build takes from another one."""


def skip_without(name: str, *tools: str) -> None:
    """Skip the test where a tool that the example `name` is built with is missing, or Go's modules for it."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"{tool}, which {name} is built with, is not installed")
    if "go" in tools and not reaches("proxy.golang.org"):
        pytest.skip(f"proxy.golang.org, where {name} gets its packages, cannot be reached")


@functools.cache
def reaches(host: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(3)
        try:
            probe.connect((host, 443))
        except OSError:
            return False
    return True


def copy_of_echo_wasi(directory: Path) -> Path:
    """A copy of the example in `directory`; the test is skipped where it cannot be built."""
    skip_without("echo-wasi", "npm", "go")
    for name in _ECHO_WASI:
        shutil.copytree(EXAMPLES / name, directory / name, ignore=MADE_BY_BUILDS)
    return directory / _ECHO_WASI[0]


def built_echo_wasi() -> Path:
    """The component of echo-wasi, built once for each state of its sources."""
    cache = cache_directory("tests")
    with locked(cache), tempfile.TemporaryDirectory() as directory:
        copy = copy_of_echo_wasi(Path(directory))
        digest = hashlib.sha256()
        for path in sorted(path for path in Path(directory).rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(directory)}\0".encode() + path.read_bytes())
        result = cache / f"echo-wasi-{digest.hexdigest()[:16]}.wasm"
        if not result.exists():
            subprocess.run(["./build.sh"], cwd=copy, check=True, timeout=1800)
            shutil.move(copy / "dist" / "echo-wasi.wasm", result)
    return result
