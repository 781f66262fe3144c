# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the checksums of this collection (plugins/module_utils/download/pinned.py and service_images/pinned.py) with
what is published for the default versions of k3s, of the charts, of the toolchains and of the base images, and prints
the difference.

make supply-chain
make supply-chain SUPPLY_CHAIN_ARGS=--write     # after a change of versions; look at the difference before you commit
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
import hashlib
import json
import re
import sys
import tempfile
import typing as t
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import download as charts_download
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import binaries, fetch, pinned
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import parse_registry
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.store import open_store
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images import pinned as image_pinned
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images import tools
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.recipes import RECIPES

PROJECT = Path(__file__).resolve().parent.parent
TABLE = PROJECT / "plugins/module_utils/download/pinned.py"
IMAGE_TABLE = PROJECT / "plugins/module_utils/service_images/pinned.py"
FILES = {"k3s": "k3s{suffix}", "k3s-airgap-images.tar.zst": "k3s-airgap-images-{architecture}.tar.zst"}
"""What role k3s downloads, and its name in the release."""

Defaults = dict[str, t.Any]


class Table(t.NamedTuple):
    """The checksums, as in pinned.py."""

    binaries: dict[str, dict[str, str]]
    charts: dict[str, str]


class ImageTable(t.NamedTuple):
    """The checksums of what images are made from, as in service_images/pinned.py."""

    tools: dict[str, str]
    base_images: dict[str, dict[str, str]]


def main() -> int:
    """The command; 1 where the table is not what is published, or something was not reached."""
    parser = argparse.ArgumentParser(description="Compare the recorded checksums with what is published.")
    parser.add_argument("--write", action="store_true", help="write what is published into the table")
    arguments = parser.parse_args()
    known = Table(pinned.BINARIES, pinned.CHARTS)
    found, missed = published(_defaults("k3s"), _defaults("platform")["platform_charts"], known)
    known_images = ImageTable(image_pinned.TOOLS, image_pinned.BASE_IMAGES)
    found_images, missed_images = published_images(known_images, {"go_url": tools.GO_URL, "rust_url": tools.RUST_URL})
    different = False
    for table, values in ((TABLE, found), (IMAGE_TABLE, found_images)):
        text = table.read_text(encoding="utf-8")
        desired = written(text, values)
        different |= text != desired
        for line in difflib.unified_diff(
            text.splitlines(), desired.splitlines(), "recorded", "published", lineterm="", n=0
        ):
            print(line)
        if arguments.write:
            table.write_text(desired, encoding="utf-8")
    for line in [*altered(known, found), *_altered(known_images.tools, found_images.tools), *missed, *missed_images]:
        print(line, file=sys.stderr)
    print(f"{sum(1 for _name, checksum in rows(found) if checksum)} of {len(list(rows(found)))} have a checksum.")
    return 1 if missed or missed_images or (different and not arguments.write) else 0


def _asked(missed: list[str], name: str, question: t.Callable[[], str], otherwise: str) -> str:
    """The answer to a question; `otherwise` where nobody is reached, which adds a line to `missed`."""
    try:
        return question()
    except PlatformError as error:
        missed.append(f"{name}: not compared: {error.cause}")
        return otherwise


def published(k3s: Defaults, charts: dict[str, Defaults], known: Table) -> tuple[Table, list[str]]:
    """What is published for the default versions; what cannot be reached keeps the checksum that is known.

    Args:
        k3s: the defaults of role k3s.
        charts: `platform_charts`.

    Returns:
        The checksums, and a line for each that was not reached.
    """
    missed: list[str] = []
    ask = functools.partial(_asked, missed)
    version = str(k3s["k3s_version"])
    with ThreadPoolExecutor(max_workers=8) as pool:
        of_binaries = {
            f"{name} {version}": {
                architecture: pool.submit(
                    ask,
                    f"{name} {version} for {architecture}",
                    functools.partial(_of_release, k3s, file, architecture),
                    known.binaries.get(f"{name} {version}", {}).get(architecture, ""),
                )
                for architecture in binaries.MACHINES
            }
            for name, file in FILES.items()
        }
        of_charts = {
            key: pool.submit(ask, key, functools.partial(_of_chart, name, source), known.charts.get(key, ""))
            for name, source in sorted(charts.items())
            for key in [f"{name} {source['version']}"]
        }
        found = Table(
            {name: {one: answer.result() for one, answer in of.items()} for name, of in of_binaries.items()},
            {name: answer.result() for name, answer in of_charts.items()},
        )
    return found, sorted(missed)


def rows(table: Table) -> t.Iterator[tuple[str, str]]:
    """Each entry by its name, which says the architecture too."""
    yield from (
        (f"{name} for {architecture}", checksum)
        for name, of in table.binaries.items()
        for architecture, checksum in of.items()
    )
    yield from table.charts.items()


def altered(known: Table, found: Table) -> list[str]:
    """What was published once more as something else under the same version: an attack, or a careless publisher."""
    return _altered(dict(rows(known)), dict(rows(found)))


def _altered(known: dict[str, str], found: dict[str, str]) -> list[str]:
    return [
        f"{name}: published anew with another content under the same version. Find out why before you accept it."
        for name, checksum in found.items()
        if known.get(name) and checksum != known[name]
    ]


def published_images(known: ImageTable, places: dict[str, str]) -> tuple[ImageTable, list[str]]:
    """What is published for the toolchains, and which image the tags of the base images name today; what cannot be
    reached keeps what is known.

    Args:
        places: `go_url` and `rust_url`.

    Returns:
        The table, and a line for each that was not reached.
    """
    missed: list[str] = []
    ask = functools.partial(_asked, missed)
    urls = {
        url.format(**places)
        for recipe in RECIPES.values()
        for tool in recipe.tools
        for architecture in binaries.MACHINES
        for url in tool.archives(architecture)
    }
    found_tools = {
        tools.pinned_name(url): ask(
            tools.pinned_name(url), functools.partial(_of_tool, url), known.tools.get(tools.pinned_name(url), "")
        )
        for url in sorted(urls)
    }
    found_images = {
        name: {
            "image": base["image"],
            "digest": ask(base["image"], functools.partial(_of_tag, base["image"]), base["digest"]),
        }
        for name, base in known.base_images.items()
    }
    return ImageTable(dict(sorted(found_tools.items())), found_images), sorted(missed)


def written(text: str, table: Table | ImageTable) -> str:
    """The text of the table's file with these checksums."""
    for field, value in table._asdict().items():
        name = field.upper()
        # A trailing comma after each entry, as ruff formats it.
        body = re.sub(r'(["}])$', r"\1,", json.dumps(value, indent=4), flags=re.MULTILINE).rstrip(",")
        found = re.search(rf"^{name}: [^=]+ = (\{{.*?^\}})$", text, re.MULTILINE | re.DOTALL)
        if found is None:
            raise AssertionError(f"the table has no {name}")
        text = text[: found.start(1)] + body + text[found.end(1) :]
    return text


def _of_release(k3s: Defaults, file: str, architecture: str) -> str:
    entry = {
        "name": file,
        "version": k3s["k3s_version"],
        "url": f"{k3s['k3s_release_url']}/{{version}}/{file}",
        "checksums_url": f"{k3s['k3s_release_url']}/{{version}}/sha256sum-{{architecture}}.txt",
    }
    (binary,) = binaries.expand(entry, [architecture])
    return fetch.fetch_checksum(binary.checksums_url, binary.asset, mirror_variable="k3s_release_url")


def _of_tool(url: str) -> str:
    """Rust publishes checksums; of Go's module the file itself is read, as its own checksum is of another kind."""
    if url.endswith(".tar.xz"):
        return fetch.fetch_checksum(f"{url}.sha256", url.rpartition("/")[2], mirror_variable="rust_url")
    digest = hashlib.sha256()
    try:
        with httpx2.stream("GET", url, follow_redirects=True) as response:
            response.raise_for_status()
            for chunk in response.iter_bytes():
                digest.update(chunk)
    except httpx2.HTTPError as error:
        raise PlatformError(f"{url}: {error}.", next_step="Check the network.") from error
    return digest.hexdigest()


def _of_tag(image: str) -> str:
    repository, _colon, tag = image.rpartition(":")
    path, _slash, name = repository.rpartition("/")
    with contextlib.closing(open_store(parse_registry(path))) as store:
        content = store.manifest(name, tag)
    if content is None:
        raise PlatformError(f"There is no {image}.", next_step="Choose another tag.")
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _of_chart(name: str, source: Defaults) -> str:
    with tempfile.TemporaryDirectory(prefix="wasmfaas-chart-") as directory:
        given = {**source, "sha256": ""}  # whatever it is
        _fetched, place = charts_download.provide_chart(name, given, Path(directory), check_mode=False)
        return place["sha256"]


def _defaults(role: str) -> Defaults:
    read: Defaults = yaml.safe_load((PROJECT / f"roles/{role}/defaults/main.yml").read_text(encoding="utf-8"))
    return read


if __name__ == "__main__":
    sys.exit(main())
