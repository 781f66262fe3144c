# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service on this machine, with real builds, the real local runtime and real kills."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import httpx2
import psutil
import pytest

from ..extent import FULL, only_in_full
from .support.hosted_service import SECONDS, HostedService, finished, path_of, project, put, wait_for
from .support.workbench import built_workbench

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def component() -> Path:
    return built_workbench()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[HostedService]:
    with HostedService(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture(scope="module")
def client(service: HostedService) -> collections.abc.Iterator[httpx2.Client]:
    with service.client() as opened:
        yield opened


_names = (f"function-{number}" for number in itertools.count())


@pytest.fixture
def name() -> str:
    return next(_names)


def answer(deployment: dict[str, t.Any]) -> int:
    return httpx2.get(f"{deployment['url']}/", timeout=SECONDS).status_code


def test_one_line_uploads_builds_and_shows_the_url(
    service: HostedService, component: Path, tmp_path: Path, name: str
) -> None:
    archive = tmp_path / "shop.tar.gz"
    archive.write_bytes(project(component))
    command = [
        "curl", "--silent", "--show-error", "-T", str(archive), "-H", f"Authorization: Bearer {service.token}",
        f"{service.address}/v1/tenants/user1/functions/{name}/source",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout.splitlines()
    assert first[0] == f"deployment 1 of user1/{name}"
    assert "$ cp base.bin app.wasm" in first
    word, url = first[-1].split()
    assert word == "ready"
    assert httpx2.get(url).status_code < 500
    again = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS).stdout.splitlines()
    assert again == [f"deployment 1 of user1/{name}", "unchanged", f"ready {url}"]


def test_the_playbook_sees_the_function_and_changes_nothing(
    service: HostedService, client: httpx2.Client, component: Path, tmp_path: Path, name: str
) -> None:
    source = project(component)
    deployed = finished(client, put(client, source, name))
    (tmp_path / "source").mkdir()
    subprocess.run(["tar", "xzf", "-", "-C", tmp_path / "source"], input=source, check=True)
    run = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook", _ROOT / "deploy-function.yml",
            "-e", json.dumps({
                "src": str(tmp_path / "source"), "name": name, "namespace": "user1", "target": "local",
                "state_directory": str(service.state), "result_file": str(tmp_path / "result.json"),
            }),
        ],
        cwd=_ROOT, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["changed"], result["digest"]) == (False, deployed["artifact"])
    assert result["source_digest"] == deployed["source_digest"]


def test_the_same_source_as_zip_form_or_tar_is_the_same_deployment(
    client: httpx2.Client, component: Path, name: str
) -> None:
    source = project(component)
    first = put(client, source, name)
    digest = f"sha256:{hashlib.sha256(source).hexdigest()}"
    kept = client.head(f"/v1/tenants/user1/sources/{digest}")
    assert kept.status_code == 200
    assert client.head("/v1/tenants/user2/sources/" + digest).status_code == 404
    manifest = subprocess.run(["tar", "xzOf", "-", "spin.toml"], input=source, capture_output=True, check=True).stdout
    form = client.post(
        "/v1/tenants/user1/sources",
        files=[("file", ("spin.toml", manifest)), ("file", ("base.bin", component.read_bytes()))],
    )
    assert form.status_code == 201
    assert form.json()["source"] == first["source"]
    same = client.post(f"/v1/tenants/user1/functions/{name}/deployments", json={"source": form.json()["source"]})
    assert same.json()["number"] == first["number"]
    assert finished(client, first)["phase"] == "Ready"
    unchanged = client.post(f"/v1/tenants/user1/functions/{name}/deployments", json={"source": digest})
    assert (unchanged.status_code, unchanged.json()["number"]) == (200, 1)


def test_a_wrong_digest_and_what_is_no_archive_leave_nothing(service: HostedService, client: httpx2.Client) -> None:
    before = sorted(path.name for path in (service.state / "service/sources/user1").iterdir())
    wrong = client.put(f"/v1/tenants/user1/sources/sha256:{'0' * 64}", content=b"something")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "digest_mismatch")
    for content in (b"", b"no archive", os.urandom(100_000)):
        refused = client.put("/v1/tenants/user1/functions/x/source", content=content)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid"), refused.text
        assert refused.json()["next_step"]
    assert sorted(path.name for path in (service.state / "service/sources/user1").iterdir()) == before


def test_an_upload_that_is_cut_off_leaves_nothing(service: HostedService, client: httpx2.Client) -> None:
    directory = service.state / "service/sources/user1"

    def body() -> collections.abc.Iterator[bytes]:
        yield os.urandom(2 << 20)
        wait_for(lambda: list(directory.glob(".upload-*")), "the upload begins")
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        client.put("/v1/tenants/user1/functions/x/source", content=body())
    wait_for(lambda: not list(directory.glob(".upload-*")), "the upload is forgotten")


def test_a_build_that_fails_keeps_its_log_and_the_version_before(
    service: HostedService, client: httpx2.Client, component: Path, name: str
) -> None:
    good = finished(client, put(client, project(component), name))
    bad = finished(client, put(client, project(component, build="echo what is wrong; exit 3", message="2"), name))
    assert (bad["phase"], bad["number"]) == ("Failed", 2)
    assert "exit code 3" in bad["reason"]
    assert "`echo what is wrong; exit 3`" in bad["next_step"]
    assert "the log of the deployment" in bad["next_step"]
    assert str(service.state) not in bad["next_step"]
    facts = {"stage": "build", "command": "echo what is wrong; exit 3", "exit_code": 3, "language": "static"}
    assert bad["facts"] == facts
    log = client.get(f"{path_of(bad)}/log")
    assert "what is wrong" in log.text.splitlines()
    function = client.get(f"/v1/tenants/user1/functions/{name}").json()
    assert (function["digest"], function["status"]) == (good["artifact"], "ready")
    assert function["deployment"]["number"] == 2
    assert answer(good) < 500
    text = client.put(f"/v1/tenants/user1/functions/{name}/source", content=project(component, build="exit 4")).text
    assert [line.partition(": ")[0] for line in text.splitlines()[-2:]] == ["failed", "next"]


def test_the_log_is_followed_and_resumed(client: httpx2.Client, component: Path, name: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    build = f"echo first; while [ ! -e {go} ]; do sleep 0.1; done; echo second; cp base.bin app.wasm"
    deployment = put(client, project(component, build=build), name)
    address = f"{path_of(deployment)}/log"
    with client.stream("GET", address, headers={"Accept": "text/event-stream"}) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.iter_lines()
        seen: list[str] = []
        for line in lines:
            seen.append(line)
            if line == "data: first":
                break
        go.touch()
        seen += list(lines)
    assert "data: second" in seen
    assert seen.index("event: end") > seen.index("data: second")
    end = json.loads(seen[seen.index("event: end") + 1].removeprefix("data: "))
    assert end["phase"] == "Ready"
    found = [
        json.loads(line) for line in client.get(address, headers={"Accept": "application/x-ndjson"}).text.splitlines()
    ]
    texts = [line["text"] for line in found]
    after = found[texts.index("first")]["offset"]
    rest = client.get(address, params={"offset": after}).text.splitlines()
    assert rest == texts[texts.index("first") + 1 :]
    resumed = client.get(address, headers={"Accept": "text/event-stream", "Last-Event-ID": str(after)}).text
    assert "data: first\n" not in resumed
    assert "data: second\n" in resumed


def test_secrets_reach_the_function_and_nothing_else(
    service: HostedService, client: httpx2.Client, component: Path, name: str
) -> None:
    first = finished(client, put(client, project(component), name))
    function = f"/v1/tenants/user1/functions/{name}"
    changed = client.put(f"{function}/secrets/password", json={"value": "s3cr3t-value"}).json()["deployment"]
    again = finished(client, changed)
    assert (again["phase"], again["number"], again["artifact"]) == ("Ready", 2, first["artifact"])
    assert again["settings_digest"] != first["settings_digest"]
    unchanged = client.put(f"{function}/secrets/password", json={"value": "s3cr3t-value"}).json()["deployment"]
    assert unchanged["number"] == 2
    client.put(f"{function}/variables/greeting", json={"value": "hi"})
    shown = client.get(f"{function}/variables").json()["variables"]
    assert shown == [
        {"name": "greeting", "value": "hi", "secret": False},
        {"name": "password", "value": None, "secret": True},
    ]
    noisy = put(client, project(component, build="echo it is s3cr3t-value; exit 1", message="3"), name)
    bad = finished(client, noisy)
    for text in (client.get(f"{path_of(bad)}/log").text, service.log, client.get(function).text):
        assert "s3cr3t-value" not in text
    assert client.delete(f"{function}/secrets/password").status_code == 200
    assert client.delete(f"{function}/secrets/password").status_code == 404


def test_roll_back(client: httpx2.Client, component: Path, name: str) -> None:
    first = finished(client, put(client, project(component, message="1"), name))
    second = finished(client, put(client, project(component, message="2"), name))
    assert first["artifact"] != second["artifact"]
    function = f"/v1/tenants/user1/functions/{name}"
    back = finished(client, client.post(f"{function}/rollback").json())
    assert (back["number"], back["artifact"], back["phase"]) == (3, first["artifact"], "Ready")
    assert "build" not in back["stages"]
    forth = finished(client, client.post(f"{function}/rollback", json={"to": 2}).json())
    assert (forth["number"], forth["artifact"]) == (4, second["artifact"])
    refused = client.post(f"{function}/rollback", json={"to": 99})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_deployment_is_cancelled_with_all_that_its_build_started(
    client: httpx2.Client, component: Path, name: str
) -> None:
    deployment = put(client, project(component, build="sleep 98765 & sleep 98765"), name)
    wait_for(lambda: len(_sleepers()) == 2, "the build runs")
    assert client.delete(path_of(deployment)).status_code == 202
    ended = finished(client, deployment)
    assert (ended["phase"], ended["reason"]) == ("Cancelled", "It was cancelled by admin.")
    wait_for(lambda: not _sleepers(), "the build's processes end")
    refused = client.delete(path_of(deployment))
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def _sleepers() -> list[psutil.Process]:
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "98765"]]


def test_the_newest_source_replaces_one_that_waits(client: httpx2.Client, component: Path, name: str) -> None:
    slow = put(client, project(component, build="sleep 3; cp base.bin app.wasm", message="1"), name)
    wait_for(lambda: client.get(path_of(slow)).json()["phase"] != "Queued", "the first begins")
    waiting = put(client, project(component, message="2"), name)
    newest = put(client, project(component, message="3"), name)
    replaced = finished(client, waiting)
    assert (replaced["phase"], replaced["reason"]) == (
        "Cancelled",
        "It was replaced by deployment 3 before its turn came.",
    )
    assert finished(client, slow)["phase"] == "Ready"
    assert finished(client, newest)["phase"] == "Ready"
    live = client.get(f"/v1/tenants/user1/functions/{name}").json()
    assert live["digest"] == finished(client, newest)["artifact"]


def test_a_build_has_no_more_time_than_it_was_given(client: httpx2.Client, component: Path, name: str) -> None:
    ended = finished(client, put(client, project(component, build="sleep 98764"), name, build_timeout="1"))
    assert ended["phase"] == "Failed"
    assert "did not end within 1 s" in ended["reason"]


def test_deleting_leaves_nothing(service: HostedService, client: httpx2.Client, component: Path, name: str) -> None:
    deployed = finished(client, put(client, project(component), name))
    function = f"/v1/tenants/user1/functions/{name}"
    client.put(f"{function}/secrets/password", json={"value": "x1y2z3"})
    finished(client, {**deployed, "number": 2})
    assert client.delete(function).json() == {"changed": True}
    assert client.get(function).status_code == 404
    assert client.delete(function).status_code == 404
    left = [path for path in service.state.rglob(f"*{name}*") if "image" not in path.parts and path.is_file()]
    assert not [path for path in left if path.suffix in (".json", ".log") and "deployments" in path.parts]
    assert not (service.state / "service/variables/user1" / f"{name}.json").exists()
    with pytest.raises(httpx2.HTTPError):
        httpx2.get(deployed["url"])


def test_who_may_do_what(service: HostedService, client: httpx2.Client, component: Path, name: str) -> None:
    finished(client, put(client, project(component), name))
    tokens = {
        role: client.post("/v1/tokens", json={"name": f"{name}-{role}", "tenant": "user1", "role": role}).json()[
            "token"
        ]
        for role in ("read", "deploy")
    }
    other = client.post("/v1/tokens", json={"name": f"{name}-other", "tenant": "user2", "role": "deploy"}).json()[
        "token"
    ]
    function = f"/v1/tenants/user1/functions/{name}"
    with service.client(tokens["read"]) as reader, service.client(other) as stranger, service.client("") as nobody:
        assert reader.get(function).status_code == 200
        assert reader.delete(function).status_code == 403
        assert reader.put(f"{function}/source", content=b"x").status_code == 403
        assert reader.get("/v1/tokens").status_code == 403
        assert reader.get("/v1/tenants").json() == {"tenants": ["user1"]}
        for path in (function, f"{function}/logs", f"{function}/variables", f"{function}/deployments/1/log"):
            assert stranger.get(path).status_code == 403, path
            assert nobody.get(path).status_code == 401, path
        assert nobody.get("/healthz").status_code == 200
    with service.client(tokens["deploy"]) as deployer:
        assert put(deployer, project(component), name)["number"] == 1
        assert client.delete(f"/v1/tokens/{name}-deploy").status_code == 204
        assert deployer.get(function).status_code == 401


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    with HostedService(tmp_path) as service, service.client("wfs_wrong") as guesser:
        answers = [guesser.get("/v1/self").status_code for _turn in range(25)]
        assert answers[:20] == [401] * 20
        assert answers[-1] == 429


def test_tenants_take_turns(tmp_path: Path, component: Path) -> None:
    """Whoever comes second waits for one build of whoever came first with many."""
    with HostedService(tmp_path, "--builds", "1") as service, service.client() as client:
        build = "sleep 0.3; cp base.bin app.wasm"
        greedy = [
            put(client, project(component, build=build, message=str(number)), f"f{number}", "greedy")
            for number in range(4)
        ]
        modest = put(client, project(component, build=build, message="m"), "f", "modest")
        ended = [finished(client, one) for one in [*greedy, modest]]
        assert {one["phase"] for one in ended} == {"Ready"}
        begins = sorted(ended, key=lambda one: one["started"])
        assert [one["tenant"] for one in begins].index("modest") <= 1 + sum(
            one["started"] < modest["created"] for one in ended
        )


@pytest.mark.parametrize(
    "whom", ["both", *(pytest.param(one, marks=only_in_full("[both]")) for one in ("service", "worker"))]
)
def test_nothing_is_lost_when_processes_are_killed_at_any_moment(whom: str, tmp_path: Path, component: Path) -> None:
    """`make test-full` kills 50 times for each."""
    rounds = 50 if FULL else 4
    with HostedService(tmp_path) as service:
        wait = 0.05
        for turn in range(rounds):
            with service.client() as client:
                source = project(component, build="sleep 0.2; cp base.bin app.wasm", message=str(turn))
                deployment = put(client, source)
            time.sleep(wait)  # a later moment each time, over all phases
            wait = (wait + 0.31) % 2.5
            if whom != "service":
                for worker in _workers(service):
                    worker.kill()
            if whom != "worker":
                service.stop(signal.SIGKILL)
                service.start()
            with service.client() as client:
                ended = finished(client, deployment)
                assert ended["phase"] == "Ready", ended
                assert answer(ended) < 500
                live = client.get("/v1/tenants/user1/functions/hello").json()
                assert live["digest"] == ended["artifact"]
        left = list((service.state / "service/work").glob("*"))
        assert not left


def _workers(service: HostedService) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter(["cmdline"]):
        arguments = one.info["cmdline"] or []
        if any(part.endswith("deployments.worker") for part in arguments) and str(service.state) in " ".join(arguments):
            found.append(one)
    return found


def test_a_worker_that_is_always_killed_ends_as_failed(tmp_path: Path, component: Path) -> None:
    with HostedService(tmp_path) as service, service.client() as client:
        deployment = put(client, project(component, build="kill -9 $PPID; sleep 98763"))
        with concurrent.futures.ThreadPoolExecutor(1):
            ended = finished(client, deployment)
        assert (ended["phase"], ended["attempt"]) == ("Failed", 3)
        assert "ended from outside 3 times" in ended["reason"]
        assert not [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] == ["sleep", "98763"]]


def test_stopping_and_starting_goes_on(tmp_path: Path, component: Path) -> None:
    with HostedService(tmp_path) as service:
        with service.client() as client:
            deployment = put(client, project(component, build="sleep 1; cp base.bin app.wasm"))
            wait_for(lambda: client.get(path_of(deployment)).json()["phase"] == "Building", "it is built")
        service.stop(signal.SIGINT)
        assert not _workers(service)
        service.start()
        with service.client() as client:
            assert finished(client, deployment)["phase"] == "Ready"


def test_a_worker_that_outlives_two_services_is_not_disturbed(tmp_path: Path, component: Path) -> None:
    go = tmp_path / "go"
    with HostedService(tmp_path / "service") as service:
        with service.client() as client:
            build = f"while [ ! -e {go} ]; do sleep 0.1; done; cp base.bin app.wasm"
            deployment = put(client, project(component, build=build))
            wait_for(lambda: client.get(path_of(deployment)).json()["phase"] == "Building", "it is built")
            (worker,) = wait_for(lambda: _workers(service), "the worker runs")
        service.stop(signal.SIGKILL)
        service.start()
        service.stop(signal.SIGTERM)
        service.start()
        go.touch()
        with service.client() as client:
            ended = finished(client, deployment)
        assert (ended["phase"], ended["attempt"]) == ("Ready", 1)
        ended_process = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)  # where nobody asks for its exit code
        wait_for(lambda: not worker.is_running() or worker.status() in ended_process, "the worker ends")


def test_memory_of_a_large_upload(service: HostedService, client: httpx2.Client) -> None:
    """A body of 200 MB is refused at its end, as it is no archive; the process grows by at most 16 MiB meanwhile."""
    process = psutil.Process(service.process_id)
    client.put("/v1/tenants/user1/functions/x/source", content=b"no archive")
    before = process.memory_info().rss
    piece = os.urandom(1 << 20)
    most = 0

    def body() -> collections.abc.Iterator[bytes]:
        nonlocal most
        for _piece in range(200):
            yield piece
            most = max(most, process.memory_info().rss)

    refused = client.put("/v1/tenants/user1/functions/x/source", content=body())
    assert refused.status_code == 422
    assert most - before <= 16 << 20
