# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoscaled/archive.py: the same files make the same bytes, which other programs can read."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.archive import (
    BLOCK_BYTES,
    StoredGzip,
    bundled_files,
    pack,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from hypothesis import given
from hypothesis import strategies as st


def packed(*entries: dict[str, t.Any]) -> tuple[str, bytes]:
    data = io.BytesIO()
    return pack(bundled_files(entries), data.write), data.getvalue()


def test_other_programs_read_it(tmp_path: Path) -> None:
    program = tmp_path / "k3s"
    program.write_bytes(os.urandom(3 * BLOCK_BYTES + 17))
    digest, data = packed(
        {
            "path": "/usr/local/bin/k3s",
            "source": str(program),
            "sha256": hashlib.sha256(program.read_bytes()).hexdigest(),
            "mode": "0755",
        },
        {"path": "/etc/rancher/k3s/config.yaml", "content": "ä: 1\n", "mode": "0600"},
        {"path": "/etc/rancher/k3s/registries.yaml", "content": "secret", "secret": True},
        {"path": "/etc/gone", "state": "absent"},
    )
    assert digest == hashlib.sha256(data).hexdigest()
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        members = {member.name: member for member in archive}
        found = {name: archive.extractfile(member).read() for name, member in members.items()}  # type: ignore[union-attr]
    assert list(found) == ["etc/rancher/k3s/config.yaml", "etc/rancher/k3s/registries.yaml", "usr/local/bin/k3s"]
    assert (
        found["etc/rancher/k3s/config.yaml"] == "ä: 1\n".encode() and found["usr/local/bin/k3s"] == program.read_bytes()
    )
    assert {name: member.mode for name, member in members.items()} == {
        "etc/rancher/k3s/config.yaml": 0o600,
        "etc/rancher/k3s/registries.yaml": 0o600,
        "usr/local/bin/k3s": 0o755,
    }


def test_the_same_files_make_the_same_bytes(tmp_path: Path) -> None:
    """Whatever their order, their place and their times; the value is written here so that a change of it is seen, as
    it replaces every machine."""
    first, second = tmp_path / "first", tmp_path / "second"
    for path, seconds in ((first, 1), (second, 1_000_000)):
        path.write_bytes(b"program" * 20_000)
        os.utime(path, (seconds, seconds))
    config = {"path": "/etc/a", "content": "a"}
    one = packed({"path": "/usr/local/bin/k3s", "source": str(first), "mode": "0755"}, config)
    other = packed(config, {"path": "/usr/local/bin/k3s", "source": str(second), "mode": "0755"})
    assert one == other
    assert one[0] == "c6b903bfed2a7e21edb6fa6ff0ae3d405b375198fe0b9f7527a57bee250505a9"
    assert packed(config)[0] != packed({**config, "mode": "0600"})[0]


@given(st.lists(st.binary(max_size=2 * BLOCK_BYTES), max_size=4))
def test_stored_gzip_is_gzip(pieces: list[bytes]) -> None:
    data = io.BytesIO()
    stream = StoredGzip(data.write)
    for piece in pieces:
        stream.write(piece)
    stream.close()
    assert gzip.decompress(data.getvalue()) == b"".join(pieces)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"path": "/root/.ssh/authorized_keys", "content": ""}, "cannot be in a node bundle"),
        ({"path": "/etc/../root/x", "content": ""}, "cannot be in a node bundle"),
        ({"path": "etc/x", "content": ""}, "cannot be in a node bundle"),
        ({"path": "/etc/x"}, "either content or source"),
        ({"path": "/etc/x", "content": "", "source": "/dev/null"}, "either content or source"),
        ({"path": "/etc/x", "source": "/nonexistent"}, "/nonexistent cannot be read: No such file or directory"),
        ({"path": "/etc/x", "source": "/dev/null", "sha256": "0" * 64}, "but 0000"),
        ({"path": "/etc/x", "content": "", "mode": "rwx"}, "is not a file mode"),
    ],
)
def test_refused(entry: dict[str, t.Any], message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        packed(entry)


def test_a_path_twice_is_refused() -> None:
    with pytest.raises(PlatformError, match="/etc/x is in the node bundle twice"):
        packed({"path": "/etc/x", "content": "a"}, {"path": "/etc/x", "content": "b"})


def test_an_encrypted_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    with pytest.raises(PlatformError, match="encrypted by Ansible Vault"):
        packed({"path": "/etc/rancher/k3s/registries.d/r.pem", "source": str(tmp_path / "ca.pem")})
