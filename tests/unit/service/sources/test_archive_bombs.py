# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are small and unpack to a lot, or cost a lot to read: each is refused soon and in little memory."""

from __future__ import annotations

import gzip
import struct
import tarfile
import time
import tracemalloc
import typing as t
import zlib
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.sources.archive import inspect

from .archives import header, raw_tar, tar, zipped

MOST_SECONDS = 5.0
"""Of processor time: how loaded the machine is does not count."""

MOST_BYTES = 32 << 20


def zeros(size: int) -> t.Iterator[bytes]:
    for _left in range(0, size, 1 << 20):
        yield bytes(1 << 20)


def gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(header("bomb", 200 << 20))
    return head + b"".join(map(packer.compress, zeros(200 << 20))) + packer.flush()


def zip_bomb() -> bytes:
    return zipped({f"bomb{number}": bytes(20 << 20) for number in range(3)})


def many_small_files() -> bytes:
    return tar({f"d{number}/{number}": b"" for number in range(20_001)})


def many_directories() -> bytes:
    """Few entries whose paths hold many directories."""
    return tar({"/".join([str(number)] + ["d" * 30] * 30): b"" for number in range(700)})


def deep_names_in_a_zip() -> bytes:
    return zipped({f"{number}/" + "/".join(["d" * 30] * 30): b"" for number in range(700)})


def long_list_of_a_zip() -> bytes:
    """A list with more entries than its end says, as 65,536 more would say."""
    made = zipped({"a": b"1"})
    at, end = made.index(b"PK\x01\x02"), made.index(b"PK\x05\x06")
    listed = made[at:end] * 200_000
    return made[:at] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(listed), at, 0)


def quoted_overlap() -> bytes:
    """One content of 1 GiB in all, listed often (as zbxl.zip)."""
    made = zipped({"a": bytes(9 << 20)})
    at, end = made.index(b"PK\x01\x02"), made.index(b"PK\x05\x06")
    listed = made[at:end] * 1000
    return made[:at] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1000, 1000, len(listed), at, 0)


def pax_of_digits() -> bytes:
    """Python before 3.11.10 needs quadratic time for it (CVE-2024-6232)."""
    return b"".join([header("x", 256 << 10, tarfile.XHDTYPE), b"1" * (256 << 10), header("a")]) + bytes(1024)


def large_pax_headers() -> bytes:
    """Each entry with a header as large as may be."""
    record = b"262144 comment=" + b"x" * (262144 - 16) + b"\n"
    part = header("x", len(record), tarfile.XHDTYPE) + record
    return gzip.compress(b"".join(part + header(f"f{number}") for number in range(400)) + bytes(1024))


def pax_of_many_records() -> bytes:
    records = b"5 a=\n" * (50 << 10)
    return gzip.compress(raw_tar(*[header("x", len(records), tarfile.XHDTYPE), records, header("a")] * 2))


def many_members_of_gzip() -> bytes:
    return gzip.compress(b"") * 400_000


def a_long_name_in_a_gzip_header() -> bytes:
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (32 << 20)


def empty_blocks_of_deflate() -> bytes:
    return b"\x1f\x8b\x08\0" + bytes(6) + b"\0\0\0\xff\xff" * (6 << 20)


BOMBS = (
    gzip_bomb,
    zip_bomb,
    many_small_files,
    many_directories,
    deep_names_in_a_zip,
    long_list_of_a_zip,
    quoted_overlap,
    pax_of_digits,
    large_pax_headers,
    pax_of_many_records,
    many_members_of_gzip,
    a_long_name_in_a_gzip_header,
    empty_blocks_of_deflate,
)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_bombs_cost_little(tmp_path: Path, bomb: t.Callable[[], bytes]) -> None:
    file = tmp_path / "upload"
    file.write_bytes(bomb())
    begin = time.process_time()
    with pytest.raises(PlatformError):
        inspect(file)
    assert time.process_time() - begin < MOST_SECONDS
    tracemalloc.start()  # slows everything down: memory is measured apart from time
    try:
        with pytest.raises(PlatformError):
            inspect(file)
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "upload"
    with tarfile.open(file, "w") as archive:
        about = tarfile.TarInfo("large")
        about.size = 100 << 20
        with (tmp_path / "large").open("wb") as content:
            content.truncate(about.size)
        with (tmp_path / "large").open("rb") as content:
            archive.addfile(about, content)
    tracemalloc.start()
    try:
        assert inspect(file).bytes == 100 << 20
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


def test_files_that_compress_well_are_taken_while_they_are_small(tmp_path: Path) -> None:
    file = tmp_path / "upload"
    for made in (tar({"zeros": bytes(9 << 20)}), zipped({"zeros": bytes(9 << 20)})):
        file.write_bytes(made)
        assert inspect(file).bytes == 9 << 20
