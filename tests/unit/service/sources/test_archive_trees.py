# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of an archive: its digest and its files, however it was packed."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.service.sources.archive import Contents, inspect, tree_of_files, unpack
from ansible_collections.wasmfaas.platform.service.sources.limits import LIMITS

from .archives import FILES, entry, header, member, raw_tar, tar, tree, zipped


def inspected(tmp_path: Path, content: bytes) -> Contents:
    file = tmp_path / "upload"
    file.write_bytes(content)
    return inspect(file)


def unpacked(tmp_path: Path, content: bytes) -> Path:
    file, directory = tmp_path / "upload", tmp_path / "tree"
    file.write_bytes(content)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    unpack(file, directory)
    return directory


def of_files(files: dict[str, bytes]) -> bytes:
    made = bytearray()
    tree_of_files([(name, io.BytesIO(content)) for name, content in files.items()], made.extend)
    return bytes(made)


def below(directory: str) -> dict[str, bytes]:
    return {f"{directory}/{name}": content for name, content in FILES.items()}


FORMS = {
    "tar.gz": tar(),
    "tar": tar(compression=""),
    "gnu": tar(format=tarfile.GNU_FORMAT),
    "ustar": tar(format=tarfile.USTAR_FORMAT),
    "other order": tar(dict(reversed(FILES.items()))),
    "in a directory": tar(below("shop"), entry("shop", tarfile.DIRTYPE)),
    "with a dot": tar(below("."), entry(".", tarfile.DIRTYPE)),
    "with a dot and a directory": tar(below("./shop-main")),
    "several members of gzip": b"".join(
        gzip.compress(tar(compression="")[at : at + 700]) for at in range(0, 10240, 700)
    ),
    "gzip with zeros behind": tar() + bytes(4096),
    "empty directories": tar(FILES, entry("dist", tarfile.DIRTYPE), entry("dist/x", tarfile.DIRTYPE)),
    "with Git": tar({**FILES, ".git/config": b"secret", "src/.git": b"gitdir: ..", ".git/HEAD": b"x"}),
    "zip": zipped(),
    "stored zip": zipped(compression=zipfile.ZIP_STORED),
    "zip in a directory": zipped({"shop-main/": b"", **below("shop-main")}),
    "zip of macOS": zipped({**below("shop"), "__MACOSX/shop/._spin.toml": b"1", "shop/.DS_Store": b"2"}),
    "single files": of_files(FILES),
    "a dropped directory": of_files(below("shop")),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_the_same_tree(tmp_path: Path, form: str) -> None:
    expected = inspected(tmp_path, FORMS["tar.gz"])
    assert expected.digest.startswith("sha256:") and len(expected.digest) == 71
    assert (expected.files, expected.bytes) == (3, sum(map(len, FILES.values())))
    assert inspected(tmp_path, FORMS[form]) == expected
    assert tree(unpacked(tmp_path, FORMS[form])) == FILES


def test_owner_time_and_permissions_do_not_count_but_the_executable_bit_does(tmp_path: Path) -> None:
    plain = inspected(tmp_path, tar({"a": b""}))
    assert inspected(tmp_path, tar({}, entry("a", uid=7, gname="x", mtime=1e9, mode=0o4600))) == plain
    executable = inspected(tmp_path, tar({"a": b""}, mode=0o777))
    assert executable.digest != plain.digest
    assert inspected(tmp_path, zipped({member("a", 0o100755): b""})) == executable
    assert inspected(tmp_path, zipped({member("a", 0o100755, system=0): b""})) == plain  # made on Windows


@pytest.mark.parametrize(
    "other",
    [
        {**FILES, "new": b""},
        {**FILES, "spin.toml": b"other"},
        {name.replace("app", "main"): content for name, content in FILES.items()},
        {"x": b"", **below("shop")},
    ],
)
def test_another_tree_has_another_digest(tmp_path: Path, other: dict[str, bytes]) -> None:
    assert inspected(tmp_path, tar(other)).digest != inspected(tmp_path, tar()).digest


def test_a_directory_that_holds_everything_stays_where_it_is_not_the_project(tmp_path: Path) -> None:
    files = {"public/index.html": b"1", "public/sub/spin.toml": b"2"}
    assert tree(unpacked(tmp_path, tar(files))) == files
    two = {"shop/spin.toml": b"1", "cart/spin.toml": b"2"}
    assert tree(unpacked(tmp_path, zipped(two))) == two


def test_modes_are_ours_whatever_the_archive_and_the_umask_say(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        directory = unpacked(tmp_path, tar({"src/run": b"1"}, mode=0o6777))
        (tmp_path / "tree").chmod(0o700)
        assert stat.S_IMODE((directory / "src/run").stat().st_mode) == 0o755
        assert stat.S_IMODE((directory / "src").stat().st_mode) == 0o755
        assert stat.S_IMODE((unpacked(tmp_path, tar({"a": b"1"}, mode=0)) / "a").stat().st_mode) == 0o644
    finally:
        os.umask(before)


def test_a_zip_that_was_written_without_going_back(tmp_path: Path) -> None:
    """Sizes follow each content, as `zip -r - shop | curl` sends it; and the comment of GitHub's archives."""

    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

        def seek(self, *_where: int) -> int:
            raise OSError

    stream = OneWay()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
        archive.comment = b"3f786850e387550fdab836ed7e6dc881de23001b"
    assert inspected(tmp_path, stream.getvalue()) == inspected(tmp_path, tar())


def test_an_empty_directory_that_a_packer_deflated(tmp_path: Path) -> None:
    about = member("src/", 0o040755)
    about.compress_type = zipfile.ZIP_DEFLATED
    assert inspected(tmp_path, zipped({about: b"", **FILES})) == inspected(tmp_path, tar())


def test_names_of_zips_that_are_utf_8_without_saying_so(tmp_path: Path) -> None:
    made = zipped({"caf__": b"1"}).replace(b"caf__", "café".encode())
    assert tree(unpacked(tmp_path, made)) == {"café": b"1"}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names(tmp_path: Path, form: int) -> None:
    files = {"spin.toml": b"", "/".join(["d" * 120, "e" * 120, "ä" * 100]): b"1"}
    assert tree(unpacked(tmp_path, tar(files, format=form))) == files


def test_what_the_usual_programs_make(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    for name, content in below("shop").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for number, command in enumerate(
        (["tar", "czf", "NAME", "shop"], ["tar", "--format=pax", "-cf", "NAME", "-C", str(project), "."])
    ):
        file = tmp_path / str(number)
        subprocess.run([part.replace("NAME", str(file)) for part in command], cwd=tmp_path, check=True)
        assert inspect(file) == inspected(tmp_path, tar())


def test_a_global_header_as_github_writes_it(tmp_path: Path) -> None:
    record = b"52 comment=3f786850e387550fdab836ed7e6dc881de23001b\n"
    made = raw_tar(
        header("pax_global_header", len(record), tarfile.XGLTYPE), record, header("shop-1/spin.toml", 1), b"x"
    )
    assert tree(unpacked(tmp_path, made)) == {"spin.toml": b"x"}


def test_single_files_make_the_same_bytes_in_any_order() -> None:
    names = list(FILES)
    random.Random(1).shuffle(names)
    assert of_files({name: FILES[name] for name in names}) == of_files(FILES)


def test_single_files_that_were_read_before_are_read_from_their_start(tmp_path: Path) -> None:
    file = io.BytesIO(b"12345")
    file.read()
    made = bytearray()
    tree_of_files([("spin.toml", file)], made.extend)
    assert tree(unpacked(tmp_path, bytes(made))) == {"spin.toml": b"12345"}


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, directory = tmp_path / "upload", tmp_path / "tree"
    file.write_bytes(tar())
    directory.mkdir()
    real, made = os.fchmod, []

    def full(descriptor: int, mode: int) -> None:
        made.append(mode)
        if len(made) > 3:
            raise OSError(28, "No space left on device")
        real(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(PlatformError, match="No space left on device"):
        unpack(file, directory)
    assert list(directory.iterdir()) == []


def test_a_directory_with_something_in_it_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "upload"
    file.write_bytes(tar())
    with pytest.raises(FileExistsError):
        unpack(file, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["upload"]


def test_the_tree_that_is_written_has_the_digest_of_the_archive(tmp_path: Path) -> None:
    expected = inspected(tmp_path, FORMS["zip of macOS"])
    assert inspected(tmp_path, of_files(tree(unpacked(tmp_path, FORMS["zip of macOS"])))) == expected


def test_the_limits_hold_for_a_real_project(tmp_path: Path) -> None:
    """A node_modules directory of usual size is taken."""
    files = {f"node_modules/p{number}/index.js": b"x" * 50 for number in range(LIMITS.entries // 2 - 10)}
    assert inspected(tmp_path, tar(files)).files == len(files)
