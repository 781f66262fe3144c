# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spin_function inside of Ansible's own process and as a module of its own: the same results, and what is shown."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from .support.function_project import FunctionProject
from .support.playbooks import ANOTHER_PYTHON_NAME, PlaybookRun, Playbooks, extra

WHO = "tr '\\0' ' ' < /proc/$PPID/cmdline > {}; python3 build.py"
"""A build command that writes which process runs the work."""
SECRET = "s3cret-value-0f-a-variable"


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path / "home")


@pytest.fixture
def project(tmp_path: Path) -> FunctionProject:
    return FunctionProject(tmp_path / "shop", "shop")


def run_task(
    playbooks: Playbooks, tmp_path: Path, options: dict[str, t.Any], *arguments: str, **keywords: t.Any
) -> tuple[PlaybookRun, dict[str, t.Any]]:
    """A play with one task of spin_function and its keywords; gives the run and the task's result."""
    file = tmp_path / "registered.json"
    file.unlink(missing_ok=True)
    tasks = [
        {"wasmfaas.platform.spin_function": options, "register": "done", "ignore_errors": True, **keywords},
        {"ansible.builtin.copy": {"content": "{{ done | to_json }}", "dest": str(file)}, "check_mode": False},
    ]
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    run = playbooks.run(str(play), *arguments, inventory="local", directory=tmp_path)
    return run, json.loads(file.read_text()) if file.exists() else {}


def pushed(project: FunctionProject, tmp_path: Path, **options: t.Any) -> dict[str, t.Any]:
    registry = f"oci:{tmp_path}/layout"
    return {"source": str(project.directory), "state": "pushed", "registry": registry, **options}


@pytest.mark.parametrize(
    ("keywords", "in_process"),
    [
        ({}, True),
        ({"delegate_to": "localhost"}, True),
        ({"vars": {"ansible_python_interpreter": "auto_silent"}}, True),
        ({"vars": {"ansible_python_interpreter": str(ANOTHER_PYTHON_NAME)}}, False),
        ({"environment": {"WASMFAAS_TEST": "1"}}, False),
        ({"environment": {}}, True),
        ({"async": 120, "poll": 1}, False),
    ],
    ids=["plain", "delegated", "any Python", "another Python", "environment", "empty environment", "async"],
)
def test_where_the_work_is_done(
    playbooks: Playbooks, project: FunctionProject, tmp_path: Path, keywords: dict[str, t.Any], in_process: bool
) -> None:
    project.manifest(command=WHO.format(tmp_path / "who"))
    if "async" in keywords:  # Ansible looks for a job in the home directory of the user, not in $HOME
        keywords = {**keywords, "vars": {"ansible_async_dir": str(tmp_path / "jobs")}}
    run, result = run_task(playbooks, tmp_path, pushed(project, tmp_path), **keywords)
    assert run.exit_code == 0 and result["changed"], run.output
    assert ("ansible-playbook" in (tmp_path / "who").read_text()) == in_process
    assert {"name", "image", "digest", "source_digest", "stages", "summary"} <= set(result)
    assert ("  build     $ tr" in run.output) == in_process, "progress is shown"
    again = run_task(playbooks, tmp_path, pushed(project, tmp_path), **keywords)[1]
    assert not again["changed"] and again["image"] == result["image"]


def test_check_mode_and_diff(playbooks: Playbooks, project: FunctionProject, tmp_path: Path) -> None:
    run, result = run_task(playbooks, tmp_path, pushed(project, tmp_path), "--check", "--diff")
    assert result["changed"] and result["diff"]["after"] and "python3 build.py" in run.output
    assert not (project.directory / "app.wasm").exists() and not (tmp_path / "layout").exists()
    assert "diff" not in run_task(playbooks, tmp_path, pushed(project, tmp_path))[1]
    only_this = run_task(playbooks, tmp_path, pushed(project, tmp_path, name="other"), check_mode=True)[1]
    assert only_this["changed"] and "other" not in str(list((tmp_path / "layout").rglob("*")))


def test_defaults_of_the_group(playbooks: Playbooks, project: FunctionProject, tmp_path: Path) -> None:
    options = pushed(project, tmp_path)
    group = {"group/wasmfaas.platform.functions": {"registry": options.pop("registry"), "namespace": "user1"}}
    run, result = run_task(playbooks, tmp_path, options, module_defaults=group)
    assert result.get("namespace") == "user1" and result["changed"], run.output


def test_wrong_arguments(playbooks: Playbooks, project: FunctionProject, tmp_path: Path) -> None:
    wrong = {
        "replicas": pushed(project, tmp_path, replicas="many"),
        "sorce": pushed(project, tmp_path, sorce="x"),
        "mutually exclusive": pushed(project, tmp_path, replicas=1, autoscale={"min": 1}),
        "source": {"state": "present"},
        "state": pushed(project, tmp_path, state="gone"),
        "variables": pushed(project, tmp_path, variables=SECRET),
    }
    for word, options in wrong.items():
        run, result = run_task(playbooks, tmp_path, options)
        assert result["failed"] and word in result["msg"], run.output
        assert SECRET not in run.output and SECRET not in str(result)
        assert "Traceback" not in run.output


def test_secrets_in_progress_and_results(playbooks: Playbooks, project: FunctionProject, tmp_path: Path) -> None:
    project.manifest(
        command=f"echo 'got {SECRET}'; exit 3",
        variables="token = { required = true, secret = true }\nplace = { default = 'x' }",
        component_variables='variables = { token = "{{ token }}", place = "{{ place }}" }',
    )
    options = pushed(project, tmp_path, variables={"token": SECRET, "place": "garden"})
    for keywords in ({}, {"no_log": True}):
        run, result = run_task(playbooks, tmp_path, options, "-vvv", **keywords)
        assert result["failed"] and SECRET not in run.output
        assert ("  build     got ********" in run.output) == (not keywords)
        assert SECRET not in str(result) and ("censored" in run.output) == bool(keywords)


def test_neither_reserved_names_nor_deprecations(
    playbooks: Playbooks, project: FunctionProject, tmp_path: Path
) -> None:
    """The build changes a source file, of which a warning tells."""
    project.manifest(command="date +%N >> source.txt; python3 build.py")
    (project.directory / "source.txt").write_text("")
    deploy = ["deploy-function.yml", *extra(src=project.directory, state="pushed", registry=f"oci:{tmp_path}/layout")]
    deploy += extra(name="front", namespace="user1")
    for more in ([], extra(ansible_python_interpreter=ANOTHER_PYTHON_NAME)):
        run = playbooks.run(*deploy, *more, inventory="local")
        assert run.exit_code == 0, run.output
        assert "that count as its source changed during the build (source.txt)" in " ".join(run.output.split())
        for word in ("reserved name", "DEPRECATION", "deprecated"):
            assert word not in run.output
    listed = playbooks.run("wasmfaas.platform.list_functions", "-e", "name=x", inventory="local")
    assert "reserved name" not in listed.output
    other = playbooks.run("wasmfaas.platform.list_functions", "-e", "tags=x", inventory="local")
    assert "reserved name 'tags'" in other.output, "all other names are warned of"


def test_an_error_is_one_block(playbooks: Playbooks, project: FunctionProject, tmp_path: Path) -> None:
    project.manifest(command="echo 'the reason' >&2; exit 3")
    deploy = ["deploy-function.yml", *extra(src=project.directory, state="pushed", registry=f"oci:{tmp_path}/layout")]
    log = str(playbooks.home)
    run = playbooks.run(*deploy, inventory="local")
    block = run.output.partition("fatal: [localhost]: FAILED!\n")[2].partition("\n\nPLAY RECAP")[0].splitlines()
    assert [line.partition(":")[0].strip() for line in block] == ["Stage", "Problem", "Next step"], run.output
    assert block[0].endswith(" build") and "exit code 3 (see above)." in block[1] and log in block[2]
    assert run.output.count("\n  build     the reason\n") == 1 and "\nthe reason" not in run.output
    assert "[ERROR]" not in run.output and "Origin:" not in run.output
    verbose = playbooks.run(*deploy, "-v", inventory="local").output
    assert "exit_code: 3" in verbose and verbose.count("Next step:") == 1 and "[ERROR]" not in verbose
    default = playbooks.run(*deploy, inventory="local", environment={"ANSIBLE_STDOUT_CALLBACK": "default"}).output
    assert "[ERROR]" in default and "next_step: " in default
