# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what the platform runs: shims of nodes and pods of charts."""

from __future__ import annotations

import re
import typing as t

from ...problems import Problem
from .model import SITE, Host, Limits, Nodes, error, found, one_line


def shims(hosts: t.Sequence[Host], nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether each node to which a RuntimeClass sends pods has the shim for them.

    RuntimeClasses tell, and not a label of ours: a shim must be where the scheduler places pods.
    """
    classes: list[dict[str, t.Any]] = next(
        (host.diagnosis["runtime_classes"] for host in hosts if host.diagnosis.get("runtime_classes")), []
    )
    for host in hosts:
        node = nodes.get(host.node_name)
        if host.problem or host.left_out or node is None:
            continue
        for runtime in classes:
            if _selects(runtime, node):
                yield from _shim(host, runtime)


def _selects(runtime: dict[str, t.Any], node: dict[str, t.Any]) -> bool:
    selector, labels = runtime["node_selector"], node.get("labels") or {}
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def _shim(host: Host, runtime: dict[str, t.Any]) -> t.Iterator[Problem]:
    """Whether the host has the shim of a RuntimeClass, and containerd knows it."""
    shims, handler = host.diagnosis.get("shims") or {}, runtime["handler"]
    binary = re.compile(rf"containerd-shim-{re.escape(handler)}-v\d+")
    if not any(binary.fullmatch(name) for name in shims.get("binaries") or []):
        yield error(
            host.name,
            "shim-missing",
            f"RuntimeClass {runtime['name']} sends pods here, but there is no containerd-shim-{handler} in "
            "/usr/local/bin",
            f"Run {SITE}, or take the label {_label(runtime['node_selector'])} from the node",
        )
    elif shims.get("handlers") is not None and handler not in shims["handlers"]:
        yield error(
            host.name,
            "shim-unknown",
            f"RuntimeClass {runtime['name']} sends pods here, but containerd's configuration has no runtime {handler}",
            f"Run {SITE}, which restarts k3s, which writes it at its start; a config.toml.tmpl of your own must begin "
            f'with {{{{ template "base" . }}}}',
        )


def charts(hosts: t.Sequence[Host], _nodes: Nodes, _limits: Limits) -> t.Iterator[Problem]:
    """Whether the pods of the platform's charts run."""
    charts: list[dict[str, t.Any]] = next(
        (host.diagnosis["charts"] for host in hosts if host.diagnosis.get("charts") is not None), []
    )
    for chart in charts:
        kubectl, pod = f"k3s kubectl -n {chart['namespace']}", chart["pod"]
        look = (
            f"{kubectl} describe pod {pod}; {kubectl} logs {pod} --all-containers"
            if pod
            else f"{kubectl} get pods,events"
        )
        last_line = f"; its last line: {one_line(chart['last_line'])}" if chart["last_line"] else ""
        place = f"{chart['where']}: " if chart["where"] else ""
        yield found(
            chart["severity"],
            "cluster",
            "platform-not-running",
            f"the chart {chart['name']} does not run: {one_line(place + chart['what'])}{last_line}",
            f"Run {look}; correct what they name, then run {SITE}, which restarts pods that wait for their next try",
        )


def _label(selector: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
