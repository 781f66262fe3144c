# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""terraform fmt, validate and test, and the rules of tflint that matter here.

No package registry has the program tflint, so this module checks its rules terraform_documented_*,
terraform_typed_variables, terraform_naming_convention, terraform_unused_declarations, terraform_required_* and
terraform_standard_module_structure itself.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import hcl2
import pytest
from ansible_collections.wasmfaas.platform.scripts import terraform_docs

from .support import TERRAFORM, Terraform

MODULES = [TERRAFORM, *sorted(path for path in TERRAFORM.glob("modules/*") if path.is_dir())]
COMPLETE = [*MODULES, TERRAFORM / "examples/remote_state"]


def test_files_are_formatted(terraform: Terraform) -> None:
    assert terraform.run(TERRAFORM, "fmt", "-recursive", "-check", "-diff", expected=(0, 3)).stdout == ""


def test_configuration_is_valid(terraform: Terraform, initialized: Path) -> None:
    assert "Success" in terraform.run(initialized, "validate", "-no-color").stdout


def test_example_of_remote_state_is_valid(terraform: Terraform, initialized: Path) -> None:
    directory = initialized / "examples/remote_state"
    terraform.initialize(directory)
    assert "Success" in terraform.run(directory, "validate", "-no-color").stdout


def test_runs_with_the_mocked_provider_pass(terraform: Terraform, initialized: Path) -> None:
    filters = [f"-filter=tests/{name}.tftest.hcl" for name in ("defaults", "machines", "modules")]
    assert ", 0 failed." in terraform.run(initialized, "test", "-no-color", *filters).stdout


def test_each_validation_refuses_its_run(terraform: Terraform, tmp_path: Path) -> None:
    """Uses only the variables, since a provider would cost seconds for each run."""
    (tmp_path / "tests").mkdir()
    shutil.copy(TERRAFORM / "variables.tf", tmp_path)
    shutil.copy(TERRAFORM / "tests/validations.tftest.hcl", tmp_path / "tests")
    shutil.copytree(TERRAFORM / "tests/mocks", tmp_path / "tests/mocks")
    terraform.run(tmp_path, "init", "-no-color")
    assert ", 0 failed." in terraform.run(tmp_path, "test", "-no-color").stdout


def test_each_validated_variable_has_a_run() -> None:
    text = (TERRAFORM / "tests/validations.tftest.hcl").read_text(encoding="utf-8")
    for name, block in terraform_docs.blocks(TERRAFORM / "variables.tf", "variable").items():
        runs = len(re.findall(rf"expect_failures = \[var\.{name}\]", text))
        assert runs >= len(block.get("validation", [])), (
            f"{name} has {len(block['validation'])} validations and {runs} runs"
        )


def test_readme_tables_are_current() -> None:
    for readme, text in terraform_docs.readmes().items():
        assert readme.read_text(encoding="utf-8") == text, (
            f"{readme} is out of date. Next: python scripts/terraform_docs.py"
        )


@pytest.mark.parametrize("module", COMPLETE, ids=lambda path: path.name)
def test_variables_and_outputs_are_documented_typed_and_used(module: Path) -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in module.glob("*.tf"))
    variables = terraform_docs.blocks(module / "variables.tf", "variable")
    for name, block in variables.items():
        assert re.fullmatch("[a-z][a-z0-9_]*", name) and block.get("type") and len(block["description"]) > 10, name
        assert re.search(rf"\bvar\.{name}\b", text), f"variable {name} is not used"
    for name, block in terraform_docs.blocks(module / "outputs.tf", "output").items():
        assert re.fullmatch("[a-z][a-z0-9_]*", name) and len(block["description"]) > 10, name


@pytest.mark.parametrize("module", COMPLETE, ids=lambda path: path.name)
def test_modules_have_the_standard_files(module: Path) -> None:
    assert {"main.tf", "outputs.tf", "variables.tf", "versions.tf"} <= {path.name for path in module.glob("*.tf")}
    with (module / "versions.tf").open(encoding="utf-8") as file:
        (settings,) = hcl2.load(file)["terraform"]
    assert settings["required_version"] and "aws" in settings["required_providers"][0]
    for path in module.glob("*.tf"):
        with path.open(encoding="utf-8") as file:
            content = hcl2.load(file)
        assert ("variable" in content) == (path.name == "variables.tf") and (
            "output" not in content or path.name == "outputs.tf"
        ), path
        assert module in (TERRAFORM, TERRAFORM / "examples/remote_state") or "provider" not in content, (
            f"{path}: only the root may configure providers"
        )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_declarations_follow_the_naming_rule_and_are_used(module: Path) -> None:
    contents = []
    for path in sorted(module.glob("*.tf")):
        with path.open(encoding="utf-8") as file:
            contents.append(hcl2.load(file))
    text = "\n".join(path.read_text(encoding="utf-8") for path in module.glob("*.tf"))
    for content in contents:
        for values in content.get("locals", []):
            for name in values:
                if not name.startswith("__"):
                    assert re.search(rf"\blocal\.{name}\b", text), f"local {name} is not used"
        for entry in content.get("data", []):
            for kind, named in entry.items():
                for name in named:
                    assert re.search(rf"\bdata\.{kind.strip(chr(34))}\.{name.strip(chr(34))}\b", text), (
                        f"data {kind} {name} is not used"
                    )
        for entry in content.get("resource", []):
            for named in entry.values():
                assert all(re.fullmatch('"?[a-z][a-z0-9_]*"?', name) for name in named), named
