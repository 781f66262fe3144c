# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit of k3s: starts it, restarts it when its files have changed since it started, and waits until it
works."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import socket
import time
import typing as t

from ...errors import PlatformError
from ...host import whole_file
from ...host.commands import Completed, run_command
from ...host.waiting import wait_for
from ...kubernetes.kubectl import ApiProblem, Kubectl, host_kubectl
from .. import paths
from ..nodes import node_state
from . import inputs, journal

PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "NeedDaemonReload",
    "NRestarts",
    "Result",
    "InvocationID",
)
FINAL_AFTER_LOOKS = 3
"""How many polls in a row must show a fatal cause before it is reported: its message may come from the attempt
before."""
JOURNAL_BEFORE_SECONDS = 120
SERVER_LINE = re.compile(r"^[\"']?server[\"']?[ \t]*:.*\n?", re.MULTILINE)
JOURNAL_LINES = 200

UNCHANGED: dict[str, t.Any] = {
    "changed": False,
    "started": False,
    "restarted": False,
    "stopped": False,
    "reasons": [],
    "stale_inputs": [],
    "seconds": 0.0,
}
"""The module's result where nothing is done."""

Command = t.Callable[..., Completed]


@dataclasses.dataclass(frozen=True)
class Options:
    """The module's options. `pending`, in check mode, says that earlier tasks would have changed files."""

    unit: str
    state: str = "restarted_if_stale"
    wait: bool = True
    timeout: float = 300
    node_name: str = ""
    gate: bool = True
    gate_timeout: float = 60
    pending: bool = False
    alone: bool = False


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_service`: its options to its result."""
    options = Options(
        unit=parameters["unit"],
        state=parameters["state"],
        wait=parameters["wait"],
        timeout=parameters["timeout"],
        node_name=parameters.get("node_name") or "",
        gate=parameters["gate"],
        gate_timeout=parameters["gate_timeout"],
        pending=parameters["pending"],
        alone=parameters["alone"],
    )
    secrets = journal.host_secrets()
    hidden.update(secret for secret in secrets if len(secret) >= 6)
    return Service(options, program=parameters["k3s_program"], secrets=secrets).manage(check_mode=check_mode)


class Service:
    """One of the units `k3s` and `k3s-agent` of this host."""

    def __init__(
        self,
        options: Options,
        *,
        program: str = paths.K3S_PROGRAM,
        secrets: t.Iterable[str] = (),
        command: Command = run_command,
        kubectl: t.Callable[..., Kubectl] = host_kubectl,
        root: str = "",
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.options = options
        self.unit = options.unit
        self.node = options.node_name or socket.gethostname().lower()
        self.secrets = set(secrets)
        self._command = command
        self._root = root
        self._sleep = sleep
        self._server_api = kubectl(program)
        self._kubelet_api = kubectl(program, kubeconfig=root + paths.KUBELET_KUBECONFIG)
        self._last_problem = ""
        self._final_looks = 0

    def manage(self, *, check_mode: bool) -> dict[str, t.Any]:
        """Bring the unit to its state; the module's result.

        Raises:
            PlatformError: it does not reach that state; the error has the cause from the journal.
        """
        begin = time.monotonic()
        now = self.show()
        if self._not_loaded(now):
            return self._missing(check_mode)
        if now["UnitFileState"] == "masked":
            raise PlatformError(
                f"The unit {self.unit} is masked.", next_step=f"Unmask it: systemctl unmask {self.unit}"
            )
        if self.options.state == "restart_due":
            return self._note_restart(now, check_mode)
        action, reasons = self._decide(now)
        enable = self.options.state != "stopped" and now["UnitFileState"] not in {
            "enabled",
            "enabled-runtime",
            "static",
            "alias",
            "indirect",
            "generated",
        }
        if enable:
            reasons.append("it was not enabled")
        began = time.time()
        if action in {"start", "restart"}:
            self._refuse_removed()
        if not check_mode:
            if self.options.alone and action in {"start", "restart"}:
                self._leave_out_server()
            self._do(action, now, enable=enable)
            if self.options.state != "stopped" and self.options.wait:
                self._wait(now["InvocationID"] if action == "restart" else "", began, acted=bool(action))
                self._put_server_back()
        left = (
            inputs.stale(self.unit, root=self._root)
            if not check_mode and self.options.state != "stopped" and self.options.wait
            else []
        )
        result: dict[str, t.Any] = {
            "changed": bool(action) or enable,
            "started": action == "start",
            "restarted": action == "restart",
            "stopped": action == "stop",
            "reasons": reasons,
            "stale_inputs": left,
            "seconds": round(time.monotonic() - begin, 1),
        }
        if action in {"start", "restart"} and left:
            record = inputs.record_path(self.unit)
            result["warnings"] = [
                (
                    f"{record} does not tell what {self.unit} was started with, so the next run restarts it again: see "
                    "its ExecStartPre."
                )
            ]
        return result

    def show(self) -> dict[str, str]:
        """The unit's properties as systemd has them."""
        completed = self._command(["systemctl", "show", f"{self.unit}.service", f"--property={','.join(PROPERTIES)}"])
        if completed.exit_code != 0:
            raise PlatformError(
                f"systemd does not answer: {completed.error.strip() or completed.output.strip()}.",
                next_step="See: systemctl status",
            )
        found = dict(line.split("=", 1) for line in completed.output.splitlines() if "=" in line)
        return {name: found.get(name, "") for name in PROPERTIES}

    def _note_restart(self, now: dict[str, str], check_mode: bool) -> dict[str, t.Any]:
        """Make the next `restarted_if_stale` restart it; the note lasts until k3s starts, whoever starts it."""
        due = self._runs(now) and inputs.recorded(self.unit, root=self._root) is not None
        if due and not check_mode:
            inputs.forget(self.unit, root=self._root)
        return {**UNCHANGED, "changed": due, "reasons": ["a restart is due"] if due else []}

    def _not_loaded(self, now: dict[str, str]) -> bool:
        exists = os.path.exists(f"{self._root}{paths.UNIT_DIRECTORY}/{self.unit}.service")
        return now["LoadState"] == "not-found" and not exists

    def _missing(self, check_mode: bool) -> dict[str, t.Any]:
        if self.options.state in {"stopped", "restart_due"}:
            return dict(UNCHANGED)
        if check_mode:
            return {**UNCHANGED, "changed": True, "started": True, "reasons": ["it is not installed yet"]}
        raise PlatformError(f"There is no unit {self.unit} on this host.", next_step="Run site.yml, which installs it.")

    @staticmethod
    def _runs(now: dict[str, str]) -> bool:
        return now["ActiveState"] in {"active", "reloading", "activating"}

    def _decide(self, now: dict[str, str]) -> tuple[str, list[str]]:
        """What to do (start, restart, stop or nothing), and why."""
        running = self._runs(now)
        if self.options.state == "stopped":
            return ("stop", ["it was running"]) if running or now["ActiveState"] == "deactivating" else ("", [])
        if not running:
            return "start", [f"it was {now['ActiveState'] or 'not running'}"]
        if self.options.state == "restarted":
            return "restart", ["a restart was asked for"]
        stale = inputs.stale(self.unit, root=self._root)
        if self.options.state != "restarted_if_stale":
            return "", []
        if stale:
            return "restart", [f"{path} changed since it was started" for path in stale]
        return ("restart", ["its files would change"]) if self.options.pending else ("", [])

    def _refuse_removed(self) -> None:
        """Refuse to start a server that the cluster removed. systemd would skip the unit silently, by its condition."""
        if self.unit == paths.SERVER_UNIT and os.path.exists(self._root + paths.TOMBSTONE):
            raise PlatformError(
                f"{self.unit} on {self.node} is not started: {journal.REMOVED} ({paths.TOMBSTONE}).",
                next_step=journal.REMOVED_STEP.replace("NAME", self.node),
            )

    def _do(self, action: str, now: dict[str, str], *, enable: bool) -> None:
        if (
            action == "restart"
            and self.options.gate
            and self.unit == paths.SERVER_UNIT
            and now["ActiveState"] == "active"
        ):
            self.pass_gate()
        if now["NeedDaemonReload"] == "yes" or now["LoadState"] == "not-found":
            self._systemctl("daemon-reload")
        if enable:
            self._systemctl("enable", f"{self.unit}.service")
        if now["ActiveState"] == "failed" and action == "start":
            self._systemctl("reset-failed", f"{self.unit}.service")
        if action == "stop":
            self._systemctl("stop", f"{self.unit}.service", seconds=self.options.timeout)
        elif action:
            self._systemctl(action, "--no-block", f"{self.unit}.service")

    def _leave_out_server(self) -> None:
        """Take the line `server` out of join.yaml until k3s works.

        A server with data compares its shared files with those of the server that is named there, on some releases with
        what that one has on disk, and without the line with its own copy of etcd (k3s v1.36.3:
        pkg/cluster/bootstrap.go, Bootstrap).
        """
        file, aside = self._root + paths.JOIN_CONFIG, self._root + paths.JOIN_ASIDE
        with contextlib.suppress(FileNotFoundError):
            with open(file, encoding="utf-8") as opened:
                text = opened.read()
            without = SERVER_LINE.sub("", text)
            if without != text:
                whole_file.write(aside, text, durable=True)
                whole_file.write(file, without, durable=True)

    def _put_server_back(self) -> None:
        """Restore the line, also after a run that was cut off. A server that site.yml has named since then stays."""
        file, aside = self._root + paths.JOIN_CONFIG, self._root + paths.JOIN_ASIDE
        if self.unit != paths.SERVER_UNIT or not os.path.exists(aside):
            return
        present = ""
        with contextlib.suppress(FileNotFoundError), open(file, encoding="utf-8") as opened:
            present = opened.read()
        if SERVER_LINE.search(present):
            os.unlink(aside)
        else:
            os.replace(aside, file)

    def _systemctl(self, *arguments: str, seconds: float = 60) -> None:
        completed = self._command(["systemctl", *arguments], seconds=seconds)
        if completed.exit_code != 0:
            raise PlatformError(
                f"systemctl {' '.join(arguments)} failed: {completed.error.strip() or completed.output.strip()}.",
                next_step=f"See on the host: systemctl status {self.unit}; journalctl -u {self.unit} -n 50",
                facts={"journal": self._journal(time.time() - JOURNAL_BEFORE_SECONDS)[1]},
            )

    def pass_gate(self) -> None:
        """Wait until every other server is healthy: with this one down, no other may be missing.

        Raises:
            PlatformError: one is not, or the API does not answer.
        """
        problems: list[str] = ["the API did not answer"]

        def all_healthy() -> bool:
            try:
                nodes = self._server_api.get(node_state.NODES).get("items") or []
            except ApiProblem as problem:
                problems[:] = [problem.cause]
                return False
            others = [node for node in nodes if node_state.is_server(node) and node_state.name_of(node) != self.node]
            problems[:] = [why for why in map(node_state.not_healthy, others) if why]
            return not problems

        if not wait_for(all_healthy, seconds=self.options.gate_timeout, interval=2, sleep=self._sleep):
            raise PlatformError(
                f"{self.unit} on {self.node} needs a restart, but was left as it is, since another server might be "
                f"missed: {'; '.join(problems)}",
                next_step="Bring that server back (wasmfaas.platform.doctor tells what is wrong with it) or remove it "
                "(ansible-playbook wasmfaas.platform.remove_node), and run it again.",
                facts={"problems": list(problems)},
            )

    def _wait(self, old_invocation: str, began: float, *, acted: bool) -> None:
        seconds = self.options.timeout
        failed: list[journal.Rule | None] = []

        def decided() -> bool:
            now = self.show()
            # Right after `restart --no-block` it is still the old process that answers.
            if now["ActiveState"] == "active" and now["InvocationID"] != old_invocation and self._works():
                return True
            if now["ActiveState"] != "active":
                self._last_problem = (
                    f"the unit is {now['ActiveState']} ({now['SubState']}), after "
                    f"{now['NRestarts'] or 0} restarts by systemd"
                )
            # Only what it says from now on: before, it may have had other files.
            rule = journal.matching_rule(self._journal(began)[0])
            self._final_looks = self._final_looks + 1 if rule and rule.final else 0
            if self._final_looks >= FINAL_AFTER_LOOKS or now["ActiveState"] == "failed":
                failed.append(rule)
            return bool(failed)

        if wait_for(decided, seconds=seconds, interval=1, sleep=self._sleep) and not failed:
            return
        text, lines = self._journal(began if acted else began - JOURNAL_BEFORE_SECONDS)
        rule = failed[0] if failed and failed[0] else journal.matching_rule(text)
        waited = "" if failed else f" in {seconds:g} s"
        state = f" ({self._last_problem})" if self._last_problem else ""
        where = f"{self.unit} on {self.node} did not become ready{waited}"
        if rule:
            problem = rule.problem(where, node=self.node)
            cause, next_step = f"{where}: {problem.what}{state}.", problem.next_step
        else:
            cause = f"{where}{state}."
            next_step = (
                f"See on the host: journalctl -u {self.unit} -n 100; its last lines are in this result (facts.journal)."
            )
        raise PlatformError(cause, next_step=next_step, facts={"journal": lines, "source": rule.source if rule else ""})

    def _works(self) -> bool:
        try:
            return self._server_works() if self.unit == paths.SERVER_UNIT else self._agent_works()
        except ApiProblem as problem:
            self._last_problem = problem.cause
            return False

    def _server_works(self) -> bool:
        """The local API server is ready, which includes its etcd, and this node's member votes."""
        if not self._server_api.ready():
            self._last_problem = "its API server is not ready"
            return False
        if not os.path.isdir(self._root + paths.ETCD_DIRECTORY):
            return True
        node = self._server_api.get(f"{node_state.NODES}/{self.node}")
        if not node_state.is_voter(node):
            reason = node_state.condition(node, node_state.VOTER).get("reason") or "no condition EtcdIsVoter"
            self._last_problem = f"its etcd member does not vote yet ({reason})"
            return False
        return True

    def _agent_works(self) -> bool:
        """The kubelet has its credentials, and its Node is registered; whether it is Ready, a server is asked later for
        all nodes at once."""
        if not os.path.exists(self._root + paths.KUBELET_KUBECONFIG):
            self._last_problem = "it has not got the kubelet's credentials from a server yet"
            return False
        self._kubelet_api.get(f"{node_state.NODES}/{self.node}")
        return True

    def _journal(self, since: float) -> tuple[str, list[str]]:
        """The unit's journal since a time (seconds since 1970), and its last lines as they may be shown."""
        with contextlib.suppress(PlatformError):
            arguments = [
                "journalctl",
                "-u",
                f"{self.unit}.service",
                f"--since=@{int(since)}",
                "-n",
                str(JOURNAL_LINES),
                "-o",
                "cat",
                "--no-pager",
                "--quiet",
            ]
            text = self._command(arguments).output
            return text, journal.shown(text, secrets=self.secrets)
        return "", []
