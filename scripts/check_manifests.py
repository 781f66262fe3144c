# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E402 (the collection is found only after its directory is in the path)
"""Checks every spin.toml below a directory as a deployment would, without building anything.

python scripts/check_manifests.py DIR, after `make setup`. With --source-root ROOT, the manifests may name what lies in
ROOT, as with the option source_root of a deployment; without it, what lies in the git repository of each.

Prints for each manifest that it is accepted, or its problems, and a summary. Exit code 0: all are accepted; 1: some are
refused; 2: there is none.
"""

from __future__ import annotations

import argparse
import os
import sys
import typing as t
from pathlib import Path

COLLECTIONS = Path(__file__).resolve().parent.parent / ".ansible/collections"
if not COLLECTIONS.is_dir():
    sys.exit(f"{COLLECTIONS} is missing, where the collection is found. Next: Run make setup.")
sys.path.insert(0, str(COLLECTIONS))

from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.manifest_file import MANIFEST_NAME
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_digest import SKIPPED_DIRECTORIES


def manifests(directory: Path) -> t.Iterator[Path]:
    """Every spin.toml below `directory`, sorted; not those inside of packages and caches."""
    for parent, directories, files in os.walk(directory):
        directories[:] = sorted(set(directories) - SKIPPED_DIRECTORIES)
        if MANIFEST_NAME in files:
            yield Path(parent, MANIFEST_NAME)


def main() -> int:
    """Check the manifests; returns the exit code."""
    parser = argparse.ArgumentParser(description="Check every spin.toml below a directory.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--source-root", type=Path, help="directory that no path of a manifest may leave")
    arguments = parser.parse_args()
    directory: Path = arguments.directory
    accepted = refused = 0
    for path in manifests(directory):
        try:
            read_manifest(path, source_root=arguments.source_root)
        except PlatformError as error:
            refused += 1
            print(f"{path}: refused\n  " + str(error).replace("\n", "\n  "))
        else:
            accepted += 1
            print(f"{path}: accepted")
    if not accepted + refused:
        print(f"{directory}: holds no {MANIFEST_NAME}; give a directory of Spin projects.", file=sys.stderr)
        return 2
    print(f"{accepted} accepted, {refused} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
