# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml beside the site playbook of k3s-ansible: same hosts, same k3s binary, same ansible-core, same forks, by
turns.

K3S_ANSIBLE=DIRECTORY names a checkout of https://github.com/k3s-io/k3s-ansible, K3S_INSTALL_SCRIPT=FILE install.sh of
https://github.com/k3s-io/k3s, which k3s-ansible runs on every host (https://get.k3s.io has it too). Nothing of them is
kept here.
"""

from __future__ import annotations

import base64
import concurrent.futures
import dataclasses
import itertools
import os
import secrets
import statistics
import subprocess
import sys
from pathlib import Path

from tests.hosts import Environment, k3s_binary
from tests.integration.support.go_build import cache_directory, locked

from .measure import Entry, NotMeasuredError, Row, Table, program
from .site import FORKS, Run, Site, booted, connections, load, site, write_hosts

ROUNDS = 2
SERVERS, AGENTS = ("server1", "server2", "server3"), ("agent1", "agent2")
# The collections of k3s-ansible's collections/requirements.yml, and its README's requirement.
PYTHON_PACKAGES = ("ansible==12.3.0", "netaddr==1.3.0")
# Its package_facts needs python3-apt, as Debian's own images have it.
HOST_PACKAGES = (
    "distro-info-data",
    "python-apt-common",
    "python3-apt",
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """One round of one playbook."""

    first: Run
    second: Run


def measure() -> list[Entry]:
    checkout, install_script = _named("K3S_ANSIBLE", "playbooks/site.yml"), _named("K3S_INSTALL_SCRIPT")
    k3s = k3s_binary.selected()
    if k3s.binary is None:
        raise NotMeasuredError("both get one file of k3s: name it by K3S_BINARY instead of K3S_VERSION")
    libraries, packages = _libraries(), _packages()
    before = load()
    results: dict[str, list[Pair]] = {"ours": [], "theirs": []}
    with booted([*SERVERS, *AGENTS]) as hosts:
        sites = {
            "ours": lambda directory: site(hosts, directory, SERVERS, AGENTS),
            "theirs": lambda directory: _their_site(hosts, directory, checkout, install_script, k3s.binary, libraries),
        }
        for round_, name in itertools.product(range(ROUNDS), sites):
            directory = hosts.directory.parent / f"{name}{round_}"
            directory.mkdir()
            _make_blank(hosts, packages)
            playbook = sites[name](directory)
            pair = Pair(playbook.run(), playbook.run())
            results[name].append(pair)
            print(
                f"round {round_ + 1}: {playbook.name} {pair.first.seconds:.1f} s, {pair.second.seconds:.1f} s",
                file=sys.stderr,
            )
    ours, theirs = results["ours"], results["theirs"]
    commit = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    conditions = (
        f"Both on the same {len(SERVERS)} servers and {len(AGENTS)} agents, blank before each first run, by turns, "
        f"{ROUNDS} rounds with {FORKS} "
        f"forks; medians, with the lowest and the highest. k3s {k3s.version}: {k3s.origin.partition(' /')[0]}. "
        f"k3s-ansible{f' at {commit}' if commit else ''} "
        "with `airgap_dir`, `token`, `api_endpoint` (the first server), `k3s_version` and `kubeconfig`, all else as "
        "it comes; the hosts got "
        f"{', '.join(HOST_PACKAGES)} for it. Load average of the machine just before: {before}."
    )
    return [
        _row(
            "First run, blank hosts",
            [pair.first.seconds for pair in ours],
            [pair.first.seconds for pair in theirs],
            1.0,
        ),
        _row("Second run", [pair.second.seconds for pair in ours], [pair.second.seconds for pair in theirs], 0.5),
        conditions,
        _tasks(ours[-1], theirs[-1]),
    ]


def _named(variable: str, within: str = "") -> Path:
    """The path in an environment variable."""
    value = os.environ.get(variable)
    if not value:
        raise NotMeasuredError(f"{variable} names nothing (see bench/k3s_ansible.py)")
    path = Path(value).resolve()
    if not (path / within if within else path).is_file():
        raise NotMeasuredError(f"{variable}: there is no {path / within}")
    return path


def _libraries() -> Path:
    """A directory for PYTHONPATH with what k3s-ansible needs beside ansible-core, which it gets from here: the same for
    both."""
    cache = cache_directory("bench")
    libraries = cache / "-".join(PYTHON_PACKAGES).replace("==", "-")
    with locked(cache):
        if not libraries.is_dir():
            partial = libraries.with_suffix(".partial")
            call = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--quiet",
                "--no-deps",
                "--target",
                str(partial),
                *PYTHON_PACKAGES,
            ]
            _prepare(call, cache)
            partial.rename(libraries)
    return libraries


def _packages() -> Path:
    """A directory with the Debian packages for the hosts."""
    directory = cache_directory("bench/packages")
    with locked(directory):
        if not list(directory.glob("*.deb")):
            _prepare([program("apt-get", "apt"), "download", *HOST_PACKAGES], directory)
    return directory


def _prepare(command: list[str], directory: Path) -> None:
    done = subprocess.run(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise NotMeasuredError(f"{' '.join(command[:4])} … ended with {done.returncode}: {done.stdout.strip()[-300:]}")


def _make_blank(hosts: Environment, packages: Path) -> None:
    names = (*SERVERS, *AGENTS)
    archive = subprocess.run(
        ["tar", "-c", "-C", str(packages), *(file.name for file in packages.glob("*.deb"))],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    # The first line of Debian's .bashrc for other users: k3s-ansible adds `k3s completion` to root's, which else ran at
    # every command over SSH.
    prepare = (
        "base64 -d | tar -x -C /tmp && dpkg --install /tmp/*.deb && sed -i '1i case $- in *i*) ;; *) return ;; "
        "esac' /root/.bashrc"
    )
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: hosts.wipe(name, boot=False), names))
        hosts.boot(*names)
        list(pool.map(lambda name: hosts.run(name, prepare, stdin=base64.b64encode(archive).decode()), names))


def _their_site(
    hosts: Environment, directory: Path, checkout: Path, install_script: Path, binary: Path, libraries: Path
) -> Site:
    airgap = directory / "airgap"
    airgap.mkdir()
    (airgap / "k3s").symlink_to(binary)
    (airgap / "k3s-install.sh").symlink_to(install_script)
    variables = {
        "k3s_version": k3s_binary.version_of(binary),
        "token": secrets.token_hex(16),
        "api_endpoint": hosts.host(SERVERS[0]).address,
        "airgap_dir": str(airgap),
        "kubeconfig": str(directory / "kubeconfig.yml"),  # else it would write to ~/.kube/config of who measures
    }
    hosts_file = write_hosts(hosts, directory, {"k3s_cluster/server": SERVERS, "k3s_cluster/agent": AGENTS}, variables)
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "playbooks/site.yml",
        "-i",
        str(hosts_file),
        "--forks",
        str(FORKS),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {**connections(directory), "ANSIBLE_HOME": str(directory / "ansible"), "PYTHONPATH": str(libraries)}
    return Site("k3s-ansible", command, checkout, environment)


def _row(what: str, ours: list[float], theirs: list[float], goal: float) -> Row:
    our, their = statistics.median(ours), statistics.median(theirs)
    spread = f"{our:.1f} s ({min(ours):.1f} – {max(ours):.1f}) to {their:.1f} s ({min(theirs):.1f} – {max(theirs):.1f})"
    return Row(
        f"{what}: `site.yml` to that of k3s-ansible",
        f"{our / their:.2f} × = {spread}",
        f"≤ {goal} ×",
        our <= goal * their,
    )


def _tasks(ours: Pair, theirs: Pair) -> Table:
    columns = (
        "tasks run (of these changed)",
        "first run, `site.yml`",
        "k3s-ansible",
        "second run, `site.yml`",
        "k3s-ansible",
    )
    runs = (ours.first, theirs.first, ours.second, theirs.second)
    kinds = {"first server": SERVERS[0], "another server": SERVERS[1], "agent": AGENTS[0]}
    return Table(
        columns,
        tuple(
            (kind, *(f"{run.tasks[host].run} ({run.tasks[host].changed})" for run in runs))
            for kind, host in kinds.items()
        ),
    )
