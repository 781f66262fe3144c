# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and taints of registered nodes.

k3s takes `node-label` and `node-taint` at registration only, so they are reconciled through the API. What is ours is
remembered in two annotations of the Node, so that what nobody wants any longer goes away, and everything else stays as
it is.
"""

from __future__ import annotations

import copy
import json
import time
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import Conflict, Kubectl, NotFound, Unreachable, host_kubectl
from . import node_state

MANAGED_LABELS = "wasmfaas.dev/managed-labels"
MANAGED_TAINTS = "wasmfaas.dev/managed-taints"
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
ATTEMPTS = 5


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_node_labels`: its options to its result."""
    return Nodes(host_kubectl(parameters["k3s_program"])).reconcile(
        parameters["nodes"], wait_ready=parameters["wait_ready"], check_mode=check_mode
    )


class Nodes:
    """The nodes of a cluster."""

    def __init__(self, kubectl: Kubectl, *, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self._kubectl = kubectl
        self._sleep = sleep

    def reconcile(self, wanted: list[dict[str, t.Any]], *, wait_ready: float, check_mode: bool) -> dict[str, t.Any]:
        """Give every node its labels and taints, then wait until all are Ready; the module's result.

        Raises:
            PlatformError: a node has not registered in `wait_ready` seconds, or is not Ready after them.
        """
        _check(wanted)
        begin = time.monotonic()
        names = [str(entry["name"]) for entry in wanted]
        found = self._registered(names, 0 if check_mode else wait_ready)
        differences, changed = [], []
        for entry in wanted:
            name = str(entry["name"])
            before, after = self._changed(name, found.get(name), entry, check_mode)
            if before != after:
                changed.append(name)
                differences.append(
                    {"before_header": f"node {name}", "after_header": f"node {name}", "before": before, "after": after}
                )
        if wait_ready and not check_mode:
            found = self._wait_ready(names, max(0.0, wait_ready - (time.monotonic() - begin)), found)
        ready = [name for name in names if name in found and node_state.is_ready(found[name])]
        return {"changed": bool(changed), "changed_nodes": changed, "ready": ready, "diff": differences}

    def _list(self) -> dict[str, node_state.Node]:
        return {node_state.name_of(node): node for node in self._kubectl.get(node_state.NODES).get("items") or []}

    def _registered(self, names: list[str], seconds: float) -> dict[str, node_state.Node]:
        """All nodes, once those of `names` are among them."""
        found: dict[str, node_state.Node] = {}
        problems: list[Unreachable] = []

        def all_there() -> bool:
            problems.clear()
            try:
                found.clear()
                found.update(self._list())
            except Unreachable as problem:
                problems.append(problem)
                return False
            return all(name in found for name in names)

        wait_for(all_there, seconds=max(seconds, 0), interval=1, sleep=self._sleep)
        if problems:
            raise problems[0]
        missing = [name for name in names if name not in found]
        if missing and seconds:
            raise PlatformError(
                f"{_listed(missing)} {'has' if len(missing) == 1 else 'have'} not registered with the cluster in "
                f"{seconds:g} s.",
                next_step="See on that host: systemctl status k3s k3s-agent; journalctl -u k3s -u k3s-agent -n 50",
                facts={"missing": missing},
            )
        return found

    def _changed(
        self, name: str, node: node_state.Node | None, entry: dict[str, t.Any], check_mode: bool
    ) -> tuple[str, str]:
        """Bring one node to what it should be; what is shown of it before and after."""
        if node is None:
            if check_mode:
                return "(not registered yet)\n", _shown(desired({"metadata": {"name": name}, "spec": {}}, entry))
            raise NotFound(
                f"There is no node {name} in the cluster.",
                next_step="Let it join first: run ansible-playbook wasmfaas.platform.site; or correct its name.",
            )
        for attempt in range(1, ATTEMPTS + 1):
            after = desired(node, entry)
            before_text, after_text = _shown(node), _shown(after)
            if after == node or check_mode:
                break
            try:
                self._kubectl.patch(f"{node_state.NODES}/{name}", patch(node, after), kind="json")
                break
            except Conflict:
                if attempt == ATTEMPTS:
                    raise
                node = self._kubectl.get(f"{node_state.NODES}/{name}")
        return before_text, after_text

    def _wait_ready(
        self, names: list[str], seconds: float, found: dict[str, node_state.Node]
    ) -> dict[str, node_state.Node]:
        latest = dict(found)

        def all_ready() -> bool:
            try:
                latest.update(self._list())
            except Unreachable:
                return False
            return all(node_state.is_ready(latest[name]) for name in names)

        if all(node_state.is_ready(latest[name]) for name in names) or wait_for(
            all_ready, seconds=seconds, interval=1, sleep=self._sleep
        ):
            return latest
        late = {name: node_state.why_not_ready(latest[name]) for name in names if not node_state.is_ready(latest[name])}
        raise PlatformError(
            f"{_listed(list(late))} {'is' if len(late) == 1 else 'are'} not Ready: "
            f"{'; '.join(f'{name}: {why}' for name, why in late.items())}",
            next_step="See on that host: journalctl -u k3s -u k3s-agent -n 50; k3s kubectl describe node NAME. "
            "Without a pod network no node becomes Ready.",
            facts={"not_ready": late},
        )


def desired(node: node_state.Node, entry: dict[str, t.Any]) -> node_state.Node:
    """The Node as it should be: with the labels and taints of `entry`, without ours of before that it no longer
    names."""
    after: node_state.Node = copy.deepcopy(node)
    metadata, spec = after["metadata"], after.setdefault("spec", {})
    annotations = metadata.get("annotations") or {}
    labels = {str(key): _word(value) for key, value in (entry.get("labels") or {}).items()}
    taints = [_taint(taint) for taint in entry.get("taints") or []]

    kept_labels = {
        key: value
        for key, value in (metadata.get("labels") or {}).items()
        if key in labels or key not in _words(annotations.get(MANAGED_LABELS))
    }
    _set(metadata, "labels", {**kept_labels, **labels})

    wanted = {_identity(taint): taint for taint in taints}
    ours = _words(annotations.get(MANAGED_TAINTS))
    result = []
    for taint in spec.get("taints") or []:
        replacement = wanted.pop(_identity(taint), None)
        if replacement is not None:
            # What is the same stays the same object, with the time that NoExecute taints carry.
            result.append(taint if taint.get("value", "") == replacement.get("value", "") else replacement)
        elif _identity(taint) not in ours:
            result.append(taint)
    _set(spec, "taints", result + list(wanted.values()))

    others = {key: value for key, value in annotations.items() if key not in {MANAGED_LABELS, MANAGED_TAINTS}}
    remembered = {MANAGED_LABELS: ",".join(sorted(labels)), MANAGED_TAINTS: ",".join(sorted(map(_identity, taints)))}
    _set(metadata, "annotations", {**others, **{key: words for key, words in remembered.items() if words}})
    return after


def patch(before: node_state.Node, after: node_state.Node) -> list[dict[str, t.Any]]:
    """The JSON patch (RFC 6902) between the two that touches nothing else.

    Kubelets and others write to a Node all the time; only who changes the same label or any taint gets in the way, by
    `test` or a missing key.
    """
    operations: list[dict[str, t.Any]] = []
    for field in ("labels", "annotations"):
        old, new = before["metadata"].get(field) or {}, after["metadata"].get(field) or {}
        if new and not old:
            operations.append({"op": "add", "path": f"/metadata/{field}", "value": new})
            continue
        path = f"/metadata/{field}/"
        operations += [
            {"op": "add", "path": path + _pointer(key), "value": value}
            for key, value in new.items()
            if old.get(key) != value
        ]
        operations += [{"op": "remove", "path": path + _pointer(key)} for key in old if key not in new]
    old_taints, new_taints = before["spec"].get("taints"), after["spec"].get("taints")
    if old_taints != new_taints:
        # A missing list is tested as null (kubernetes.io, github.com/evanphx/json-patch).
        operations.append({"op": "test", "path": "/spec/taints", "value": old_taints})
        operations.append({"op": "add", "path": "/spec/taints", "value": new_taints or []})
    return operations


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _set(container: dict[str, t.Any], key: str, value: t.Any) -> None:
    """Set it; empty is the same as missing."""
    if value:
        container[key] = value
    elif container.get(key):
        del container[key]


def _words(text: str | None) -> set[str]:
    return {word for word in (text or "").split(",") if word}


def _identity(taint: dict[str, t.Any]) -> str:
    """What makes a taint one of its own on a node: key and effect (kubernetes core/v1 Taint.MatchTaint)."""
    return f"{taint['key']}:{taint['effect']}"


def _taint(entry: dict[str, t.Any]) -> dict[str, t.Any]:
    taint = {"key": str(entry["key"]), "effect": str(entry["effect"])}
    return {**taint, "value": _word(entry["value"])} if entry.get("value") not in (None, "") else taint


def _word(value: t.Any) -> str:
    """As YAML writes it: `true`, not Python's True."""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _shown(node: node_state.Node) -> str:
    annotations = node["metadata"].get("annotations") or {}
    shown = {
        "labels": node["metadata"].get("labels") or {},
        "managed": {key: annotations[key] for key in (MANAGED_LABELS, MANAGED_TAINTS) if key in annotations},
        "taints": [
            f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in node["spec"].get("taints") or []
        ],
    }
    return json.dumps(shown, indent=1, sort_keys=True) + "\n"


def _check(wanted: list[dict[str, t.Any]]) -> None:
    names = [str(entry["name"]) for entry in wanted]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlatformError(
            f"The node {_listed(twice)} is listed twice.", next_step="Give every host a node name of its own."
        )
    for entry in wanted:
        for taint in entry.get("taints") or []:
            if taint.get("effect") not in EFFECTS:
                cause = (
                    f"The taint {taint.get('key')} of the node {entry['name']} has the effect {taint.get('effect')!r}."
                )
                raise PlatformError(cause, next_step=f"Use one of {', '.join(EFFECTS)}.")


def _listed(names: list[str]) -> str:
    return ", ".join(names)
