# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small Spin project for tests. Its build makes the component in a few milliseconds, without a compiler."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

COMPONENT = b"\0asm\x0d\0\x01\0"
HANDLER = "wasi:http/incoming-handler@0.2.0"

_BUILD = """
import pathlib

message = pathlib.Path("message.txt").read_bytes()
section = bytes([4]) + b"text" + message  # a custom section
assert len(section) < 128
pathlib.Path("app.wasm").write_bytes(pathlib.Path("base.bin").read_bytes() + bytes([0, len(section)]) + section)
"""


def component(export: str = HANDLER) -> bytes:
    """The smallest binary that is a component with one export. It cannot run."""
    name = export.encode()
    body = bytes([1, 0, len(name)]) + name + bytes([5, 0, 0])
    return COMPONENT + bytes([11, len(body)]) + body


class FunctionProject:
    """The directory of a project. `write` changes the source, so that a build makes another component."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        directory.mkdir(parents=True)
        (directory / "base.bin").write_bytes(component())
        (directory / "build.py").write_text(_BUILD)
        self.manifest()
        self.write("first")

    @classmethod
    def existing(cls, directory: Path, name: str) -> FunctionProject:
        """A project that was not made by this class; `write` and `manifest` do not work for it."""
        project = cls.__new__(cls)
        project.directory, project.name = directory, name
        return project

    def manifest(
        self,
        *,
        behaviour: str = "",
        source: str = "app.wasm",
        command: str = "python3 build.py",
        workdir: str = ".",
        variables: str = "",
        component_variables: str = "",
        more: str = "",
    ) -> None:
        """Write spin.toml. `behaviour` tells the stand-in for the shim what the pods do."""
        environment = f'environment = {{ STAND_IN_BEHAVIOUR = "{behaviour}" }}' if behaviour else ""
        (self.directory / "spin.toml").write_text(f'''
spin_manifest_version = 2

[application]
name = "{self.name}"

[variables]
{variables}

[[trigger.http]]
route = "/..."
component = "main"

[component.main]
source = "{source}"
{environment}
{component_variables}
{more}

[component.main.build]
command = {json.dumps(command)}
workdir = "{workdir}"
''')

    def write(self, message: str) -> None:
        (self.directory / "message.txt").write_text(message)


class BuiltFunction:
    """A function whose component was built before; another `version` of its manifest is another artifact of the same
    component."""

    def __init__(self, directory: Path, component: Path, name: str) -> None:
        directory.mkdir(parents=True)
        shutil.copyfile(component, directory / "base.bin")
        self.project = FunctionProject.existing(directory, name)
        self.version("1")

    def version(self, version: str, *, behaviour: str = "", variable: str = "") -> FunctionProject:
        """Write the manifest.

        Args:
            behaviour: Of the played shim (tests/servers/README.md).
            variable: Name of a secret variable that a deployment must give a value.
        """
        declared = f"[variables]\n{variable} = {{ required = true, secret = true }}" if variable else ""
        used = f'variables = {{ {variable} = "{{{{ {variable} }}}}" }}' if variable else ""
        (self.project.directory / "spin.toml").write_text(f"""
spin_manifest_version = 2

[application]
name = "{self.project.name}"
version = "{version}"

{declared}

[[trigger.http]]
route = "/..."
component = "hello"

[component.hello]
source = "app.wasm"
environment = {{ STAND_IN_BEHAVIOUR = "{behaviour}" }}
{used}

[component.hello.build]
command = "cp base.bin app.wasm"
""")
        return self.project
