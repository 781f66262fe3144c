# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a deployment with a real build, a real image layout as registry, and a stand-in for the target."""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import shutil
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils import progress
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.stored import stored_artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.deploy_function import (
    DeployRequest,
    DeployResult,
    Registry,
    check_namespace,
    deploy_function,
    function_name,
    source_tag,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import (
    DesiredFunction,
    Difference,
    LiveFunction,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_record import KeyFile, SourceRecords
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import parse_registry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.signature import Signer
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

MANIFEST = Manifest(Path("/p/spin.toml"), "a", (), {})


# Names


@pytest.mark.parametrize("name", ["a", "hello", "hello-2", "a" * 52, "x--y"])
def test_name_that_fits(name: str) -> None:
    assert function_name(name, MANIFEST) == name


def test_trap_9_name_of_more_than_52_characters_is_refused() -> None:
    """The operator's label key core.spinkube.dev/app.<name>.status may have 63 characters in its name part."""
    assert len("app." + "a" * 52 + ".status") == 63
    with pytest.raises(PlatformError, match="has 53 characters, and only 52 fit") as caught:
        function_name("a" * 53, MANIFEST)
    assert "-e name=" in caught.value.next_step


@pytest.mark.parametrize("name", ["", "Hello", "hello_world", "2fast", "-a", "a-", "a.b", "a/b", "ä", "hello\n", "a b"])
def test_name_that_kubernetes_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(PlatformError, match=r"application\.name in spin\.toml"):
        function_name(name, MANIFEST)


@given(st.text("ab1-A_.\n", max_size=60))
def test_every_name_is_one_of_dns_or_refused(name: str) -> None:
    import re

    try:
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", function_name(name, MANIFEST))
    except PlatformError as error:
        assert error.next_step


@pytest.mark.parametrize("namespace", ["default", "user1", "1", "a" * 63])
def test_namespace_that_fits(namespace: str) -> None:
    assert check_namespace(namespace) is None


@pytest.mark.parametrize("namespace", ["", "..", "../../etc", "Default", "a" * 64, "a_b", "-a", "a-", "a\n"])
def test_namespace_that_would_lead_elsewhere_is_refused(namespace: str) -> None:
    with pytest.raises(PlatformError, match="The namespace"):
        check_namespace(namespace)


def test_source_tag_is_one_of_a_registry() -> None:
    tag = source_tag("sha256:" + "0123456789abcdef" * 4)
    assert tag == "source-0123456789abcdef0123456789abcdef"


# Deploying


class TargetStub:
    """Keeps one function in memory, and what it was asked to do."""

    needs_artifact = False

    def __init__(self) -> None:
        self.function: LiveFunction | None = None
        self.desired: DesiredFunction | None = None
        self.calls: list[str] = []
        self.checked = False
        self.warnings: list[str] = []
        self.shim = "0.25.1"
        self.error: PlatformError | None = None

    def exists(self) -> bool:
        return self.function is not None

    def live(self) -> LiveFunction | None:
        return self.function

    def shim_version(self) -> str:
        return self.shim

    def check(self, desired: DesiredFunction) -> list[str]:
        self.checked = True
        return self.warnings

    def difference(self, desired: DesiredFunction) -> Difference:
        now = self.desired
        before = {} if now is None else {"image": now.image, "variables": now.variables.plain}
        after = {"image": desired.image or "<known after the build>", "variables": desired.variables.plain}
        return Difference(before, after)

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        self.calls.append("deploy")
        for error in [self.error] if self.error else []:
            raise error
        self.desired = desired
        self.function = LiveFunction(
            desired.name, desired.namespace, desired.source_digest, desired.image, "http://hello", "ready"
        )
        return self.function

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        self.calls.append("ensure_answers")
        assert self.function is not None
        return self.function

    def delete(self) -> None:
        self.function = None


Deploy = collections.abc.Callable[..., DeployResult]


@pytest.fixture
def target() -> TargetStub:
    return TargetStub()


@pytest.fixture
def directory(make_project: t.Any, wasm: t.Any) -> Path:
    """Its build copies a component, and counts itself outside of the project."""
    lines = '[component.hello.build]\ncommand = "cp prepared.wasm app.wasm && echo built >> ../builds"\n'
    variables = '[variables]\ngreeting = { default = "hi" }\n'
    return t.cast(
        "Path",
        make_project(None, {"prepared.wasm": wasm.component(), "app.py": "1"}, extra=lines + variables).directory,
    )


@pytest.fixture
def deploy(directory: Path, target: TargetStub, tmp_path: Path) -> Deploy:
    def run(*, registry: str = "registry", key: str = "record-key", **changes: t.Any) -> DeployResult:
        request = DeployRequest(
            directory, "user1", tmp_path / "cache", tmp_path / "outputs", tmp_path / "logs", "0.25.1"
        )
        location = parse_registry(f"oci:{tmp_path / registry}")
        stages = changes.pop("stages", None) or Stages()
        signer = changes.pop("signer", None)
        return deploy_function(
            dataclasses.replace(request, **changes),
            Registry(
                location,
                lambda: open_store(location),
                SourceRecords(changes.get("namespace", request.namespace), [KeyFile(tmp_path / key)]),
                signer,
            ),
            lambda _name: target,
            stages,
        )

    return run


def builds(tmp_path: Path) -> int:
    return len((tmp_path / "builds").read_text().splitlines()) if (tmp_path / "builds").exists() else 0


def test_first_deployment_builds_pushes_and_deploys_by_digest(
    deploy: Deploy, target: TargetStub, tmp_path: Path
) -> None:
    stages = Stages()
    result = deploy(stages=stages)
    assert result.changed
    assert (result.name, result.namespace, result.url) == ("hello", "user1", "http://hello")
    assert result.image == f"oci:{tmp_path / 'registry'}:hello@{result.digest}"
    assert target.desired is not None and target.desired.image == result.image
    assert target.desired.source_digest == result.source_digest
    assert list(stages.seconds)[:2] == ["manifest", "source_digest"]
    assert {"live_state", "registry", "build", "compatibility", "artifact"} <= set(stages.seconds)
    assert (tmp_path / "logs" / "user1" / "hello.build.log").read_text().startswith("$ cp prepared.wasm")


@pytest.mark.parametrize("check_mode", [True, False])
def test_warnings_of_the_target_are_part_of_the_result(deploy: Deploy, target: TargetStub, check_mode: bool) -> None:
    target.warnings = ["a warning"]
    assert deploy(check_mode=check_mode).warnings == ["a warning"]


def test_second_deployment_changes_nothing(deploy: Deploy, target: TargetStub, tmp_path: Path) -> None:
    first = deploy()
    target.calls.clear()
    stages = Stages()
    second = deploy(stages=stages)
    assert not second.changed
    assert (second.digest, second.url, second.source_digest) == (first.digest, first.url, first.source_digest)
    assert target.calls == ["ensure_answers"]
    assert set(stages.seconds) == {"manifest", "source_digest", "live_state"}
    assert builds(tmp_path) == 1


def signatures(tmp_path: Path, digest: str) -> list[dict[str, t.Any]]:
    """The layers under the tag of the artifact's signatures."""
    location = parse_registry(f"oci:{tmp_path / 'registry'}")
    content = open_store(location).manifest("hello", f"{digest.replace(':', '-')}.sig")
    return list(json.loads(content)["layers"]) if content else []


@pytest.mark.parametrize("state", ["present", "pushed"])
def test_artifact_is_signed_once(deploy: Deploy, tmp_path: Path, state: str) -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    first = deploy(signer=signer, state=state)
    assert first.signature == {"key_id": signer.key_id, "tag": f"{first.digest.replace(':', '-')}.sig"}
    assert first.changed and first.after["signature"] == first.signature
    before = signatures(tmp_path, first.digest)
    assert len(before) == 1
    for check_mode in (True, False):
        second = deploy(signer=signer, state=state, check_mode=check_mode)
        assert (second.changed, second.after, second.signature) == (False, {}, first.signature)
    assert signatures(tmp_path, first.digest) == before


def test_signature_is_there_before_the_function_is_deployed(deploy: Deploy, target: TargetStub, tmp_path: Path) -> None:
    target.error = PlatformError("does not come up", next_step="Wait.")
    with pytest.raises(PlatformError, match="does not come up"):
        deploy(signer=Signer(ec.generate_private_key(ec.SECP256R1())))
    target.error = None
    assert len(signatures(tmp_path, deploy().digest)) == 1


@pytest.mark.parametrize("state", ["present", "pushed"])
def test_unchanged_function_is_signed_where_it_is_not(
    deploy: Deploy, target: TargetStub, tmp_path: Path, state: str
) -> None:
    digest = deploy(state=state).digest
    target.calls.clear()
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    planned = deploy(signer=signer, state=state, check_mode=True)
    assert planned.changed and planned.after == {"signature": planned.signature}
    assert signatures(tmp_path, digest) == []
    signed = deploy(signer=signer, state=state)
    assert (signed.changed, signed.digest, signed.after) == (True, digest, planned.after)
    assert len(signatures(tmp_path, digest)) == 1
    assert "deploy" not in target.calls and builds(tmp_path) == 1


def test_check_mode_before_a_build_tells_that_it_would_sign(deploy: Deploy) -> None:
    signer = Signer(ec.generate_private_key(ec.SECP256R1()))
    planned = deploy(signer=signer, check_mode=True)
    assert planned.after["signature"] == {"key_id": signer.key_id, "tag": ""}


def test_changed_source_is_built_and_deployed_anew(
    deploy: Deploy, directory: Path, tmp_path: Path, wasm: t.Any
) -> None:
    first = deploy()
    (directory / "prepared.wasm").write_bytes(wasm.component(padding=300))
    second = deploy()
    assert second.changed
    assert second.digest != first.digest
    assert builds(tmp_path) == 2


def test_source_that_was_deployed_before_is_not_built_again(
    deploy: Deploy, directory: Path, tmp_path: Path, wasm: t.Any
) -> None:
    first = deploy()
    before = (directory / "prepared.wasm").read_bytes()
    (directory / "prepared.wasm").write_bytes(wasm.component(padding=300))
    deploy()
    (directory / "prepared.wasm").write_bytes(before)
    again = deploy()
    assert again.changed
    assert again.image == first.image
    assert builds(tmp_path) == 2


def test_changed_settings_are_deployed_without_a_build(deploy: Deploy, target: TargetStub, tmp_path: Path) -> None:
    deploy()
    result = deploy(variables={"greeting": "hello"})
    assert result.changed
    assert result.before["variables"] == {} and result.after["variables"] == {"greeting": "hello"}
    assert target.desired is not None and target.desired.variables.plain == {"greeting": "hello"}
    assert builds(tmp_path) == 1


def test_function_from_another_registry_is_pushed_to_this_one(deploy: Deploy, tmp_path: Path) -> None:
    first = deploy()
    second = deploy(registry="other")
    assert second.changed
    assert second.digest == first.digest
    assert str(tmp_path / "other") in second.image


def test_pushed_only_needs_no_target_and_is_found_the_second_time(
    deploy: Deploy, target: TargetStub, tmp_path: Path
) -> None:
    first = deploy(state="pushed")
    second = deploy(state="pushed")
    assert (first.changed, second.changed) == (True, False)
    assert first.image == second.image
    assert target.calls == []
    assert builds(tmp_path) == 1
    assert deploy().image == first.image, "what a pipeline pushed is deployed without a build"
    assert builds(tmp_path) == 1


def test_pushed_only_needs_no_values_of_required_variables(deploy: Deploy, directory: Path) -> None:
    text = (directory / "spin.toml").read_text()
    (directory / "spin.toml").write_text(text.replace('{ default = "hi" }', "{ required = true }"))
    assert deploy(state="pushed").changed
    with pytest.raises(PlatformError, match="greeting is required") as caught:
        deploy()
    assert caught.value.stage == "manifest"


def test_given_name_wins(deploy: Deploy) -> None:
    assert deploy(name="other").image.partition("@")[0].endswith(":other")


# Source records


def test_an_artifact_of_another_is_not_deployed_for_these_sources(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path, wasm: t.Any
) -> None:
    """Somebody with another key points the tag of the victim's next sources at an artifact of its own."""
    own = (directory / "prepared.wasm").read_bytes()
    digest = deploy(check_mode=True).source_digest
    (directory / "prepared.wasm").write_bytes(wasm.component(padding=300))
    foreign = deploy(state="pushed", key="key-of-another")
    location = parse_registry(f"oci:{tmp_path / 'registry'}")
    store = open_store(location)
    manifest = store.manifest("hello", source_tag(foreign.source_digest))
    assert manifest is not None
    artifact = stored_artifact(manifest, t.cast(t.Any, store).blob_path)
    assert artifact is not None
    store.push("hello", artifact, tag=source_tag(digest))
    (directory / "prepared.wasm").write_bytes(own)

    planned = deploy(check_mode=True)
    assert "build" in planned.after and planned.digest == ""
    result = deploy()
    assert result.digest != foreign.digest
    assert builds(tmp_path) == 2
    assert [warning for warning in result.warnings if "no record says" in warning] == result.warnings != []
    assert target.desired is not None and target.desired.image == result.image
    assert not deploy().changed


def test_records_hold_in_their_own_namespace_alone(deploy: Deploy, target: TargetStub, tmp_path: Path) -> None:
    deploy(state="pushed")
    result = deploy(namespace="user2")
    assert result.changed and builds(tmp_path) == 2
    assert len(result.warnings) == 1 and "namespace user2, so it is built again" in result.warnings[0]
    assert target.desired is not None


def test_a_new_key_changes_nothing_that_is_deployed_or_pushed(
    deploy: Deploy, target: TargetStub, tmp_path: Path
) -> None:
    first = deploy()
    assert not deploy(key="new").changed and builds(tmp_path) == 1, "the target says what is deployed"
    pushed = deploy(state="pushed", key="new")
    assert (pushed.changed, pushed.digest) == (False, first.digest), "built again, to the same bytes"
    assert builds(tmp_path) == 2
    target.function = None
    again = deploy(key="new")
    assert again.digest == first.digest and builds(tmp_path) == 2 and again.warnings == []


# Check mode


@pytest.mark.parametrize("state", ["present", "pushed"])
def test_check_mode_of_a_first_deployment_tells_and_touches_nothing(
    deploy: Deploy, target: TargetStub, tmp_path: Path, state: str
) -> None:
    result = deploy(check_mode=True, state=state)
    assert result.changed
    assert result.after["build"] == ["cp prepared.wasm app.wasm && echo built >> ../builds"]
    assert (result.image, result.digest) == ("", "")
    assert builds(tmp_path) == 0
    assert target.calls == []
    assert not (tmp_path / "registry").exists()
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "logs").exists()


def test_check_mode_of_an_unchanged_function_is_no_change(deploy: Deploy, target: TargetStub) -> None:
    first = deploy()
    target.calls.clear()
    result = deploy(check_mode=True)
    assert not result.changed
    assert (result.url, result.digest) == (first.url, first.digest)
    assert target.calls == []


def test_check_mode_of_changed_settings_tells_them(deploy: Deploy, target: TargetStub) -> None:
    first = deploy()
    target.calls.clear()
    result = deploy(check_mode=True, variables={"greeting": "hello"})
    assert result.changed
    assert result.after == {"image": first.image, "variables": {"greeting": "hello"}}
    assert target.calls == []


def test_check_mode_of_what_a_pipeline_pushed_knows_the_digest(deploy: Deploy, target: TargetStub) -> None:
    pushed = deploy(state="pushed")
    result = deploy(check_mode=True)
    assert (result.changed, result.digest) == (True, pushed.digest)
    assert "build" not in result.after
    assert target.calls == []


# Failures


def test_broken_manifest_ends_at_its_stage(deploy: Deploy, directory: Path, target: TargetStub) -> None:
    (directory / "spin.toml").write_text("broken = [")
    with pytest.raises(PlatformError) as caught:
        deploy()
    assert caught.value.stage == "manifest"


def test_failed_build_leaves_registry_and_function_alone(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path
) -> None:
    first = deploy()
    (directory / "spin.toml").write_text(
        (directory / "spin.toml").read_text().replace("cp prepared.wasm app.wasm", "exit 3")
    )
    index = (tmp_path / "registry" / "index.json").read_bytes()
    target.calls.clear()
    with pytest.raises(PlatformError, match="exit code 3") as caught:
        deploy()
    assert caught.value.stage == "build"
    assert target.calls == []
    assert target.function is not None and target.function.image == first.image
    assert (tmp_path / "registry" / "index.json").read_bytes() == index


def test_component_that_the_shim_cannot_run_is_refused_before_it_is_pushed(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path, wasm: t.Any
) -> None:
    (directory / "prepared.wasm").write_bytes(wasm.component(exports=["wasi:http/handler@0.3.0-rc-2026-03-15"]))
    target.shim = "0.24.0"
    with pytest.raises(PlatformError, match=r"0\.24\.0 \(Spin 3\.6\.3\)") as caught:
        deploy()
    assert caught.value.stage == "compatibility"
    assert target.calls == []
    assert not (tmp_path / "registry").exists()


def test_component_that_was_pushed_for_newer_nodes_is_refused_too(
    deploy: Deploy, directory: Path, target: TargetStub, wasm: t.Any
) -> None:
    (directory / "prepared.wasm").write_bytes(wasm.component(exports=["wasi:http/handler@0.3.0-rc-2026-03-15"]))
    deploy(state="pushed")
    target.shim = "0.24.0"
    with pytest.raises(PlatformError, match=r"uses something that Spin has from 4.0.0 on"):
        deploy()
    assert target.calls == []


def test_build_that_writes_no_webassembly_is_refused_with_the_key(deploy: Deploy, directory: Path) -> None:
    (directory / "prepared.wasm").write_text("#!/bin/sh")
    with pytest.raises(PlatformError, match=r"component\.hello\.source: .* is not WebAssembly"):
        deploy()


def test_function_that_did_not_come_up_is_found_in_the_registry_by_the_next_run(
    deploy: Deploy, target: TargetStub, tmp_path: Path
) -> None:
    target.error = PlatformError("it does not answer.", next_step="look")
    with pytest.raises(PlatformError):
        deploy()
    target.error = None
    assert deploy().changed
    assert builds(tmp_path) == 1


def test_artifact_says_which_spin_it_needs(deploy: Deploy, tmp_path: Path) -> None:
    result = deploy()
    manifest = json.loads((tmp_path / "registry" / "blobs" / "sha256" / result.digest[7:]).read_text())
    assert manifest["annotations"]["wasmfaas.dev/minimum-spin-version"] == "2.2.0"


def test_target_that_needs_the_artifact_gets_it_from_the_disk(
    deploy: Deploy, target: TargetStub, directory: Path, tmp_path: Path
) -> None:
    target.needs_artifact = True
    first = deploy()
    target.function = None
    again = deploy()
    assert target.desired is not None and target.desired.artifact is not None
    assert target.desired.artifact.digest == first.digest == again.digest
    assert builds(tmp_path) == 1
    for blob in (tmp_path / "registry" / "blobs" / "sha256").iterdir():
        blob.unlink()
    target.function = None
    assert deploy().digest == first.digest
    assert builds(tmp_path) == 2


def test_build_that_fails_with_exit_code_0_deploys_nothing(deploy: Deploy, target: TargetStub, directory: Path) -> None:
    """The Wasm of the build before lies there still."""
    first = deploy()
    target.desired = None
    manifest = (directory / "spin.toml").read_text()
    (directory / "spin.toml").write_text(manifest.replace("cp prepared.wasm app.wasm", "echo SyntaxError >&2"))
    with pytest.raises(
        PlatformError, match=r"exit code 0 but wrote no app\.wasm.* Its last lines:\nSyntaxError"
    ) as caught:
        deploy()
    assert caught.value.stage == "build"
    assert target.desired is None
    (directory / "spin.toml").write_text(manifest)
    assert deploy(registry="another").digest == first.digest


def test_artifact_stays_whole_while_another_run_builds_the_same_project(
    deploy: Deploy, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment to several clusters builds in one directory several times, and each build moves away what the one
    before wrote."""
    from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.image_layout import ImageLayoutStore

    real = ImageLayoutStore.push

    def push(self: t.Any, *arguments: t.Any, **options: t.Any) -> t.Any:
        (directory / "app.wasm").unlink(missing_ok=True)
        return real(self, *arguments, **options)

    monkeypatch.setattr(ImageLayoutStore, "push", push)
    assert deploy().digest


# What a build leaves in the project


def rebuilt_by(directory: Path, command: str) -> None:
    """Have the project built by another command; the builds are counted still."""
    manifest = directory / "spin.toml"
    lines = [
        f"command = {json.dumps(f'cp prepared.wasm app.wasm && echo built >> ../builds && {command}')}"
        if line.startswith("command = ")
        else line
        for line in manifest.read_text().splitlines()
    ]
    manifest.write_text("\n".join(lines))


@pytest.mark.parametrize("lock_file", ["package-lock.json", "Cargo.lock", "web/yarn.lock"])
def test_lock_file_that_the_first_build_writes_is_no_change_for_the_second_run(
    deploy: Deploy, directory: Path, tmp_path: Path, target: TargetStub, lock_file: str
) -> None:
    (directory / "web").mkdir()
    rebuilt_by(directory, f"echo chosen > {lock_file}")
    first = deploy()
    second = deploy()
    assert (first.changed, second.changed, second.warnings, builds(tmp_path)) == (True, False, [], 1)
    (directory / lock_file).unlink()
    assert not deploy().changed, "a clean clone without it finds the artifact of the same sources"
    assert builds(tmp_path) == 1
    (directory / lock_file).write_text("edited")
    assert not deploy().changed, "what was built is the same"
    assert builds(tmp_path) == 2


def test_source_that_changes_during_the_build_is_built_by_the_next_run(
    deploy: Deploy, directory: Path, tmp_path: Path
) -> None:
    """Nobody knows whether the build read it before."""
    rebuilt_by(directory, "[ -e ../edited ] || echo 2 > app.py; touch ../edited; echo chosen > Cargo.lock")
    first = deploy()
    assert "changed during the build (app.py), so" in first.warnings[0]
    assert "Cargo.lock" not in first.warnings[0]
    assert not deploy().changed
    assert builds(tmp_path) == 2
    assert not deploy().changed
    assert builds(tmp_path) == 2


OUTPUT = "mkdir -p web/public/js && cp app.py web/public/js/index.js && date +%N > web/public/built"


def test_directory_that_a_build_made_is_no_source_while_it_is_as_the_build_left_it(
    deploy: Deploy, directory: Path, tmp_path: Path
) -> None:
    (directory / "web").mkdir()
    rebuilt_by(directory, OUTPUT)
    digests = [deploy().source_digest, deploy().source_digest]
    assert (digests[0], builds(tmp_path)) == (digests[1], 1)
    (directory / "app.py").write_text("2")
    assert deploy().warnings == []
    digests.append(deploy().source_digest)
    assert builds(tmp_path) == 2

    (directory / "web" / "public" / "js" / "index.js").write_text("edited by hand")
    deploy()
    assert builds(tmp_path) == 3, "the build writes it anew"
    assert deploy().source_digest == digests[-1]
    (directory / "web" / "public" / "js" / "mine.js").write_text("put there by hand")
    deploy()
    deploy()
    assert builds(tmp_path) == 4
    (directory / "web" / "public" / "js" / "mine.js").write_text("edited")
    deploy()
    assert builds(tmp_path) == 5


def test_directory_that_was_there_before_the_build_is_a_source(deploy: Deploy, directory: Path, tmp_path: Path) -> None:
    (directory / "build").mkdir()
    (directory / "build" / "helper.py").write_text("1")
    rebuilt_by(directory, "cp app.py build/generated.py")
    assert "changed during the build (build/generated.py), so" in deploy().warnings[0]
    deploy()
    deploy()
    assert builds(tmp_path) == 2
    (directory / "build" / "helper.py").write_text("2")
    deploy()
    assert builds(tmp_path) == 3


@pytest.mark.parametrize("place", [".output/public", "_site", "dist"])
def test_mounted_output_in_an_ignored_directory_is_no_change(
    deploy: Deploy, directory: Path, tmp_path: Path, place: str
) -> None:
    (directory / ".gitignore").write_text(f"/{place.partition('/')[0]}\nkept\n")
    (directory / "kept").mkdir()
    (directory / "kept" / "given.json").write_text("1")
    manifest = directory / "spin.toml"
    files = f'files = [{{ source = "{place}", destination = "/" }}, "kept/given.json"]'
    manifest.write_text(manifest.read_text().replace("[component.hello]\n", f"[component.hello]\n{files}\n"))
    rebuilt_by(directory, f"mkdir -p {place} && date +%N > {place}/built")
    first = deploy()
    assert [deploy().changed, deploy().source_digest, builds(tmp_path)] == [False, first.source_digest, 1]
    assert first.warnings == []
    (directory / place / "built").unlink()
    assert deploy(check_mode=True).source_digest == first.source_digest
    (directory / "kept" / "given.json").write_text("2")
    assert deploy().digest != first.digest, "no build made this one"


def test_directory_that_a_failed_build_made_is_no_source_of_the_next(
    deploy: Deploy, directory: Path, tmp_path: Path
) -> None:
    rebuilt_by(directory, "mkdir -p made && echo half > made/a && [ -e ../works ]")
    with pytest.raises(PlatformError, match="exit code 1"):
        deploy()
    (tmp_path / "works").touch()
    deploy()
    (directory / "made" / "a").unlink()
    assert not deploy().changed
    assert builds(tmp_path) == 2


def test_damaged_record_of_what_builds_made_costs_a_build_at_most(
    deploy: Deploy, directory: Path, tmp_path: Path
) -> None:
    rebuilt_by(directory, "mkdir -p made && echo a > made/a")
    deploy()
    [record] = (tmp_path / "outputs").glob("*.made.json")
    for content in ("", "{", "[]", "null", '{"files": {"a": 1}, "directories": 3}', '{"files": [], "directories": []}'):
        record.write_text(content)
        assert not deploy().changed


def test_odd_names_of_made_files_are_remembered(deploy: Deploy, directory: Path, tmp_path: Path) -> None:
    rebuilt_by(directory, "mkdir -p made && touch \"$(printf 'made/caf\\351')\" \"$(printf 'made/a\\nb')\"")
    deploy()
    assert len(list((directory / "made").iterdir())) == 2
    assert not deploy().changed
    assert builds(tmp_path) == 1


# Two functions of one workspace, whose builds write outside of their project directories


@pytest.fixture
def workspace(make_project: t.Any, wasm: t.Any, tmp_path: Path) -> Path:
    """Each build works at the top and writes its component, its files and a lock file there; git ignores only some."""
    top = tmp_path / "workspace"
    for name in ("one", "two"):
        command = (
            f"mkdir -p dist generated/{name} && cat common/base.wasm > dist/{name}.wasm && "
            f"date +%N > generated/{name}/built && echo chosen > Cargo.lock && echo built >> ../builds"
        )
        files = f'files = [{{ source = "../../generated/{name}", destination = "/" }}]\n'
        build = f'[component.{name}.build]\nworkdir = "../.."\ncommand = {json.dumps(command)}\n'
        manifest = make_project(None, directory=top / "apps" / name).path
        text = manifest.read_text().replace("hello", name).replace("app.wasm", f"../../dist/{name}.wasm")
        manifest.write_text(text + files + build)
    (top / ".git").mkdir()
    (top / ".gitignore").write_text("/generated/\n/notes/\n")
    (top / "common").mkdir()
    (top / "common" / "base.wasm").write_bytes(wasm.component())
    (top / "common" / "secret").write_text("a secret of the workspace")
    return top


def push_both(deploy: Deploy, workspace: Path, **changes: t.Any) -> list[DeployResult]:
    return [deploy(source=workspace / "apps" / name, state="pushed", **changes) for name in ("one", "two")]


def test_functions_of_one_workspace_are_built_once_and_then_unchanged(
    deploy: Deploy, workspace: Path, tmp_path: Path
) -> None:
    first = push_both(deploy, workspace)
    assert [(result.name, result.changed, result.warnings) for result in first] == [
        ("one", True, []),
        ("two", True, []),
    ]
    for _run in range(2):
        again = push_both(deploy, workspace)
        assert [(result.changed, result.digest) for result in again] == [(False, result.digest) for result in first]
    assert builds(tmp_path) == 2, "neither takes for a source what the build of the other wrote"
    (workspace / "notes").mkdir()
    (workspace / "notes" / "today").touch()
    assert [result.changed for result in push_both(deploy, workspace)] == [False, False]
    assert builds(tmp_path) == 2


def test_edit_beside_the_project_deploys_each_function_anew(
    deploy: Deploy, workspace: Path, tmp_path: Path, wasm: t.Any
) -> None:
    first = push_both(deploy, workspace)
    (workspace / "common" / "base.wasm").write_bytes(wasm.component(padding=300))
    second = push_both(deploy, workspace)
    assert all(result.changed and not result.warnings for result in second)
    assert not {result.digest for result in first} & {result.digest for result in second}
    assert not any(result.changed for result in push_both(deploy, workspace))
    assert builds(tmp_path) == 4
    (workspace / "dist" / "one.wasm").write_bytes(wasm.component(padding=1))
    push_both(deploy, workspace)
    assert builds(tmp_path) == 5, "what somebody put there by hand counts for the other function"


def test_nothing_outside_of_the_project_but_what_is_named_is_in_the_artifact(
    deploy: Deploy, workspace: Path, tmp_path: Path
) -> None:
    push_both(deploy, workspace)
    blobs = [path.read_bytes() for path in (tmp_path / "registry").rglob("*") if path.is_file()]
    assert any((workspace / "dist" / "one.wasm").read_bytes() == blob for blob in blobs)
    assert not any(b"a secret of the workspace" in blob for blob in blobs)


def test_build_outside_that_writes_nothing_is_an_error_and_the_earlier_output_stays(
    deploy: Deploy, workspace: Path
) -> None:
    push_both(deploy, workspace)
    manifest = workspace / "apps" / "one" / "spin.toml"
    manifest.write_text(manifest.read_text().replace("mkdir -p", "true || mkdir -p").replace("&&", "||"))
    with pytest.raises(PlatformError, match=r"wrote no \.\./\.\./dist/one\.wasm"):
        push_both(deploy, workspace)
    assert (workspace / "dist" / "one.wasm").exists()


def test_source_root_without_a_repository_is_the_one_that_is_given(deploy: Deploy, workspace: Path) -> None:
    (workspace / ".git").rmdir()
    with pytest.raises(PlatformError, match="leaves the directory of the manifest") as caught:
        push_both(deploy, workspace)
    assert f"-e source_root={workspace}" in str(caught.value)
    assert [result.changed for result in push_both(deploy, workspace, source_root=workspace)] == [True, True]
    assert [result.changed for result in push_both(deploy, workspace, source_root=workspace)] == [False, False]


# The same artifact of other sources


def test_other_sources_of_the_same_artifact_are_no_change(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path
) -> None:
    first = deploy()
    target.calls.clear()
    (directory / "README.md").write_text("edited")
    for count in (2, 2):
        again = deploy()
        assert (again.changed, again.digest, again.before, again.after) == (False, first.digest, {}, {})
        assert again.source_digest != first.source_digest
        assert target.calls.pop() == "ensure_answers"
        assert target.calls == []
        assert builds(tmp_path) == count
    check = deploy(check_mode=True)
    assert (check.changed, target.calls) == (False, [])
    changed = deploy(variables={"greeting": "hello"})
    assert (changed.changed, changed.digest, builds(tmp_path)) == (True, first.digest, 2)
    assert target.desired is not None and target.desired.source_digest == changed.source_digest


def test_pushing_the_same_artifact_of_other_sources_is_no_change(deploy: Deploy, directory: Path) -> None:
    first = deploy(state="pushed")
    (directory / "README.md").write_text("edited")
    again = deploy(state="pushed")
    assert (first.changed, again.changed, again.image, again.after) == (True, False, first.image, {})


def test_function_that_somebody_else_deployed_with_the_same_artifact_is_taken_over(
    deploy: Deploy, target: TargetStub
) -> None:
    deploy()
    assert target.function is not None
    target.function = dataclasses.replace(target.function, source_digest="")
    assert deploy().changed


# Another project with the same application name


def test_another_directory_with_the_same_name_is_warned_of_before_it_replaces_the_first(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path, wasm: t.Any
) -> None:
    deploy()
    other = tmp_path / "other"
    shutil.copytree(directory, other)
    assert deploy(source=other).warnings == [], "the same, so it replaces nothing"
    (other / "app.py").write_text("2")
    assert deploy(source=other).warnings == [], "the same artifact"
    (other / "prepared.wasm").write_bytes(wasm.component(padding=300))
    told: list[str] = []

    class Told:
        def stage(self, name: str) -> None:
            """Not looked at."""

        def line(self, text: str) -> None:
            told.append(text)

    assert len(deploy(source=other, check_mode=True).warnings) == 1
    target.calls.clear()
    with progress.listening(Told()):
        [warning] = deploy(source=other).warnings
    assert warning.startswith(f"user1/hello was deployed from {directory / 'spin.toml'}, and is replaced by {other}")
    assert "-e name=NAME" in warning
    assert told.index(f"Warning: {warning}") < next(index for index, line in enumerate(told) if line.startswith("$ cp"))
    (other / "prepared.wasm").write_bytes(wasm.component(padding=500))
    assert deploy(source=other).warnings == [], "it is the function's project now"
    assert len(deploy().warnings) == 1, "and the first one another"


@pytest.mark.parametrize("reason", ["named", "moved", "damaged"])
def test_another_directory_is_no_warning_where_it_is_meant(
    deploy: Deploy, directory: Path, tmp_path: Path, wasm: t.Any, reason: str
) -> None:
    deploy()
    other = tmp_path / "other"
    shutil.copytree(directory, other)
    (other / "prepared.wasm").write_bytes(wasm.component(padding=300))
    if reason == "moved":
        directory.rename(tmp_path / "gone")
    if reason == "damaged":
        [file] = (tmp_path / "outputs").glob("origins/*/*.json")
        file.write_text("[")
    assert deploy(source=other, name="hello" if reason == "named" else None).warnings == []


# What a target refuses


def test_target_that_runs_the_artifact_itself_refuses_it_before_it_is_pushed(
    deploy: Deploy, target: TargetStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(desired: DesiredFunction) -> list[str]:
        if desired.artifact is not None:
            raise PlatformError("does not run here.", next_step="Do not.")
        return []

    monkeypatch.setattr(target, "check", check)
    target.needs_artifact = True
    with pytest.raises(PlatformError, match="does not run here"):
        deploy()
    assert builds(tmp_path) == 1
    assert not (tmp_path / "registry").exists()


# Rules of the shim's Spin


@pytest.mark.parametrize("state", ["present", "pushed"])
def test_manifest_that_the_shims_spin_refuses_is_refused_before_the_build(
    deploy: Deploy, directory: Path, target: TargetStub, tmp_path: Path, state: str
) -> None:
    manifest = directory / "spin.toml"
    hosts = 'source = "app.wasm"\nallowed_outbound_hosts = ["https://{{ greeting }}"]'
    manifest.write_text(manifest.read_text().replace('source = "app.wasm"', hosts).replace('"hi"', '""'))
    with pytest.raises(PlatformError, match=r"only from 4\.1 on") as caught:
        deploy(state=state)
    assert caught.value.stage == "compatibility"
    assert builds(tmp_path) == 0 and not target.calls
    target.shim = "0.26.0"
    assert deploy(state=state, shim_version="0.26.0").changed


def test_value_of_a_variable_that_makes_a_wrong_host_is_refused_before_the_build(
    deploy: Deploy, directory: Path, tmp_path: Path
) -> None:
    manifest = directory / "spin.toml"
    hosts = 'source = "app.wasm"\nallowed_outbound_hosts = ["https://{{ greeting }}"]'
    manifest.write_text(manifest.read_text().replace('source = "app.wasm"', hosts))
    with pytest.raises(PlatformError, match="with the values of its variables it becomes"):
        deploy(variables={"greeting": "two words"})
    assert builds(tmp_path) == 0
    assert deploy(variables={"greeting": "example.com"}).changed
