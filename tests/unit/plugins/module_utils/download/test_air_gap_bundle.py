# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""air_gap_bundle.py: the directory is complete, and binary_download takes everything from it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import air_gap_bundle
from ansible_collections.wasmfaas.platform.plugins.module_utils.download.binaries import Binary, provide
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

VERSION = "v1.36.4+k3s1"
CONTENT = b"a binary"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "own-k3s"
    path.write_bytes(CONTENT)
    return path


def collect(tmp_path: Path, local: Path, **changes: t.Any) -> dict[str, t.Any]:
    binaries = {"k3s": {"arm64": {"path": str(local), "sha256": DIGEST}}}
    return air_gap_bundle.complete(tmp_path / "bundle", binaries, {"k3s": VERSION}, ["b", "a", "b"], **changes)


def test_a_file_of_this_machine_is_carried_over_and_found_there(tmp_path: Path, local: Path) -> None:
    result = collect(tmp_path, local)
    assert result["changed"] and result["images"] == ["a", "b"] and result["size"] == len(CONTENT)
    local.unlink()  # it is not there beyond the gap
    fetched, found = provide(
        Binary("k3s", VERSION, "arm64", "https://unreachable.example/k3s-arm64"),
        tmp_path / "cache",
        tmp_path / "bundle",
        check_mode=False,
    )
    assert not fetched and found["sha256"] == DIGEST and Path(found["path"]).read_bytes() == CONTENT
    subprocess.run(
        ["sha256sum", "--check", "--strict", air_gap_bundle.CHECKSUMS],
        cwd=tmp_path / "bundle",
        check=True,
        capture_output=True,
    )
    manifest = json.loads((tmp_path / "bundle" / air_gap_bundle.MANIFEST).read_text(encoding="utf-8"))
    assert manifest["files"][0]["path"] == f"k3s/{VERSION}/arm64/k3s" and manifest["images"] == ["a", "b"]


def test_a_second_run_changes_nothing(tmp_path: Path, local: Path) -> None:
    collect(tmp_path, local)
    assert not collect(tmp_path, local)["changed"] and not collect(tmp_path, local, check_mode=True)["changed"]


def test_check_mode_writes_nothing(tmp_path: Path, local: Path) -> None:
    assert collect(tmp_path, local, check_mode=True)["changed"] and not (tmp_path / "bundle").exists()


def test_a_binary_that_was_damaged_there_is_brought_again_or_refused(tmp_path: Path, local: Path) -> None:
    collect(tmp_path, local)
    place = tmp_path / "bundle" / "k3s" / VERSION / "arm64" / "k3s"
    place.write_bytes(b"damaged")
    assert collect(tmp_path, local)["changed"] and place.read_bytes() == CONTENT
    place.write_bytes(b"damaged")
    with pytest.raises(PlatformError, match="not what was downloaded"):
        collect(tmp_path, place)


def test_a_file_that_changes_while_it_is_copied_is_refused(tmp_path: Path, local: Path) -> None:
    local.write_bytes(b"another by now")
    with pytest.raises(PlatformError, match="was changed while"):
        collect(tmp_path, local)
