# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal says about the host it comes from. The lines are k3s' own (v1.35.5), as `journalctl -o cat` prints
them."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import journal


def line(level: str, message: str) -> str:
    quoted = message.replace('"', '\\"')
    return f'time="2026-11-28T09:14:{len(message) % 60:02d}Z" level={level} msg="{quoted}"'


def fatal(message: str) -> str:
    return line("fatal", message)


JOIN = "Error: preparing server: failed to bootstrap cluster data: "
WAITING = "Waiting to retrieve agent configuration; server is not ready: "
REJECTED = (
    "/var/lib/rancher/k3s/agent/serving-kubelet.crt: Node password rejected, duplicate hostname or contents of "
    "'/etc/rancher/node/password' may not match"
    " server node-passwd entry, try enabling a unique node name with the --with-node-id flag"
)
HASHES = "token CA hash does not match the Cluster CA certificate hash: 1f526b0c != f3afef4c"

REFUSALS = (
    line("error", "Failed to authenticate request from 192.168.86.28:55928: invalid username/password combination"),
    line("error", "Sending HTTP/1.1 401 response to 192.168.86.28:55928: not authorized"),
    line(
        "error",
        "Sending HTTP/2.0 403 response to 10.0.0.9:41822: unable to verify password for node worker-9: hash does not "
        "match",
    ),
    line("error", "Sending HTTP 401 response to 10.0.0.9:41822: not authorized"),
    line(
        "info",
        "Cluster-Http-Server 2026/11/28 09:14:31 http: TLS handshake error from 10.0.0.9:41823: remote error: tls: "
        "bad certificate",
    ),
    (
        'E1128 09:14:07.5 1 authentication.go:75] "Unable to authenticate the request" err="x509: certificate has '
        'expired or is not yet valid: current time"'
    ),
    (
        '{"level":"warn","msg":"rejected connection on client endpoint","remote-addr":"10.0.0.9:5","error":"tls: '
        "failed "
        'to verify certificate"}'
    ),
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (fatal(JOIN + "failed to validate server configuration: not authorized"), "token"),
        (
            fatal(
                "cluster-cidr: [10.42.0.0/16 fd00:42::/56] and node-ip: [10.0.0.7], must share the same IP version "
                "(IPv4, IPv6 or dual-stack)"
            ),
            "not of the same families",
        ),
        (fatal("listen tcp 198.51.100.7:2380: bind: cannot assign requested address"), "on none of its interfaces"),
        (
            fatal("exec /var/lib/rancher/k3s/data/3a5a046ca750/bin/k3s-server failed: permission denied"),
            "may not be started",
        ),
        (fatal("flannel exited: operation not supported"), "the kernel cannot make flannel's interface"),
        (
            line(
                "error",
                "Failed to validate connection to cluster at https://api.example.com:6443: failed to get CA certs: "
                'Get "https://api.example.com:6443/cacerts": dial tcp: lookup api.example.com on 10.0.0.2:53: no such '
                "host",
            ),
            "is known to no name server",
        ),
        (line("info", WAITING + "failed to retrieve configuration from server: not authorized"), "token"),
        (
            line(
                "info",
                WAITING + "failed to retrieve configuration from server: https://127.0.0.1:6444/v1-k3s/config: 401 "
                "Unauthorized",
            ),
            "token",
        ),
        (
            line("error", f"Failed to validate connection to cluster at https://10.0.0.1:6443: {HASHES}"),
            "another cluster",
        ),
        (fatal(f"{JOIN}{HASHES}"), "another cluster"),
        (line("info", WAITING + REJECTED), "node name"),
        (
            fatal("etcd cluster join failed: duplicate node name found, please use a unique name for this node"),
            "member of this node name",
        ),
        (
            fatal(
                JOIN + "failed to validate server configuration: critical configuration value mismatch between servers"
            ),
            "in a value, which must be",
        ),
        (
            fatal("Error: preparing server: bootstrap data already found and encrypted with different token"),
            "another server token",
        ),
        (fatal("etcd cluster join failed: etcdserver: too many learner members in cluster"), "just joining"),
        (fatal("listen tcp :6443: bind: address already in use"), "another program"),
        (
            line("info", "This node has been removed from the cluster - please restart k3s to rejoin the cluster"),
            "the cluster removed this server",
        ),
        (
            '{"level":"warn","msg":"server error","error":"the member has been permanently removed from the cluster"}',
            "the cluster removed this server",
        ),
        (
            fatal(
                "Error: preparing server: tombstone file has been detected but --server is empty: backup and delete "
                "${datadir}/server/db to create a new"
                " cluster, or set --server to rejoin"
            ),
            "the cluster removed this server",
        ),
        (
            fatal(
                "Error: preparing server: failed to reconcile with local datastore: "
                "/var/lib/rancher/k3s/server/cred/passwd newer than datastore and could"
                " cause a cluster outage. Remove the file(s) from disk and restart to be recreated from datastore."
            ),
            "its tokens (server/cred/passwd) are newer",
        ),
        (
            fatal(
                "Error: preparing server: no bootstrap data found in datastore - check server token value and verify "
                "datastore integrity"
            ),
            "ended before k3s had stored its keys",
        ),
        (fatal("Error: flag provided but not defined: -tls-san"), "does not know: tls-san"),
        (fatal("member aa has already been bootstrapped"), "data of another start"),
        (line("error", "x509: certificate has expired or is not yet valid: current time 2020"), "clock"),
        ("kubelet is configured to not run on a host using cgroup v1", "cgroup v1"),
        (fatal("failed to find memory cgroup (v2)"), "cgroup"),
        (fatal("mkdir /var/lib/rancher: no space left on device"), "full"),
        ("unknown labels specified with --node-labels: [node-role.kubernetes.io/x]", "prefix"),
        ('invalid kernel flag: vm/overcommit_memory, expected value: 1, actual value: 0"', "kernel setting"),
        (line("error", "dial tcp 10.0.0.1:6443: connect: connection refused"), "does not reach"),
    ],
)
def test_rules_recognise_their_messages(text: str, said: str) -> None:
    rule = journal.matching_rule("\n".join((line("info", "Starting k3s v1.36.4+k3s1 (1234abcd)"), *REFUSALS, text)))
    assert rule is not None
    assert said in rule.what
    assert rule.next_step.endswith(".")
    assert rule.source


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_of_other_hosts_are_no_failure_of_this_one(refusal: str) -> None:
    """A server that works logs these for ever while somewhere an agent with an old password tries to join."""
    assert journal.matching_rule(f"{line('info', 'k3s is up and running')}\n{refusal}") is None


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_only_fatal_lines_and_its_own_waiting_are_final(level: str) -> None:
    for rule in journal.RULES:
        if rule.final:
            message = rule.pattern.pattern.split("|")[0].replace("\\", "")
            assert rule.pattern.search(message), message
            assert journal.matching_rule(line(level, message)) is None, message
            assert journal.matching_rule(fatal(message)) is not None, message


def test_critical_mismatch_names_the_keys() -> None:
    """The fatal line names none, the warnings before it do: Go fields for lists, else keys."""
    text = "\n".join(
        (
            line("warning", "critical configuration mismatched: ClusterIPRanges.slice[0].IP.slice[1]"),
            line("warning", "critical configuration mismatched: ClusterIPRanges.slice[0].Mask.slice[1]"),
            line("warning", "critical configuration mismatched: secrets-encryption"),
            line("warning", "critical configuration mismatched: disable-service-lb"),
            fatal(
                JOIN + "failed to validate server configuration: critical configuration value mismatch between servers"
            ),
        )
    )
    rule = journal.matching_rule(text)
    assert rule is not None
    assert "in cluster-cidr, secrets-encryption, disable (servicelb), which must be the same on all" in rule.what


def test_what_stays_goes_before_what_passes() -> None:
    refused = fatal(JOIN + "failed to validate server configuration: not authorized")
    rule = journal.matching_rule(
        f"dial tcp: connection refused\ntoo many learner members\naddress already in use\n{refused}"
    )
    assert rule is not None
    assert "token" in rule.what


def test_healthy_journal_matches_no_rule() -> None:
    healthy = (
        line("info", "Starting k3s v1.36.4+k3s1 (1234abcd)"),
        line("info", "Managed etcd cluster initializing"),
        line("info", "Learner member is being promoted"),
        line("info", "Wrote kubeconfig /etc/rancher/k3s/k3s.yaml"),
        *REFUSALS,
    )
    assert journal.matching_rule("\n".join(healthy)) is None


def test_every_rule_says_what_to_do_and_where_it_comes_from() -> None:
    assert len(journal.RULES) >= 15
    assert [
        rule.what
        for rule in journal.RULES
        if not rule.next_step.endswith(".") or not rule.source or (rule.final and rule.transient)
    ] == []
