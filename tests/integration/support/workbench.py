# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component with a path for each thing that a test wants a function to do (components/workbench)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from .go_build import cache_directory, locked

COMPONENTS = Path(__file__).resolve().parents[1] / "components"


def built_workbench() -> Path:
    """The component's file, built once for each state of its source and requirements."""
    cache = cache_directory("tests")
    with locked(cache):
        return _built_in(cache)


def _built_in(cache: Path) -> Path:
    requirements = (COMPONENTS / "requirements.txt").read_bytes()
    source = COMPONENTS / "workbench" / "app.py"
    digest = hashlib.sha256(requirements + source.read_bytes()).hexdigest()[:16]
    result = cache / f"workbench-{digest}.wasm"
    if not result.exists():
        environment = cache / f"componentize-{hashlib.sha256(requirements).hexdigest()[:16]}"
        if not (environment / ".complete").exists():
            subprocess.run([sys.executable, "-m", "venv", environment], check=True)
            subprocess.run(
                [environment / "bin" / "pip", "install", "--quiet", "-r", COMPONENTS / "requirements.txt"], check=True
            )
            (environment / ".complete").touch()
        partial = result.with_suffix(".partial")
        search_path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [environment / "bin" / "componentize-py", "-w", "spin-http", "componentize", "app", "-o", partial],
            cwd=source.parent,
            env={**os.environ, "PATH": search_path, "VIRTUAL_ENV": str(environment)},
            check=True,
        )
        partial.rename(result)
    return result
