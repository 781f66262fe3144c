# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service as `make serve` starts it: how long an upload takes, and what many at once do to it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

import httpx2
import psutil
import uvicorn
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import DistributionLocation
from ansible_collections.wasmfaas.platform.service.api.problems import HANDLERS
from ansible_collections.wasmfaas.platform.service.builds import builder, dependency_caches
from ansible_collections.wasmfaas.platform.service.builds.dependencies import architecture
from ansible_collections.wasmfaas.platform.service.builds.dependency_caches import DependencyCaches
from ansible_collections.wasmfaas.platform.service.builds.endpoint import BuildEndpoint
from ansible_collections.wasmfaas.platform.service.builds.exchange import Description, Exchange
from ansible_collections.wasmfaas.platform.service.registry_files import RegistryFiles
from starlette.applications import Starlette

from tests.integration.support.hosted_service import HostedService, finished, project, put
from tests.integration.support.registries import Registry
from tests.integration.support.servers import build, free_port
from tests.integration.support.workbench import built_workbench

from .measure import REPOSITORY, NotMeasuredError, Row, percentile

TENANTS, UPLOADS_EACH = 20, 10
MANY_TENANTS, FUNCTIONS_EACH = 500, 10


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        return [
            *_one_function(Path(temporary)),
            *_dependencies(Path(temporary)),
            *_many_uploads(Path(temporary)),
            *_many_functions(Path(temporary)),
        ]


def _one_function(directory: Path) -> list[Row]:
    """Seconds from the begin of an upload to the function's answer."""
    source = subprocess.run(
        ["tar", "czf", "-", "-C", str(REPOSITORY / "examples/functions/hello-js"), "."],
        capture_output=True,
        check=True,
    ).stdout
    with HostedService(directory / "one") as service, service.client() as client:
        first = _seconds(client, source, "first")
        named = [_seconds(client, source, f"other-{number}") for number in range(3)]
        unchanged = [_seconds(client, source, "first") for _turn in range(10)]
        built = finished(client, put(client, source, "first"))["stages"]["build"]
    another, again = statistics.median(named), statistics.median(unchanged)
    beside = first - built
    return [
        Row("Hosted, hello-js: upload to first answer, beside its build", f"{beside:.1f} s", "≤ 2 s", beside <= 2),
        Row(
            "Hosted, the same source under another name: upload to first answer",
            f"{another:.1f} s",
            "≤ 3 s",
            another <= 3,
        ),
        Row("Hosted, unchanged source again: upload to first answer", f"{again:.2f} s", "≤ 0.3 s", again <= 0.3),
    ]


def _dependencies(directory: Path) -> list[Row]:
    """Builds of hello-js by the program that pods of builds run, without and with the dependencies of the one before,
    which a registry keeps."""
    source = directory / "hello-js.tar.gz"
    subprocess.run(["tar", "czf", str(source), "-C", str(REPOSITORY / "examples/functions/hello-js"), "."], check=True)
    registry = Registry(build(), directory / "registry")
    store = DistributionStore(
        DistributionLocation(registry.host, "user1"), credentials_for=lambda _repository: None, plain_http=True
    )
    caches = DependencyCaches(
        RegistryFiles(lambda _tenant: store, dependency_caches.REPOSITORY, dependency_caches.KIND)
    )
    exchange = Exchange(directory / "builds", ("user1", "hello-js", 1))
    port = free_port()
    application = Starlette(routes=BuildEndpoint(directory / "builds").routes(), exception_handlers=HANDLERS)
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_config=None))
    threading.Thread(target=server.run, daemon=True).start()
    key, kept = "0" * 64, directory / "dependencies.tar"
    taken: dict[bool, list[float]] = {False: [], True: []}
    try:
        for turn in range(6):
            with_dependencies = turn % 2 == 1
            begun = time.monotonic()
            found = with_dependencies and caches.fetch("user1", key, architecture(), kept)
            _check(found == with_dependencies, "nothing was kept")
            given = {architecture(): kept} if found else {}
            description = Description(profile=None, build_timeout=900, keeps_dependencies=True)
            with exchange.opened("bearer", source, description, given):
                _run_builder(directory / f"pod-{turn}", f"http://127.0.0.1:{port}/builds/user1/hello-js/1", exchange)
                taken[with_dependencies].append(time.monotonic() - begun)
                if not with_dependencies:
                    archive = exchange.new_dependencies(architecture())
                    size = archive.stat().st_size >> 20
                    caches.keep("user1", key, architecture(), archive)
    finally:
        server.should_exit = True
        store.close()
        registry.stop()
    without, again = (statistics.median(taken[with_dependencies]) for with_dependencies in (False, True))
    return [
        Row("Hosted, a build of hello-js in the builder, which downloads its packages", f"{without:.1f} s", "", None),
        Row(f"… with the packages of an earlier build ({size} MiB)", f"{again:.1f} s", "", None),
    ]


def _run_builder(directory: Path, url: str, exchange: Exchange) -> None:
    directory.mkdir()
    bearer = directory / "bearer"
    bearer.write_text("bearer")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(directory / "home"),
        "WASMFAAS_BUILD_URL": url,
        "WASMFAAS_BUILD_BEARER_FILE": str(bearer),
        "WASMFAAS_BUILD_DIRECTORY": str(directory),
    }
    ended = subprocess.run([sys.executable, "-m", builder.__name__], env=environment, check=False)
    _check(ended.returncode == 0, exchange.failure() or f"exit code {ended.returncode}")
    shutil.rmtree(directory)


def _check(holds: bool, about: t.Any) -> None:
    if not holds:
        raise NotMeasuredError(f"not as expected: {about}")


def _seconds(client: httpx2.Client, source: bytes, name: str) -> float:
    begun = time.monotonic()
    ended = put(client, source, name)
    if not ended["finished"]:
        ended = finished(client, ended)
    _check(ended["phase"] == "Ready", ended)
    httpx2.get(ended["url"])
    return time.monotonic() - begun


def _many_uploads(directory: Path) -> list[Row]:
    """Uploads at once that fail in their build, so that 200 functions need not run on this machine."""
    component = built_workbench()
    with HostedService(directory / "many") as service, service.client() as client, contextlib.ExitStack() as stack:
        process = psutil.Process(service.process_id)
        answers: list[float] = []
        resident: list[int] = []
        done = threading.Event()

        def watch() -> None:
            with service.client() as watcher:
                while not done.wait(0.02):
                    begun = time.monotonic()
                    watcher.get("/v1/tenants/tenant-0/functions").raise_for_status()
                    answers.append(time.monotonic() - begun)
                    resident.append(process.memory_info().rss)

        watching = threading.Thread(target=watch)
        watching.start()
        pool = stack.enter_context(concurrent.futures.ThreadPoolExecutor(50))
        begun = time.monotonic()
        submitted = [
            pool.submit(put, client, project(component, build="exit 1", message=f"{tenant}-{number}"),
                        f"f{number}", f"tenant-{tenant}")
            for number in range(UPLOADS_EACH) for tenant in range(TENANTS)
        ]  # fmt: skip
        deployments = [one.result() for one in submitted]
        ended = [finished(client, one) for one in deployments]
        seconds = time.monotonic() - begun
        done.set()
        watching.join()
    lost = sum(one["phase"] != "Failed" for one in ended)
    unfair = _longest_share(ended)
    p99, most = percentile(answers, 99) * 1000, max(resident) / (1 << 20)
    count = TENANTS * UPLOADS_EACH
    return [
        Row(
            f"Hosted, {count} uploads at once by {TENANTS} tenants: lost",
            f"{lost} (all in {seconds:.0f} s)",
            "0",
            lost == 0,
        ),
        Row("… the longest wait of a tenant's deployment to its share", f"{unfair:.2f} ×", "≤ 1.5 ×", unfair <= 1.5),
        Row("… the API's answers meanwhile, p99", f"{p99:.0f} ms", "≤ 200 ms", p99 <= 200),
        Row("… memory of the service", f"{most:.0f} MiB", "≤ 256 MiB", most <= 256),
    ]


def _longest_share(ended: list[dict[str, t.Any]]) -> float:
    """The n-th deployment of a tenant should begin among the first n × tenants; how much later one did at most."""
    begun = sorted(ended, key=lambda one: datetime.datetime.fromisoformat(one["started"]))
    turns: dict[str, int] = {}
    worst = 0.0
    for place, one in enumerate(begun, start=1):
        turn = turns[one["tenant"]] = turns.get(one["tenant"], 0) + 1
        worst = max(worst, place / (turn * TENANTS))
    return worst


def _many_functions(directory: Path) -> list[Row]:
    """The list of one tenant among many; all functions have the process of the first."""
    component = built_workbench()
    with HostedService(directory / "list") as service, service.client() as client:
        deployed = finished(client, put(client, project(component), "f0", "tenant-0"))
        _check(deployed["phase"] == "Ready", deployed)
        state = service.state / "functions/tenant-0/f0/state.json"
        record = service.state / "service/deployments/tenant-0/f0/1.json"
        for tenant in range(MANY_TENANTS):
            for number in range(FUNCTIONS_EACH):
                if (tenant, number) == (0, 0):
                    continue
                about = {"tenant": f"tenant-{tenant}", "function": f"f{number}"}
                copy = service.state / "functions" / about["tenant"] / about["function"]
                copy.mkdir(parents=True)
                (copy / state.name).write_text(state.read_text())
                kept = service.state / "service/deployments" / about["tenant"] / about["function"]
                kept.mkdir(parents=True)
                (kept / record.name).write_text(json.dumps({**json.loads(record.read_text()), **about}))
        rows = []
        for what, path, limit in (
            (
                f"one of {MANY_TENANTS} tenants with {FUNCTIONS_EACH} functions each",
                "/v1/tenants/tenant-7/functions",
                100,
            ),
            (f"its page among {MANY_TENANTS * FUNCTIONS_EACH} functions", "/tenants/tenant-7", 300),
        ):
            cookie = {"Cookie": f"wasmfaas_session={service.token}", "Host": "localhost"}
            taken = []
            for _turn in range(12):
                begun = time.monotonic()
                client.get(path, headers=cookie).raise_for_status()
                taken.append((time.monotonic() - begun) * 1000)
            median = statistics.median(taken[2:])
            rows.append(Row(f"Hosted, list of {what}", f"{median:.0f} ms", f"≤ {limit} ms", median <= limit))
        # The records of the copies must not be started as processes of their own when the service ends.
        for copy in (service.state / "functions").glob("tenant-*/f*/state.json"):
            if copy != state:
                copy.unlink()
    return rows
