# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a function from a project directory to a URL: the sequence of steps, each in its own package."""

from __future__ import annotations

import dataclasses
import functools
import re
import tempfile
import typing as t
from pathlib import Path

from .. import progress
from ..errors import PlatformError
from .builder import Builder, LocalBuilder
from .made_files import MadeFiles
from .manifest.model import Manifest, RemoteSource
from .manifest.parse import read_manifest
from .model import DesiredFunction, LiveFunction, Target
from .source_digest import Sources, read_sources
from .stages import Stages
from .variables import variable_values

if t.TYPE_CHECKING:
    from ..registry.model import Store
    from ..registry.reference import RegistryLocation
    from ..registry.signature import Signature, Signer
    from .artifact.model import Artifact
    from .source_record import SourceRecords

# Steps that an unchanged function never reaches import what they need themselves: at the top, these imports would be a
# third of its time.

MAXIMUM_NAME_LENGTH = 52
"""The operator puts the name into the label key `core.spinkube.dev/app.<name>.status`, which may have 63 characters in
Kubernetes."""

_KUBERNETES_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_KUBERNETES_NAMESPACE = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class DeployRequest:
    """What the user asks for.

    Attributes:
        source: the project directory, or its manifest file.
        source_root: the directory that no path of the manifest leaves; None finds it (read_manifest).
        name: of the function; None takes the application's name from spin.toml.
        state: `present` or `rendered`, or `pushed` to stop after the registry.
        profile: Spin's build profile.
        variables: values of the application's variables.
        shim_version: to check against where there is no target to ask.
        build_timeout_seconds: for one component's commands.
        cache_directory: keeps Python environments and downloads between runs.
        outputs_directory: keeps what earlier builds wrote while a build runs, and which files builds made.
        log_directory: keeps each function's build log.
        check_mode: report what would be done, and do nothing.
        built_as: functions of the namespace that were built from the same source; what was built for one of them is
            taken.
        builder: does the build step; None builds on this machine.
    """

    source: Path
    namespace: str
    cache_directory: Path
    outputs_directory: Path
    log_directory: Path
    shim_version: str
    source_root: Path | None = None
    name: str | None = None
    state: str = "present"
    profile: str | None = None
    variables: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    build_timeout_seconds: float = 1800
    check_mode: bool = False
    built_as: tuple[str, ...] = ()
    builder: Builder | None = None


@dataclasses.dataclass
class DeployResult:
    """What a run did, or would do in check mode; `digest` is empty where only a build could tell it."""

    changed: bool
    name: str
    namespace: str
    source_digest: str
    url: str = ""
    image: str = ""
    digest: str = ""
    stages: dict[str, float] = dataclasses.field(default_factory=dict)
    before: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    after: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    details: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    signature: dict[str, str] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)


class Registry:
    """Where artifacts are kept, and how they are called there.

    Args:
        open_store: called when the store is first needed, as an unchanged function needs none.
        records: say which artifacts of it were built from which sources.
        signer: signs artifacts; None leaves them unsigned.
    """

    def __init__(
        self,
        location: RegistryLocation,
        open_store: t.Callable[[], Store],
        records: SourceRecords,
        signer: Signer | None = None,
    ) -> None:
        self.location = location
        self.signer = signer
        self._open_store = open_store
        self._records = records

    @functools.cached_property
    def store(self) -> Store:
        return self._open_store()

    def close(self) -> None:
        """Close the connections."""
        if "store" in self.__dict__:
            self.store.close()

    def holds(self, name: str, image: str) -> bool:
        """Whether `image` is a reference into this registry, and not into one that was used before."""
        digest = image.partition("@")[2]
        return bool(digest) and image == self.location.digest_reference(name, digest)

    def vouches_for(self, name: str, source_digest: str, artifact_digest: str) -> bool:
        """Whether it has a record of the deployer that the artifact was built from these sources."""
        return self._records.vouch_for(self.store, name, source_digest, artifact_digest)

    def push(self, name: str, source_digest: str, artifact: Artifact) -> str:
        """Push the artifact so that later runs find it by its source digest. Gives its reference by digest."""
        self._records.write(self.store, name, source_digest, artifact)
        return self.store.push(name, artifact, tag=source_tag(source_digest)).image

    def signed(self, image: str, result: DeployResult, source_digest: str, *, check_mode: bool) -> Signature | None:
        """See `Signer.sign`; None without a signer."""
        if self.signer is None:
            return None
        annotations = {"tenant": result.namespace, "function": result.name, "source_digest": source_digest}
        return self.signer.sign(self.store, result.name, image, annotations, check_mode=check_mode)

    def stored(self, name: str, image: str, *, has_application: bool = True) -> Artifact | None:
        """The whole artifact, where it lies on this machine's disk; that of a program has no locked application."""
        from ..registry.image_layout import ImageLayoutStore
        from .artifact.stored import stored_artifact

        if not isinstance(self.store, ImageLayoutStore):
            return None
        manifest = self.store.manifest(name, image.partition("@")[2])
        if manifest is None:
            return None
        return stored_artifact(manifest, self.store.blob_path, has_application=has_application)

    def handed_over(self, name: str, image: str, receiver: str) -> Artifact | None:
        """The artifact of one function to be pushed as that of `receiver`; None where it would have to be sent."""
        from ..registry.distribution import DistributionStore

        if isinstance(self.store, DistributionStore):
            return self.store.handed_over(name, image.partition("@")[2], receiver)
        return self.stored(name, image)  # a layout has each blob once, for all functions


def deploy_function(
    request: DeployRequest, registry: Registry, target_for: t.Callable[[str], Target], stages: Stages
) -> DeployResult:
    """Deploy the function; a second call with the same input changes nothing.

    Args:
        target_for: gives the target for a function's name.

    Raises:
        PlatformError: names the stage, the cause and the next command; the previous version keeps answering.
    """
    with stages("manifest"):
        check_namespace(request.namespace)
        manifest = read_manifest(request.source, profile=request.profile, source_root=request.source_root)
        name = function_name(request.name or manifest.name, manifest)
    with stages("source_digest"):
        earlier = MadeFiles.read(request.outputs_directory, manifest.sources)
        project = _Project(manifest, read_sources(manifest, earlier), earlier)
        digest = project.sources.digest
    result = DeployResult(False, name, request.namespace, digest, stages=stages.seconds)
    if request.state == "pushed":
        return _push_only(request, registry, project, stages, result)
    with stages("manifest"):
        variables = variable_values(manifest, request.variables)

    target = target_for(name)
    shim_version = functools.cache(target.shim_version)  # asks the nodes
    desired = DesiredFunction(name, request.namespace, digest, "", manifest, variables)
    with stages("live_state"):
        live = target.live()
        if live is not None and live.source_digest == digest and registry.holds(name, live.image):
            desired = dataclasses.replace(desired, image=live.image)
            difference = target.difference(desired)
            if not difference:
                _sign(request, registry, result, desired, stages)
                return _filled(result, live if request.check_mode else target.ensure_answers(desired))
            result.before, result.after = difference.before, difference.after
        result.warnings.extend(target.check(desired))
    with stages("compatibility"):
        _check_manifest(manifest, variables.all(), shim_version)
    with stages("registry"):
        image = desired.image or _pushed_earlier(registry, result, shim_version)
        if not image and not request.check_mode:
            image = _built_as_another(registry, result, request.built_as, shim_version)
    with stages("live_state"):
        if not desired.image and (same := _as_deployed(target, live, dataclasses.replace(desired, image=image))):
            _sign(request, registry, result, same, stages)
            return _filled(result, live if live and request.check_mode else target.ensure_answers(same))
    from .deployed_from import another_directory

    result.changed = True
    origins = request.outputs_directory / "origins" / request.namespace / f"{name}.json"
    other = another_directory(origins, manifest, live.digest) if live and not request.name else None
    if other:
        progress.tell(f"Warning: {other}")
        result.warnings.append(other)
    with stages("registry"):
        artifact = registry.stored(name, image) if image and target.needs_artifact else None
        desired = dataclasses.replace(
            desired, image=image if artifact or not target.needs_artifact else "", artifact=artifact
        )
    if request.check_mode:
        planned = _planned(result, live, desired, target, manifest)
        _sign(request, registry, planned, desired, stages)
        return planned
    if not result.after:
        result.before, result.after = {"source_digest": live.source_digest if live else None}, {"source_digest": digest}
    if desired.image:
        _sign(request, registry, result, desired, stages)
        return _filled(result, _deployed(target, desired, origins))
    with tempfile.TemporaryDirectory(prefix="wasmfaas-") as work_directory:
        artifact = _build_and_pack(request, result, project, shim_version(), Path(work_directory), stages)
        if target.needs_artifact:
            with stages("compatibility"):
                target.check(dataclasses.replace(desired, artifact=artifact))
        image = _push(registry, result, digest, artifact, stages)
        desired = dataclasses.replace(desired, source_digest=result.source_digest, image=image, artifact=artifact)
        with stages("live_state"):
            if same := _as_deployed(target, live, desired):
                result.changed, result.before, result.after = False, {}, {}
                result.warnings = [warning for warning in result.warnings if warning != other]
                _sign(request, registry, result, same, stages)
                return _filled(result, target.ensure_answers(same))
        _sign(request, registry, result, desired, stages)
        return _filled(result, _deployed(target, desired, origins))


def _sign(
    request: DeployRequest, registry: Registry, result: DeployResult, desired: DesiredFunction, stages: Stages
) -> None:
    """Have the artifact signed before it is deployed, where a key is given; see `_note_signature`."""
    _note_signature(request, registry, result, desired.image, desired.source_digest, stages)


def _note_signature(
    request: DeployRequest, registry: Registry, result: DeployResult, image: str, source_digest: str, stages: Stages
) -> None:
    """Have the artifact signed and the result say so; in check mode, what would be signed, where that is known."""
    if registry.signer is None:
        return
    with stages("signature"):
        signature = registry.signed(image, result, source_digest, check_mode=request.check_mode) if image else None
    result.signature = {"key_id": registry.signer.key_id, "tag": signature.tag if signature else ""}
    if signature is None or signature.changed:
        result.changed = True
        result.before = {**result.before, "signature": None}
        result.after = {**result.after, "signature": result.signature}


def _deployed(target: Target, desired: DesiredFunction, origins: Path) -> LiveFunction:
    from .deployed_from import note_directory

    live = target.deploy(desired)
    note_directory(origins, desired.manifest, desired.digest)
    return live


@dataclasses.dataclass(frozen=True)
class _Project:
    """A manifest with the sources that it describes, and what earlier builds made beside them."""

    manifest: Manifest
    sources: Sources
    earlier: MadeFiles


def _as_deployed(target: Target, live: LiveFunction | None, desired: DesiredFunction) -> DesiredFunction | None:
    """The desired function with the source digest of the live one, if nothing else differs: then other sources (a
    README, say) gave the same artifact, and there is nothing to deploy."""
    if live is None or not live.source_digest or live.image != desired.image:
        return None
    same = dataclasses.replace(desired, source_digest=live.source_digest)
    return None if target.difference(same) else same


def function_name(name: str, manifest: Manifest) -> str:
    """Check that `name` can be the name of Kubernetes objects; raises PlatformError."""
    return checked_name(
        name,
        f"The function's name {name!r} (application.name in {manifest.path.name})",
        another="Rename the application, or give another name",
    )


def checked_name(name: str, what: str, *, another: str = "Give another") -> str:
    """Check that `name` can be the name of Kubernetes objects; raises PlatformError.

    Args:
        what: begins the error, as in `The function's name 'x'`.
        another: begins what to do about it.
    """
    if len(name) > MAXIMUM_NAME_LENGTH:
        raise PlatformError(
            f"{what} has {len(name)} characters, and only {MAXIMUM_NAME_LENGTH} fit.",
            next_step="Give a shorter one with `-e name=NAME`.",
        )
    if not _KUBERNETES_NAME.fullmatch(name):
        raise PlatformError(
            f"{what} must consist of a-z, 0-9 and -, begin with a letter and not end with -.",
            next_step=f"{another} with `-e name=NAME`.",
        )
    return name


def check_namespace(namespace: str) -> None:
    """Check that `namespace` can be one of Kubernetes (RFC 1123 label), as it becomes part of URLs and paths; raises
    PlatformError."""
    if not _KUBERNETES_NAMESPACE.fullmatch(namespace):
        raise PlatformError(
            f"The namespace {namespace!r} must consist of at most 63 characters a-z, 0-9 and -, and neither begin "
            "nor end with -.",
            next_step="Give another with `-e namespace=NAMESPACE`.",
        )


def source_tag(digest: str) -> str:
    """The tag under which the artifact of a source digest is pushed, by which a later run finds it without building."""
    return f"source-{digest.removeprefix('sha256:')[:32]}"


def _push_only(
    request: DeployRequest, registry: Registry, project: _Project, stages: Stages, result: DeployResult
) -> DeployResult:
    digest = result.source_digest
    with stages("compatibility"):
        _check_manifest(project.manifest, {}, lambda: request.shim_version)
    with stages("registry"):
        result.image = _pushed_earlier(registry, result, lambda: request.shim_version)
    if not result.image:
        result.changed = True
        result.before = {"image": None}
        result.after = {"build": _build_commands(project.manifest), "push": f"{registry.location} {result.name}"}
        if not request.check_mode:
            with tempfile.TemporaryDirectory(prefix="wasmfaas-") as work_directory:
                artifact = _build_and_pack(request, result, project, request.shim_version, Path(work_directory), stages)
                result.changed = not registry.store.has(result.name, artifact.digest)
                result.image = _push(registry, result, digest, artifact, stages)
            if not result.changed:
                result.before, result.after = {}, {}
    _note_signature(request, registry, result, result.image, result.source_digest, stages)
    result.digest = result.image.partition("@")[2]
    return result


def _check_manifest(manifest: Manifest, values: dict[str, str], shim_version: t.Callable[[], str]) -> None:
    """Refuse what the Spin of the shim refuses in this manifest; raises PlatformError."""
    from .compatibility.manifest_rules import check_manifest

    check_manifest(manifest, values, shim_version=shim_version())


def _pushed_earlier(registry: Registry, result: DeployResult, shim_version: t.Callable[[], str]) -> str:
    """The reference of what an earlier run pushed for the same source; empty where there is none."""
    from .artifact.pack import MINIMUM_SPIN_VERSION
    from .compatibility.check import check_pushed

    pushed = pushed_earlier(registry, result)
    if pushed is None:
        return ""
    minimum = pushed.annotations.get(MINIMUM_SPIN_VERSION)
    check_pushed(minimum if isinstance(minimum, str) else "", shim_version=shim_version())
    return pushed.image


def _built_as_another(
    registry: Registry, result: DeployResult, names: tuple[str, ...], shim_version: t.Callable[[], str]
) -> str:
    """The reference of what was built from the same source for another function of the namespace, pushed for this one
    too; empty where there is none, or the registry does not hand it over."""
    for name in names:
        other = dataclasses.replace(result, name=name, warnings=[])
        image = _pushed_earlier(registry, other, shim_version)
        artifact = registry.handed_over(name, image, result.name) if image else None
        if artifact is not None:
            progress.tell(f"Built before, as {result.namespace}/{name}.")
            return registry.push(result.name, result.source_digest, artifact)
    return ""


@dataclasses.dataclass(frozen=True)
class Pushed:
    """What the registry has under a tag: its reference by digest, and the annotations of its manifest, which may hold
    anything."""

    image: str
    annotations: dict[str, t.Any]


def pushed_earlier(registry: Registry, result: DeployResult) -> Pushed | None:
    """What an earlier run of the same deployer pushed for the same source; None where there is nothing, with a warning
    where somebody else's is there. Raises PlatformError where it is no manifest."""
    import hashlib

    from ..registry.answers import json_object

    name, tag = result.name, source_tag(result.source_digest)
    manifest = registry.store.manifest(name, tag)
    if manifest is None:
        return None
    content = json_object(manifest)
    if content is None:
        raise PlatformError(
            f"{registry.location}: what it has of {name} under the tag {tag} is no manifest.",
            next_step="Check that `registry` is right, and that no proxy in between changes answers.",
        )
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    if not registry.vouches_for(name, result.source_digest, digest):
        warning = (
            f"{registry.location}: no record says that {name}:{tag} was pushed by a deployer of namespace "
            f"{result.namespace}, so it is built again."
        )
        progress.tell(f"Warning: {warning}")
        result.warnings.append(warning)
        return None
    annotations = content.get("annotations")
    return Pushed(
        registry.location.digest_reference(name, digest), annotations if isinstance(annotations, dict) else {}
    )


def _build_and_pack(
    request: DeployRequest,
    result: DeployResult,
    project: _Project,
    shim_version: str,
    work_directory: Path,
    stages: Stages,
) -> Artifact:
    from .artifact.composition import compose
    from .artifact.pack import pack
    from .build.components import BuildOptions
    from .build.observed import ObservedBuild
    from .compatibility.check import check
    from .compatibility.webassembly import read_binary
    from .manifest.files import expand_files

    manifest = project.manifest
    builder = request.builder or LocalBuilder(request.cache_directory / "downloads")
    log_file = request.log_directory / request.namespace / f"{result.name}.build.log"
    options = BuildOptions(request.cache_directory, request.outputs_directory, log_file, request.build_timeout_seconds)
    observed = ObservedBuild(manifest, project.sources, project.earlier, request.outputs_directory)
    with stages("build"), observed, builder.built(manifest, options) as build_warnings:
        result.warnings.extend(build_warnings)
        sources = {}
        for component in manifest.components.values():
            source = component.source
            path = (
                builder.fetch(source.url, source.digest)
                if isinstance(source, RemoteSource)
                else manifest.directory / source.path
            )
            read_binary(path, key=f"spin.toml: component.{component.id}.source")
            composed = compose(manifest, component, path, work_directory=work_directory, fetch=builder.fetch)
            sources[component.id] = (
                composed
                if isinstance(source, RemoteSource) or composed != path
                else _copy(path, work_directory / f"{component.id}.wasm")
            )
        result.source_digest, warnings = observed.settled()
        result.warnings.extend(warnings)
    with stages("compatibility"):
        compatibility = check(manifest, sources, shim_version=shim_version)
        result.warnings.extend(compatibility.warnings)
    with stages("artifact"):
        files = {component.id: expand_files(manifest, component) for component in manifest.components.values()}
        return pack(
            manifest,
            sources,
            files,
            minimum_spin_version=compatibility.minimum_spin_version,
            work_directory=work_directory,
        )


def _copy(path: Path, copy: Path) -> Path:
    """Copy a Wasm file, since the next run's build may replace it while this one still uploads it; raises
    PlatformError."""
    import shutil

    try:
        shutil.copyfile(path, copy)
    except OSError as error:
        raise PlatformError(
            f"{path} cannot be copied to {copy}: {error.strerror}.",
            next_step="See that the disk has room (`df -h`, TMPDIR), then deploy again.",
        ) from error
    return copy


def _push(registry: Registry, result: DeployResult, digest: str, artifact: Artifact, stages: Stages) -> str:
    """Push the artifact; runs find it by the digest of the sources before the build, and by that after it, which
    differs where the build wrote a lock file."""
    with stages("registry"):
        if result.source_digest != digest:
            registry.push(result.name, digest, artifact)
        return registry.push(result.name, result.source_digest, artifact)


def _build_commands(manifest: Manifest) -> list[str]:
    return [
        command for component in manifest.components.values() if component.build for command in component.build.commands
    ]


def _planned(
    result: DeployResult, live: LiveFunction | None, desired: DesiredFunction, target: Target, manifest: Manifest
) -> DeployResult:
    """Fill in for check mode what the run would do, as far as it is known without a build."""
    if not result.after:
        difference = target.difference(desired)
        result.before = {"source_digest": live.source_digest if live else None, **difference.before}
        result.after = {
            "source_digest": desired.source_digest,
            **({} if desired.image else {"build": _build_commands(manifest)}),
            **difference.after,
        }
    result.image, result.digest = desired.image, desired.digest
    result.url = live.url if live else ""
    return result


def _filled(result: DeployResult, live: LiveFunction) -> DeployResult:
    result.url, result.image, result.digest = live.url, live.image, live.digest
    result.details = {"status": live.status, **live.details}
    return result
