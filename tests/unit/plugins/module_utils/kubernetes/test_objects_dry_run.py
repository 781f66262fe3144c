# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode before anything is installed: the API refuses what is in a namespace, or of a kind, that is not there yet.

Each kubectl is a process with requests of its own, so there must be few of them. test_platform_roles.py among the
integration tests has the same with the real one.
"""

from __future__ import annotations

import json

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.applied import Object
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.objects import Objects, identity

NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}}
MAPS: list[Object] = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "new"}}
    for name in ("a", "b", "c")
]
RULES: list[Object] = [
    {"apiVersion": "example.com/v1", "kind": "Rule", "metadata": {"name": name, "namespace": "default"}}
    for name in ("a", "b")
]
ROLE: Object = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"}}
NO_RULES = 'no matches for kind "Rule" in version "example.com/v1"'


class EmptyCluster:
    """kubectl of a cluster that has neither the namespace nor the kind. It says what kubectl v1.32 and v1.34 say."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.applied: list[int] = []
        self.read: list[int] = []

    def __call__(self, arguments: list[str], standard_input: str | None) -> Completed:
        objects: list[Object] = json.loads(standard_input or "{}")["items"]
        (self.read if arguments[0] == "get" else self.applied).append(len(objects))
        if arguments[0] == "get":
            unknown = any(entry["kind"] == "Rule" for entry in objects)
            return Completed(1, "", f"error: {NO_RULES}\n") if unknown else Completed(0, "", "")
        assert "--dry-run=server" in arguments
        errors = [error for entry in objects if (error := self._error(entry))]
        if errors:
            return Completed(1, "", "\n".join(errors))
        return Completed(0, "".join(json.dumps(entry) for entry in objects), "")

    def _error(self, entry: Object) -> str:
        if entry["metadata"]["name"] == self.refused:
            return f'The {entry["kind"]} "{self.refused}" is invalid: data: Invalid value'
        if entry["kind"] == "Rule":
            return f"unable to recognize {NO_RULES}"
        missing = entry["metadata"].get("namespace") == "new"
        return 'Error from server (NotFound): namespaces "new" not found' if missing else ""


def check(cluster: EmptyCluster, objects: list[Object]) -> list[str]:
    result = Objects(Kubectl(cluster)).reconcile(objects, state="present", check_mode=True)
    assert result["changed"] is True
    changed: list[str] = result["changed_objects"]
    return changed


def test_all_of_a_new_namespace_is_asked_for_together() -> None:
    cluster = EmptyCluster()
    objects = [NAMESPACE, *MAPS, ROLE]
    assert check(cluster, objects) == [identity(entry) for entry in objects]
    assert cluster.applied == [5, 2], "all, then what is not in the namespace"


def test_kinds_that_are_not_there_cost_one_command_each() -> None:
    cluster = EmptyCluster()
    objects = [NAMESPACE, *MAPS, *RULES, ROLE]
    assert check(cluster, objects) == [identity(entry) for entry in objects]
    assert cluster.read == [7, 1, 3, 2, 1], "all, then kind by kind"
    assert cluster.applied == [7, 2]


def test_nothing_but_what_is_not_there_yet() -> None:
    cluster = EmptyCluster()
    assert check(cluster, MAPS) == [identity(entry) for entry in MAPS]
    assert cluster.applied == [3]


@pytest.mark.parametrize("refused", ["b", "new"])
def test_an_object_that_is_refused_for_itself_is_still_told(refused: str) -> None:
    with pytest.raises(PlatformError, match=f'"{refused}" is invalid'):
        check(EmptyCluster(refused), [NAMESPACE, *MAPS])
