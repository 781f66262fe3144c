# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for nodes, as a living server sees them: alive, voters where they have etcd, and of the wanted version."""

from __future__ import annotations

import time
import typing as t

from ...errors import PlatformError
from ...host.waiting import wait_for
from ...kubernetes.kubectl import ApiProblem, Kubectl, host_kubectl
from . import node_state


def wait(
    kubectl: Kubectl,
    names: t.Sequence[str],
    *,
    version: str = "",
    seconds: float,
    sleep: t.Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all are healthy.

    Args:
        version: that their kubelets must have; any where empty.

    Raises:
        PlatformError: some are not in time, with the reason for each.
    """
    problems: list[str] = []

    def all_well() -> bool:
        try:
            nodes = {node_state.name_of(node): node for node in kubectl.get(node_state.NODES).get("items") or []}
        except ApiProblem as problem:
            problems[:] = [problem.cause]
            return False
        problems[:] = [why for why in (not_well(name, nodes.get(name), version) for name in names) if why]
        return not problems

    if not wait_for(all_well, seconds=seconds, interval=1, sleep=sleep):
        raise PlatformError(
            f"After {seconds:g} s not all nodes are as they must be: {'; '.join(problems)}.",
            next_step="See `journalctl -u k3s -u k3s-agent -n 50` on that host, or ansible-playbook "
            "wasmfaas.platform.doctor; then run it again: what is done stays done.",
            facts={"problems": list(problems)},
        )


def not_well(name: str, node: node_state.Node | None, version: str) -> str:
    """What is wrong with a node, empty where nothing is."""
    if node is None:
        return f"{name} is not registered"
    problem = node_state.not_healthy(node)
    if problem:
        return problem
    runs = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
    return f"{name} runs {runs or 'an unknown version'} and not {version}" if version and runs != version else ""


def run(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_node_ready does; its documentation says what the parameters and the result mean."""
    if not check_mode:
        wait(host_kubectl(), params["nodes"], version=params["version"] or "", seconds=params["timeout"])
    return {"changed": False}
