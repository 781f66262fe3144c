# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a program from a Wasm file, or the command that builds one, to where it runs."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.deploy_function import DeployResult, Registry, check_namespace, checked_name, pushed_earlier
from ..function.model import LiveFunction
from ..function.stages import Stages
from .artifact import PROGRAM_KIND, pack_program
from .kind import kind_of
from .model import DesiredProgram, Kind, ProgramTarget
from .source import Source, build_program, read_source

if t.TYPE_CHECKING:
    from ..function.artifact.model import Artifact


@dataclasses.dataclass(frozen=True)
class ProgramRequest:
    """What the user asks for; see the options of the module wasi_program, which have the same names."""

    source: Path
    namespace: str
    outputs_directory: Path
    log_directory: Path
    name: str | None = None
    build: str | None = None
    wasm: str | None = None
    state: str = "present"
    build_timeout_seconds: float = 1800
    check_mode: bool = False


def deploy_program(
    request: ProgramRequest, registry: Registry, target_for: t.Callable[[str], ProgramTarget], stages: Stages
) -> DeployResult:
    """Deploy the program; a second call with the same input changes nothing.

    Args:
        target_for: gives the target for a program's name.

    Raises:
        PlatformError: names the stage, the cause and the next command.
    """
    with stages("source"):
        check_namespace(request.namespace)
        source = read_source(request.source, command=request.build, wasm=request.wasm)
        name = request.name or source.default_name
        checked_name(name, f"The program's name {name!r}")
        # Of a program that is built, only the build tells.
        kind = None if source.command else kind_of(source.wasm, key=source.key)
    with stages("source_digest"):
        digest = source.digest()
    result = DeployResult(False, name, request.namespace, digest, stages=stages.seconds)
    if request.state == "pushed":
        return _push_only(request, registry, source, stages, result)
    target = target_for(name)
    desired = DesiredProgram(name, request.namespace, digest, kind=kind)
    with stages("live_state"):
        live = target.live()
        if live is not None and live.source_digest == digest and registry.holds(name, live.image):
            desired = dataclasses.replace(desired, image=live.image, kind=kind or live.details["kind"])
            difference = target.difference(desired)
            if not difference:
                return _filled(result, live if request.check_mode else target.ensure_runs(desired))
            result.before, result.after = difference.before, difference.after
        target.check(desired)
    result.changed = True
    if not desired.image:
        with stages("registry"):
            image, pushed_kind = _pushed_earlier(registry, result)
        desired = dataclasses.replace(desired, image=image, kind=kind or pushed_kind)
    if desired.image and target.needs_artifact:
        with stages("registry"):
            desired = dataclasses.replace(desired, artifact=registry.stored(name, desired.image, has_application=False))
    if request.check_mode:
        return _planned(result, live, desired, target, source)
    if not result.after:
        result.before, result.after = {"source_digest": live.source_digest if live else None}, {"source_digest": digest}
    if desired.image and (desired.artifact or not target.needs_artifact):
        return _filled(result, target.deploy(desired))
    with tempfile.TemporaryDirectory(prefix="wasmfaas-") as work_directory:
        artifact = _build_and_pack(request, result, source, Path(work_directory), stages)
        desired = dataclasses.replace(desired, kind=_kind_in(artifact), artifact=artifact)
        target.check(desired)
        image = _push(registry, name, digest, artifact, stages)
        return _filled(result, target.deploy(dataclasses.replace(desired, image=image)))


def _push_only(
    request: ProgramRequest, registry: Registry, source: Source, stages: Stages, result: DeployResult
) -> DeployResult:
    with stages("registry"):
        result.image, _kind = _pushed_earlier(registry, result)
    if not result.image:
        result.changed = True
        result.before = {"image": None}
        result.after = {**_build_plan(source), "push": f"{registry.location} {result.name}"}
        if not request.check_mode:
            with tempfile.TemporaryDirectory(prefix="wasmfaas-") as work_directory:
                artifact = _build_and_pack(request, result, source, Path(work_directory), stages)
                result.changed = not registry.store.has(result.name, artifact.digest)
                result.image = _push(registry, result.name, result.source_digest, artifact, stages)
            if not result.changed:
                result.before, result.after = {}, {}
    result.digest = result.image.partition("@")[2]
    return result


def _pushed_earlier(registry: Registry, result: DeployResult) -> tuple[str, Kind | None]:
    """The reference of what an earlier run pushed for the same source, and its kind; empty where there is none."""
    pushed = pushed_earlier(registry, result)
    kind = pushed.annotations.get(PROGRAM_KIND) if pushed is not None else None
    if pushed is None or kind not in ("command", "server"):
        return "", None
    return pushed.image, kind


def _build_and_pack(
    request: ProgramRequest, result: DeployResult, source: Source, work_directory: Path, stages: Stages
) -> Artifact:
    copy = work_directory / source.wasm.name
    with stages("build"):
        build_program(
            source,
            log_file=request.log_directory / request.namespace / f"{result.name}.build.log",
            outputs_directory=request.outputs_directory,
            timeout_seconds=request.build_timeout_seconds,
            copy=copy,
        )
        if source.digest() != result.source_digest:
            _tell_change(source, result)
    with stages("artifact"):
        return pack_program(copy, result.name, key=source.key)


def _tell_change(source: Source, result: DeployResult) -> None:
    if not source.command:
        raise PlatformError(
            f"source: {source.wasm} changed while it was read.", next_step="Let its build end, then deploy again."
        )
    result.warnings.append(
        f"The build changed files of {source.directory} that count as its source, so the next run builds again. Keep "
        "such files in version control as the build leaves them (lock files), or name them in .gitignore (outputs)."
    )


def _kind_in(artifact: Artifact) -> Kind:
    with artifact.manifest.open() as stream:
        return t.cast(Kind, json.load(stream)["annotations"][PROGRAM_KIND])


def _push(registry: Registry, name: str, digest: str, artifact: Artifact, stages: Stages) -> str:
    with stages("registry"):
        return registry.push(name, digest, artifact)


def _build_plan(source: Source) -> dict[str, t.Any]:
    return {"build": [source.command]} if source.command else {}


def _planned(
    result: DeployResult, live: LiveFunction | None, desired: DesiredProgram, target: ProgramTarget, source: Source
) -> DeployResult:
    """Fill in for check mode what the run would do, as far as it is known without a build."""
    if not result.after:
        difference = target.difference(desired)
        result.before = {"source_digest": live.source_digest if live else None, **difference.before}
        result.after = {
            "source_digest": desired.source_digest,
            **({} if desired.image else _build_plan(source)),
            **difference.after,
        }
    result.image, result.digest = desired.image, desired.image.partition("@")[2]
    result.url = live.url if live else ""
    return result


def _filled(result: DeployResult, live: LiveFunction) -> DeployResult:
    result.url, result.image, result.digest = live.url, live.image, live.digest
    result.details = {"status": live.status, **live.details}
    return result
