# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting, restarting and waiting for k3s, with a systemd and a cluster that are played."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s import paths
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host import inputs, journal
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host.service import Options, Service
from ansible_collections.wasmfaas.platform.plugins.module_utils.kubernetes.kubectl import Kubectl

REFUSED = 'level=fatal msg="starting kubernetes: preparing server: failed to validate token: not authorized"'
NOT_READY = Completed(1, "", "Error from server (ServiceUnavailable): apiserver not ready")


def node(
    name: str,
    *,
    ready: str = "True",
    voter: str = "True",
    reason: str = "MemberIsLearner",
    message: str = "",
    server: bool = True,
) -> dict[str, t.Any]:
    labels = {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true"} if server else {}
    conditions = [
        {"type": "Ready", "status": ready, "reason": "R", "message": message},
        {"type": "EtcdIsVoter", "status": voter, "reason": reason},
    ]
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {"conditions": conditions if server else conditions[:1]},
    }


class Host:
    """A host's systemd, files and cluster. `after_start` says what the unit becomes, look by look."""

    def __init__(self, root: Path, unit: str = "k3s") -> None:
        self.root, self.unit = root, unit
        self.properties = {
            "LoadState": "loaded",
            "ActiveState": "inactive",
            "SubState": "dead",
            "UnitFileState": "enabled",
            "NeedDaemonReload": "no",
        }
        self.properties |= {"NRestarts": "0", "Result": "success", "InvocationID": "first"}
        self.after_start = [{"ActiveState": "active", "SubState": "running"}]
        self.commands: list[str] = []
        self.log = ""
        self.nodes = [node("server-1")]
        self.api = Completed(0, "ok", "")
        self.slept = 0.0
        self.asked = False
        self.write(f"{paths.UNIT_DIRECTORY}/{unit}.service", "unit")
        self.write(paths.CONFIG, "a: 1")
        (root / paths.ETCD_DIRECTORY[1:]).mkdir(parents=True)

    def write(self, path: str, content: str) -> None:
        (self.root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path[1:]).write_text(content, encoding="utf-8")

    def record(self) -> None:
        found = inputs.current(self.unit, root=str(self.root))
        self.write(inputs.record_path(self.unit), "".join(f"{digest}  {path}\n" for path, digest in found.items()))

    def running(self) -> Host:
        self.properties |= {"ActiveState": "active", "SubState": "running"}
        self.record()
        return self

    def command(self, arguments: list[str], **_options: t.Any) -> Completed:
        if arguments[0] == "journalctl":
            return Completed(0, self.log, "")
        if arguments[1] == "show":
            if self.asked and self.after_start:
                self.properties |= self.after_start.pop(0) if len(self.after_start) > 1 else self.after_start[0]
            return Completed(0, "".join(f"{key}={value}\n" for key, value in self.properties.items()), "")
        self.commands.append(" ".join(arguments[1:]))
        if arguments[1] in {"start", "restart"}:
            self.asked = True
            self.properties["InvocationID"] = "second"
            self.record()
        return Completed(0, "", "")

    def kubectl(self, _program: str, *, kubeconfig: str = "") -> Kubectl:
        def run(arguments: list[str], _input: str | None) -> Completed:
            path = arguments[-1]
            if self.api.exit_code != 0 or path == "/readyz":
                return self.api
            if path == "/api/v1/nodes":
                return Completed(0, json.dumps({"items": self.nodes}), "")
            found = [entry for entry in self.nodes if entry["metadata"]["name"] == path.rpartition("/")[2]]
            return (
                Completed(0, json.dumps(found[0]), "")
                if found
                else Completed(1, "", f'Error from server (NotFound): nodes "{path}" not found')
            )

        return Kubectl(run)

    def service(self, **options: t.Any) -> Service:
        def sleep(seconds: float) -> None:
            self.slept += seconds

        made = Options(unit=self.unit, node_name="server-1", **{"timeout": 0.02, "gate_timeout": 0.02, **options})
        return Service(
            made,
            command=self.command,
            kubectl=self.kubectl,
            root=str(self.root),
            sleep=sleep,
            secrets={"the-token-itself"},
        )

    def manage(self, *, check_mode: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return self.service(**options).manage(check_mode=check_mode)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def agent(tmp_path: Path) -> Host:
    made = Host(tmp_path, "k3s-agent")
    made.write(paths.KUBELET_KUBECONFIG, "kubeconfig")
    return made


def test_stopped_unit_is_started_and_enabled(host: Host) -> None:
    host.properties |= {"UnitFileState": "disabled", "NeedDaemonReload": "yes"}
    foretold = host.manage(check_mode=True)
    assert (foretold["changed"], foretold["started"], host.commands) == (True, True, [])
    done = host.manage()
    assert host.commands == ["daemon-reload", "enable k3s.service", "start --no-block k3s.service"]
    assert (done["changed"], done["started"], done["restarted"], done["stale_inputs"]) == (True, True, False, [])


def test_running_unit_with_its_files_is_left_alone(host: Host) -> None:
    assert host.running().manage() == {
        **host.manage(),
        "changed": False,
        "reasons": [],
        "started": False,
        "restarted": False,
    }
    assert host.commands == []


def test_running_unit_with_other_files_is_restarted_once(host: Host) -> None:
    host.running().write(paths.CONFIG, "a: 2")
    assert host.manage(check_mode=True)["restarted"] is True
    assert host.manage(state="started")["stale_inputs"] == [paths.CONFIG]
    done = host.manage()
    assert (done["restarted"], done["reasons"]) == (True, [f"{paths.CONFIG} changed since it was started"])
    assert host.commands == ["restart --no-block k3s.service"]
    assert host.manage()["changed"] is False


def test_restart_is_foretold_where_files_would_change(host: Host) -> None:
    assert host.running().manage(check_mode=True, pending=True)["restarted"] is True


def test_a_restart_that_is_asked_for_needs_no_changed_files(host: Host) -> None:
    host.running()
    done = host.manage(state="restarted")
    assert (done["restarted"], done["reasons"]) == (True, ["a restart was asked for"])
    assert host.commands == ["restart --no-block k3s.service"]


def test_a_restart_is_noted_until_k3s_starts(host: Host) -> None:
    host.running()
    assert host.manage(state="restart_due", check_mode=True)["changed"] is True
    assert host.manage()["changed"] is False, "a check notes nothing"
    assert host.manage(state="restart_due")["changed"] is True
    assert host.manage(state="restart_due")["changed"] is False
    assert host.commands == [], "nothing happens now"
    assert host.manage()["restarted"] is True
    assert host.manage()["changed"] is False


def test_a_stopped_unit_needs_no_note(host: Host) -> None:
    assert host.manage(state="restart_due")["changed"] is False


def test_failed_unit_is_reset_first(host: Host) -> None:
    host.properties["ActiveState"] = "failed"
    host.manage()
    assert host.commands == ["reset-failed k3s.service", "start --no-block k3s.service"]


def test_all_of_a_stopped_cluster_start_without_waiting(host: Host) -> None:
    host.api = NOT_READY
    host.after_start = [{"ActiveState": "activating", "SubState": "start"}]
    assert host.manage(wait=False)["started"] is True
    assert host.manage(wait=False)["changed"] is False


JOIN = "token-file: /etc/rancher/k3s/token\nserver: https://10.0.0.1:6443\nnode-label:\n- server=no\n"


def test_a_server_that_starts_alone_names_no_server_until_it_works(host: Host) -> None:
    """Its join.yaml is as before afterwards, also where an earlier run was cut off."""
    join, aside = (host.root / path[1:] for path in (paths.JOIN_CONFIG, paths.JOIN_ASIDE))
    host.write(paths.JOIN_CONFIG, JOIN)
    host.running().write(paths.CONFIG, "a: 2")
    assert host.manage(alone=True, check_mode=True)["restarted"] and join.read_text() == JOIN
    seen = []
    command = host.command

    def look(arguments: list[str], **options: t.Any) -> Completed:
        if arguments[1] == "restart":
            seen.append(join.read_text())
        return command(arguments, **options)

    host.command = look  # type: ignore[method-assign]
    assert host.manage(alone=True)["restarted"]
    assert seen == ["token-file: /etc/rancher/k3s/token\nnode-label:\n- server=no\n"]
    assert join.read_text() == JOIN and not aside.exists()
    assert host.manage(alone=True)["changed"] is False, "join.yaml asks for no restart"
    aside.write_text(JOIN)
    join.write_text(seen[0])
    assert host.manage()["changed"] is False and join.read_text() == JOIN and not aside.exists()
    aside.write_text(JOIN)
    join.write_text("server: https://10.0.0.2:6443\n")
    host.manage()
    assert join.read_text() == "server: https://10.0.0.2:6443\n" and not aside.exists(), (
        "site.yml has named another server since"
    )


def test_where_it_does_not_start_alone_it_stays_so_for_its_next_try(host: Host) -> None:
    host.write(paths.JOIN_CONFIG, JOIN)
    host.api = NOT_READY
    with pytest.raises(PlatformError):
        host.manage(alone=True)
    assert "server: https" not in (host.root / paths.JOIN_CONFIG[1:]).read_text()
    host.api = Completed(0, "ok", "")
    host.manage(alone=True)
    assert (host.root / paths.JOIN_CONFIG[1:]).read_text() == JOIN


def test_files_that_are_newer_than_in_etcd_have_a_way_out() -> None:
    fatal = (
        'level=fatal msg="{}/cred/{} newer than datastore and could cause a cluster outage. Remove the file(s) '
        'from disk"'
    )
    for files, step in (
        ("passwd", "what=repair"),
        ("encryption-config.json, /x/cred/encryption-state.json", "wasmfaas.platform.restore"),
    ):
        rule = journal.matching_rule(fatal.format(paths.SERVER_DIRECTORY, files))
        assert rule is not None and rule.final and step in rule.next_step and "what=repair" in rule.next_step


def test_stopping(host: Host) -> None:
    assert host.manage(state="stopped")["changed"] is False
    assert host.running().manage(state="stopped")["stopped"] is True
    assert host.commands == ["stop k3s.service"]


def test_unit_that_is_not_there(host: Host) -> None:
    host.properties["LoadState"] = "not-found"
    assert host.manage(state="stopped", check_mode=True)["started"] is False
    (host.root / f"{paths.UNIT_DIRECTORY}/k3s.service"[1:]).unlink()
    assert host.manage(state="stopped")["changed"] is False
    assert host.manage(check_mode=True)["started"] is True
    with pytest.raises(PlatformError, match="no unit k3s"):
        host.manage()
    host.properties |= {"LoadState": "masked", "UnitFileState": "masked"}
    with pytest.raises(PlatformError, match="systemctl unmask k3s"):
        host.manage()


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([node("server-2", ready="Unknown")], "server-2 is not Ready"),
        ([node("server-2"), node("server-3", voter="False")], "server-3 is no voter of etcd"),
        (
            [node("server-2"), node("server-3", voter="False", reason="Unhealthy")],
            "server-3 has an etcd member that is not healthy",
        ),
        ([node("server-2", ready="False", message="kubelet is sick")], "kubelet is sick"),
    ],
)
def test_server_is_not_restarted_while_another_is_ill(host: Host, others: list[dict[str, t.Any]], said: str) -> None:
    host.running().write(paths.CONFIG, "a: 2")
    host.nodes += others
    with pytest.raises(PlatformError, match=said):
        host.manage()
    assert host.commands == []
    assert host.manage(gate=False)["restarted"] is True


@pytest.mark.parametrize(
    "others",
    [
        [node("server-2"), node("server-3")],
        [node("agent-1", ready="Unknown", server=False)],
        [
            node(
                "server-2",
                ready="False",
                message="container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady",
            )
        ],
    ],
)
def test_server_is_restarted_while_all_others_are_well(host: Host, others: list[dict[str, t.Any]]) -> None:
    host.running().write(paths.CONFIG, "a: 2")
    host.nodes = [node("server-1", ready="Unknown"), *others]
    assert host.manage()["restarted"] is True


def test_server_is_not_restarted_where_the_others_can_not_be_asked(host: Host) -> None:
    host.running().write(paths.CONFIG, "a: 2")
    host.api = NOT_READY
    with pytest.raises(PlatformError, match="was left as it is"):
        host.manage()
    assert host.commands == []


def test_server_that_is_only_starting_passes_no_gate(host: Host) -> None:
    """With wrong files it would start for ever."""
    host.running().write(paths.CONFIG, "a: 2")
    host.properties["ActiveState"] = "activating"
    host.nodes.append(node("server-2", ready="Unknown"))
    assert host.manage()["restarted"] is True


def test_waits_for_the_vote_of_a_joining_server(host: Host) -> None:
    host.nodes = [node("server-1", voter="False")]
    with pytest.raises(PlatformError, match=r"its etcd member does not vote yet \(MemberIsLearner\)"):
        host.manage()
    host.nodes = []
    with pytest.raises(PlatformError, match="not found"):
        host.manage()


def test_old_process_does_not_count_as_ready(host: Host) -> None:
    """Right after the restart was asked for, the old one is still active and answers."""
    host.running().write(paths.CONFIG, "a: 2")
    host.after_start = [{"InvocationID": "first"}] * 3 + [{"InvocationID": "second"}]
    assert host.manage(timeout=5)["restarted"] is True
    assert host.slept > 0


def test_agent_is_ready_when_its_node_is_registered(agent: Host) -> None:
    agent.nodes = []
    with pytest.raises(PlatformError, match="not found"):
        agent.manage()
    agent.nodes = [node("server-1", ready="False", server=False)]
    assert agent.manage()["changed"] is False
    (agent.root / paths.KUBELET_KUBECONFIG[1:]).unlink()
    with pytest.raises(PlatformError, match="kubelet's credentials"):
        agent.manage()


def test_refused_token_ends_the_wait_at_once_and_is_not_shown(host: Host) -> None:
    host.after_start = [{"ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "4"}]
    host.log = f"token=the-token-itself\nK10{'a' * 64}::server:password1\n{REFUSED}\n"
    with pytest.raises(PlatformError, match="the cluster refused this host's token") as caught:
        host.manage(timeout=3600)
    assert host.slept < 60
    assert "k3s_token" in caught.value.next_step
    shown = "\n".join(caught.value.facts["journal"])
    assert REFUSED in shown
    assert "the-token-itself" not in shown
    assert "password1" not in shown


def test_unknown_cause_shows_the_end_of_the_journal(host: Host) -> None:
    host.after_start = [{"ActiveState": "failed", "SubState": "failed"}]
    host.log = "\n".join(f"line {number}" for number in range(100))
    with pytest.raises(PlatformError, match="did not become ready") as caught:
        host.manage(timeout=3600)
    assert caught.value.facts["journal"] == [f"line {number}" for number in range(80, 100)]
    assert host.slept < 60


def test_start_that_leaves_no_record_warns(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "record", lambda: None)
    assert "ExecStartPre" in host.manage()["warnings"][0]


def test_a_server_that_the_cluster_removed_is_not_started(host: Host) -> None:
    """Its unit's condition would keep systemd from it without a word, and k3s alone would join the cluster again."""
    host.write(paths.TOMBSTONE, "")
    with pytest.raises(PlatformError, match="the cluster removed this server") as caught:
        host.manage()
    assert "wasmfaas.platform.remove_node -e node=server-1" in caught.value.next_step
    assert host.commands == []


def test_refusals_of_another_host_do_not_end_the_wait(host: Host) -> None:
    """One forgotten agent with an old password: the server that restarts meanwhile logs it at level error, and becomes
    ready all the same."""
    host.running().write(paths.CONFIG, "a: 2")
    host.log = (
        'level=error msg="Failed to authenticate request from 10.0.0.9:55928: invalid username/password combination"\n'
        'level=error msg="Sending HTTP/1.1 401 response to 10.0.0.9:55928: not authorized"\n'
        'level=error msg="Sending HTTP/2.0 403 response to 10.0.0.9:5: unable to verify password for node worker-9: '
        'hash does not match"\n'
    )
    host.after_start = [{"ActiveState": "activating"}] * 8 + [{"ActiveState": "active", "SubState": "running"}]
    assert host.manage(timeout=30)["restarted"] is True
