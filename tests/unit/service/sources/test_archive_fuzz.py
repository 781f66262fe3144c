# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives made at random and valid ones that were changed at random: nothing but PlatformError is raised, nothing is
written outside of the directory, and nothing is left in it after an error."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
import tempfile
import typing as t
import zipfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.sources.archive import inspect, unpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ....extent import FULL
from .archives import FILES, entry, header, member, raw_tar, tar, zipped

EXAMPLES = 2500 if FULL else 125
"""Of each of the four tests."""

SEEDS = (
    tar(),
    tar(compression=""),
    tar(compression="", format=tarfile.GNU_FORMAT),
    tar({"shop/" + "d" * 120 + "/spin.toml": b"1"}, compression=""),
    tar({"shop/" + "d" * 120 + "/spin.toml": b"1"}, compression="", format=tarfile.GNU_FORMAT),
    tar(FILES, entry("src", tarfile.DIRTYPE), entry("link", tarfile.SYMTYPE, linkname="/etc"), compression=""),
    zipped(),
    zipped(compression=zipfile.ZIP_STORED),
    zipped({member("run", 0o100755): b"1", member("src/", 0o040755): b"", "src/é": b"2"}),
)

NAMES = st.one_of(
    st.sampled_from(
        ["a", "A", "a/b", "../x", "/x", ".", "..", "", "a/../b", "shop/spin.toml", "shop/x", "C:\\x", ".git/x"]
    ),
    st.lists(st.sampled_from(["a", "..", ".", "", "b", "é", "e\u0301", "x" * 300]), max_size=40).map("/".join),
    st.text(max_size=20),
)

KINDS = st.sampled_from([bytes([kind]) for kind in b"0\x001235670SxgLKM"])
RECORDS = st.sampled_from([b"10 path=a\n", b"11 path=..\n", b"13 size=1024\n"])


@pytest.fixture(scope="module")
def place() -> t.Iterator[Path]:
    """A directory of its own on a fast file system: thousands of archives are unpacked."""
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared) as directory:
        yield Path(directory)


def attempt(place: Path, content: bytes) -> None:
    """Inspect and unpack an archive, and see what came of it."""
    file, directory = place / "upload", place / "tree"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    file.write_bytes(content)
    about = None
    with contextlib.suppress(PlatformError):
        about = inspect(file)
    try:
        unpack(file, directory)
    except PlatformError as error:
        assert about is None and error.next_step and error.cause.isprintable()
        assert list(directory.iterdir()) == []
    else:
        written = list(directory.rglob("*"))
        modes = [one.lstat().st_mode for one in written]
        files = [one for one, mode in zip(written, modes, strict=True) if stat.S_ISREG(mode)]
        assert {stat.S_IFMT(mode) for mode in modes} <= {stat.S_IFREG, stat.S_IFDIR}
        assert {stat.S_IMODE(mode) for mode in modes} <= {0o644, 0o755}
        assert about is not None and about.files == len(files) > 0
        assert about.bytes == sum(one.stat().st_size for one in files)
    assert sorted(one.name for one in place.iterdir()) == ["tree", "upload"]


def examples(test: t.Callable[..., None]) -> t.Callable[..., None]:
    return settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))(test)


@examples
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.none() | st.integers(0, 1 << 14),
)
def test_changed_bytes(place: Path, seed: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    content = bytearray(seed)
    for at, value in changes:
        content[at % len(content)] = value
    attempt(place, bytes(content[:cut]))


@examples
@given(
    names=st.lists(NAMES, min_size=1, max_size=5),
    kinds=st.lists(KINDS, min_size=5, max_size=5),
    contents=st.lists(st.binary(max_size=600) | RECORDS, min_size=5, max_size=5),
    size_error=st.sampled_from([0, 0, 0, 1, -1, 512, 1 << 40]),
)
def test_tar_archives_of_any_headers(
    place: Path, names: list[str], kinds: list[bytes], contents: list[bytes], size_error: int
) -> None:
    parts: list[bytes] = []
    for name, kind, content in zip(names, kinds, contents, strict=False):
        stated = max(0, len(content) + size_error)
        # A name that is too long for a header is cut: the header stays one block.
        short = name.encode("utf-8", "replace")[:100].decode("utf-8", "ignore")
        parts += [header(short, stated, kind, mode=0o4755), content]
    attempt(place, raw_tar(*parts))


@examples
@given(
    files=st.lists(st.tuples(NAMES, st.binary(max_size=100)), min_size=1, max_size=8),
    form=st.sampled_from(["pax", "gnu", "zip"]),
)
def test_archives_of_any_names(place: Path, files: list[tuple[str, bytes]], form: str) -> None:
    text = [(name.encode("utf-8", "replace").decode(), content) for name, content in files]
    made = zipped if form == "zip" else tar
    options: dict[str, t.Any] = {"format": tarfile.GNU_FORMAT} if form == "gnu" else {}
    try:
        content = made(text, **options)
    except (ValueError, IndexError):  # no name that the packer takes
        return
    attempt(place, content)


@examples
@given(
    start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\0" + bytes(6)]),
    content=st.binary(max_size=2048),
)
def test_any_bytes(place: Path, start: bytes, content: bytes) -> None:
    attempt(place, start + content)
