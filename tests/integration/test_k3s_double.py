# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in of k3s keeps k3s' contract where it is strict: hosts are network namespaces of this machine with their
own /etc/rancher and /var/lib."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import journal

from .support.servers import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.k3s_double import build
from tests.unit.roles.role_rendering import RenderedRole

TOKEN = "sesame-of-the-tests"
NETWORK = "10.97.3"
START_SECONDS = 120.0
# of this session: the kernel takes a device away some time after its namespace; at most 15 letters with the endings
NAMES = f"wk{os.getpid()}"

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(program) for program in ("ip", "unshare", "mount")),
    reason="hosts are network and mount namespaces: needs root, ip, unshare and mount",
)
needs_stand_in = pytest.mark.skipif(
    "K3S_BINARY" in os.environ, reason="K3S_BINARY names a real k3s, which is not so strict"
)
pytestmark = [needs_stand_in]


@pytest.fixture(scope="module")
def k3s() -> Path:
    return build.binary()


@dataclasses.dataclass
class Host:
    """A network namespace with its own /etc/rancher and /var/lib; `address` is on the tests' bridge."""

    number: int
    directory: Path
    k3s: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def namespace(self) -> str:
        return f"{NAMES}h{self.number}"

    @property
    def address(self) -> str:
        return f"{NETWORK}.{self.number}"

    @property
    def data(self) -> Path:
        return self.directory / "lib" / "rancher" / "k3s"

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def configure(self, **keys: object) -> None:
        file = self.directory / "etc" / "rancher" / "k3s" / "config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump({name.replace("_", "-"): value for name, value in keys.items()}))

    def command(self, *arguments: str) -> list[str]:
        for directory in ("etc", "work", "lib", "bin"):
            (self.directory / directory).mkdir(parents=True, exist_ok=True)
        own = self.directory
        # The kernel takes some time to let go of that of a process that was killed
        work = tempfile.mkdtemp(dir=own / "work")
        mounts = (
            f"mount -t overlay overlay -o lowerdir=/etc,upperdir={own}/etc,workdir={work} /etc && mount --bind "
            f"{own}/lib /var/lib && "
            f'hostname {self.namespace} && PATH={own}/bin:$PATH exec {self.k3s} "$@"'
        )
        return [
            "ip",
            "netns",
            "exec",
            self.namespace,
            "unshare",
            "--mount",
            "--uts",
            "sh",
            "-c",
            mounts,
            "k3s",
            *arguments,
        ]

    def call(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("K3S_", "KUBECONFIG"))}
        return subprocess.run(
            self.command(*arguments), check=False, capture_output=True, text=True, timeout=seconds, env=environment
        )

    def start(self, role: str) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(role), stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # like a crash: the contract holds for that too
        if self.process is not None:
            self.process.wait(10)
        self.process = None

    def kubectl(self, *arguments: str) -> str:
        return self.call("kubectl", *arguments).stdout

    def is_ready(self) -> bool:
        assert self.process is None or self.process.poll() is None, self.log[-2000:]
        return self.kubectl("get", "--raw", "/readyz") == "ok"

    def wait_ready(self) -> None:
        wait_until(self.is_ready, seconds=START_SECONDS, what=f"{self.namespace} is ready", interval=0.5)

    def node(self, host: Host) -> dict[str, object]:
        text = self.kubectl("get", "node", host.namespace, "-o", "json")
        return dict(json.loads(text)) if text else {}

    def condition(self, host: Host, kind: str) -> str:
        status = self.node(host).get("status")
        conditions = status.get("conditions", []) if isinstance(status, dict) else []
        return next((f"{one['status']} {one['reason']}" for one in conditions if one["type"] == kind), "")


@pytest.fixture(scope="module")
def hosts(k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[list[Host]]:
    """Four hosts on a bridge, none of them started."""
    bridge = f"{NAMES}b"

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)

    found = [Host(number, tmp_path_factory.mktemp(f"host{number}"), k3s) for number in range(1, 5)]
    with contextlib.ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "delete", bridge)
        ip("link", "set", bridge, "up")
        for host in found:
            ip("netns", "add", host.namespace)
            stack.callback(ip, "netns", "delete", host.namespace)
            ip("link", "add", f"{host.namespace}v", "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            ip("link", "set", f"{host.namespace}v", "master", bridge, "up")
            ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", host.namespace, "link", "set", device, "up")
            ip("-n", host.namespace, "route", "add", "default", "via", f"{NETWORK}.254", "dev", "eth0", "onlink")
            stack.callback(host.stop)
        yield found


@pytest.fixture(scope="module")
def cluster(hosts: list[Host]) -> list[Host]:
    """Two servers and an agent, joined."""
    first, second, agent, _stranger = hosts
    first.configure(cluster_init=True, token=TOKEN, secrets_encryption=True, tls_san=["api.example"])
    first.start("server")
    first.wait_ready()
    wait_until(
        lambda: first.condition(first, "EtcdIsVoter") == "True MemberNotLearner",
        seconds=60,
        what="the first server is a voter",
    )
    shim = agent.directory / "bin" / "containerd-shim-spin-v2"
    shim.parent.mkdir(parents=True)
    shim.write_text("#!/bin/sh\n")
    shim.chmod(0o755)
    agent.configure(
        server=f"https://{first.address}:6443",
        token=TOKEN,
        node_label=["pool=wasm"],
        node_taint=["wasm=only:NoSchedule"],
    )
    agent.start("agent")
    second.configure(server=f"https://{first.address}:6443", token=TOKEN, secrets_encryption=True)
    second.start("server")
    second.wait_ready()
    wait_until(
        lambda: first.condition(second, "EtcdIsVoter") == "True MemberNotLearner",
        seconds=60,
        what="the second server is a voter",
    )
    wait_until(lambda: first.condition(agent, "Ready").startswith("True"), seconds=60, what="the agent is ready")
    return hosts


@pytest.mark.parametrize(
    ("role", "content", "message"),
    [
        ("agent", "cluster-int: true", "flag provided but not defined: -cluster-int"),
        ("agent", "tls-san: [a]", "flag provided but not defined: -tls-san"),
        ("server", "debug: maybe", "not true or false"),
        ("server", "flannel-backend: wireguard", "is none of"),
        ("server", "write-kubeconfig-mode: 0644", "quote it"),
        ("server", "cluster-reset: true", "belongs on the command line"),
        ("server", "write-kubeconfig-name: x", "new in 1.37"),
        ("server", "debug: true\ndebug: false", "already set"),
        (
            "server",
            "cluster-init: true\nnode-label: ['node-role.kubernetes.io/worker=true']",
            "unknown 'kubernetes.io' or 'k8s.io' labels",
        ),
        ("server", "cluster-init: true\nkubelet-arg: [no-such=1]", "unknown flag: --no-such"),
        ("server", "cluster-init: true\nnode-taint: [bad]", "is not KEY[=VALUE]:EFFECT"),
        ("agent", "server: https://127.0.0.1:6443", "--token is required"),
    ],
)
def test_settings_that_stop_it(k3s: Path, tmp_path: Path, role: str, content: str, message: str) -> None:
    """What k3s finds out late is an error at once; an agent takes no key that it does not know."""
    finished = refused(k3s, tmp_path, role, content)
    assert message in finished.stderr
    assert 'level=fatal msg="' in finished.stderr.splitlines()[-1]


def test_a_server_skips_keys_that_it_does_not_know(k3s: Path, tmp_path: Path) -> None:
    """With a warning; the next fault of the file is what ends it (k3s v1.35.5: pkg/configfilearg/parser.go)."""
    finished = refused(k3s, tmp_path, "server", "cluster-int: true\ncluster-init: true\nnode-taint: [bad]")
    assert (
        "level=warning" in finished.stderr
        and "Unknown flag --cluster-int found in config.yaml, skipping" in finished.stderr
    )
    assert "is not KEY[=VALUE]:EFFECT" in finished.stderr


def refused(k3s: Path, tmp_path: Path, role: str, content: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("K3S_")}
    command = [str(k3s), role, "--config", str(file), "--data-dir", str(tmp_path / "data")]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=environment)
    assert finished.returncode == 1
    return finished


def start_with_credential_provider(k3s: Path, directory: Path, configuration: str) -> str:
    """What an agent says that is stopped right after the kubelet's checks, by the address of its server."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "ecr-credential-provider").write_text("#!/bin/sh\nexit 1\n")
    (programs / "ecr-credential-provider").chmod(0o755)
    (directory / "credentials.yaml").write_text(configuration)
    keys = {
        "server": "nowhere",
        "token": TOKEN,
        "image-credential-provider-bin-dir": str(programs),
        "image-credential-provider-config": f"{directory}/credentials.yaml",
    }
    (directory / "config.yaml").write_text(yaml.safe_dump(keys))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("K3S_")}
    command = [str(k3s), "agent", "--config", f"{directory}/config.yaml", "--data-dir", f"{directory}/data"]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)
    assert finished.returncode == 1
    return finished.stderr


def ecr_configuration() -> str:
    """What the role registries places on a node."""
    role = RenderedRole("registries", ansible_managed="managed", __k3s_host={"architecture": "arm64"})
    return str(role.value("lookup('ansible.builtin.template', 'credential_provider.yaml.j2')"))


def test_the_kubelet_takes_our_credential_provider(k3s: Path, tmp_path: Path) -> None:
    """By its own code, which reads strictly (kubernetes v1.34.1, pkg/credentialprovider/plugin)."""
    said = start_with_credential_provider(k3s, tmp_path, ecr_configuration())
    assert (
        "image credential provider bin dir and configuration file found" in said
        and 'server \\"nowhere\\" is not https://HOST:PORT' in said
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("matchImages:", "matchImage:", "unknown field"),
        ("defaultCacheDuration: 12h", "defaultCacheDuration: 12 hours", "time: unknown unit"),
        ("credentialprovider.kubelet.k8s.io/v1", "credentialprovider.kubelet.k8s.io/v2", "Unsupported value"),
        ("name: ecr-credential-provider", "name: docker-credential-ecr-login", "did not exist"),
    ],
)
def test_another_credential_provider_stops_it(k3s: Path, tmp_path: Path, before: str, after: str, message: str) -> None:
    configuration = ecr_configuration()
    assert before in configuration
    said = start_with_credential_provider(k3s, tmp_path, configuration.replace(before, after))
    assert "kubelet exited: failed to register credential provider plugins" in said and message in said


def test_version(k3s: Path) -> None:
    finished = subprocess.run([str(k3s), "--version"], check=True, capture_output=True, text=True)
    assert finished.stdout == f"k3s version {build.DEFAULT_VERSION} (double)\n"


@needs_root
def test_nodes_get_what_k3s_gives_them(cluster: list[Host]) -> None:
    first, second, agent, _stranger = cluster
    metadata = first.node(second)["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["labels"]["node-role.kubernetes.io/etcd"] == "true"
    assert metadata["annotations"]["etcd.k3s.cattle.io/node-name"].startswith(f"{second.namespace}-")
    assert metadata["annotations"]["etcd.k3s.cattle.io/node-address"] == second.address
    assert TOKEN not in json.dumps(metadata)
    worker = first.node(agent)
    assert isinstance(worker["metadata"], dict)
    assert worker["metadata"]["labels"]["pool"] == "wasm"
    assert {"key": "wasm", "value": "only", "effect": "NoSchedule"} in worker["spec"]["taints"]  # type: ignore[index,call-overload]
    assert "runtimes.'spin']" in (agent.data / "agent/etc/containerd/config.toml").read_text()
    assert "runtimes.'spin']" not in (second.data / "agent/etc/containerd/config.toml").read_text()
    assert "spin" in first.kubectl("get", "runtimeclass", "-o", "name")


@needs_root
def test_files_are_private_and_tokens_stay_out_of_the_log(cluster: list[Host]) -> None:
    first, second, agent, _stranger = cluster
    kubeconfig = first.directory / "etc/rancher/k3s/k3s.yaml"
    secret = first.data / "server/token"
    assert [file.stat().st_mode & 0o777 for file in (kubeconfig, secret)] == [0o600, 0o600]
    assert secret.read_text().startswith("K10")
    assert (first.data / "server/tls/server-ca.crt").read_bytes() == (
        second.data / "server/tls/server-ca.crt"
    ).read_bytes()
    assert not any(TOKEN in host.log for host in (first, second, agent))


@needs_root
def test_one_port_for_supervisor_and_api(cluster: list[Host]) -> None:
    first = cluster[0]
    script = f"""
import ssl, urllib.error, urllib.request
for path in ("/ping", "/cacerts", "/readyz", "/v1-k3s/server-bootstrap"):
    try:
        url, context = "https://{first.address}:6443" + path, ssl._create_unverified_context()
        print(urllib.request.urlopen(url, context=context, timeout=5).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
    finished = subprocess.run(
        ["ip", "netns", "exec", cluster[3].namespace, sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
    )
    assert finished.stdout.split() == ["200", "200", "401", "403"]


@needs_root
@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"token": "wrong"}, "failed to validate server configuration: not authorized"),
        ({"token": f"K10{'0' * 64}::server:{TOKEN}"}, "token CA hash does not match"),
        ({"token": TOKEN, "secrets-encryption": False}, "critical configuration value mismatch"),
        (
            {"token": TOKEN, "secrets-encryption": True, "cluster-cidr": "10.99.0.0/16"},
            "critical configuration mismatched: ClusterIPRanges.slice[0]",
        ),
    ],
)
def test_servers_that_may_not_join(cluster: list[Host], keys: dict[str, object], message: str) -> None:
    stranger = cluster[3]
    stranger.configure(server=f"https://{cluster[0].address}:6443", **keys)
    finished = stranger.call("server")
    shutil.rmtree(stranger.data, ignore_errors=True)  # nothing was written if the token was wrong
    assert finished.returncode == 1
    assert message in finished.stderr


@needs_root
def test_a_new_host_of_an_old_name_is_refused(cluster: list[Host]) -> None:
    """The node password is another one; deleting the Node lets the name go."""
    first, _second, agent, stranger = cluster
    stranger.configure(server=f"https://{first.address}:6443", token=TOKEN, node_name=agent.namespace)
    (stranger.directory / "log").unlink(missing_ok=True)
    stranger.start("agent")
    wait_until(
        lambda: "Node password rejected, duplicate hostname" in stranger.log, seconds=60, what="the password is refused"
    )
    rule = journal.matching_rule(stranger.log)
    assert rule is not None and rule.final and "under this node name" in rule.what
    assert stranger.process is not None and stranger.process.poll() is None, "it waits for ever"
    agent.stop()
    first.kubectl("delete", "node", agent.namespace)
    wait_until(
        lambda: stranger.address in first.kubectl("get", "node", agent.namespace, "-o", "wide"),
        seconds=60,
        what="the new host has the name",
    )
    stranger.stop()


@needs_root
def test_a_server_logs_the_faults_of_others_as_errors(cluster: list[Host]) -> None:
    """An agent with an old password, and one of a name that is taken (k3s v1.35.5: pkg/util/apierrors.go,
    pkg/server/auth/auth.go)."""
    first, _second, agent, stranger = cluster
    stranger.configure(server=f"https://{first.address}:6443", token="an-old-one")
    stranger.start("agent")
    wait_until(
        lambda: "failed to retrieve configuration from server: not authorized" in stranger.log,
        seconds=60,
        what="the token is refused",
    )
    assert stranger.process is not None and stranger.process.poll() is None
    stranger.stop()
    errors = [line for line in first.log.splitlines() if " level=error " in line]
    for expected in (
        rf"Failed to authenticate request from {stranger.address}:\d+: invalid username/password combination",
        rf"Sending HTTP/\d\.\d 401 response to {stranger.address}:\d+: not authorized",
        (
            rf"Sending HTTP/\d\.\d 403 response to {stranger.address}:\d+: unable to verify password for node "
            rf"{agent.namespace}: hash does not match"
        ),
    ):
        assert any(re.search(expected, line) for line in errors), (expected, errors)
    rule = journal.matching_rule(first.log)
    assert rule is None or not rule.final, "this server is well"
    shutil.rmtree(stranger.data)


@needs_root
def test_a_member_that_was_killed_is_unhealthy_and_a_member(cluster: list[Host]) -> None:
    first, _second, _agent, third = cluster
    third.configure(server=f"https://{first.address}:6443", token=TOKEN, secrets_encryption=True)
    third.start("server")
    third.wait_ready()
    wait_until(
        lambda: first.condition(third, "EtcdIsVoter") == "True MemberNotLearner",
        seconds=60,
        what="the third server is a voter",
    )
    third.stop()
    wait_until(
        lambda: first.condition(third, "EtcdIsVoter") == "False Unhealthy", seconds=60, what="its member is unhealthy"
    )
    first.kubectl("delete", "node", third.namespace, "--timeout=60s")
    # It boots with what it has: the others tell it, and only the start after that would let it join again.
    third.start("server")
    wait_until((third.data / "server/db/etcd/tombstone").exists, seconds=60, what="it knows that it was removed")
    assert third.process is not None and third.process.poll() is None
    assert third.namespace not in first.kubectl("get", "nodes", "-o", "name")
    third.stop()
    shutil.rmtree(third.data)


@needs_root
def test_another_agent_token_stops_the_start_after_the_next(cluster: list[Host]) -> None:
    """The first start with it writes server/cred/passwd and saves nothing; the way out is to save by telling the server
    token once more (k3s-io/k3s#8066)."""
    stranger = cluster[3]
    stranger.stop()
    shutil.rmtree(stranger.data, ignore_errors=True)
    settings = {"cluster_init": True, "token": TOKEN, "node_name": "alone"}
    stranger.configure(**settings, agent_token="first-token-of-agents")

    def starts() -> None:
        stranger.start("server")
        stranger.wait_ready()

    def is_refused() -> None:
        stranger.stop()
        finished = stranger.call("server")
        assert finished.returncode == 1
        assert (
            "/server/cred/passwd newer than datastore and could cause a cluster outage. Remove the file(s) from disk"
            in finished.stderr
        )

    starts()
    stranger.configure(**settings, agent_token="second-token-of-agents")
    stranger.stop()
    starts()
    is_refused()
    is_refused()  # for good
    passwd = stranger.data / "server/cred/passwd"
    passwd.unlink()  # as the message says: that alone helps for one start
    starts()
    is_refused()
    passwd.unlink()
    starts()
    told = stranger.call("token", "rotate", f"--token={TOKEN}", f"--new-token={TOKEN}")
    assert told.returncode == 0, told.stderr
    # A member that is killed right after a write may not know yet that it was committed, and its copy drops it
    for name in (
        "one",
        "two",
    ):
        stranger.kubectl("create", "configmap", name)
    for _start in range(2):
        stranger.stop()
        starts()
    assert "second-token-of-agents" in passwd.read_text()
    stranger.stop()
    shutil.rmtree(stranger.data)


@needs_root
def test_a_new_encryption_key_is_compared_with_the_named_server(cluster: list[Host]) -> None:
    """With what that one has on disk, as before v1.32.3, and later where it cannot read etcd, as here without a
    majority (k3s-io/k3s#11844)."""
    first, second, *_others = cluster

    def again(host: Host) -> None:
        host.stop()
        host.start("server")
        host.wait_ready()

    first.kubectl("create", "secret", "generic", "of-the-test", "--from-literal=a=b")
    assert second.call("secrets-encrypt", "rotate-keys", seconds=120).returncode == 0
    wait_until(
        lambda: "reencrypt_finished" in second.call("secrets-encrypt", "status").stdout,
        seconds=120,
        what="the secrets have the new key",
    )
    # What is written last, a copy of a member that was killed may lack
    second.kubectl("create", "configmap", "after-the-key")
    second.stop()
    refused = second.call("server")
    assert refused.returncode == 1
    assert (
        "cred/encryption-config.json" in refused.stderr
        and "newer than datastore and could cause a cluster outage" in refused.stderr
    )
    second.configure(token=TOKEN, secrets_encryption=True)
    again(second)
    again(first)  # names no server
    for host in (first, second):
        assert json.loads(host.kubectl("get", "secret", "of-the-test", "-o", "json"))["data"] == {"a": "Yg=="}
    second.configure(server=f"https://{first.address}:6443", token=TOKEN, secrets_encryption=True)
    again(second)
    wait_until(
        lambda: "All hashes match" in second.call("secrets-encrypt", "status").stdout,
        seconds=60,
        what="both have the key",
    )


@needs_root
def test_a_snapshot_brings_back_what_was_deleted(cluster: list[Host]) -> None:
    """Reset to one server from a snapshot, which needs the token; the other one's data have to go.

    As k3s docs, cli/etcd-snapshot.md, have it.
    """
    first, second, _agent, stranger = cluster
    stranger.stop()
    first.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    assert first.call("etcd-snapshot", "save", "--name", "before").returncode == 0
    snapshot = next((first.data / "server/db/snapshots").glob("before-*"))
    first.kubectl("delete", "configmap", "kept")
    for host in (first, second):
        host.stop()
    reset = [
        "server",
        "--cluster-reset",
        f"--cluster-reset-restore-path=/var/lib/rancher/k3s/server/db/snapshots/{snapshot.name}",
    ]
    refused = first.call(*reset, "--token=wrong")
    assert "encrypted with different token" in refused.stderr
    done = first.call(*reset)
    assert done.returncode == 0, done.stderr
    assert "Managed etcd cluster membership has been reset" in done.stderr
    assert "cluster-reset was successfully performed, please remove the cluster-reset flag" in first.call(*reset).stderr
    first.start("server")
    first.wait_ready()
    assert "kept" in first.kubectl("get", "configmap", "-o", "name")
    shutil.rmtree(second.data / "server/db")
    second.start("server")
    second.wait_ready()
    wait_until(
        lambda: first.condition(second, "EtcdIsVoter") == "True MemberNotLearner",
        seconds=60,
        what="the second server is a voter again",
    )


@needs_root
def test_a_deleted_server_joins_again_at_its_next_start(cluster: list[Host]) -> None:
    """Its member goes with its Node; it stays up with a dead API, and the next start moves its data aside (k3s v1.35.5:
    pkg/etcd/etcd.go Register)."""
    first, second, *_others = cluster
    process, member = second.process, annotation(first, second, "node-name")
    assert process is not None
    first.kubectl("delete", "node", second.namespace, "--timeout=60s")
    tombstone = second.data / "server/db/etcd/tombstone"
    wait_until(tombstone.exists, seconds=60, what="the removed server knows it")
    wait_until(
        lambda: "This node has been removed from the cluster - please restart k3s" in second.log,
        seconds=120,
        what="it says so",
    )
    wait_until(first.is_ready, seconds=60, what="the other server answers alone")
    assert process.poll() is None
    assert second.kubectl("get", "--raw", "/readyz") != "ok"
    second.stop()
    second.configure(token=TOKEN, secrets_encryption=True)
    assert "tombstone file has been detected but --server is empty" in second.call("server").stderr
    second.configure(server=f"https://{first.address}:6443", token=TOKEN, secrets_encryption=True)
    second.start("server")
    second.wait_ready()
    wait_until(
        lambda: first.condition(second, "EtcdIsVoter") == "True MemberNotLearner",
        seconds=60,
        what="it is a voter again",
    )
    assert len(list((second.data / "server/db").glob("etcd-backup-*"))) == 1
    assert annotation(first, second, "node-name") not in ("", member)


@needs_root
def test_the_annotation_that_removes_a_member_stays(cluster: list[Host]) -> None:
    """The Node stays as well, without a member (k3s v1.35.5: pkg/etcd/member_controller.go)."""
    first, second, *_others = cluster
    member = annotation(first, second, "node-name")
    first.kubectl("annotate", "node", second.namespace, "etcd.k3s.cattle.io/remove=true")
    wait_until(
        lambda: annotation(first, second, "removed-node-name") == member, seconds=60, what="the member is removed"
    )
    assert annotation(first, second, "remove") == "true" and annotation(first, second, "node-name") == ""
    wait_until(
        lambda: first.condition(second, "EtcdIsVoter") == "False NotAMember", seconds=60, what="the condition says so"
    )
    second.stop()
    first.kubectl("delete", "node", second.namespace, "--timeout=60s")


def annotation(seen_by: Host, host: Host, name: str) -> str:
    metadata = seen_by.node(host).get("metadata")
    return (
        str((metadata.get("annotations") or {}).get(f"etcd.k3s.cattle.io/{name}", ""))
        if isinstance(metadata, dict)
        else ""
    )


@needs_root
def test_data_of_another_version_are_refused(cluster: list[Host]) -> None:
    """No downgrade, and no minor skipped (k3s docs: upgrades/manual.md)."""
    first = cluster[0]
    first.stop()
    file = first.data / "server" / "version"
    was = file.read_text()
    for other, message in (("v1.99.0+k3s1", "downgrade is not supported"), ("v1.30.4+k3s1", "skips a minor version")):
        file.write_text(other)
        assert message in first.call("server").stderr
    file.write_text(was)
    first.configure(token="another", secrets_encryption=True)
    assert "encrypted with different token" in first.call("server").stderr
