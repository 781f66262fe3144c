# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Functions of the hosted service: deploys, removes and rolls back, and reads what is there."""

from __future__ import annotations

import contextlib
import tempfile
import typing as t
from pathlib import Path

from ..directories import state_directory
from ..errors import PlatformError
from ..function.deploy_function import DeployResult, check_namespace, function_name
from ..function.made_files import MadeFiles
from ..function.manifest.model import Manifest
from ..function.manifest.parse import read_manifest
from ..function.model import LiveFunction
from ..function.source_digest import read_sources
from ..function.stages import Stages
from ..function.time_limit import DEFAULT_TIMEOUT
from ..function.variables import variable_values
from .deployment import wait_for
from .service import (
    FINISHED,
    HostedService,
    Json,
    Parameters,
    ServiceAddress,
    ServiceRefusal,
    function_path,
    own_tenant,
    read_function,
    tenant_path,
)
from .source import SourceArchive, check_place

_SETTINGS: dict[str, t.Any] = {"profile": None, "timeout": DEFAULT_TIMEOUT, "build_timeout": 1800, "probe_path": ""}
"""The options that the service takes as settings of a deployment, with the defaults, which it has too."""

_NOT_TAKEN: dict[str, t.Any] = {
    "source_root": None, "signing_key": None, "registry": None, "registry_username": None, "registry_password": None,
    "registry_ca_file": None, "registry_plain_http": False, "record_key_file": None, "aws_endpoint_url": None,
    "replicas": None, "autoscale": None, "load": None, "canary": None,
    "domain": None, "hostname": None, "gateway": "wasmfaas-system/wasmfaas", "tls": None,
    "executor": "containerd-shim-spin", "image_pull_secrets": [], "service_account": None,
    "resources": None, "memory": None, "cpu": None, "invocation_limits": None,
    "runtime_config": None, "key_value_store": None, "components": [],
    "probe_address": None, "probe_ca_file": None, "shim_version": None, "warm": None, "wait_timeout": 120,
    "sqlite_statements": None, "port": None,
}  # fmt: skip
"""The options that the service decides by itself, with their defaults."""


@contextlib.contextmanager
def opened(parameters: Parameters, hidden: set[str]) -> t.Iterator[HostedService]:
    """The service that the parameters name; raises PlatformError."""
    if parameters["target"] != "cluster":
        raise PlatformError(
            f"target: {parameters['target']} and service exclude each other.", next_step="Leave one of them out."
        )
    check_namespace(parameters["namespace"] or "default")
    address = ServiceAddress.of(parameters)
    hidden.add(address.token)
    with contextlib.closing(HostedService(address)) as service:
        yield service


def deploy(parameters: Parameters, check_mode: bool, stages: Stages, hidden: set[str]) -> DeployResult:
    """Deploy a project with the service; a second call with the same input changes nothing. Raises PlatformError."""
    _refuse_options(parameters)
    with stages("manifest"):
        manifest = read_manifest(Path(parameters["source"]), profile=parameters["profile"])
        check_place(manifest)
        name = function_name(parameters["name"] or manifest.name, manifest)
        wanted = _variables(manifest, parameters["variables"] or {})
    with stages("source_digest"):
        outputs = state_directory(parameters["state_directory"]) / "outputs"
        sources = read_sources(manifest, MadeFiles.read(outputs, manifest.sources))
    with opened(parameters, hidden) as service, tempfile.TemporaryFile(prefix="wasmfaas-") as stream:
        with stages("pack"):
            archive = SourceArchive(manifest, sources, stream)
        with stages("live_state"):
            tenant = own_tenant(service, parameters["namespace"])
            live = read_function(service, tenant, name)
            variables = _Variables(service, tenant, name, wanted)
        result = DeployResult(False, name, tenant, sources.digest, stages=stages.seconds)
        work = _Deployment(service, archive, live, variables, _settings(parameters), result)
        if check_mode:
            with stages("live_state"):
                work.plan()
        else:
            work.run(stages, wait=parameters["wait"])
        return result


class _Deployment:
    """One deployment of a source; `result` gets what comes of it.

    Args:
        live: the function before; None where there is none.
        settings: of the deployment.
    """

    def __init__(
        self,
        service: HostedService,
        archive: SourceArchive,
        live: Json | None,
        variables: _Variables,
        settings: Json,
        result: DeployResult,
    ) -> None:
        self._service, self._archive, self._live, self._variables = service, archive, live, variables
        self._settings, self._result = settings, result
        self._source = f"{tenant_path(result.namespace)}/sources/{archive.digest}"
        self._function = function_path(result.namespace, result.name)

    def plan(self) -> None:
        """Tell what `run` would do."""
        is_there = self._service.holds(self._source)
        same = self._is_deployed()
        before = self._live and self._live["source_digest"]
        self._result.changed = not same or bool(self._variables.changed) or self._variables.wait
        if self._result.changed:
            self._result.before = {"source_digest": before, **self._variables.before}
            self._result.after = {
                "source_digest": self._result.source_digest,
                "upload": not is_there,
                **self._variables.after,
            }
        if self._live is not None:
            self._fill(self._live)
        if not same:
            self._result.image = self._result.digest = ""  # only a build can tell

    def _is_deployed(self) -> bool:
        """Whether the live function is that of these sources and settings."""
        if self._live is None or self._live["source_digest"] != self._result.source_digest:
            return False
        if self._live["status"] not in ("ready", "sleeping"):
            return False
        deployments = self._service.ask("GET", f"{self._function}/deployments")["deployments"]
        made_it = (one for one in deployments if one["phase"] == "Ready" and one["artifact"] == self._live["digest"])
        newest = next(made_it, None)
        return newest is not None and newest["settings"] == self._settings

    def run(self, stages: Stages, *, wait: bool) -> None:
        """Upload the source unless it is there, and deploy it."""
        with stages("upload"):
            source = self._archive.digest
            if not self._service.holds(self._source):
                source = self._service.upload(self._source, self._archive)["source"]
        with stages("variables"):
            self._variables.set()
        content = {"source": source, "settings": self._settings}
        deployment = self._service.ask("POST", f"{self._function}/deployments", content)
        newest = self._live and self._live["deployment"]
        is_new = newest is None or newest["phase"] not in FINISHED or newest["number"] != deployment["number"]
        if wait and deployment["phase"] not in FINISHED:
            deployment = wait_for(self._service, deployment)
            self._result.stages.update(deployment["stages"])
        self._result.changed = is_new and deployment["changed"] is not False
        self._result.warnings.extend(deployment.get("warnings") or [])
        if self._result.changed:
            before = self._live and self._live["source_digest"]
            self._result.before = {"source_digest": before, **self._variables.before}
            self._result.after = {"source_digest": self._result.source_digest, **self._variables.after}
        if wait:
            self._fill(read_function(self._service, self._result.namespace, self._result.name) or {})
        self._result.details["deployment"] = deployment["number"]

    def _fill(self, live: Json) -> None:
        self._result.url, self._result.image = live.get("url", ""), live.get("image", "")
        self._result.digest = live.get("digest", "")
        self._result.details = {"status": live.get("status", ""), **(live.get("details") or {})}


class _Variables:
    """The variables of a function as they are, and as they are asked for. Those that nobody asks for stay.

    Args:
        wanted: whether each is secret, and its value.
    """

    def __init__(self, service: HostedService, tenant: str, name: str, wanted: dict[str, tuple[bool, str]]) -> None:
        self._service, self._path, self._wanted = service, function_path(tenant, name), wanted
        found = service.ask("GET", f"{self._path}/variables")
        now = {one["name"]: (bool(one["secret"]), one["value"]) for one in found["variables"]}
        # Set by a run that was cut off before its deployment, or by somebody else. Older services do not tell.
        self.wait = bool(found.get("wait"))
        # The service tells no secret, so one that is set counts as unchanged.
        self.changed = [
            key for key, (secret, value) in wanted.items() if now.get(key) != (secret, None if secret else value)
        ]
        self.before = {key: "(secret)" if now[key][0] else now[key][1] for key in self.changed if key in now}
        self.after = {key: "(secret)" if wanted[key][0] else wanted[key][1] for key in self.changed}

    def set(self) -> None:
        """Set those that differ, and the secrets, which may, for the deployment that follows."""
        for key, (secret, value) in self._wanted.items():
            if secret or key in self.changed:
                kind = "secrets" if secret else "variables"
                self._service.ask("PUT", f"{self._path}/{kind}/{key}", {"value": value}, query={"deploy": "false"})


def _variables(manifest: Manifest, given: Json) -> dict[str, tuple[bool, str]]:
    """Whether each given variable is secret, and its value; raises PlatformError. A required one that is not given may
    have been set in the service before."""
    there = {name: given.get(name, "") for name, one in manifest.variables.items() if name in given or one.required}
    values = variable_values(manifest, {**there, **given})
    return {name: (name in values.secret, value) for name, value in values.all().items() if name in given}


def _settings(parameters: Parameters) -> Json:
    return {name: parameters[name] for name, default in _SETTINGS.items() if parameters[name] != default}


def _refuse_options(parameters: Parameters) -> None:
    """Refuse what the service does not take; raises PlatformError."""
    if parameters["state"] == "pushed":
        raise PlatformError(
            "state: the hosted service pushes nothing without deploying it.",
            next_step="Leave out `state`, or give `registry` instead of `service`.",
        )
    given = [name for name, default in _NOT_TAKEN.items() if parameters.get(name, default) != default]
    if given:
        raise PlatformError(
            f"{', '.join(given)}: the hosted service decides this by itself.",
            next_step="Leave it out, or deploy without `service`.",
        )


def remove(parameters: Parameters, check_mode: bool, stages: Stages, hidden: set[str]) -> tuple[str, bool]:
    """Remove a function; gives its tenant and whether it was there. Raises PlatformError."""
    with opened(parameters, hidden) as service:
        with stages("live_state"):
            tenant = own_tenant(service, parameters["namespace"])
            exists = read_function(service, tenant, parameters["name"]) is not None
        if exists and not check_mode:
            with stages("delete"):
                _delete(service, function_path(tenant, parameters["name"]), keep_data=parameters["keep_data"])
        return tenant, exists


def _delete(service: HostedService, path: str, *, keep_data: bool) -> None:
    try:
        service.ask("DELETE", path, query={"keep_data": "true"} if keep_data else None)
    except ServiceRefusal as refusal:
        if refusal.code != "not_found":  # else the answer to an earlier attempt was lost
            raise


def list_functions(parameters: Parameters, hidden: set[str]) -> list[LiveFunction]:
    """The functions of the namespace, or of all that the token may see; raises PlatformError."""
    with opened(parameters, hidden) as service:
        namespace = parameters["namespace"]
        tenants = [own_tenant(service, namespace)] if namespace else service.ask("GET", "/v1/tenants")["tenants"]
        return [
            LiveFunction(
                one["name"],
                one["tenant"],
                one["source_digest"],
                one["image"],
                one["url"],
                one["status"],
                one["created"],
                one["details"],
            )
            for tenant in sorted(tenants)
            for one in service.ask("GET", f"{tenant_path(tenant)}/functions")["functions"]
        ]


def read_log(parameters: Parameters, hidden: set[str]) -> tuple[str, list[str]]:
    """The status of a function and the last lines that it wrote; raises PlatformError."""
    with opened(parameters, hidden) as service:
        tenant, name = own_tenant(service, parameters["namespace"]), parameters["name"]
        status = service.ask("GET", function_path(tenant, name))["status"]
        text = service.text(f"{function_path(tenant, name)}/logs", query={"lines": parameters["lines"]})
        return status, text.splitlines()


def roll_back(parameters: Parameters, check_mode: bool, stages: Stages, hidden: set[str]) -> DeployResult:
    """Deploy an earlier version again; raises PlatformError."""
    _refuse_options(parameters)
    with opened(parameters, hidden) as service:
        with stages("live_state"):
            tenant, name = own_tenant(service, parameters["namespace"]), parameters["name"]
            path = function_path(tenant, name)
            live = service.ask("GET", path)
            target = _earlier(service.ask("GET", f"{path}/deployments")["deployments"], live, parameters["to"])
        result = DeployResult(
            changed=target["artifact"] != live["digest"],
            name=name,
            namespace=tenant,
            source_digest=target["source_digest"],
            url=live["url"],
            digest=target["artifact"],
            stages=stages.seconds,
            details={"status": live["status"], **live["details"]},
        )
        if result.changed:
            result.before, result.after = {"digest": live["digest"]}, {"digest": target["artifact"]}
            if not check_mode:
                deployment = service.ask("POST", f"{path}/rollback", {"to": target["number"]})
                if deployment["phase"] not in FINISHED:
                    deployment = wait_for(service, deployment)
                    result.stages.update(deployment["stages"])
                live = service.ask("GET", path)
        result.image = live["image"] if live["digest"] == result.digest else ""
        result.url = live["url"]
        return result


def _earlier(deployments: list[Json], live: Json, to: str | None) -> Json:
    """The deployment to go back to: that with the number or the digest `to`, or the one before the live one; raises
    PlatformError."""
    ready = [one for one in deployments if one["phase"] == "Ready"]
    if to is None:
        found = [one for one in ready if one["artifact"] != live["digest"]]
    elif to.isdecimal():
        found = [one for one in ready if one["number"] == int(to)]
    else:
        found = [one for one in ready if len(to) >= len("sha256:") + 12 and one["artifact"].startswith(to)]
    if not found:
        what = f"deployment {to} that became ready" if to else "earlier version"
        raise PlatformError(
            f"{live['tenant']}/{live['name']} has no {what}.",
            next_step="Give the number of one: "
            + (", ".join(str(one["number"]) for one in ready) or "none became ready")
            + ".",
        )
    return found[0]
