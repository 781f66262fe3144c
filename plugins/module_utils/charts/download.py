# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of Helm charts, fetched on the controller for the folder that bundle.yml makes, and found there on the other
side of an air gap.

Two kinds of places: a repository with index.yaml (helm.sh/docs/topics/chart_repository), and a registry
(helm.sh/docs/topics/registries).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

from ..download import custom_resource_definitions
from ..download.binaries import provide
from ..download.fetch import fetch_file, fetch_text, unwritable
from ..errors import PlatformError
from ..registry.distribution import DistributionStore
from ..registry.reference import parse_registry
from ..registry.store import open_store

ARCHIVE_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
INDEX_BYTES = 64 * 1024 * 1024
"""More than the largest index of a repository that we use (prometheus-community's, 20 MiB)."""
PREFIX = "chart-"
VARIABLE = "platform_chart_overrides"

Source = t.Mapping[str, t.Any]
"""`repository` and `version`, and `chart` where the name in a repository differs; or `content`, an archive on this
machine."""


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module platform_download does; its documentation says what the parameters and the result mean."""
    folder = Path(parameters["directory"])
    wanted = sorted(parameters["charts"].items())
    files = [custom_resource_definitions.program_of(entry) for entry in parameters["definitions"]]
    with ThreadPoolExecutor(max_workers=4) as pool:
        charts = list(pool.map(lambda entry: provide_chart(entry[0], entry[1], folder, check_mode=check_mode), wanted))
        kinds = list(pool.map(lambda program: provide(program, folder, None, check_mode=check_mode), files))
    found = {_key(name): {"any": result} for (name, _source), (_fetched, result) in zip(wanted, charts, strict=True)}
    found |= {
        program.name: {program.architecture: result} for program, (_fetched, result) in zip(files, kinds, strict=True)
    }
    versions = {_key(name): str(source["version"]) for name, source in wanted} | {
        program.name: program.version for program in files
    }
    return {"changed": any(fetched for fetched, _result in [*charts, *kinds]), "programs": found, "versions": versions}


def provide_chart(name: str, source: Source, folder: Path, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    """Have the archive of a chart in the folder: whether it was fetched, its `path` and `sha256` ("" where a check did
    not fetch it).

    Raises:
        PlatformError: it can't be had.
    """
    if source.get("content"):
        archive = Path(str(source["content"])).expanduser()
        try:
            return False, {"path": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
        except OSError as error:
            raise PlatformError(
                f"{archive}, the archive of the chart {name}, can't be read: {error.strerror}.",
                next_step=f"Correct platform_charts.{name}.content.",
            ) from error
    if not source.get("repository") or not source.get("version"):
        raise PlatformError(
            f"The chart {name} has no repository or no version.", next_step=f"Give both in {VARIABLE}.{name}."
        )
    place = _place(name, source, folder)
    kept = _kept(place, str(source["repository"]))
    if kept:
        return False, kept
    if check_mode:
        return True, {"path": str(place), "sha256": ""}
    try:
        return True, _fetch(name, source, place)
    except OSError as error:
        raise unwritable(place, error) from error


def chart_from_artifacts(name: str, source: Source, artifacts: Path) -> Path:
    """The archive of a chart in the folder that bundle.yml made.

    Raises:
        PlatformError: it is not there, or is not what was carried over.
    """
    place = _place(name, source, artifacts)
    about = _about(place)
    if not place.is_file() or not about:
        raise PlatformError(
            f"The folder {artifacts} holds no chart {name} {source.get('version')}.",
            next_step="Make it anew with ansible-playbook wasmfaas.platform.bundle for this inventory.",
        )
    if hashlib.sha256(place.read_bytes()).hexdigest() != about["sha256"]:
        raise PlatformError(
            f"{place} is not what was downloaded.",
            next_step="Carry it over again, or make it anew with ansible-playbook wasmfaas.platform.bundle.",
        )
    return place


def _key(name: str) -> str:
    return f"{PREFIX}{name}"


def _place(name: str, source: Source, folder: Path) -> Path:
    """As other files lie there: NAME/VERSION/ARCHITECTURE/NAME."""
    return folder / _key(name) / str(source.get("version")) / custom_resource_definitions.ANY_ARCHITECTURE / _key(name)


def _about(place: Path) -> dict[str, str]:
    try:
        read = json.loads(place.with_name(f"{place.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) and read.get("sha256") else {}


def _kept(place: Path, repository: str) -> dict[str, str] | None:
    """An archive that is there, whole, and from that repository: what a version holds does not change."""
    about = _about(place)
    if about.get("url") != repository or not place.is_file():
        return None
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    return {"path": str(place), "sha256": digest} if digest == about["sha256"] else None


def _fetch(name: str, source: Source, place: Path) -> dict[str, str]:
    repository, version = str(source["repository"]), str(source["version"])
    place.parent.mkdir(parents=True, exist_ok=True)
    if repository.startswith("oci://"):
        content = _from_registry(name, repository, version)
        partial = place.with_name(f"{place.name}.partial")
        partial.write_bytes(content)
        os.replace(partial, place)
        digest = hashlib.sha256(content).hexdigest()
    else:
        url, digest = _in_index(str(source.get("chart") or name), repository, version)
        fetch_file(url, place, digest, mirror_variable=VARIABLE)
    about = place.with_name(f"{place.name}.json")
    partial = about.with_name(f"{about.name}.partial")
    partial.write_text(
        json.dumps({"url": repository, "source_sha256": digest, "sha256": digest}, indent=2) + "\n", encoding="utf-8"
    )
    os.replace(partial, about)
    return {"path": str(place), "sha256": digest}


def _in_index(chart: str, repository: str, version: str) -> tuple[str, str]:
    """Address and SHA-256 of an archive, as the repository's index has them."""
    import yaml

    address = f"{repository.rstrip('/')}/index.yaml"
    text = fetch_text(address, longest=INDEX_BYTES, mirror_variable=VARIABLE)
    try:
        # A large index takes a minute by PyYAML's own parser.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entries = yaml.load(text, Loader=loader)["entries"]  # noqa: S506  # both are safe
        versions = {str(entry["version"]): entry for entry in entries.get(chart) or []}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise PlatformError(
            f"{address} is no index of charts.", next_step=f"Correct the repository in {VARIABLE}.{chart}."
        ) from None
    entry = versions.get(version) or versions.get(version.removeprefix("v")) or versions.get(f"v{version}")
    if not entry or not entry.get("urls") or not entry.get("digest"):
        newest = next(iter(versions), "none")
        raise PlatformError(
            f"{address} has no chart {chart} {version}; the newest that it has is {newest}.",
            next_step=f"Correct repository or version in {VARIABLE}.{chart}.",
        )
    return urljoin(f"{repository.rstrip('/')}/", str(entry["urls"][0])), str(entry["digest"]).removeprefix("sha256:")


def _from_registry(name: str, repository: str, version: str) -> bytes:
    path, _slash, chart = repository.removeprefix("oci://").rstrip("/").rpartition("/")
    # Helm: a tag can't hold the "+" that versions may have.
    tag = version.replace("+", "_")
    with contextlib.closing(open_store(parse_registry(path))) as store:
        if not isinstance(store, DistributionStore):
            raise PlatformError(
                f"{repository} is no registry.", next_step=f"Correct the repository in {VARIABLE}.{name}."
            )
        manifest = store.manifest(chart, tag)
        if manifest is None:
            raise PlatformError(
                f"{repository} has no version {version}.",
                next_step=f"Correct repository or version in {VARIABLE}.{name}.",
            )
        try:
            (layer,) = [layer for layer in json.loads(manifest)["layers"] if layer["mediaType"] == ARCHIVE_TYPE]
        except (ValueError, KeyError, TypeError):
            raise PlatformError(
                f"{repository}:{tag} is no chart.", next_step=f"Correct the repository in {VARIABLE}.{name}."
            ) from None
        return store.blob(chart, str(layer["digest"]))
