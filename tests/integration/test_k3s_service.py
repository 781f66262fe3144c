# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_service and managed_files on a real host: real systemd, real journal, real SSH; only k3s itself is played, by a
shell script.

What k3s does is the scenarios' business (molecule/), with the stand-in or a real binary.
"""

from __future__ import annotations

import collections.abc
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import inputs
from ansible_collections.wasmfaas.platform.tests.hosts import Environment, unavailable, write_inventory

from .support.playbooks import PlaybookRun, Playbooks

_reason = unavailable()
pytestmark = pytest.mark.skipif(bool(_reason), reason=_reason or "hosts can be made")

TOKEN = "a-very-secret-token"
K3S = """#!/bin/sh
case "$1" in
kubectl)
    for last; do :; done
    case "$last" in
    /readyz)
        [ -e /run/k3s-ready ] && echo ok ||
            { echo "Error from server (ServiceUnavailable): apiserver not ready" >&2; exit 1; } ;;
    /api/v1/nodes) cat /run/nodes.json 2>/dev/null || echo '{"items": []}' ;;
    esac ;;
server)
    rm -f /run/k3s-ready
    if grep -q wrong /etc/rancher/k3s/config.yaml; then
        token="$(cat /etc/rancher/k3s/token)"
        echo "level=fatal msg=\\"preparing server: failed to validate token: not authorized ($token)\\""
        exit 1
    fi
    touch /run/k3s-ready
    systemd-notify --ready
    exec sleep infinity ;;
esac
"""
TEMPLATE = Path(__file__).resolve().parents[2] / "roles/k3s/templates/k3s.service.j2"
CONDITIONS = "\n".join(
    line for line in TEMPLATE.read_text(encoding="utf-8").splitlines() if line.startswith("Condition")
)
UNIT = f"""[Unit]
{CONDITIONS}
[Service]
Type=notify
NotifyAccess=all
{inputs.exec_start_pre("k3s")}
ExecStart=/usr/local/bin/k3s server
Restart=always
RestartSec=10s
[Install]
WantedBy=multi-user.target
"""
OTHER_SERVER = {
    "metadata": {
        "name": "other",
        "labels": {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"},
    },
    "status": {"conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "EtcdIsVoter", "status": "True"}]},
}


class Server:
    """One host on which site.yml's two steps run: write the files, bring the service to them."""

    def __init__(self, directory: Path) -> None:
        self.environment = Environment.create(directory / "state", ["one"])
        self.playbooks = Playbooks(directory / "home")
        self.inventory = directory / "hosts.yml"
        self.playbook = directory / "play.yml"
        write_inventory(self.environment, {"k3s_server": ["one"]}, self.inventory)

    def site(self, *options: str, config: str = "a: 1", **service: t.Any) -> PlaybookRun:
        files: list[dict[str, t.Any]] = [
            {"path": "/usr/local/bin/k3s", "content": K3S, "mode": "0755"},
            {"path": "/etc/rancher/k3s/config.yaml", "content": config, "mode": "0600"},
            {"path": "/etc/rancher/k3s/token", "content": TOKEN, "secret": True},
            {"path": "/etc/systemd/system/k3s.service", "content": UNIT},
        ]
        tasks = [
            {"wasmfaas.platform.managed_files": {"files": files}},
            {
                "wasmfaas.platform.k3s_service": {
                    "unit": "k3s",
                    "node_name": "one",
                    "timeout": 60,
                    "gate_timeout": 2,
                    **service,
                }
            },
        ]
        self.playbook.write_text(
            yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
        )
        return self.playbooks.run(str(self.playbook), *options, inventory=str(self.inventory))

    def changed(self, *options: str, **arguments: t.Any) -> int:
        finished = self.site(*options, **arguments)
        assert finished.exit_code == 0, finished.output
        found = re.search(r"^one\s.* changed=(\d+) ", finished.output, re.MULTILINE)
        assert found is not None, finished.output
        return int(found[1])

    def process(self) -> str:
        return self.environment.run("one", "systemctl show -p MainPID --value k3s").stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> collections.abc.Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("service"))
    yield made
    made.environment.destroy()


def test_started_then_left_alone_then_restarted_by_need_only(server: Server) -> None:
    assert server.changed("--check") == 2
    assert server.changed() == 2
    process = server.process()
    assert int(process) > 0
    assert server.environment.run("one", "systemctl is-enabled k3s").stdout == "enabled\n"
    assert server.changed() == 0
    assert server.process() == process

    # A run that was cut off after it wrote, before it restarted.
    server.environment.run("one", "echo b: 2 > /etc/rancher/k3s/config.yaml; chmod 600 /etc/rancher/k3s/config.yaml")
    assert server.changed(config="b: 2\n") == 1
    assert server.process() != process
    assert server.changed(config="b: 2\n") == 0

    # Somebody restarts by hand: what runs is what is on the disk.
    server.environment.run("one", "echo c: 3 > /etc/rancher/k3s/config.yaml; systemctl restart k3s")
    assert server.changed(config="c: 3\n") == 0

    server.environment.run("one", "systemctl kill -s KILL k3s; systemctl stop k3s; systemctl disable k3s")
    assert server.changed(config="c: 3\n") == 1
    assert server.environment.run("one", "systemctl is-active k3s").stdout == "active\n"


def test_failure_names_the_cause_and_no_token_and_the_next_run_repairs(server: Server) -> None:
    server.changed()
    failed = server.site(config="wrong: true")
    assert failed.exit_code != 0
    text = " ".join(failed.output.split())
    assert "the cluster refused this host's token" in text
    assert "Next step: Use the token that the cluster was made with" in text
    assert "failed to validate token: not authorized ((secret))" in text
    assert TOKEN not in failed.output
    # Files and service; or systemd (Restart=always) started it with the new files before the role looked.
    assert server.changed() in (1, 2)
    assert server.changed() == 0


def test_restart_waits_for_the_other_servers(server: Server) -> None:
    server.changed()
    process = server.process()
    server.environment.run("one", "cat > /run/nodes.json", stdin=json.dumps({"items": [OTHER_SERVER]}))
    refused = server.site(config="d: 4")
    assert refused.exit_code != 0
    assert "other is not Ready" in refused.output
    assert server.process() == process
    server.environment.run("one", "rm /run/nodes.json")
    assert server.changed(config="d: 4") == 1
    assert server.process() != process


def test_a_server_that_the_cluster_removed_does_not_start(server: Server) -> None:
    """Not at a boot, not by systemd after its process has ended, and not by the module, which says why."""
    server.changed()
    tombstone = "/var/lib/rancher/k3s/server/db/etcd/tombstone"
    server.environment.run("one", f"mkdir -p {tombstone.rpartition('/')[0]}; touch {tombstone}")
    for way in ("systemctl kill --signal=KILL k3s", "systemctl start k3s"):
        server.environment.run(
            "one",
            f"{way}; timeout 60 sh -c 'until systemctl show -p ActiveState k3s | grep -q =inactive; do sleep 0.5; "
            "done'",
        )
    shown = server.environment.run("one", "systemctl show -p ActiveState -p ConditionResult k3s").stdout
    assert sorted(shown.split()) == ["ActiveState=inactive", "ConditionResult=no"]
    refused = server.site()
    text = " ".join(refused.output.split())
    assert refused.exit_code != 0
    assert (
        "k3s on one is not started: the cluster removed this server" in text
        and "wasmfaas.platform.remove_node -e node=one" in text
    )
    # With it, this module would wait for a vote that nobody plays here
    server.environment.run("one", "rm -r /var/lib/rancher/k3s/server/db")
    assert server.changed() == 1
