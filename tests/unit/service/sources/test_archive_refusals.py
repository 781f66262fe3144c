# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused in an archive, and that nothing of it is left on the disk."""

from __future__ import annotations

import dataclasses
import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.sources.archive import inspect, tree_of_files, unpack
from ansible_collections.wasmfaas.platform.service.sources.limits import LIMITS, ArchiveLimits

from .archives import FILES, entry, header, member, raw_tar, tar, zipped


def refusal(tmp_path: Path, content: bytes, limits: ArchiveLimits = LIMITS) -> PlatformError:
    """The error of both functions for an archive; the directory is empty afterwards."""
    file, directory = tmp_path / "upload", tmp_path / "tree"
    file.write_bytes(content)
    directory.mkdir(exist_ok=True)
    with pytest.raises(PlatformError) as inspected:
        inspect(file, limits)
    with pytest.raises(PlatformError) as unpacked:
        unpack(file, directory, limits)
    assert unpacked.value.cause == inspected.value.cause and unpacked.value.stage == "source"
    assert list(directory.iterdir()) == []
    assert inspected.value.next_step
    return inspected.value


NAMES = {
    "/etc/passwd": "absolute path",
    "C:/x": "absolute path",
    "../x": "leads out",
    "a/../../x": "leads out",
    "a/..": "leads out",
    "a\\b": "backslash",
    "a\nb": "control characters",
    "a\x1b[2Jb": "control characters",
    "a\u202egpj.exe": "control characters",
    "/".join("abcdefg" * 5): "deeper than 32",
    "x" * 256: "longer than 255 bytes",
    "/".join(["y" * 200] * 6): "longer than 1024 bytes",
    ".git/../../x": "leads out",
    ".": "which is none",
}


@pytest.mark.parametrize(("name", "cause"), NAMES.items())
@pytest.mark.parametrize("form", ["pax", "gnu", "zip"])
def test_paths_that_are_not_taken(tmp_path: Path, name: str, cause: str, form: str) -> None:
    files = {"spin.toml": b"", name: b"x"}
    made = {
        "pax": lambda: tar(files),
        "gnu": lambda: tar(files, format=tarfile.GNU_FORMAT),
        "zip": lambda: zipped(files),
    }[form]()
    error = refusal(tmp_path, made)
    assert cause in error.cause


def test_a_file_may_not_end_with_a_slash(tmp_path: Path) -> None:
    assert "contradicts itself" in refusal(tmp_path, raw_tar(header("spin.toml/"))).cause


def test_names_that_are_no_text_are_shown_so_that_a_terminal_can_show_them(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as archive:
        archive.addfile(entry("caf\xe9"))
    assert "caf\\\\xe9" in refusal(tmp_path, stream.getvalue()).cause
    for name in (b"caf\xe9", b"a\0b"):
        made = zipped({"x" * len(name): b""}).replace(b"x" * len(name), name)
        assert refusal(tmp_path, made).cause.startswith(
            "The name of the entry 'caf\\\\xe9' is not UTF-8" if name[0] == 99 else "The name"
        )


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a hard link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a FIFO"),
        (tarfile.CONTTYPE, "of the unknown kind"),
        (b"D", "of the unknown kind"),
        (b"Z", "of the unknown kind"),
    ],
)
def test_links_and_devices(tmp_path: Path, kind: bytes, cause: str) -> None:
    error = refusal(tmp_path, tar(FILES, entry("node_modules/.bin/x", kind, linkname="../x")))
    assert cause in error.cause and "'node_modules/.bin/x'" in error.cause
    assert "--dereference" in error.next_step


@pytest.mark.parametrize(
    ("mode", "cause"), [(0o120777, "a symbolic link"), (0o020644, "a device"), (0o010644, "device")]
)
def test_links_and_devices_in_zips(tmp_path: Path, mode: int, cause: str) -> None:
    assert cause in refusal(tmp_path, zipped({**FILES, member("link", mode): b"/etc/passwd"})).cause


def test_sparse_files(tmp_path: Path) -> None:
    assert "a sparse file" in refusal(tmp_path, raw_tar(header("disk", kind=tarfile.GNUTYPE_SPARSE))).cause
    pax = entry(
        "disk", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.name": "disk", "GNU.sparse.realsize": "9" * 12}
    )
    assert "'disk' is a sparse file" in refusal(tmp_path, tar(FILES, pax)).cause


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        ("a.py", "a.py", "twice"),
        ("a.py", "./a.py", "twice"),
        ("a.py", "A.py", "ignore case"),
        ("Src/a.py", "src/b.py", "ignore case"),
        ("caf\u00e9", "cafe\u0301", "ignore case"),
        ("stra\u00dfe", "STRASSE", "ignore case"),
        ("a", "a/b", "as a file and as a directory"),
        ("a/b", "a", "as a file and as a directory"),
    ],
)
def test_paths_that_collide(tmp_path: Path, first: str, second: str, cause: str) -> None:
    for made in (tar, zipped):
        error = refusal(tmp_path, made([(first, b"1"), (second, b"2")]))
        assert cause in error.cause
    with pytest.raises(PlatformError, match=cause):
        tree_of_files([(first, io.BytesIO(b"1")), (second, io.BytesIO(b"2"))], bytearray().extend)


def test_a_file_and_a_directory_entry_of_one_name(tmp_path: Path) -> None:
    assert "as a directory" in refusal(tmp_path, tar(FILES, entry("spin.toml", tarfile.DIRTYPE))).cause


@pytest.mark.parametrize(
    ("limit", "cause"),
    [
        ({"entries": 3}, "more than 3 files"),
        ({"entries": 4}, "more than 4 files"),  # three files in two directories
        ({"total_bytes": 500}, "unpacks to more than 500 bytes"),
        ({"file_bytes": 500}, "'src/app.py' is larger than 500 bytes"),
        ({"depth": 2}, "deeper than 2"),
    ],
)
def test_limits_are_named(tmp_path: Path, limit: dict[str, int], cause: str) -> None:
    limits = dataclasses.replace(LIMITS, **limit)
    for made in (tar(), tar(compression=""), zipped()):
        assert cause in refusal(tmp_path, made, limits).cause


def test_limits_of_single_files() -> None:
    for limit, cause in (
        ({"file_bytes": 3}, "'b' is larger than 3 bytes"),
        ({"total_bytes": 5}, "larger than 5 bytes together"),
    ):
        files = [("a", io.BytesIO(b"12")), ("b", io.BytesIO(b"1234"))]
        with pytest.raises(PlatformError, match=cause):
            tree_of_files(files, bytearray().extend, dataclasses.replace(LIMITS, **limit))


def test_what_is_no_archive(tmp_path: Path) -> None:
    for content in (b"GIF89a" * 200, b"x", bytes(range(256)) * 8):
        assert refusal(tmp_path, content).cause != ""
    assert "neither tar, tar.gz nor zip" in refusal(tmp_path, b"GIF89a" * 200).cause
    assert refusal(tmp_path, b"").cause == "The archive is cut off."


@pytest.mark.parametrize(
    "content",
    [tar({}), raw_tar(), zipped({}), tar({".git/config": b"x", "._a": b""})],
    ids=["tar.gz", "tar", "zip", "left out"],
)
def test_an_archive_without_files(tmp_path: Path, content: bytes) -> None:
    assert "holds no file" in refusal(tmp_path, content).cause


@pytest.mark.parametrize("content", [tar(), tar(compression=""), zipped(), zipped(compression=zipfile.ZIP_STORED)])
def test_an_archive_that_is_cut_off_anywhere(tmp_path: Path, content: bytes) -> None:
    end = len(content.rstrip(b"\0")) if content[:2] not in (b"PK", b"\x1f\x8b") else len(content)
    for size in {*range(0, end, 37), end - 1}:
        refusal(tmp_path, content[:size])


@pytest.mark.parametrize("content", [tar(), tar(compression=""), zipped()])
def test_what_follows_the_end(tmp_path: Path, content: bytes) -> None:
    assert refusal(tmp_path, content + b"#!/bin/sh")
    assert refusal(tmp_path, content + content)


def test_headers_that_contradict_themselves(tmp_path: Path) -> None:
    negative = bytearray(header("a"))
    negative[124:136] = b"\xff" * 12  # -1 in base 256
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    assert "contradicts itself" in refusal(tmp_path, raw_tar(bytes(negative))).cause
    assert "contradicts itself" in refusal(tmp_path, raw_tar(header("d", 5, tarfile.DIRTYPE), b"12345")).cause
    assert "a header of its tar is none" in refusal(tmp_path, raw_tar(header("a"), b"no header")).cause


@pytest.mark.parametrize(
    "records",
    [
        b"11 path=abc\n",
        b"0 path=a\n",
        b"10 path=a\n" + b"x" * 14,
        b"10 path=a\n-1 path=a\n",
        b"x path=a\n",
        b"9 pathabc\n",
        b"4 =\n\n",
        b"99999999999 path=a\n",
        b"10 path=abc",
        b"1" * 600,
    ],
)
def test_pax_headers_that_are_none(tmp_path: Path, records: bytes) -> None:
    made = raw_tar(header("x", len(records), tarfile.XHDTYPE), records, header("a"))
    assert "PAX header that is none" in refusal(tmp_path, made).cause


def test_sizes_in_pax_headers(tmp_path: Path) -> None:
    for size in (b"-1", b"1" * 30, b"\xc2\xb2"):
        record = b" size=" + size + b"\n"
        record = b"%d" % (len(record) + 2) + record
        made = raw_tar(header("x", len(record), tarfile.XHDTYPE), record, header("a"))
        assert "no number" in refusal(tmp_path, made).cause


def test_headers_without_end(tmp_path: Path) -> None:
    long = raw_tar(header("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME))
    assert "more than 262,144 bytes" in refusal(tmp_path, long).cause
    pax = raw_tar(header("x", 1 << 40, tarfile.XHDTYPE))
    assert "more than 262,144 bytes" in refusal(tmp_path, pax).cause
    record = b"12 comment=\n"
    one = [header("x", len(record), tarfile.XHDTYPE), record]
    assert "second header" in refusal(tmp_path, raw_tar(*one, *one)).cause
    assert "without its entry" in refusal(tmp_path, raw_tar(*one)).cause
    everywhere = [header("g", len(record), tarfile.XGLTYPE), record]
    assert "global headers" in refusal(tmp_path, raw_tar(*everywhere * 17, header("a"))).cause
    record = b"10 path=a\n"
    assert "global headers" in refusal(tmp_path, raw_tar(header("g", 10, tarfile.XGLTYPE), record, header("b"))).cause


def test_gzip_that_is_damaged(tmp_path: Path) -> None:
    made = bytearray(gzip.compress(raw_tar(header("spin.toml"))))
    made[-6] ^= 1  # its checksum
    assert "gzip file is damaged" in refusal(tmp_path, bytes(made)).cause


def test_encrypted_entries_of_zips(tmp_path: Path) -> None:
    made = bytearray(zipped())
    listed = made.index(b"PK\x01\x02")
    made[listed + 8] |= 1
    assert "'spin.toml' is encrypted" in refusal(tmp_path, bytes(made)).cause


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_zips(tmp_path: Path, method: int) -> None:
    assert "only Deflate" in refusal(tmp_path, zipped(compression=method)).cause


@pytest.mark.parametrize(("offset", "what"), [(16, "damaged"), (20, ""), (24, ""), (42, "")])
def test_wrong_checksums_sizes_and_places_in_zips(tmp_path: Path, offset: int, what: str) -> None:
    """In the list: checksum, packed size, size, offset."""
    made = bytearray(zipped())
    at = made.index(b"PK\x01\x02") + offset
    made[at : at + 4] = struct.pack("<L", struct.unpack("<L", made[at : at + 4])[0] + 1)
    assert what in refusal(tmp_path, bytes(made)).cause


@pytest.mark.parametrize("difference", [-1, 1])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_that_are_wrong_in_both_places_of_a_zip(tmp_path: Path, difference: int, compression: int) -> None:
    made = bytearray(zipped({"spin.toml": b"12345"}, compression))
    for mark, offset in (b"PK\x01\x02", 24), (b"PK\x03\x04", 22):
        at = made.index(mark) + offset
        made[at] += difference
    assert refusal(tmp_path, bytes(made))


def test_overlapping_entries_of_zips(tmp_path: Path) -> None:
    """As in `zbsm.zip`: many entries of the list share one content."""
    made = zipped({"a": b"1" * 100})
    at = made.index(b"PK\x01\x02")
    end = made.index(b"PK\x05\x06")
    listed = made[at:end]
    content = made[:at] + listed + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(listed), at, 0)
    assert "overlaps" in refusal(tmp_path, content).cause


def test_bytes_that_no_entry_of_a_zip_claims(tmp_path: Path) -> None:
    made = bytearray(zipped({"a": b"1"}))
    at, end = made.index(b"PK\x01\x02"), made.index(b"PK\x05\x06")
    made[end + 16 : end + 20] = struct.pack("<L", at + 30)
    made[at:at] = b"x" * 30
    assert "no entry claims" in refusal(tmp_path, bytes(made)).cause
    assert "in front" in refusal(tmp_path, _moved(zipped({"a": b"1"}), 4)).cause


def _moved(made: bytes, by: int) -> bytes:
    """A zip archive with something in front, whose offsets count that."""
    at, end = made.index(b"PK\x01\x02"), made.index(b"PK\x05\x06")
    changed = bytearray(made)
    changed[end + 16 : end + 20] = struct.pack("<L", at + by)
    changed[at + 42 : at + 46] = struct.pack("<L", by)
    return b"PK\x03\x04"[:by] + bytes(changed)


def test_zip64_and_archives_of_several_parts(tmp_path: Path) -> None:
    made = zipped()
    end = made.index(b"PK\x05\x06")
    assert "Zip64" in refusal(tmp_path, made[:end] + b"PK\x06\x07" + bytes(16) + made[end:]).cause
    assert "several parts" in refusal(tmp_path, made[: end + 4] + b"\1" + made[end + 5 :]).cause
