# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which nodes a function's artifact was compiled already, as its SpinApp remembers it in the annotation WARM.

The shim compiles an artifact before its first start on a node, and containerd keeps the result with the artifact
(containerd/runwasi, crates/containerd-shim-wasm/src/containerd/client.rs of containerd-shim-wasm v1.0.0). Another
version of the shim compiles anew. The cluster's servers read and write it too (node_warmer.py), so this file needs the
standard library of Python 3.9 alone.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from .kinds import NODE, RUNTIME_CLASS, Kind, Object
from .labels import NODE_LABEL

WARM = "wasmfaas.dev/warm"
ARTIFACTS = 3
"""How many artifacts are remembered: the deployed one, and those of a rollback or two."""

Marks = t.Dict[str, str]  # noqa: UP006 - an alias is evaluated, on Python 3.9 too
"""What an artifact was compiled for, by the node's name: the node itself, of which a name may get another one, and the
version of its shim."""


class NodesApi(t.Protocol):
    """What reads objects outside of namespaces."""

    def get_outside(self, kind: Kind, name: str) -> Object | None:
        """One object, or None where there is none."""

    def list_nodes(self, kind: Kind) -> t.List[Object]:  # noqa: UP006 - as in PodsApi
        """All objects of a kind."""


def wasm_nodes(api: NodesApi, runtime_class: str) -> Marks:
    """The nodes that take pods of a RuntimeClass now; raises PlatformError."""
    found = api.get_outside(RUNTIME_CLASS, runtime_class)
    scheduling = (found or {}).get("scheduling") or {}
    if found is None:
        return {}
    return {
        node["metadata"]["name"]: f"{node['metadata']['uid'][:8]}/{_labels(node).get(NODE_LABEL, '')}"
        for node in api.list_nodes(NODE)
        if _takes_pods(node, scheduling.get("nodeSelector") or {}, scheduling.get("tolerations") or [])
    }


def _labels(node: Object) -> dict[str, str]:
    return node["metadata"].get("labels") or {}


def _takes_pods(node: Object, selector: dict[str, str], tolerations: list[Object]) -> bool:
    spec, conditions = node.get("spec") or {}, (node.get("status") or {}).get("conditions") or []
    return (
        selector.items() <= _labels(node).items()
        and not spec.get("unschedulable")
        and any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        and all(
            any(_tolerates(toleration, taint) for toleration in tolerations)
            for taint in spec.get("taints") or []
            if taint["effect"] != "PreferNoSchedule"
        )
    )


def _tolerates(toleration: Object, taint: Object) -> bool:
    return (
        toleration.get("effect") in (None, "", taint["effect"])
        and toleration.get("key") in (None, "", taint["key"])
        and (toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", ""))
    )


@dataclasses.dataclass(frozen=True)
class WarmRecord:
    """What a SpinApp remembers.

    Attributes:
        runtime_class: of the function's pods.
        artifacts: the nodes of each artifact, by its digest; the newest first.
    """

    runtime_class: str = ""
    artifacts: dict[str, Marks] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, app: Object | None) -> WarmRecord:
        """Read the record of a SpinApp; an empty one where it has none, or one that cannot be read."""
        annotations = ((app or {}).get("metadata") or {}).get("annotations") or {}
        try:
            stored = json.loads(annotations.get(WARM, "{}"))
            return cls(
                str(stored.get("runtime_class", "")),
                {
                    str(digest): {str(name): str(mark) for name, mark in marks.items()}
                    for digest, marks in (stored.get("artifacts") or {}).items()
                },
            )
        except (AttributeError, RecursionError, TypeError, ValueError):
            return cls()  # somebody else wrote it: the nodes are taken for cold

    def on(self, digest: str, nodes: Marks) -> Marks:
        """Those of `nodes` that have compiled an artifact, and are still what they were."""
        marks = self.artifacts.get(digest, {})
        return {name: mark for name, mark in nodes.items() if marks.get(name) == mark}

    def with_artifact(self, runtime_class: str, digest: str, nodes: Marks) -> WarmRecord:
        """The record with the nodes of an artifact, which becomes the newest."""
        earlier = [(key, marks) for key, marks in self.artifacts.items() if key != digest]
        return WarmRecord(runtime_class, dict([(digest, nodes), *earlier][:ARTIFACTS]))

    def with_nodes(self, runtime_class: str, digest: str, nodes: Marks) -> WarmRecord:
        """The record with more nodes of an artifact, which keeps its place if it has one."""
        artifacts = dict([(digest, {}), *self.artifacts.items()] if digest not in self.artifacts else self.artifacts)
        artifacts[digest] = {**artifacts[digest], **nodes}
        return WarmRecord(runtime_class, dict(list(artifacts.items())[:ARTIFACTS]))

    def written(self) -> str:
        """The value of the annotation."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))


def counted(record: WarmRecord, digest: str, nodes: Marks | None) -> dict[str, t.Any]:
    """The number of warm nodes as users see it, and of all (None where the user may not see them)."""
    if nodes is None:
        return {"nodes": len(record.artifacts.get(digest, {})), "of": None}
    return {"nodes": len(record.on(digest, nodes)), "of": len(nodes)}
