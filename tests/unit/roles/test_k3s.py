# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role k3s: which files a server and an agent get, and which servers a repair of tokens concerns."""

from __future__ import annotations

import typing as t

import pytest

from .role_rendering import RenderedRole, Variables

POLICIES = {"/var/lib/rancher/k3s/server/audit.yaml", "/var/lib/rancher/k3s/server/psa.yaml"}


def role(kind: str, **variables: t.Any) -> RenderedRole:
    """On a host that is a server or an agent by its plan."""
    host = {
        "role": kind,
        "unit": "k3s" if kind == "server" else "k3s-agent",
        "architecture": "arm64",
        "config": {"node-name": "one"},
        "join": {},
        "join_afterwards": {},
    }
    binaries = {"k3s": {"arm64": {"path": "/cache/k3s", "sha256": "0" * 64}}}
    given: Variables = {
        "inventory_hostname": "one",
        "ansible_managed": "Ansible managed",
        "k3s_plan": {"hosts": {"one": host}},
        "k3s_downloaded": {"binaries": binaries},
    }
    return RenderedRole("k3s", **{**given, **variables})


def files(kind: str, **variables: t.Any) -> dict[str, Variables]:
    return {file["path"]: file for file in role(kind, **variables).value("__k3s_files")}


@pytest.mark.parametrize(("kind", "unit"), [("server", "k3s"), ("agent", "k3s-agent")])
def test_a_host_gets_the_unit_of_its_role(kind: str, unit: str) -> None:
    found = files(kind)
    written = found[f"/etc/systemd/system/{unit}.service"]["content"]
    assert f"ExecStart=/usr/local/bin/k3s {kind}\n" in written + "\n"
    assert f"/run/wasmfaas/{unit}.inputs" in written
    assert found["/usr/local/bin/k3s"]["source"] == "/cache/k3s"
    assert "node-name: one" in found["/etc/rancher/k3s/config.yaml"]["content"]


def test_policies_are_on_servers_alone() -> None:
    found = files("server", k3s_hardening=True, k3s_cis_profile=False)
    assert [path for path in sorted(POLICIES) if found[path]["state"] == "present"] == [min(POLICIES)]
    assert files("server", k3s_cis_profile=True)["/var/lib/rancher/k3s/server/psa.yaml"]["state"] == "present"
    assert not POLICIES & set(files("agent"))
    assert [entry["path"] for entry in role("agent").value("__k3s_directories")] == ["/etc/rancher/k3s/config.yaml.d"]


def test_the_file_that_k3s_joins_with_is_no_part_of_a_node_bundle() -> None:
    join = "/etc/rancher/k3s/config.yaml.d/join.yaml"
    assert join not in files("agent") and join not in files("server")
    assert [file["path"] for file in role("server").value("__k3s_join_files")] == [join]


@pytest.mark.parametrize(
    ("released", "anywhere"),
    [
        ({"refused": []}, False),
        ({"refused": ["/var/lib/rancher/k3s/server/cred/passwd"]}, True),
        ({"unreachable": True, "msg": "no route to host"}, False),
    ],
)
def test_one_refused_server_is_enough_to_look_at_the_tokens_of_all(released: Variables, anywhere: bool) -> None:
    hosts = {"one": {"__k3s_tokens_released": {"refused": []}}, "two": {"__k3s_tokens_released": released}, "three": {}}
    found = role("server", groups={"k3s_server": list(hosts)}, hostvars=hosts)
    assert found.value("__k3s_tokens_refused_anywhere") is anywhere
