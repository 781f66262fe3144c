# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment: hosts on one network, and the accidents that can happen to them. Its state is in a directory, so that
any process can continue with it."""

from __future__ import annotations

import collections.abc
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import re
import secrets
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

from . import network as networks
from .errors import HostsError, call, wait_until
from .machine import DATA_PATH, Machine, Supervisor, file_system, unavailable
from .network import Network
from .rootfs import rootfs

MAXIMUM_HOSTS = 24
BOOT_SECONDS = 90.0
_STATE_VERSION = 1
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The systemd and services of a host open 8 of these. The kernel counts those of all hosts together; its default limit
# is 128.
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_NEEDED = 2048
_CLOCK_FILE = "/etc/ssh/sshd_config.d/00-clock.conf"


@dataclasses.dataclass(frozen=True)
class HostSpecification:
    """The desired properties of a host.

    Attributes:
        name: A DNS label; also the hostname unless that is given.
        data_size: Bytes of a separate file system at /var/lib/rancher, so that the disk can be filled; 0 is none.
        hostname: Gives two hosts the same hostname.
        machine_id: 32 hexadecimal digits, to give two hosts the same id. By default each host has its own.
    """

    name: str
    data_size: int = 0
    hostname: str = ""
    machine_id: str = ""


@dataclasses.dataclass
class Host:
    """The recorded state of a host. To act on it, call the methods of `Environment` with its name."""

    name: str
    index: int
    address: str
    hostname: str
    machine_id: str
    data_size: int = 0
    process: int = 0
    started: int = 0
    cut: bool = False

    @property
    def supervisor(self) -> Supervisor:
        return Supervisor(self.process, self.started)


@dataclasses.dataclass
class _State:
    network: Network
    hosts: dict[str, Host]
    inotify_before: int = 0


class Environment:
    """Hosts that reach each other and nobody else. Every change is in DIRECTORY/hosts.json before a method returns.

    Two processes may use and change the same environment at the same time.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()

    # --- all hosts

    @classmethod
    def create(cls, directory: Path, hosts: collections.abc.Iterable[HostSpecification | str]) -> Environment:
        """Make the hosts that do not exist, and boot those that are off. Returns when all answer to SSH.

        Raises:
            HostsError: this machine cannot make hosts, there would be more than 24, or one does not boot.
        """
        if reason := unavailable():
            raise HostsError(reason)
        specifications = [HostSpecification(host) if isinstance(host, str) else host for host in hosts]
        environment = cls(directory)
        environment.directory.mkdir(parents=True, exist_ok=True)
        if (kind := file_system(environment.directory)) in {"overlayfs", "overlay"}:
            raise HostsError(
                f"{environment.directory} is on {kind}, which cannot hold the upper layer of another: name a "
                "directory on a disk"
            )
        rootfs()  # before the lock, because it can take minutes
        with environment._changing(make=True) as state:
            check_specifications(specifications, state.hosts)
            environment._make_key()
            for specification in specifications:
                if specification.name not in state.hosts:
                    host = _new_host(specification, state)
                    state.hosts[host.name] = host
                    environment._blank(state, host)
            environment._write_known_hosts(state)
            environment._boot(state, [specification.name for specification in specifications])
        return environment

    def destroy(self) -> None:
        """End all hosts and delete everything that was made for them, including the directory. Works also after an
        earlier call was interrupted."""
        if self._file.exists():
            with self._changing() as state:
                for host in state.hosts.values():
                    self._machine(state, host).power_off(host.supervisor)
                state.network.remove()
                _restore_inotify(state.inotify_before)
                self._file.unlink()
        shutil.rmtree(self.directory / "hosts", ignore_errors=True)
        for name in ("key", "key.pub", "known_hosts", "hosts.json.new", "lock"):
            (self.directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.directory.rmdir()  # fails if others put files there, which then stay

    def remove(self, name: str) -> None:
        """End a host and delete it; another host may get its address."""
        with self._changing() as state:
            host = _known(state, name)
            machine = self._machine(state, host)
            machine.power_off(host.supervisor)
            shutil.rmtree(machine.directory, ignore_errors=True)
            del state.hosts[name]
            self._write_known_hosts(state)

    def hosts(self) -> list[Host]:
        return list(self._read().hosts.values())

    def host(self, name: str) -> Host:
        return _known(self._read(), name)

    @property
    def network(self) -> Network:
        return self._read().network

    @property
    def key(self) -> Path:
        """The private key that root of every host accepts."""
        return self.directory / "key"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    # --- one host

    def running(self, name: str) -> bool:
        return self.host(name).supervisor.init() > 0

    def kill(self, name: str) -> None:
        """Power loss: all processes end at once. The disk keeps everything, including what the kernel had not written
        yet."""
        with self._changing() as state:
            self._off(state, _known(state, name))

    def boot(self, *names: str) -> None:
        """Boot the hosts that are off. Returns when all answer to SSH."""
        with self._changing() as state:
            self._boot(state, names)

    def freeze(self, name: str) -> None:
        """Stop all processes; connections stay open, but nobody answers."""
        self._freeze(name, frozen=True)

    def thaw(self, name: str) -> None:
        self._freeze(name, frozen=False)

    def cut(self, name: str) -> None:
        """Disconnect the host: packets to and from it are lost. It stays so over kill and boot, but not over a reboot
        from inside. `console` still reaches the host."""
        with self._changing() as state:
            host = _known(state, name)
            host.cut = True
            if host.supervisor.init():
                state.network.detach(self._machine(state, host).interface)

    def heal(self, name: str) -> None:
        with self._changing() as state:
            host = _known(state, name)
            host.cut = False
            if host.supervisor.init():
                state.network.attach(self._machine(state, host).interface)

    def fill_disk(self, name: str) -> None:
        """Fill /var/lib/rancher to the last byte. Works only on a host with a `data_size`, because the disk of this
        machine must never be full."""
        if not self.host(name).data_size:
            raise HostsError(f"{name} has no disk of its own to fill: create it with a data_size")
        # dd fills what fallocate leaves, and ends when there is no more space.
        filler = f"{DATA_PATH}/.filler"
        fill = f'fallocate -l "$(df --output=avail -B1 {DATA_PATH} | tail -1)" {filler} 2>/dev/null'
        self.console(name, f"{fill}; dd if=/dev/zero bs=4096 of={filler}.rest 2>/dev/null; sync -f {DATA_PATH}")

    def free_disk(self, name: str) -> None:
        self.console(name, f"rm -f {DATA_PATH}/.filler {DATA_PATH}/.filler.rest")

    def wipe(self, name: str, *, boot: bool = True) -> None:
        """Replace the host by a blank one of the same name and address, with another machine id and host key."""
        with self._changing() as state:
            host = _known(state, name)
            self._off(state, host)
            host.machine_id = uuid.uuid4().hex
            self._blank(state, host)
            self._write_known_hosts(state)
            if boot:
                self._boot(state, [name])

    def set_clock_offset(self, name: str, seconds: float) -> None:
        """Shift the clock that programs see when they start over SSH, such as Ansible's modules; 0: the right time.

        The kernel has one real-time clock for all hosts, so this sets libfaketime in the environment of SSH sessions.
        Python, the shell and other programs that link the C library see it. Services, Go programs (k3s) and the times
        of files do not. Open SSH connections are closed.
        """
        setting = (
            f"SetEnv LD_PRELOAD=$library FAKETIME={float(seconds):+.3f} FAKETIME_DONT_FAKE_MONOTONIC=1"
            if seconds
            else ""
        )
        # pkill ends with 1 where nobody is logged in.
        self.console(
            name,
            f'library=$(echo /usr/lib/*/faketime/libfaketime.so.1); echo "{setting}" > {_CLOCK_FILE}; systemctl '
            "reload ssh; pkill -f '^sshd: root' || true",
        )
        # sshd starts again for this, and does not listen for a moment.
        host = self.host(name)
        if not host.cut:
            wait_until(lambda: _answers(host.address), f"{name} answers again", seconds=30)

    def run(
        self, name: str, command: str, *, check: bool = True, timeout: float = 120.0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root over SSH.

        Raises:
            HostsError: it took longer than `timeout` seconds, or, with `check`, its exit code is not 0.
        """
        arguments = ["ssh", *self.ssh_arguments(), f"root@{self.host(name).address}", command]
        return _run(name, command, arguments, check=check, timeout=timeout, stdin=stdin)

    def console(
        self, name: str, command: str, *, check: bool = True, timeout: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command as root without the network. Works also on a host that is cut off or frozen; the command
        itself is not frozen."""
        init = self.host(name).supervisor.init()
        if not init:
            raise HostsError(f"{name} is off")
        arguments = ["nsenter", "--target", str(init), "--all", "sh", "-c", command]
        return _run(name, command, arguments, check=check, timeout=timeout)

    def ssh_arguments(self) -> list[str]:
        """Arguments with which `ssh` reaches any of the hosts. They ignore the user's configuration."""
        options = {"UserKnownHostsFile": str(self.known_hosts), "StrictHostKeyChecking": "yes", "IdentitiesOnly": "yes"}
        options |= {"BatchMode": "yes", "ConnectTimeout": "10"}
        settings = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        return ["-F", "none", "-i", str(self.key), *settings]

    # --- inside

    @property
    def _file(self) -> Path:
        return self.directory / "hosts.json"

    def _read(self) -> _State:
        try:
            content = json.loads(self._file.read_text())
        except FileNotFoundError:
            raise HostsError(f"no test hosts in {self.directory}: create them first") from None
        hosts = {name: Host(**values) for name, values in content["hosts"].items()}
        return _State(Network(**content["network"]), hosts, content["inotify_before"])

    def _write(self, state: _State) -> None:
        content = {
            "version": _STATE_VERSION,
            "network": dataclasses.asdict(state.network),
            "inotify_before": state.inotify_before,
            "hosts": {name: dataclasses.asdict(host) for name, host in state.hosts.items()},
        }
        partial = self._file.with_suffix(".json.new")
        partial.write_text(json.dumps(content, indent=2) + "\n")
        partial.replace(self._file)

    @contextlib.contextmanager
    def _changing(self, *, make: bool = False) -> collections.abc.Iterator[_State]:
        """The state, locked. It is also written if the change fails half-way, so that `destroy` finds what was
        started."""
        if not make and not self.directory.is_dir():
            raise HostsError(f"no test hosts in {self.directory}: create them first")
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if make and not self._file.exists():
                self._adopt()
                network = networks.create(secrets.token_hex(3)[:5], str(self.directory))
                state = _State(network, {}, _raise_inotify())
                self._write(state)
            else:
                state = self._read()
            try:
                yield state
            finally:
                if self._file.exists() and self.directory.is_dir():
                    self._write(state)

    def _adopt(self) -> None:
        """Remove a network that belongs to this directory although its state file is gone."""
        for identifier, owner in networks.owners().items():
            if owner == str(self.directory):
                remove_leftovers(identifier)

    def _machine(self, state: _State, host: Host) -> Machine:
        return Machine(
            f"{state.network.identifier}-{host.index}",
            host.hostname,
            self.directory / "hosts" / host.name,
            state.network,
            host.data_size,
        )

    def _make_key(self) -> None:
        if not self.key.exists():
            _make_key(self.key, "wasmfaas test hosts")

    def _blank(self, state: _State, host: Host) -> None:
        machine = self._machine(state, host)
        machine.blank_disk()
        files = {
            "etc/hostname": f"{host.hostname}\n",
            "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {host.hostname}\n::1 localhost ip6-localhost ip6-loopback\n",
            "etc/machine-id": f"{host.machine_id}\n",
            # Has precedence over systemd's own 80-container-host0.network.
            "etc/systemd/network/10-host0.network": (
                f"[Match]\nName=host0\n\n[Network]\nAddress={host.address}/24\nGateway={state.network.gateway}\n"
                "LinkLocalAddressing=no\nIPv6AcceptRA=no\nConfigureWithoutCarrier=yes\n"
            ),
            "root/.ssh/authorized_keys": self.key.with_suffix(".pub").read_text(),
        }
        for name, content in files.items():
            path = machine.upper / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        (machine.upper / "root").chmod(0o700)
        (machine.upper / "root/.ssh").chmod(0o700)
        (machine.upper / "etc/ssh").mkdir(parents=True, exist_ok=True)
        _make_key(machine.upper / "etc/ssh/ssh_host_ed25519_key", f"root@{host.hostname}")

    def _write_known_hosts(self, state: _State) -> None:
        lines = []
        for host in state.hosts.values():
            public_key = self._machine(state, host).upper / "etc/ssh/ssh_host_ed25519_key.pub"
            kind, key, *_comment = public_key.read_text().split()
            lines.append(f"{host.address} {kind} {key}\n")
        self.known_hosts.write_text("".join(lines))

    def _boot(self, state: _State, names: collections.abc.Iterable[str]) -> None:
        hosts = [_known(state, name) for name in names]
        for host in hosts:
            if not host.supervisor.alive():
                machine = self._machine(state, host)
                machine.power_off(host.supervisor)  # removes what a supervisor that ended by itself left
                supervisor = machine.start()
                host.process, host.started = supervisor.process, supervisor.started
                self._write(state)  # at once, so that `destroy` finds the host even if the caller is killed now
        with concurrent.futures.ThreadPoolExecutor(max_workers=MAXIMUM_HOSTS) as pool:
            for result in [pool.submit(self._await_boot, state, host) for host in hosts]:
                result.result()

    def _await_boot(self, state: _State, host: Host) -> None:
        machine = self._machine(state, host)
        end = time.monotonic() + BOOT_SECONDS
        while True:
            if not host.supervisor.alive():
                raise HostsError(
                    f"{host.name} did not boot. The end of {machine.console_log}:\n{machine.end_of_console()}"
                )
            if host.cut and state.network.attached(machine.interface):  # systemd-nspawn attaches it
                state.network.detach(machine.interface)
                return
            if not host.cut and _answers(host.address):
                return
            if time.monotonic() > end:
                end_of_log = f"The end of {machine.console_log}:\n{machine.end_of_console()}"
                raise HostsError(
                    f"{host.name} does not answer at {host.address}:22 after {BOOT_SECONDS:.0f} s. {end_of_log}"
                )
            time.sleep(0.1)

    def _off(self, state: _State, host: Host) -> None:
        self._machine(state, host).power_off(host.supervisor)
        host.process = host.started = 0

    def _freeze(self, name: str, *, frozen: bool) -> None:
        with self._changing() as state:
            host = _known(state, name)
            if not host.supervisor.init():
                raise HostsError(f"{name} is off")
            self._machine(state, host).freeze(frozen)


def environments() -> dict[str, Path]:
    """The state directories of all environments on this machine, by identifier."""
    return {identifier: Path(owner) for identifier, owner in networks.owners().items()}


def prune() -> list[str]:
    """Remove what is left of environments whose state file is gone, for example because their directory was deleted.
    Returns their state directories."""
    removed = []
    for identifier, directory in environments().items():
        if not (directory / "hosts.json").exists():
            remove_leftovers(identifier)
            removed.append(str(directory))
    return removed


def remove_leftovers(identifier: str) -> None:
    """End the hosts of an environment by their control groups, and remove its network."""
    network = Network(identifier, "10.0.0.0/24")  # the addresses no longer matter
    for index in range(1, MAXIMUM_HOSTS + 1):
        machine = Machine(f"{identifier}-{index}", f"{identifier}-{index}", Path("/nonexistent"), network)
        if machine.control_group.is_dir():
            (machine.control_group / "cgroup.kill").write_text("1")
            machine.power_off(Supervisor(0, 0))
    network.remove()


def check_specifications(
    specifications: collections.abc.Sequence[HostSpecification], present: collections.abc.Mapping[str, Host]
) -> None:
    """Check the specifications of hosts to be created.

    Raises:
        HostsError: a name is not a DNS label or comes twice, a host exists with other properties, or there would be too
            many hosts.
    """
    names = [specification.name for specification in specifications]
    for specification in specifications:
        if not _HOST_NAME.fullmatch(specification.name):
            raise HostsError(
                f"{specification.name!r} cannot be a host's name: use small letters, digits and hyphens, 63 at most"
            )
        if names.count(specification.name) > 1:
            raise HostsError(f"{specification.name} is named twice")
        if specification.name in present and present[specification.name].data_size != specification.data_size:
            raise HostsError(f"{specification.name} exists already, with another data_size: remove it first")
    if len({*names, *present}) > MAXIMUM_HOSTS:
        raise HostsError(f"{len({*names, *present})} hosts are too many for one machine: at most {MAXIMUM_HOSTS}")


def _new_host(specification: HostSpecification, state: _State) -> Host:
    index = min(set(range(1, MAXIMUM_HOSTS + 1)) - {host.index for host in state.hosts.values()})
    return Host(
        name=specification.name,
        index=index,
        address=state.network.address(index),
        hostname=specification.hostname or specification.name,
        machine_id=specification.machine_id or uuid.uuid4().hex,
        data_size=specification.data_size,
    )


def _known(state: _State, name: str) -> Host:
    if name not in state.hosts:
        raise HostsError(f"no test host is called {name}: there are {', '.join(sorted(state.hosts)) or 'none'}")
    return state.hosts[name]


def _make_key(path: Path, comment: str) -> None:
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, 22), timeout=2) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def _run(
    name: str, command: str, arguments: list[str], *, check: bool, timeout: float, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as error:
        raise HostsError(f"{name}: {command} did not end within {timeout:.0f} s") from error
    if check and done.returncode:
        raise HostsError(
            f"{name}: {command} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}"
        )
    return done


def _raise_inotify() -> int:
    """Raise the kernel's limit if it is too low. Returns the value before, or 0 if it was high enough."""
    before = int(_INOTIFY.read_text())
    if before >= _INOTIFY_NEEDED:
        return 0
    _INOTIFY.write_text(str(_INOTIFY_NEEDED))
    return before


def _restore_inotify(before: int) -> None:
    # While other environments exist, they need the limit. The last of them may not know the old value; the limit then
    # stays.
    if before and not networks.owners():
        with contextlib.suppress(OSError):
            _INOTIFY.write_text(str(before))
