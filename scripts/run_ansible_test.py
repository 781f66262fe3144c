# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs `ansible-test sanity` or `ansible-test units` over the working tree, uncommitted files included:
run_ansible_test.py sanity|units [ARGUMENT …].

ansible-test wants its current directory to be …/ansible_collections/<namespace>/<name> physically (a link does not do,
getcwd resolves it), and lists files with git. So the files that git knows or would know are copied to .ansible/sanity,
into a repository of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import types
import typing as t
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COPY = PROJECT / ".ansible/sanity/ansible_collections/wasmfaas/platform"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
BOOTSTRAP_HOST = "ci-files.testing.ansible.com"
# Run as `python SCRIPT pip==…`: the pip that comes with Python instead of a downloaded one.
BOOTSTRAP_SCRIPT = "import ensurepip\nensurepip.bootstrap()\n"
ARGUMENTS = {
    # Only the running Python: others would each need an installation of their own. pslint needs PowerShell, which no
    # file here is for.
    "sanity": ["--python", PYTHON_VERSION, "--skip-test", "pslint"],
    # With what tests/unit/requirements.txt says, in an environment of ansible-test's.
    "units": ["--venv", "--python", PYTHON_VERSION],
}


def main() -> int:
    """Copy, run, and give ansible-test's exit code."""
    command, *arguments = sys.argv[1:]
    copy_project()
    with pip_bootstrap():
        run = subprocess.run(
            [Path(sys.executable).parent / "ansible-test", command, *ARGUMENTS[command], "--color", "no", *arguments],
            cwd=COPY,
            check=False,
        )
    return run.returncode


def copy_project() -> None:
    """Make COPY equal to the working tree, without what git ignores. Files keep their time, so that ansible-test and
    mypy caches hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    wanted = {
        name
        for name in listed.stdout.decode().split("\0")
        if name and ((PROJECT / name).is_file() or (PROJECT / name).is_symlink())
    }
    for path in list(COPY.rglob("*")):
        relative = path.relative_to(COPY)
        if (
            (path.is_file() or path.is_symlink())
            and relative.parts[0] != ".git"
            and str(relative) not in wanted
            and relative.parts[:2] != ("tests", "output")
        ):
            path.unlink()
    for name in wanted:
        source, target = PROJECT / name, COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or target.is_symlink():
            target.unlink(missing_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
            continue
        if target.exists() and (target.stat().st_mtime_ns, target.stat().st_size) == (
            source.stat().st_mtime_ns,
            source.stat().st_size,
        ):
            continue
        shutil.copy2(source, target)
    if not (COPY / ".git").exists():
        subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)


@contextlib.contextmanager
def pip_bootstrap() -> t.Iterator[None]:
    """Where the host of ansible-test's pip bootstrap script cannot be reached, put a script of ours where it looks
    first; remove it afterwards.

    Each sanity test's environment starts with that script. Behind a mirror of PyPI it is the only thing that is
    missing.
    """
    from ansible_test._internal.python_requirements import get_venv_packages

    pip_version = get_venv_packages(types.SimpleNamespace(version=PYTHON_VERSION))["pip"]
    cached = Path.home() / ".ansible/test/cache" / f"get_pip_{pip_version.replace('.', '_')}.py"
    if cached.exists() or _reachable(BOOTSTRAP_HOST):
        yield
        return
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_text(BOOTSTRAP_SCRIPT, encoding="utf-8")
    try:
        yield
    finally:
        cached.unlink(missing_ok=True)


def _reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=5).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.exit(main())
