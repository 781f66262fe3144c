# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project whose function gives a fixed answer. It is built without a toolchain, as slowly as a test wants."""

from __future__ import annotations

import json
from pathlib import Path

from .function_project import component


class FixedAnswer:
    """The directory of a project. Its build prints `step 1`, waits for the file `gate` where there is to be one, and
    prints `step 2`."""

    def __init__(self, directory: Path, answer: str = "first", *, gate: Path | None = None, exit_code: int = 0) -> None:
        self.directory = directory
        directory.mkdir(parents=True)
        (directory / "base.bin").write_bytes(component())
        self.write(answer, gate=gate, exit_code=exit_code)

    def write(self, answer: str, *, gate: Path | None = None, exit_code: int = 0) -> None:
        """Change what the function answers and how its build goes."""
        (self.directory / "spin.toml").write_text(manifest(answer, "sh build.sh"))
        # Bounded, so that nothing is left of a test that was killed.
        waits = f"i=0\nwhile [ ! -e '{gate}' ] && [ $i -lt 1200 ]; do sleep 0.1; i=$((i + 1)); done\n" if gate else ""
        (self.directory / "build.sh").write_text(
            f"echo 'step 1'\n{waits}echo 'step 2'\ncp base.bin app.wasm\nexit {exit_code}\n"
        )


def manifest(answer: str, command: str) -> str:
    """A spin.toml with a fixed answer for all paths, and one secret variable that has a default."""
    return f"""
spin_manifest_version = 2

[application]
name = "fixed-answer"

[variables]
password = {{ default = "none", secret = true }}

[[trigger.http]]
route = "/..."
static_response = {{ status_code = 200, body = {json.dumps(answer)} }}

[component.main]
source = "app.wasm"
variables = {{ password = "{{{{ password }}}}" }}

[component.main.build]
command = {json.dumps(command)}
"""
