# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image layout on disk: what it holds, and that no crash and no second writer breaks it."""

from __future__ import annotations

import collections.abc
import dataclasses
import errno
import fcntl
import hashlib
import json
import multiprocessing
import os
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import image_layout
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.image_layout import ImageLayoutStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import LayoutLocation

MakeArtifact = collections.abc.Callable[..., Artifact]
OperatingSystemCall = collections.abc.Callable[..., t.Any]


def _store(directory: Path) -> ImageLayoutStore:
    return ImageLayoutStore(LayoutLocation(directory))


def _check_valid(directory: Path) -> dict[str, str]:
    """The tags; asserts that the layout is whole as the specification wants it."""
    for blob in (directory / "blobs" / "sha256").glob("*"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    if not (directory / "index.json").exists():
        return {}
    assert json.loads((directory / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((directory / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    tags = {}
    for entry in index["manifests"]:
        assert entry["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        manifest = json.loads((directory / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_bytes())
        for descriptor in (manifest["config"], *manifest["layers"]):
            assert (
                directory / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")
            ).stat().st_size == descriptor["size"]
        tags[entry["annotations"]["org.opencontainers.image.ref.name"]] = entry["digest"]
    assert len(tags) == len(index["manifests"])
    return tags


def _files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_push_again_changes_nothing(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    store, artifact = _store(tmp_path / "images"), make_artifact(b"wasm", b"more")
    first = store.push("hello", artifact, tag="v1")
    size = sum({blob.digest: blob.size for blob in artifact.blobs()}.values())
    assert (first.changed, first.uploaded_blobs, first.uploaded_bytes) == (True, 4, size)
    assert first.image == f"oci:{tmp_path}/images:hello@{artifact.digest}"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "images").rglob("*")}
    second = store.push("hello", artifact, tag="v1")
    assert (second.changed, second.uploaded_blobs, second.uploaded_bytes) == (False, 0, 0)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "images").rglob("*")} == before
    assert store.has("hello", artifact.digest) and _check_valid(tmp_path / "images") == {"hello:v1": artifact.digest}
    with store.open_blob(artifact.layers[0].digest) as stream:
        assert stream.read() == b"wasm"


def test_same_content_gives_the_same_bytes_in_any_order(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    first, second = make_artifact(b"first"), make_artifact(b"second")
    for directory, order in (
        ("a", [("one", first), ("two", second)]),
        ("b", [("two", first), ("two", second), ("one", first)]),
    ):
        for name, artifact in order:
            _store(tmp_path / directory).push(name, artifact, tag="v1")
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_a_tag_moves_and_others_stay(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    store, old, new = _store(tmp_path), make_artifact(b"old"), make_artifact(b"new")
    store.push("hello", old, tag="v1")
    store.push("other", old, tag="v1")
    foreign = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": old.digest,
        "size": old.manifest.size,
        "annotations": {image_layout.REFERENCE_NAME: "by-skopeo"},
        "x": 1,
    }
    index = json.loads((tmp_path / "index.json").read_bytes())
    (tmp_path / "index.json").write_text(
        json.dumps({**index, "manifests": [foreign, *index["manifests"]], "annotations": {"kept": "yes"}})
    )
    store.push("hello", new, tag="v1")
    assert _check_valid(tmp_path) == {"hello:v1": new.digest, "other:v1": old.digest, "by-skopeo": old.digest}
    after = json.loads((tmp_path / "index.json").read_bytes())
    assert after["annotations"] == {"kept": "yes"} and foreign in after["manifests"]
    assert (
        store.manifest("hello", "v1") == new.manifest.data and store.manifest("hello", old.digest) == old.manifest.data
    )
    assert store.manifest("hello", "v2") is None


def test_what_is_missing_or_cut_is_stored_again(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    store, artifact = _store(tmp_path), make_artifact(b"wasm", b"more")
    store.push("hello", artifact, tag="v1")
    blobs = tmp_path / "blobs" / "sha256"
    (blobs / artifact.layers[0].digest.removeprefix("sha256:")).unlink()
    (blobs / artifact.layers[1].digest.removeprefix("sha256:")).write_bytes(b"cut")
    assert not store.has("hello", artifact.digest) and store.manifest("hello", "v1") is None
    assert store.push("hello", artifact, tag="v1").uploaded_blobs == 2
    assert _check_valid(tmp_path) == {"hello:v1": artifact.digest}


class Crash(BaseException):
    """The process ends here; not an Exception, so that nothing handles it."""


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_step_leaves_a_valid_layout(
    tmp_path: Path, make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch, call: str, after: bool
) -> None:
    old, new = make_artifact(b"old"), make_artifact(b"new", b"more")
    original: OperatingSystemCall = getattr(os, call)
    steps = 0
    while True:
        directory = tmp_path / str(steps)
        _store(directory).push("hello", old, tag="v1")
        count = 0

        def crashing(*arguments: t.Any, survives: int = steps, **more: t.Any) -> t.Any:
            nonlocal count
            count += 1
            if count <= survives:
                return original(*arguments, **more)
            if after:
                original(*arguments, **more)
            raise Crash

        with monkeypatch.context() as patch:
            patch.setattr(os, call, crashing)
            try:
                _store(directory).push("hello", new, tag="v1")
                finished = True
            except Crash:
                finished = False
        assert _check_valid(directory)["hello:v1"] in (old.digest, new.digest)
        _store(directory).push("hello", new, tag="v1")
        assert _check_valid(directory) == {"hello:v1": new.digest}
        if finished:
            break
        steps += 1
    assert steps >= 5


def test_leftovers_of_a_killed_process_are_removed_later(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    tmp_path.joinpath(".partial-old").write_bytes(b"x")
    tmp_path.joinpath(".partial-new").write_bytes(b"x")
    os.utime(tmp_path / ".partial-old", (time.time() - 7200,) * 2)
    _store(tmp_path).push("hello", make_artifact(b"x"), tag="v1")
    assert [path.name for path in tmp_path.glob(".partial-*")] == [".partial-new"]


def _push_many(directory: Path, name: str, artifacts: list[Artifact], start: t.Any) -> None:
    start.wait()
    for number, artifact in enumerate(artifacts):
        _store(directory).push(name, artifact, tag=f"v{number}")
        _store(directory).push("shared", artifact, tag="latest")


def test_two_writers_lose_nothing_of_each_other(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    context = multiprocessing.get_context("fork")
    artifacts = {
        name: [make_artifact(b"common", f"{name}{number}".encode()) for number in range(15)] for name in ("one", "two")
    }
    start = context.Barrier(2)
    writers = [
        context.Process(target=_push_many, args=(tmp_path / "images", name, made, start))
        for name, made in artifacts.items()
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    tags = _check_valid(tmp_path / "images")
    last = tags.pop("shared:latest")
    assert last in {made[-1].digest for made in artifacts.values()}
    assert tags == {
        f"{name}:v{number}": artifact.digest for name, made in artifacts.items() for number, artifact in enumerate(made)
    }
    assert not list((tmp_path / "images").glob(".partial-*"))


def test_a_lock_that_is_never_given_back(
    tmp_path: Path, make_artifact: MakeArtifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_layout, "_LOCK_SECONDS", 0.1)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(PlatformError, match="locked") as caught:
            _store(tmp_path).push("hello", make_artifact(b"x"), tag="v1")
    finally:
        os.close(holder)
    assert "fuser" in caught.value.next_step


def test_a_file_that_changes_meanwhile_is_not_stored(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"wasm")
    source = tmp_path / "source.wasm"
    source.write_bytes(b"wasX")
    changed = dataclasses.replace(
        artifact, layers=(dataclasses.replace(artifact.layers[0], data=None, path=source), *artifact.layers[1:])
    )
    with pytest.raises(PlatformError, match="changed while it was being stored"):
        _store(tmp_path / "images").push("hello", changed, tag="v1")
    assert _check_valid(tmp_path / "images") == {} and not list((tmp_path / "images").glob(".partial-*"))


@pytest.mark.parametrize(
    ("number", "cause", "next_step"),
    [
        (errno.ENOSPC, "is full", "df -h"),
        (errno.EACCES, "Cannot write", "writable"),
        (errno.EIO, "Cannot store", "disk"),
    ],
)
def test_disk_errors(
    tmp_path: Path,
    make_artifact: MakeArtifact,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    cause: str,
    next_step: str,
) -> None:
    def failing(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(PlatformError, match=cause) as caught:
        _store(tmp_path).push("hello", make_artifact(b"x"), tag="v1")
    assert next_step in caught.value.next_step and not list(tmp_path.glob(".partial-*"))


@pytest.mark.parametrize("content", ["{", "[]", '{"manifests": {}}', '{"manifests": [{}]}'])
def test_a_directory_with_another_index(tmp_path: Path, make_artifact: MakeArtifact, content: str) -> None:
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(PlatformError, match="not the index of an image layout"):
        _store(tmp_path).push("hello", make_artifact(b"x"), tag="v1")
    assert (tmp_path / "index.json").read_text() == content


def test_a_missing_blob_is_named(tmp_path: Path, make_artifact: MakeArtifact) -> None:
    with pytest.raises(PlatformError, match="has no blob sha256:"):
        _store(tmp_path).open_blob(make_artifact(b"x").digest)
