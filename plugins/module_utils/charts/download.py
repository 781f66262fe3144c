# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of Helm charts: fetched on the controller into an air-gap bundle, and found there on the other side of the
gap.

They come from a repository with index.yaml (helm.sh/docs/topics/chart_repository) or from a registry
(helm.sh/docs/topics/registries).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urljoin

from ..download import custom_resource_definitions, pinned
from ..download.binaries import provide
from ..download.fetch import fetch_file, fetch_text, unwritable
from ..errors import PlatformError
from ..registry.answers import json_object
from ..registry.distribution import DistributionStore
from ..registry.reference import check_digest, parse_registry
from ..registry.store import open_store

ARCHIVE_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
INDEX_BYTES = 64 * 1024 * 1024
"""Above the largest index that we use (prometheus-community's, 20 MiB)."""
PREFIX = "chart-"
VARIABLE = "platform_chart_overrides"

Source = t.Mapping[str, t.Any]
"""`repository` and `version`, and `chart` where the name in a repository differs; or `content`, an archive on this
machine. `sha256` of the archive replaces the recorded one; "": it is not compared."""


@dataclasses.dataclass(frozen=True)
class Collected:
    """Charts and definitions of kinds in an air-gap bundle.

    Attributes:
        changed: whether one was fetched.
        places: path and SHA-256 of each, by name and architecture (always "any"), as binary_download returns binaries.
        versions: the version of each, by name.
    """

    changed: bool
    places: dict[str, dict[str, dict[str, str]]]
    versions: dict[str, str]


def collect(
    sources: t.Mapping[str, Source], definitions: t.Sequence[dict[str, t.Any]], bundle: Path, *, check_mode: bool
) -> Collected:
    """Have charts and definitions of kinds in the directory of an air-gap bundle.

    Args:
        sources: where each chart is from, by its name.
        definitions: files, each with `url` and `sha256`, or `path`.

    Raises:
        PlatformError: one is not available.
    """
    desired = sorted(sources.items())
    files = [custom_resource_definitions.binary_of(entry) for entry in definitions]
    with ThreadPoolExecutor(max_workers=4) as pool:
        charts = list(pool.map(lambda entry: provide_chart(entry[0], entry[1], bundle, check_mode=check_mode), desired))
        kinds = list(pool.map(lambda file: provide(file, bundle, None, check_mode=check_mode), files))
    places = {_key(name): {"any": result} for (name, _source), (_fetched, result) in zip(desired, charts, strict=True)}
    places |= {file.name: {file.architecture: result} for file, (_fetched, result) in zip(files, kinds, strict=True)}
    versions = {_key(name): str(source["version"]) for name, source in desired}
    versions |= {file.name: file.version for file in files}
    return Collected(any(fetched for fetched, _result in [*charts, *kinds]), places, versions)


def provide_chart(name: str, source: Source, bundle: Path, *, check_mode: bool) -> tuple[bool, dict[str, str]]:
    """Have the archive of a chart in an air-gap bundle.

    Returns:
        Whether it was fetched, and its `path` and `sha256`, which is "" in check mode before the chart was fetched.

    Raises:
        PlatformError: it is not available, or is not what its checksum says.
    """
    if source.get("content"):
        archive = Path(str(source["content"])).expanduser()
        try:
            return False, {"path": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
        except OSError as error:
            raise PlatformError(
                f"{archive}, the archive of the chart {name}, cannot be read: {error.strerror}.",
                next_step=f"Correct platform_charts.{name}.content.",
            ) from error
    if not source.get("repository") or not source.get("version"):
        raise PlatformError(
            f"The chart {name} has no repository or no version.", next_step=f"Give both in {VARIABLE}.{name}."
        )
    place = _place(name, source, bundle)
    kept = _kept(place, str(source["repository"]), checksum(name, source))
    if kept:
        return False, kept
    if check_mode:
        return True, {"path": str(place), "sha256": ""}
    try:
        return True, _fetch(name, source, place)
    except OSError as error:
        raise unwritable(place, error) from error


def chart_from_bundle(name: str, source: Source, bundle: Path) -> Path:
    """The archive of a chart in an air-gap bundle.

    Raises:
        PlatformError: it is not there, or is not what was carried over.
    """
    place = _place(name, source, bundle)
    about = _about(place)
    if not place.is_file() or not about:
        raise PlatformError(
            f"The air-gap bundle {bundle} holds no chart {name} {source.get('version')}.",
            next_step="Make it anew for this inventory with ansible-playbook wasmfaas.platform.bundle.",
        )
    if hashlib.sha256(place.read_bytes()).hexdigest() != about["sha256"]:
        raise PlatformError(
            f"{place} is not what was downloaded.",
            next_step="Carry it over again, or make it anew with ansible-playbook wasmfaas.platform.bundle.",
        )
    return place


def _key(name: str) -> str:
    return f"{PREFIX}{name}"


def _place(name: str, source: Source, bundle: Path) -> Path:
    """As for other files: NAME/VERSION/ARCHITECTURE/NAME."""
    return bundle / _key(name) / str(source.get("version")) / custom_resource_definitions.ANY_ARCHITECTURE / _key(name)


def _about(place: Path) -> dict[str, str]:
    try:
        read = json.loads(place.with_name(f"{place.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) and read.get("sha256") else {}


def checksum(name: str, source: Source) -> str:
    """SHA-256 that the archive of a chart must have: the one that is given, else the one that this collection has
    recorded; "" where there is none."""
    given = source.get("sha256")
    if given is not None:
        return str(given).lower().removeprefix("sha256:")
    return pinned.CHARTS.get(f"{source.get('chart') or name} {source.get('version')}", "")


def _kept(place: Path, repository: str, expected: str) -> dict[str, str] | None:
    """An archive that is there, complete, and from that repository; the content of a version never changes."""
    about = _about(place)
    if about.get("url") != repository or not place.is_file():
        return None
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    whole = digest == about["sha256"] and expected in ("", digest)
    return {"path": str(place), "sha256": digest} if whole else None


def _fetch(name: str, source: Source, place: Path) -> dict[str, str]:
    repository, version = str(source["repository"]), str(source["version"])
    place.parent.mkdir(parents=True, exist_ok=True)
    if repository.startswith("oci://"):
        content = _from_registry(name, repository, version)
        digest = hashlib.sha256(content).hexdigest()
        _compare(name, source, digest)
        partial = place.with_name(f"{place.name}.partial")
        partial.write_bytes(content)
        os.replace(partial, place)
    else:
        url, digest = _in_index(str(source.get("chart") or name), repository, version)
        _compare(name, source, digest)
        fetch_file(url, place, digest, mirror_variable=VARIABLE)
    about = place.with_name(f"{place.name}.json")
    partial = about.with_name(f"{about.name}.partial")
    partial.write_text(
        json.dumps({"url": repository, "source_sha256": digest, "sha256": digest}, indent=2) + "\n", encoding="utf-8"
    )
    os.replace(partial, about)
    return {"path": str(place), "sha256": digest}


def _compare(name: str, source: Source, digest: str) -> None:
    expected = checksum(name, source)
    if expected and digest != expected:
        raise PlatformError(
            f"{source['repository']} gives a chart {name} {source['version']} with the SHA-256 {digest}, and "
            f"{expected} is expected.",
            next_step="Find out why it changed. If you trust it, as a chart that your mirror packed anew, set "
            f"{VARIABLE}.{name}.sha256 to the first.",
        )


def _in_index(chart: str, repository: str, version: str) -> tuple[str, str]:
    """Address and SHA-256 of an archive, as the repository's index has them."""
    import yaml

    address = f"{repository.rstrip('/')}/index.yaml"
    text = fetch_text(address, longest=INDEX_BYTES, mirror_variable=VARIABLE)
    try:
        # PyYAML's own parser needs a minute for a large index.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entries = yaml.load(text, Loader=loader)["entries"]  # noqa: S506  # both are safe
        versions = {str(entry["version"]): entry for entry in entries.get(chart) or []}
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        raise PlatformError(
            f"{address} is not an index of charts.", next_step=f"Correct the repository in {VARIABLE}.{chart}."
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
    # As Helm does: a tag cannot hold the "+" that versions may have.
    tag = version.replace("+", "_")
    with contextlib.closing(open_store(parse_registry(path))) as store:
        if not isinstance(store, DistributionStore):
            raise PlatformError(
                f"{repository} is not a registry.", next_step=f"Correct the repository in {VARIABLE}.{name}."
            )
        manifest = store.manifest(chart, tag)
        if manifest is None:
            raise PlatformError(
                f"{repository} has no version {version}.",
                next_step=f"Correct repository or version in {VARIABLE}.{name}.",
            )
        try:
            layers = (json_object(manifest) or {})["layers"]
            (digest,) = [check_digest(layer["digest"]) for layer in layers if layer["mediaType"] == ARCHIVE_TYPE]
        except (ValueError, KeyError, TypeError):
            raise PlatformError(
                f"{repository}:{tag} is not a chart.", next_step=f"Correct the repository in {VARIABLE}.{name}."
            ) from None
        return store.blob(chart, digest)
