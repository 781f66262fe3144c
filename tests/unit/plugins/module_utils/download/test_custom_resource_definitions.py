# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Definitions of kinds: downloaded once, verified, from the directory of an air gap, and what is none."""

from __future__ import annotations

import collections.abc
import functools
import hashlib
import http.server
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.custom_resource_definitions import (
    read_definitions,
    read_objects,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

TEXT = (
    "# two, and an empty document\n---\nkind: CustomResourceDefinition\nmetadata: {name: a}\n---\n---\nkind: "
    "Thing\nmetadata: {name: b}\n"
)
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.fixture
def site(tmp_path: Path) -> collections.abc.Iterator[str]:
    """Serves `definitions.yaml` on the loopback address."""
    directory = tmp_path / "site"
    directory.mkdir()
    (directory / "definitions.yaml").write_text(TEXT, encoding="utf-8")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def read(
    entry: dict[str, t.Any], tmp_path: Path, *, bundle: str = "", check_mode: bool = False
) -> tuple[list[str], list[str]]:
    objects, missing = read_definitions([entry], cache=str(tmp_path / "cache"), bundle=bundle, check_mode=check_mode)
    return [one["metadata"]["name"] for one in objects], missing


def test_downloaded_once_and_then_from_the_cache(site: str, tmp_path: Path) -> None:
    entry = {"url": f"{site}/definitions.yaml", "sha256": DIGEST}
    assert read(entry, tmp_path, check_mode=True) == ([], [entry["url"]])
    assert not (tmp_path / "cache").exists(), "a check has downloaded something"
    assert read(entry, tmp_path) == (["a", "b"], [])
    (tmp_path / "site" / "definitions.yaml").unlink()
    assert read(entry, tmp_path) == (["a", "b"], [])
    assert read(entry, tmp_path, check_mode=True) == (["a", "b"], [])
    # The directory of an air gap is such a cache.
    assert read({**entry, "url": "http://127.0.0.1:1/definitions.yaml"}, tmp_path, bundle=str(tmp_path / "cache")) == (
        ["a", "b"],
        [],
    )


def test_a_file_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "definitions.yml"
    file.write_text(TEXT, encoding="utf-8")
    assert read({"path": str(file)}, tmp_path) == (["a", "b"], [])
    assert read({"path": str(file), "sha256": DIGEST}, tmp_path, check_mode=True) == (["a", "b"], [])
    with pytest.raises(PlatformError, match=DIGEST):
        read({"path": str(file), "sha256": "0" * 64}, tmp_path)


def test_what_was_tampered_with_is_refused(site: str, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="SHA-256"):
        read({"url": f"{site}/definitions.yaml", "sha256": "0" * 64}, tmp_path)


def test_words_that_yaml_has_types_for_stay_words(tmp_path: Path) -> None:
    file = tmp_path / "definitions.yml"
    file.write_text("kind: Thing\nmatch: [=, '!=', =~]\n", encoding="utf-8")
    assert read_objects(file) == [{"kind": "Thing", "match": ["=", "!=", "=~"]}]


@pytest.mark.parametrize("text", ["a: [1", "[1, 2]", "", "just words"])
def test_what_holds_no_objects_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "definitions.yml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PlatformError, match=r"definitions\.yml"):
        read({"path": str(file)}, tmp_path)


@pytest.mark.parametrize("entry", [{}, {"url": "https://example.com/a.yaml"}, {"sha256": DIGEST}])
def test_an_address_without_a_checksum_is_refused(entry: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="neither a path nor a url with its sha256"):
        read(entry, tmp_path)
