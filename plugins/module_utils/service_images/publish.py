# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the images and puts them into a registry or an image layout, where they are not there already."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import typing as t
from pathlib import Path

from .. import progress
from ..directories import cache_directory
from ..errors import PlatformError
from ..registry.model import AwsOptions, CredentialOptions, Store
from ..registry.reference import LayoutLocation, RegistryLocation, check_tag, parse_registry
from ..registry.store import open_store
from . import packages, pinned, tools
from .base import BaseReader, Reference, parse_reference
from .collection import Collection
from .image import INPUTS_ANNOTATION, Image, image, index
from .layers import Layer, LayerCache
from .recipes import (
    BASE,
    BASE_WITH_COMPILER,
    COLLECTION,
    PACKAGES,
    PROGRAMS,
    RECIPES,
    TOOLS,
    UNUSED_PACKAGES,
    Recipe,
)

PATH = "wasmfaas"
"""Of the repositories, below what `registry` names."""
_FORMAT = 1
"""Raise it when the code here makes another layer of the same inputs; images know the code that made them."""
_OPTIONS = {BASE: "base_image", BASE_WITH_COMPILER: "compiler_base_image"}

Parameters = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class _Work:
    """What all images of a run share."""

    collection: Collection
    version: str
    architectures: tuple[str, ...]
    bases: dict[str, Reference]
    reader: BaseReader
    cache: Path
    urls: dict[str, str]

    @property
    def layers(self) -> LayerCache:
        return LayerCache(self.cache / "layers")


def run(parameters: Parameters, check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module service_images does; `parameters` are its options.

    Raises:
        PlatformError: an option is wrong, or something cannot be read, downloaded or pushed.
    """
    location = _location(parameters["registry"])
    work = _work(parameters)
    recipes = [RECIPES[name] for name in parameters["images"] or RECIPES]
    results = {}
    before, after = "", ""
    with contextlib.closing(_store(parameters, location)) as store:
        for recipe in recipes:
            inputs = _inputs(recipe, work)
            found, known = _published(store, recipe, work.version)
            reference = f"{recipe.name}:{work.version}"
            if known == inputs:
                results[recipe.name] = _result(location, recipe, work.version, found, changed=False)
                continue
            before += f"{reference} made from {known}\n" if found else ""
            after += f"{reference} made from {inputs}\n"
            if check_mode:
                results[recipe.name] = _result(location, recipe, work.version, "", changed=True)
                continue
            progress.tell_stage(recipe.name)
            try:
                results[recipe.name] = _make(store, location, recipe, work, inputs)
            except OSError as error:
                raise PlatformError(
                    f"{error.filename or work.cache} cannot be used on this machine: {error.strerror}.",
                    next_step=f"See that there is room and the right to write (`df -h {work.cache}`), or give another "
                    "`cache_directory`.",
                ) from error
            finally:
                progress.tell_stage("")
    made = sum(result["changed"] for result in results.values())
    would = "would be" if check_mode else "were"
    return {
        "changed": made > 0,
        "summary": f"version {work.version}, {made} of {len(results)} images {would} made",
        "version": work.version,
        "images": results,
        "diff": {"before": before, "after": after},
    }


def _location(registry: str) -> RegistryLocation:
    location = parse_registry(registry)
    return location if isinstance(location, LayoutLocation) else parse_registry(f"{location}/{PATH}")


def _store(parameters: Parameters, location: RegistryLocation) -> Store:
    return open_store(
        location,
        credentials=CredentialOptions(parameters["registry_username"], parameters["registry_password"]),
        ca_file=_path(parameters["registry_ca_file"]),
        plain_http=parameters["registry_plain_http"],
        aws=AwsOptions(endpoint_url=parameters["aws_endpoint_url"]),
        pushed_file=cache_directory(parameters["cache_directory"]) / "pushed_blobs.json",
    )


def _work(parameters: Parameters) -> _Work:
    collection = Collection(_path(parameters["collection_directory"]) or Path(__file__).resolve().parents[3])
    cache = cache_directory(parameters["cache_directory"]) / "images"
    bases = {
        key: parse_reference(parameters[option], option) if parameters[option] else Reference(**_default_base(key))
        for key, option in _OPTIONS.items()
    }
    reader = BaseReader(cache, ca_file=_path(parameters["base_ca_file"]), plain_http=parameters["base_plain_http"])
    return _Work(
        collection,
        check_tag(parameters["version"] or collection.version),
        tuple(sorted(set(parameters["architectures"]))),
        bases,
        reader,
        cache,
        {name: parameters[name].rstrip("/") for name in ("go_url", "rust_url")},
    )


def _default_base(key: str) -> dict[str, str]:
    default = pinned.BASE_IMAGES[key]
    return {"place": default["image"], "digest": default["digest"]}


def _path(given: str | None) -> Path | None:
    return Path(given) if given else None


def _inputs(recipe: Recipe, work: _Work) -> str:
    """Digest of all that an image is made from; nothing is downloaded for it. The collection has the recipes too."""
    content = {
        "recipe": recipe.name,
        "version": work.version,
        "base": [work.bases[recipe.base].place, work.bases[recipe.base].digest],
        "lock": hashlib.sha256(work.collection.lock.encode()).hexdigest(),
        "collection": work.collection.digest(),
        "tools": {
            url.rpartition("/")[2]: tools.pinned_sha256(url)
            for tool in recipe.tools
            for architecture in work.architectures
            for url in tool.archives(architecture)
        },
        "architectures": work.architectures,
    }
    return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def _published(store: Store, recipe: Recipe, tag: str) -> tuple[str, str]:
    """Digest of the image that the tag names, and of what that was made from; "" for what is not there or not ours."""
    content = store.manifest(recipe.name, tag)
    if content is None:
        return "", ""
    try:
        inputs = (json.loads(content).get("annotations") or {}).get(INPUTS_ANNOTATION, "")
    except (ValueError, AttributeError):
        inputs = ""
    return f"sha256:{hashlib.sha256(content).hexdigest()}", str(inputs)


def _make(store: Store, location: RegistryLocation, recipe: Recipe, work: _Work, inputs: str) -> dict[str, t.Any]:
    reference = work.bases[recipe.base]
    images = {architecture: _image(recipe, architecture, work) for architecture in work.architectures}
    for architecture, one in images.items():
        progress.tell(f"{architecture}: pushing {one.size / 1e6:.0f} MB, unless they are there")
        # A tag of its own keeps it from a registry's collection of what has no tag.
        store.push(recipe.name, one, tag=f"{work.version}-{architecture}")
    whole = index(recipe, work.version, reference, images, inputs)
    store.push(recipe.name, whole, tag=work.version)
    sizes = {architecture: one.size for architecture, one in images.items()}
    return _result(location, recipe, work.version, whole.digest, changed=True) | {"sizes": sizes}


def _result(location: RegistryLocation, recipe: Recipe, tag: str, digest: str, *, changed: bool) -> dict[str, t.Any]:
    name = (
        f"{location}:{recipe.name}:{tag}"
        if isinstance(location, LayoutLocation)
        else f"{location.host}/{location.repository(recipe.name)}:{tag}"
    )
    return {
        "changed": changed,
        "name": name,
        "image": location.digest_reference(recipe.name, digest) if digest else "",
        "digest": digest,
    }


def _image(recipe: Recipe, architecture: str, work: _Work) -> Image:
    reference = work.bases[recipe.base]
    progress.tell(f"{architecture}: {reference}")
    base = work.reader.read(reference, architecture)
    added = [
        *([] if base.has_python else [_python_layer(base.interpreter, work)]),
        *(_tool_layer(tool, base.python, architecture, work) for tool in recipe.tools),
        _packages_layer(base.python, architecture, work),
        work.layers.layer(["collection", work.collection.digest()], COLLECTION, "the collection", work.collection.copy),
    ]
    return image(recipe, work.version, base, reference, added, architecture)


def _python_layer(interpreter: str, work: _Work) -> Layer:
    """`python`, for base images such as Debian's, where only `python3` is installed."""

    def fill(directory: Path) -> None:
        (directory / "python").symlink_to(interpreter)

    return work.layers.layer(["python", interpreter], PROGRAMS, "python", fill)


def _packages_layer(python: str, architecture: str, work: _Work) -> Layer:
    chosen = [
        package
        for package in packages.locked(work.collection.lock, python, architecture)
        if package.name not in UNUSED_PACKAGES
    ]
    made_by = f"Python packages for {python} on {architecture}"

    def fill(directory: Path) -> None:
        progress.tell(f"{architecture}: {len(chosen)} Python packages")
        packages.install(chosen, directory, python=python, architecture=architecture)

    return work.layers.layer(
        ["packages", _FORMAT, python, architecture, [package.line for package in chosen]], PACKAGES, made_by, fill
    )


def _tool_layer(tool: tools.Tool, python: str, architecture: str, work: _Work) -> Layer:
    urls = [url.format(**work.urls) for url in tool.archives(architecture)]
    chosen = [
        package
        for package in packages.locked(work.collection.lock, python, architecture)
        if package.name in tool.packages
    ]

    def fill(directory: Path) -> None:
        progress.tell(f"{architecture}: {tool.name} {tool.version}")
        if chosen:
            _from_packages(tool, chosen, directory, python=python, architecture=architecture)
        for url in urls:
            variable = next(name for name, place in work.urls.items() if url.startswith(place))
            tools.unpack(tools.fetch(url, work.cache, variable=variable), directory)
        for link, target in tool.links.items():
            (directory / link).parent.mkdir(parents=True, exist_ok=True)
            (directory / link).unlink(missing_ok=True)
            (directory / link).symlink_to(target)

    content = [(url.rpartition("/")[2], tools.pinned_sha256(url)) for url in urls]
    made_from = ["tool", _FORMAT, tool.name, tool.links, content, [package.line for package in chosen], architecture]
    return work.layers.layer(made_from, f"{TOOLS}/{tool.name}", f"{tool.name} {tool.version} for {architecture}", fill)


def _from_packages(
    tool: tools.Tool, chosen: t.Sequence[packages.Locked], directory: Path, *, python: str, architecture: str
) -> None:
    """The directory of a tool's packages that is the tool."""
    whole = directory.with_name(f"{tool.name}-packages")
    packages.install(chosen, whole, python=python, architecture=architecture)
    for path in sorted((whole / tool.wheels).iterdir()):
        path.rename(directory / path.name)
