# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real programs that check what the role observability writes: promtool from Debian's package, and the
OpenTelemetry collector, which is built here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..integration.support import go_build

COLLECTOR_SOURCES = Path(__file__).resolve().parent / "collector"
COLLECTOR_SECONDS = 3600.0


class ToolError(Exception):
    """A program is not available. The message says why."""


def collector() -> Path:
    """The collector with the role's components, from the cache. The first call builds it, which takes about 4 minutes
    on 2 cores.

    Raises:
        ToolError: it does not build.
    """

    def fill(directory: Path) -> None:
        go_build.build(COLLECTOR_SOURCES, directory / "collector", seconds=COLLECTOR_SECONDS)

    try:
        return go_build.filled_once("collector", go_build.digest(COLLECTOR_SOURCES), fill, kept=2) / "collector"
    except go_build.BuildError as error:
        raise ToolError(str(error)) from error


def promtool() -> Path:
    """promtool from PATH, or from Debian's package `prometheus`, which is unpacked into the cache without installing or
    starting a server.

    Raises:
        ToolError: it is not in PATH, and the package cannot be downloaded.
    """
    found = shutil.which("promtool")
    if found:
        return Path(found)
    cache = go_build.cache_directory("promtool")
    with go_build.locked(cache):
        if not (cache / "promtool").exists():
            if not shutil.which("apt-get"):
                raise ToolError("promtool is not in PATH, and there is no apt-get to download it.")
            with tempfile.TemporaryDirectory(dir=cache) as directory:
                _unpack(Path(directory), cache / "promtool")
    return cache / "promtool"


def _unpack(directory: Path, target: Path) -> None:
    for command in (["apt-get", "download", "prometheus"], ["sh", "-c", "dpkg-deb -x prometheus_*.deb ."]):
        finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
        if finished.returncode != 0:
            raise ToolError(f"promtool is not in PATH, and {' '.join(command)} failed: {finished.stderr[-500:]}")
    (directory / "usr/bin/promtool").rename(target)
