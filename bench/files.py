# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Second runs with our modules for files and downloads beside the same with ansible.builtin's: managed_files against
file, copy and template on hosts over SSH, binary_download against get_url and unarchive on this machine."""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import hashlib
import http.server
import json
import os
import statistics
import tarfile
import tempfile
import threading
import typing as t
from pathlib import Path

from .measure import ANSIBLE_PLAYBOOK, REPOSITORY, Entry, NotMeasuredError, Row, environment
from .site import FORKS, Site, booted, connections, load, write_hosts

HOSTS = 5
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
K3S_BYTES, SHIM_BYTES = 75_000_000, 60_000_000
"""About the sizes of k3s v1.36 and of containerd-shim-spin 0.25, for arm64."""
VERSION = "1.0.0"
TEXTS = {
    "/etc/rancher/k3s/config.yaml": "0600",
    "/etc/rancher/k3s/config.yaml.d/join.yaml": "0600",
    "/etc/rancher/k3s/registries.yaml": "0600",
    "/etc/systemd/system/k3s-agent.service": "0644",
}
"""By path, the modes of the small files of an agent."""

Tasks = list[dict[str, t.Any]]


def measure() -> list[Entry]:
    names = [f"host{number}" for number in range(1, HOSTS + 1)]
    before = load()
    with booted(names) as hosts, tempfile.TemporaryDirectory(prefix="wasmfaas-bench-", dir="/var/tmp") as temporary:
        directory = Path(temporary)
        inventory = write_hosts(hosts, directory, {"all_hosts": names}, {})
        binaries = _binaries(directory)
        placed = _by_turns(
            directory,
            inventory,
            {"managed_files": ("all_hosts", _managed(directory, binaries)), "stock": ("all_hosts", _copied(binaries))},
        )
        with _served(directory / "served") as url:
            downloaded = _by_turns(
                directory,
                inventory,
                {
                    "binary_download": ("localhost", _provided(directory, binaries, url)),
                    "stock_download": ("localhost", _fetched(directory, binaries, url)),
                },
            )
    note = (
        f"Whole plays run again without a change: medians of {ROUNDS} rounds by turns, with lowest and highest; "
        f"{FORKS} forks and the project's ansible.cfg (pipelining) for all. The files of an agent are two binaries of "
        f"{(K3S_BYTES + SHIM_BYTES) / 1e6:.0f} MB together, {len(TEXTS)} small files from templates, two directories "
        "and a file that must be absent; three tasks with `managed_files`, as in the roles, and "
        f"{len(_copied(binaries))} without. The downloads come from a server on this machine, with pinned checksums, "
        f"the shim in an archive. Load average just before: {before}."
    )
    return [
        Row(f"Files of an agent on {HOSTS} hosts: `managed_files` to `file`, `copy`, `template`", placed, "", None),
        Row("k3s and a shim on this machine: `binary_download` to `get_url`, `unarchive`", downloaded, "", None),
        note,
    ]


def _binaries(directory: Path) -> dict[str, Path]:
    """Files of random bytes as k3s and a shim, and what a server of releases would have of them."""
    served = directory / "served"
    served.mkdir()
    binaries = {"k3s": served / "k3s", "shim": directory / "shim"}
    for path, size in zip(binaries.values(), (K3S_BYTES, SHIM_BYTES), strict=True):
        path.write_bytes(os.urandom(size))
    with tarfile.open(served / "shim.tar.gz", "w:gz", compresslevel=1) as archive:
        archive.add(binaries["shim"], "shim")
    for path in TEXTS:
        (directory / f"{Path(path).name}.j2").write_text(
            "# {{ inventory_hostname }}\n" + "".join(f"key{number}: value\n" for number in range(20))
        )
    return binaries


def _managed(directory: Path, binaries: dict[str, Path]) -> Tasks:
    def text(path: str) -> dict[str, str]:
        template = directory / f"{Path(path).name}.j2"
        content = f"{{{{ lookup('ansible.builtin.template', '{template}') }}}}"
        return {"path": path, "content": content, "mode": TEXTS[path]}

    def binary(name: str) -> dict[str, str]:
        source = str(binaries[name])
        return {"path": f"/usr/local/bin/{name}", "source": source, "sha256": _sha256(source), "mode": "0755"}

    registries = "/etc/rancher/k3s/registries.yaml"
    agent = [binary("k3s"), *(text(path) for path in TEXTS if path != registries)]
    absent = {"path": "/etc/rancher/k3s/config.yaml.d/old.yaml", "state": "absent"}
    entry = {"path": "/etc/rancher/k3s/config.yaml.d", "mode": "0700"}
    module = "wasmfaas.platform.managed_files"
    return [
        {module: {"files": [text(registries)]}},
        {module: {"files": [binary("shim")]}},
        {module: {"files": [*agent, absent], "directories": [entry]}},
    ]


def _copied(binaries: dict[str, Path]) -> Tasks:
    directories = {"/etc/rancher/k3s": "0755", "/etc/rancher/k3s/config.yaml.d": "0700"}
    return [
        *(
            {"ansible.builtin.file": {"path": path, "state": "directory", "mode": mode}}
            for path, mode in directories.items()
        ),
        *(
            {"ansible.builtin.copy": {"src": str(source), "dest": f"/usr/local/bin/{name}", "mode": "0755"}}
            for name, source in binaries.items()
        ),
        *(
            {"ansible.builtin.template": {"src": f"{Path(path).name}.j2", "dest": path, "mode": mode}}
            for path, mode in TEXTS.items()
        ),
        {"ansible.builtin.file": {"path": "/etc/rancher/k3s/config.yaml.d/old.yaml", "state": "absent"}},
    ]


def _provided(directory: Path, binaries: dict[str, Path], url: str) -> Tasks:
    entries = [
        {
            "name": name,
            "version": VERSION,
            "url": f"{url}/{asset}",
            "checksums": {"amd64": _sha256(str(directory / "served" / asset))},
        }
        for name, asset in zip(binaries, ("k3s", "shim.tar.gz"), strict=True)
    ]
    arguments = {"binaries": entries, "architectures": ["amd64"], "cache_directory": str(directory / "cache")}
    return [{"wasmfaas.platform.binary_download": arguments}]


def _fetched(directory: Path, binaries: dict[str, Path], url: str) -> Tasks:
    unpacked = str(directory / "stock")
    return [
        {"ansible.builtin.file": {"path": unpacked, "state": "directory", "mode": "0755"}},
        *(
            {
                "ansible.builtin.get_url": {
                    "url": f"{url}/{asset}",
                    "dest": f"{unpacked}/{asset}",
                    "checksum": f"sha256:{_sha256(str(directory / 'served' / asset))}",
                    "mode": "0755",
                }
            }
            for asset in ("k3s", "shim.tar.gz")
        ),
        {
            "ansible.builtin.unarchive": {
                "src": f"{unpacked}/shim.tar.gz",
                "dest": unpacked,
                "remote_src": True,
                "include": [binaries["shim"].name],
            }
        },
    ]


def _by_turns(directory: Path, inventory: Path, plays: dict[str, tuple[str, Tasks]]) -> str:
    """The ratio of the first play's second run to that of the second play, with the seconds of both."""
    sites = [_site(directory, inventory, name, hosts, tasks) for name, (hosts, tasks) in plays.items()]
    for playbook in sites:
        playbook.run()
    seconds: list[list[float]] = [[], []]
    for _round in range(ROUNDS):
        for playbook, measured in zip(sites, seconds, strict=True):
            run = playbook.run()
            if any(tasks.changed for tasks in run.tasks.values()):
                raise NotMeasuredError(f"{playbook.name} changed something that it had changed before")
            measured.append(run.seconds)
    ours, theirs = (statistics.median(measured) for measured in seconds)
    spans = [f"{min(measured):.1f} – {max(measured):.1f} s" for measured in seconds]
    return f"{ours / theirs:.2f} × ({ours:.1f} s, {spans[0]}, to {theirs:.1f} s, {spans[1]})"


def _site(directory: Path, inventory: Path, name: str, hosts: str, tasks: Tasks) -> Site:
    play = {"hosts": hosts, "gather_facts": False, "tasks": tasks}
    if hosts == "localhost":
        play |= {"connection": "local", "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}}
    path = directory / f"{name}.yml"
    path.write_text(json.dumps([play]))
    command = [ANSIBLE_PLAYBOOK, str(path), "-i", str(inventory), "--forks", str(FORKS)]
    variables = {**environment(), **connections(directory), "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")}
    return Site(name, command, REPOSITORY, variables)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not reported."""


@contextlib.contextmanager
def _served(directory: Path) -> collections.abc.Iterator[str]:
    """The address at which the files of a directory are, for as long as the context lasts."""
    handler = functools.partial(_Silent, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@functools.cache
def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
