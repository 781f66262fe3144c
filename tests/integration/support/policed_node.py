# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose pods are network namespaces, with the controller by which k3s enforces network policies: kube-router's,
which writes iptables rules for the addresses of the pods in the API. All is in network namespaces of its own, and
nothing of it in those of this machine but the end of a link. Needs root."""

from __future__ import annotations

import collections.abc
import contextlib
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import typing as t
import urllib.parse
from pathlib import Path

import yaml
from ansible_collections.wasmfaas.platform.tests.hosts.network import unused_subnet
from lightkube.resources.core_v1 import Node, Pod
from lightkube.types import PatchType

from .control_plane import ControlPlane
from .pod_network import lives, started
from .real_parts import RealPart
from .relay import relayed
from .servers import Server, free_port, write_private

_MODULE = "github.com/cloudnativelabs/kube-router/v2"
KUBE_ROUTER = RealPart("kube_router", _MODULE, {f"{_MODULE}/cmd/kube-router": "kube-router"}, {}, minutes=3)
NODE = "policed-node"
POD_NETWORK = ipaddress.IPv4Network("10.42.0.0/24")
"""A part of k3s' default for pods."""
SERVICE_NETWORK = "10.43.0.0/16"

_PREFIX = "wasmfaas-packets-"
_AGENT = Path(__file__).with_name("packet_agent.py")

Call = tuple[str, str, int]
"""From whom to whom, by the names of `PolicedNode`, and to which port."""


def why_not() -> str:
    """Why this machine cannot filter packets; empty if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "ipset", "iptables") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages iproute2, ipset, iptables)"
    if not Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists():
        return "the kernel's module br_netfilter is not loaded"
    return KUBE_ROUTER.why_not()


class PolicedNode:
    """Use as a context. `add_pod` and `add_addresses` make those who call and are called; `reached` has them call,
    and from `enforce` on policies decide."""

    def __init__(self, control_plane: ControlPlane, directory: Path) -> None:
        """Args:
        directory: for logs and the controller's kubeconfig; it may exist.
        """
        self._control_plane = control_plane
        self._directory = directory
        self._client: t.Any = control_plane.client()
        self._agents: dict[str, subprocess.Popen[str]] = {}
        self._addresses: dict[str, str] = {}
        self._namespaces: list[str] = []
        self._free = POD_NETWORK.hosts()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> PolicedNode:
        directory = self._directory
        directory.mkdir(parents=True, exist_ok=True)
        _remove_leftovers()
        with self._stack:
            self._network_namespace("node")
            self._stack.callback(self._delete_objects)
            machine, node = self._link_to_machine()
            gateway = str(next(self._free))
            for line in (
                f"link add pods type bridge forward_delay 0 stp_state 0 address 02:{os.urandom(5).hex(':')}",
                f"address add {gateway}/{POD_NETWORK.prefixlen} dev pods",
                "link set pods up",
            ):
                self._ip("node", line)
            self._inside("node", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
            self._addresses["node"] = node
            self._start_agent("node", [10250])
            address = {"type": "InternalIP", "address": node}
            self._control_plane.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
            self._set_status(Node, NODE, {"addresses": [address]})
            self._machine = machine
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def add_pod(self, name: str, namespace: str, labels: dict[str, str], ports: collections.abc.Sequence[int]) -> None:
        """A pod that accepts connections at these ports. Its namespace must exist."""
        address = str(next(self._free))
        self._attach(name, f"{address}/{POD_NETWORK.prefixlen}", self._gateway, bridge="pods")
        self._addresses[name] = address
        self._start_agent(name, ports)
        container = {"name": "played", "image": "played.example/pod@sha256:" + 64 * "0"}
        self._control_plane.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"nodeName": NODE, "containers": [container], "terminationGracePeriodSeconds": 0},
            }
        )
        self._stack.callback(self._delete_pod, namespace, name)
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": self._addresses["node"],
            "hostIPs": [{"ip": self._addresses["node"]}],
        }
        self._set_status(Pod, name, status, namespace)

    def add_addresses(self, addresses: dict[str, str], ports: collections.abc.Sequence[int]) -> None:
        """Addresses outside of the cluster, by name, which the node reaches over one link."""
        first = next(iter(addresses))
        self._attach(first, "192.0.2.2/30", "192.0.2.1", bridge="")
        for address in addresses.values():
            self._ip(first, f"address add {address}/32 dev eth0")
            self._ip("node", f"route add {address}/32 via 192.0.2.2")
        self._addresses.update(addresses)
        self._start_agent(first, ports)

    def reached(self, calls: collections.abc.Sequence[Call]) -> dict[Call, bool]:
        """Which of the calls reach whom they call."""
        answers: dict[Call, bool] = {}
        for source in dict.fromkeys(call[0] for call in calls):
            own = [call for call in calls if call[0] == source]
            agent = self._agents[source]
            assert agent.stdin and agent.stdout
            agent.stdin.write(json.dumps([[self._addresses[target], port] for _source, target, port in own]) + "\n")
            agent.stdin.flush()
            answers.update(zip(own, json.loads(agent.stdout.readline()), strict=True))
        return answers

    @property
    def _gateway(self) -> str:
        return str(POD_NETWORK[1])

    def enforce(self) -> None:
        """Start the controller. Before, nothing filters packets."""
        api, port = urllib.parse.urlsplit(self._control_plane.url), free_port(self._machine)
        assert api.hostname and api.port
        self._stack.enter_context(relayed(port, [(api.hostname, api.port)], self._machine))
        content = yaml.safe_load(self._control_plane.kubeconfig.read_text(encoding="utf-8"))
        for entry in content["clusters"]:
            entry["cluster"].update({"server": f"https://{self._machine}:{port}", "tls-server-name": api.hostname})
        kubeconfig = self._directory / "kube_router.kubeconfig"
        write_private(kubeconfig, yaml.safe_dump(content))
        # The settings of k3s v1.36.4+k3s1: pkg/agent/netpol/netpol.go.
        arguments = {
            "run-firewall": "true",
            "run-router": "false",
            "run-service-proxy": "false",
            "kubeconfig": str(kubeconfig),
            "hostname-override": NODE,
            "service-cluster-ip-range": SERVICE_NETWORK,
            "health-port": "0",
            "metrics-port": "0",
        }
        program = KUBE_ROUTER.build() / "kube-router"
        server = Server(
            ["ip", "netns", "exec", self._space("node"), str(program)]
            + [f"--{name}={value}" for name, value in arguments.items()],
            log=self._directory / "kube_router.log",
        )
        self._stack.callback(server.stop)
        server.wait_ready(lambda: "KUBE-ROUTER-FORWARD" in self._rules(), seconds=120)

    def _rules(self) -> str:
        return self._inside("node", "iptables", "-S")

    def _link_to_machine(self) -> tuple[str, str]:
        """Make it; gives the machine's address and the node's."""
        network = ipaddress.IPv4Network(unused_subnet(os.getpid() % 0x3000))
        link = f"wfk{os.getpid() % 0xFFFFF:05x}"
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "machine", "netns", self._space("node"))
        _run("ip", "address", "add", f"{network[1]}/24", "dev", link)
        _run("ip", "link", "set", link, "up")
        self._ip("node", f"address add {network[2]}/24 dev machine")
        self._ip("node", "link set machine up")
        return str(network[1]), str(network[2])

    def _attach(self, name: str, address: str, gateway: str, *, bridge: str) -> None:
        """Make a network namespace with a link to the node: a port of its bridge, or with the gateway's address."""
        self._network_namespace(name)
        port = f"port{len(self._namespaces)}"
        _run(
            *("ip", "-n", self._space(name), "link", "add", "eth0", "type", "veth"),
            *("peer", "name", port, "netns", self._space("node")),
        )
        self._ip(name, f"address add {address} dev eth0")
        self._ip(name, "link set eth0 up")
        self._ip(name, f"route add default via {gateway} onlink dev eth0")
        if bridge:
            self._ip("node", f"link set {port} master {bridge}")
        else:
            self._ip("node", f"address add {gateway}/30 dev {port}")
        self._ip("node", f"link set {port} up")

    def _network_namespace(self, name: str) -> None:
        space = self._space(name)
        _run("ip", "netns", "add", space)
        self._stack.callback(_run, "ip", "netns", "delete", space)
        self._namespaces.append(space)
        self._ip(name, "link set lo up")

    def _start_agent(self, name: str, ports: collections.abc.Sequence[int]) -> None:
        command = ["ip", "netns", "exec", self._space(name), sys.executable, "-I", "-S", str(_AGENT)]
        agent = subprocess.Popen(
            [*command, *map(str, ports)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._agents[name] = agent
        self._stack.callback(_end, agent)
        assert agent.stdout
        assert agent.stdout.readline() == "ready\n", f"the agent of {name} does not start"

    def _set_status(self, kind: t.Any, name: str, status: dict[str, t.Any], namespace: str | None = None) -> None:
        place = {"namespace": namespace} if namespace else {}
        self._client.patch(kind.Status, name, {"status": status}, patch_type=PatchType.MERGE, **place)

    def _delete_pod(self, namespace: str, name: str) -> None:
        self._client.delete(Pod, name, namespace=namespace, grace_period=0)

    def _delete_objects(self) -> None:
        self._client.delete(Node, NODE)

    def _space(self, name: str) -> str:
        return f"{_PREFIX}{os.getpid()}-{started(os.getpid())}-{name}"

    def _inside(self, name: str, *command: str) -> str:
        return _run("ip", "netns", "exec", self._space(name), *command)

    def _ip(self, name: str, line: str) -> None:
        _run("ip", "-n", self._space(name), *line.split())


def _end(agent: subprocess.Popen[str]) -> None:
    assert agent.stdin
    agent.stdin.close()
    agent.wait(30)


def _remove_leftovers() -> None:
    """Remove the network namespaces of test sessions that were killed; their processes ended with them."""
    for entry in json.loads(_run("ip", "-j", "netns", "list") or "[]"):
        name = str(entry["name"])
        if name.startswith(_PREFIX):
            process_id, begun, _rest = name.removeprefix(_PREFIX).split("-", 2)
            if not lives(f"{process_id} {begun}"):
                _run("ip", "netns", "delete", name)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
