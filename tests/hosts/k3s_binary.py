# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chooses the k3s of the test hosts: a real one if environment variables name it, else the stand-in of
tests/k3s_double.

    K3S_BINARY=/path/k3s      a real binary; the scenario `upgrade` goes to K3S_UPGRADE_BINARY=/path
    K3S_VERSION=v1.36.4+k3s1  a real version that the roles download; `upgrade` goes to K3S_UPGRADE_VERSION

`python -m tests.hosts.k3s_binary --version v1.34.1+k3s1` prints the path of the stand-in (or of K3S_BINARY);
`--inventory FILE` writes the variables of the roles.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import re
import sys
import typing as t
from pathlib import Path

import yaml

from .errors import HostsError, call

STAND_IN_VERSION = "v1.34.1+k3s1"
STAND_IN_UPGRADE_VERSION = "v1.35.2+k3s1"
SHIM = """#!/bin/sh
# In the place of the real shim, which is downloaded from GitHub: k3s only looks whether it is in PATH.
echo "a stand-in of containerd-shim-spin-v2, made by tests/hosts: it runs nothing" >&2
exit 1
"""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclasses.dataclass(frozen=True)
class K3s:
    """A version of k3s for the test hosts.

    Attributes:
        binary: None if the roles download it.
        origin: says whether it is real or the stand-in.
    """

    version: str
    binary: Path | None
    origin: str

    def variables(self) -> dict[str, t.Any]:
        """The variables with which the roles install it."""
        return {"k3s_version": self.version, "k3s_binaries": {architecture(): str(self.binary)} if self.binary else {}}


def architecture() -> str:
    return _ARCHITECTURES.get(platform.machine(), platform.machine())


def selected(*, upgrade: bool = False, environment: t.Mapping[str, str] | None = None) -> K3s:
    """The version that the hosts start with or, with `upgrade`, are upgraded to.

    Raises:
        HostsError: only one of the two versions is a real one, or the file is not k3s.
    """
    environment = os.environ if environment is None else environment
    infix = "UPGRADE_" if upgrade else ""
    real = [
        name
        for name in ("K3S_BINARY", "K3S_VERSION", "K3S_UPGRADE_BINARY", "K3S_UPGRADE_VERSION")
        if environment.get(name)
    ]
    if path := environment.get(f"K3S_{infix}BINARY"):
        binary = Path(path).resolve()
        return K3s(version_of(binary), binary, f"real binary {binary}")
    if version := environment.get(f"K3S_{infix}VERSION"):
        return K3s(version, None, "real binary, downloaded")
    if real:
        raise HostsError(
            f"{real[0]} names a real k3s: name the other one too, by K3S_{infix}BINARY or K3S_{infix}VERSION"
        )
    version = STAND_IN_UPGRADE_VERSION if upgrade else STAND_IN_VERSION
    return K3s(version, stand_in(version), "stand-in of tests/k3s_double")


def origin(environment: t.Mapping[str, str] | None = None) -> str:
    """Says whether tests of this process run a real k3s, without building or running anything."""
    environment = os.environ if environment is None else environment
    named = [f"{name}={environment[name]}" for name in ("K3S_BINARY", "K3S_VERSION") if environment.get(name)]
    return f"real, {named[0]}" if named else "the stand-in of tests/k3s_double"


def version_of(binary: Path) -> str:
    """The version that a k3s binary prints.

    Raises:
        HostsError: it prints none.
    """
    output = call([str(binary), "--version"])
    found = re.search(r"^k3s version (\S+)", output, re.MULTILINE)
    if not found:
        raise HostsError(f"{binary} is not k3s: it prints {output[:200]!r}")
    return found[1]


def stand_in(version: str) -> Path:
    """The stand-in that reports `version`, from the cache. The first build takes many minutes."""
    from ..k3s_double import build

    return Path(build.binary(version))


def inventory(directory: Path, k3s: K3s) -> dict[str, t.Any]:
    """An inventory with the variables of `k3s`, and of a stand-in of the shim that is written to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    shim = directory / "containerd-shim-spin-v2"
    shim.write_text(SHIM)
    shim.chmod(0o755)
    return {"all": {"vars": {**k3s.variables(), "wasm_shims_binaries": {"spin": {architecture(): str(shim)}}}}}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.hosts.k3s_binary", description="Chooses the k3s of the test hosts."
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--version", help="print the path of a binary of this version")
    what.add_argument(
        "--inventory",
        type=Path,
        metavar="FILE",
        help="write the roles' variables; the shim's stand-in goes into ../programs beside FILE's directory",
    )
    parser.add_argument("--upgrade", action="store_true", help="choose the version that the upgrade goes to")
    options = parser.parse_args(arguments)
    try:
        if options.version:
            print(os.environ.get("K3S_BINARY") or stand_in(options.version))
        else:
            k3s = selected(upgrade=options.upgrade)
            options.inventory.parent.mkdir(parents=True, exist_ok=True)
            options.inventory.write_text(
                yaml.safe_dump(inventory(options.inventory.resolve().parent.parent / "programs", k3s))
            )
            print(f"k3s {k3s.version}: {k3s.origin}")
    except HostsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
