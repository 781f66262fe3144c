# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment without a change imports: half of its time is imports (docs/performance.md)."""

from __future__ import annotations

import os
import subprocess
import sys

UTILS = "ansible_collections.wasmfaas.platform.plugins.module_utils"
NEEDED = ("function.spin_function", "spinkube.api", "spinkube.arguments", "spinkube.settings", "spinkube.target")
ONLY_FOR_CHANGES = (
    "function.artifact.pack",
    "function.build",
    "function.compatibility.check",
    "function.deployed_from",
    "kubernetes.pods",
    "local",
    "registry.distribution",
    "registry.ecr",
    "registry.signature",
    "registry.store",
    "spinkube.answers",
    "spinkube.lock",
    "spinkube.removal",
    "spinkube.rollout",
    "spinkube.undo",
    "spinkube.version_change",
    "spinkube.warm_pods",
)


def test_no_op_imports_nothing_that_only_a_change_needs() -> None:
    imports = "\n".join(f"import {UTILS}.{name}" for name in NEEDED)
    program = f"import sys\n{imports}\nprint(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)
    imported = set(done.stdout.split())
    assert {f"{UTILS}.{name}" for name in NEEDED} <= imported
    assert not {f"{UTILS}.{name}" for name in ONLY_FOR_CHANGES} & imported
    assert "tenacity" not in imported and "cryptography" not in imported
