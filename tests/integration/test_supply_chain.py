# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of checksums and the script that makes it: every default version is in it, and a publisher that changes
something under an old version is told. The publisher is a server on this machine."""

from __future__ import annotations

import ast
import collections.abc
import functools
import hashlib
import http.server
import re
import threading
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import pinned
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images import pinned as image_pinned
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images import tools
from ansible_collections.wasmfaas.platform.scripts import supply_chain

ROOT = Path(__file__).resolve().parents[2]
KNOWN = supply_chain.Table(pinned.BINARIES, pinned.CHARTS)
KNOWN_IMAGES = supply_chain.ImageTable(image_pinned.TOOLS, image_pinned.BASE_IMAGES)
ARCHITECTURES = ("amd64", "arm64")


class Publisher(t.NamedTuple):
    """A directory that a server on 127.0.0.1 publishes, as role defaults name it."""

    directory: Path
    k3s: dict[str, t.Any]
    charts: dict[str, dict[str, t.Any]]

    def publish(self, path: str, content: bytes) -> str:
        """Returns its SHA-256."""
        place = self.directory / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def chart(self, content: bytes) -> str:
        digest = self.publish("charts/web-1.0.0.tgz", content)
        entry = {"version": "1.0.0", "urls": ["web-1.0.0.tgz"], "digest": digest}
        self.publish("charts/index.yaml", yaml.safe_dump({"apiVersion": "v1", "entries": {"web": [entry]}}).encode())
        return digest


@pytest.fixture
def publisher(tmp_path: Path) -> collections.abc.Iterator[Publisher]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    made = Publisher(
        tmp_path,
        {"k3s_version": "v1.2.3+k3s1", "k3s_release_url": f"{url}/k3s"},
        {"web": {"repository": f"{url}/charts", "version": "1.0.0"}},
    )
    for architecture, suffix in zip(ARCHITECTURES, ("", "-arm64"), strict=True):
        listed = f"{'1' * 64}  k3s{suffix}\n{'2' * 64}  k3s-airgap-images-{architecture}.tar.zst\n"
        made.publish(f"k3s/v1.2.3+k3s1/sha256sum-{architecture}.txt", listed.encode())
    made.chart(b"a chart")
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_every_default_version_is_in_the_table() -> None:
    """One without a checksum stands there too, as the gap that it is."""
    version = yaml.safe_load((ROOT / "roles/k3s/defaults/main.yml").read_text(encoding="utf-8"))["k3s_version"]
    charts = yaml.safe_load((ROOT / "roles/platform/defaults/main.yml").read_text(encoding="utf-8"))["platform_charts"]
    assert set(KNOWN.binaries) == {f"{name} {version}" for name in supply_chain.FILES}
    assert all(tuple(of) == ARCHITECTURES for of in KNOWN.binaries.values())
    assert set(KNOWN.charts) == {f"{name} {source['version']}" for name, source in charts.items()}
    assert list(KNOWN.charts) == sorted(KNOWN.charts)
    assert all(re.fullmatch("([0-9a-f]{64})?", checksum) for _name, checksum in supply_chain.rows(KNOWN))
    assert all(all(of.values()) for of in KNOWN.binaries.values()), "k3s is compared with our own checksums"


def test_the_files_of_k3s_are_those_that_its_role_downloads() -> None:
    variables = (ROOT / "roles/k3s/vars/main.yml").read_text(encoding="utf-8")
    for name, file in supply_chain.FILES.items():
        assert f"- name: {name}\n" in variables and f"{{version}}/{file}" in variables


def test_the_table_is_as_the_script_writes_it() -> None:
    text = supply_chain.TABLE.read_text(encoding="utf-8")
    assert supply_chain.written(text, KNOWN) == text
    text = supply_chain.IMAGE_TABLE.read_text(encoding="utf-8")
    assert supply_chain.written(text, KNOWN_IMAGES) == text


def test_toolchains_are_compared_with_what_is_published(publisher: Publisher) -> None:
    url = publisher.charts["web"]["repository"].removesuffix("/charts")
    names = list(KNOWN_IMAGES.tools)
    for name in names:
        if name.startswith("v0.0.1-go"):
            publisher.publish(f"go/{name}.zip", name.encode())
        else:
            listed = f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.tar.xz\n"
            publisher.publish(f"rust/{tools.RUST_DATE}/{name}.tar.xz.sha256", listed.encode())
    known = supply_chain.ImageTable({}, {"python": {"image": "127.0.0.1:9/python:3", "digest": "sha256:known"}})
    found, missed = supply_chain.published_images(known, {"go_url": f"{url}/go", "rust_url": f"{url}/rust"})
    assert found.tools == {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    assert found.base_images == known.base_images, "what is not reached stays"
    (line,) = missed
    assert line.startswith("127.0.0.1:9/python:3: not compared: ")


def test_what_is_published_is_written(publisher: Publisher) -> None:
    digest = publisher.chart(b"a chart")
    found, missed = supply_chain.published(publisher.k3s, publisher.charts, supply_chain.Table({}, {}))
    assert missed == []
    assert found.charts == {"web 1.0.0": digest}
    assert found.binaries["k3s v1.2.3+k3s1"] == dict.fromkeys(ARCHITECTURES, "1" * 64)
    assert found.binaries["k3s-airgap-images.tar.zst v1.2.3+k3s1"] == dict.fromkeys(ARCHITECTURES, "2" * 64)
    text = supply_chain.written(supply_chain.TABLE.read_text(encoding="utf-8"), found)
    read = {
        node.target.id: ast.literal_eval(node.value)
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }
    assert read == {"BINARIES": found.binaries, "CHARTS": found.charts}


def test_another_content_under_the_same_version_is_told(publisher: Publisher) -> None:
    found, _missed = supply_chain.published(publisher.k3s, publisher.charts, supply_chain.Table({}, {}))
    assert supply_chain.altered(found, found) == []
    digest = publisher.chart(b"another chart")
    again, missed = supply_chain.published(publisher.k3s, publisher.charts, found)
    assert missed == [] and again.charts == {"web 1.0.0": digest}
    (told,) = supply_chain.altered(found, again)
    assert told.startswith("web 1.0.0: published anew with another content")


def test_what_is_not_reached_keeps_its_checksum_and_is_told(publisher: Publisher) -> None:
    (publisher.directory / "charts/index.yaml").unlink()
    known = supply_chain.Table({}, {"web 1.0.0": "3" * 64})
    found, missed = supply_chain.published(publisher.k3s, publisher.charts, known)
    assert found.charts == known.charts
    assert [line.partition(": not compared: ")[0] for line in missed] == ["web 1.0.0"]
