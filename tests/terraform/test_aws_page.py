# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of docs/aws.md, as a reader types them: what they name exists in the default fleet on the moto server,
and those that only read are run there.

tests/packaging/test_commands.py holds playbooks, inventories and variables of all pages against the repository.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import typing as t
from pathlib import Path

import botocore.session
import pytest
import yaml
from ansible_collections.wasmfaas.platform.scripts import cost
from ansible_collections.wasmfaas.platform.tests.aws_journey import page
from botocore import xform_name

from .fleet import VARIABLES, Fleet
from .support import PROJECT, TERRAFORM, resources, terraform_program

PAGE = page.PAGE.read_text(encoding="utf-8")
PROGRAMS = (
    "ansible",
    "ansible-galaxy",
    "ansible-inventory",
    "ansible-playbook",
    "aws",
    "cd",
    "cp",
    "export",
    "kubectl",
)
TERRAFORM_COMMANDS = ("init", "apply", "destroy", "output")


def commands(program: str) -> list[list[str]]:
    """Arguments of each call of `program`, in blocks of code and in the text."""
    lines = [line.strip() for block in page.code(PAGE) for line in block.splitlines()]
    lines += [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", PAGE)]
    parts = [part.strip() for line in lines for part in re.split(r" \| | && ", line)]
    return [shlex.split(part, comments=True) for part in parts if part.startswith(f"{program} ")]


def test_every_line_of_code_is_a_known_command_or_setting() -> None:
    variables = _terraform_variables() | _role_variables()
    lines = [line.strip() for block in page.code(PAGE) for line in block.splitlines() if line.strip()]
    assert len(lines) > 25
    for line in lines:
        if setting := re.match(r"(\w+)(?: =|:) ", line):
            assert setting[1] in variables, line
        elif not line.startswith("#"):
            assert line.split()[0] in (*PROGRAMS, "terraform"), line


def test_terraform_is_told_addresses_and_variables_that_exist(fleet: Fleet) -> None:
    known = resources(fleet.directory)
    calls = commands("terraform")
    assert len(calls) > 8
    addresses = []
    for _program, *arguments in calls:
        directories = [argument for argument in arguments if argument.startswith("-chdir=")]
        assert all(directory == "-chdir=terraform" for directory in directories)
        command, *options = [argument for argument in arguments if argument not in directories]
        assert command in TERRAFORM_COMMANDS, arguments
        addresses += [option.partition("=")[2] for option in options if re.match("-(replace|target)=", option)]
        for option, value in itertools.pairwise(options):
            assert option != "-var" or value.partition("=")[0] in _terraform_variables(), value
        if command == "output":
            names = [option for option in options if not option.startswith("-")]
            assert set(names) <= {*fleet.terraform.outputs(fleet.directory)}, names
    assert len(addresses) == 3
    assert [address for address in addresses if address not in known] == []


def test_terraform_runs_in_its_directory() -> None:
    """A reader stands in the checkout, except between `cd terraform` and `cd ..`."""
    inside, outside = False, []
    for line in (line.strip() for block in page.code(PAGE) for line in block.splitlines()):
        inside = line == "cd terraform" or (inside and line != "cd ..")
        if line.startswith("terraform ") and not inside and "-chdir=terraform" not in line:
            outside.append(line)
    assert outside == [] and not inside


def test_the_images_of_the_service_are_published_before_the_cluster_waits_for_them() -> None:
    lines = [line.strip() for block in page.code(PAGE) for line in block.splitlines()]
    publish, site = (f"ansible-playbook {name} -i inventories/aws" for name in ("publish-images.yml", "site.yml"))
    assert lines.index(publish) < lines.index(site)


def test_the_inventory_lists_what_the_page_names(fleet: Fleet) -> None:
    (graph,) = [call for call in commands("ansible-inventory") if "--graph" in call]
    assert graph[1:3] == ["-i", "inventories/aws"]
    listed = fleet.ansible("ansible-inventory", (PROJECT / "inventories/aws",), *graph[3:])
    patterns = {call[1] for call in commands("ansible")}
    assert len(patterns) >= 3
    for pattern in patterns:
        for name in pattern.split(":"):
            assert re.search(rf"(--|@){re.escape(name)}\b", listed), name
    assert len(set(re.findall(r"--(wasmfaas-[\w-]+)", listed))) == 5, "the page says five hosts"


@pytest.mark.parametrize(("exit_code", "passes"), [(0, True), (2, True), (1, False)])
def test_waiting_for_cloud_init_passes_with_its_warnings(exit_code: int, passes: bool, tmp_path: Path) -> None:
    """It ends with 2 for an error that it recovered from, such as a deprecated key (cloud-init, explanation/
    failure_states)."""
    (command,) = [call[-1] for call in commands("ansible") if "cloud-init" in call[-1]]
    (call,) = [call for call in commands("ansible") if "cloud-init" in call[-1]]
    assert "ansible.builtin.shell" in call, "the module command knows no ||"
    program = tmp_path / "cloud-init"
    program.write_text(f'#!/bin/sh\ntest "$*" = "status --wait" && exit {exit_code}\n', encoding="utf-8")
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], env=environment, check=False)
    assert (done.returncode == 0) == passes


def test_the_aws_cli_has_the_commands_and_options() -> None:
    """Its commands are the operations of the services (botocore's models, from which the CLI is made)."""
    session = botocore.session.get_session()
    checked = 0
    for _program, service, command, *options in commands("aws"):
        if service == "sso":
            continue  # a command of the CLI alone
        model = session.get_service_model(service)
        operations = {xform_name(name, "-"): name for name in model.operation_names}
        assert command in operations, f"aws {service} {command}"
        shape = model.operation_model(operations[command]).input_shape
        members = {xform_name(name, "-") for name in shape.members} if shape else set()
        for option in options:
            assert not option.startswith("--") or option[2:] in members, f"aws {service} {command} {option}"
        checked += 1
    assert checked >= 6


def test_the_example_of_the_variables_is_refused_until_it_is_filled_in(tmp_path: Path) -> None:
    terraform_program()
    example = TERRAFORM / "terraform.tfvars.example"
    with pytest.raises(cost.CostError) as refused:
        cost.read_variables(example)
    for name in ("ssh_public_key", "admin_cidrs"):
        assert f"{name} must" in " ".join(str(refused.value).split()), refused.value
    filled = tmp_path / "terraform.tfvars"
    text = example.read_text(encoding="utf-8").replace("YOUR_ADDRESS", "198.51.100.7")
    text = re.sub(r'"ssh-ed25519 [^"]*"', f'"{VARIABLES["ssh_public_key"]}"', text)
    filled.write_text(text.replace("# node_group_changes", "node_group_changes"), encoding="utf-8")
    assert cost.read_variables(filled)["node_groups"]["worker-wasm"]["maximum"] == 10


def test_changes_of_the_page_change_what_they_say(default_groups: dict[str, dict[str, t.Any]], tmp_path: Path) -> None:
    (line,) = re.findall(r"^ {4}(node_group_changes = .*)$", PAGE, re.MULTILINE)
    (tmp_path / "own.tfvars").write_text(f"{line}\n", encoding="utf-8")
    changed = cost.read_variables(tmp_path / "own.tfvars")["node_groups"]
    differing = {
        (name, key): value
        for name, group in changed.items()
        for key, value in group.items()
        if value != default_groups[name][key]
    }
    assert differing == {("worker-wasm", "maximum"): 10, ("observability", "size"): 3}


def test_volumes_of_the_fleet_have_the_sizes_that_the_plan_was_tried_with(
    fleet: Fleet, default_groups: dict[str, dict[str, t.Any]]
) -> None:
    """test_minimums.py feeds these sizes to the plan."""
    volumes = [
        attributes["size"] for address, attributes in resources(fleet.directory).items() if "aws_ebs_volume" in address
    ]
    expected = [group["data_volume_gib"] for group in default_groups.values() for _machine in range(group["size"])]
    assert sorted(volumes) == sorted(expected) and len(volumes) == 5


def _terraform_variables() -> set[str]:
    return set(re.findall(r'^variable "(\w+)"', (TERRAFORM / "variables.tf").read_text(encoding="utf-8"), re.MULTILINE))


def _role_variables() -> set[str]:
    return {
        name
        for path in PROJECT.glob("roles/*/defaults/main.yml")
        for name in yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    }
