# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real KEDA with its admission webhooks and its HTTP add-on, for a control plane whose pods have addresses
(pod_network.py)."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
import typing as t
from pathlib import Path

import yaml
from lightkube import ApiError
from lightkube.resources.discovery_v1 import EndpointSlice

from .certificates import CertificateAuthority
from .control_plane import ControlPlane, ScaledObject
from .pod_network import PodNetwork
from .real_parts import RealPart, webhook_configurations
from .servers import Server, answers, free_port, wait_until, write_private

_KEDA = "github.com/kedacore/keda/v2"
_ADD_ON = "github.com/kedacore/http-add-on"
KEDA = RealPart(
    "keda",
    _KEDA,
    {f"{_KEDA}/cmd/operator": "operator", f"{_KEDA}/cmd/webhooks": "webhooks"},
    {"config/rbac/role.yaml": "role.yaml", "config/webhooks/validation_webhooks.yaml": "webhooks.yaml"},
    minutes=10,
)
KEDA_HTTP_ADD_ON = RealPart(
    "keda_http_add_on",
    _ADD_ON,
    {f"{_ADD_ON}/{name}": name for name in ("operator", "interceptor", "scaler")},
    {f"config/{name}/role.yaml": f"{name}-role.yaml" for name in ("operator", "interceptor", "scaler")},
    minutes=5,
)

SCALER_PORT = 9090
"""The port of the add-on's scaler in the ScaledObjects of functions."""

_IN_OWN_NAMES = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'


def why_not() -> str:
    """Why KEDA cannot run here; empty if it can. `pod_network.why_not` checks what it needs root for."""
    return KEDA.why_not() or KEDA_HTTP_ADD_ON.why_not()


class Keda:
    """KEDA's operator and webhooks, and the add-on's operator, interceptor and scaler, each with the permissions of its
    manifests. Start-up: about 6 s."""

    def __init__(
        self, control_plane: ControlPlane, directory: Path, authority: CertificateAuthority, network: PodNetwork
    ) -> None:
        """Start all programs. Services point to the interceptor at this machine's address in `network`. The namespace
        keda must exist."""
        self.control_plane = control_plane
        self._directory = directory / "keda"
        self._directory.mkdir(parents=True)
        keda, add_on = KEDA.build(), KEDA_HTTP_ADD_ON.build()
        self._stack = contextlib.ExitStack()
        with self._stack:
            ports = {name: free_port() for name in ("proxy", "admin", "scaler", "webhooks")}
            names = ServiceNames(
                control_plane, network.gateway, {"keda-add-ons-http-external-scaler.keda": network.gateway}
            )
            self._stack.callback(names.stop)
            self._stack.callback(PortForward((network.gateway, SCALER_PORT), ports["scaler"]).stop)
            self._resolver = write_private(
                self._directory / "resolv.conf", f"nameserver {network.gateway}\noptions ndots:1 timeout:1\n"
            )
            lead_to(control_plane, "keda-add-ons-http-interceptor-proxy", network.gateway, ports["proxy"])
            lead_to(control_plane, "keda-add-ons-http-interceptor-admin", network.gateway, ports["admin"])
            keys = self._keys(authority)
            self._start_manager(
                "keda",
                keda / "operator",
                keda / "role.yaml",
                f"--cert-dir={keys}",
                f"--metrics-service-bind-address=127.0.0.1:{free_port()}",
            )
            self._start_manager(
                "keda-webhooks",
                keda / "webhooks",
                keda / "role.yaml",
                f"--cert-dir={keys}",
                f"--port={ports['webhooks']}",
            )
            self._start_manager(
                "keda-add-on",
                add_on / "operator",
                add_on / "operator-role.yaml",
                KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_SERVICE="keda-add-ons-http-external-scaler",
                KEDA_HTTP_OPERATOR_EXTERNAL_SCALER_PORT=str(SCALER_PORT),
                KEDA_HTTP_OPERATOR_NAMESPACE="keda",
            )
            interceptor = self._start(
                "keda-interceptor",
                add_on / "interceptor",
                add_on / "interceptor-role.yaml",
                KEDA_HTTP_PROXY_PORT=str(ports["proxy"]),
                KEDA_HTTP_ADMIN_PORT=str(ports["admin"]),
                KEDA_HTTP_SHUTDOWN_DELAY="0s",
                KEDA_HTTP_DRAIN_TIMEOUT="1s",
                OTEL_PROM_EXPORTER_ENABLED="false",
            )
            interceptor.wait_ready(lambda: answers(f"http://127.0.0.1:{ports['admin']}/readyz"), seconds=300)
            scaler = self._start(
                "keda-scaler",
                add_on / "scaler",
                add_on / "scaler-role.yaml",
                KEDA_HTTP_SCALER_TARGET_ADMIN_NAMESPACE="keda",
                KEDA_HTTP_SCALER_TARGET_ADMIN_SERVICE="keda-add-ons-http-interceptor-admin",
                KEDA_HTTP_SCALER_TARGET_ADMIN_DEPLOYMENT="keda-add-ons-http-interceptor",
                KEDA_HTTP_SCALER_TARGET_ADMIN_PORT=str(ports["admin"]),
                KEDA_HTTP_SCALER_PORT=str(ports["scaler"]),
                KEDA_HTTP_QUEUE_TICK_DURATION="100ms",  # as role keda
                OTEL_PROM_EXPORTER_ENABLED="false",
            )
            scaler.wait_ready(lambda: _listens(ports["scaler"]), seconds=300)
            url = f"https://127.0.0.1:{ports['webhooks']}"
            control_plane.apply(
                *webhook_configurations(
                    keda / "webhooks.yaml", url=url, authority=authority.certificate_file, prefix="keda"
                )
            )
            wait_until(self._is_asked, seconds=300, what="the API server asks KEDA's webhooks")
            self._stack = self._stack.pop_all()

    def _keys(self, authority: CertificateAuthority) -> Path:
        keys = self._directory / "keys"
        keys.mkdir()
        certificate, key = authority.issue("keda")
        for name, file in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", authority.certificate_file)):
            (keys / name).symlink_to(file.resolve())
        return keys

    def _start_manager(self, name: str, program: Path, role: Path, *arguments: str, **environment: str) -> None:
        health = f"127.0.0.1:{free_port()}"
        server = self._start(
            name,
            program,
            role,
            "--metrics-bind-address=0",
            f"--health-probe-bind-address={health}",
            *arguments,
            **environment,
        )
        server.wait_ready(lambda: answers(f"http://{health}/readyz"), seconds=300)

    def _start(self, name: str, program: Path, role: Path, *arguments: str, **environment: str) -> Server:
        """Start a process that resolves names of Services, as in a pod, and ends with this process."""
        kubeconfig = self.control_plane.kubeconfig_with_role(name, rules_of(role))
        server = Server(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--mount",
                "sh",
                "-c",
                _IN_OWN_NAMES,
                str(self._resolver),
                str(program),
                *arguments,
            ],
            log=self._directory / f"{name}.log",
            environment={
                "KUBECONFIG": str(kubeconfig),
                "POD_NAMESPACE": "keda",
                "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
                "WATCH_NAMESPACE": "",
                **environment,
            },
        )
        self._stack.callback(server.stop)
        return server

    def _is_asked(self) -> bool:
        """Whether the API server calls the webhooks. Until it does, a moment after they were registered, it accepts two
        triggers of the same name."""
        spec = {"scaleTargetRef": {"name": "none"}, "triggers": [{"type": "cron", "name": "twice", "metadata": {}}] * 2}
        refused = ScaledObject(
            {
                "apiVersion": "keda.sh/v1alpha1",
                "kind": "ScaledObject",
                "metadata": {"name": "none", "namespace": "keda"},
                "spec": spec,
            }
        )
        try:
            self.control_plane.client().apply(refused, dry_run=True)
        except ApiError as error:
            return "vscaledobject.kb.io" in str(error)
        return False

    def stop(self) -> None:
        self._stack.close()


def rules_of(file: Path) -> list[dict[str, t.Any]]:
    """The rules of all roles in a manifest."""
    return [rule for role in filter(None, yaml.safe_load_all(file.read_text())) for rule in role["rules"]]


def reference_grant() -> dict[str, t.Any]:
    """The role keda's object that lets routes of the namespace `default` lead to the interceptor."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "functions-default", "namespace": "keda"},
        "spec": {
            "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "default"}],
            "to": [{"group": "", "kind": "Service", "name": "keda-add-ons-http-interceptor-proxy"}],
        },
    }


def lead_to(plane: ControlPlane, service: str, address: str, port: int) -> None:
    """Make a Service of the namespace keda point to a process of this machine."""
    named = {"name": service, "namespace": "keda"}
    plane.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": named, "spec": {"ports": [{"name": "main", "port": 8080}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                **named,
                "labels": {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": "tests"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": "main", "port": port, "protocol": "TCP"}],
        },
    )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ServiceNames:
    """A name server. SERVICE.NAMESPACE has the addresses of the Service's ready pods, as with a headless Service,
    because no kube-proxy runs here."""

    def __init__(self, control_plane: ControlPlane, address: str, fixed: dict[str, str]) -> None:
        """Answer on port 53 of `address`. `fixed` are addresses of additional names."""
        client = control_plane.client()

        def addresses(name: str) -> list[str]:
            if name in fixed:
                return [fixed[name]]
            service, _dot, namespace = name.partition(".")
            if not service or not namespace or "." in namespace:
                return []
            found = client.list(EndpointSlice, namespace=namespace, labels={"kubernetes.io/service-name": service})
            return [
                one
                for part in found
                for endpoint in part.endpoints or []
                if endpoint.conditions and endpoint.conditions.ready
                for one in endpoint.addresses
            ]

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                query, reply_to = self.request
                with contextlib.suppress(ApiError):
                    reply_to.sendto(_dns_answer(query, addresses), self.client_address)

        self._server = socketserver.ThreadingUDPServer((address, 53), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _dns_answer(query: bytes, addresses: t.Callable[[str], list[str]]) -> bytes:
    """The answer to a DNS query for one name (RFC 1035, section 4): its IPv4 addresses, with a time to live of 0, and
    no records of other kinds."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii").lower())
        at += 1 + query[at]
    question = query[12 : at + 5]
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    found = addresses(".".join(labels))
    records = (
        [struct.pack("!HHHIH", 0xC00C, 1, 1, 0, 4) + socket.inet_aton(address) for address in found]
        if kind == 1
        else []
    )
    flags = 0x8580 if found else 0x8583  # an answer with authority; without addresses: no such name
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


class PortForward:
    """Forwards connections from an address to a port of the loopback address."""

    def __init__(self, address: tuple[str, int], port: int) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as inside:
                    back = threading.Thread(target=_pump, args=(inside, self.request), daemon=True)
                    back.start()
                    _pump(self.request, inside)
                    back.join()

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Listener(address, Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
