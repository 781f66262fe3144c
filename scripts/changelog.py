# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes CHANGELOG.rst, with the fragments of changelogs/fragments as the changes of the next version.

antsibull-changelog renders released versions only, and a release takes the fragments away. So the release is made in a
copy, of which nothing but the page is kept.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "CHANGELOG.rst"
NEEDED = ("changelogs", "galaxy.yml", "meta", "playbooks", "plugins", "roles")


def page() -> str:
    """The page as it must be.

    Raises:
        subprocess.CalledProcessError: a fragment is wrong, or the version of galaxy.yml was released before.
    """
    with tempfile.TemporaryDirectory() as workspace:
        copy = Path(workspace, "ansible_collections/wasmfaas/platform")
        copy.mkdir(parents=True)
        for name in NEEDED:
            source = PROJECT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
            else:
                shutil.copy2(source, copy / name)
        step = "release" if any((copy / "changelogs/fragments").glob("*.y*ml")) else "generate"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        subprocess.run(
            [Path(sys.executable).parent / "antsibull-changelog", step],
            cwd=copy,
            env={**environment, "ANSIBLE_HOME": workspace},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return (copy / PAGE.name).read_text(encoding="utf-8")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
