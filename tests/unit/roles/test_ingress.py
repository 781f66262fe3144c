# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role ingress: the Gateway that functions' URLs are made from, its address and certificate, and what it refuses."""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import (
    DEFAULT_GATEWAY,
    ClusterSettings,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.url import function_address

from tests.integration.support.certificates import CertificateAuthority

from .role_rendering import RenderedRole

PLAN = {
    "cluster": {"api_host": "server-1"},
    "hosts": {
        "server-1": {"address": "192.0.2.1", "role": "server"},
        "infra-1": {"address": "192.0.2.5", "role": "agent"},
    },
}


def ingress(**variables: t.Any) -> RenderedRole:
    known = {
        "k3s_plan": PLAN,
        "groups": {"all": ["server-1"], "k3s_server": ["server-1"]},
        "hostvars": {"server-1": {"ansible_host": "one.example.com"}},
    }
    return RenderedRole("ingress", **{**known, **variables})


class _Gateway:
    """The API with the role's Gateway, and the status that Traefik gives it (traefik v3.7, gateway/kubernetes.go,
    gatewayAddresses)."""

    def __init__(self, role: RenderedRole) -> None:
        self._gateway = next(
            item for (kind, _name), item in role.objects("objects_after.yml.j2").items() if kind == "Gateway"
        )
        status = role.template("values_traefik.yml.j2")["providers"]["kubernetesGateway"]["statusAddress"]
        kinds = {"ip": "IPAddress", "hostname": "Hostname"}
        self._gateway["status"] = {
            "addresses": [{"type": kinds[key], "value": value} for key, value in status.items() if key in kinds]
        }

    def get(self, _kind: t.Any, namespace: str, name: str) -> dict[str, t.Any] | None:
        metadata = self._gateway["metadata"]
        return self._gateway if (metadata["namespace"], metadata["name"]) == (namespace, name) else None


def url(role: RenderedRole, **settings: t.Any) -> str:
    return function_address(t.cast(t.Any, _Gateway(role)), "shop", "cart", ClusterSettings(**settings)).url


# addresses and URLs


def test_functions_find_the_gateway_and_get_a_nip_io_url() -> None:
    assert url(ingress()) == "http://cart.shop.192.0.2.1.nip.io"
    assert (ingress().value("__ingress_namespace"), ingress().value("__ingress_gateway")) == DEFAULT_GATEWAY


def test_always_on_nodes_have_the_ingress_and_give_its_address() -> None:
    role = ingress(groups={"all": ["server-1", "infra-1"], "observability": ["infra-1"]})
    assert role.template("values_traefik.yml.j2")["nodeSelector"] == {"wasmfaas.dev/group": "observability"}
    assert url(role) == "http://cart.shop.192.0.2.5.nip.io"


@pytest.mark.parametrize(
    ("known", "address"),
    [
        ({"public_ip": "198.51.100.7", "ansible_host": "198.51.100.8"}, "198.51.100.7"),
        ({"public_ip": "", "ansible_host": "198.51.100.8"}, "198.51.100.8"),
        ({"ansible_host": "i-0123456789abcdef0"}, "192.0.2.1"),  # reached through Systems Manager
        ({"ansible_host": "127.0.0.1"}, "192.0.2.1"),
    ],
)
def test_address_of_a_host_is_one_that_others_reach(known: dict[str, str], address: str) -> None:
    assert url(ingress(hostvars={"server-1": known})) == f"http://cart.shop.{address}.nip.io"


def test_without_a_plan_the_host_itself_was_looked_at() -> None:
    role = ingress(
        hostvars={
            "server-1": {"ansible_host": "one.example.com", "k3s_node": {"node": {"default_address": "192.0.2.77"}}}
        },
        k3s_plan={},
    )
    assert url(role) == "http://cart.shop.192.0.2.77.nip.io"
    assert "no address is known" in ingress(groups={}).problems()[0]


def test_load_balancer_goes_before_hosts() -> None:
    assert (
        url(ingress(aws_cluster={"ingress": {"addresses": ["203.0.113.9", "203.0.113.10"]}}))
        == "http://cart.shop.203.0.113.9.nip.io"
    )


def test_host_name_as_address_serves_with_a_domain() -> None:
    role = ingress(ingress_addresses=["lb.example.com"])
    status = role.template("values_traefik.yml.j2")["providers"]["kubernetesGateway"]["statusAddress"]
    assert status == {"hostname": "lb.example.com", "service": {"enabled": False}}
    assert url(role, domain="functions.example.com") == "http://cart.shop.functions.example.com"


def test_another_port_is_in_the_url_and_on_the_node() -> None:
    role = ingress(ingress_http_port=8000)
    assert url(role) == "http://cart.shop.192.0.2.1.nip.io:8000"
    assert role.template("values_traefik.yml.j2")["ports"]["web"]["hostPort"] == 8000


@pytest.mark.parametrize("variables", [{}, {"ingress_http_port": 8000, "ingress_https_port": 8443}])
def test_each_listener_has_the_port_that_traefik_listens_on(variables: dict[str, int]) -> None:
    """Traefik's provider looks for an entry point of the listener's very port (traefik v3.7, gateway/kubernetes.go,
    entryPointName)."""
    role = ingress(**variables, ingress_tls="issuer", ingress_domain="example.com")
    ports = role.template("values_traefik.yml.j2")["ports"]
    (gateway,) = [item for (kind, _name), item in role.objects("objects_after.yml.j2").items() if kind == "Gateway"]
    assert [listener["port"] for listener in gateway["spec"]["listeners"]] == [
        ports["web"]["port"],
        ports["websecure"]["port"],
    ]


def test_ports_of_the_node_are_replaced_one_pod_at_a_time() -> None:
    values = ingress().template("values_traefik.yml.j2")
    assert values["deployment"]["kind"] == "DaemonSet"
    assert values["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert values["deployment"]["terminationGracePeriodSeconds"] > 30 + 10, "it must outlast its draining"
    namespace = ingress().objects()["Namespace", "wasmfaas-system"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged", (
        "other levels forbid ports of the node"
    )


def test_client_addresses_are_believed_from_named_networks_only() -> None:
    ports = ingress().template("values_traefik.yml.j2")["ports"]
    assert ports["web"]["proxyProtocol"]["trustedIPs"] == ports["web"]["forwardedHeaders"]["trustedIPs"] == []
    ports = ingress(ingress_proxy_protocol_networks=["10.0.0.0/16"]).template("values_traefik.yml.j2")["ports"]
    assert ports["websecure"]["proxyProtocol"]["trustedIPs"] == ["10.0.0.0/16"]
    assert ports["websecure"]["forwardedHeaders"]["trustedIPs"] == []


def test_access_log_is_json_without_credentials_and_with_trace_ids_where_there_is_a_collector() -> None:
    values = ingress().template("values_traefik.yml.j2")
    assert values["accessLog"]["enabled"] is True and values["accessLog"]["format"] == "json"
    assert values["accessLog"]["fields"]["headers"]["defaultMode"] == "drop"
    assert "Authorization" not in values["accessLog"]["fields"]["headers"]["names"]
    assert (
        values["tracing"]["otlp"]["http"]["endpoint"] == "http://opentelemetry-collector.observability:4318/v1/traces"
    )
    assert "tracing" not in ingress(platform_components=["ingress"]).template("values_traefik.yml.j2")


def test_a_load_balancer_checks_a_port_that_closes_before_those_for_requests() -> None:
    """Traefik closes an entry point without requestAcceptGraceTimeout at once (pkg/server/server_entrypoint_tcp.go)."""
    values = ingress(ingress_health_port=8080, ingress_drain_delay_seconds=25).template("values_traefik.yml.j2")
    assert values["ports"]["traefik"] == {"hostPort": 8080}
    assert values["deployment"]["minReadySeconds"] == 60
    assert values["deployment"]["terminationGracePeriodSeconds"] == 30 + 25 + 10
    for name in ("web", "websecure"):
        assert values["ports"][name]["transport"]["lifeCycle"]["requestAcceptGraceTimeout"] == "25s"
    default = ingress().template("values_traefik.yml.j2")
    assert "traefik" not in default["ports"] and "minReadySeconds" not in default["deployment"]


def test_the_inventory_for_aws_agrees_with_terraform_on_health_checks() -> None:
    project = Path(__file__).resolve().parents[3]
    inventory = yaml.safe_load((project / "inventories/aws/group_vars/all.yml").read_text(encoding="utf-8"))
    balancer = (project / "terraform/modules/load_balancer/main.tf").read_text(encoding="utf-8")
    interval, failures = (
        int(re.search(rf"{name} *= (\d+)", balancer)[1])  # type: ignore[index]
        for name in ("interval", "unhealthy_threshold")
    )
    assert inventory["ingress_drain_delay_seconds"] > interval * failures
    assert "aws_cluster.ingress.health_port" in inventory["ingress_health_port"]


def test_connections_to_pods_have_a_time_limit() -> None:
    """The chart 41.3.0 hands static configuration of Traefik (pkg/config/static/static_config.go) on as arguments."""
    assert ingress().template("values_traefik.yml.j2")["additionalArguments"] == [
        "--serversTransport.forwardingTimeouts.dialTimeout=2s"
    ]


def test_image_has_the_name_that_mirrors_of_nodes_know() -> None:
    assert ingress().template("values_traefik.yml.j2")["image"] == {
        "registry": "docker.io",
        "repository": "library/traefik",
    }


# HTTPS


def test_issuer_makes_a_certificate_for_each_namespace() -> None:
    role = ingress(ingress_tls="issuer", ingress_domain="functions.example.com", tenants=[{"name": "user1"}])
    objects = role.objects("objects_after.yml.j2")
    certificate = objects["Certificate", "wasmfaas-tls"]
    assert certificate["spec"]["dnsNames"] == ["*.default.functions.example.com", "*.user1.functions.example.com"]
    listener = objects["Gateway", "wasmfaas"]["spec"]["listeners"][1]
    assert listener["hostname"] == "*.functions.example.com"
    assert listener["tls"]["certificateRefs"] == [{"name": certificate["spec"]["secretName"]}]
    assert url(role) == "http://cart.shop.192.0.2.1.nip.io"
    assert url(role, domain="functions.example.com", tls=True) == "https://cart.shop.functions.example.com"
    assert role.problems() == []


def test_certificate_has_no_names_of_tenants_that_are_to_go() -> None:
    listed = [{"name": "user1"}, {"name": "user2", "state": "absent"}, {"name": "user3", "state": "present"}]
    assert ingress(tenants=listed).value("ingress_domain_namespaces") == ["default", "user1", "user3"]
    for wrong in (None, ["user1"], "user1", [{"state": "absent"}]):
        assert ingress(tenants=wrong).value("ingress_domain_namespaces") == ["default"], (
            "role tenant says what is wrong with it"
        )


def test_files_become_the_secret_of_the_listener(tmp_path: Path) -> None:
    (tmp_path / "own.pem").write_text("certificate\n")
    (tmp_path / "own.key").write_text("key\n")
    role = ingress(
        ingress_tls="files",
        ingress_domain="example.com",
        ingress_certificate_file=str(tmp_path / "own.pem"),
        ingress_certificate_key_file=str(tmp_path / "own.key"),
    )
    secret = role.objects()["Secret", "wasmfaas-tls"]
    assert secret["type"] == "kubernetes.io/tls"
    assert secret["data"] == {"tls.crt": "Y2VydGlmaWNhdGUK", "tls.key": "a2V5Cg=="}
    assert list(role.objects("objects_after.yml.j2")) == [("Gateway", "wasmfaas")]
    # Removal must not need the files any more.
    assert ("Secret", "wasmfaas-tls") not in role.objects(ingress_tls="none")


# refusals


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ingress_addresses": []}, "no address is known"),
        ({"ingress_addresses": ["127.0.0.1"]}, "from this machine only"),
        ({"ingress_http_port": 0}, "ingress_http_port: 0"),
        ({"ingress_http_port": 8080}, "Traefik's own"),
        ({"ingress_http_port": 443}, "are the same"),
        ({"ingress_trusted_networks": ["10.0.0.1"]}, "10.0.0.1 is no network"),
        ({"ingress_traces_share": 2}, "is no share"),
        ({"ingress_tls": "yes"}, "ingress_tls: 'yes' is not known"),
        ({"ingress_addresses": "198.51.100.7"}, "ingress_addresses: '198.51.100.7' is text, and a list is needed"),
        ({"ingress_domain_namespaces": "default"}, "ingress_domain_namespaces: 'default' is text"),
        (
            {"ingress_tls": "issuer", "ingress_domain": "example.com", "platform_components_removed": ["cert_manager"]},
            "needs cert-manager",
        ),
        ({"ingress_tls": "issuer"}, "is no domain"),
        ({"ingress_tls": "issuer", "ingress_domain": "*.example.com"}, "without a star"),
        (
            {"ingress_tls": "issuer", "ingress_domain": "example.com", "ingress_domain_namespaces": []},
            "HTTPS for no namespace",
        ),
        (
            {"ingress_tls": "issuer", "ingress_domain": "example.com", "platform_components": ["ingress"]},
            "needs cert-manager",
        ),
        (
            {
                "ingress_tls": "issuer",
                "ingress_domain": "example.com",
                "ingress_domain_namespaces": [f"n{i}" for i in range(101)],
            },
            "at most 100",
        ),
        ({"ingress_tls": "files", "ingress_domain": "example.com"}, "ingress_certificate_file: there is no file"),
        (
            {"ingress_tls": "files", "ingress_domain": "example.com", "ingress_certificate_file": "/none/own.pem"},
            "'/none/own.pem'",
        ),
    ],
)
def test_bad_input_is_named_with_the_next_step(variables: dict[str, t.Any], named: str) -> None:
    problems = " ".join(ingress(**variables).problems())
    assert named in problems and "Next: " in problems


def test_defaults_pass_the_check() -> None:
    assert ingress().problems() == []


def test_ingress_of_k3s_itself_is_refused_with_what_to_set() -> None:
    def refused(*lines: str, **more: t.Any) -> str:
        others = {"rc": 0, "stderr": "", "stdout_lines": list(lines), **more}
        return ingress().refusal(
            "check_cluster | Refuse beside k3s' own ingress", "check_cluster.yml", __ingress_others=others
        )

    message = refused("deployment.apps/coredns", "deployment.apps/traefik")
    assert (
        "deployment.apps/traefik take the ports" in message
        and "k3s_server_config: {disable: [traefik, servicelb]}" in message
    )
    assert "svclb" in refused("daemonset.apps/svclb-shop-1234")
    assert refused("deployment.apps/traefik-x", "deployment.apps/coredns") == ""
    message = refused(rc=1, stderr="connection refused")
    assert "does not say what has the ports 80 and 443: connection refused Next: Check that its API answers" in message


def test_certificate_of_a_secret_that_is_not_there_is_named() -> None:
    role = ingress(ingress_tls="secret", ingress_domain="example.com")
    missing = {"rc": 1, "stdout": "", "stderr": 'secrets "wasmfaas-tls" not found'}
    message = role.refusal(
        "check_cluster | Refuse an unusable certificate", "check_cluster.yml", __ingress_secret=missing
    )
    assert 'wasmfaas-system/wasmfaas-tls cannot be used: it is not there: secrets "wasmfaas-tls" not found' in message
    assert "*.default.example.com" in message


def test_certificate_for_another_host_is_named_before_anything_is_touched(tmp_path: Path) -> None:
    authority = CertificateAuthority(tmp_path / "authority")
    certificate, key = authority.issue("own", "*.functions.example.com")
    role = ingress(
        ingress_tls="files",
        ingress_domain="functions.example.com",
        ingress_certificate_file=str(certificate),
        ingress_certificate_key_file=str(key),
        ingress_certificate_days=0,
    )
    (message,) = role.problems()
    assert (
        "it is for another host: it holds *.functions.example.com, and not *.default.functions.example.com." in message
    )
    assert "Next: Get one for *.default.functions.example.com" in message


def test_the_certificate_of_an_issuer_goes_with_it() -> None:
    (certificate,) = ingress(ingress_tls="none").value("__ingress_absent")
    issuer = ingress(ingress_tls="issuer", ingress_domain="example.com")
    wanted = next(
        entry for (kind, _name), entry in issuer.objects("objects_after.yml.j2").items() if kind == "Certificate"
    )
    assert [certificate[key] for key in ("apiVersion", "kind")] == [wanted[key] for key in ("apiVersion", "kind")]
    assert certificate["metadata"].items() <= wanted["metadata"].items()
    assert issuer.value("__ingress_absent") == []
