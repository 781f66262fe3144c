# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of kinds that a chart brings: right after its installation the API may not serve them yet."""

from __future__ import annotations

import json

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl, NotFound
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.objects import Objects

RULE = {
    "apiVersion": "monitoring.coreos.com/v1",
    "kind": "PrometheusRule",
    "metadata": {"name": "a", "namespace": "b"},
    "spec": {},
}
NO_KIND = (
    'error: unable to recognize "STDIN": no matches for kind "PrometheusRule" in version "monitoring.coreos.com/v1"'
)


class LateKind:
    """kubectl of a cluster that serves the kind from the third `apply` on."""

    def __init__(self) -> None:
        self.applies = 0

    def __call__(self, arguments: list[str], _standard_input: str | None) -> Completed:
        if arguments[0] != "apply":
            return Completed(0, "", "")
        self.applies += 1
        if self.applies < 3:
            return Completed(1, "", NO_KIND)
        made = {**RULE, "metadata": {**RULE["metadata"], "resourceVersion": "1"}}  # type: ignore[dict-item]
        return Completed(0, json.dumps(made), "")


def reconcile(kind: LateKind, *, webhook_seconds: float) -> bool:
    objects = Objects(Kubectl(kind), webhook_seconds=webhook_seconds, sleep=lambda _seconds: None)
    return bool(objects.reconcile([RULE], state="present", check_mode=False)["changed"])


def test_after_a_chart_its_kinds_are_waited_for() -> None:
    kind = LateKind()
    assert reconcile(kind, webhook_seconds=60)
    assert kind.applies == 3


def test_without_a_chart_an_unknown_kind_is_an_error_at_once() -> None:
    kind = LateKind()
    with pytest.raises(NotFound, match="PrometheusRule"):
        reconcile(kind, webhook_seconds=0)
    assert kind.applies == 1
