# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds Cargo projects of tests/real_parts into the cache of go_build.py, once for the same sources."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

from . import go_build
from .real_parts import BUILD_SECONDS, SOURCES, PartMissingError
from .servers import ServerError


@dataclasses.dataclass(frozen=True)
class CargoPart:
    """A Cargo project of tests/real_parts, built as `real_parts.RealPart` is.

    Attributes:
        name: Name of its directory there and, with dashes, of its directory in the cache.
        program: Name of its program.
        needs: Programs that the build runs, with the Debian packages that have them.
        libraries: Libraries that it links, as pkg-config names them, with their Debian packages.
    """

    name: str
    program: str
    needs: dict[str, str]
    libraries: dict[str, str]

    @property
    def sources(self) -> Path:
        return SOURCES / self.name

    @property
    def _key(self) -> str:
        return go_build.digest(self.sources, patterns=("*.rs", "Cargo.toml", "Cargo.lock"))

    def built(self) -> Path | None:
        """The directory with the program for the current sources; None if it is not built yet."""
        directory = go_build.cache_directory(self.name.replace("_", "-")) / self._key
        return directory if directory.is_dir() else None

    def build(self) -> Path:
        """The directory of `built`, which is built if it is missing.

        Raises:
            PartMissingError: a program that the build needs is not installed.
            ServerError: the build failed.
        """
        return go_build.filled_once(self.name.replace("_", "-"), self._key, self._build_into, kept=2)

    def _missing(self) -> dict[str, str]:
        """What the build needs and this machine lacks, with its package."""
        programs = {name: package for name, package in self.needs.items() if shutil.which(name) is None}
        if "pkg-config" in programs:
            return {**programs, **self.libraries}
        return programs | {
            name: package
            for name, package in self.libraries.items()
            if subprocess.run(["pkg-config", "--exists", name], check=False).returncode
        }

    def _build_into(self, directory: Path) -> None:
        if missing := self._missing():
            raise PartMissingError(
                f"{self.name} cannot be built here, {', '.join(missing)} not installed: "
                f"apt-get install {' '.join(missing.values())}"
            )
        target = Path(os.environ.get("CARGO_TARGET_DIR") or directory / "target")
        command = ["cargo", "build", "--release", "--locked", "--target-dir", str(target)]
        finished = subprocess.run(
            command, cwd=self.sources, check=False, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
        if finished.returncode:
            raise ServerError(f"{' '.join(command)} failed in {self.sources}:\n{finished.stderr[-4000:]}")
        shutil.copy2(target / "release" / self.program, directory / self.program)
        if target.is_relative_to(directory):
            shutil.rmtree(target)
