# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the local runtime needs no process: refusals, names, locks and state files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import archives, control, release, runtime, state
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec


def application(**trigger: t.Any) -> dict[str, t.Any]:
    return {
        "metadata": {"name": "test"},
        "variables": {"needed": {}, "optional": {"default": ""}},
        "triggers": [
            {"id": "t", "trigger_type": "http", "trigger_config": {"component": "c", "route": "/..."}, **trigger}
        ],
        "components": [{"id": "c", "source": {"digest": "sha256:0"}}],
    }


def test_a_plain_application_passes() -> None:
    for name in ("jco", "spin"):
        release.check(application(), name, {"needed": "1"})
    unreached = application()
    unreached["triggers"][0]["trigger_config"]["executor"] = {"type": "http"}
    release.check(unreached, "jco", {"needed": "1"})


@pytest.mark.parametrize(
    ("change", "variables", "message"),
    [
        ({}, {}, r"required variable needed\. Next"),
        ({"trigger_type": "mqtt"}, {"needed": "1"}, "of the type mqtt"),
        (
            {"trigger_config": {"component": "c", "route": "/", "executor": {"type": "wasip3-unstable"}}},
            {"needed": "1"},
            "executor wasip3-unstable",
        ),
    ],
)
def test_refusals_of_the_embedded_runtime(change: dict[str, t.Any], variables: dict[str, str], message: str) -> None:
    with pytest.raises(PlatformError, match=message) as caught:
        release.check(application(**change), "jco", variables)
    assert caught.value.next_step


def test_spin_needs_an_http_trigger_too() -> None:
    with pytest.raises(PlatformError, match="no HTTP trigger"):
        release.check(application(trigger_type="redis"), "spin", {"needed": "1"})


@pytest.mark.parametrize("identifier", ["", ".", "..", "../../../stolen", "/etc", "a/b", "a\0b"])
def test_a_component_id_that_leads_elsewhere_is_refused(identifier: str) -> None:
    application_of_it = application()
    application_of_it["components"][0]["id"] = identifier
    with pytest.raises(PlatformError, match="cannot name a directory"):
        release.check(application_of_it, "spin", {"needed": "1"})


# ---- files in archive layers


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive_of(*entries: tuple[str, bytes] | tarfile.TarInfo) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            information = tarfile.TarInfo(entry[0])
            information.size = len(entry[1])
            tar.addfile(information, io.BytesIO(entry[1]))
    return written.getvalue()


def prepared(tmp_path: Path, archive: bytes, files: list[dict[str, str]]) -> release.Release:
    wasm = b"wasm" * 100
    blobs = {digest_of(content): content for content in (wasm, archive)}
    of_files = application()
    of_files["components"][0] |= {"source": {"digest": digest_of(wasm)}, "files": files}
    return release.prepare(
        tmp_path / "releases",
        digest_of(archive),
        "spin",
        of_files,
        lambda digest: io.BytesIO(blobs[digest]),
        archive_layers=[digest_of(archive)],
        node=tmp_path,
        runtime_directory=tmp_path,
    )


def test_more_files_than_a_registry_takes_layers(tmp_path: Path) -> None:
    contents = {f"assets/{number}.txt": f"content {number}\n".encode() * 20 for number in range(600)}
    files = [{"path": path, "digest": digest_of(content)} for path, content in contents.items()]
    files.append({"path": "again.txt", "digest": digest_of(contents["assets/7.txt"])})
    done = prepared(tmp_path, archive_of(*contents.items()), files)
    unpacked = done.directory / "components" / "c" / "files"
    found = {str(path.relative_to(unpacked)): path.read_bytes() for path in unpacked.rglob("*") if path.is_file()}
    assert found == {**contents, "again.txt": contents["assets/7.txt"]}
    assert sorted(path.name for path in done.directory.iterdir()) == [
        "components",
        "release.json",
        "runtime-config.toml",
        "spin.toml",
    ]


def test_names_and_links_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    link = tarfile.TarInfo("assets")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    content = b"x" * 200
    archive = archive_of(link, ("assets/stolen", content), ("../../../stolen", content), ("/stolen", content))
    done = prepared(tmp_path, archive, [{"path": "a", "digest": digest_of(content)}])
    assert (done.directory / "components" / "c" / "files" / "a").read_bytes() == content
    assert list(tmp_path.rglob("stolen")) == []


@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "", "a\0b"])
def test_a_file_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    content = b"x" * 200
    with pytest.raises(PlatformError, match="leaves its directory"):
        prepared(tmp_path, archive_of(("a", content)), [{"path": path, "digest": digest_of(content)}])
    assert list((tmp_path / "releases").iterdir()) == []


def test_a_file_that_no_layer_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"The artifact has no layer sha256:.*\. Next: "):
        prepared(tmp_path, archive_of(("a", b"a")), [{"path": "a", "digest": digest_of(b"b")}])


@pytest.mark.parametrize("damage", ["no gzip", "cut", "no tar"])
def test_a_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    whole = archive_of(("a", os.urandom(100_000)))
    archive = {"no gzip": b"no gzip" * 100, "cut": whole[:50_000], "no tar": gzip.compress(os.urandom(10_000))}[damage]
    with pytest.raises(PlatformError, match=r"cannot be unpacked .*\. Next: Delete the artifact"):
        prepared(tmp_path, archive, [{"path": "a", "digest": digest_of(b"a")}])
    assert list((tmp_path / "releases").iterdir()) == []


@pytest.mark.parametrize("limit", ["MAXIMUM_BYTES", "MAXIMUM_ENTRIES"])
def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(archives, limit, 2)
    with pytest.raises(PlatformError, match="unpacks to more than"):
        prepared(tmp_path, archive_of(*((str(number), b"x") for number in range(3))), [])


def test_a_disk_that_is_full_is_told(tmp_path: Path) -> None:
    (tmp_path / "releases").write_text("a file where a directory should be")
    with pytest.raises(PlatformError, match=r"cannot be unpacked to .*\. Next: See that the disk has room"):
        prepared(tmp_path, archive_of(("a", b"a")), [])


def test_release_names_differ_by_what_made_them() -> None:
    digest = "sha256:" + "ab" * 32
    names = {
        release.release_name(digest, kind, Path("/cache") / version)
        for kind in ("jco", "spin")
        for version in ("0123456789", "abcdef0123")
    }
    assert names == {
        "abababababab-jco-01234567",
        "abababababab-jco-abcdef01",
        "abababababab-spin-01234567",
        "abababababab-spin-abcdef01",
    }


def write_state(directory: Path) -> None:
    """A whole state file, whose process ran before the last boot."""
    directory.mkdir(parents=True)
    texts = ("digest", "source_digest", "settings_digest", "url", "runtime", "started_at", "release")
    process = {
        "process_id": os.getpid(),
        "process_started": state.process_started(os.getpid()),
        "boot_id": "before",
        "port": 1,
    }
    (directory / "state.json").write_text(json.dumps({**dict.fromkeys(texts, "x"), **process, "image": "oci:test"}))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"text"', '{"process_id": 1, "port": "x"}', "\0" * 300])
def test_a_damaged_state_file_concerns_its_function_only(tmp_path: Path, content: str) -> None:
    (tmp_path / "default" / "hello").mkdir(parents=True)
    (tmp_path / "default" / "hello" / "state.json").write_text(content)
    write_state(tmp_path / "default" / "other")
    function, other = state.list_functions(tmp_path, None)
    assert function == state.read(tmp_path, "default", "hello")
    assert (function.name, function.alive, function.port, function.image) == ("hello", False, 0, "")
    assert "state.json is damaged. Next: Deploy default/hello again, or delete it with" in function.damage
    assert (other.name, other.damage, other.image) == ("other", "", "oci:test")


def test_a_function_with_a_damaged_state_file_can_be_deleted(tmp_path: Path) -> None:
    directory = tmp_path / "functions" / "default" / "hello"
    (directory / "data").mkdir(parents=True)
    (directory / "state.json").touch()
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    parameters = {**defaults, "name": "hello", "target": "local", "state": "absent", "state_directory": str(tmp_path)}
    assert spin_function.run(parameters, False, set())["changed"] and not directory.exists()
    assert not spin_function.run(parameters, False, set())["changed"]


def test_data_goes_with_the_function_or_stays(tmp_path: Path) -> None:
    directory = tmp_path / "functions" / "default" / "hello"
    write_state(directory)
    (directory / "data").mkdir()
    (directory / "data" / "sqlite_db.db").write_bytes(b"rows")
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    parameters = {**defaults, "name": "hello", "target": "local", "state": "absent", "state_directory": str(tmp_path)}
    kept = spin_function.run({**parameters, "keep_data": True}, False, set())
    assert kept["changed"] and "its stores and databases stay for the next deployment" in kept["summary"]
    assert [str(path.relative_to(directory)) for path in sorted(directory.rglob("*"))] == ["data", "data/sqlite_db.db"]
    assert not spin_function.run({**parameters, "keep_data": True}, False, set())["changed"]
    gone = spin_function.run(parameters, False, set())
    assert gone["changed"] and "with its stores and databases" in gone["summary"]
    assert not directory.exists()
    with pytest.raises(PlatformError, match="keep_data: has no effect with target=cluster"):
        spin_function.run({**parameters, "target": "cluster", "keep_data": True}, False, set())


def test_a_state_file_of_before_the_reboot_is_not_alive(tmp_path: Path) -> None:
    write_state(tmp_path / "default" / "hello")
    function = state.read(tmp_path, "default", "hello")
    assert function is not None and not function.alive


def test_process_start_times() -> None:
    own = state.process_started(os.getpid())
    assert own is not None and own > 0
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert state.process_started(child) is None  # ended, though not waited for
    os.waitpid(child, 0)
    assert state.process_started(child) is None


def test_the_lock_can_be_taken_again_inside_and_leaves_nothing(tmp_path: Path) -> None:
    with state.lock(tmp_path, "default", "hello", 1):
        with state.lock(tmp_path, "default", "hello", 1):
            assert (tmp_path / "default" / "hello.lock").read_text() == f"{os.getpid()}\n"
        assert (tmp_path / "default" / "hello.lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_stopping_nothing(tmp_path: Path) -> None:
    assert not runtime.stop(tmp_path, "default", "hello")
    assert list(tmp_path.iterdir()) == []


def test_no_front_no_status(tmp_path: Path) -> None:
    assert control.status(tmp_path) is None
    assert control.status(tmp_path / "missing") is None


def test_secrets_are_not_shown_with_the_request(tmp_path: Path) -> None:
    request = runtime.StartRequest(
        state_directory=tmp_path,
        runtime_directory=tmp_path,
        namespace="default",
        name="hello",
        digest="d",
        source_digest="s",
        settings_digest="t",
        image="i",
        locked_application={},
        open_blob=lambda _digest: (tmp_path / "none").open("rb"),
        variables={"token": "s3cret"},
    )
    assert "s3cret" not in repr(request)
