# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A request's way through the ingress: Envoy, run by Contour, in front of hello-python in the local runtime, all of it
on this machine. Needs root."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
from lightkube.resources.core_v1 import Pod

from tests.integration.support.control_plane import HTTPRoute
from tests.integration.support.function_project import FunctionProject
from tests.integration.support.request_path import (
    Load,
    MutatingAdmissionPolicyBinding,
    RequestPath,
    drain_policy,
    host_of,
    let_pods_drain,
    request_path,
    route_like,
    why_not,
)

from .measure import REPOSITORY, Entry, NotMeasuredError, Row, percentile

REQUESTS, ROUNDS = 200, 5
DEPLOYMENTS = 5
UPDATES, UPDATE_RATE = 5, 100
DRAIN_SECONDS = 5  # the role's default
ROUTES = 20
FUNCTIONS = 500
POLL_SECONDS = 0.01


def measure() -> list[Entry]:
    if reason := why_not():
        raise NotMeasuredError(reason)
    with tempfile.TemporaryDirectory() as temporary, request_path(Path(temporary)) as path:
        directory = Path(temporary) / "hello-python"
        shutil.copytree(
            REPOSITORY / "examples" / "functions" / "hello-python",
            directory,
            ignore=shutil.ignore_patterns("__pycache__", "*.wasm"),
        )
        project = FunctionProject.existing(directory, "hello-python")
        result = path.deployment.deploy(project)
        rows: list[Entry] = added_by_ingress(path, result)
        rows += updates(path, directory)
        rows += first_requests(path, directory)
        rows += among_many(path, directory)
        return rows


def _address(path: RequestPath, name: str) -> str:
    """The address of a function's only pod."""
    pods = list(path.control_plane.client().list(Pod, namespace="default", labels={"core.spinkube.dev/app-name": name}))
    (address,) = [pod.status.podIP for pod in pods if pod.status is not None and pod.status.podIP]
    return address


def added_by_ingress(path: RequestPath, result: dict[str, t.Any]) -> list[Entry]:
    """The same requests to the pod and through the gateway, each on a kept connection, by turns, so that both meet the
    same noise."""
    headers = {"Host": host_of(result)}
    seconds: dict[str, list[float]] = {"pod": [], "gateway": []}
    with (
        httpx2.Client(base_url=f"http://{_address(path, result['name'])}", headers=headers, trust_env=False) as pod,
        httpx2.Client(base_url=path.gateway.url, headers=headers, trust_env=False) as gateway,
    ):
        for client in (pod, gateway) * 20:
            client.get("/").raise_for_status()
        for _round in range(REQUESTS * ROUNDS):
            for name, client in (("pod", pod), ("gateway", gateway)):
                begun = time.perf_counter()
                client.get("/").raise_for_status()
                seconds[name].append(time.perf_counter() - begun)
    p50 = {name: percentile(values, 50) * 1000 for name, values in seconds.items()}
    p99 = {name: percentile(values, 99) * 1000 for name, values in seconds.items()}
    added = p50["gateway"] - p50["pod"]
    return [
        Row(
            f"hello-python warm, p50: added by the ingress over calling its pod, {REQUESTS * ROUNDS} requests each "
            "by turns",
            f"{added:.2f} ms ({p50['gateway']:.2f} ms to {p50['pod']:.2f} ms)",
            "≤ 2 ms",
            added <= 2,
        ),
        Row(
            "The same, p99",
            f"{p99['gateway'] - p99['pod']:.2f} ms ({p99['gateway']:.2f} ms to {p99['pod']:.2f} ms)",
            "",
            None,
        ),
    ]


def _version(directory: Path, component: Path, name: str, version: str) -> FunctionProject:
    """A project of the built component; another version is another artifact."""
    directory.mkdir(exist_ok=True)
    if not (directory / "base.bin").exists():
        (directory / "base.bin").hardlink_to(component)
    (directory / "spin.toml").write_text(f"""
spin_manifest_version = 2
[application]
name = "{name}"
version = "{version}"
[[trigger.http]]
route = "/..."
component = "hello"
[component.hello]
source = "app.wasm"
[component.hello.build]
command = "cp base.bin app.wasm"
""")
    return FunctionProject.existing(directory, name)


def updates(path: RequestPath, built: Path) -> list[Entry]:
    """Requests that fail while a function is updated under load: with the pause that pods get before their end, and
    without it."""
    client = path.control_plane.client()
    rows: list[Entry] = []
    for with_pause in (True, False):
        if with_pause:
            let_pods_drain(path.control_plane, DRAIN_SECONDS)
        else:
            client.delete(MutatingAdmissionPolicyBinding, drain_policy(DRAIN_SECONDS)[1]["metadata"]["name"])
        name = "with-pause" if with_pause else "without-pause"
        first = path.deployment.deploy(_version(built.parent / name, built / "app.wasm", name, "0"))
        with Load(path.gateway.url, host_of(first), rate=UPDATE_RATE) as load:
            for version in range(1, UPDATES + 1):
                path.deployment.deploy(_version(built.parent / name, built / "app.wasm", name, str(version)))
                # The load meets the end of the old pods too, which comes this long after the update.
                time.sleep(DRAIN_SECONDS + 1)
        failed = load.total - load.outcomes["200"]
        goal, met = ("0", failed == 0) if with_pause else ("", None)
        pause = f"pods pause {DRAIN_SECONDS} s before their end" if with_pause else "without the pause"
        rows.append(
            Row(
                f"{UPDATES} updates under load, {UPDATE_RATE} requests/s, {pause}: failed requests",
                f"{failed} of {load.total}",
                goal,
                met,
            )
        )
    let_pods_drain(path.control_plane, DRAIN_SECONDS)
    return rows


def first_requests(path: RequestPath, built: Path) -> list[Entry]:
    """The first request of a user to each of some new functions, right after its deployment has ended (which has called
    the health path)."""
    seconds = []
    for number in range(DEPLOYMENTS):
        name = f"first-{number}"
        result = path.deployment.deploy(_version(built.parent / name, built / "app.wasm", name, "1"))
        with httpx2.Client(trust_env=False) as client:
            begun = time.perf_counter()
            client.get(path.gateway.url, headers={"Host": host_of(result)}).raise_for_status()
            seconds.append(time.perf_counter() - begun)
    worst = max(seconds) * 1000
    return [
        Row(
            f"First request after a deployment, the slowest of {DEPLOYMENTS} new functions",
            f"{worst:.0f} ms",
            "≤ 100 ms",
            worst <= 100,
        )
    ]


def among_many(path: RequestPath, built: Path) -> list[Entry]:
    """How soon a new route, and a new function, answers among FUNCTIONS with routes."""
    answering = path.deployment.deploy(_version(built.parent / "answering", built / "app.wasm", "answering", "1"))
    _copy(path, answering["name"])
    routes = [_new_route(path, answering["name"], number) for number in range(ROUTES)]
    waits: list[float] = []
    whole: list[float] = []
    for number in range(DEPLOYMENTS):
        name = f"among-{number}"
        project = _version(built.parent / name, built / "app.wasm", name, "1")
        path.deployment.deploy(project, state="pushed")
        since_ready, since_deploy = _until_it_answers(path, project)
        waits.append(since_ready)
        whole.append(since_deploy)
    worst = max(waits)
    return [
        Row(
            f"New route among those of {FUNCTIONS} functions, to a function that runs: answers, the slowest of "
            f"{ROUTES}",
            f"{max(routes):.2f} s (median {percentile(routes, 50):.2f} s)",
            "≤ 2 s",
            max(routes) <= 2,
        ),
        Row(
            f"New function among {FUNCTIONS} with routes: answers after its pod is ready, the slowest of {DEPLOYMENTS}",
            f"{worst:.2f} s ({max(whole):.2f} s after `spin_function` began, pod's start included)",
            "≤ 2 s",
            worst <= 2,
        ),
    ]


def _copy(path: RequestPath, function: str) -> None:
    """What the gateway sees of FUNCTIONS more functions: routes, Services and endpoints, which all are one pod, as so
    many processes don't fit here."""
    client = path.control_plane.client()
    address = _address(path, function)

    def copy(number: int) -> None:
        path.control_plane.apply(*route_like(path, function, f"many-{number}", _host(number), address))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, range(FUNCTIONS)))
    end = time.monotonic() + 120
    for number in range(FUNCTIONS):
        while path.gateway.get(_host(number)).status_code != 200:
            if time.monotonic() > end:
                raise NotMeasuredError(f"the routes of {FUNCTIONS} functions did not reach the gateway within 120 s")
            time.sleep(0.2)
    # Contour writes each route's status, a few a second, and takes up nothing new meanwhile: what is measured is a
    # cluster at rest.
    while _without_status(client):
        if time.monotonic() > end + 240:
            raise NotMeasuredError(f"the gateway's controller did not write the status of {FUNCTIONS} routes")
        time.sleep(1)


def _without_status(client: t.Any) -> int:
    return sum(not (route.status or {}).get("parents") for route in client.list(HTTPRoute, namespace="default"))


def _host(number: int) -> str:
    return f"many-{number}.example.com"


def _new_route(path: RequestPath, function: str, number: int) -> float:
    """Seconds from a route's creation to the first answer."""
    client = path.control_plane.client()
    pattern: t.Any = client.get(HTTPRoute, function, namespace="default")
    host = f"route-{number}.example.com"
    metadata = {"name": f"route-{number}", "namespace": "default"}
    begun = time.monotonic()
    client.create(
        HTTPRoute.from_dict(
            {
                "apiVersion": pattern.apiVersion,
                "kind": pattern.kind,
                "metadata": metadata,
                "spec": {**pattern.spec, "hostnames": [host]},
            }
        )
    )
    while path.gateway.get(host).status_code != 200:
        if time.monotonic() > begun + 60:
            raise NotMeasuredError("a new route did not answer within 60 s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - begun


def _until_it_answers(path: RequestPath, project: FunctionProject) -> tuple[float, float]:
    """Seconds from the pod's readiness and from the deployment's start to the first answer at the gateway, which is
    asked all the time."""
    host = f"{project.name}.default.{path.gateway.address}.nip.io"
    client = path.control_plane.client()
    moments: dict[str, float] = {}

    def look(what: str, condition: t.Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition() and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        moments[what] = time.monotonic()

    def ready() -> bool:
        pods = list(client.list(Pod, namespace="default", labels={"core.spinkube.dev/app-name": project.name}))
        conditions = [condition for pod in pods if pod.status is not None for condition in pod.status.conditions or []]
        return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)

    watchers = [
        threading.Thread(target=look, args=("ready", ready)),
        threading.Thread(target=look, args=("answers", lambda: path.gateway.get(host).status_code == 200)),
    ]
    begun = time.monotonic()
    for watcher in watchers:
        watcher.start()
    path.deployment.deploy(project)
    for watcher in watchers:
        watcher.join()
    return max(0.0, moments["answers"] - moments["ready"]), moments["answers"] - begun
