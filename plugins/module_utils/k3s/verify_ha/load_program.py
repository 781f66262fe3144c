# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A constant load of API writes that remembers what was acknowledged. A program of its own on a host: standard library,
Python 3.9, no import of ours.

    python3 load_program.py run SETTINGS       writes until the stop file appears or the time is over
    python3 load_program.py check SETTINGS     reads everything back from every server, prints a report as JSON

Each worker writes to one server after another when one fails, as the load balancers in front of an API do. A value is
written to a key of a ConfigMap that only this worker writes, and is recorded, and the record synced to disk, as soon as
a server has acknowledged it and before the next one. A value that was acknowledged and cannot be read later is a lost
write; one that wasn't may be there or not.
"""

from __future__ import annotations

import base64
import collections
import http.client
import json
import os
import signal
import ssl
import sys
import threading
import time
import typing as t
import urllib.parse

KEYS_PER_OBJECT = 100
FORGIVE_SECONDS = 10.0
"""A server that failed is not asked again for so long, unless all have failed."""
PAUSE_SECONDS = 0.2
ERRORS_SHOWN = 8
ANSWER_BYTES = 64 << 20
"""More than the list of all objects that the load writes has."""
LABEL = "wasmfaas.dev/verify-ha"


class Settings:
    """What stands in the settings file (0600: it holds a token)."""

    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as file:
            read = json.load(file)
        self.directory = os.path.dirname(os.path.abspath(path))
        self.servers: list[str] = read["servers"]
        self.token: str = read["token"]
        self.authority: str = read["authority"]
        self.namespace: str = read["namespace"]
        self.workers: int = read["workers"]
        self.interval: float = read["interval"]
        self.request_timeout: float = read["request_timeout"]
        self.seconds: float = read["seconds"]

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)


class RequestFailed(Exception):
    """A server did not acknowledge: it could not be asked, or answered with an error. `status` is 0 without an
    answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """One kept connection to one server at a time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.context = ssl.create_default_context(cadata=settings.authority)
        self.connections: dict[str, http.client.HTTPSConnection] = {}

    def request(
        self, server: str, method: str, path: str, body: t.Any = None, kind: str = "application/json"
    ) -> dict[str, t.Any]:
        """The object in a server's answer. Raises RequestFailed for all else than an acknowledgement."""
        address = urllib.parse.urlsplit(server)
        connection = self.connections.get(server)
        if connection is None:
            connection = http.client.HTTPSConnection(
                address.hostname or "",
                address.port or 6443,
                timeout=self.settings.request_timeout,
                context=self.context,
            )
            self.connections[server] = connection
        headers = {"Authorization": f"Bearer {self.settings.token}", "Content-Type": kind, "Accept": "application/json"}
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content, status = answer.read(ANSWER_BYTES + 1), answer.status
        except (OSError, http.client.HTTPException) as error:
            self.close(server)
            raise RequestFailed(0, str(error) or type(error).__name__) from error
        if len(content) > ANSWER_BYTES:
            self.close(server)
            raise RequestFailed(0, f"the answer has more than {ANSWER_BYTES} bytes")
        if status >= 400:
            raise RequestFailed(status, f"HTTP {status} {_message(content)}")
        try:
            return t.cast("dict[str, t.Any]", json.loads(content))
        except ValueError as error:
            raise RequestFailed(0, "the answer was cut off") from error

    def close(self, server: str) -> None:
        connection = self.connections.pop(server, None)
        if connection is not None:
            connection.close()


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content).get("message", ""))[:200]
    except (ValueError, AttributeError):
        return content[:200].decode("utf-8", "replace")


class Choice:
    """Which server a worker asks next: its own unless that failed just now, then the others in turn."""

    def __init__(self, servers: list[str], own: int, clock: t.Callable[[], float] = time.monotonic) -> None:
        self.order = servers[own % len(servers) :] + servers[: own % len(servers)]
        self.failed: dict[str, float] = {}
        self.clock = clock

    def next(self) -> str:
        now = self.clock()
        for server in self.order:
            if now - self.failed.get(server, -FORGIVE_SECONDS) >= FORGIVE_SECONDS:
                return server
        return min(self.order, key=lambda server: self.failed[server])

    def failed_now(self, server: str) -> None:
        self.failed[server] = self.clock()

    def answered(self, server: str) -> None:
        self.failed.pop(server, None)


class Worker(threading.Thread):
    """Writes value after value to ConfigMaps of its own, and records each acknowledgement."""

    def __init__(self, settings: Settings, number: int, stopped: threading.Event) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.settings, self.number, self.stopped = settings, number, stopped
        self.client, self.choice = Client(settings), Choice(settings.servers, number)
        self.run_name = base64.b32encode(os.urandom(5)).decode().lower()

    def run(self) -> None:
        with open(self.settings.path(f"acknowledged-{self.number}.jsonl"), "a", encoding="utf-8") as record:
            count = 0
            while not self.stopped.is_set():
                began = time.monotonic()
                name = f"load-{self.number}-{self.run_name}-{count // KEYS_PER_OBJECT}"
                key, value = f"k{count}", f"{self.run_name}.{count}.{began:.6f}"
                server = self._write(name, key, value, first=count % KEYS_PER_OBJECT == 0)
                if server is None:
                    return
                note(
                    record,
                    {"at": time.monotonic(), "object": name, "key": key, "value": value, "server": server},
                    sync=True,
                )
                count += 1
                self.stopped.wait(max(0.0, self.settings.interval - (time.monotonic() - began)))

    def _write(self, name: str, key: str, value: str, *, first: bool) -> str | None:
        """The server that acknowledged the value; None once the run is over."""
        while not self.stopped.is_set():
            server = self.choice.next()
            try:
                if first:
                    self._create(server, name)
                path = f"{collection(self.settings.namespace)}/{name}"
                changed = self.client.request(
                    server, "PATCH", path, {"data": {key: value}}, "application/merge-patch+json"
                )
                if changed.get("data", {}).get(key) != value:
                    raise RequestFailed(0, "the answer does not hold the value")
            except RequestFailed as error:
                self.choice.failed_now(server)
                with open(self.settings.path(f"failed-{self.number}.jsonl"), "a", encoding="utf-8") as record:
                    note(record, {"at": time.monotonic(), "server": server, "error": str(error)})
                self.stopped.wait(PAUSE_SECONDS)
                continue
            self.choice.answered(server)
            return server
        return None

    def _create(self, server: str, name: str) -> None:
        content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {LABEL: "load"}}}
        try:
            self.client.request(server, "POST", collection(self.settings.namespace), content)
        except RequestFailed as error:
            # There since an attempt whose answer was lost.
            if error.status != 409:
                raise


def collection(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def note(file: t.TextIO, entry: dict[str, t.Any], *, sync: bool = False) -> None:
    """One line of a record; with `sync` it is on the disk afterwards."""
    file.write(json.dumps(entry) + "\n")
    file.flush()
    if sync:
        os.fsync(file.fileno())


def run(settings: Settings) -> None:
    """Write until the stop file appears, a signal comes, or the time is over."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    end = time.monotonic() + settings.seconds
    workers = [Worker(settings, number, stopped) for number in range(settings.workers)]
    for worker in workers:
        worker.start()
    while not stopped.wait(0.2):
        if time.monotonic() > end or os.path.exists(settings.path("stop")):
            stopped.set()
    for worker in workers:
        worker.join(settings.request_timeout * 2)


# --- afterwards ----------------------------------------------------------------------------------------------------


def records(settings: Settings, kind: str) -> list[list[dict[str, t.Any]]]:
    """The lines that each worker recorded, in order. A last line that was cut off is left out: nothing was told of
    it."""
    return [_lines(settings.path(f"{kind}-{number}.jsonl")) for number in range(settings.workers)]


def _lines(path: str) -> list[dict[str, t.Any]]:
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def check(settings: Settings) -> dict[str, t.Any]:
    """Every acknowledged value against what each server has now; and the gaps between acknowledgements.

    `lost` has an entry for each value that a server that could be read does not have: server, object, key, expected,
    found. `unread` are servers that could not be read.
    """
    acknowledged, failed = records(settings, "acknowledged"), records(settings, "failed")
    expected = {(line["object"], line["key"]): line["value"] for lines in acknowledged for line in lines}
    lost: list[dict[str, t.Any]] = []
    unread: dict[str, str] = {}
    stray = 0
    for server in settings.servers:
        try:
            there = read_all(settings, server)
        except RequestFailed as error:
            unread[server] = str(error)
            continue
        lost += [
            {"server": server, "object": name, "key": key, "expected": value, "found": there.get((name, key))}
            for (name, key), value in expected.items()
            if there.get((name, key)) != value
        ]
        stray = max(stray, len(set(there) - set(expected)))
    marks = read_marks(settings)
    return {
        "acknowledged": len(expected),
        "failed_attempts": sum(map(len, failed)),
        "lost": lost,
        "unread": unread,
        "unacknowledged_there": stray,
        "phases": phases(acknowledged, failed, marks, time.monotonic()),
    }


def read_all(settings: Settings, server: str) -> dict[tuple[str, str], str]:
    """All values of the load as one server has them, by object and key. Not from its cache: without resourceVersion,
    the API asks etcd's quorum."""
    client, values, following = Client(settings), {}, ""
    try:
        while True:
            query = urllib.parse.urlencode(
                {"labelSelector": f"{LABEL}=load", "limit": 200, **({"continue": following} if following else {})}
            )
            listed = client.request(server, "GET", f"{collection(settings.namespace)}?{query}")
            for item in listed.get("items") or []:
                values.update(
                    {(item["metadata"]["name"], key): value for key, value in (item.get("data") or {}).items()}
                )
            following = listed["metadata"].get("continue", "")
            if not following:
                return values
    finally:
        client.close(server)


def read_marks(settings: Settings) -> list[dict[str, t.Any]]:
    """What the player of the faults wrote down: `phase`, `event`, `at` (this host's monotonic clock)."""
    return _lines(settings.path("marks.jsonl"))


def phases(
    acknowledged: list[list[dict[str, t.Any]]],
    failed: list[list[dict[str, t.Any]]],
    marks: list[dict[str, t.Any]],
    now: float,
) -> list[dict[str, t.Any]]:
    """What happened from each phase's first mark to the next phase's: number of writes, failed attempts, the longest
    time that one worker had to wait.

    A worker is one client of the API: its wait counts, also when others were served meanwhile. A wait that began before
    the phase, or outlasts it, counts with its whole length in each phase that it touches. `marks` are in order.
    """
    begins: list[tuple[str, float]] = []
    for mark in marks:
        if not begins or begins[-1][0] != mark["phase"]:
            begins.append((mark["phase"], mark["at"]))
    found = []
    for place, (phase, begin) in enumerate(begins):
        end = begins[place + 1][1] if place + 1 < len(begins) else max(now, begin)
        waits = [wait for lines in acknowledged for wait in gaps([line["at"] for line in lines], begin, end)]
        found.append(
            {
                "phase": phase,
                "seconds": round(end - begin, 1),
                "acknowledged": sum(begin <= line["at"] < end for lines in acknowledged for line in lines),
                "failed_attempts": sum(begin <= line["at"] < end for lines in failed for line in lines),
                "longest_gap": round(max(waits, default=end - begin), 2),
                "errors": most_common(
                    f"{line['server']}: {line['error']}"
                    for lines in failed
                    for line in lines
                    if begin <= line["at"] < end
                ),
                "events": {mark["event"]: round(mark["at"] - begin, 1) for mark in marks if mark["phase"] == phase},
            }
        )
    return found


def most_common(texts: t.Iterable[str]) -> dict[str, int]:
    """The most frequent texts with their numbers."""
    return dict(collections.Counter(texts).most_common(ERRORS_SHOWN))


def gaps(times: list[float], begin: float, end: float) -> list[float]:
    """Seconds between the acknowledgements that touch begin..end. Where none came before `begin`, or none after `end`,
    that moment counts as one."""
    points = sorted(times)
    if not points or points[0] > begin:
        points.insert(0, begin)
    if points[-1] < end:
        points.append(end)
    return [after - before for before, after in zip(points, points[1:]) if after > begin and before < end]


def main(arguments: list[str]) -> None:
    what, path = arguments
    settings = Settings(path)
    if what == "run":
        run(settings)
    else:
        sys.stdout.write(json.dumps(check(settings)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
