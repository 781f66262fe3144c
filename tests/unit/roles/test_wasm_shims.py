# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role wasm_shims: what it removes from a host."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from .role_rendering import RenderedRole

PROJECT = Path(__file__).resolve().parents[3]


def test_uninstall_removes_the_shims_of_the_catalogue_and_no_others() -> None:
    """Docker and containerd have shims of their own in the same directory."""
    (task,) = yaml.safe_load((PROJECT / "roles/wasm_shims/tasks/uninstall.yml").read_text(encoding="utf-8"))
    files = RenderedRole("wasm_shims", **task["vars"]).template("files.yml.j2")
    assert files == [
        {"path": "/usr/local/bin/containerd-shim-spin-v2", "state": "absent"},
        {"path": "/usr/local/bin/containerd-shim-wasmtime-v1", "state": "absent"},
    ]
    assert task["wasmfaas.platform.managed_files"]["files"] == (
        "{{ lookup('ansible.builtin.template', 'files.yml.j2') | from_yaml }}"
    )


@pytest.mark.parametrize("playbook", ["reset", "remove_node"])
def test_shims_go_after_k3s(playbook: str) -> None:
    """A running shim belongs to a container, and k3s_uninstall ends those."""
    plays = yaml.safe_load((PROJECT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    removed = [
        task["ansible.builtin.import_role"]["name"]
        for play in plays
        for task in play.get("tasks", [])
        if task.get("ansible.builtin.import_role", {}).get("tasks_from") == "uninstall"
    ]
    assert removed == ["wasmfaas.platform.k3s", "wasmfaas.platform.wasm_shims"]
