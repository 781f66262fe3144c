# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a host: system, processor, memory, disks, clock, addresses, ports. Only reads; something that the host lacks
is a value, not an error.

`root` is prepended to every path, for tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import selectors
import socket
import struct
import time
import typing as t
from pathlib import Path

from .kernel import Kernel

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
"""The name that Go uses, and so k3s's releases and Kubernetes, by uname's machine."""

LISTENING = {"tcp": "0A", "udp": "07"}
"""State of a listening socket in /proc/net/tcp and /proc/net/udp (Linux, include/net/tcp_states.h)."""

VIRTUAL_INTERFACES = re.compile(
    r"(lo|cni\d+|flannel[.\w-]*|veth\w+|docker\d+|br-[0-9a-f]+|cali\w+|cilium\w*|lxc\w+|kube-\w+|dummy\d+|nodelocaldns|virbr\d+|tunl\d+)$"
)
"""Interfaces that are not the machine's own, by their usual names: their addresses are not addresses of the node."""

UNSYNCHRONIZED_MICROSECONDS = 16_000_000
"""From this estimated error on, the clock counts as not synchronized (systemd, src/basic/time-util.c: ntp_synced)."""

SYSCTL_DIRECTORIES = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")

UNROUTED = "203.0.113.1"
"""TEST-NET-3 (RFC 5737): an address that only the default route leads to. Nothing is sent there."""


def hostname() -> str:
    """Name of the machine in lower case, as the kubelet takes it for the node where none is given."""
    return socket.gethostname().lower()


def machine_id(root: str = "") -> str:
    """The host's id (machine-id(5)); "" if it has none."""
    return _read(f"{root}/etc/machine-id").strip()


def boot_id(root: str = "") -> str:
    """Differs after each boot."""
    return _read(f"{root}/proc/sys/kernel/random/boot_id").strip()


def operating_system(root: str = "") -> dict[str, str]:
    """`id`, `version_id` and `id_like` of os-release(5), each "" if it is missing there."""
    text = _read(f"{root}/etc/os-release") or _read(f"{root}/usr/lib/os-release")
    found = dict(re.findall(r"""^([A-Z_]+)=["']?(.*?)["']?\s*$""", text, re.MULTILINE))
    return {key: found.get(key.upper(), "") for key in ("id", "version_id", "id_like")}


def architecture(machine: str = "") -> str:
    """`amd64` or `arm64`, or uname's name of another architecture."""
    machine = machine or os.uname().machine
    return ARCHITECTURES.get(machine, machine)


def cpus() -> int:
    """Processors that may be used."""
    return len(os.sched_getaffinity(0))


def memory_bytes(root: str = "") -> int:
    """0 if it is not known."""
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read(f"{root}/proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def cgroup(root: str = "") -> str:
    """`v2` if the unified hierarchy is mounted, else `v1`; "" if there is none (cgroups(7): only the root of v2 has
    this file)."""
    if os.path.exists(f"{root}/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "v1" if os.path.isdir(f"{root}/sys/fs/cgroup") and os.listdir(f"{root}/sys/fs/cgroup") else ""


def cgroup_controllers(root: str = "") -> list[str]:
    """Controllers of the unified hierarchy, such as `memory`; none on v1."""
    return _read(f"{root}/sys/fs/cgroup/cgroup.controllers").split()


def kernel_modules(names: t.Iterable[str], root: str = "") -> dict[str, bool | None]:
    """Whether the running kernel has each module, loaded, built in or on disk; None where its directory of modules is
    not there, as in a container."""
    kernel = Kernel("", root=Path(root or "/"))
    directory = f"{root}/lib/modules/{os.uname().release}"
    listed = _read(f"{directory}/modules.dep") + _read(f"{directory}/modules.builtin")
    available = set(re.findall(r"^\S*?([^/\s]+)\.ko\b", listed, re.MULTILINE))
    return {name: True if kernel.loaded(name) or name in available else False if listed else None for name in names}


def later_sysctls(names: t.Collection[str], after: str, root: str = "") -> dict[str, dict[str, str]]:
    """What files of sysctl.d(5) whose names sort behind `after` set at the next boot: `value` and `file` by setting.

    Args:
        names: of settings, such as `kernel.panic`; others are left out.
        after: name of a file, such as `90-own.conf`.
    """
    files: dict[str, str] = {}
    for directory in reversed(SYSCTL_DIRECTORIES):  # of two files of one name, the one in the first directory counts
        with contextlib.suppress(OSError):
            files.update({name: f"{directory}/{name}" for name in os.listdir(root + directory)})
    found = {}
    for name in sorted(name for name in files if name.endswith(".conf") and name > after):
        for line in _read(root + files[name]).splitlines():
            key, separator, value = line.strip().removeprefix("-").partition("=")
            setting = key.strip().replace("/", ".")
            if separator and setting in names:
                found[setting] = {"value": " ".join(value.split()), "file": files[name]}
    return found


def firewall(root: str = "") -> str:
    """`firewalld` or `ufw` where it filters this host's packets; "" where neither does."""
    if "ENABLED=yes" in _read(f"{root}/etc/ufw/ufw.conf").split():
        return "ufw"
    for process in os.listdir(f"{root}/proc"):
        if process.isdigit() and "firewalld" in _read(f"{root}/proc/{process}/comm"):
            return "firewalld"
    return ""


def systemd(root: str = "") -> bool:
    """Whether systemd runs the machine (sd_booted(3))."""
    return os.path.isdir(f"{root}/run/systemd/system")


def selinux(root: str = "") -> str:
    """`enforcing`, `permissive` or `disabled`."""
    enforce = _read(f"{root}/sys/fs/selinux/enforce").strip()
    return {"1": "enforcing", "0": "permissive"}.get(enforce, "disabled")


def time_synchronized() -> bool | None:
    """Whether the kernel's clock follows a time server; None if that is not known, as in a container without the
    permission to ask."""
    try:
        answer = ctypes.create_string_buffer(512)  # struct timex of adjtimex(2) has 208 bytes; zeros: change nothing
        if ctypes.CDLL(None, use_errno=True).adjtimex(answer) < 0 or struct.calcsize("l") != 8:
            return None
        maximum_error: int = struct.unpack_from("q", answer, 24)[0]  # behind modes (and its padding), offset, freq
    except (OSError, AttributeError):
        return None
    return maximum_error < UNSYNCHRONIZED_MICROSECONDS


def disk(path: str) -> dict[str, t.Any]:
    """The file system that holds `path` or will hold it: `total_bytes`, `free_bytes` for users other than root, and
    `noexec`, whether no program on it can be started."""
    while path != "/" and not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    try:
        status = os.statvfs(path)
    except OSError:
        return {"total_bytes": 0, "free_bytes": 0, "noexec": False}
    return {
        "total_bytes": status.f_blocks * status.f_frsize,
        "free_bytes": status.f_bavail * status.f_frsize,
        "noexec": bool(status.f_flag & os.ST_NOEXEC),
    }


def interfaces(root: str = "") -> dict[str, str]:
    """The interface of each address of the host, without loopback and link-local addresses; IPv4 first."""
    found = {address: interface for interface, address in _ipv4_addresses() if not address.startswith("127.")}
    for line in _read(f"{root}/proc/net/if_inet6").splitlines():
        digits, _index, _prefix, scope, _flags, interface = line.split()
        if scope == "00":
            found[socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))] = interface
    return found


def own_addresses(found: t.Mapping[str, str]) -> list[str]:
    """Those addresses of `interfaces` that are the machine's own, and not those of virtual interfaces."""
    return [address for address, interface in found.items() if VIRTUAL_INTERFACES.match(interface) is None]


def default_address() -> str:
    """The address that the host uses on its default route; "" without one."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((UNROUTED, 9))
        return str(probe.getsockname()[0])
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.connect(("2001:db8::1", 9))
        return str(probe.getsockname()[0])
    return ""


def ports_in_use(ports: t.Iterable[t.Mapping[str, t.Any]], *, root: str = "") -> list[dict[str, t.Any]]:
    """Those of `ports` ({protocol, port}) that a process listens on: {protocol, port, process, unit}.

    `process` and `unit` (of systemd) are "" if they are not known.
    """
    wanted = {(str(entry["protocol"]), int(entry["port"])) for entry in ports}
    holders: dict[str, tuple[str, int]] = {}
    for protocol, state in LISTENING.items():
        for name in (protocol, f"{protocol}6"):
            for line in _read(f"{root}/proc/net/{name}").splitlines()[1:]:
                fields = line.split()
                port = int(fields[1].rpartition(":")[2], 16)
                if fields[3] == state and (protocol, port) in wanted:
                    holders[fields[9]] = (protocol, port)
    if not holders:
        return []
    found = dict.fromkeys(holders.values(), ("", ""))
    for inode, process in _processes_of_sockets(set(holders), root):
        found[holders[inode]] = process
    return [
        {"protocol": protocol, "port": port, "process": name, "unit": unit}
        for (protocol, port), (name, unit) in sorted(found.items())
    ]


def connections(targets: t.Iterable[str], *, seconds: float = 2.0) -> dict[str, str]:
    """The outcome of a TCP connection to each "host:port": `open`, `refused` (nothing listens, but the host answers),
    `filtered` (no answer or no route) or `unknown` (the name cannot be resolved). All are tried at once, for `seconds`
    at most."""
    outcomes: dict[str, str] = {}
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as opened:
        for target in dict.fromkeys(targets):
            host, _colon, port = target.rpartition(":")
            try:
                family, kind, protocol, _name, address = socket.getaddrinfo(
                    host.strip("[]"), int(port), type=socket.SOCK_STREAM
                )[0]
                attempt = opened.enter_context(socket.socket(family, kind, protocol))
            except (OSError, ValueError):
                outcomes[target] = "unknown"
                continue
            attempt.setblocking(False)
            code = attempt.connect_ex(address)
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                selector.register(attempt, selectors.EVENT_WRITE, target)
            else:
                outcomes[target] = _outcome(code)
        while selector.get_map():
            events = selector.select(max(0.0, end - time.monotonic()))
            for key, _mask in events:
                attempt = t.cast("socket.socket", key.fileobj)
                outcomes[key.data] = _outcome(attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
                selector.unregister(attempt)
            if not events:
                outcomes.update({key.data: "filtered" for key in selector.get_map().values()})
                break
    return outcomes


def _outcome(code: int) -> str:
    return {0: "open", errno.ECONNREFUSED: "refused"}.get(code, "filtered")


def _ipv4_addresses() -> list[tuple[str, str]]:
    """Interface and address of every interface that is up (netdevice(7), SIOCGIFCONF). The standard library has no
    other way to get them."""
    import array
    import fcntl

    room, size = 64 * 1024, 40 if struct.calcsize("P") == 8 else 32
    answers = array.array("B", bytes(room))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            filled = struct.unpack("iP", fcntl.ioctl(probe, 0x8912, struct.pack("iP", room, answers.buffer_info()[0])))[
                0
            ]
    except OSError:
        return []
    data = answers.tobytes()[:filled]
    entries = (data[start : start + size] for start in range(0, filled, size))
    return [
        (entry[:16].split(b"\0", 1)[0].decode("ascii", "replace").partition(":")[0], socket.inet_ntoa(entry[20:24]))
        for entry in entries
    ]


def _processes_of_sockets(inodes: set[str], root: str) -> t.Iterator[tuple[str, tuple[str, str]]]:
    """Socket inode and its process: the name and the systemd unit."""
    for process in os.listdir(f"{root}/proc"):
        if not process.isdigit():
            continue
        directory = f"{root}/proc/{process}"
        with contextlib.suppress(OSError):  # it ended, or belongs to somebody else
            for descriptor in os.listdir(f"{directory}/fd"):
                with contextlib.suppress(OSError):
                    match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"{directory}/fd/{descriptor}"))
                    if match and match[1] in inodes:
                        unit = re.search(r"/([^/\n]+\.service)", _read(f"{directory}/cgroup"))
                        yield match[1], (_read(f"{directory}/comm").strip(), unit[1] if unit else "")


def _read(path: str) -> str:
    """The text of a file; "" if it does not exist."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
