# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules that recognise from k3s' journal why it does not start, and say what to do about it.

Every pattern is a message of k3s' own source or of a report; `source` names which. The first that matches counts, so
special ones stand first.

Two kinds of lines say nothing about this host, however they sound. A server logs at level error that it refused another
host (k3s v1.35.5, pkg/util/apierrors.go SendError and pkg/server/auth/auth.go doAuth), so one forgotten agent with an
old password fills the journals of healthy servers. And what is logged below level fatal may pass: k3s ends by a fatal
line, or waits forever with lines of its own (OWN_WAITING).
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...problems import ERROR, WARNING, Problem
from .. import paths

LINES_SHOWN = 20

ABOUT_OTHERS = re.compile(
    r"Sending HTTP\S* \d+ response to |Failed to authenticate request from |Unable to authenticate the request"
    r"|Cluster-Http-Server |http: TLS handshake error from|rejected (?:connection|stream|message)"
)
"""Lines of a server about who asked it: the supervisor's and the API server's refusals (k3s as above; kubernetes v1.35,
apiserver pkg/endpoints/filters/ authentication.go) and those of etcd (v3.6, embed and rafthttp)."""

FATAL = re.compile(r"\blevel=(?:fatal|panic)\b")
OWN_WAITING = re.compile(r"Waiting to retrieve |Failed to validate connection to cluster at ")
"""Lines of an agent, or of a server's agent part, that tries again forever (k3s v1.35.5, pkg/agent/config/config.go
and pkg/agent/run.go)."""

CRITICAL_FIELDS = {
    "ClusterIPRange": "cluster-cidr",
    "ClusterIPRanges": "cluster-cidr",
    "ServiceIPRange": "service-cidr",
    "ServiceIPRanges": "service-cidr",
    "ClusterDNS": "cluster-dns",
    "ClusterDNSs": "cluster-dns",
    "disable-service-lb": "disable (servicelb)",
}
"""Keys by the names that k3s gives them in its warnings: of a list it names the Go field, with the place of the
difference behind (k3s v1.35.5, pkg/cluster/bootstrap.go and pkg/daemons/config/types.go, CriticalControlArgs)."""


NODE = "NAME"
"""Stands in a rule's next step for the name of the node."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """Recognises a problem by a message of k3s.

    Args:
        pattern: found in a line of the journal.
        what: see `Problem`; `{names}` in it stands for what `names` finds.
        next_step: see `Problem`; `NODE` in it stands for the name of the node.
        source: project and file that the message comes from, or a report of it.
        final: it stays so until somebody acts.
        transient: k3s may recover by itself. A rule that is neither is likely to be the reason once k3s has failed.
        names: finds, in any line, what the problem concerns (its first group).
        unnamed: stands for `{names}` where nothing is found.
    """

    pattern: t.Pattern[str]
    what: str
    next_step: str
    source: str
    final: bool = False
    transient: bool = False
    names: t.Pattern[str] | None = None
    unnamed: str = ""

    def problem(self, where: str, *, node: str = NODE) -> Problem:
        """The problem of a unit or host. `node`: name of its node, where it is known."""
        return Problem(where, self.what, self.next_step.replace(NODE, node), WARNING if self.transient else ERROR)


def _rule(
    pattern: str,
    what: str,
    next_step: str,
    source: str,
    *,
    final: bool = False,
    transient: bool = False,
    names: str = "",
    unnamed: str = "",
) -> Rule:
    found = re.compile(names) if names else None
    return Rule(re.compile(pattern, re.IGNORECASE), what, next_step, source, final, transient, found, unnamed)


REMOVED = "the cluster removed this server, but its old data is still here"
REMOVED_STEP = (
    "Take k3s and that data off it: ansible-playbook wasmfaas.platform.remove_node -e node=NAME. Where it shall be a "
    "server again, run ansible-playbook wasmfaas.platform.site then: it joins anew."
)

RULES = (
    _rule(
        r"/cred/passwd newer than datastore and could cause a cluster outage",
        "its tokens (server/cred/passwd) are newer than the copy of them in etcd, as after a change of the agents' "
        "token that was not stored",
        "Have it stored: ansible-playbook wasmfaas.platform.rotate -e what=repair.",
        "k3s-io/k3s pkg/cluster/bootstrap.go (ReconcileBootstrapData); k3s-io/k3s#8066, rancher/rke2#5785",
        final=True,
    ),
    _rule(
        r"newer than datastore and could cause a cluster outage",
        "keys or certificates of it are newer than the copies of them in etcd, as when a rotation of the encryption "
        "key was cut off",
        "Run: ansible-playbook wasmfaas.platform.rotate -e what=repair. If that ends with this message, go back to the "
        "snapshot of before: ansible-playbook wasmfaas.platform.restore (docs/operations/backup.md).",
        "k3s-io/k3s pkg/cluster/bootstrap.go (ReconcileBootstrapData); k3s-io/k3s#13763",
        final=True,
    ),
    _rule(
        r"no bootstrap data found in datastore",
        "the very first start of this cluster ended before k3s had stored its keys in etcd",
        "Nothing is lost, as there was no cluster yet: clean the host with ansible-playbook wasmfaas.platform.reset, "
        "and run ansible-playbook wasmfaas.platform.site again.",
        "k3s-io/k3s pkg/cluster/storage.go (v1.36.3)",
        final=True,
    ),
    _rule(
        r"token CA hash does not match",
        "the token names the certificate authority of another cluster than the one it was about to join",
        "Compare the token with /var/lib/rancher/k3s/server/token of a live server. Where this host was in another "
        "cluster, clean it first:"
        " ansible-playbook wasmfaas.platform.remove_node -e node=NAME.",
        "k3s-io/k3s pkg/clientaccess/token.go; k3s-io/k3s#3727",
        final=True,
    ),
    _rule(
        r"failed to validate token|token is not valid|not authorized|invalid token|token format|401 Unauthorized",
        "the cluster refused this host's token",
        "Use the token that the cluster was made with (k3s_token; of a live server: "
        "/var/lib/rancher/k3s/server/token), and run ansible-playbook wasmfaas.platform.site again.",
        "k3s-io/k3s pkg/clientaccess/token.go; k3s docs cli/token.md",
        final=True,
    ),
    _rule(
        r"bootstrap data already found and encrypted with different token",
        "the cluster's data was encrypted with another server token",
        "Put back the token that this data was made with (it is saved beside every snapshot of "
        "wasmfaas.platform.backup), and run it again.",
        "k3s-io/k3s pkg/cluster/storage.go",
        final=True,
    ),
    _rule(
        r"Node password rejected|unable to verify (?:hash|password) for node",
        "another machine has joined under this node name before: its node password is still stored in the cluster",
        "Where that machine is gone, remove it: ansible-playbook wasmfaas.platform.remove_node -e node=NAME; else give "
        "this host another name (k3s_node_name).",
        "k3s docs architecture.md (node password); k3s-io/k3s#3435",
        final=True,
    ),
    _rule(
        r"duplicate node name found",
        "etcd still has a member of this node name",
        "Remove the old member with its node: ansible-playbook wasmfaas.platform.remove_node -e node=NAME, then run "
        "ansible-playbook wasmfaas.platform.site again.",
        "k3s-io/k3s pkg/etcd/etcd.go",
        final=True,
    ),
    _rule(
        r"critical configuration value mismatch",
        "its configuration differs from the other servers' in {names}, which must be the same on all",
        "Give this server the same values as the others in k3s_server_config (/etc/rancher/k3s/config.yaml shows a "
        "live server's), and run ansible-playbook wasmfaas.platform.site again.",
        "k3s-io/k3s pkg/cluster/bootstrap.go, pkg/daemons/config/types.go (CriticalControlArgs)",
        final=True,
        names=r"critical configuration mismatched: ([\w-]+)",
        unnamed="a value",
    ),
    _rule(
        r"flag provided but not defined",
        "its configuration has a key that k3s does not know: {names}",
        "Take the key out of k3s_agent_config or k3s_server_config (an agent takes no key of a server, a version "
        "none of a later one), and run ansible-playbook wasmfaas.platform.site again.",
        "k3s-io/k3s pkg/configfilearg/parser.go (only a server drops unknown keys)",
        final=True,
        names=r"flag provided but not defined: -+([\w-]+)",
        unnamed="see its journal",
    ),
    _rule(
        r"tombstone file has been detected but --server is empty",
        REMOVED,
        REMOVED_STEP,
        "k3s-io/k3s#13624 (pkg/etcd/etcd.go)",
        final=True,
    ),
    # k3s goes on with a dead API after these, and joins anew by itself when it starts again: not final.
    _rule(
        r"this node has been removed from the cluster|the member has been permanently removed from the cluster"
        r"|this server is a? ?not a member of the etcd cluster",
        REMOVED,
        REMOVED_STEP,
        "k3s-io/k3s pkg/daemons/executor/etcd.go; etcd-io/etcd server/etcdserver/server.go",
    ),
    _rule(
        r"has already been bootstrapped",
        "etcd finds data of another start of this cluster in its data directory",
        "Where its data is not needed, clean this host (ansible-playbook wasmfaas.platform.remove_node -e node=NAME), "
        "then run ansible-playbook wasmfaas.platform.site: it joins anew.",
        "etcd-io/etcd server/etcdserver/bootstrap.go",
    ),
    _rule(
        r"too many learner members",
        "another server is just joining; etcd takes one at a time",
        "Wait until that one is a voter (k3s kubectl get nodes, condition EtcdIsVoter), then run it again.",
        "k3s-io/k3s#2306, #4335",
        transient=True,
    ),
    _rule(
        r"address already in use",
        "another program listens on a port that k3s needs",
        "See which: ss -ltnp '( sport = :6443 or sport = :2379 or sport = :2380 or sport = :10250 or sport = :6444 "
        ")', and stop it.",
        "k3s docs installation/requirements.md (ports)",
    ),
    _rule(
        r"certificate (?:has expired|is not yet valid)|x509: certificate has expired or is not yet valid",
        "a certificate has expired, or the clock of a host is wrong",
        "Compare the clocks (date -u; timedatectl); where they are right, renew the certificates: "
        "ansible-playbook wasmfaas.platform.rotate -e what=certificates.",
        "Go crypto/x509; k3s docs cli/certificate.md",
    ),
    _rule(
        r"x509: certificate signed by unknown authority|tls: failed to verify certificate|x509: certificate is valid "
        r"for",
        "the server that it joins through has a certificate that this host does not accept",
        "Check that k3s_api_address is an address of this cluster and among its tls-san. Where this host was in "
        "another cluster before, clean it:"
        " ansible-playbook wasmfaas.platform.remove_node -e node=NAME.",
        "Go crypto/x509; k3s docs cli/server.md (tls-san)",
    ),
    _rule(
        r"failCgroupV1|cgroup v1 support|kubelet is configured to not run on a host using cgroup v1|failed to find "
        r"(?:memory|cpuset|cpu) cgroup",
        "this host has cgroup v1, or a cgroup controller is off",
        "Boot with systemd.unified_cgroup_hierarchy=1 (on a Raspberry Pi also cgroup_enable=memory cgroup_memory=1 "
        "in cmdline.txt).",
        "kubernetes/kubernetes kubelet >= 1.35 (failCgroupV1); k3s docs installation/requirements.md",
    ),
    _rule(
        r"invalid kernel flag|Failed to start ContainerManager.*kernel|protect-kernel-defaults",
        "a kernel setting is not what protect-kernel-defaults wants",
        "Run ansible-playbook wasmfaas.platform.site without --tags, so that node_prepare sets the kernel parameters "
        "first.",
        "k3s docs security/hardening-guide.md",
    ),
    _rule(
        r"unknown labels? specified with --node-labels|--node-labels in the 'kubernetes.io' namespace",
        "a node label of config.yaml has a prefix that the kubelet refuses",
        "Set the label by k3s_node_labels, which goes through the API.",
        "kubernetes/kubernetes cmd/kubelet/app/options",
    ),
    _rule(
        r"cannot be downgraded|invalid downgrade|version skew|higher than the (?:cluster|server)|etcd cluster "
        r"version.*(?:incompatible|downgrade)",
        "its version is too far from the cluster's",
        "Give this host the version that the cluster runs (k3s_version); a newer one by ansible-playbook "
        "wasmfaas.platform.upgrade, an older one by ansible-playbook wasmfaas.platform.restore from a snapshot of it.",
        "kubernetes.io/releases/version-skew-policy",
    ),
    _rule(
        r"unable to set kubelet.*swap|running with swap on is not supported",
        "swap is on",
        "Turn it off (swapoff -a, and its line of /etc/fstab), or set kubelet-arg fail-swap-on=false.",
        "kubernetes/kubernetes pkg/kubelet/cm",
    ),
    _rule(
        r"no space left on device|database space exceeded",
        "the disk, or etcd's space, is full",
        "Free space on the file system of /var/lib/rancher (journalctl --vacuum-size=200M, k3s crictl rmi --prune), "
        "and run it again.",
        "etcd.io/docs maintenance (space quota)",
    ),
    _rule(
        r"must share the same IP version",
        "the addresses of the node, the network of pods and that of services are not of the same families",
        "Give the node an address of each family (k3s_node_address), or set cluster-cidr and service-cidr in "
        "k3s_server_config to what the nodes have.",
        "k3s-io/k3s pkg/agent/run.go (v1.36.4)",
        final=True,
    ),
    _rule(
        r"bind: cannot assign requested address",
        "an address that k3s shall listen on is on none of its interfaces",
        "Set k3s_node_address to an address of this host (ip addr); a floating or public one goes into "
        "k3s_node_config: {node-external-ip: ADDRESS}.",
        "Linux bind(2), EADDRNOTAVAIL; k3s docs cli/server.md (node-ip, bind-address)",
    ),
    _rule(
        r"/bin/k3s-server failed: permission denied|/bin/k3s-agent failed: permission denied",
        "its programs below /var/lib/rancher/k3s/data may not be started",
        "See whether that file system is mounted with noexec (findmnt -T /var/lib/rancher), or SELinux refuses it "
        "(ausearch -m avc -ts recent).",
        "k3s-io/k3s cmd/k3s/main.go (stageAndRun); k3s-io/k3s#7372, #6474",
        final=True,
    ),
    _rule(
        r"flannel exited: operation not supported",
        "the kernel cannot make flannel's interface",
        "Load its module (modprobe vxlan; install linux-modules-extra-$(uname -r) or kernel-modules-extra), or use "
        "another flannel-backend (k3s_server_config).",
        "k3s-io/k3s pkg/agent/flannel/setup.go; k3s-io/k3s#3852, #8015",
        final=True,
    ),
    _rule(
        r"dial tcp: lookup \S+(?: on \S+)?: (?:no such host|.*server misbehaving)",
        "the name of the API, by which it joins, is known to no name server of this host",
        "Enter the name in DNS, or in /etc/hosts of all nodes (getent hosts NAME), or set k3s_api_address to an "
        "address.",
        "Go net (DNSError); k3s docs cli/agent.md (server)",
        transient=True,
    ),
    _rule(
        r"no default routes found|unable to (?:find|select) an IP|no default route",
        "this host has no default route, by which k3s finds its address",
        "Add a default route (a dummy interface is enough), or set the address by k3s_node_ip.",
        "k3s docs installation/airgap.md (default network route)",
    ),
    _rule(
        r"open .*: no such file or directory|failed to (?:load|read).*(?:audit|admission)",
        "a file that its configuration names is missing",
        "Run ansible-playbook wasmfaas.platform.site again, which writes it; else correct the path in "
        "k3s_server_config.",
        "k3s docs security/hardening-guide.md (a missing referenced file keeps the API server from starting)",
    ),
    _rule(
        r"cluster ID mismatch|request cluster ID mismatch",
        "two servers have data of different etcd clusters",
        "Find out which is the right one (wasmfaas.platform.site tells the servers' data apart), and clean the other: "
        "ansible-playbook wasmfaas.platform.remove_node -e node=NAME.",
        "etcd-io/etcd rafthttp",
    ),
    _rule(
        r"connection refused|i/o timeout|no route to host|context deadline exceeded|connection reset by peer",
        "it does not reach the server that it joins through, or too few etcd members run",
        "Check that a majority of the servers run (systemctl is-active k3s), and that ports 6443, 2379 and 2380 are "
        "open between them. If the majority is gone for good: ansible-playbook wasmfaas.platform.recover.",
        "k3s docs installation/requirements.md (ports); PyratLabs/ansible-role-k3s#152",
        transient=True,
    ),
)

TOKEN = re.compile(r"K10[0-9a-f]{64}::[\w.-]+:[^\s\"']+|\b[a-z0-9]{6}\.[a-z0-9]{16}\b|(?<=token=)\S+|(?<=password=)\S+")


def matching_rule(text: str) -> Rule | None:
    """The rule that a journal matches: the most certain one, with the names of what it concerns filled in.

    Lines about other hosts do not count. A final rule counts only in a fatal line, or in one with which an agent waits.
    """
    lines = [line for line in text.splitlines() if not ABOUT_OTHERS.search(line)]
    decisive = [line for line in lines if FATAL.search(line) or OWN_WAITING.search(line)]
    found = [rule for rule in RULES if any(rule.pattern.search(line) for line in (decisive if rule.final else lines))]
    first = min(found, key=lambda rule: (not rule.final, rule.transient), default=None)
    if first is None or first.names is None:
        return first
    names = [match[1] for line in lines for match in first.names.finditer(line)]
    named = ", ".join(dict.fromkeys(CRITICAL_FIELDS.get(name, name) for name in names)) or first.unnamed
    return dataclasses.replace(first, what=first.what.format(names=named))


def shown(text: str, *, secrets: t.Iterable[str] = (), lines: int = LINES_SHOWN) -> list[str]:
    """The last lines of a journal, without tokens. `secrets`: texts that are blacked out besides what looks like a
    token."""
    for secret in secrets:
        if len(secret) >= 6:
            text = text.replace(secret, "(secret)")
    return [TOKEN.sub("(secret)", line)[:1000] for line in text.splitlines()[-lines:]]


def host_secrets() -> set[str]:
    """The tokens of this host and the password in each, as far as they can be read."""
    found: set[str] = set()
    for path in (
        paths.TOKEN,
        paths.AGENT_TOKEN,
        f"{paths.SERVER_DIRECTORY}/token",
        f"{paths.SERVER_DIRECTORY}/agent-token",
        paths.NODE_PASSWORD,
    ):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                token = file.read().strip()
        except OSError:
            continue
        found.update(part for part in (token, token.rpartition(":")[2]) if part)
    return found
