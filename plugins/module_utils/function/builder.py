# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the build step of a deployment runs: the interface, and the build on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t
from pathlib import Path

from .manifest.model import Manifest, RemoteSource

if t.TYPE_CHECKING:
    from .build.components import BuildOptions


class Builder(t.Protocol):
    """Does what the project decides and not we: runs its commands, and downloads what it names."""

    def built(self, manifest: Manifest, options: BuildOptions) -> contextlib.AbstractContextManager[list[str]]:
        """See `build.components.built_components`: inside of the context the outputs are in the project directory."""

    def fetch(self, url: str, digest: str) -> Path:
        """The file with exactly that digest (`sha256:…`), one of `downloads`; raises PlatformError. Called inside of
        the context of `built`."""


@dataclasses.dataclass(frozen=True)
class LocalBuilder:
    """Builds as processes of this machine; see `Builder`.

    Attributes:
        directory: keeps downloads between runs.
    """

    directory: Path

    def built(self, manifest: Manifest, options: BuildOptions) -> contextlib.AbstractContextManager[list[str]]:
        from .build.components import built_components

        return built_components(manifest, options)

    def fetch(self, url: str, digest: str) -> Path:
        from ..registry.remote_source import fetch

        return fetch(url, digest, self.directory)


def downloads(manifest: Manifest) -> dict[str, str]:
    """What is downloaded for the components and their dependencies: URL by digest."""
    found: dict[str, str] = {}
    for component in manifest.components.values():
        if isinstance(component.source, RemoteSource):
            found[component.source.digest] = component.source.url
        for dependency in component.dependencies.values():
            if "url" in dependency:
                found[dependency["digest"]] = dependency["url"]
    return found
