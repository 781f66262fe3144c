# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user data of an autoscaled group, as terraform/modules/node_group renders it."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "terraform/modules/node_group"


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What join_cluster.py reads; `taints` as KEY=VALUE:EFFECT."""

    cluster: str
    group: str
    bucket: str
    bundle_parameter: str
    token_parameter: str
    server: str
    seconds: int
    labels: dict[str, str]
    taints: list[str]


def render(configuration: Configuration) -> str:
    """By the same substitution as Terraform's; test_autoscaled_join.py compares it with Terraform's own."""
    # jsonencode: keys sorted, no spaces, and these three characters escaped.
    text = json.dumps(dataclasses.asdict(configuration), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    template = (MODULE / "files/user_data.sh.tftpl").read_text()
    values = {"configuration": text, "program": (MODULE / "files/join_cluster.py").read_text()}
    return re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template)


def render_by_terraform(configuration: Configuration, terraform: str, directory: Path) -> str:
    """The module's own expression, without its resources and so without a provider. `terraform`: the program;
    `directory`: an empty one."""
    (found,) = re.findall(r"^locals \{.*?^\}", (MODULE / "main.tf").read_text(), re.MULTILINE | re.DOTALL)
    (directory / "locals.tf").write_text(found + "\n")
    shutil.copy(MODULE / "variables.tf", directory)
    shutil.copytree(MODULE / "files", directory / "files")
    parts = [re.fullmatch(r"(.+)=(.*):(\w+)", taint) for taint in configuration.taints]
    variables = {
        "name": configuration.cluster,
        "group": configuration.group,
        "labels": configuration.labels,
        "taints": [{"key": part[1], "value": part[2], "effect": part[3]} for part in parts if part],
        "join": {
            key: getattr(configuration, key)
            for key in ("bucket", "bundle_parameter", "token_parameter", "server", "seconds")
        },
        # Not in the user data.
        "image_id": "",
        "instance_types": ["t4g.xlarge"],
        "spot": True,
        "minimum": 0,
        "maximum": 1,
        "subnet_ids": [],
        "security_group_ids": [],
        "instance_profile_name": "",
        "public_address": True,
        "root_device_name": "",
        "root_volume_gib": 8,
        "metadata_hop_limit": 2,
        "target_group_arns": [],
        "tags": {},
    }
    (directory / "terraform.tfvars.json").write_text(json.dumps(variables))
    done = subprocess.run(
        [terraform, f"-chdir={directory}", "console"],
        input="jsonencode(local.user_data)\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"},
    )
    if done.returncode:
        raise AssertionError(f"terraform console ended with {done.returncode}:\n{done.stderr}")
    return str(json.loads(json.loads(done.stdout)))
