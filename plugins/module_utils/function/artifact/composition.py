# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins a component with its dependencies, as `spin registry push` does before it packs: the shim does not compose.

Spin's CLI has no command that only composes, so the program used is `wac` (https://github.com/bytecodealliance/wac);
with Spin installed alone the message says so. `wac plug` gives a dependency all that the component may do, hence only
components that say so are composed (Spin denies it otherwise through an adapter of its own, crates/compose/src/lib.rs).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ..compatibility.webassembly import read_binary
from ..manifest.model import Component, Manifest

TIMEOUT_SECONDS = 300


def compose(
    manifest: Manifest, component: Component, source: Path, *, work_directory: Path, fetch: t.Callable[[str, str], Path]
) -> Path:
    """The Wasm file to pack for `component`: `source` itself where it has no dependencies, else a new file in
    `work_directory`.

    Args:
        fetch: downloads (URL, digest) and gives the path.

    Raises:
        PlatformError: `wac` is missing or fails, or the dependencies cannot be composed without Spin.
    """
    if not component.dependencies:
        return source
    key = f"spin.toml: component.{component.id}.dependencies"
    program = shutil.which("wac")
    if program is None:
        raise PlatformError(
            f"{key}: {', '.join(component.dependencies)} must be composed into the component, and the program for it "
            "is not installed.",
            next_step="Install it with `cargo install wac-cli`, or compose in the component's `build.command` and "
            "drop `dependencies`.",
        )
    plugs: list[str] = []
    for name, dependency in component.dependencies.items():
        if not (component.dependencies_inherit_configuration or dependency.get("inherit_configuration") is True):
            raise PlatformError(
                f"{key}: {name} does not inherit the component's configuration; only Spin can fence it off.",
                next_step=f"Trust it with `dependencies_inherit_configuration = true` in [component.{component.id}], "
                "or compose it in the `build.command`.",
            )
        if dependency.get("export"):
            raise PlatformError(
                f"{key}: {name} takes the export {dependency['export']}, and wac joins what has the same name only.",
                next_step="Compose it in the `build.command` and drop it from `dependencies`.",
            )
        if "path" in dependency:
            plugs.append(str(manifest.directory / dependency["path"]))
        elif "url" in dependency:
            plugs.append(str(fetch(dependency["url"], dependency["digest"])))
        else:
            raise PlatformError(
                f"{key}: {name} comes from a component registry.",
                next_step="Download it once with `wkg get` and name it by `path`, or by `url` and `digest`.",
            )
    work_directory.mkdir(parents=True, exist_ok=True)
    composed = work_directory / f"{component.id}.composed.wasm"
    distinct = dict.fromkeys(plugs)  # one file may satisfy several imports, and wac refuses to take it twice
    command = [
        program,
        "plug",
        *(part for plug in distinct for part in ("--plug", plug)),
        str(source),
        "-o",
        str(composed),
    ]
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            env={**os.environ, "RUST_BACKTRACE": "0"},
        )
    except subprocess.CalledProcessError as error:
        raise PlatformError(
            f"{key}: wac could not compose it: {error.stderr.strip()[-2000:]}",
            next_step="See that the dependency exports what the component imports (`wasm-tools component wit FILE` "
            "shows both).",
            facts={"command": command, "exit_code": error.returncode, "output": error.stderr[-8000:]},
        ) from None
    except subprocess.TimeoutExpired:
        raise PlatformError(
            f"{key}: wac did not end within {TIMEOUT_SECONDS} s.",
            next_step="Run it by hand to see why.",
            facts={"command": command},
        ) from None
    _refuse_open_imports(component, composed, key)
    return composed


def _refuse_open_imports(component: Component, composed: Path, key: str) -> None:
    """wac ends well as soon as one dependency fits, and the others' imports would be missing at run time."""
    imports = read_binary(composed, key=key).imports
    for name in component.dependencies:
        missing = [
            found
            for found in imports
            if found == name or found.split("@")[0] == name or found.startswith(f"{name.split('@')[0]}/")
        ]
        if missing:
            raise PlatformError(
                f"{key}: {name} does not export {', '.join(missing)}, which the component imports.",
                next_step="See what it exports (`wasm-tools component wit FILE`), and take a version of it that fits.",
            )
