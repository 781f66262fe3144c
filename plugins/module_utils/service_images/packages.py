# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python packages of an image: those of a lock file, as wheels for another Python and architecture than ours."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
import typing as t
import zipfile
from pathlib import Path

from ..download.binaries import MACHINES
from ..errors import PlatformError
from ..host.commands import run_command

NEWEST_GLIBC = 34
"""Minor version of the glibc that a base image has at least: that of Amazon Linux 2023 and RHEL 9."""
OLDEST_GLIBC = 17
DOWNLOAD_SECONDS = 900.0
SAID_LINES = 10

_DATA_ROOTS = ("purelib", "platlib")


@dataclasses.dataclass(frozen=True)
class Locked:
    """A package of a lock file that is for the image.

    Attributes:
        name: as the lock file has it.
        line: `NAME==VERSION` with its hashes, as pip takes it.
    """

    name: str
    line: str


def locked(lock: str, python: str, architecture: str) -> list[Locked]:
    """The packages of a lock file whose marker (PEP 508) is true in the image.

    Args:
        lock: its text, as `uv pip compile --generate-hashes` writes it.
        python: such as 3.13.
        architecture: amd64 or arm64.
    """
    from packaging.requirements import Requirement

    environment = {
        "extra": "",
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": MACHINES[architecture],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{python}.0",
        "python_version": python,
        "sys_platform": "linux",
    }
    found = []
    for entry in lock.replace("\\\n", " ").splitlines():
        text = entry.strip()
        if not text or text.startswith("#"):
            continue
        requirement, _space, hashes = text.partition(" --hash=")
        parsed = Requirement(requirement)
        if parsed.marker is None or parsed.marker.evaluate(environment):
            found.append(Locked(parsed.name, f"{parsed.name}{parsed.specifier} --hash={hashes}"))
    return found


def install(packages: t.Sequence[Locked], directory: Path, *, python: str, architecture: str) -> None:
    """Put the packages' files into a directory. pip downloads them and checks their hashes, with the settings that it
    has on this machine; nothing of theirs is run.

    Raises:
        PlatformError: pip cannot be run, or a package is not available for the image.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        wheels = Path(temporary)
        _download(packages, wheels, python, architecture)
        for wheel in sorted(wheels.glob("*.whl")):
            _unpack(wheel, directory)


def _download(packages: t.Sequence[Locked], target: Path, python: str, architecture: str) -> None:
    requirements = target / "requirements.txt"
    requirements.write_text("".join(f"{package.line}\n" for package in packages), encoding="utf-8")
    machine = MACHINES[architecture]
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    completed = run_command(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"),
            f"--python-version={python}",
            *(f"--platform={platform}" for platform in (*platforms, f"manylinux2014_{machine}")),
            f"--dest={target}",
            f"--requirement={requirements}",
        ],
        seconds=DOWNLOAD_SECONDS,
    )
    if completed.exit_code != 0:
        said = "\n".join((completed.error.strip() or completed.output.strip()).splitlines()[-SAID_LINES:])
        raise PlatformError(
            f"pip cannot download the packages of the images for Python {python} on {machine}: {said}",
            next_step="See that pip is installed for the Python that runs Ansible, and reaches its index "
            "(PIP_INDEX_URL, PIP_FIND_LINKS).",
        )


def _unpack(wheel: Path, directory: Path) -> None:
    """The files of a wheel (packaging.python.org, Binary distribution format), without scripts and headers."""
    with zipfile.ZipFile(wheel) as opened:
        for member in opened.infolist():
            path = member.filename
            top, _slash, below = path.partition("/")
            if top.endswith(".data"):
                root, _slash, path = below.partition("/")
                if root not in _DATA_ROOTS:
                    continue
            if not path or path.endswith("/"):
                continue
            if path.startswith("/") or ".." in path.split("/"):
                raise PlatformError(f"{wheel.name} holds the path {path!r}.", next_step="Do not use that package.")
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
            target.chmod(0o755 if member.external_attr >> 16 & 0o100 else 0o644)
