# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by helm, for clusters without k3s' Helm controller.

A release's description says what it was made of, so that only a change upgrades it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import tempfile
import time
import typing as t
from datetime import datetime, timezone

from ..errors import PlatformError
from ..host.commands import TIMED_OUT, Completed, run_command
from ..host.waiting import wait_for
from ..kubernetes.kubectl import UNREACHABLE, Kubectl, Unreachable
from ..kubernetes.workloads import NotReady, Workloads, not_ready
from .model import STEP_FETCH, Chart, failure, require_running

DESCRIPTION = "wasmfaas.dev/applied"
K3S_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
QUERY_SECONDS = 60.0
SPARE_SECONDS = 60.0
NOT_FOUND = re.compile(r"release: not found", re.IGNORECASE)
PENDING = ("pending-install", "pending-upgrade", "pending-rollback")
SAID_LINES = 10

Run = t.Callable[[list[str], float], Completed]
Release = dict[str, t.Any]


class Helm:
    """See `model.Installer`. `command`: how kubectl is called; helm gets its kubeconfig and context."""

    missing = "helm is not installed on the host"

    def __init__(
        self,
        kubectl: Kubectl,
        command: t.Sequence[str],
        *,
        binary: str = "helm",
        run: Run | None = None,
        workloads: Workloads | None = None,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._binary = binary
        self._connection = connection(command)
        self._run = run or self._execute
        self._workloads = workloads or Workloads(kubectl)
        self._sleep = sleep

    def available(self) -> bool:
        return shutil.which(self._binary) is not None

    def wait_available(self) -> bool:
        return self.available()

    def objects(self, charts: list[Chart]) -> list[dict[str, t.Any]]:
        return []

    def install(
        self, charts: list[Chart], *, check_mode: bool, namespaces: set[str], before: t.Any
    ) -> dict[str, t.Any]:
        """See `model.Installer`; one after the other, as helm waits for each.

        Raises:
            PlatformError: helm, or what it installed, fails, or what it installed before does not run any longer.
        """
        result: dict[str, t.Any] = {"changed": False, "changed_objects": [], "diff": []}
        there = []
        for chart in charts:
            release = self._release(chart)
            if _description(release) == _applied(chart) and _status(release) == "deployed":
                there.append(chart)
                continue
            result["changed"] = True
            result["changed_objects"].append(_shown_name(chart))
            result["diff"].append(_difference(chart, release))
            if not check_mode:
                self._free(chart, release)
                self._upgrade(chart, create_namespace=chart.namespace not in namespaces)
                self._wait_running(chart)
        if not check_mode:
            require_running(there, self._workloads, sleep=self._sleep)
        return result

    def uninstall(self, charts: list[Chart], *, check_mode: bool) -> dict[str, t.Any]:
        """See `model.Installer`.

        Raises:
            PlatformError: helm fails.
        """
        result: dict[str, t.Any] = {"changed": False, "changed_objects": [], "diff": []}
        for chart in charts:
            release = self._release(chart)
            if release is None:
                continue
            result["changed"] = True
            result["changed_objects"].append(_shown_name(chart))
            result["diff"].append({**_difference(chart, release), "after": ""})
            if not check_mode:
                arguments = ["uninstall", chart.name, "-n", chart.namespace, "--wait", f"--timeout={chart.timeout}s"]
                completed = self._call(arguments, chart.timeout + SPARE_SECONDS)
                if completed.exit_code != 0 and not NOT_FOUND.search(completed.error):
                    raise self._failure(chart, completed, "is not uninstalled")
        return result

    def _release(self, chart: Chart) -> Release | None:
        """The release as helm knows it; None where there is none."""
        completed = self._call(["status", chart.name, "-n", chart.namespace, "-o", "json"], QUERY_SECONDS)
        if completed.exit_code == 0:
            read: Release = json.loads(completed.output)
            return read
        if NOT_FOUND.search(completed.error):
            return None
        if completed.exit_code == TIMED_OUT or UNREACHABLE.search(completed.error):
            raise Unreachable(
                f"The Kubernetes API does not answer helm: {_tail(completed)}",
                next_step="See whether kubectl reaches it on that host.",
            )
        raise self._failure(chart, completed, "cannot be read")

    def _free(self, chart: Chart, release: Release | None) -> None:
        """End an operation that was cut off, which helm would wait for forever; one that may still go on gets its
        time."""
        if _status(release) not in PENDING:
            return
        seen: list[Release | None] = [release]

        def over() -> bool:
            seen[0] = self._release(chart)
            return _status(seen[0]) not in PENDING

        left = chart.timeout - _age(release)
        if left > 0 and wait_for(over, seconds=left, interval=1.0, sleep=self._sleep):
            return
        first = int((seen[0] or {}).get("version") or 1) == 1
        arguments = (
            ["uninstall", chart.name, "-n", chart.namespace]
            if first
            else ["rollback", chart.name, "-n", chart.namespace]
        )
        completed = self._call(arguments, chart.timeout + SPARE_SECONDS)
        if completed.exit_code != 0:
            raise self._failure(chart, completed, "has an operation that was cut off, which cannot be ended")

    def _upgrade(self, chart: Chart, *, create_namespace: bool) -> None:
        with tempfile.TemporaryDirectory(prefix="wasmfaas-chart-") as directory:  # 0700
            values = os.path.join(directory, "values.yml")
            with open(values, "w", encoding="utf-8", opener=_private) as file:
                file.write(chart.values_text)
            if chart.content:
                archive = os.path.join(directory, f"{chart.name}.tgz")
                with open(archive, "wb", opener=_private) as file:
                    file.write(base64.b64decode(chart.content))
                source = [archive]
            elif chart.repository.startswith("oci://"):
                source = [chart.repository, f"--version={chart.version}"]
            else:
                source = [chart.chart, f"--repo={chart.repository}", f"--version={chart.version}"]
            arguments = [
                "upgrade",
                "--install",
                chart.name,
                *source,
                "-n",
                chart.namespace,
                f"--values={values}",
                f"--description={_applied(chart)}",
            ]
            arguments += [
                "--wait",
                f"--timeout={chart.timeout}s",
                *(["--create-namespace"] if create_namespace else []),
            ]
            arguments += ["--take-ownership"] if chart.take_ownership else []
            completed = self._call(arguments, chart.timeout + SPARE_SECONDS)
        if completed.exit_code != 0:
            raise self._failure(chart, completed, "is not installed")

    def _wait_running(self, chart: Chart) -> None:
        """Wait for what operators make from the release's objects; helm has waited for everything else."""
        problems: list[NotReady] = []

        def run() -> bool:
            with contextlib.suppress(Unreachable):
                problems[:] = self._workloads.problems(chart.name, chart.namespace)
                if problems and problems[0].lasting:
                    return True
                return not problems
            return False

        if not wait_for(run, seconds=chart.timeout, sleep=self._sleep) or problems:
            problem = (
                problems[0]
                if problems
                else not_ready("", "the API does not answer", "Run it again.", namespace=chart.namespace)
            )
            raise failure(chart, problem, self._workloads, did="is installed and does not run")

    def _failure(self, chart: Chart, completed: Completed, did: str) -> PlatformError:
        said = _tail(completed)
        problems = (
            self._workloads.problems(chart.name, chart.namespace) if "timed out" in said or "deadline" in said else []
        )
        if problems:
            return failure(chart, problems[0], self._workloads, did=did)
        step = (
            STEP_FETCH
            if re.search(r"fetch|download|repo|registry|dial tcp|lookup", said)
            else "Correct what helm names, and run it again."
        )
        return failure(chart, not_ready("", f"helm {said}", step), self._workloads, did=did)

    def _call(self, arguments: list[str], seconds: float) -> Completed:
        return self._run([*self._connection, *arguments], seconds)

    def _execute(self, arguments: list[str], seconds: float) -> Completed:
        return run_command([self._binary, *arguments], seconds=seconds, environment={"KUBECONFIG": ""})


def connection(command: t.Sequence[str]) -> list[str]:
    """helm's options for the cluster that a kubectl command reaches: `--kubeconfig`, `--context`; k3s has its own place
    for the former."""
    found: list[str] = []
    words = list(command)
    for option, theirs in (("--kubeconfig", "--kubeconfig"), ("--context", "--kube-context")):
        for index, word in enumerate(words):
            if word.startswith(f"{option}="):
                found.append(f"{theirs}={word.partition('=')[2]}")
            elif word == option and index + 1 < len(words):
                found.append(f"{theirs}={words[index + 1]}")
    if not any(word.startswith("--kubeconfig") for word in found) and os.path.basename(words[0]) == "k3s":
        found.append(f"--kubeconfig={K3S_KUBECONFIG}")
    return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _applied(chart: Chart) -> str:
    return f"{DESCRIPTION} {chart.digest}"


def _description(release: Release | None) -> str:
    return str(((release or {}).get("info") or {}).get("description") or "")


def _status(release: Release | None) -> str:
    return str(((release or {}).get("info") or {}).get("status") or "")


def _age(release: Release | None) -> float:
    """Seconds since the last operation of a release began; infinite where helm does not say."""
    text = str(((release or {}).get("info") or {}).get("last_deployed") or "")
    match = re.match(r"(\d+-\d+-\d+T\d+:\d+:\d+)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$", text)
    if match is None:
        return float("inf")
    began = datetime.fromisoformat(match[1] + match[2].replace("Z", "+00:00"))
    return (datetime.now(timezone.utc) - began).total_seconds()


def _shown_name(chart: Chart) -> str:
    return f"release {chart.namespace}/{chart.name}"


def _difference(chart: Chart, release: Release | None) -> dict[str, str]:
    before = (
        json.dumps((release or {}).get("config") or {}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        if release
        else ""
    )
    return {
        "before_header": _shown_name(chart),
        "after_header": _shown_name(chart),
        "before": before,
        "after": chart.values_text + "\n",
    }


def _tail(completed: Completed) -> str:
    lines = (
        completed.error.strip() or completed.output.strip() or f"ended with exit code {completed.exit_code}"
    ).splitlines()
    return "said: " + "\n".join(lines[-SAID_LINES:])
