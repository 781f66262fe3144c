# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A chart to install, and what a way to install charts does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import typing as t

from ..errors import PlatformError
from ..host.waiting import wait_for
from ..kubernetes.kubectl import Unreachable
from ..kubernetes.workloads import NotReady, Workloads, not_ready

STEP_FETCH = (
    "Check platform_charts (replaced by platform_chart_overrides), and that the cluster reaches that address; a "
    "mirror goes into `repository`, an archive "
    "of the chart on this machine into `content`. Then run it again."
)


@dataclasses.dataclass(frozen=True)
class Chart:
    """A release of a chart.

    Args:
        name: of the release.
        repository: `oci://HOST/PATH/CHART`, or `https://…` of a repository that has `chart`.
        content: the chart itself, a .tgz as base64, instead of a repository.
        bootstrap: whether it is needed before nodes are ready, such as a cloud controller.
        timeout: seconds for its installation, and again for its pods.
    """

    name: str
    namespace: str
    values: dict[str, t.Any]
    repository: str
    chart: str
    version: str
    content: str = ""
    bootstrap: bool = False
    take_ownership: bool = False
    timeout: int = 600

    @property
    def values_text(self) -> str:
        """The values as JSON, which is YAML, always the same for the same values."""
        return json.dumps(self.values, indent=2, sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """SHA-256 of all that a release is made of."""
        made_of = dataclasses.asdict(dataclasses.replace(self, timeout=0, bootstrap=False))
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


class Installer(t.Protocol):
    """A way to install charts."""

    missing: str
    """Why it cannot be used, as part of a sentence."""

    def available(self) -> bool:
        """Whether the cluster has what it needs."""

    def wait_available(self) -> bool:
        """As `available`, after the time that the start of a cluster may take."""

    def objects(self, charts: list[Chart]) -> list[dict[str, t.Any]]:
        """The objects that stand for the charts, for one read of them together with others."""

    def install(
        self, charts: list[Chart], *, check_mode: bool, namespaces: set[str], before: dict[str, dict[str, t.Any]] | None
    ) -> dict[str, t.Any]:
        """Install the charts, all at once, wait for them, and check that those which were there before still run.

        `namespaces`: those that exist for other reasons; `before`: what is known of `objects`.
        """

    def uninstall(self, charts: list[Chart], *, check_mode: bool) -> dict[str, t.Any]:
        """Uninstall the charts, one after the other."""


def failure(
    chart: Chart, found: NotReady, workloads: Workloads, *, did: str = "is not installed", log: str = ""
) -> PlatformError:
    """The error for a chart that does not get ready: its reason, and the last lines of the pod that has it."""
    lines = log or workloads.log(found)
    cause = f"The chart {chart.name} in the namespace {chart.namespace} {did}: {found.problem.statement}"
    shown = f"{cause} Its last lines:\n{lines}\n" if lines else cause
    return PlatformError(
        shown,
        next_step=found.problem.next_step,
        facts={"chart": chart.name, "namespace": chart.namespace, "pod": found.pod, "pod_log": lines},
    )


def require_running(
    charts: list[Chart],
    workloads: Workloads,
    *,
    clock: t.Callable[[], float] = time.monotonic,
    sleep: t.Callable[[float], None] = time.sleep,
) -> None:
    """Check that charts which an earlier run installed still run, by one look where they do.

    Pods that wait for their next try get it at once, since their cause may be gone; after that they have as long as
    pods take to come back, and not as long as an installation.

    Raises:
        PlatformError: of the first chart that does not run.
    """
    unready = workloads.unready((chart.name, chart.namespace) for chart in charts)
    broken = [chart for chart in charts if (chart.name, chart.namespace) in unready]
    for chart in broken:
        workloads.try_again(chart.name, chart.namespace)
    problems: dict[str, NotReady] = {}

    def run() -> bool:
        try:
            for chart in list(broken):
                found = workloads.problems(chart.name, chart.namespace, restarts=workloads.patience.running_restarts)
                if not found:
                    broken.remove(chart)
                    continue
                problems[chart.name] = found[0]
                if found[0].lasting:
                    raise failure(chart, found[0], workloads, did="was installed before and does not run")
        except Unreachable:
            pass  # a server that restarts meanwhile
        return not broken

    seconds = workloads.patience.running_seconds
    if broken and not wait_for(run, seconds=seconds, clock=clock, sleep=sleep):
        problem = problems.get(broken[0].name) or not_ready(
            "", "the API does not say why", "Run it again.", namespace=broken[0].namespace
        )
        raise failure(
            broken[0], problem, workloads, did=f"was installed before and does not run, also after {seconds:g} s"
        )
