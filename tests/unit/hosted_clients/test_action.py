# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action for GitHub, run as GitHub runs it, against a stand-in for the service."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from .service_stand_in import TOKEN, URL, Plan, StandIn, serve

ACTION = Path(__file__).resolve().parents[3] / ".github/actions/deploy"


@pytest.mark.parametrize(("phase", "code"), [("Ready", 0), ("Failed", 1)])
def test_action_deploys(tmp_path: Path, phase: str, code: int) -> None:
    project = tmp_path / "a project"
    project.mkdir()
    (project / "spin.toml").write_text('[application]\nname = "shop"\n')
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    (step,) = action["runs"]["steps"]
    assert "${{" not in step["run"]
    stand_in = StandIn()
    stand_in.plans = [Plan(phase=phase)]
    output = tmp_path / "output"
    output.touch()
    with serve(stand_in) as url:
        given = {"service": url, "token": TOKEN, "directory": str(project), "name": "cart"}
        inputs = {name: given.get(name, about.get("default", "")) for name, about in action["inputs"].items()}
        environment = {
            name: re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], value)
            for name, value in step["env"].items()
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env={**os.environ, **environment, "GITHUB_ACTION_PATH": str(ACTION), "GITHUB_OUTPUT": str(output)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert done.returncode == code, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    assert output.read_text() == (f"url={URL}\n" if code == 0 else "")
    assert stand_in.made("POST") == ["/v1/tenants/user1/functions/cart/deployments"]
