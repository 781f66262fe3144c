# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers: the same content is the same layer, and a layer is made once."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import time
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.service_images.layers import LayerCache, pack


def content(directory: Path, names: tuple[str, ...]) -> Path:
    """A directory whose files were made in that order."""
    directory.mkdir()
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)
    (directory / "bin/tool").chmod(0o700)
    (directory / "link").symlink_to("bin/tool")
    return directory


def test_order_times_and_umask_do_not_count(tmp_path: Path) -> None:
    first = content(tmp_path / "first", ("bin/tool", "a", "b/c"))
    old = os.umask(0o077)
    try:
        second = content(tmp_path / "second", ("b/c", "a", "bin/tool"))
    finally:
        os.umask(old)
    os.utime(second / "a", (time.time() - 10_000, 5))
    one, two = (pack(place, "/opt/x", tmp_path / f"{place.name}.tar.gz", "test") for place in (first, second))
    assert (one.blob.digest, one.diff_id) == (two.blob.digest, two.diff_id)
    plain = gzip.decompress((tmp_path / "first.tar.gz").read_bytes())
    assert one.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    with tarfile.open(tmp_path / "first.tar.gz") as archive:
        assert [(entry.name, oct(entry.mode), entry.uid, entry.mtime) for entry in archive] == [
            ("opt", "0o755", 0, 0),
            ("opt/x", "0o755", 0, 0),
            ("opt/x/a", "0o644", 0, 0),
            ("opt/x/b", "0o755", 0, 0),
            ("opt/x/b/c", "0o644", 0, 0),
            ("opt/x/bin", "0o755", 0, 0),
            ("opt/x/bin/tool", "0o755", 0, 0),
            ("opt/x/link", "0o777", 0, 0),
        ]


def test_a_layer_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path / "cache")
    filled: list[Path] = []

    def fill(directory: Path) -> None:
        filled.append(directory)
        (directory / "file").write_text("content")

    first = cache.layer(["a", 1], "/opt/x", "test", fill)
    assert cache.layer(["a", 1], "/opt/x", "test", fill) == first
    assert len(filled) == 1
    other = cache.layer(["a", 2], "/opt/x", "test", fill)
    assert other.blob.digest == first.blob.digest and len(filled) == 2
    assert cache.layer(["a", 1], "/opt/y", "test", fill).diff_id != first.diff_id
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == []


def test_a_kept_layer_that_was_damaged_or_cut_off_is_made_again(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path)
    first = cache.layer("a", "/x", "test", lambda directory: None)
    path = first.blob.path
    assert path is not None
    path.write_bytes(path.read_bytes()[:-1])
    assert cache.layer("a", "/x", "test", lambda directory: None) == first
    path.with_name(path.name.replace(".tar.gz", ".json")).unlink()
    assert cache.layer("a", "/x", "test", lambda directory: None) == first


def test_nothing_is_kept_of_a_layer_that_could_not_be_made(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "part").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        LayerCache(tmp_path).layer("a", "/x", "test", fail)
    assert list(tmp_path.iterdir()) == []
