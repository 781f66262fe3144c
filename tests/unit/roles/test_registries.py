# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The login of nodes to Amazon ECR: which files they get, where the program comes from, and who gets it without asking.

That the kubelet takes the configuration is shown by its own code, in tests/integration/test_k3s_double.py.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.binaries import expand, provide
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths

from .role_rendering import PROJECT, RenderedRole

PROGRAM = f"{paths.CREDENTIAL_PROVIDER_DIRECTORY}/ecr-credential-provider"
HERE = {"path": "/cache/ecr-credential-provider", "sha256": "b" * 64}


def role(**variables: t.Any) -> RenderedRole:
    own = {"ansible_managed": "managed", "__k3s_host": {"architecture": "arm64"}}
    return RenderedRole(
        "registries",
        **own | {"registries_downloaded": {"binaries": {"ecr-credential-provider": {"arm64": HERE}}}} | variables,
    )


def files(**variables: t.Any) -> dict[str, dict[str, t.Any]]:
    return {file["path"]: file for file in role(**variables).value("__registries_files")}


def programs(**variables: t.Any) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", role(**variables).value("__registries_binaries"))


def test_nodes_get_the_program_and_its_configuration() -> None:
    """k3s looks at these two places as it starts, and needs no flag (k3s, pkg/cli/cmds/agent.go,
    ImageCredProvBinDirFlag and ImageCredProvConfigFlag)."""
    found = files(registries_ecr_login=True)
    assert found[PROGRAM] == {
        "path": PROGRAM,
        "source": HERE["path"],
        "sha256": HERE["sha256"],
        "mode": "0755",
        "state": "present",
    }
    configuration = yaml.safe_load(found[paths.CREDENTIAL_PROVIDER_CONFIG]["content"])
    assert (configuration["apiVersion"], configuration["kind"]) == (
        "kubelet.config.k8s.io/v1",
        "CredentialProviderConfig",
    )
    (provider,) = configuration["providers"]
    assert provider["name"] == Path(PROGRAM).name and provider["apiVersion"] == "credentialprovider.kubelet.k8s.io/v1"
    assert provider["defaultCacheDuration"] == "12h" and "*.dkr.ecr.*.amazonaws.com" in provider["matchImages"]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"registries_ecr_login": False},
        {"registries_ecr_login": False, "registries_ecr_credential_provider": {"arm64": "/x"}},
    ],
)
def test_other_nodes_get_nothing_of_it(variables: dict[str, t.Any]) -> None:
    found = files(**variables)
    assert {found[path]["state"] for path in (PROGRAM, paths.CREDENTIAL_PROVIDER_CONFIG)} == {"absent"} and programs(
        **variables
    ) == []


def test_the_program_comes_from_its_publisher_with_a_checksum_for_each_architecture() -> None:
    wanted = [program for entry in programs(registries_ecr_login=True) for program in expand(entry, ["amd64", "arm64"])]
    assert [program.url for program in wanted] == [
        f"https://artifacts.k8s.io/binaries/cloud-provider-aws/v{program.version}/linux/{name}/ecr-credential-provider-linux-{name}"
        for program, name in zip(wanted, ("amd64", "arm64"), strict=True)
    ]
    assert (
        all(re.fullmatch("[0-9a-f]{64}", program.sha256) for program in wanted) and wanted[0].sha256 != wanted[1].sha256
    )


def test_a_version_without_its_checksum_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    release = {"version": "1.37.1", "url": "https://mirror.example.com/{version}/{architecture}"}
    (program,) = expand(programs(registries_ecr_login=True, registries_ecr_release=release)[0], ["arm64"])
    with pytest.raises(
        PlatformError, match=r"No checksum of ecr-credential-provider 1\.37\.1 for arm64 is known"
    ) as refused:
        provide(program, tmp_path, None, check_mode=False)
    assert "registries_ecr_release" in refused.value.next_step


def test_a_program_of_this_machine_goes_before_the_download(tmp_path: Path) -> None:
    own = tmp_path / "ecr-credential-provider"
    own.write_bytes(b"built here")
    (entry,) = programs(registries_ecr_credential_provider={"arm64": str(own)})
    here, other = expand(entry, ["arm64", "amd64"])
    assert provide(here, tmp_path / "cache", None, check_mode=False)[1]["path"] == str(own)
    assert other.path == "" and other.sha256


@pytest.mark.parametrize("playbook", ["site", "upgrade", "bundle"])
def test_the_plan_knows_of_the_login(playbook: str) -> None:
    """Before the role k3s plans or collects; and site.yml downloads before it changes anything."""
    roles = roles_of(PROJECT / f"playbooks/{playbook}.yml")
    assert roles.index(("registries", "plan")) < min(
        position for position, entry in enumerate(roles) if entry in (("k3s", "plan"), ("k3s", "bundle"))
    )
    assert playbook == "bundle" or roles.index(("registries", "download")) < roles.index(("k3s", "place"))


def roles_of(file: Path) -> list[tuple[str, str]]:
    """Roles with their entry points, in the order in which a playbook and the tasks that it imports call them."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    tasks = content if file.parent.name == "tasks" else [task for play in content for task in play.get("tasks", [])]
    found: list[tuple[str, str]] = []
    for task in tasks:
        for key, value in task.items():
            if key.endswith("_role"):
                found.append((value["name"].rpartition(".")[2], value.get("tasks_from", "main")))
            elif key.endswith("import_tasks"):
                found += roles_of(file.parent / value)
    return found


def test_air_gap_bundles_and_node_bundles_hold_the_program() -> None:
    bundled = RenderedRole(
        "k3s",
        registries_binaries=programs(registries_ecr_login=True),
        ansible_play_hosts=[],
    )
    assert "ecr-credential-provider" in [entry["name"] for entry in bundled.value("__k3s_bundle_binaries")]
    steps = yaml.safe_load((PROJECT / "roles/node_bundle/tasks/main.yml").read_text(encoding="utf-8"))
    assert ("wasmfaas.platform.registries", "files") in [
        (task[key]["name"], task[key]["tasks_from"]) for task in steps for key in task if key.endswith("_role")
    ]
    assert "registries_files" in (PROJECT / "roles/node_bundle/vars/main.yml").read_text(encoding="utf-8")


def test_on_aws_nodes_log_in_and_public_images_come_through_the_mirrors() -> None:
    variables = DataLoader().load_from_file(
        str(PROJECT / "inventories/aws/group_vars/all.yml"), trusted_as_template=True
    )
    host = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    cluster = {
        "registry": {"host": host, "mirrors": {"quay.io": "wasmfaas-quay", "registry.k8s.io": "wasmfaas-kubernetes"}}
    }
    on_aws = role(**variables, aws_cluster=cluster)
    assert on_aws.value("__registries_ecr_used") is True and files(**variables)[PROGRAM]["state"] == "present"
    mirrors = {
        "quay.io": f"{host}/wasmfaas-quay",
        "registry.k8s.io": f"{host}/wasmfaas-kubernetes",
    }
    assert on_aws.value("platform_image_registries") == mirrors
    settings = yaml.safe_load(files(**variables)["/etc/rancher/k3s/registries.yaml"]["content"])
    assert settings["mirrors"]["docker.io"] == {"endpoint": ["https://mirror.gcr.io"]}, "k3s falls back to docker.io"
