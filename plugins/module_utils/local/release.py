# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lays a release out on disk: a locked application and its blobs in the form that jco or Spin runs."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from ..errors import PlatformError
from . import archives
from .sqlite_statements import database_file_name

OpenBlob = t.Callable[[str], t.BinaryIO]

INSTALL_SPIN = "Install the Spin CLI (then the local target uses it), or deploy to a cluster (target: cluster)."
TRANSPILE_TIMEOUT_SECONDS = 300
REFUSED = 3
"""Exit code of transpile.mjs for a file that cannot run here."""

RUNS = "wasi:http/incoming-handler@0.2"
RUNS_NOT = {
    "wasi:http/handler@0.3": "it is a WASI preview 3 component",
    "wasi:http/incoming-handler@0.2.0-rc": "it is built for a 2023 draft of WASI HTTP",
    "fermyon:spin/inbound-http": "it is built for Spin's own HTTP interface, which came before WASI HTTP",
}
"""Start of an export's name to the reason why only Spin runs it (spinframework/spin crates/http/src/trigger.rs,
HandlerType)."""


@dataclasses.dataclass(frozen=True)
class Release:
    """A release on disk: its directory and the ids of the components that answer requests."""

    directory: Path
    components: list[str]


def check(application: dict[str, t.Any], runtime: str, variables: dict[str, str]) -> None:
    """Refuse, before anything is touched, what cannot run.

    Raises:
        PlatformError: names the trigger, component or variable.
    """
    missing = sorted(
        name
        for name, variable in application.get("variables", {}).items()
        if "default" not in variable and name not in variables
    )
    if missing:
        raise PlatformError(
            f"No value is given for the required variable{'s' if len(missing) > 1 else ''} {', '.join(missing)}.",
            next_step=f'Give it with -e \'{{"variables": {{"{missing[0]}": "…"}}}}\', or a default in spin.toml.',
        )
    for component in application["components"]:
        identifier = component["id"]
        if not identifier or identifier in (".", "..") or "/" in identifier or "\0" in identifier:
            raise PlatformError(
                f"The component id {identifier!r} cannot name a directory.",
                next_step="Give it another id in spin.toml.",
            )
        if component.get("dependencies"):
            raise PlatformError(
                f"Component {component['id']} has dependencies that are not composed into it.",
                next_step="Install spin or wac, so that the deployment composes the component.",
            )
    check_triggers(
        [
            (trigger["id"], trigger["trigger_type"], trigger["trigger_config"].get("executor"))
            for trigger in application["triggers"]
        ],
        runtime,
    )


def check_triggers(triggers: t.Sequence[tuple[str, str, dict[str, t.Any] | None]], runtime: str) -> None:
    """Refuse triggers that `runtime` cannot run.

    Args:
        triggers: id, type and executor of each.

    Raises:
        PlatformError: names the trigger.
    """
    if runtime != "spin":
        for identifier, kind, executor in triggers:
            if kind != "http":
                raise PlatformError(
                    f"Trigger {identifier} is of the type {kind}; without Spin the local target runs HTTP triggers "
                    "only.",
                    next_step=INSTALL_SPIN,
                )
            name = (executor or {}).get("type", "http")
            if name not in ("http", "spin"):
                raise PlatformError(
                    f"Trigger {identifier} uses the executor {name}, which only Spin has.", next_step=INSTALL_SPIN
                )
    if not any(kind == "http" for _identifier, kind, _executor in triggers):
        raise PlatformError(
            "The application has no HTTP trigger, so it has no URL to answer at.",
            next_step="Add a [[trigger.http]] to spin.toml.",
        )


def release_name(digest: str, runtime: str, runtime_directory: Path) -> str:
    """Directory of a release: what was deployed, what runs it, and (as its output is kept there) with which version."""
    return f"{digest.removeprefix('sha256:')[:12]}-{runtime}-{runtime_directory.name[:8]}"


def prepare(
    releases: Path,
    digest: str,
    runtime: str,
    application: dict[str, t.Any],
    open_blob: OpenBlob,
    *,
    archive_layers: t.Sequence[str] = (),
    node: Path,
    runtime_directory: Path,
    advice: str = INSTALL_SPIN,
) -> Release:
    """Lay a release out in `releases`, unless it is complete there; an incomplete one is made again.

    Args:
        archive_layers: digests of the layers that hold files which have no layer of their own.
        advice: what to do where a component cannot run here.

    Raises:
        PlatformError: the disk is full, a blob is missing or not what its digest says, or a component is of a kind that
            only Spin runs.
    """
    answering = {trigger["trigger_config"].get("component") for trigger in application["triggers"]} - {None}
    components = [component for component in application["components"] if component["id"] in answering]
    release = Release(
        releases / release_name(digest, runtime, runtime_directory), [component["id"] for component in components]
    )
    if (release.directory / "release.json").is_file():
        return release
    partial = release.directory.with_name(f"{release.directory.name}.partial")
    for leftover in (partial, release.directory):
        shutil.rmtree(leftover, ignore_errors=True)
    with made_whole(partial, f"The artifact cannot be unpacked to {release.directory}"):
        partial.mkdir(parents=True, mode=0o700)
        used = application["components"] if runtime == "spin" else components
        open_blob = _with_archives(partial / "archives", archive_layers, used, open_blob)
        if runtime == "spin":
            for component in application["components"]:
                _unpack_files(partial, component, open_blob)
                _unpack_source(partial, component, open_blob)
            (partial / "spin.toml").write_text(spin_toml(application), encoding="utf-8")
            (partial / "runtime-config.toml").write_text(
                runtime_config(application, releases.parent / "data"), encoding="utf-8"
            )
        else:
            for component in components:
                _unpack_files(partial, component, open_blob)
                if not _reuse_module(releases, partial, component, runtime_directory):
                    _unpack_source(partial, component, open_blob)
            with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
                for done in [
                    pool.submit(_transpile, partial, component, node, runtime_directory, advice)
                    for component in components
                ]:
                    done.result()
        shutil.rmtree(partial / "archives", ignore_errors=True)
        (partial / "release.json").write_text(json.dumps({"digest": digest, "runtime": runtime}), encoding="utf-8")
        partial.rename(release.directory)
    return release


@contextlib.contextmanager
def made_whole(directory: Path, what: str) -> t.Iterator[None]:
    """Removes the directory again where the block that fills it fails. Raises PlatformError for the disk's faults;
    `what` begins its message."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise PlatformError(
            f"{what}: {error.strerror or error}.",
            next_step="See that the disk has room (`df -h`) and the directory is yours, then deploy again.",
        ) from error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _with_archives(
    directory: Path, layers: t.Sequence[str], components: list[dict[str, t.Any]], open_blob: OpenBlob
) -> OpenBlob:
    """Find in archive layers, unpacked in `directory`, what has no layer of its own."""
    if not layers:
        return open_blob
    wanted = {file["digest"] for component in components for file in component.get("files", []) if "inline" not in file}
    directory.mkdir()
    unpacked: dict[str, Path] = {}
    for layer in layers:
        with open_blob(layer) as stream:
            unpacked |= archives.unpack(layer, stream, wanted - set(unpacked), directory)
    return lambda digest: unpacked[digest].open("rb") if digest in unpacked else open_blob(digest)


def _component_directory(partial: Path, component: dict[str, t.Any]) -> Path:
    return partial / "components" / str(component["id"])


def _unpack_source(partial: Path, component: dict[str, t.Any], open_blob: OpenBlob) -> None:
    _write_content(component["source"], _component_directory(partial, component) / "component.wasm", open_blob)


def _unpack_files(partial: Path, component: dict[str, t.Any], open_blob: OpenBlob) -> None:
    files = _component_directory(partial, component) / "files"
    files.mkdir(parents=True)
    for file in component.get("files", []):
        path = PurePosixPath(file["path"])
        if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in file["path"]:
            raise PlatformError(
                f"Component {component['id']}: the file path {file['path']!r} leaves its directory.",
                next_step="Build and push the artifact anew.",
            )
        destination = files / path
        destination.parent.mkdir(parents=True, exist_ok=True)
        _write_content(file, destination, open_blob)


def _write_content(reference: dict[str, t.Any], destination: Path, open_blob: OpenBlob) -> None:
    """Write what a content reference of a locked application (inline, base64 without padding, or digest) stands for."""
    if "inline" in reference:
        inline = reference["inline"]
        destination.write_bytes(base64.b64decode(inline + "=" * (-len(inline) % 4)))
        return
    digest = reference["digest"]
    found = hashlib.sha256()
    try:
        opened = open_blob(digest)
    except KeyError as error:
        raise PlatformError(
            f"The artifact has no layer {digest}, which its application names.",
            next_step="Delete it from the registry or image layout and push again.",
        ) from error
    with opened as source, destination.open("wb") as target:
        while chunk := source.read(1 << 20):
            found.update(chunk)
            target.write(chunk)
    if f"sha256:{found.hexdigest()}" != digest:
        raise PlatformError(
            f"A blob of the artifact is not {digest}, as it is named.",
            next_step="Delete it from the registry or image layout and push again.",
        )


def _module_mark(component: dict[str, t.Any], runtime_directory: Path) -> str:
    source = component["source"]
    return f"{source.get('digest') or source.get('inline')} {runtime_directory.name}"


def _reuse_module(releases: Path, partial: Path, component: dict[str, t.Any], runtime_directory: Path) -> bool:
    """Take the transpiled module of another release with the same Wasm, of this function (settings or files changed
    only) or of another one of the namespace: seconds become nothing."""
    wanted = _module_mark(component, runtime_directory)
    module = _component_directory(partial, component) / "module"
    marks = "*/components/*/module/source.txt"
    namespace = releases.parent.parent
    for mark in itertools.chain(releases.glob(marks), namespace.glob(f"*/{releases.name}/{marks}")):
        if mark.is_relative_to(partial):
            continue
        try:
            if mark.read_text(encoding="utf-8") == wanted:
                shutil.copytree(mark.parent, module, copy_function=os.link)
                return True
        except OSError:
            shutil.rmtree(module, ignore_errors=True)
    return False


def _transpile(partial: Path, component: dict[str, t.Any], node: Path, runtime_directory: Path, advice: str) -> None:
    directory = _component_directory(partial, component)
    source, module = directory / "component.wasm", directory / "module"
    if module.exists():
        return
    title = f"Component {component['id']}"
    exports = transpile(source, module, node, runtime_directory, title=title, advice=advice)
    for start, reason in RUNS_NOT.items():
        if any(name.startswith(start) for name in exports):
            raise PlatformError(f"{title} cannot run here: {reason}, which only Spin runs.", next_step=INSTALL_SPIN)
    if not any(name.startswith(RUNS) for name in exports):
        raise PlatformError(
            f"{title} exports no HTTP handler ({RUNS}), only: {', '.join(exports) or 'nothing'}.",
            next_step="Build it for Spin's HTTP trigger: the templates http-py-p2, http-js and http-rust-p2 of `spin "
            "new` do.",
        )
    (module / "source.txt").write_text(_module_mark(component, runtime_directory), encoding="utf-8")
    source.unlink()


def transpile(source: Path, module: Path, node: Path, runtime_directory: Path, *, title: str, advice: str) -> list[str]:
    """Turn the component in the file `source` into JavaScript and core modules in the new directory `module`.

    Args:
        title: what the component is called in errors.
        advice: what to do where it cannot run here.

    Returns:
        The names of its exports.

    Raises:
        PlatformError: it is no component, jco cannot read it, or Node.js did not end in time.
    """
    try:
        result = subprocess.run(
            [node, runtime_directory / "transpile.mjs", source, module],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRANSPILE_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(f"{title} could not be prepared: {error}", next_step=advice) from error
    lines = result.stderr.strip().splitlines()
    if result.returncode == REFUSED:
        raise PlatformError(
            f"{title} cannot run here: {lines[-1] if lines else 'unknown kind'}.",
            next_step=advice,
        )
    if result.returncode:
        raise PlatformError(
            f"{title} could not be prepared: jco ended with {result.returncode}.",
            next_step="Read the output; " + advice,
            facts={"output": "\n".join(lines[-20:])},
        )
    exports: list[str] = json.loads((module / "interfaces.json").read_text(encoding="utf-8"))["exports"]
    return exports


def spin_toml(application: dict[str, t.Any]) -> str:
    """The spin.toml (version 2) that loads as the given locked application, with sources and files beside it.

    Keys are renamed back as spinframework/spin crates/loader/src/local.rs renames them.
    """
    metadata = application.get("metadata", {})
    about = {key: metadata[key] for key in ("name", "version", "description", "authors") if metadata.get(key)}
    components = {}
    for component in application["components"]:
        own = component.get("metadata", {})
        place = f"components/{component['id']}"
        entry: dict[str, t.Any] = {"source": f"{place}/component.wasm"}
        if component.get("files"):
            entry["files"] = [{"source": f"{place}/files", "destination": "/"}]
        renamed = {
            "environment": component.get("env"),
            "variables": component.get("config"),
            "sqlite_databases": own.get("databases"),
            **{key: own.get(key) for key in ("key_value_stores", "ai_models", "allowed_outbound_hosts", "description")},
        }
        entry |= {key: value for key, value in renamed.items() if value}
        components[component["id"]] = entry
    triggers: dict[str, list[dict[str, t.Any]]] = {}
    for trigger in application["triggers"]:
        configuration = {key: value for key, value in trigger["trigger_config"].items() if value is not None}
        triggers.setdefault(trigger["trigger_type"], []).append({"id": trigger["id"], **configuration})
    manifest: dict[str, t.Any] = {"spin_manifest_version": 2, "application": about}
    if application.get("variables"):
        manifest["variables"] = {
            name: {
                **({"default": variable["default"]} if "default" in variable else {"required": True}),
                **{key: variable[key] for key in ("description", "secret") if variable.get(key)},
            }
            for name, variable in application["variables"].items()
        }
    return _toml({**manifest, "trigger": triggers, "component": components})


def runtime_config(application: dict[str, t.Any], data: Path) -> str:
    """Spin's runtime configuration for stores and databases beyond "default", which Spin knows of itself; as files in
    `data`."""
    stores: dict[str, t.Any] = {}
    databases: dict[str, t.Any] = {}
    for component in application["components"]:
        own = component.get("metadata", {})
        for label in own.get("key_value_stores", []):
            if label != "default":
                stores[label] = {"type": "spin", "path": str(data / "sqlite_key_value.db")}
        for label in own.get("databases", []):
            if label != "default":
                databases[label] = {
                    "type": "spin",
                    "path": str(data / database_file_name(label)),
                }
    return _toml(
        {**({"key_value_store": stores} if stores else {}), **({"sqlite_database": databases} if databases else {})}
    )


def _toml(content: dict[str, t.Any]) -> str:
    try:
        import tomli_w
    except ImportError as error:
        raise PlatformError(
            "The Python package tomli-w is missing; it writes the spin.toml that Spin runs.",
            next_step="Install it beside Ansible: pip install tomli-w (it is in the collection's requirements.txt).",
        ) from error
    text: str = tomli_w.dumps(content)
    return text
