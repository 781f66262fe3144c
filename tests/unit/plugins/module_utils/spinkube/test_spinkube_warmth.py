# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When nodes are made warm for a function; tests/integration/test_warm_nodes.py does it at a real API server."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import LiveFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.cluster_function import ClusterFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import SPIN_APP, SPIN_APP_EXECUTOR
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.labels import WARMED_BY
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import ClusterSettings
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warm_record import WARM, WarmRecord
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.warmth import Warmth, failures

Object = dict[str, t.Any]
GIVEN = ClusterSettings(warm="all", warm_is_given=True)
DEFAULT = ClusterSettings(warm="all")


class Api:
    """Nodes a and b, which take functions; a has compiled the artifact `digest`."""

    def __init__(self, digest: str, *, may: bool = True, failing: str = "", servers: bool = False) -> None:
        self.asked: list[str] = []
        self._may = may
        self._failing = failing
        self._servers = servers
        self._record = WarmRecord().with_artifact("class", digest, {"a": "1/"}).written()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what == self._failing:
            raise PlatformError("forbidden", next_step="x")

    def get(self, kind: t.Any, _namespace: str, name: str) -> Object | None:
        self._ask(kind.kind)
        if kind is SPIN_APP:
            annotations = {WARM: self._record}
            metadata = {"name": name, "namespace": "user1", "uid": "u", "annotations": annotations}
            return {"metadata": metadata, "spec": {}}
        if kind is not SPIN_APP_EXECUTOR:
            return None
        metadata = {"annotations": {WARMED_BY: "servers"}} if self._servers else {}
        return {"metadata": metadata, "spec": {"deploymentConfig": {"runtimeClassName": "class"}}}

    def list(self, _kind: t.Any, _namespace: str, *, labels: dict[str, str]) -> t.List[Object]:  # noqa: UP006
        assert labels
        return []

    def annotate(self, _kind: t.Any, _namespace: str, _name: str, annotations: dict[str, str]) -> None:
        self._record = annotations[WARM]

    def get_outside(self, kind: t.Any, _name: str) -> Object:
        self._ask(kind.kind)
        return {}

    def list_nodes(self, kind: t.Any) -> t.List[Object]:  # noqa: UP006
        self._ask(kind.kind)
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [{"metadata": {"name": name, "uid": uid}, "status": status} for name, uid in (("a", "1"), ("b", "2"))]

    def may(self, verb: str, _kind: t.Any, _namespace: str) -> bool:
        self._ask(verb)
        return self._may


def warmth(api: Api, settings: ClusterSettings) -> Warmth:
    return Warmth(ClusterFunction(t.cast(t.Any, api), "user1", "hello", settings, Stages()))


def test_what_is_cold_is_a_difference(desired: t.Any) -> None:
    function = desired()
    assert warmth(Api(function.digest), DEFAULT).compared(function) == (["a"], ["a", "b"])
    assert warmth(Api("sha256:other"), DEFAULT).compared(function) == ([], ["a", "b"])


def test_without_the_option_nothing_is_asked(desired: t.Any) -> None:
    api = Api(desired().digest)
    none = warmth(api, ClusterSettings())
    none.check(desired())
    assert none.compared(desired()) == ([], []) and api.asked == []


def test_who_may_not_make_pods_is_refused_only_what_he_asked_for(desired: t.Any) -> None:
    function = desired()
    with pytest.raises(PlatformError, match="permission to create pods in namespace user1"):
        warmth(Api(function.digest, may=False), GIVEN).check(function)
    default = warmth(Api(function.digest, may=False), DEFAULT)
    default.check(function)
    assert default.compared(function) == ([], []), "or each run would be a change"


def test_who_may_not_make_pods_leaves_it_to_the_servers(desired: t.Any) -> None:
    function, live = desired(), LiveFunction("hello", "user1", "", f"x@{desired().digest}", "", "ready")
    tenant = warmth(Api(function.digest, may=False, servers=True), GIVEN)
    tenant.check(function)
    assert tenant.compared(function) == ([], []), "or each run would be a change until they have done it"
    assert tenant.after(function, live).details["warm"] == {"nodes": 1, "of": 2, "later": True}
    alone = warmth(Api(function.digest, may=False), DEFAULT)
    assert alone.after(function, live).details["warm"] == {"nodes": 1, "of": 2}


@pytest.mark.parametrize("failing", ["RuntimeClass", "Node"])
def test_who_does_not_see_nodes_warms_none(desired: t.Any, failing: str) -> None:
    assert warmth(Api(desired().digest, failing=failing), DEFAULT).compared(desired()) == ([], [])


def test_a_function_that_works_on_messages_is_started_nowhere_else(desired: t.Any) -> None:
    function = desired(trigger="redis")
    with pytest.raises(PlatformError, match="warm: the function hello has a trigger other than http"):
        warmth(Api(function.digest), GIVEN).check(function)
    default = warmth(Api(function.digest), DEFAULT)
    default.check(function)
    assert default.compared(function) == ([], [])


def test_each_node_that_stays_cold_is_a_warning() -> None:
    assert failures({}) == [] == failures({"warm": {"nodes": 1, "of": 1}})
    found = failures({"warm": {"nodes": 1, "of": 3, "failed": {"b": "no memory", "a": "exit code 137"}}})
    assert ["node a" in found[0], "exit code 137" in found[0], "node b" in found[1]] == [True, True, True]
    assert all("Next: " in warning for warning in found)
