# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rotate.yml on three servers and an agent: what it leaves must outlast a power cut, and what keeps servers from
starting has a way out.

One cluster for all tests of this file, in their order.
"""

from __future__ import annotations

import collections.abc
import functools
import signal
import time
from pathlib import Path

import pytest

from tests import hosts

from .cluster import Cluster, condition
from .conftest import NAMES, cluster_of, wipe_all
from .test_cut_off import CALLBACK

SERVERS = NAMES[:3]
WAIT_SECONDS = 240.0
REFUSED = "server/cred/passwd newer than datastore and could cause a cluster outage"
REPAIR = "wasmfaas.platform.rotate -e what=repair"
NOW = ("-e", "rotate_minimum_age=0")
RENEW = "wasmfaas.platform.rotate -e what=certificates"
LEAF_SECONDS = 45
"""Longer than servers take to start, also on a slow machine that runs other tests."""


@pytest.fixture(scope="module")
def cluster(environment: hosts.Environment, k3s: Path, tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    wipe_all(environment)
    made = cluster_of(environment, k3s, tmp_path_factory.mktemp("rotate"))
    made.variables |= {
        "k3s_server_config": {"secrets-encryption": True},
        "k3s_backup_directory": str(made.directory / "backups"),
    }
    made.play("site.yml").succeeded()
    environment.run("server1", "k3s kubectl create secret generic of-the-test --from-literal=a=b")
    return made


def until(what: str, holds: collections.abc.Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(1)


def shown(cluster: Cluster, server: str, command: str) -> str:
    return cluster.environment.run(server, f"{command} 2>&1 || true").stdout


def is_ready(cluster: Cluster, server: str) -> bool:
    return shown(cluster, server, "k3s kubectl get --raw /readyz") == "ok"


def come_back(cluster: Cluster) -> None:
    """Wait until all servers are ready and voters, and check that each reads a Secret."""
    for server in SERVERS:
        until(f"{server} is ready", functools.partial(is_ready, cluster, server))
    until(
        "all are voters",
        lambda: all(condition(cluster.nodes("server1")[server], "EtcdIsVoter") == "True" for server in SERVERS),
    )
    for server in SERVERS:
        assert cluster.kubectl(server, "get", "secret", "of-the-test")["data"] == {"a": "Yg=="}


def power_cut(cluster: Cluster) -> None:
    """Cut the power of all servers at once, and boot them."""
    for server in SERVERS:
        cluster.environment.kill(server)
    cluster.environment.boot(*SERVERS)


def restart(cluster: Cluster, *servers: str) -> None:
    for server in servers:
        cluster.environment.run(server, "systemctl restart k3s")
        come_back(cluster)


def outlasts(cluster: Cluster) -> None:
    """All servers become ready again after a power cut of all."""
    power_cut(cluster)
    come_back(cluster)


def served_from(cluster: Cluster, source: str) -> None:
    """Choose what the stand-in's servers give each other (tests/k3s_double/reconcile.go) from their next start until
    the next boot."""
    for server in SERVERS:
        cluster.environment.run(server, f"systemctl set-environment K3S_DOUBLE_BOOTSTRAP_FROM={source}")


def give_agent_token(cluster: Cluster, token: str) -> None:
    """Change the agents' token by hand in its file. Each server starts with it once, but etcd does not store it."""
    for server in SERVERS:
        cluster.environment.run(server, f"umask 077; echo {token} > /etc/rancher/k3s/agent-token")
    restart(cluster, *SERVERS)


def refuses(cluster: Cluster, server: str) -> bool:
    return REFUSED in shown(
        cluster, server, "journalctl --boot -u k3s -o cat --no-pager | grep level=fatal | tail -n 1"
    )


def end_soon(cluster: Cluster, *names: str) -> None:
    """Restart k3s with new certificates, which end soon. Its next start makes ones that last."""
    for name in names:
        cluster.environment.run(
            name,
            f"systemctl set-environment K3S_DOUBLE_LEAF_SECONDS={LEAF_SECONDS}; "
            f"systemctl stop k3s; k3s certificate rotate; systemctl start --no-block k3s",
        )
    for name in names:
        until(f"{name} restarts", functools.partial(has_short_certificates, cluster, name))
        cluster.environment.run(name, "systemctl unset-environment K3S_DOUBLE_LEAF_SECONDS")


def has_short_certificates(cluster: Cluster, name: str) -> bool:
    """Whether k3s has restarted since `end_soon`."""
    process = "/proc/$(systemctl show -P MainPID k3s)"
    return shown(cluster, name, f"grep -cs K3S_DOUBLE_LEAF_SECONDS {process}/environ").strip() == "1"


def has_ended(cluster: Cluster, name: str) -> bool:
    return "has expired" in shown(cluster, name, "k3s certificate check 2>&1 | grep server/tls/client-admin.crt")


def test_certificates_that_have_ended_are_renewed_by_one_command(cluster: Cluster) -> None:
    """Of a majority of the servers, so that nothing answers. No playbook leads in a circle."""
    end_soon(cluster, *SERVERS)
    until("two have ended", lambda: sum(has_ended(cluster, server) for server in SERVERS) >= 2)
    for playbook in ("wasmfaas.platform.doctor", "site.yml"):
        run = cluster.play(playbook)
        assert run.exit_code != 0 and RENEW in run.output, run.output[-3000:]
    cluster.play("wasmfaas.platform.rotate", "-e", "what=certificates").succeeded()
    come_back(cluster)
    cluster.play("wasmfaas.platform.rotate", "-e", "what=certificates").unchanged()
    cluster.play("site.yml").unchanged()


def test_new_tokens_outlast_a_power_cut(cluster: Cluster) -> None:
    cluster.play("wasmfaas.platform.rotate", "-e", "what=tokens", *NOW).succeeded()
    outlasts(cluster)
    restart(cluster, "server2")
    assert condition(cluster.nodes("server1")["agent1"], "Ready") == "True"
    cluster.play("site.yml", "-e", "k3s_agent_token=only-for-a-new-cluster").unchanged()


def test_a_new_encryption_key_reaches_all_servers(cluster: Cluster) -> None:
    cluster.play("wasmfaas.platform.rotate", "-e", "what=encryption-key", *NOW).succeeded()
    come_back(cluster)
    for server in SERVERS:
        files = shown(
            cluster, server, "ls /etc/rancher/k3s/config.yaml.d; grep ^server: /etc/rancher/k3s/config.yaml.d/join.yaml"
        )
        assert files.split()[0] == "join.yaml" and "server: https://" in files and "whole" not in files
    outlasts(cluster)
    assert list((cluster.directory / "backups").iterdir()), "the backup from before the rotation"


def test_site_yml_repairs_a_server_that_cannot_start(cluster: Cluster) -> None:
    """A server with an agents' token that was changed by hand starts once, but not a second time."""
    served_from(cluster, "datastore")
    give_agent_token(cluster, "another-token-of-the-agents")
    cluster.environment.run("server2", "systemctl restart --no-block k3s")
    until("server2 is refused", lambda: refuses(cluster, "server2"))
    doctor = cluster.play("wasmfaas.platform.doctor")
    assert doctor.exit_code != 0 and doctor.output.count(REPAIR) >= len(SERVERS)
    assert (
        "[tokens-not-stored]" in doctor.output
        and "[k3s-not-running]" in doctor.output
        and "server/cred/passwd" in doctor.output
    )
    cluster.play("site.yml").succeeded()
    outlasts(cluster)


def test_repair_works_when_no_server_can_start(cluster: Cluster) -> None:
    give_agent_token(cluster, "a-third-token-of-the-agents")
    power_cut(cluster)
    until("none of them starts", lambda: all(refuses(cluster, server) for server in SERVERS))
    doctor = cluster.play("wasmfaas.platform.doctor")
    assert doctor.exit_code != 0 and doctor.output.count(REPAIR) >= len(SERVERS)
    cluster.play("wasmfaas.platform.rotate", "-e", "what=repair").succeeded()
    outlasts(cluster)
    cluster.play("wasmfaas.platform.rotate", "-e", "what=repair").unchanged()


def test_a_rotation_that_was_cut_off_continues(cluster: Cluster) -> None:
    """The cluster has the new tokens, but no server's files have them, and one server restarts at this moment."""
    environment = {
        **CALLBACK,
        "CUT_OFF_TASKS": str(cluster.directory / "tasks"),
        "CUT_OFF_NAME": "Use them from each server's next start on",
    }
    assert (
        cluster.play("wasmfaas.platform.rotate", "-e", "what=tokens", *NOW, environment=environment).exit_code
        == -signal.SIGKILL
    )
    cluster.environment.run("server3", "systemctl restart --no-block k3s")
    until("server3 is refused", lambda: refuses(cluster, "server3"))
    cluster.play("wasmfaas.platform.rotate", "-e", "what=tokens", *NOW).succeeded()
    outlasts(cluster)
    assert condition(cluster.nodes("server1")["agent1"], "Ready") == "True"
    cluster.play("wasmfaas.platform.rotate", "-e", "what=tokens").unchanged()
