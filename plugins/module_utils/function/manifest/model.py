# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a spin.toml says, after version 1 was turned into version 2 and every default was filled in.

Names and meaning follow Spin's crates/manifest/src/schema/v2.rs (v4.0.2).
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from pathlib import Path

from .paths import Bounds


@dataclasses.dataclass(frozen=True)
class Variable:
    """An application variable; exactly one of `required` and `default` is given."""

    description: str | None = None
    required: bool = False
    default: str | None = None
    secret: bool = False


@dataclasses.dataclass(frozen=True)
class LocalSource:
    """A Wasm file; `path` is relative to the manifest's directory."""

    path: str


@dataclasses.dataclass(frozen=True)
class RemoteSource:
    """A Wasm file to download; `digest` is `sha256:<hex>`."""

    url: str
    digest: str


@dataclasses.dataclass(frozen=True)
class FilesMount:
    """Files to put below `destination` in the guest; `source` is a path relative to the manifest's directory."""

    source: str
    destination: str


@dataclasses.dataclass(frozen=True)
class Build:
    """How a component is built: shell commands run one after the other in `workdir` (relative to the manifest's
    directory)."""

    commands: tuple[str, ...]
    workdir: str = "."
    watch: tuple[str, ...] = ()
    command: str | list[str] = ""  # as written, since the locked application repeats it


@dataclasses.dataclass(frozen=True)
class Component:
    """One `[component.<id>]`."""

    id: str
    source: LocalSource | RemoteSource
    description: str = ""
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    files: tuple[str | FilesMount, ...] = ()
    exclude_files: tuple[str, ...] = ()
    allowed_outbound_hosts: tuple[str, ...] = ()
    key_value_stores: tuple[str, ...] = ()
    sqlite_databases: tuple[str, ...] = ()
    ai_models: tuple[str, ...] = ()
    build: Build | None = None
    dependencies: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    dependencies_inherit_configuration: bool = False


@dataclasses.dataclass(frozen=True)
class Trigger:
    """One `[[trigger.<type>]]`; `settings` is the rest of its table without `id` and `component`, which is empty for a
    trigger that gives a static response."""

    id: str
    type: str
    component: str
    settings: dict[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A whole spin.toml; `path` is the file, `directory` its directory (both absolute)."""

    path: Path
    name: str
    triggers: tuple[Trigger, ...]  # sorted by type, then in the order of the file
    components: dict[str, Component]  # in the order of the file, inline ones last
    version: str = ""
    description: str = ""
    authors: tuple[str, ...] = ()
    variables: dict[str, Variable] = dataclasses.field(default_factory=dict)
    # [application.trigger.<type>]
    trigger_settings: dict[str, dict[str, t.Any]] = dataclasses.field(default_factory=dict)
    profile: str | None = None
    # The directory that no path of the manifest leaves (absolute, without symbolic links); None: `directory`
    source_root: Path | None = None
    # Whether all files of `source_root` count as sources: the user named it, or a path leaves `directory`
    covers_source_root: bool = False

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def sources(self) -> Path:
        """The directory whose files count as the function's sources: that of the manifest, or the source root."""
        return self.source_root if self.source_root and self.covers_source_root else self.directory

    @property
    def bounds(self) -> Bounds:
        """How far the manifest's paths may lead."""
        directory = os.path.realpath(self.directory)
        return Bounds(directory, str(self.source_root or directory))

    def absolute(self, path: str) -> Path:
        """A path of the manifest, so that two ways to write it are one, through links of directories too."""
        written = self.directory / path
        return written.parent.resolve() / written.name
