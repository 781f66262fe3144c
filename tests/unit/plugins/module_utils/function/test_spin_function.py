# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the module's parameters to its result."""

from __future__ import annotations

import json
import os
import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.deploy_function import DeployResult
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import (
    run,
    secret_values,
    write_result,
)

RESULT: dict[str, t.Any] = {
    "changed": True,
    "name": "hello",
    "namespace": "user1",
    "url": "http://h",
    "image": "r/hello@sha256:1",
    "digest": "sha256:1",
    "source_digest": "sha256:2",
    "stages": {"build": 1.5},
    "details": {"status": "ready"},
    "summary": "s",
    "diff": {"before": {}, "after": {}},
}


@pytest.fixture
def parameters(tmp_path: Path) -> dict[str, t.Any]:
    """All of the module's parameters with their defaults, for the local target."""
    from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return {
        **defaults,
        "target": "local",
        "state_directory": str(tmp_path / "state"),
        "cache_directory": str(tmp_path / "cache"),
        "name": "hello",
    }


# The result file


def test_result_file_holds_the_documented_keys(tmp_path: Path) -> None:
    write_result(tmp_path / "new" / "directory" / "result.json", RESULT)
    written = json.loads((tmp_path / "new" / "directory" / "result.json").read_text())
    assert written == {
        key: RESULT[key]
        for key in ("changed", "name", "namespace", "url", "image", "digest", "source_digest", "stages")
    }
    assert stat.S_IMODE((tmp_path / "new" / "directory" / "result.json").stat().st_mode) == 0o644


def test_result_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Somebody who reads it at the same time sees the old or the new one."""
    path = tmp_path / "result.json"
    path.write_text("old")
    with path.open() as reader:
        write_result(path, RESULT)
        assert reader.read() == "old"
    assert json.loads(path.read_text())["name"] == "hello"
    assert os.listdir(tmp_path) == ["result.json"]


def test_result_that_cannot_be_written_leaves_the_old_one_and_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        write_result(path, {**RESULT, "stages": {"x": object()}})
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_directory_in_the_place_of_the_result_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    with pytest.raises(PlatformError, match=r"result_file: .*/result: Is a directory"):
        write_result(tmp_path / "result", RESULT)
    assert os.listdir(tmp_path) == ["result"]
    (tmp_path / "file").touch()
    with pytest.raises(PlatformError, match="result_file: "):
        write_result(tmp_path / "file" / "result", RESULT)


# Secrets


def test_secret_values_are_those_that_the_manifest_calls_so(make_project: t.Any) -> None:
    directory = make_project(
        None, extra='[variables]\ntoken = { required = true, secret = true }\ngreeting = { default = "hi" }\n'
    ).directory
    variables = {"token": "hunter2", "greeting": "hello", "unknown": "x"}
    assert secret_values({"variables": variables, "source": str(directory), "profile": None, "source_root": None}) == {
        "hunter2",
        "x",
    }


@pytest.mark.parametrize("source", [None, "/nowhere"])
def test_without_a_manifest_every_value_is_secret(source: str | None) -> None:
    assert secret_values(
        {"variables": {"a": "one", "b": 22}, "source": source, "profile": None, "source_root": None}
    ) == {"one", "22"}


def test_values_that_would_black_out_everything_are_not_hidden() -> None:
    """Ansible replaces each occurrence; that of an empty text is between all letters."""
    variables = {"a": "", "b": None, "c": True, "d": {"deep": ["hunter2", ""]}}
    assert secret_values({"variables": variables, "source": None, "profile": None, "source_root": None}) == {"hunter2"}


def test_secrets_are_hidden_also_where_the_run_fails(parameters: dict[str, t.Any], tmp_path: Path) -> None:
    hidden: set[str] = set()
    with pytest.raises(PlatformError):
        run(
            {**parameters, "state": "present", "source": str(tmp_path / "gone"), "variables": {"a": "hunter2"}},
            False,
            hidden,
        )
    assert hidden == {"hunter2"}


# The registry


def test_local_functions_are_kept_in_an_image_layout_of_the_state_directory(parameters: dict[str, t.Any]) -> None:
    assert module._registry({**parameters, "state": "present"}, Path("/state")) == "oci:/state/registry"


def test_signing_needs_a_registry_and_a_key_before_anything_is_built(
    parameters: dict[str, t.Any], tmp_path: Path
) -> None:
    parameters |= {"source": str(tmp_path / "project"), "signing_key": str(tmp_path / "signing.key")}
    with pytest.raises(PlatformError, match=r"a signature is kept in a registry, and oci:.* is a directory"):
        run(parameters, False, set())
    with pytest.raises(PlatformError, match=r"signing_key: cannot read .*signing\.key"):
        run({**parameters, "registry": "registry.example.com/functions"}, False, set())
    assert not (tmp_path / "state").exists()


def test_given_registry_wins(parameters: dict[str, t.Any]) -> None:
    assert module._registry({**parameters, "registry": "r.example/f"}, Path("/state")) == "r.example/f"


@pytest.mark.parametrize("change", [{"target": "cluster"}, {"state": "pushed"}])
def test_cluster_needs_a_registry(parameters: dict[str, t.Any], change: dict[str, str]) -> None:
    with pytest.raises(PlatformError, match="registry: ") as caught:
        module._registry({**parameters, "state": "present", **change}, Path("/state"))
    assert "-e registry=" in caught.value.next_step


# Removing


class TargetStub:
    def __init__(self, *, there: bool) -> None:
        self.there = there

    def exists(self) -> bool:
        return self.there

    def delete(self) -> None:
        self.there = False


@pytest.fixture
def remove(parameters: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., dict[str, t.Any]]:
    def call(target: TargetStub, *, check_mode: bool = False, **changes: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(module, "_target_factory", lambda *_arguments: lambda _name: target)
        return run({**parameters, "state": "absent", **changes}, check_mode, set())

    return call


def test_function_that_is_there_is_removed_and_then_unchanged(remove: t.Any) -> None:
    target = TargetStub(there=True)
    first, second = remove(target), remove(target)
    assert (first["changed"], second["changed"], target.there) == (True, False, False)
    assert first["diff"] == {"before": {"function": "default/hello"}, "after": {}}
    assert second["diff"] == {"before": {}, "after": {}}
    assert first["summary"].startswith("default/hello removed")
    assert second["summary"].startswith("default/hello unchanged: there is no such function")


def test_check_mode_removes_nothing(remove: t.Any) -> None:
    target = TargetStub(there=True)
    result = remove(target, check_mode=True)
    assert (result["changed"], target.there) == (True, True)
    assert "would be removed" in result["summary"]


def test_removal_writes_its_result_too(remove: t.Any, tmp_path: Path) -> None:
    remove(TargetStub(there=True), result_file=str(tmp_path / "r.json"))
    assert set(json.loads((tmp_path / "r.json").read_text())) == {"changed", "name", "namespace", "stages"}


def test_namespace_that_would_lead_elsewhere_is_refused(remove: t.Any) -> None:
    target = TargetStub(there=True)
    with pytest.raises(PlatformError, match="The namespace"):
        remove(target, namespace="../..")
    assert target.there


def test_nothing_is_removed_where_there_is_nothing(parameters: dict[str, t.Any]) -> None:
    result = run({**parameters, "state": "absent"}, False, set())
    assert not result["changed"]


# The summary


def deployed(**changes: t.Any) -> DeployResult:
    return DeployResult(
        **{
            "changed": True,
            "name": "hello",
            "namespace": "user1",
            "source_digest": "sha256:2",
            "url": "http://h",
            "image": "r/hello@sha256:" + "1" * 64,
            "digest": "sha256:" + "1" * 64,
            "stages": {"build": 1.234, "registry": 0.5, "manifest": 0.001},
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("changes", "state", "check_mode", "begins"),
    [
        ({}, "present", False, "deployed http://h sha256:111111111111 ("),
        ({}, "present", True, "would be deployed http://h "),
        ({"changed": False}, "present", False, "unchanged http://h "),
        ({"changed": False}, "present", True, "unchanged http://h "),
        ({"url": ""}, "pushed", False, "pushed r/hello@sha256:1"),
        ({"url": "", "image": "", "digest": ""}, "pushed", True, "would be pushed user1/hello ("),
    ],
)
def test_summary_is_one_line_that_says_what_happened(
    changes: dict[str, t.Any], state: str, check_mode: bool, begins: str
) -> None:
    summary = module._result(deployed(**changes), state, check_mode)["summary"]
    assert summary.startswith(begins)
    assert "\n" not in summary
    assert "build 1.23 s, registry 0.50 s" in summary


def test_result_holds_all_that_is_documented() -> None:
    import yaml
    from ansible_collections.wasmfaas.platform.plugins.modules import spin_function

    documented = yaml.safe_load(spin_function.RETURN)
    failure = {name for name, entry in documented.items() if entry["returned"] == "failure"}
    signed = deployed(signature={"key_id": "ab", "tag": "sha256-1.sig"})
    assert set(module._result(signed, "present", False)) - {"changed", "diff"} == set(documented) - failure
    assert "signature" not in module._result(deployed(), "present", False)


def test_every_parameter_of_the_module_is_documented_and_taken(parameters: dict[str, t.Any]) -> None:
    import yaml
    from ansible_collections.wasmfaas.platform.plugins.doc_fragments import function, kubernetes_auth, registry
    from ansible_collections.wasmfaas.platform.plugins.modules import spin_function

    texts = [
        spin_function.DOCUMENTATION,
        function.ModuleDocFragment.DOCUMENTATION,
        function.ModuleDocFragment.ROLLOUT,
        function.ModuleDocFragment.DEPLOYMENT,
        function.ModuleDocFragment.HOSTED,
        kubernetes_auth.ModuleDocFragment.DOCUMENTATION,
        registry.ModuleDocFragment.DOCUMENTATION,
    ]
    documented = {option for text in texts for option in yaml.safe_load(text)["options"]}
    assert documented == set(spin_function.argument_spec())


@pytest.mark.parametrize(
    ("changed", "autoscale", "warned"),
    [
        (True, {"min": 1, "target_cpu_percent": 70}, True),
        (False, {"min": 1, "target_cpu_percent": 70}, False),
        (True, {"min": 1, "target_concurrency": 5}, False),
        (True, None, False),
    ],
)
def test_a_deployment_warns_of_scaling_by_what_nobody_sees(
    parameters: dict[str, t.Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: bool,
    autoscale: dict[str, t.Any] | None,
    warned: bool,
) -> None:
    monkeypatch.setattr(module, "deploy_function", lambda *_arguments: deployed(changed=changed))
    monkeypatch.setattr(module, "_target_factory", lambda *_arguments: None)
    given = {"target": "cluster", "registry": "registry.example/f", "source": str(tmp_path), "cpu": "100m"}
    warnings = run({**parameters, **given, "autoscale": autoscale}, False, set()).get("warnings", [])
    assert [("target_cpu_percent" in warning and "Next: Scale by requests" in warning) for warning in warnings] == (
        [True] if warned else []
    )


def test_summary_of_a_canary_names_its_share() -> None:
    assert module._result(deployed(), "present", False, " as canary with 10 % of the requests")["summary"].startswith(
        "deployed as canary with 10 % of the requests "
    )
    assert module._result(deployed(changed=False), "present", False, " as canary with 10 % of the requests")[
        "summary"
    ].startswith("unchanged ")


@pytest.mark.parametrize(
    "option", [{"canary": 10}, {"tls": True}, {"memory": "64Mi"}, {"cpu": "1"}, {"probe_ca_file": "/x"}]
)
def test_option_of_clusters_is_refused_for_a_local_function(
    parameters: dict[str, t.Any], make_project: t.Any, option: dict[str, t.Any]
) -> None:
    with pytest.raises(PlatformError, match="has no effect with target=local"):
        run({**parameters, "source": "/anywhere", **option}, False, set())
