# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the stand-in of k3s once for each version that it is to say it is: `python -m tests.k3s_double.build --version
v1.34.1+k3s1` prints the path."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.integration.support import go_build

SOURCES = Path(__file__).resolve().parent
DEFAULT_VERSION = "v1.34.1+k3s1"
BUILD_SECONDS = 3600.0
CACHE = "k3s-double"
KEPT = 3
"""States of the sources in the cache, and versions of k3s for each of them."""


def binary(version: str = DEFAULT_VERSION) -> Path:
    """The k3s to test with: the real one of the environment's K3S_BINARY, else the stand-in that calls itself
    `version`.

    The first build takes about 10 minutes on 2 cores, another version of the same sources costs only the linking.

    Raises:
        ValueError: `version` is not of the form v1.34.1+k3s1.
        go_build.BuildError: there is no Go of the version in go.mod, or the build failed.
    """
    named = os.environ.get("K3S_BINARY")
    if named:
        return Path(named).resolve(strict=True)
    found = re.fullmatch(r"v(\d+)\.(\d+)\.\d+\+k3s\d+", version)
    if found is None:
        raise ValueError(f"{version!r} is not a version of k3s, such as {DEFAULT_VERSION}")
    variables = _variables(version, found[1], found[2])

    def fill(directory: Path) -> None:
        go_build.build(SOURCES, directory / "k3s", variables=variables, seconds=BUILD_SECONDS)
        go_build.forget_all_but(go_build.cache_directory(CACHE), KEPT)

    sources = go_build.digest(SOURCES, patterns=("*.go", "*.txt", "*.yaml", "go.mod", "go.sum"))
    return go_build.filled_once(f"{CACHE}/{sources}", version, fill, kept=KEPT) / "k3s"


def _variables(version: str, major: str, minor: str) -> dict[str, str]:
    """What the linker sets: the version of k3s, and that of Kubernetes in /version, in the Nodes and in kubectl."""
    variables = {"main.Version": version}
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        variables |= {
            f"{package}.gitVersion": version,
            f"{package}.gitMajor": major,
            f"{package}.gitMinor": minor,
            f"{package}.gitTreeState": "clean",
        }
    return variables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--version", default=DEFAULT_VERSION, help=f"what it says its version is (default {DEFAULT_VERSION})"
    )
    print(binary(parser.parse_args().version))


if __name__ == "__main__":
    main()
