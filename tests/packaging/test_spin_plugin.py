# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a plugin of Spin."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]


def test_plugin_is_the_command(tmp_path: Path) -> None:
    script = PROJECT / "scripts/spin_plugin.py"
    subprocess.run([sys.executable, script, "https://example.com/v1/", tmp_path], check=True, timeout=60)
    manifest = json.loads((tmp_path / "wasmfaas.json").read_text())
    keys = {"name", "description", "homepage", "version", "spinCompatibility", "license", "packages"}
    assert set(manifest) == keys
    assert manifest["version"] == yaml.safe_load((PROJECT / "galaxy.yml").read_text())["version"]
    package = (tmp_path / "wasmfaas.tar.gz").read_bytes()
    assert {one["sha256"] for one in manifest["packages"]} == {hashlib.sha256(package).hexdigest()}
    assert {one["url"] for one in manifest["packages"]} == {"https://example.com/v1/wasmfaas.tar.gz"}
    assert {(one["os"], one["arch"]) for one in manifest["packages"]} >= {("linux", "amd64"), ("macos", "aarch64")}

    with tarfile.open(tmp_path / "wasmfaas.tar.gz") as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    plugin = tmp_path / "unpacked" / manifest["name"]  # what Spin runs
    done = subprocess.run([plugin, "--version"], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == manifest["version"]
