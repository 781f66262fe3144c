# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for functions with `service`, against a stand-in for it."""

from __future__ import annotations

import collections.abc
import gzip
import io
import json
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils import progress
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import (
    spin_function,
    spin_function_info,
    spin_function_logs,
    spin_function_version,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.hosted import function as hosted_function

from .service_stand_in import ARTIFACT, TOKEN, URL, Plan, StandIn, serve

MANIFEST = """
spin_manifest_version = 2

[application]
name = "shop"

[variables]
greeting = { default = "hello" }
password = { required = true, secret = true }

[[trigger.http]]
route = "/..."
component = "main"

[component.main]
source = "main.wasm"
files = ["assets/*"]
"""
OTHER = "sha256:" + "b" * 64

Parameters = dict[str, t.Any]
Run = t.Callable[[Parameters, bool, set[str]], dict[str, t.Any]]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "shop"
    (directory / "assets").mkdir(parents=True)
    (directory / "spin.toml").write_text(MANIFEST)
    (directory / "main.wasm").write_bytes(b"\0asm")
    (directory / "assets/page.html").write_text("page")
    (directory / ".gitignore").write_text("*.wasm\n")
    (directory / "node_modules").mkdir()
    (directory / "node_modules/a.js").write_text("")
    return directory


@pytest.fixture
def parameters(stand_in: StandIn, project: Path, tmp_path: Path) -> collections.abc.Iterator[Parameters]:
    """All of the module's parameters with their defaults."""
    from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with serve(stand_in) as url:
        yield {
            **defaults,
            "source": str(project),
            "service": url,
            "service_token_file": str(token),
            "state_directory": str(tmp_path / "state"),
        }


class Told:
    """What is told while the work goes on."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, name: str) -> None:
        self.lines.append(f"[{name}]")

    def line(self, text: str) -> None:
        self.lines.append(text)


def do(parameters: Parameters, *, check: bool = False, run: Run = spin_function.run, **more: t.Any) -> dict[str, t.Any]:
    result = run({**parameters, **more}, check, set())
    assert TOKEN not in json.dumps(result, default=str)
    return result


def test_deploys_and_then_changes_nothing(parameters: Parameters, stand_in: StandIn) -> None:
    told = Told()
    with progress.listening(told):
        result = do(parameters)
    assert (result["changed"], result["name"], result["namespace"], result["url"]) == (True, "shop", "user1", URL)
    assert (result["digest"], result["image"]) == (ARTIFACT, f"registry/shop@{ARTIFACT}")
    assert result["stages"]["build"] == 1.5 and "upload" in result["stages"]
    assert result["summary"].startswith(f"deployed {URL} sha256:aaaaaaaaaaaa (")
    assert result["details"] == {"status": "ready", "deployment": 1}
    assert told.lines[-3:] == ["[build]", "compiling", "[]"]
    assert len(stand_in.made("PUT")) == 1
    again = do(parameters)
    assert (again["changed"], again["url"], again["digest"]) == (False, URL, ARTIFACT)
    assert again["summary"].startswith("unchanged ")
    assert len(stand_in.made("PUT")) == 1


def test_sends_what_the_source_digest_covers(parameters: Parameters, stand_in: StandIn) -> None:
    do(parameters)
    (data,) = stand_in.archives.values()
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as archive:
        members = archive.getmembers()
    # main.wasm is ignored by git, but nothing builds it.
    assert [member.name for member in members] == [".gitignore", "assets/page.html", "main.wasm", "spin.toml"]
    assert {(member.mtime, member.uid) for member in members} == {(0, 0)}


def test_check_mode_sends_nothing_and_tells_the_truth(parameters: Parameters, stand_in: StandIn, project: Path) -> None:
    planned = do(parameters, check=True)
    assert planned["changed"] and planned["digest"] == "" and planned["diff"]["after"]["upload"] is True
    deployed = do(parameters)
    stand_in.functions["shop"]["source_digest"] = deployed["source_digest"]
    same = do(parameters, check=True)
    assert not same["changed"] and same["url"] == URL and same["digest"] == ARTIFACT
    assert do(parameters, check=True, timeout=5)["changed"]
    stand_in.functions["shop"]["status"] = "failed"
    assert do(parameters, check=True)["changed"]
    stand_in.functions["shop"]["status"] = "ready"
    (project / "assets/page.html").write_text("other")
    assert do(parameters, check=True)["changed"]
    assert len(stand_in.made("PUT")) == len(stand_in.made("POST")) == 1


def test_settings_are_those_that_differ_from_the_defaults(parameters: Parameters, stand_in: StandIn) -> None:
    do(parameters, timeout=5, probe_path="/health")
    assert stand_in.deployments["shop"][0]["settings"] == {"timeout": 5, "probe_path": "/health"}


@pytest.mark.parametrize(
    "option",
    [
        {"replicas": 2},
        {"registry": "registry.example.com/functions"},
        {"canary": 10},
        {"memory": "128Mi"},
        {"hostname": "shop.example.com"},
        {"components": ["main"]},
        {"gateway": "other/gateway"},
        {"registry_plain_http": True},
    ],
)
def test_options_that_the_service_does_not_take_are_refused(
    parameters: Parameters, stand_in: StandIn, option: Parameters
) -> None:
    with pytest.raises(PlatformError, match=f"^{next(iter(option))}: the hosted service decides"):
        do(parameters, **option)
    assert stand_in.requests == []


def test_every_option_is_taken_or_refused(parameters: Parameters) -> None:
    """A new option of the module must not be ignored in silence."""
    from ansible_collections.wasmfaas.platform.plugins.module_utils.hosted.arguments import hosted_arguments
    from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.arguments import kubernetes_auth_arguments
    from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

    taken = {"source", "name", "namespace", "state", "target", "variables", "wait", "keep_data", "result_file"}
    of_this_machine = {"cache_directory", "state_directory", "runtime_directory"}
    known = {**hosted_function._SETTINGS, **hosted_function._NOT_TAKEN}
    of_rendered = {
        "directory"
    }  # that state excludes a service, and the others this option (test_spinkube_rendered_target.py)
    expected = (
        taken | of_this_machine | of_rendered | set(hosted_arguments()) | set(kubernetes_auth_arguments()) | set(known)
    )
    assert set(argument_spec()) == expected
    for name, default in known.items():
        assert argument_spec()[name].get("default") == default, name


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": "local"}, "exclude each other"),
        ({"state": "pushed"}, "pushes nothing"),
        ({"service": "http://api.example.com"}, "not encrypted"),
        ({"service": "api.example.com"}, "no URL"),
        ({"service_token_file": None}, "is needed"),
        ({"service_token_file": "/nowhere"}, "cannot be read"),
    ],
)
def test_wrong_options_are_refused(parameters: Parameters, stand_in: StandIn, more: Parameters, message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        do(parameters, **more)
    assert stand_in.requests == []


def test_token_is_hidden(parameters: Parameters) -> None:
    hidden: set[str] = set()
    spin_function.run(parameters, True, hidden)
    assert TOKEN in hidden


def test_project_that_leaves_its_directory_is_refused(parameters: Parameters, stand_in: StandIn, project: Path) -> None:
    (project.parent / ".git").mkdir()
    (project.parent / "other.wasm").write_bytes(b"\0asm")
    (project / "spin.toml").write_text(MANIFEST.replace("main.wasm", "../other.wasm"))
    with pytest.raises(PlatformError, match="outside of its directory"):
        do(parameters)
    assert stand_in.requests == []


def test_failure_has_stage_cause_and_next_step(parameters: Parameters, stand_in: StandIn) -> None:
    log = ("--- build", "error[E0425]", "failed: The build failed.", "next: Correct it.")
    facts = {"stage": "build", "exit_code": 1}
    stand_in.plans = [Plan(log, "Failed", "The build failed.", "Correct it.", facts)]
    with pytest.raises(PlatformError) as raised:
        do(parameters)
    assert (raised.value.stage, raised.value.cause, raised.value.next_step) == (
        "build",
        "The build failed.",
        "Correct it.",
    )
    assert raised.value.facts == {"exit_code": 1, "output": "error[E0425]"}


def test_cancelled_deployment_is_an_error(parameters: Parameters, stand_in: StandIn) -> None:
    stand_in.plans = [Plan((), "Cancelled", "It was cancelled by laptop.", "Deploy again.")]
    with pytest.raises(PlatformError, match="was cancelled: It was cancelled by laptop"):
        do(parameters)


@pytest.mark.parametrize("cut_after", [0, 1, 3])
def test_log_goes_on_after_a_lost_connection(parameters: Parameters, stand_in: StandIn, cut_after: int) -> None:
    stand_in.plans = [Plan(("one", "größer", "three", "four"), cut_after=cut_after, queued=2)]
    told = Told()
    with progress.listening(told):
        assert do(parameters)["changed"]
    lines = [line for line in told.lines if not line.startswith("[")]
    assert lines == ["deployment 1 is queued, number 2 in the queue", "deployment 1 is queued, number 1 in the queue",
                     "one", "größer", "three", "four"]  # fmt: skip


def test_refusal_of_the_service_is_the_error(parameters: Parameters, stand_in: StandIn) -> None:
    path = "/v1/tenants/user1/functions/shop/deployments"
    stand_in.answers["POST", path] = [stand_in.problem(422, "invalid", "timeout: is too long.", "Give less.")]
    with pytest.raises(PlatformError) as raised:
        do(parameters)
    assert (raised.value.cause, raised.value.next_step) == ("timeout: is too long.", "Give less.")


def test_redirect_is_not_followed(parameters: Parameters, stand_in: StandIn) -> None:
    other = StandIn()
    with serve(other) as elsewhere:
        stand_in.answers["GET", "/v1/self"] = [(302, {"Location": elsewhere}, {})]
        with pytest.raises(PlatformError, match="redirect"):
            do(parameters)
    assert other.requests == []


def test_variables_are_set_before_the_deployment(parameters: Parameters, stand_in: StandIn) -> None:
    stand_in.variables = {"other": (False, "kept")}
    given = {"greeting": "hi", "password": "hunter2"}
    planned = do(parameters, check=True, variables=given)
    assert planned["diff"]["after"]["password"] == "(secret)"
    result = do(parameters, variables=given)
    assert "hunter2" not in json.dumps(result)
    assert stand_in.variables == {"other": (False, "kept"), "greeting": (False, "hi"), "password": (True, "hunter2")}
    methods = [request.method for request in stand_in.requests]
    assert methods.index("POST") > max(index for index, method in enumerate(methods) if method == "PUT")
    stand_in.functions["shop"]["source_digest"] = result["source_digest"]
    assert not do(parameters, check=True, variables=given)["changed"]
    assert do(parameters, check=True, variables={"greeting": "hey"})["changed"]
    with pytest.raises(PlatformError, match="nothing is not declared"):
        do(parameters, variables={"nothing": "1"})


def test_removes_once(parameters: Parameters, stand_in: StandIn) -> None:
    do(parameters)
    absent = {"state": "absent", "name": "shop", "source": None}
    assert do(parameters, check=True, **absent)["changed"] and "shop" in stand_in.functions
    assert do(parameters, keep_data=True, **absent)["changed"]
    assert stand_in.requests[-1].query == {"keep_data": "true"}
    assert not do(parameters, **absent)["changed"]


def test_lists_and_reads_logs(parameters: Parameters) -> None:
    do(parameters)
    listed = do({**parameters, "namespace": None, "name": None}, run=spin_function_info.run)
    assert [function["name"] for function in listed["functions"]] == ["shop"]
    assert listed["functions"][0]["digest"] == ARTIFACT and URL in listed["table"][1]
    wanted = {**parameters, "name": "shop", "lines": 10, "since": None}
    assert do(wanted, run=spin_function_logs.run)["logs"][0]["lines"][0] == "one"
    with pytest.raises(PlatformError, match="hosted function has no times"):
        do(wanted, run=spin_function_logs.run, since="1h")


@pytest.mark.parametrize("to", [None, "1", ARTIFACT[:19]])
def test_rolls_back(parameters: Parameters, stand_in: StandIn, project: Path, to: str | None) -> None:
    do(parameters)
    (project / "assets/page.html").write_text("other")
    stand_in.plans = [Plan(artifact=OTHER)]
    assert do(parameters)["digest"] == OTHER
    wanted = {**parameters, "name": "shop", "state": "rolled_back", "to": to}
    planned = do(wanted, check=True, run=spin_function_version.run)
    assert (planned["changed"], planned["digest"]) == (True, ARTIFACT)
    result = do(wanted, run=spin_function_version.run)
    assert (result["changed"], result["digest"], result["url"]) == (True, ARTIFACT, URL)
    assert result["summary"].startswith("rolled back ")
    with pytest.raises(PlatformError, match="has no deployment 9"):
        do({**wanted, "to": "9"}, run=spin_function_version.run)
    with pytest.raises(PlatformError, match="for canaries"):
        do({**wanted, "state": "promoted"}, run=spin_function_version.run)
