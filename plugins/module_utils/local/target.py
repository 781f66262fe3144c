# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a function as a process of this machine, behind the same interface as a cluster."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.artifact.pack import ARCHIVE_MEDIA_TYPE
from ..function.compatibility.spin_versions import DEFAULT_SHIM_VERSION
from ..function.model import DesiredFunction, Difference, LiveFunction
from ..function.probe import HEALTH_PATH, probe
from ..function.stages import Stages
from ..function.stores import DEFAULT_STORE, KINDS, SQLITE, used_stores
from ..function.time_limit import DEFAULT_TIMEOUT, checked_seconds
from . import release, runtime, state
from .installation import given_directory
from .sqlite_statements import SqliteStatements, read_statements


@dataclasses.dataclass(frozen=True)
class LocalSettings:
    """See the options of the module spin_function, which have the same names."""

    state_directory: Path  # of local functions
    runtime_directory: Path | None  # None for what starts nothing
    port: int | None
    probe_path: str
    wait_timeout: float
    timeout: int = DEFAULT_TIMEOUT
    keep_data: bool = False
    shim_version: str = DEFAULT_SHIM_VERSION
    sqlite_statements: SqliteStatements | None = None


_CLUSTER_ONLY = (
    "replicas",
    "autoscale",
    "load",
    "canary",
    "domain",
    "hostname",
    "tls",
    "service_account",
    "resources",
    "memory",
    "cpu",
    "invocation_limits",
    "runtime_config",
    "key_value_store",
    "probe_ca_file",
)


def local_settings(parameters: dict[str, t.Any], state_directory: Path) -> LocalSettings:
    """Check the parameters of spin_function for the local target; raises PlatformError where one has no meaning
    there."""
    given = [name for name in _CLUSTER_ONLY if parameters[name] is not None]
    if given:
        raise PlatformError(
            f"{', '.join(given)}: has no effect with target=local.",
            next_step="Leave it out, or deploy to a cluster with `-e target=cluster`.",
        )
    directory = parameters["runtime_directory"]
    return LocalSettings(
        state_directory / "functions",
        Path(directory) if directory else None,
        parameters["port"],
        parameters["probe_path"],
        parameters["wait_timeout"],
        checked_seconds("timeout", parameters["timeout"]),
        shim_version=parameters["shim_version"] or DEFAULT_SHIM_VERSION,
        keep_data=parameters["keep_data"],
        sqlite_statements=_statements(parameters),
    )


def _statements(parameters: dict[str, t.Any]) -> SqliteStatements | None:
    if not parameters["sqlite_statements"] or parameters["state"] != "present":
        return None
    return read_statements(Path(parameters["sqlite_statements"]))


class LocalTarget:
    """One function on this machine; implements `function.Target`."""

    needs_artifact = True  # it runs from the artifact's own blobs

    def __init__(self, namespace: str, name: str, settings: LocalSettings, stages: Stages) -> None:
        self._namespace = namespace
        self._name = name
        self._settings = settings
        self._stages = stages

    def _read(self) -> state.LocalFunction | None:
        return state.read(self._settings.state_directory, self._namespace, self._name)

    def exists(self) -> bool:
        # Also what an interrupted deployment or a damaged state file left.
        directory = state.function_directory(self._settings.state_directory, self._namespace, self._name)
        kept = {runtime.DATA} if self._settings.keep_data else set()
        return directory.exists() and ({path.name for path in directory.iterdir()} - kept != set() or not kept)

    def live(self) -> LiveFunction | None:
        function = self._read()
        return live_function(function) if function else None

    def shim_version(self) -> str:
        # What runs here must run on a cluster as well, so without an option the check is that of the version the
        # collection installs.
        return self._settings.shim_version

    def check(self, desired: DesiredFunction) -> list[str]:
        """Refuse what this runtime cannot run. Warns about stores that a cluster does not have."""
        runtime_name = runtime.runtime_name(runtime.spin_in_path())
        statements = self._settings.sqlite_statements
        if statements is not None and not used_stores(desired.manifest.components.values(), SQLITE):
            raise PlatformError(
                f"sqlite_statements: no component in {desired.manifest.path.name} has a SQLite database to run "
                f"{statements.path} in.",
                next_step='Add `sqlite_databases = ["default"]` to a component, or leave the option out.',
            )
        if desired.artifact is None:
            release.check_triggers(
                [(trigger.id, trigger.type, trigger.settings.get("executor")) for trigger in desired.manifest.triggers],
                runtime_name,
            )
        else:
            release.check(desired.artifact.locked_application, runtime_name, desired.variables.all())
        return [
            f"{desired.manifest.path.name}: component.{component}.{kind.key}: {label!r}: on a cluster this "
            f"{kind.title} must be configured, else the function does not start. Next: Give `runtime_config` when you "
            "deploy it there (docs/functions.md, Stores)."
            for kind in KINDS
            for label, component in used_stores(desired.manifest.components.values(), kind).items()
            if label != DEFAULT_STORE
        ]

    def difference(self, desired: DesiredFunction) -> Difference:
        function = self._read()
        before: dict[str, t.Any] = {}
        if function is not None and not function.damage:
            before = {
                "image": function.image,
                "settings": function.settings_digest[:19],
                "port": function.port,
                "running": function.alive,
            }
        after = {
            "image": desired.image or "<known after the build>",
            "settings": self._settings_digest(desired)[:19],
            "port": self._settings.port or (function.port if function and function.port else "<a free one>"),
            "running": True,
        }
        return Difference(before, after)

    def _settings_digest(self, desired: DesiredFunction) -> str:
        statements = self._settings.sqlite_statements
        settings = {
            "variables": desired.variables.all(),
            "timeout": self._settings.timeout,
            **({"sqlite_statements": statements.digest} if statements else {}),
        }
        return "sha256:" + hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        with self._stages("rollout"):
            function = runtime.start(self._start_request(desired))
        with self._stages("probe"):
            probe(
                function.url, path=self._settings.probe_path or HEALTH_PATH, timeout_seconds=self._settings.wait_timeout
            )
        return live_function(function)

    def _start_request(self, desired: DesiredFunction) -> runtime.StartRequest:
        if desired.artifact is None:
            raise AssertionError("deploy_function hands the artifact over where `needs_artifact` says so")
        blobs = {blob.digest: blob for blob in desired.artifact.layers}
        return runtime.StartRequest(
            state_directory=self._settings.state_directory,
            runtime_directory=given_directory(self._settings.runtime_directory, "deploy_function"),
            namespace=self._namespace,
            name=self._name,
            digest=desired.digest,
            source_digest=desired.source_digest,
            settings_digest=self._settings_digest(desired),
            image=desired.image,
            locked_application=desired.artifact.locked_application,
            open_blob=lambda digest: blobs[digest].open(),
            archive_layers=tuple(
                blob.digest for blob in desired.artifact.layers if blob.media_type == ARCHIVE_MEDIA_TYPE
            ),
            variables=desired.variables.all(),
            port=self._settings.port,
            timeout_seconds=self._settings.timeout,
            ready_timeout_seconds=self._settings.wait_timeout,
            spin_executable=runtime.spin_in_path(),
            sqlite_statements=self._settings.sqlite_statements,
        )

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        function = self._read()
        if function is None:
            raise PlatformError(
                f"{self._namespace}/{self._name} was removed in the meantime.", next_step="Deploy it again."
            )
        return live_function(function)

    def delete(self) -> None:
        runtime.stop(self._settings.state_directory, self._namespace, self._name, keep_data=self._settings.keep_data)


def list_functions(state_directory: Path, namespace: str | None) -> list[LiveFunction]:
    """The functions of this machine, sorted by namespace and name; `state_directory` is that of the collection."""
    found = [live_function(function) for function in state.list_functions(state_directory / "functions", namespace)]
    return sorted(found, key=lambda function: (function.namespace, function.name))


def live_function(function: state.LocalFunction) -> LiveFunction:
    """What the state file of a local function says."""
    return LiveFunction(
        name=function.name,
        namespace=function.namespace,
        source_digest=function.source_digest,
        image=function.image,
        url=function.url,
        status="failed" if function.damage else "ready" if function.alive else "stopped",
        created=function.started_at,
        details={
            "process_id": function.process_id,
            "port": function.port,
            "runtime": function.runtime,
            "log_file": str(function.log_file),
            **({"damage": function.damage} if function.damage else {}),
        },
    )
