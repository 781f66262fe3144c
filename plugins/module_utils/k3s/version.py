# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of k3s: `v1.36.4+k3s1`, Kubernetes' version with k3s's own release behind it."""

from __future__ import annotations

import dataclasses
import re

from ..errors import PlatformError

PATTERN = re.compile(
    r"v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)(?:-rc(?P<candidate_before>\d+))?\+k3s(?P<release>\d+)(?:-rc(?P<candidate>\d+))?"
)
"""Kubernetes' own candidates come before the plus sign, k3s's behind (tags of k3s-io/k3s: v1.36.0-rc1+k3s1,
v1.36.4-rc1+k3s1, v1.36.4+k3s1-rc1)."""

FINAL = 1_000_000
"""Stands for "no candidate": a final release is newer than all of its candidates."""

KUBELET_SKEW = 3
"""Minors that a kubelet may be older than the API server (kubernetes.io/releases/version-skew-policy)."""

ETCD_STEP = "v1.33.7+k3s3"
"""Oldest 1.33 to go to 1.34 from: it has etcd 3.5.26, which mends members that etcd 3.6 would bring back from the dead
(k3s-io/k3s #13485)."""


@dataclasses.dataclass(frozen=True, order=True)
class Version:
    """Ordered as released."""

    major: int
    minor: int
    patch: int
    candidate_before: int
    release: int
    candidate: int

    def __str__(self) -> str:
        before = "" if self.candidate_before == FINAL else f"-rc{self.candidate_before}"
        behind = "" if self.candidate == FINAL else f"-rc{self.candidate}"
        return f"v{self.major}.{self.minor}.{self.patch}{before}+k3s{self.release}{behind}"


def parse(text: str) -> Version:
    """A version as k3s's tags write it; a container tag's `-k3s1` counts too.

    Raises:
        PlatformError: it is none.
    """
    match = PATTERN.fullmatch(re.sub(r"-(?=k3s\d)", "+", text.strip()))
    if match is None:
        near = re.fullmatch(r"v?(\d+\.\d+\.\d+)(?:[+-]?k3s(\d+))?", text.strip())
        meant = f"v{near[1]}+k3s{near[2] or 1}" if near else "v1.36.4+k3s1"
        raise PlatformError(
            f"{text!r} is no version of k3s.", next_step=f"write it as its release is tagged, such as {meant}."
        )
    parts = {key: FINAL if value is None else int(value) for key, value in match.groupdict().items()}
    return Version(**parts)


def is_version(text: str) -> bool:
    return PATTERN.fullmatch(text) is not None


def upgrade_problem(running: str, wanted: str) -> tuple[str, str] | None:
    """Why a server may not go from `running` to `wanted`: what is wrong and what to do. None where it may, or where
    `running` is not known.

    k3s-io/docs upgrades/manual: no minor is skipped, and there is no way back but restoring a snapshot with the older
    binary.
    """
    if not is_version(running) or not is_version(wanted) or running == wanted:
        return None
    old, new = parse(running), parse(wanted)
    if new < old:
        return f"{wanted} is older than {running}, which runs", (
            f"set k3s_version to {running} or newer; the way back is a snapshot from before the upgrade: "
            f"ansible-playbook wasmfaas.platform.restore with k3s_version: {wanted}"
        )
    if (new.major, new.minor) > (old.major, old.minor + 1):
        return (
            f"{wanted} skips a minor version: {running} runs",
            f"upgrade to the newest v{old.major}.{old.minor + 1} first, then to the next",
        )
    if (old.major, old.minor) == (1, 33) and new.minor == 34 and old < parse(ETCD_STEP):
        return f"{running} may not go to {wanted} at once: its etcd must be 3.5.26 or newer before it becomes 3.6", (
            f"upgrade to the newest v1.33, at least {ETCD_STEP}, first (k3s-io/k3s #13485)"
        )
    return None


def agent_problem(agent: str, server: str) -> tuple[str, str] | None:
    """Why an agent of one version may not run beside servers of another: what is wrong and what to do."""
    if not is_version(agent) or not is_version(server):
        return None
    mine, theirs = parse(agent), parse(server)
    if (mine.major, mine.minor) > (theirs.major, theirs.minor):
        return (
            f"an agent of {agent} is newer than the servers' {server}",
            "upgrade the servers first: wasmfaas.platform.upgrade does them in this order",
        )
    if theirs.minor - mine.minor > KUBELET_SKEW:
        return (
            f"an agent of {agent} is more than {KUBELET_SKEW} minor versions older than the servers' {server}",
            "upgrade the agent: ansible-playbook wasmfaas.platform.upgrade --limit it",
        )
    return None


def version_order(version: str) -> tuple[object, ...]:
    """Key for sorting; text that is not a version comes first."""
    return (1, parse(version)) if is_version(version) else (0,)
