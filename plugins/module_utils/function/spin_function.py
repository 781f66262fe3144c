# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module spin_function: from its parameters to a deployed, pushed or removed function."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tempfile
import typing as t
from pathlib import Path

from ..directories import cache_directory, state_directory
from ..errors import PlatformError
from ..module_run import texts
from ..registry.reference import LayoutLocation, RegistryLocation, parse_registry
from .builder import Builder
from .compatibility.spin_versions import DEFAULT_SHIM_VERSION
from .deploy_function import DeployRequest, DeployResult, Registry, check_namespace, deploy_function
from .manifest.parse import read_manifest
from .model import Target
from .source_record import KeyFile, SourceRecords
from .stages import Stages

if t.TYPE_CHECKING:
    from ..registry.model import Store
    from ..registry.signature import Signer
    from ..spinkube.api import KubernetesApi

Parameters = dict[str, t.Any]


def run(
    parameters: Parameters,
    check_mode: bool,
    hidden: set[str],
    built_as: tuple[str, ...] = (),
    builder: Builder | None = None,
) -> dict[str, t.Any]:
    """Do what the parameters of spin_function ask for; raises PlatformError.

    Args:
        built_as, builder: see `DeployRequest`.
    """
    hidden |= secret_values(parameters)
    stages = Stages()

    def work() -> dict[str, t.Any]:
        _check_directory(parameters)
        if parameters.get("service"):
            return _hosted(parameters, check_mode, stages, hidden)
        if parameters["state"] == "absent":
            return _remove(parameters, check_mode, stages)
        return _deploy(parameters, check_mode, stages, built_as, builder)

    return with_result_file(parameters["result_file"], work)


def _check_directory(parameters: Parameters) -> None:
    """Check the options of the state `rendered`; raises PlatformError."""
    if parameters["state"] == "rendered":
        from ..spinkube.rendered_target import check_rendered_options

        check_rendered_options(parameters)
    elif parameters.get("directory"):
        raise PlatformError(
            "directory: has no effect without state=rendered.", next_step="Add `-e state=rendered`, or leave it out."
        )


def _hosted(parameters: Parameters, check_mode: bool, stages: Stages, hidden: set[str]) -> dict[str, t.Any]:
    from ..hosted import function as hosted_function

    if parameters["state"] == "absent":
        tenant, exists = hosted_function.remove(parameters, check_mode, stages, hidden)
        return removal_of("function", tenant, parameters["name"], stages, exists=exists, check_mode=check_mode)
    result = hosted_function.deploy(parameters, check_mode, stages, hidden)
    return _result(result, parameters["state"], check_mode)


def with_result_file(file: str | None, work: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
    """The result of `work`, which is also written to `file` where one is given. One of an earlier run is removed first.

    Raises:
        PlatformError: of `work`, or the file cannot be written.
    """
    if file:
        _remove_result(Path(file))
    result = work()
    if file:
        write_result(Path(file), result)
    return result


def secret_values(parameters: Parameters) -> set[str]:
    """The values that no output may show; all of them where the manifest cannot be read to see which are secret."""
    variables = parameters["variables"] or {}
    if not variables or not parameters["source"]:
        return texts(variables)
    try:
        manifest = read_manifest(
            Path(parameters["source"]), profile=parameters["profile"], source_root=_source_root(parameters)
        )
    except PlatformError:
        return texts(variables)
    return texts(
        {
            name: value
            for name, value in variables.items()
            if name not in manifest.variables or manifest.variables[name].secret
        }
    )


def _deploy(
    parameters: Parameters, check_mode: bool, stages: Stages, built_as: tuple[str, ...], builder: Builder | None
) -> dict[str, t.Any]:
    state = state_directory(parameters["state_directory"])
    request = DeployRequest(
        source=Path(parameters["source"]),
        namespace=parameters["namespace"],
        cache_directory=cache_directory(parameters["cache_directory"]),
        outputs_directory=state / "outputs",
        log_directory=state / "logs",
        shim_version=parameters["shim_version"] or DEFAULT_SHIM_VERSION,
        source_root=_source_root(parameters),
        name=parameters["name"],
        state=parameters["state"],
        profile=parameters["profile"],
        variables=parameters["variables"] or {},
        build_timeout_seconds=parameters["build_timeout"],
        check_mode=check_mode,
        built_as=built_as,
        builder=builder,
    )
    api = cluster_api(parameters)
    with contextlib.closing(registry_of(parameters, state, api)) as registry:
        result = deploy_function(request, registry, _target_factory(parameters, state, stages, api), stages)
    if result.changed and parameters["state"] in ("present", "rendered"):
        result.warnings.extend(_cluster_warnings(parameters, result.details))
    share = (
        f" as canary with {parameters['canary']} % of the requests"
        if parameters["canary"] is not None and parameters["state"] == "present"
        else ""
    )
    return _result(result, parameters["state"], check_mode, share)


def _source_root(parameters: Parameters) -> Path | None:
    return Path(parameters["source_root"]) if parameters["source_root"] else None


def cluster_api(parameters: Parameters) -> t.Callable[[], KubernetesApi]:
    """Gives the API of the cluster that the parameters name, always the same one."""

    @functools.cache
    def api() -> KubernetesApi:
        from ..spinkube.api import KubernetesApi
        from ..spinkube.arguments import connection_options

        return KubernetesApi(connection_options(parameters))

    return api


def registry_of(parameters: Parameters, state: Path, api: t.Callable[[], KubernetesApi]) -> Registry:
    """The registry that the parameters name, else that of the tenant's account, or the one below `state`; raises
    PlatformError where there is none.

    Args:
        api: of the cluster, for the account and for the key of the source records; not called for what is only pushed,
            or runs locally.
    """
    parameters = _with_account(parameters, api)
    location = parse_registry(_registry(parameters, state))

    def store() -> Store:
        from ..registry.model import AwsOptions, CredentialOptions
        from ..registry.store import open_store

        return open_store(
            location,
            credentials=CredentialOptions(parameters["registry_username"], parameters["registry_password"]),
            ca_file=Path(parameters["registry_ca_file"]) if parameters["registry_ca_file"] else None,
            plain_http=parameters["registry_plain_http"],
            aws=AwsOptions(endpoint_url=parameters["aws_endpoint_url"]),
            pushed_file=cache_directory(parameters.get("cache_directory")) / "pushed_blobs.json",
        )

    return Registry(location, store, _records(parameters, state, api), _signer(parameters, location))


def _signer(parameters: Parameters, location: RegistryLocation) -> Signer | None:
    if not parameters.get("signing_key"):
        return None
    if isinstance(location, LayoutLocation):
        raise PlatformError(
            f"signing_key: a signature is kept in a registry, and {location} is a directory.",
            next_step="Leave out `signing_key`, or give a registry with `-e registry=HOST/PATH`.",
        )
    from ..registry.signature import read_signer

    return read_signer(Path(parameters["signing_key"]))


def _with_account(parameters: Parameters, api: t.Callable[[], KubernetesApi]) -> Parameters:
    """The parameters with the registry of the tenant's account, where they name none and there is one."""
    if parameters["registry"] or parameters.get("target") == "local" or parameters["state"] != "present":
        return parameters
    from ..spinkube.registry_account import registry_account

    account = registry_account(api(), parameters["namespace"])
    if account is None:
        return parameters
    found = {
        "registry": account.registry,
        "registry_username": account.username,
        "registry_password": account.password,
        "registry_ca_file": account.authority_file(cache_directory(parameters.get("cache_directory"))),
    }
    return {**parameters, **{name: parameters[name] or value for name, value in found.items()}}


def _records(parameters: Parameters, state: Path, api: t.Callable[[], KubernetesApi]) -> SourceRecords:
    namespace = parameters["namespace"]
    if parameters["record_key_file"]:
        return SourceRecords(namespace, [KeyFile(Path(parameters["record_key_file"]), given=True)])
    # What this user pushed from this machine for a namespace is believed on the cluster too.
    own = KeyFile(state / "record-key")
    if parameters.get("target") == "local" or parameters["state"] != "present":
        return SourceRecords(namespace, [own])
    from ..spinkube.record_key import NamespaceKey

    return SourceRecords(namespace, [NamespaceKey(api, namespace), own])


def _registry(parameters: Parameters, state: Path) -> str:
    if parameters["registry"]:
        return str(parameters["registry"])
    if parameters.get("target") == "local" and parameters["state"] == "present":
        return f"oci:{state / 'registry'}"
    raise PlatformError(
        "registry: a cluster pulls the artifact from a registry, and none is given.",
        next_step="Add `-e registry=HOST/PATH`, or set it in the inventory.",
    )


def _target_factory(
    parameters: Parameters, state: Path, stages: Stages, api: t.Callable[[], KubernetesApi]
) -> t.Callable[[str], Target]:
    """Gives a function's target; its options are checked now, before anything is read or built."""
    namespace = parameters["namespace"]
    if parameters["target"] == "local":
        from ..local.target import LocalTarget, local_settings

        local = local_settings(parameters, state)
        return lambda name: LocalTarget(namespace, name, local, stages)
    if parameters["keep_data"]:
        raise PlatformError(
            "keep_data: has no effect with target=cluster.",
            next_step="Leave it out; what a function on a cluster keeps beyond its pods belongs to another service.",
        )
    if parameters["sqlite_statements"]:
        raise PlatformError(
            "sqlite_statements: has no effect with target=cluster.",
            next_step="Leave it out, and run the file in the database that `runtime_config` names "
            "(docs/functions.md, Stores).",
        )
    from ..spinkube.settings import cluster_settings

    if parameters["state"] == "rendered":
        from ..spinkube.rendered_target import RenderedTarget

        directory, rendered = Path(parameters["directory"]), cluster_settings(parameters)
        return lambda name: RenderedTarget(directory, namespace, name, rendered)
    from ..spinkube.cluster_function import ClusterFunction

    cluster, settings = api(), cluster_settings(parameters)
    if parameters["canary"] is not None:
        from ..spinkube.canary_target import CanaryTarget

        weight = parameters["canary"]
        return lambda name: CanaryTarget(ClusterFunction(cluster, namespace, name, settings, stages), weight)
    from ..spinkube.target import ClusterTarget

    return lambda name: ClusterTarget(ClusterFunction(cluster, namespace, name, settings, stages))


def _cluster_warnings(parameters: Parameters, details: dict[str, t.Any]) -> list[str]:
    if parameters["target"] == "local":
        return []
    from ..spinkube.settings import cluster_settings, scaling_warnings
    from ..spinkube.warmth import failures

    return scaling_warnings(cluster_settings(parameters).autoscale) + failures(details)


def _remove(parameters: Parameters, check_mode: bool, stages: Stages) -> dict[str, t.Any]:
    name, namespace = parameters["name"], parameters["namespace"]
    check_namespace(namespace)
    state = state_directory(parameters["state_directory"])
    target = _target_factory(parameters, state, stages, cluster_api(parameters))(name)
    with stages("live_state"):
        exists = target.exists()
    if exists and not check_mode:
        with stages("delete"):
            target.delete()
    result = removal_of("function", namespace, name, stages, exists=exists, check_mode=check_mode)
    if exists and parameters["target"] == "local":
        data = "its stores and databases"
        result["summary"] += f"; {data} stay for the next deployment" if parameters["keep_data"] else f", with {data}"
    return result


def removal_of(
    what: str, namespace: str, name: str, stages: Stages, *, exists: bool, check_mode: bool
) -> dict[str, t.Any]:
    """What a module returns of a removal; `what` is a function or a program, and `exists` tells of before."""
    verb = ("would be removed" if check_mode else "removed") if exists else f"unchanged: there is no such {what}"
    return {
        "changed": exists,
        "name": name,
        "namespace": namespace,
        "stages": stages.seconds,
        "summary": f"{namespace}/{name} {verb} ({times(stages.seconds)})",
        "diff": {"before": {what: f"{namespace}/{name}"} if exists else {}, "after": {}},
    }


def _result(result: DeployResult, state: str, check_mode: bool, share: str = "") -> dict[str, t.Any]:
    verbs = {
        "present": ("deployed", "would be deployed"),
        "pushed": ("pushed", "would be pushed"),
        "rendered": ("rendered", "would be rendered"),
    }
    returned = result_of(result, verbs[state][check_mode] + share if result.changed else "unchanged")
    if warm := result.details.get("warm"):
        from .spin_function_info import warm_nodes

        returned["summary"] += f", warm on {warm_nodes(warm)} nodes"
        if warm.get("later"):
            returned["summary"] += ", the servers make the others warm within minutes"
    return returned


def result_of(result: DeployResult, verb: str) -> dict[str, t.Any]:
    """What a module returns; `verb` begins the summary."""
    where = result.url or result.image or f"{result.namespace}/{result.name}"
    digest = f" {result.digest[:19]}" if result.digest else ""
    return {
        "changed": result.changed,
        "name": result.name,
        "namespace": result.namespace,
        "url": result.url,
        "image": result.image,
        "digest": result.digest,
        "source_digest": result.source_digest,
        "stages": result.stages,
        "details": result.details,
        **({"signature": result.signature} if result.signature else {}),
        **({"warnings": result.warnings} if result.warnings else {}),
        "summary": f"{verb} {where}{digest} ({times(result.stages)})",
        "diff": {"before": result.before, "after": result.after},
    }


def times(stages: dict[str, float]) -> str:
    """The total and the stages that one notices."""
    noticed = [f"{name} {seconds:.2f} s" for name, seconds in stages.items() if seconds >= 0.01]
    return ": ".join([f"{sum(stages.values()):.2f} s", *([", ".join(noticed)] if noticed else [])])


def _remove_result(path: Path) -> None:
    """A run that fails must not leave the result of an earlier one; raises PlatformError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise PlatformError(
            f"result_file: {path}: {error.strerror}.", next_step="Name a file that can be written.", stage="result"
        ) from error


def write_result(path: Path, result: dict[str, t.Any]) -> None:
    """Put the result where the user asked for it, whole or not at all; raises PlatformError."""
    keys = ("changed", "name", "namespace", "url", "image", "digest", "source_digest", "stages")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(descriptor, "w", encoding="utf-8") as stream:
                json.dump({key: result[key] for key in keys if key in result}, stream, indent=2)
                stream.write("\n")
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise PlatformError(
            f"result_file: {path}: {error.strerror}.",
            next_step="Name a file that can be written; the function itself is deployed.",
            stage="result",
        ) from error
