# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a program on this machine: a command once, a server behind the local gateway."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.artifact.model import Artifact
from ..function.model import Difference, LiveFunction
from ..function.probe import probe
from ..function.stages import Stages
from ..function.time_limit import checked_seconds
from ..local import command, runtime, state
from ..local.command import CommandRequest, LocalCommand
from ..local.installation import given_directory
from .model import LAST_LINES, NOT_RUN, DesiredProgram, Kind
from .settings import check_end, environment

_CLUSTER_ONLY = (
    "replicas",
    "domain",
    "hostname",
    "tls",
    "service_account",
    "resources",
    "memory",
    "cpu",
    "probe_address",
    "probe_ca_file",
)
_ELSEWHERE = "Leave it out, or run the program on a cluster, without `-e target=local`."
_UNKNOWN_IMAGE = "<known after the build>"


@dataclasses.dataclass(frozen=True)
class LocalProgramSettings:
    """See the options of the module wasi_program, which have the same names.

    Attributes:
        state_directory: of the collection.
        runtime_directory: None for what starts nothing.
    """

    state_directory: Path
    runtime_directory: Path | None
    run: str | None
    args: tuple[str, ...]
    env: dict[str, str]
    port: int | None
    probe_path: str
    timeout: int
    wait_timeout: float


def local_program_settings(parameters: dict[str, t.Any], state_directory: Path) -> LocalProgramSettings:
    """Check the parameters of wasi_program for the local target; raises PlatformError where one has no meaning
    there."""
    given = [name for name in _CLUSTER_ONLY if parameters[name] is not None]
    given += [name for name in ("env_secrets", "image_pull_secrets") if parameters[name]]
    if given:
        raise PlatformError(f"{', '.join(given)}: has no effect with target=local.", next_step=_ELSEWHERE)
    if parameters["port"] is not None and parameters["port"] < 1:
        raise PlatformError("port: must be 1 or more.", next_step="Correct it, or leave it out.")
    directory = parameters["runtime_directory"]
    return LocalProgramSettings(
        state_directory,
        Path(directory) if directory else None,
        parameters["run"],
        tuple(parameters["args"]),
        environment(parameters["env"]),
        parameters["port"],
        parameters["probe_path"],
        checked_seconds("timeout", parameters["timeout"]),
        parameters["wait_timeout"],
    )


class LocalProgram:
    """One program on this machine; implements `model.ProgramTarget`."""

    needs_artifact = True  # it runs from the artifact's own blobs

    def __init__(self, namespace: str, name: str, settings: LocalProgramSettings, stages: Stages) -> None:
        self._namespace = namespace
        self._name = name
        self._settings = settings
        self._stages = stages
        self._roots = _roots(settings.state_directory)

    # ---- what is there

    def exists(self) -> bool:
        # Also what an interrupted deployment or a damaged state file left.
        return any(self._directory(kind).exists() for kind in self._roots)

    def _directory(self, kind: Kind) -> Path:
        return state.function_directory(self._roots[kind], self._namespace, self._name)

    def live(self) -> LiveFunction | None:
        server = state.read(self._roots["server"], self._namespace, self._name)
        if server is not None:
            return _live_server(server)
        run = command.read(self._roots["command"], self._namespace, self._name)
        return _live_command(run) if run is not None else None

    # ---- before anything is written

    def check(self, desired: DesiredProgram) -> None:
        given_directory(self._settings.runtime_directory, "deploy_program")
        if desired.kind is None:
            return
        check_end(self._settings.run, desired.kind)
        if desired.kind == "server":
            return
        if self._settings.run == "always":
            raise PlatformError(
                "run: the local target does not keep a command running; it runs a command once.", next_step=_ELSEWHERE
            )
        if self._settings.port is not None:
            raise PlatformError(
                "port: the local target runs no command that answers at a port of its own (wasi:sockets), but servers "
                "of wasi:http.",
                next_step=_ELSEWHERE,
            )
        if self._settings.probe_path:
            raise PlatformError(
                "probe_path: has no effect, since the program is a command, which runs once.",
                next_step="Leave it out.",
            )

    def difference(self, desired: DesiredProgram) -> Difference:
        if desired.kind is None:
            return Difference()
        image, settings = desired.image or _UNKNOWN_IMAGE, self._settings_digest(desired.kind)[:19]
        server = state.read(self._roots["server"], self._namespace, self._name)
        run = command.read(self._roots["command"], self._namespace, self._name)
        before: dict[str, t.Any] = {}
        after: dict[str, t.Any] = {}
        if desired.kind == "command":
            after["Run"] = {"image": image, "settings": settings, "status": "succeeded"}
            if run is not None:
                before["Run"] = {
                    "image": run.image,
                    "settings": run.settings_digest[:19],
                    "status": _status_of_command(run),
                }
        else:
            port = self._settings.port or (server.port if server and server.port else "<a free one>")
            after["Server"] = {"image": image, "settings": settings, "port": port, "running": True}
            if server is not None and not server.damage:
                before["Server"] = {
                    "image": server.image,
                    "settings": server.settings_digest[:19],
                    "port": server.port,
                    "running": server.alive,
                }
        if before == after:
            before, after = {}, {}
        for title, kind in (("Run", "command"), ("Server", "server")):
            if kind != desired.kind and self._directory(t.cast(Kind, kind)).exists():
                before[title], after[title] = "there", "deleted"
        return Difference(before, after)

    def _settings_digest(self, kind: Kind) -> str:
        settings = {
            "args": self._settings.args,
            "env": self._settings.env,
            **({"timeout": self._settings.timeout} if kind == "server" else {}),
        }
        return "sha256:" + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    # ---- changes

    def deploy(self, desired: DesiredProgram) -> LiveFunction:
        self.check(desired)
        if desired.kind is None or desired.artifact is None:
            raise AssertionError("deploy_program hands the artifact over where `needs_artifact` says so")
        if desired.kind == "server":
            live = self._serve(desired, desired.artifact)
            self._remove("command")
            return live
        run = self._run(desired, desired.artifact)
        self._remove("server")
        if run.exit_code != 0:
            raise _failure(run)
        return _live_command(run)

    def _run(self, desired: DesiredProgram, artifact: Artifact) -> LocalCommand:
        with self._stages("run"):
            return command.run_command(
                CommandRequest(
                    state_directory=self._roots["command"],
                    runtime_directory=self._runtime_directory,
                    namespace=self._namespace,
                    name=self._name,
                    digest=desired.digest,
                    source_digest=desired.source_digest,
                    settings_digest=self._settings_digest("command"),
                    image=desired.image,
                    open_wasm=artifact.layers[0].open,
                    arguments=self._arguments,
                    environment=self._settings.env,
                    timeout_seconds=self._settings.wait_timeout,
                )
            )

    def _serve(self, desired: DesiredProgram, artifact: Artifact) -> LiveFunction:
        blobs = {blob.digest: blob for blob in artifact.layers}
        with self._stages("rollout"):
            server = runtime.start(
                runtime.StartRequest(
                    state_directory=self._roots["server"],
                    runtime_directory=self._runtime_directory,
                    namespace=self._namespace,
                    name=self._name,
                    digest=desired.digest,
                    source_digest=desired.source_digest,
                    settings_digest=self._settings_digest("server"),
                    image=desired.image,
                    locked_application=_application(self._name, artifact.layers[0].digest, self._settings.env),
                    open_blob=lambda digest: blobs[digest].open(),
                    port=self._settings.port,
                    timeout_seconds=self._settings.timeout,
                    ready_timeout_seconds=self._settings.wait_timeout,
                    arguments=self._arguments,
                    advice=command.ADVICE,
                )
            )
        with self._stages("probe"):
            probe(server.url, path=self._settings.probe_path or "/", timeout_seconds=self._settings.wait_timeout)
        return _live_server(server)

    @property
    def _runtime_directory(self) -> Path:
        return given_directory(self._settings.runtime_directory, "deploy_program")

    @property
    def _arguments(self) -> tuple[str, ...]:
        return (f"/{self._name}.wasm", *self._settings.args)

    def ensure_runs(self, desired: DesiredProgram) -> LiveFunction:
        live = self.live()
        if live is None:
            raise PlatformError(
                f"{self._namespace}/{self._name} was removed in the meantime.", next_step="Deploy it again."
            )
        return live

    def delete(self) -> None:
        for kind in self._roots:
            self._remove(kind)

    def _remove(self, kind: Kind) -> None:
        runtime.stop(self._roots[kind], self._namespace, self._name)


def list_local_programs(state_directory: Path, namespace: str | None) -> list[LiveFunction]:
    """The programs of this machine, sorted by namespace and name; `state_directory` is that of the collection."""
    roots = _roots(state_directory)
    found = [_live_server(server) for server in state.list_functions(roots["server"], namespace)]
    found += [_live_command(run) for run in command.list_commands(roots["command"], namespace)]
    return sorted(found, key=lambda program: (program.namespace, program.name))


def _roots(state_directory: Path) -> dict[Kind, Path]:
    return {"server": state_directory / "programs" / "servers", "command": state_directory / "programs" / "commands"}


def _application(name: str, digest: str, environment_: dict[str, str]) -> dict[str, t.Any]:
    """The locked application of Spin that is as the server: one component, which gets all requests and may call
    everything, as with containerd-shim-wasmtime (containerd/runwasi eb9967a,
    crates/containerd-shim-wasmtime/src/instance.rs)."""
    source = {"content_type": "application/wasm", "digest": digest}
    component = {
        "id": name,
        "source": source,
        "env": environment_,
        "metadata": {"allowed_outbound_hosts": ["*://*:*"]},
    }
    trigger = {"id": "http", "trigger_type": "http", "trigger_config": {"component": name, "route": "/..."}}
    return {
        "spin_lock_version": 0,
        "metadata": {"name": name},
        "variables": {},
        "triggers": [trigger],
        "components": [component],
    }


def _live_server(server: state.LocalFunction) -> LiveFunction:
    damage = (
        f"{server.state_directory / state.STATE_FILE} is damaged. Next: Deploy {server.namespace}/{server.name} again, "
        "or delete it with `ansible-playbook wasmfaas.platform.delete_program -e target=local -e "
        f"namespace={server.namespace} -e name={server.name}`."
    )
    return LiveFunction(
        name=server.name,
        namespace=server.namespace,
        source_digest=server.source_digest,
        image=server.image,
        url=server.url,
        status="failed" if server.damage else "ready" if server.alive else "stopped",
        created=server.started_at,
        details={
            "kind": "server",
            "workload": "Server",
            "process_id": server.process_id,
            "port": server.port,
            "log_file": str(server.log_file),
            **({"damage": damage} if server.damage else {}),
        },
    )


def _live_command(run: LocalCommand) -> LiveFunction:
    return LiveFunction(
        name=run.name,
        namespace=run.namespace,
        source_digest=run.source_digest,
        image=run.image,
        url="",
        status=_status_of_command(run),
        created=run.started_at,
        details={
            "kind": "command",
            "workload": "Run",
            "exit_code": run.exit_code,
            "log_file": str(run.log_file),
            "output": runtime.last_lines(run.log_file, 0, LAST_LINES).splitlines(),
        },
    )


def _status_of_command(run: LocalCommand) -> str:
    if run.running:
        return "progressing"
    return "succeeded" if run.exit_code == 0 else "failed"


def _failure(run: LocalCommand) -> PlatformError:
    log = runtime.last_lines(run.log_file, 0, LAST_LINES).strip()
    step = (
        "Correct what its last lines name, then deploy again. The whole log: `ansible-playbook "
        f"wasmfaas.platform.program_logs -e target=local -e name={run.name} -e namespace={run.namespace}`."
    )
    if run.exit_code == NOT_RUN:
        step = (
            f"Exit code {NOT_RUN} means that the program trapped (a panic), or that it could not be started here: "
            "correct what its last lines name, then deploy again."
        )
    return PlatformError(
        f"The program ended with exit code {run.exit_code}"
        + (f". Its last lines:\n{log}" if log else " and wrote nothing."),
        next_step=step,
        stage="run",
        facts={"log": log, "exit_code": run.exit_code},
    )
