# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's keys of config.yaml are checked before any host sees them, and merged over the collection's own."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config import (
    config_check,
    config_values,
    configuration,
    flags,
)
from hypothesis import given
from hypothesis import strategies as st

VERSION = "v1.36.4+k3s1"


def desired(role: str = "server", **more: t.Any) -> dict[str, t.Any]:
    return {"role": role, "name": "node-1", "version": VERSION, "config": {}, "hardening": False, "cis": False, **more}


def check(config: dict[str, t.Any], role: str = "server", version: str = VERSION) -> list[tuple[str, str]]:
    return [
        (problem.what, problem.next_step)
        for problem in config_check.validate(config, host="h", role=role, version=version)
    ]


def test_data_file_has_all_keys_of_both_roles() -> None:
    known = flags.load()
    assert (len(known.of("server")), len(known.of("agent"))) == (126, 46)
    assert set(known.of("agent")) - set(known.of("server")) == {"disable-apiserver-lb"}
    assert known.of("server")["flannel-backend"].choices == ("none", "vxlan", "host-gw", "wireguard-native")
    assert {flag.type for flag in known.of("server").values()} == {"string", "int", "bool", "duration", "list"}


@pytest.mark.parametrize(
    ("labels", "given", "arguments"),
    [
        ({}, [], []),
        ({"wasmfaas.dev/group": "worker-wasm"}, [], []),
        ({"wasmfaas.dev/group": "worker-build"}, [], ["pod-max-pids=4096"]),
        ({"wasmfaas.dev/group": "worker-build"}, ["pod-max-pids=9000"], ["pod-max-pids=9000"]),
    ],
)
def test_processes_of_a_pod_are_bounded_where_builds_run(
    labels: dict[str, str], given: list[str], arguments: list[str]
) -> None:
    built = configuration.build(desired("agent", labels=labels, config={"kubelet-arg": given} if given else {}))
    assert built.get("kubelet-arg", []) == arguments


def test_every_managed_and_secret_key_is_one_of_k3s() -> None:
    keys = set(flags.load().of("server"))
    assert set(config_check.MANAGED) <= keys
    assert set(config_check.SECRETS) <= keys
    secret = {flag.name for flag in flags.load().of("server").values() if flag.secret}
    assert secret <= set(config_check.MANAGED) | set(config_check.SECRETS), (
        "a secret key could be written to config.yaml"
    )


def test_no_secret_is_reported_from_a_host() -> None:
    secret = {flag.name for flag in flags.load().of("server").values() if flag.secret}
    assert set(config_values.REPORTED) & secret == {"datastore-endpoint"}, "of this one only whether it is set is told"
    critical = {flag.name for flag in flags.load().shared() if not flag.secret}
    assert critical <= set(config_values.REPORTED), "a change of it could not be seen"


@pytest.mark.parametrize(
    "config",
    [
        {"disable": ["traefik", "servicelb", "my-own-addon"]},
        {"disable": "traefik"},
        {"kubelet-arg": ["max-pods=250", "v=2"]},
        {"tls-san": ["a.example.com"], "flannel-backend": "wireguard-native"},
        {"etcd-snapshot-retention": 10, "etcd-snapshot-schedule-cron": "0 */6 * * *", "etcd-s3-timeout": "10m"},
        {"etcd-s3": True, "etcd-s3-bucket": "b", "etcd-s3-region": "eu-central-1"},
        {"etcd-s3": True, "etcd-s3-config-secret": "etcd-s3"},
        {"disable-network-policy": "true", "write-kubeconfig-mode": "0640", "protect-kernel-defaults": None},
        {"cluster-cidr": "10.42.0.0/16,fd00::/56"},
    ],
)
def test_good_keys_pass(config: dict[str, t.Any]) -> None:
    assert check(config) == []


@pytest.mark.parametrize(
    ("config", "what", "next_step"),
    [
        ({"tls-sans": ["x"]}, "no key tls-sans", "write tls-san"),
        ({"tls_san": ["x"]}, "no key tls_san", "write tls-san"),
        ({"--disable": ["traefik"]}, "no key --disable", "write disable"),
        ({"kublet-arg": []}, "no key kublet-arg", "write kubelet-arg"),
        ({"xyzzy": 1}, "no key xyzzy", "docs.k3s.io"),
        ({"no-deploy": "traefik"}, "no longer known", "take it out"),
        ({"token": "t"}, "token is not to be set", "k3s_token"),
        ({"agent-token": "t"}, "not to be set", "k3s_agent_token"),
        ({"server": "https://x:6443"}, "not to be set", "servers that live"),
        ({"cluster-init": True}, "not to be set", "servers that live"),
        ({"cluster-reset": True}, "not to be set", "wasmfaas.platform.restore"),
        ({"node-name": "x"}, "not to be set", "k3s_node_name"),
        ({"node-ip": "10.0.0.1"}, "not to be set", "k3s_node_address"),
        ({"node-label": ["a=b"]}, "not to be set", "k3s_node_labels"),
        ({"data-dir": "/data"}, "not to be set", "/var/lib/rancher"),
        ({"datastore-endpoint": "postgres://u:p@h/d"}, "not to be set", "etcd"),
        ({"etcd-s3-secret-key": "s"}, "is a secret", "IAM"),
        ({"vpn-auth": "name=tailscale,joinKey=k"}, "is a secret", "vpn-auth-file"),
        (
            {"etcd-s3": True, "etcd-s3-config-secret": "etcd-s3", "etcd-s3-bucket": "b"},
            "k3s ignores etcd-s3-config-secret beside etcd-s3-bucket",
            "put all of them into the Secret",
        ),
        ({"disable+": ["traefik"]}, "appends", "write disable"),
        ({"flannel-backend": "vxlam"}, "'vxlam' is none of", "write vxlan"),
        ({"flannel-backend": "ipsec"}, "'ipsec' is none of", "write"),
        ({"disable": ["metric-server"]}, "'metric-server' is none of", "write metrics-server"),
        ({"disable": {"traefik": True}}, "no list", "[first, second]"),
        ({"disable": [True]}, "no list", "[first, second]"),
        ({"secrets-encryption": "yes"}, "neither true nor false", "true or false"),
        ({"etcd-snapshot-retention": "many"}, "no whole number", "number"),
        ({"etcd-snapshot-retention": True}, "no whole number", "number"),
        ({"etcd-s3-timeout": "5 minutes"}, "no duration", "10m"),
        ({"cluster-domain": ["a"]}, "no text", "one text"),
        ({"write-kubeconfig-mode": 0o640}, "no text", "quotes"),
        ({"write-kubeconfig-mode": "0644"}, "every user", "0640"),
        ({"write-kubeconfig-mode": "rw"}, "no file mode", "0600"),
        ({"kubelet-arg": ["--max-pods=250"]}, "begins with a dash", "write max-pods=250"),
        ({"kubelet-arg": ["max pods"]}, "no argument", "name=value"),
        ({"write-kubeconfig-name": "x"}, "does not know write-kubeconfig-name", "v1.37.0"),
    ],
)
def test_bad_keys_are_refused_with_the_next_step(config: dict[str, t.Any], what: str, next_step: str) -> None:
    ((said, advised),) = check(config)
    assert what in said
    assert next_step in advised


def test_server_key_on_an_agent_is_refused_with_its_place() -> None:
    ((said, advised),) = check({"tls-san": ["x"]}, role="agent")
    assert "for servers" in said and "k3s_agent_config" in said
    assert "k3s_server_config" in advised
    assert "for agents only" in check({"disable-apiserver-lb": True})[0][0]


def test_problem_names_the_variable_that_the_key_came_from() -> None:
    (problem,) = config_check.validate(
        {"tls-sans": "x"}, host="h", role="server", sources={"tls-sans": "k3s_node_config"}
    )
    assert problem.what.startswith("k3s_node_config: ")


def test_no_secret_value_gets_into_a_message() -> None:
    config = {
        "etcd-s3-secret-key": ["hunter2"],
        "vpn-auth": {"k": "hunter2"},
        "token": "hunter2",
        "datastore-endpoint": "hunter2",
        "agent-token": "hunter2",
    }
    assert "hunter2" not in str(check(config))
    assert len(check(config)) == 5


@given(
    st.dictionaries(
        st.text(max_size=20) | st.sampled_from(sorted(flags.load().of("server"))),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text()),
    )
)
def test_whatever_passes_the_check_can_be_built(config: dict[str, t.Any]) -> None:
    if check(config):
        return
    built = configuration.build(desired(config=config, hardening=True))
    assert set(built) <= set(flags.load().of("server"))
    assert yaml.safe_load(yaml.safe_dump(built)) == built


def test_server_and_agent_without_hardening_get_what_they_need_only() -> None:
    assert configuration.build(desired()) == {
        "node-name": "node-1",
        "agent-token-file": paths.AGENT_TOKEN,
        "write-kubeconfig-mode": "0600",
    }
    assert configuration.build(desired("agent")) == {"node-name": "node-1"}


def test_hardening_turns_on_what_the_guide_says() -> None:
    built = configuration.build(desired(hardening=True))
    assert built["secrets-encryption"] is True and built["protect-kernel-defaults"] is True
    assert f"audit-policy-file={paths.AUDIT_POLICY}" in built["kube-apiserver-arg"]
    assert "streaming-connection-idle-timeout=5m" in built["kubelet-arg"]
    assert "node-status-max-images=0" in built["kubelet-arg"], "a node's status names no images of other tenants"
    assert not any(argument.startswith("admission-control-config-file") for argument in built["kube-apiserver-arg"])
    agent = configuration.build(desired("agent", hardening=True))
    assert set(agent) == {"node-name", "kubelet-arg", "protect-kernel-defaults"}


def test_cis_profile_adds_the_rest_and_implies_hardening() -> None:
    built = configuration.build(desired(cis=True))
    assert "enable-admission-plugins=NodeRestriction,EventRateLimit" in built["kube-apiserver-arg"]
    assert f"admission-control-config-file={paths.ADMISSION_CONFIG}" in built["kube-apiserver-arg"]
    assert built["kube-controller-manager-arg"] == ["terminated-pod-gc-threshold=100"]
    assert built["secrets-encryption"] is True


def test_what_is_built_holds_only_keys_that_pass_for_that_role() -> None:
    for role in ("server", "agent"):
        built = configuration.build(
            desired(role, cis=True, api_address="k3s.example.com", api_port=7443, embedded_mirror=True),
            node_ip=["10.0.0.1"],
            names=["n"],
        )
        assert set(built) <= set(flags.load().of(role))
    # The collection's own keys are the ones it does not let users set.
    assert {"node-name", "node-ip", "agent-token-file", "https-listen-port"} <= set(config_check.MANAGED)


def test_users_keys_win_lists_of_arguments_are_merged_by_name_and_null_takes_away() -> None:
    config = {
        "kubelet-arg": ["max-pods=250", "streaming-connection-idle-timeout=1h"],
        "write-kubeconfig-mode": "0640",
        "protect-kernel-defaults": None,
        "secrets-encryption": "false",
        "disable": "traefik",
        "tls-san": ["mine.example.com", "k3s.example.com"],
        "kube-apiserver-arg": ["enable-admission-plugins=AlwaysPullImages,NodeRestriction"],
    }
    built = configuration.build(desired(config=config, cis=True, api_address="k3s.example.com"))
    assert built["kubelet-arg"][-2:] == ["max-pods=250", "streaming-connection-idle-timeout=1h"]
    assert len([argument for argument in built["kubelet-arg"] if argument.startswith("streaming")]) == 1
    assert (
        built["write-kubeconfig-mode"] == "0640"
        and built["secrets-encryption"] is False
        and built["disable"] == ["traefik"]
    )
    assert "protect-kernel-defaults" not in built
    assert built["tls-san"] == ["k3s.example.com", "mine.example.com"]
    assert built["kube-apiserver-arg"][-1] == "enable-admission-plugins=NodeRestriction,EventRateLimit,AlwaysPullImages"


def test_order_of_the_users_keys_does_not_change_the_file() -> None:
    config = {"disable": ["traefik"], "cluster-domain": "a.local", "tls-san": ["x"]}
    backwards = dict(reversed(config.items()))
    assert list(configuration.build(desired(config=config))) == list(configuration.build(desired(config=backwards)))


@pytest.mark.parametrize(
    ("version", "cgroup", "allowed", "expected"),
    [
        ("v1.36.4+k3s1", "v1", True, True),
        ("v1.34.1+k3s1", "v1", True, False),
        ("v1.36.4+k3s1", "v2", True, False),
        ("v1.36.4+k3s1", "v1", False, False),
    ],
)
def test_kubelet_is_told_to_bear_cgroup_v1_where_it_may(
    version: str, cgroup: str, allowed: bool, expected: bool
) -> None:
    built = configuration.build(desired("agent", version=version, cgroup_v1_allowed=allowed), cgroup=cgroup)
    assert ("fail-cgroupv1=false" in built.get("kubelet-arg", [])) == expected


def test_join_file_holds_what_the_first_start_needs() -> None:
    first = configuration.join(
        desired(labels={"a/b": True, "node-role.kubernetes.io/worker": "x", "topology.kubernetes.io/zone": "z"}),
        server_url="",
        initialize=True,
    )
    assert first == {
        "token-file": paths.TOKEN,
        "cluster-init": True,
        "node-label": ["a/b=true", "topology.kubernetes.io/zone=z"],
    }
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "only", "effect": "NoExecute"}]
    agent = configuration.join(desired("agent", taints=taints), server_url="https://10.0.0.1:6443")
    assert agent == {
        "token-file": paths.AGENT_TOKEN,
        "server": "https://10.0.0.1:6443",
        "node-taint": ["k=v:NoSchedule", "only=:NoExecute"],
    }


@pytest.mark.parametrize(
    ("label", "may"),
    [
        ("wasmfaas.dev/role", True),
        ("plain", True),
        ("node.kubernetes.io/instance-type", True),
        ("topology.kubernetes.io/zone", True),
        ("node-role.kubernetes.io/worker", False),
        ("example.k8s.io/x", False),
        ("kubernetes.io/x", False),
        ("notkubernetes.io/x", True),
    ],
)
def test_labels_that_the_kubelet_refuses_come_over_the_api(label: str, may: bool) -> None:
    assert config_check.at_registration(label) == may


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a=b"], "no dictionary"),
        ({"a b": "c"}, "is no label"),
        ({"A_/b": "c"}, "is no label"),
        ({"a": "x" * 64}, "no value of a label"),
        ({"a": "no spaces"}, "no value of a label"),
        ({"node-role.kubernetes.io/control-plane": "true"}, "set by k3s itself"),
    ],
)
def test_labels_that_cannot_be_are_refused(labels: t.Any, said: str) -> None:
    (problem,) = config_check.label_problems(labels, host="h", role="agent")
    assert said in problem.what


@pytest.mark.parametrize(
    ("taints", "said"),
    [
        ({"a": "b"}, "no list"),
        (["a=b:NoSchedule"], "no taint"),
        ([{"key": "a", "effect": "NoShedule"}], "no effect"),
        ([{"key": "a b", "effect": "NoSchedule"}], "no taint"),
        ([{"key": "a", "effect": "NoSchedule", "extra": 1}], "no taint"),
    ],
)
def test_taints_that_cannot_be_are_refused(taints: t.Any, said: str) -> None:
    (problem,) = config_check.taint_problems(taints, host="h")
    assert said in problem.what
    assert (
        config_check.taint_problems(
            [{"key": "a", "effect": "NoSchedule"}, {"key": "b", "value": True, "effect": "NoExecute"}], host="h"
        )
        == []
    )


def test_keys_that_servers_must_share_are_compared() -> None:
    configs: dict[str, dict[str, t.Any]] = {
        "s1": {"flannel-backend": "none", "disable": ["traefik", "servicelb"], "cluster-cidr": ["10.42.0.0/16"]},
        "s2": {"flannel-backend": "none", "disable": ["servicelb", "traefik"]},
        "s3": {"disable": ["traefik", "servicelb"]},
    }
    (problem,) = config_check.differences(configs)
    assert problem.what.startswith("flannel-backend must be the same on all servers") and "s3: vxlan" in problem.what
    assert config_check.differences({"s1": {"disable-network-policy": False}, "s2": {}}) == []
    assert len(config_check.differences({"s1": {"disable": ["traefik"]}, "s2": {}})) == 1


CONFIG = """\
# managed
node-name: server-1
node-ip:
  - 10.0.0.1
  - "fd00::1"
disable: [traefik, 'service lb']
secrets-encryption: true   # on
cluster-domain: "clus\\"ter"
flannel-backend: 'it''s'
kubelet-arg:
- "a=b: c"
- x=y
nothing:
inline: {a: 1}
text: |
  token: hidden
  - item
last: ~
"""


def test_config_of_a_host_is_read_without_a_yaml_library() -> None:
    assert config_values.read_values(CONFIG) == {
        "node-name": "server-1",
        "node-ip": ["10.0.0.1", "fd00::1"],
        "disable": ["traefik", "service lb"],
        "secrets-encryption": "true",
        "cluster-domain": 'clus"ter',
        "flannel-backend": "it's",
        "kubelet-arg": ["a=b: c", "x=y"],
        "last": "",
    }
    assert config_values.read_values('{"a": true, "b": ["x", 1], "c": null}') == {"a": "true", "b": ["x", "1"], "c": ""}
    assert config_values.read_values("{broken") == {}


PLAIN = st.text(alphabet="abcxyz019.-_/:=, #'\"", max_size=12)


@given(
    st.dictionaries(
        st.sampled_from(["node-name", "disable", "cluster-cidr", "kubelet-arg", "tls-san"]),
        PLAIN | st.booleans() | st.integers() | st.lists(PLAIN, min_size=1, max_size=3),
        min_size=1,
    )
)
def test_what_yaml_writes_is_read_back(config: dict[str, t.Any]) -> None:
    expected = {
        key: [str(item) for item in value]
        if isinstance(value, list)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for key, value in config.items()
    }
    assert config_values.read_values(yaml.safe_dump(config, width=1000)) == expected


def test_only_reported_keys_leave_the_host(tmp_path: t.Any) -> None:
    directory = tmp_path / "etc/rancher/k3s"
    (directory / "config.yaml.d").mkdir(parents=True)
    (directory / "config.yaml").write_text(
        "token: secret\nnode-name: a\ndatastore-endpoint: postgres://u:p@h/d\ndisable: [traefik]\n"
    )
    (directory / "config.yaml.d/10-own.yaml").write_text("disable:\n  - servicelb\n")
    (directory / "config.yaml.d/join.yaml").write_text("server: https://x:6443\nnode-name: b\n")
    assert config_values.on_host(root=str(tmp_path)) == {
        "node-name": "a",
        "datastore-endpoint": "(set)",
        "disable": ["servicelb"],
    }


def test_arguments_of_a_component_are_put_together_over_all_layers() -> None:
    layers: list[dict[str, t.Any]] = [
        {"kubelet-arg": ["cloud-provider=external", "provider-id=aws:///a/i-1"], "disable": ["traefik"], "debug": True},
        {"kubelet-arg": "max-pods=250", "disable": ["servicelb"], "kube-apiserver-arg": ["v=2"]},
        {"kubelet-arg": ["max-pods=110", "v=3"], "debug": None, "kube-apiserver-arg": None},
    ]
    assert configuration.layered(layers) == {
        "kubelet-arg": ["cloud-provider=external", "provider-id=aws:///a/i-1", "max-pods=110", "v=3"],
        "disable": ["servicelb"],
        "debug": None,
        "kube-apiserver-arg": None,
    }
