# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes nodes that joined later warm, and those of tenants' functions. A program of its own on the cluster's servers,
which the unit wasmfaas-node-warmer starts: standard library, Python 3.9, and the files that role spin_operator lists
(vars/main.yml).

It looks for functions that ask for it (annotation WARM_NODES) and were not compiled on each of their nodes, starts
short pods there (warm_pods.py) and writes into the SpinApps which nodes are warm (warm_record.py). It takes nothing
from a function but the pod template that its Deployment has already, so what runs is what that runs. Only one server
acts: the first by name that is Ready. If two act nevertheless, the pods' names are the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import socket
import sys
import time
import typing as t
import urllib.parse

from ..errors import PlatformError, printable
from ..kubernetes.kubectl import Conflict, Kubectl, NotFound, Unreachable, host_kubectl
from ..kubernetes.rollout import condition, unfinished
from .kinds import DEPLOYMENT, NODE, SPIN_APP, SPIN_APP_EXECUTOR, Kind, Object
from .labels import WARM_NODES
from .warm_pods import WarmPods
from .warm_record import WARM, Marks, WarmRecord, wasm_nodes

RUN_SECONDS = 240
"""How long one run may take; the next one goes on. The service's own limit, in role spin_operator, is longer."""

REQUEST_SECONDS = 20
FAILURES_FILE = "/run/wasmfaas/node_warmer.json"
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 60, 3600
"""A node that stays cold is tried again after a pause that doubles: its pod takes memory from others meanwhile."""

REASON_LENGTH = 300
SERVER_LABEL = "node-role.kubernetes.io/control-plane"
_NOTHING: Object = {}


class HostApi:
    """The API as `WarmPods` and `wasm_nodes` call it, by this server's kubectl. The nodes are read once."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None where there is none."""
        return self._found(_path(kind, namespace, name))

    def get_outside(self, kind: Kind, name: str) -> Object | None:
        """One object outside of namespaces, or None where there is none."""
        return self._found(_path(kind, "", name))

    def list(self, kind: Kind, namespace: str = "", *, labels: dict[str, str] | None = None) -> t.List[Object]:  # noqa: UP006 - `list` is a method here
        """All objects of a kind in a namespace ("": in all); none where the cluster does not know the kind."""
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        query = f"?labelSelector={urllib.parse.quote(selector)}" if selector else ""
        return list((self._found(_path(kind, namespace) + query) or {}).get("items") or [])

    def list_nodes(self, kind: Kind) -> t.List[Object]:  # noqa: UP006 - `list` is a method here
        """All objects of a kind outside of namespaces, which is NODE."""
        return self._nodes if kind is NODE else self.list(kind)

    def create(self, kind: Kind, desired: Object) -> object:
        """Make an object."""
        return self._kubectl.create(_path(kind, desired["metadata"]["namespace"]), desired)

    def replace(self, kind: Kind, desired: Object) -> object:
        """Put an object in the place of the one of its `resourceVersion`; raises Conflict."""
        return self._kubectl.replace(
            _path(kind, desired["metadata"]["namespace"], desired["metadata"]["name"]), desired
        )

    def delete(self, kind: Kind, namespace: str, name: str, *, grace_seconds: int) -> bool:
        """Delete an object; False where there was none."""
        return self._kubectl.delete(f"{_path(kind, namespace, name)}?gracePeriodSeconds={grace_seconds}")

    @functools.cached_property
    def _nodes(self) -> t.List[Object]:  # noqa: UP006 - `list` is a method here
        return self.list(NODE)

    def _found(self, path: str) -> Object | None:
        try:
            return self._kubectl.get(path)
        except NotFound:
            return None


def _path(kind: Kind, namespace: str, name: str = "") -> str:
    """A tenant writes some of these names, and the request has an administrator's rights: a name stays a name."""
    namespace, name = (urllib.parse.quote(part, safe="") for part in (namespace, name))
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    where = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{where}/{kind.plural}" + (f"/{name}" if name else "")


class Failures:
    """Which nodes stayed cold for which artifact, how often, and until when they are left alone.

    Args:
        path: a file; one that cannot be read or written means that each run tries all of them.
    """

    def __init__(self, path: str = FAILURES_FILE, *, now: t.Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._found = self._read()
        self._kept: dict[str, list[float]] = {}

    def count(self, key: str) -> int:
        """How often it failed in a row. What is not asked for any more is forgotten by `write`."""
        if key in self._found:
            self._kept[key] = self._found[key]
        return int(self._found.get(key, (0, 0))[0])

    def pauses(self, key: str) -> bool:
        """Whether it is too early for another try."""
        return self._now() < self._found.get(key, (0, 0))[1]

    def add(self, key: str) -> None:
        """Count one more."""
        times = self.count(key) + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(times - 1, 10))
        self._kept[key] = [times, self._now() + pause]

    def forget(self, key: str) -> None:
        """It did not fail."""
        self._kept.pop(key, None)

    def write(self) -> None:
        """Keep them for the next run."""
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(f"{self._path}.new", "w", encoding="utf-8") as file:
                json.dump(self._kept, file)
            os.replace(f"{self._path}.new", self._path)

    def _read(self) -> dict[str, list[float]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                return {str(key): [float(number), float(until)] for key, (number, until) in json.load(file).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


@dataclasses.dataclass(frozen=True)
class _Cold:
    """A function and the nodes where it was not compiled yet."""

    app: Object
    runtime_class: str
    digest: str
    nodes: Marks
    failures: int  # of all these nodes

    def key(self, node: str) -> str:
        return "/".join((str(self.app["metadata"]["uid"]), self.digest, node, self.nodes[node]))


def run(api: HostApi, failures: Failures, *, seconds: float = RUN_SECONDS) -> None:
    """Make warm what is cold, for at most `seconds`.

    Raises:
        PlatformError: the API cannot be read. What concerns one function is said in a line.
    """
    end = time.monotonic() + seconds
    try:
        for cold in _in_turn(_cold_functions(api, failures)):
            if time.monotonic() >= end:
                break
            try:
                _warm(api, cold, failures, end)
            except Unreachable:
                raise
            except PlatformError as error:
                _say(cold.app, error.cause)
    finally:
        failures.write()


def _cold_functions(api: HostApi, failures: Failures) -> list[_Cold]:
    nodes_of = functools.lru_cache(maxsize=None)(functools.partial(wasm_nodes, api))
    executor_of = functools.lru_cache(maxsize=None)(functools.partial(api.get, SPIN_APP_EXECUTOR))
    found = []
    for app in api.list(SPIN_APP):
        metadata, digest = app["metadata"], str(app["spec"].get("image", "")).partition("@")[2]
        asked = (metadata.get("annotations") or {}).get(WARM_NODES) == "all"
        if not asked or not digest or metadata.get("deletionTimestamp"):
            continue
        executor = executor_of(metadata["namespace"], str(app["spec"].get("executor", "")))
        deployment = ((executor or _NOTHING).get("spec") or {}).get("deploymentConfig") or {}
        runtime_class = str(deployment.get("runtimeClassName") or "")
        nodes = nodes_of(runtime_class) if runtime_class else {}
        warm = WarmRecord.of(app).on(digest, nodes)
        cold = _Cold(app, runtime_class, digest, {name: nodes[name] for name in nodes if name not in warm}, 0)
        times = sum(failures.count(cold.key(name)) for name in cold.nodes)
        due = {name: mark for name, mark in cold.nodes.items() if not failures.pauses(cold.key(name))}
        if due:
            found.append(dataclasses.replace(cold, nodes=due, failures=times))
    return found


def _in_turn(found: list[_Cold]) -> list[_Cold]:
    """Those first that failed least, and of each namespace one before the second of any: no tenant waits for all
    functions of another."""
    seen: dict[str, int] = {}
    turns: list[tuple[int, int, int, _Cold]] = []
    for cold in sorted(found, key=lambda cold: cold.failures):
        namespace = cold.app["metadata"]["namespace"]
        seen[namespace] = seen.get(namespace, 0) + 1
        turns.append((cold.failures, seen[namespace], len(turns), cold))
    return [cold for _failures, _turn, _place, cold in sorted(turns, key=lambda turn: turn[:3])]


def _warm(api: HostApi, cold: _Cold, failures: Failures, end: float) -> None:
    metadata = cold.app["metadata"]
    deployment = api.get(DEPLOYMENT, metadata["namespace"], metadata["name"])
    if deployment is None or not is_settled(cold.app, deployment):
        return  # it is being deployed, or wakes up: several starts of a new artifact on a node disturb each other
    template = deployment["spec"]["template"]
    pods = WarmPods(api, cold.app, template, seconds=end - time.monotonic())
    failed = pods.run(cold.nodes)
    if pods.lost is not None:
        raise pods.lost  # says nothing about the nodes
    for name in cold.nodes:
        (failures.add if name in failed else failures.forget)(cold.key(name))
    for name, reason in sorted(failed.items()):
        _say(cold.app, f"cold on {name}: {reason[:REASON_LENGTH]}")
    warm = {name: mark for name, mark in cold.nodes.items() if name not in failed}
    if warm:
        _remember(api, cold, warm)
        _say(cold.app, f"warm on {', '.join(sorted(warm))}")


def is_settled(app: Object, deployment: Object) -> bool:
    """Whether a Deployment is the function's own, has its artifact, and needs no further pod."""
    owners = deployment["metadata"].get("ownerReferences") or []
    images = [container.get("image") for container in deployment["spec"]["template"]["spec"]["containers"]]
    return (
        any(owner.get("uid") == app["metadata"]["uid"] for owner in owners)
        and images == [app["spec"]["image"]]
        and not unfinished(deployment)
    )


def _remember(api: HostApi, cold: _Cold, warm: Marks) -> None:
    """Add nodes to what the SpinApp remembers, as it is now: a deployment may write at the same time."""
    metadata = cold.app["metadata"]
    for _attempt in range(5):
        app = api.get(SPIN_APP, metadata["namespace"], metadata["name"])
        if app is None or app["metadata"]["uid"] != metadata["uid"]:
            return
        record = WarmRecord.of(app).with_nodes(cold.runtime_class, cold.digest, warm)
        app["metadata"].setdefault("annotations", {})[WARM] = record.written()
        with contextlib.suppress(Conflict):
            api.replace(SPIN_APP, app)
            return


def acts_here(nodes: t.Sequence[Object], is_here: t.Callable[[str], bool]) -> bool:
    """Whether this server is the one that acts: the first by name that is Ready. Where no server is a node, each is.

    Args:
        is_here: whether an address is one of this host.
    """
    servers = [node for node in nodes if SERVER_LABEL in (node["metadata"].get("labels") or {})]
    ready = [node for node in servers if condition(node, "Ready")]
    if not ready:
        return not servers
    first = min(ready, key=lambda node: str(node["metadata"]["name"]))
    addresses = (first.get("status") or {}).get("addresses") or []
    return any(is_here(entry["address"]) for entry in addresses if entry["type"] == "InternalIP")


def is_address_of_this_host(address: str) -> bool:
    """Whether the kernel lets a socket have it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _say(app: Object, text: str) -> None:
    """One line for the journal."""
    one_line = printable(" ".join(text.split()))  # functions and registries say some of it
    _write(f"{app['metadata']['namespace']}/{app['metadata']['name']}: {one_line}")


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _ended(_number: int, _frame: t.Any) -> t.NoReturn:
    raise SystemExit(0)  # by way of `finally`, which deletes the pods


def main() -> int:
    """Run once. Exit code 1 for an error that another run alone will not mend."""
    signal.signal(signal.SIGTERM, _ended)
    api = HostApi(host_kubectl(seconds=REQUEST_SECONDS))
    try:
        if acts_here(api.list_nodes(NODE), is_address_of_this_host):
            run(api, Failures())
    except Unreachable as error:
        _write(f"Ended until the next run: {error.cause}")
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
