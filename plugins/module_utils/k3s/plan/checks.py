# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the machines before anything is touched. Each gives the problems it finds; plan.py puts them together."""

from __future__ import annotations

import fnmatch
import itertools
import re
import statistics
import typing as t

from ...problems import Problem
from ..config import config_check
from ..version import is_version, parse
from .hosts import Host, Settings

ARCHITECTURES = ("amd64", "arm64")
OLDEST = {"debian": (12,), "ubuntu": (22, 4), "amzn": (2023,), "rhel": (9,)}
"""Oldest version of each system that the collection is for; "rhel" stands for all that are like it."""

RHEL_LIKE = ("rhel", "fedora", "centos")
SUPPORTED = "Debian 12 and newer, Ubuntu 22.04 and newer, Amazon Linux 2023, and RHEL 9 and newer with its likes"

SERVER_PORTS = {6443, 2379, 2380, 2381, 6444, 10010, 10248, 10249, 10250, 10256, 10257, 10258, 10259, 8472}
AGENT_PORTS = {6444, 10010, 10248, 10249, 10250, 10256, 8472}
OWN_UNITS = ("k3s.service", "k3s-agent.service")

SERVER_MEMORY_BYTES = 2 * 1024**3
AGENT_MEMORY_BYTES = 512 * 1024**2
"""docs.k3s.io, installation/requirements."""

MEMORY_LEFT_BYTES = 256 * 1024**2
"""Of nominal memory, what kernel and firmware may keep."""

ECR_HOST = re.compile(r"[0-9]{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")
"""Amazon ECR, private registries (docs.aws.amazon.com/AmazonECR, registry_auth)."""

EVICTION_SHARE = 0.15
"""The kubelet begins to delete images and pods when less of the disk is free (kubernetes.io,
concepts/scheduling-eviction/node-pressure-eviction)."""


def group_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Groups that leave nothing to plan."""
    roles: dict[str, set[str]] = {}
    for host in hosts:
        roles.setdefault(host.name, set()).add(host.role)
    problems = [
        Problem(
            name,
            "it is in the servers' group and in the agents' group",
            "leave it in one of them: a server runs pods as well",
        )
        for name, found in roles.items()
        if len(found) > 1
    ]
    if "server" not in set().union(*roles.values()):
        problems.append(
            Problem(
                "",
                "the inventory has no server",
                "put at least one host into the group k3s_server",
            )
        )
    return problems


def inventory_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Names, addresses and machines that clash."""
    problems = _clashes(hosts, lambda host: [host.node_name], "the node name {}", "give each its own k3s_node_name")
    problems += _clashes(
        hosts,
        lambda host: (
            [machine]
            if host.known and (machine := host.node.get("machine_id")) not in ("", "uninitialized", None)
            else []
        ),
        "the machine id {}",
        "they are the same machine, or clones: on each but one, rm /etc/machine-id && systemd-machine-id-setup, then "
        "reboot",
    )
    problems += _clashes(
        hosts,
        lambda host: [host.address] if host.known and host.address else [],
        "the address {}",
        "give each its own k3s_node_address or ansible_host",
    )
    for host in hosts:
        if host.in_play and not config_check.is_node_name(host.node_name):
            better = re.sub(r"[^a-z0-9.-]+", "-", host.node_name.lower()).strip("-.") or "node-1"
            problems.append(
                Problem(host.name, f"{host.node_name!r} can't be the name of a node", f"set k3s_node_name: {better}")
            )
    return problems


def unreachable_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    return [
        Problem(
            host.name,
            f"it can't be looked at ({host.unreachable or 'no answer'})",
            f"bring it back; or leave it out this time: --limit 'all:!{host.name}'; or, if it is gone for good, take "
            "it out of the inventory "
            "and run with -e prune=true",
        )
        for host in hosts
        if host.in_play and not host.known
    ]


def machine_problems(host: Host) -> list[Problem]:
    """What k3s can't run on."""
    node, problems = host.node, []
    if not _is_supported(node.get("os") or {}) and not host.desired.get("any_os"):
        system = " ".join(filter(None, (node["os"].get("id"), node["os"].get("version_id")))) or "unknown"
        problems.append(
            Problem(host.name, f"its operating system ({system}) is not supported", f"use one of {SUPPORTED}")
        )
    if node.get("architecture") not in ARCHITECTURES:
        problems.append(
            Problem(
                host.name,
                f"its architecture ({node.get('architecture')}) is not supported",
                f"use a machine with {' or '.join(ARCHITECTURES)}",
            )
        )
    if not node.get("systemd"):
        problems.append(
            Problem(host.name, "systemd does not run it", "use a machine, or a container, that systemd has booted")
        )
    if node.get("cgroup") != "v2" and not host.desired.get("cgroup_v1_allowed"):
        problems.append(
            Problem(
                host.name,
                "it has cgroup v1, on which the kubelet of Kubernetes 1.35 and newer does not start",
                "boot it with systemd.unified_cgroup_hierarchy=1 (k3s_cgroup_v1_allowed: true goes on nevertheless)",
            )
        )
    return problems


def space_problems(host: Host, settings: Settings) -> list[Problem]:
    """Too little room for a new node."""
    space = (host.node.get("disk") or {}).get("/var/lib/rancher") or {}
    free = int(space.get("free_bytes", 0))
    if not space or free >= settings.minimum_disk_bytes:
        return []
    return [
        Problem(
            host.name,
            f"/var/lib/rancher has {_gib(free)} GiB free, a new node needs {_gib(settings.minimum_disk_bytes)} GiB",
            "free space, enlarge the disk, or mount another one there (k3s_minimum_disk_gib sets the limit)",
        )
    ]


def port_problems(host: Host, settings: Settings) -> list[Problem]:
    """Ports of k3s that something else listens on."""
    wanted = (SERVER_PORTS - {6443}) | {settings.api_port} if host.role == "server" else AGENT_PORTS
    return [
        Problem(
            host.name,
            f"port {entry['port']}/{entry['protocol']} is taken by {entry['process']}"
            + (f" ({entry['unit']})" if entry.get("unit") else ""),
            f"stop it{': systemctl disable --now ' + entry['unit'] if entry.get('unit') else ''}, or give it another "
            "port",
        )
        for entry in host.node.get("ports_in_use") or []
        # Without a process it is the kernel's: the VXLAN interface that an earlier k3s left.
        if entry["port"] in wanted and entry.get("process") and entry.get("unit") not in OWN_UNITS
    ]


def connection_problems(host: Host, hosts: t.Sequence[Host]) -> list[Problem]:
    """Other hosts that this one gets no answer from. Only addresses that are the other's own are judged: one that leads
    there by way of a translation, as a public one does, may well be closed to the neighbours."""
    owners = {
        address: other
        for other in hosts
        if other.known
        for address in [*(other.node.get("addresses") or []), *other.wanted_addresses]
    }
    problems = []
    for target, outcome in sorted((host.node.get("connections") or {}).items()):
        address, _colon, port = target.rpartition(":")
        other = owners.get(address.strip("[]"))
        if outcome == "filtered" and other is not None and other.name != host.name:
            problems.append(
                Problem(
                    host.name,
                    f"it gets no answer from {other.name} ({address}), TCP port {port}",
                    f"open TCP port {port} on {other.name} for {host.address or host.name} (firewall, security group)",
                )
            )
    return problems


def login_problems(hosts: t.Sequence[Host]) -> list[Problem]:
    """Images of Amazon ECR, of functions or of the platform, that nodes could not pull for want of a login."""
    logins = [(host, host.desired["registries_login"]) for host in hosts if host.desired.get("registries_login")]
    without = [host.name for host, login in logins if not login["ecr"]]
    if without and len(without) < len(logins):
        return [
            Problem(
                ", ".join(without),
                "registries_ecr_login is not true there, and is on other hosts",
                "set it once, in group_vars/all.yml of the inventory",
            )
        ]
    problems: dict[str, Problem] = {}
    for _host, login in logins:
        for place in login["images_from"]:
            registry = str(place).partition("://")[2].partition("/")[0] or str(place).partition("/")[0]
            if not ECR_HOST.fullmatch(registry) or registry in login["configured"]:
                continue
            if not login["ecr"] and not login["ecr_decided"]:
                problems[registry] = Problem(
                    "",
                    f"images come from {registry}, and the nodes have no login for Amazon ECR: functions would end "
                    "in ImagePullBackOff",
                    "set registries_ecr_login: true, and nodes use the role of their machine "
                    "(roles/registries/README.md); or false, where pods bring "
                    "credentials of their own (image_pull_secrets)",
                )
            elif login["ecr"] and not any(_matches(registry, str(pattern)) for pattern in login["ecr_match_images"]):
                problems[registry] = Problem(
                    "",
                    f"images come from {registry}, for which registries_ecr_match_images lets no node log in",
                    f"add {registry} to registries_ecr_match_images",
                )
    return list(problems.values())


def _matches(registry: str, pattern: str) -> bool:
    """As the kubelet compares a registry with matchImages: part by part of the host name (kubernetes,
    pkg/credentialprovider/keyring.go, URLsMatch)."""
    parts, wanted = registry.split("."), pattern.partition("/")[0].split(".")
    return len(parts) == len(wanted) and all(fnmatch.fnmatchcase(part, glob) for part, glob in zip(parts, wanted))


def clock_problems(hosts: t.Sequence[Host], settings: Settings) -> list[Problem]:
    """Clocks too far apart: certificates would not be valid yet, and etcd's members refuse each other."""
    clocks = {host.name: host.info["clock"] for host in hosts if host.known and host.info.get("clock")}
    if len(clocks) < 2:
        return []
    lowest = min(clock["offset"] + clock["error"] for clock in clocks.values())
    highest = max(clock["offset"] - clock["error"] for clock in clocks.values())
    if highest - lowest <= settings.clock_tolerance:
        return []
    middle = statistics.median_low([clock["offset"] for clock in clocks.values()])
    apart = {
        name: clock["offset"] - middle
        for name, clock in clocks.items()
        if abs(clock["offset"] - middle) > settings.clock_tolerance + clock["error"]
    }
    if not apart:
        apart = {name: clock["offset"] - middle for name, clock in clocks.items()}
    return [
        Problem(
            name,
            f"its clock is {abs(difference):.0f} s {'ahead of' if difference > 0 else 'behind'} the other hosts'",
            "set it and keep it right: systemctl enable --now systemd-timesyncd (or chrony), then timedatectl",
        )
        for name, difference in apart.items()
        if abs(difference) > 1
    ]


def role_problems(host: Host) -> list[Problem]:
    """A host that has been the other kind of node."""
    before = host.k3s.get("role") or ("server" if host.k3s.get("has_server_data") else host.role)
    if before == host.role:
        return []
    return [
        Problem(
            host.name,
            f"it is {_article(before)} and shall become {_article(host.role)}",
            f"take it out of the cluster first: ansible-playbook wasmfaas.platform.remove_node -e node={host.name}; "
            "then run ansible-playbook wasmfaas.platform.site again",
        )
    ]


def identity_problems(host: Host) -> list[Problem]:
    """A node that is there already and would change what it is known by."""
    if not host.has_data or host.k3s.get("role") != host.role:
        return []
    problems = []
    before = str(host.k3s.get("node_name") or host.node_name)
    if before != host.node_name:
        problems.append(
            Problem(
                host.name,
                f"its node is called {before} and shall be called {host.node_name}",
                f"set k3s_node_name: {before}; or ansible-playbook wasmfaas.platform.remove_node -e node={host.name} "
                "and let it join anew",
            )
        )
    if host.role == "server" and host.k3s.get("datastore") == "sqlite":
        problems.append(
            Problem(
                host.name,
                "its k3s keeps its data in SQLite, which one server alone can use",
                "convert it to etcd (start it once with cluster-init: true; docs.k3s.io/datastore/ha-embedded, "
                "existing single-node clusters), or ansible-playbook wasmfaas.platform.reset",
            )
        )
    return problems


def configuration_problems(host: Host) -> list[Problem]:
    """What is wrong with the variables of a host."""
    problems = []
    if not is_version(host.version):
        problems.append(
            Problem(
                host.name,
                f"k3s_version: {host.version!r} is no version of k3s",
                "write it as its release is tagged, such as v1.36.4+k3s1",
            )
        )
    config = host.desired.get("config")
    if isinstance(config, dict):
        version = host.version if is_version(host.version) else ""
        problems += config_check.validate(config, host=host.name, role=host.role, version=version, sources=host.sources)
    elif config is not None:
        problems.append(
            Problem(host.name, f"{config_check.VARIABLES[host.role]} is no dictionary", "write it as {key: value}")
        )
    problems += config_check.label_problems(host.desired.get("labels") or {}, host=host.name, role=host.role)
    problems += config_check.taint_problems(host.desired.get("taints") or [], host=host.name)
    return problems


def warnings(host: Host) -> list[str]:
    """What does no harm yet, said of this host."""
    node, said = host.node, []
    if node.get("time_synchronized") is False:
        said.append("the clock does not follow a time server: systemctl enable --now systemd-timesyncd (or chrony).")
    memory, wanted = (
        int(node.get("memory_bytes") or 0),
        SERVER_MEMORY_BYTES if host.role == "server" else AGENT_MEMORY_BYTES,
    )
    if 0 < memory < wanted - MEMORY_LEFT_BYTES:
        said.append(
            f"it has {memory // 1024**2} MiB of memory; k3s asks for {wanted // 1024**2} MiB on {_article(host.role)}."
        )
    for path, space in (node.get("disk") or {}).items():
        if space.get("total_bytes") and space["free_bytes"] < EVICTION_SHARE * space["total_bytes"]:
            said.append(f"{path} has less than {EVICTION_SHARE:.0%} free: the kubelet deletes images and pods there.")
    if node.get("selinux") == "enforcing" and not (host.desired.get("config") or {}).get("selinux"):
        said.append(
            "SELinux is enforcing; install the package k3s-selinux and set selinux: true in k3s_config to confine "
            "containers."
        )
    if str((host.k3s.get("config") or {}).get("data-dir") or "/var/lib/rancher/k3s") != "/var/lib/rancher/k3s":
        said.append("its config.yaml sets data-dir, which this collection does not follow.")
    return said


def version_order(version: str) -> t.Any:
    """For sorting; what is no version comes first."""
    return (1, parse(version)) if is_version(version) else (0,)


def _clashes(
    hosts: t.Sequence[Host], values: t.Callable[[Host], list[str]], what: str, next_step: str
) -> list[Problem]:
    pairs = sorted((value, position) for position, host in enumerate(hosts) for value in values(host))
    problems = []
    for value, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
        names = [hosts[position].name for _value, position in group]
        if len(names) > 1:
            problems.append(Problem("", f"{', '.join(names)} have {what.format(value)} in common", next_step))
    return problems


def _is_supported(system: t.Mapping[str, str]) -> bool:
    name, likes = system.get("id", ""), system.get("id_like", "").split()
    family = name if name in OLDEST else "rhel" if name in RHEL_LIKE or set(RHEL_LIKE) & set(likes) else ""
    if name == "fedora":
        return True
    if not family:
        return False
    numbers = tuple(int(number) for number in re.findall(r"\d+", system.get("version_id", "")))
    # Debian's next release has no number yet.
    return numbers >= OLDEST[family] if numbers else family == "debian"


def _article(role: str) -> str:
    return f"an {role}" if role == "agent" else f"a {role}"


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f}".removesuffix(".0")
