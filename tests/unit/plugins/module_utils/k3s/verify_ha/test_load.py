# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load of verify_ha against an API that loses, hides and refuses what it is told to: real HTTPS on the loopback."""

from __future__ import annotations

import collections.abc
import dataclasses
import http.server
import itertools
import json
import ssl
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.waiting import wait_for
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.verify_ha import load, load_program

TOKEN = "token-of-the-load"


@dataclasses.dataclass
class Api:
    """What all servers share, as etcd does; and what goes wrong."""

    stored: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    down: set[int] = dataclasses.field(default_factory=set)
    lose_every: int = 0
    answer_lost_every: int = 0
    writes: t.Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: Api

    def _answer(self, status: int, content: t.Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _refused(self) -> bool:
        self.body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"message": "Unauthorized"})
        elif self.server.server_port in self.api.down:
            self._answer(503, {"message": "etcdserver: no leader"})
        else:
            return False
        return True

    def do_POST(self) -> None:
        if not self._refused():
            name = self.body["metadata"]["name"]
            with self.api.lock:
                there = name in self.api.stored
                self.api.stored.setdefault(name, {})
            self._answer(409 if there else 201, {"message": "already exists"} if there else self.body)

    def do_PATCH(self) -> None:
        if self._refused():
            return
        number = next(self.api.writes)
        name = self.path.rsplit("/", 1)[1]
        with self.api.lock:
            if not (self.api.lose_every and number % self.api.lose_every == 0):
                self.api.stored[name].update(self.body["data"])
        if self.api.answer_lost_every and number % self.api.answer_lost_every == 0:
            self.close_connection = True
            return
        self._answer(200, {"metadata": {"name": name}, "data": self.body["data"]})

    def do_GET(self) -> None:
        if self._refused():
            return
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        assert query["labelSelector"] == ["wasmfaas.dev/verify-ha=load"]
        # Two objects on a page.
        begin = int(query.get("continue", ["0"])[0])
        with self.api.lock:
            items = [{"metadata": {"name": name}, "data": data} for name, data in self.api.stored.items()]
        following = {"continue": str(begin + 2)} if begin + 2 < len(items) else {}
        self._answer(200, {"metadata": following, "items": items[begin : begin + 2]})

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(
    tmp_path_factory: pytest.TempPathFactory, self_signed: collections.abc.Callable[[str], tuple[bytes, bytes]]
) -> Path:
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = self_signed("k3s-server-ca")
    (directory / "key.pem").write_bytes(key)
    (directory / "certificate.pem").write_bytes(certificate)
    return directory


@dataclasses.dataclass
class Cluster:
    api: Api
    urls: list[str]
    directory: str
    authority: str

    def start(self, **changed: t.Any) -> None:
        parameters = {
            "servers": self.urls,
            "token": TOKEN,
            "authority": self.authority,
            "namespace": "test",
            "workers": 0,
            "interval": 0.01,
            "request_timeout": 2.0,
            "seconds": 60,
        }
        load.start(self.directory, {**parameters, **changed})

    def acknowledged(self) -> int:
        settings = load_program.Settings(f"{self.directory}/settings.json")
        return sum(map(len, load_program.records(settings, "acknowledged")))

    def wait_for_more(self, number: int = 20) -> None:
        before = self.acknowledged()
        assert wait_for(lambda: self.acknowledged() >= before + number, seconds=120, interval=0.05)


@pytest.fixture
def cluster(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Cluster]:
    """Three servers before one store. The program runs as a process of its own, as on a host without systemd."""
    monkeypatch.setattr(load.transient_unit, "available", lambda: False)
    api = Api()
    servers = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    for _attempt in range(3):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": api}))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
    directory = str(tmp_path / "load")
    yield Cluster(
        api,
        [f"https://127.0.0.1:{server.server_port}" for server in servers],
        directory,
        (certificate / "certificate.pem").read_text(),
    )
    load.remove(directory)
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_good_run_loses_nothing(cluster: Cluster) -> None:
    cluster.start()
    cluster.wait_for_more(250)
    load.mark(cluster.directory, "kill a", "begin")
    cluster.api.down.add(int(cluster.urls[0].rsplit(":", 1)[1]))
    cluster.wait_for_more()
    load.mark(cluster.directory, "kill a", "ready")
    cluster.api.down.clear()
    report = load.stop(cluster.directory)
    assert report["acknowledged"] >= 270
    assert (report["lost"], report["lost_values"], report["unread"]) == ([], 0, {})
    [phase] = report["phases"]
    assert phase["phase"] == "kill a" and list(phase["events"]) == ["begin", "ready"]
    assert phase["errors"] == {f"{cluster.urls[0]}: HTTP 503 etcdserver: no leader": phase["failed_attempts"]}
    assert phase["failed_attempts"] >= 1 and phase["acknowledged"] >= 20 and 0 < phase["longest_gap"] < 5
    assert report["failed_attempts"] == phase["failed_attempts"]
    assert load._process(cluster.directory) is None


def test_the_settings_with_the_token_are_private_and_go(cluster: Cluster) -> None:
    cluster.start()
    path = Path(cluster.directory)
    assert (path.stat().st_mode & 0o777, (path / "settings.json").stat().st_mode & 0o777) == (0o700, 0o600)
    process = load._process(cluster.directory)
    assert TOKEN not in Path(f"/proc/{process}/cmdline").read_text() + Path(f"/proc/{process}/environ").read_text()
    assert load.remove(cluster.directory) is True
    assert not path.exists() and not Path(f"/proc/{process}/exe").exists()
    assert load.remove(cluster.directory) is False


def test_lost_writes_are_found(cluster: Cluster) -> None:
    cluster.api.lose_every = 10
    cluster.start()
    cluster.wait_for_more(40)
    report = load.stop(cluster.directory)
    lost = [number for number in range(1, report["acknowledged"] + 1) if number % 10 == 0]
    assert abs(report["lost_values"] - len(lost)) <= 3
    assert report["lost"][0]["found"] is None and report["lost"][0]["server"] in cluster.urls


def test_an_answer_that_was_lost_is_no_loss(cluster: Cluster) -> None:
    cluster.api.answer_lost_every = 7
    cluster.start(interval=0.05)
    cluster.wait_for_more(30)
    report = load.stop(cluster.directory)
    assert report["lost_values"] == 0 and report["failed_attempts"] >= 3


def test_a_server_that_can_not_be_read_is_told(cluster: Cluster) -> None:
    cluster.start()
    cluster.api.down.add(int(cluster.urls[2].rsplit(":", 1)[1]))
    report = load.stop(cluster.directory)
    assert list(report["unread"]) == [cluster.urls[2]] and "no leader" in report["unread"][cluster.urls[2]]


def test_a_load_that_gets_nothing_through_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = f"{cluster.directory}/settings.json"

    def wait(look: t.Callable[[], bool], seconds: float) -> bool:
        """The wait for values ends at the first failure: how long that takes depends on the machine."""
        if seconds != load.START_SECONDS:
            return wait_for(look, seconds=seconds)
        assert wait_for(lambda: any(load_program.records(load_program.Settings(settings), "failed")), seconds=120)
        return look()

    monkeypatch.setattr(load, "wait_for", wait)
    with pytest.raises(PlatformError, match="HTTP 401 Unauthorized"):
        cluster.start(token="wrong")
    assert not Path(cluster.directory).exists()


def test_it_ends_by_itself(cluster: Cluster) -> None:
    cluster.start(seconds=5)
    assert wait_for(lambda: load._process(cluster.directory) is None, seconds=120)


def test_nothing_started(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="No load was started"):
        load.run({"state": "stopped", "directory": str(tmp_path / "none"), "token": ""}, False, set())


@pytest.mark.parametrize(
    ("times", "begin", "end", "expected"),
    [
        ([1, 2, 3, 9, 10], 2.5, 9.5, [1, 6, 1]),
        ([1, 2], 3, 10, [8]),
        ([12, 13], 3, 10, [9]),
        ([], 3, 10, [7]),
        ([1, 20], 3, 10, [19]),
        ([4], 3, 10, [1, 6]),
    ],
)
def test_gaps(times: list[float], begin: float, end: float, expected: list[float]) -> None:
    assert load_program.gaps(times, begin, end) == expected


def test_a_worker_that_waits_counts_though_others_are_served() -> None:
    served = [{"at": at / 10} for at in range(200)]
    waiting = [{"at": 1.0}, {"at": 15.0}]
    marks = [{"phase": "cut a", "event": "begin", "at": 2.0}, {"phase": "end", "event": "stopped", "at": 18.0}]
    [phase, _end] = load_program.phases([served, waiting], [[], []], marks, 20.0)
    assert (phase["longest_gap"], phase["seconds"], phase["events"]) == (14.0, 16.0, {"begin": 0.0})


def test_a_record_that_was_cut_off_ends_there(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text(
        json.dumps(
            {
                "servers": [],
                "token": "",
                "authority": "",
                "namespace": "",
                "workers": 2,
                "interval": 1,
                "request_timeout": 1,
                "seconds": 1,
            }
        )
    )
    (tmp_path / "acknowledged-0.jsonl").write_text('{"at": 1}\n{"at": 2}\n{"at"')
    assert load_program.records(load_program.Settings(str(tmp_path / "settings.json")), "acknowledged") == [
        [{"at": 1}, {"at": 2}],
        [],
    ]


def test_choice_of_a_server() -> None:
    now = [0.0]
    choice = load_program.Choice(["a", "b", "c"], 1, clock=lambda: now[0])
    assert choice.next() == "b"
    choice.failed_now("b")
    assert choice.next() == "c"
    now[0] = 1.0
    choice.failed_now("c")
    choice.failed_now("a")
    assert choice.next() == "b", "all have failed: the one that is longest ago"
    now[0] = 11.5
    assert choice.next() == "b", "its own again"
    choice.answered("b")
    assert time.monotonic() and choice.next() == "b"
