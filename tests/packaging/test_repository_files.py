# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that other tools read in this repository name what is there: renovate, GitHub, pre-commit, ansible-builder."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path

import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.pinned import BASE_IMAGES

PROJECT = Path(__file__).resolve().parents[2]


def test_renovate_finds_the_versions() -> None:
    charts = _yaml("roles/platform/defaults/main.yml")["platform_charts"]
    found = [match for manager in _json("renovate.json")["customManagers"] for match in _matches(manager)]
    versions = {match["currentValue"] for match in found}
    assert versions >= {str(chart["version"]) for chart in charts.values()}
    assert _yaml("roles/k3s/defaults/main.yml")["k3s_version"] in versions
    assert _yaml("roles/wasm_shims/defaults/main.yml")["wasm_shims_catalogue"]["spin"]["version"] in versions
    bases = [base["image"].rpartition(":") for base in BASE_IMAGES.values()]
    assert {(image, tag) for image, _colon, tag in bases} <= {
        (match["depName"], match["currentValue"]) for match in found if "depName" in match.groupdict()
    }
    assert len(found) == len(charts) + 2 + len(bases)


def test_renovate_reads_versions_of_k3s() -> None:
    (k3s,) = [manager for manager in _json("renovate.json")["customManagers"] if manager["description"] == "k3s"]
    version = re.fullmatch(_python(k3s["versioningTemplate"].removeprefix("regex:")), "v1.36.4+k3s1")
    assert version is not None
    assert version.groupdict() == {"major": "1", "minor": "36", "patch": "4", "build": "1"}


def test_workflow_starts_what_is_there() -> None:
    (job,) = _yaml(".github/workflows/test.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert any(command.endswith(" .ci/run") for command in commands)
    assert (PROJECT / ".ci/run").is_file()
    assert all("@" in step["uses"] for step in job["steps"] if "uses" in step)


def test_issue_forms_ask_for_something() -> None:
    forms = [path for path in (PROJECT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) == 2
    for form in forms:
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(content)
        names = [field["id"] for field in content["body"]]
        assert len(set(names)) == len(names)
        assert all(field["attributes"]["label"] for field in content["body"])


def test_hooks_are_tools_that_the_tests_have() -> None:
    pinned = (PROJECT / "requirements-test.lock").read_text(encoding="utf-8")
    for repository in _yaml(".pre-commit-config.yaml")["repos"]:
        for hook in repository["hooks"]:
            program = hook["entry"].split()[0]
            assert program.startswith(".venv/bin/")
            assert re.search(rf"^{Path(program).name}==", pinned, re.MULTILINE), program


def test_execution_environment_names_files_that_the_collection_ships() -> None:
    ignored = _yaml("galaxy.yml")["build_ignore"]
    for name in _yaml("meta/execution-environment.yml")["dependencies"].values():
        assert (PROJECT / name).is_file()
        assert name not in ignored


def _matches(manager: dict[str, t.Any]) -> t.Iterator[re.Match[str]]:
    for pattern in manager["managerFilePatterns"]:
        candidates = [*PROJECT.glob("roles/*/defaults/main.yml"), *PROJECT.glob("plugins/module_utils/*/pinned.py")]
        files = [path for path in candidates if _is_named(pattern, path)]
        assert files, pattern
        for path in files:
            for string in manager["matchStrings"]:
                yield from re.finditer(_python(string), path.read_text(encoding="utf-8"))


def _is_named(pattern: str, path: Path) -> bool:
    return re.search(pattern.strip("/"), str(path.relative_to(PROJECT))) is not None


def _python(pattern: str) -> str:
    """A regular expression of JavaScript as Python's: named groups are written in another way."""
    return pattern.replace("(?<", "(?P<")


def _yaml(name: str) -> t.Any:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def _json(name: str) -> t.Any:
    return json.loads((PROJECT / name).read_text(encoding="utf-8"))
