# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""axe-core, which finds what keeps people with disabilities from using a page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import Page

from .go_build import cache_directory, locked

VERSION = "4.14.1"


def axe_script() -> str:
    """The script for a browser, from npm's registry once; the test is skipped where it cannot be had."""
    cache = cache_directory("tests")
    with locked(cache):
        file = cache / f"axe-core-{VERSION}.js"
        if not file.exists():
            _fetch(file)
        return file.read_text("utf-8")


def _fetch(file: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm, which gets axe-core, is not installed")
    with tempfile.TemporaryDirectory() as directory:
        packed = subprocess.run(
            ["npm", "pack", f"axe-core@{VERSION}"],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if packed.returncode:
            pytest.skip(f"axe-core {VERSION} cannot be had from npm's registry: {packed.stderr[-300:]}")
        with tarfile.open(Path(directory) / f"axe-core-{VERSION}.tgz") as archive:
            member = archive.extractfile("package/axe.min.js")
            assert member is not None
            partial = file.with_suffix(".partial")
            partial.write_bytes(member.read())
            os.replace(partial, file)


def violations(page: Page, script: str) -> list[str]:
    """What is wrong with the page that is shown, a line for each element."""
    page.evaluate(script)
    found = json.loads(page.evaluate("axe.run().then((result) => JSON.stringify(result.violations))"))
    return [
        f"{rule['id']}: {rule['help']}: {node['html'][:200]} {node.get('failureSummary', '')}"
        for rule in found
        for node in rule["nodes"]
    ]
