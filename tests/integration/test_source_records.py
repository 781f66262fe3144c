# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose artifacts a deployment uses without a build: on the real API server, with a real registry that the attacker may
write to."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.deploy_function import source_tag
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SECRET
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.record_key import SECRET_NAME
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .support.deployment import Deployment
from .support.function_project import FunctionProject

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def point_at(deployment: Deployment, name: str, tag: str, digest: str) -> None:
    """Have a tag of the function's repository name the manifest of this digest, as any writer of it can."""
    manifests = f"http://{deployment.registry.host}/v2/functions/{name}/manifests"
    content = httpx2.get(f"{manifests}/{digest}", headers={"Accept": MANIFEST}).raise_for_status().content
    httpx2.put(f"{manifests}/{tag}", content=content, headers={"Content-Type": MANIFEST}).raise_for_status()


def tags(deployment: Deployment, name: str) -> list[str]:
    answer = httpx2.get(f"http://{deployment.registry.host}/v2/functions/{name}/tags/list")
    return [str(tag) for tag in answer.raise_for_status().json()["tags"]]


def test_a_poisoned_tag_is_built_again(deployment: Deployment, project: FunctionProject, tmp_path: Path) -> None:
    """The attacker pushes its code into the same repository, with a record of its own, and tags it as the victim's."""
    project.write("the attacker's")
    attackers = {"state": "pushed", "state_directory": str(tmp_path / "attacker"), "namespace": "attacker"}
    foreign = deployment.deploy(project, **attackers)
    project.write("the victim's")
    digest = deployment.deploy(project, check_mode=True)["source_digest"]
    point_at(deployment, project.name, source_tag(digest), foreign["digest"])

    planned = deployment.deploy(project, check_mode=True)
    assert "build" in planned["diff"]["after"] and planned["digest"] == ""
    result = deployment.deploy(project)
    assert result["digest"] != foreign["digest"]
    assert deployment.call(result).json()["image"] == result["image"]
    (warning,) = result["warnings"]
    assert "no record says" in warning and warning.endswith("it is built again.")
    # A tag that is poisoned afterwards changes nothing that is deployed.
    point_at(deployment, project.name, source_tag(digest), foreign["digest"])
    assert deployment.deploy(project)["changed"] is False


def test_a_record_of_other_sources_is_none_of_these(deployment: Deployment, project: FunctionProject) -> None:
    """An earlier version of the victim's own, with a valid record, is no answer for its present sources either."""
    first = deployment.deploy(project)
    project.write("second")
    digest = deployment.deploy(project, check_mode=True)["source_digest"]
    point_at(deployment, project.name, source_tag(digest), first["digest"])
    second = deployment.deploy(project)
    assert second["digest"] != first["digest"] and "build" in second["stages"]


def test_the_key_of_the_namespace(deployment: Deployment, project: FunctionProject, api: KubernetesApi) -> None:
    """Made by the first deployment; with another one nothing that is deployed changes, and the rest is built again."""
    first = deployment.deploy(project)
    before = api.get(SECRET, "default", SECRET_NAME)
    assert before is not None
    assert len([tag for tag in tags(deployment, project.name) if tag.startswith("record-")]) == 1
    deployment.delete(project.name)
    again = deployment.deploy(project)
    assert again["digest"] == first["digest"] and "build" not in again["stages"] and "warnings" not in again

    assert api.delete(SECRET, "default", SECRET_NAME)
    assert deployment.deploy(project, check_mode=True)["changed"] is False
    assert deployment.deploy(project)["changed"] is False
    assert api.get(SECRET, "default", SECRET_NAME) is None, "an unchanged function needs no key"
    deployment.delete(project.name)
    rebuilt = deployment.deploy(project)
    assert "build" in rebuilt["stages"] and rebuilt["digest"] == first["digest"]
    after = api.get(SECRET, "default", SECRET_NAME)
    assert after is not None and after["data"] != before["data"]
    assert "build" not in deployment.deploy(project, replicas=2)["stages"]


@pytest.mark.parametrize("given", [False, True])
def test_what_a_pipeline_pushed(deployment: Deployment, project: FunctionProject, tmp_path: Path, given: bool) -> None:
    """Deployed without a build from the same machine, and from another with the pipeline's key."""
    options = {}
    if given:
        key = tmp_path / "record.key"
        key.write_text("ab" * 32)
        key.chmod(0o600)
        options = {"record_key_file": str(key)}
    pushed = deployment.deploy(project, state="pushed", **options)
    if given:
        options["state_directory"] = str(tmp_path / "another machine")
    result = deployment.deploy(project, **options)
    assert result["digest"] == pushed["digest"] and "build" not in result["stages"] and "warnings" not in result


def test_a_signed_function_is_signed_once(deployment: Deployment, project: FunctionProject, tmp_path: Path) -> None:
    """First deployed without a key: the signature alone is added, then nothing; a new key's stands beside it."""
    unsigned = deployment.deploy(project)
    keys = {}
    for name in ("old", "new"):
        keys[name] = tmp_path / f"{name}.key"
        key = ec.generate_private_key(ec.SECP256R1())
        keys[name].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        keys[name].chmod(0o600)
    tag = f"{unsigned['digest'].replace(':', '-')}.sig"
    manifest = f"http://{deployment.registry.host}/v2/functions/{project.name}/manifests/{tag}"

    planned = deployment.deploy(project, signing_key=str(keys["old"]), check_mode=True)
    assert planned["changed"] is True and planned["diff"]["after"] == {"signature": planned["signature"]}
    assert httpx2.get(manifest, headers={"Accept": MANIFEST}).status_code == 404
    for number, name in enumerate(("old", "new"), 1):
        signed = deployment.deploy(project, signing_key=str(keys[name]))
        assert (signed["changed"], signed["digest"]) == (True, unsigned["digest"])
        assert signed["signature"]["tag"] == tag
        for check_mode in (False, True):
            again = deployment.deploy(project, signing_key=str(keys[name]), check_mode=check_mode)
            assert (again["changed"], again["diff"]["after"]) == (False, {})
        layers = httpx2.get(manifest, headers={"Accept": MANIFEST}).raise_for_status().json()["layers"]
        assert len(layers) == number
