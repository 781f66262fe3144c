# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real programs that judge what role observability writes: promtool of Debian's package, the OpenTelemetry
collector built here."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..integration.support import go_build

COLLECTOR_SOURCES = Path(__file__).resolve().parent / "collector"
COLLECTOR_SECONDS = 3600.0


class ToolError(Exception):
    """A program can't be had; the message says why."""


def collector() -> Path:
    """The collector with the role's components: from the cache, or built into it (about 4 minutes on 2 cores the first
    time).

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
    """promtool from PATH, or out of Debian's package `prometheus`, unpacked into the cache: no server is installed or
    started.

    Raises:
        ToolError: it is not there and there is no such package.
    """
    found = shutil.which("promtool")
    if found:
        return Path(found)
    cache = go_build.cache_directory("promtool")
    with go_build.locked(cache):
        if not (cache / "promtool").exists():
            if not shutil.which("apt-get"):
                raise ToolError("promtool is not in PATH, and there is no apt-get to have it by.")
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _unpack(Path(folder), cache / "promtool")
    return cache / "promtool"


def _unpack(folder: Path, target: Path) -> None:
    for command in (["apt-get", "download", "prometheus"], ["sh", "-c", "dpkg-deb -x prometheus_*.deb ."]):
        finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        if finished.returncode != 0:
            raise ToolError(f"promtool is not in PATH, and {' '.join(command)} failed: {finished.stderr[-500:]}")
    (folder / "usr/bin/promtool").rename(target)
