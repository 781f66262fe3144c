# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the OCI artifact (Spin v4.0.2: crates/oci/src/client.rs; containerd-shim-spin v0.24.0: src/source.rs;
containerd: core/unpack)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact, Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.pack import MINIMUM_SPIN_VERSION, pack
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.files import expand_files
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from hypothesis import given, settings
from hypothesis import strategies as st

WASM = "application/vnd.wasm.content.layer.v1+wasm"
DATA = "application/vnd.wasm.content.layer.v1+data"
ARCHIVE = "application/vnd.wasm.content.bundle.v1.tar+gzip"
LOCKED = "application/vnd.fermyon.spin.application.v1+config"
MODULE = b"\0asm\x01\0\0\0"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content(blob: Blob) -> bytes:
    with blob.open() as stream:
        return stream.read()


def make(manifest: Manifest, work_directory: Path, **sources: Path) -> Artifact:
    """As the deployment does after a build."""
    built = {
        name: manifest.directory / component.source.path
        for name, component in manifest.components.items()
        if isinstance(component.source, LocalSource)
    }
    files = {name: expand_files(manifest, component) for name, component in manifest.components.items()}
    return pack(manifest, {**built, **sources}, files, minimum_spin_version="2.2.0", work_directory=work_directory)


@pytest.fixture
def packed(make_project: t.Callable[..., Manifest], tmp_path: Path) -> t.Callable[..., Artifact]:
    """From files and lines of the component's table to the artifact."""

    def build(
        files: dict[str, bytes | str] | None = None, lines: str = "", *, wasm: bytes = MODULE + bytes(500)
    ) -> Artifact:
        return make(make_project(None, {"app.wasm": wasm, **(files or {})}, extra=lines), tmp_path / "work")

    return build


def parts(artifact: Artifact) -> tuple[dict[str, t.Any], dict[str, t.Any], dict[str, t.Any]]:
    """The image manifest, the config and the locked application, all parsed from their bytes."""
    return (
        json.loads(content(artifact.manifest)),
        json.loads(content(artifact.config)),
        json.loads(content(artifact.layers[-1])),
    )


# The image manifest and its config


def test_image_manifest_is_canonical_json_with_nothing_else_in_it(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed()
    manifest, _config, _locked = parts(artifact)
    written = content(artifact.manifest)
    assert written == json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert set(manifest) == {"annotations", "config", "layers", "mediaType", "schemaVersion"}
    assert manifest["schemaVersion"] == 2
    assert all(
        set(descriptor) == {"digest", "mediaType", "size"} for descriptor in [manifest["config"], *manifest["layers"]]
    )
    assert artifact.digest == artifact.manifest.digest == digest_of(written)


def test_trap_3_it_is_a_single_manifest_and_no_index(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed()
    manifest, _config, _locked = parts(artifact)
    assert artifact.manifest.media_type == manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert "manifests" not in manifest
    assert "subject" not in manifest and "artifactType" not in manifest


def test_config_is_exactly_what_the_shim_and_containerd_want(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed()
    assert content(artifact.config).decode() == (
        '{"architecture":"wasm","os":"wasip1","config":{"Labels":{"com.fermyon.spin.lockedAppDigest":"'
        + artifact.layers[-1].digest
        + '"}},'
        '"rootfs":{"type":"layers","diff_ids":[]}}'
    )
    assert artifact.config.media_type == "application/vnd.oci.image.config.v1+json"
    assert artifact.config.digest == digest_of(content(artifact.config))


def test_trap_3_config_names_architecture_wasm_and_an_os(packed: t.Callable[..., Artifact]) -> None:
    _manifest, config, _locked = parts(packed())
    assert config["architecture"] == "wasm"
    assert config["os"]


def test_trap_4_diff_ids_are_empty_as_no_layer_is_a_file_system(packed: t.Callable[..., Artifact]) -> None:
    manifest, config, _locked = parts(packed({"a.txt": bytes(500)}, 'files = ["a.txt"]'))
    assert config["rootfs"] == {"type": "layers", "diff_ids": []}
    assert not [
        layer
        for layer in manifest["layers"]
        if layer["mediaType"].startswith(("application/vnd.oci.image.layer", "application/vnd.docker"))
    ]


def test_trap_2_two_applications_never_share_a_config(packed: t.Callable[..., Artifact]) -> None:
    """containerd takes an image for another of the same config, and serves the wrong application."""
    one = packed()
    two = packed(lines='environment = { A = "1" }')
    assert one.layers[0].digest == two.layers[0].digest
    assert one.config.digest != two.config.digest


def test_media_types_of_the_layers(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({"a.txt": bytes(500)}, 'files = ["a.txt"]')
    assert [layer.media_type for layer in artifact.layers] == [WASM, DATA, LOCKED]


def test_locked_application_is_the_last_layer(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({f"assets/{number}": bytes([number]) * 500 for number in range(20)}, 'files = ["assets"]')
    _manifest, config, locked = parts(artifact)
    assert [layer.media_type == LOCKED for layer in artifact.layers] == [False] * 21 + [True]
    assert (
        config["config"]["Labels"]["com.fermyon.spin.lockedAppDigest"]
        == artifact.layers[-1].digest
        == digest_of(content(artifact.layers[-1]))
    )
    assert locked == artifact.locked_application


def test_every_descriptor_tells_the_truth(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({"a.txt": bytes(500), "b.txt": bytes(5)}, 'files = ["a.txt", "b.txt"]')
    for blob in (artifact.manifest, *artifact.blobs()):
        assert (blob.digest, blob.size) == (digest_of(content(blob)), len(content(blob)))
    manifest, _config, _locked = parts(artifact)
    assert manifest["layers"] == [layer.descriptor() for layer in artifact.layers]
    assert manifest["config"] == artifact.config.descriptor()
    assert artifact.blobs()[-1] is artifact.config


def test_annotations_are_those_of_spin_without_the_time(
    make_project: t.Callable[..., Manifest], tmp_path: Path
) -> None:
    toml = """
    spin_manifest_version = 2
    [application]
    name = "shöp"
    version = "1.0.0"
    description = "sells"
    authors = ["A <a@example.com>", "B"]
    [[trigger.http]]
    route = "/..."
    component = "c"
    [component.c]
    source = "c.wasm"
    """
    manifest, _config, _locked = parts(make(make_project(toml, {"c.wasm": MODULE}), tmp_path))
    assert manifest["annotations"] == {
        "org.opencontainers.image.authors": "A <a@example.com>, B",
        "org.opencontainers.image.description": "sells",
        "org.opencontainers.image.title": "shöp",
        "org.opencontainers.image.version": "1.0.0",
        MINIMUM_SPIN_VERSION: "2.2.0",
    }


def test_trap_8_nothing_is_named_created(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({"a.txt": bytes(500)}, 'files = ["a.txt"]')
    for blob in (artifact.manifest, artifact.config, artifact.layers[-1]):
        assert b"created" not in content(blob)


def test_empty_annotations_are_left_out(make_project: t.Callable[..., Manifest], tmp_path: Path) -> None:
    toml = (
        'spin_manifest_version = 2\n[application]\nname = "a"\n[[trigger.http]]\nroute = "/..."\ncomponent = '
        '"c"\n[component.c]\nsource = "c.wasm"'
    )
    manifest = make_project(toml, {"c.wasm": MODULE})
    artifact = pack(
        manifest, {"c": manifest.directory / "c.wasm"}, {}, minimum_spin_version="", work_directory=tmp_path
    )
    assert parts(artifact)[0]["annotations"] == {"org.opencontainers.image.title": "a"}


# Files


def test_file_up_to_128_bytes_has_no_layer(packed: t.Callable[..., Artifact]) -> None:
    """Some registries refuse blobs of 0 or 1 bytes (distribution discussion 4029)."""
    artifact = packed({"empty": b"", "small": b"x" * 128, "large": b"x" * 129}, 'files = ["empty", "small", "large"]')
    assert [layer.size for layer in artifact.layers if layer.media_type == DATA] == [129]
    files = {file["path"]: file for file in parts(artifact)[2]["components"][0]["files"]}
    assert files["empty"]["inline"] == ""
    assert base64.b64decode(files["small"]["inline"] + "=") == b"x" * 128
    assert files["large"] == {"digest": digest_of(b"x" * 129), "path": "large"}


def test_wasm_of_up_to_128_bytes_is_a_layer_although_it_stands_inline(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed(wasm=MODULE)
    assert [(layer.media_type, content(layer)) for layer in artifact.layers[:-1]] == [(WASM, MODULE)]
    source = parts(artifact)[2]["components"][0]["source"]
    assert source == {"content_type": "application/wasm", "inline": "AGFzbQEAAAA", "digest": digest_of(MODULE)}


def test_equal_files_are_one_layer(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({"a": bytes(500), "b/a": bytes(500), "b/c": bytes(501)}, 'files = ["a", "b/*"]')
    assert [layer.size for layer in artifact.layers if layer.media_type == DATA] == [500, 501]
    assert [file["path"] for file in parts(artifact)[2]["components"][0]["files"]] == ["a", "b/a", "b/c"]


def test_equal_wasm_of_two_components_is_one_layer(make_project: t.Callable[..., Manifest], tmp_path: Path) -> None:
    toml = 'spin_manifest_version = 2\n[application]\nname = "a"\n'
    toml += "".join(
        f'[[trigger.http]]\nroute = "/{name}"\ncomponent = "{name}"\n[component.{name}]\nsource = "{name}.wasm"\n'
        for name in ("b", "a")
    )
    artifact = make(make_project(toml, {"a.wasm": MODULE + bytes(500), "b.wasm": MODULE + bytes(500)}), tmp_path)
    assert [layer.media_type for layer in artifact.layers] == [WASM, LOCKED]
    assert [component["id"] for component in parts(artifact)[2]["components"]] == ["b", "a"]


def test_wasm_that_is_also_a_static_file_is_a_layer_of_each_type(packed: t.Callable[..., Artifact]) -> None:
    """The shim writes Wasm layers and data layers into two directories, and looks a file up among the data only."""
    wasm = MODULE + bytes(500)
    artifact = packed({"download.wasm": wasm}, 'files = ["download.wasm"]', wasm=wasm)
    assert [(layer.media_type, layer.digest) for layer in artifact.layers[:-1]] == [
        (WASM, digest_of(wasm)),
        (DATA, digest_of(wasm)),
    ]


def test_trap_5_dotfiles_are_kept_and_no_path_begins_with_a_slash(packed: t.Callable[..., Artifact]) -> None:
    files: dict[str, bytes | str] = {
        "site/.well-known/security.txt": "s",
        "site/index.html": "i",
        "site/.htaccess": "h",
    }
    artifact = packed(files, 'files = [{ source = "site", destination = "/" }]')
    paths = [file["path"] for file in parts(artifact)[2]["components"][0]["files"]]
    assert paths == [".htaccess", ".well-known/security.txt", "index.html"]


def test_file_that_vanished_is_named(make_project: t.Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = make_project(None, {"app.wasm": MODULE})
    with pytest.raises(PlatformError, match=r"gone\.wasm: No such file") as caught:
        make(manifest, tmp_path, hello=tmp_path / "gone.wasm")
    assert caught.value.next_step


# Archives


def many_files(count: int) -> dict[str, bytes | str]:
    return {f"assets/{number:04}.txt": f"{number:04}".encode() * 50 for number in range(count)}


def test_at_499_layers_each_file_is_still_a_layer(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed(many_files(498), 'files = ["assets/*"]')
    assert len(artifact.layers) == 500, "the limit of Amazon ECR"
    assert ARCHIVE not in {layer.media_type for layer in artifact.layers}


def test_above_499_layers_the_files_are_in_one_archive_a_component(packed: t.Callable[..., Artifact]) -> None:
    files = many_files(499)
    artifact = packed({**files, "assets/empty": b"", "assets/.dot": "dot"}, 'files = ["assets/*"]')
    assert [layer.media_type for layer in artifact.layers] == [WASM, ARCHIVE, LOCKED]
    listed = {file["path"]: file for file in parts(artifact)[2]["components"][0]["files"]}
    with tarfile.open(fileobj=io.BytesIO(content(artifact.layers[1])), mode="r:gz") as archive:
        unpacked = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
        assert {(entry.mode, entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) for entry in archive} == {
            (0o644, 0, 0, 0, "", "")
        }
    assert set(unpacked) == set(listed) == {*files, "assets/empty", "assets/.dot"}
    assert {name: digest_of(data) for name, data in unpacked.items()} == {
        name: file["digest"] for name, file in listed.items()
    }
    assert listed["assets/empty"]["inline"] == ""


def test_archive_keeps_long_and_foreign_names(packed: t.Callable[..., Artifact]) -> None:
    name = f"assets/{'ordner-' * 20}/ä{'x' * 120}.txt"
    artifact = packed({**many_files(500), name: "x"}, 'files = ["assets/**/*"]')
    with tarfile.open(fileobj=io.BytesIO(content(artifact.layers[1])), mode="r:gz") as archive:
        assert name in archive.getnames()


def test_archive_has_no_time_and_no_name_in_its_header(packed: t.Callable[..., Artifact]) -> None:
    header = content(packed(many_files(500), 'files = ["assets/*"]').layers[1])[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00", "flags 0: no file name"
    assert header[4:8] == bytes(4), "no time"


def test_archives_of_two_components_hold_their_own_files(
    make_project: t.Callable[..., Manifest], tmp_path: Path
) -> None:
    toml = 'spin_manifest_version = 2\n[application]\nname = "a"\n'
    for name, files in (("one", '"assets/*"'), ("two", '"other.txt"')):
        toml += (
            f'[[trigger.http]]\nroute = "/{name}"\ncomponent = "{name}"\n[component.{name}]\nsource = '
            f'"{name}.wasm"\nfiles = [{files}]\n'
        )
    artifact = make(
        make_project(
            toml, {**many_files(500), "other.txt": "other", "one.wasm": MODULE, "two.wasm": MODULE + b"\0\1a"}
        ),
        tmp_path / "work",
    )
    assert [layer.media_type for layer in artifact.layers] == [WASM, ARCHIVE, WASM, ARCHIVE, LOCKED]
    names = []
    for layer in (artifact.layers[1], artifact.layers[3]):
        with tarfile.open(fileobj=io.BytesIO(content(layer)), mode="r:gz") as archive:
            names.append(archive.getnames())
    assert (len(names[0]), names[1]) == (500, ["other.txt"])


# The same input gives the same bytes


@pytest.mark.parametrize("count", [3, 510])
def test_times_owners_order_and_place_change_nothing(
    count: int, make_project: t.Callable[..., Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = many_files(count)
    lines = 'files = ["assets/*"]\nenvironment = { A = "1", B = "2" }'
    one = make_project(None, {"app.wasm": MODULE + bytes(500), **files}, extra=lines, directory=tmp_path / "one")
    two = make_project(
        None,
        {**dict(reversed(files.items())), "app.wasm": MODULE + bytes(500)},
        extra=lines,
        directory=tmp_path / "elsewhere" / "two",
    )
    for number, path in enumerate(two.directory.rglob("*")):
        os.utime(path, (number, number * 1000))
        os.chmod(path, 0o700)
    first = make(one, tmp_path / "work-1")
    again = make(one, tmp_path / "work-2")
    monkeypatch.chdir(two.directory)
    other = make(two, tmp_path / "work-3")
    assert content(first.manifest) == content(again.manifest) == content(other.manifest)
    assert [layer.digest for layer in first.layers] == [layer.digest for layer in other.layers]
    assert content(first.config) == content(other.config)


def test_one_changed_byte_changes_the_digest(packed: t.Callable[..., Artifact]) -> None:
    lines = 'files = ["a.txt"]'
    digests = {
        packed({"a.txt": data}, lines).digest for data in (b"x" * 500, b"x" * 499 + b"y", b"x" * 100, b"x" * 99 + b"y")
    }
    assert len(digests) == 4


def test_wasm_and_files_are_not_read_into_memory(packed: t.Callable[..., Artifact]) -> None:
    artifact = packed({"a.txt": bytes(500)}, 'files = ["a.txt"]')
    assert [(layer.data is None, layer.path is not None) for layer in artifact.layers] == [
        (True, True),
        (True, True),
        (False, False),
    ]


_ids = st.lists(st.sampled_from(["a", "b", "web-site", "x1"]), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), ids=_ids)
def test_every_content_of_any_application_is_to_be_had(
    data: st.DataObject, ids: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As the shim looks for it: Wasm among the Wasm layers, files inline or among the data layers (or archives)."""
    directory = tmp_path_factory.mktemp("application")
    contents = st.sampled_from([b"", b"x", b"y" * 128, b"z" * 129, b"z" * 500, MODULE, MODULE + bytes(200)])
    components, sources, files = {}, {}, {}
    for identifier in ids:
        sources[identifier] = directory / f"{identifier}.wasm"
        sources[identifier].write_bytes(data.draw(st.sampled_from([MODULE, MODULE + bytes(200), MODULE + bytes(300)])))
        (directory / identifier).mkdir()
        for number, text in enumerate(data.draw(st.lists(contents, max_size=6))):
            (directory / identifier / str(number)).write_bytes(text)
        components[identifier] = Component(
            id=identifier, source=LocalSource(f"{identifier}.wasm"), files=(f"{identifier}/*",)
        )
    manifest = Manifest(directory / "spin.toml", "a", (Trigger("t", "http", ids[0], {"route": "/..."}),), components)
    files = {identifier: expand_files(manifest, component) for identifier, component in components.items()}
    artifact = pack(manifest, sources, files, minimum_spin_version="2.2.0", work_directory=directory / "work")

    by_type = {(layer.media_type, layer.digest): content(layer) for layer in artifact.layers}
    assert len(by_type) == len(artifact.layers), "no layer twice"
    locked = json.loads(content(artifact.layers[-1]))
    for component in locked["components"]:
        identifier = component["id"]
        assert by_type[WASM, component["source"]["digest"]] == sources[identifier].read_bytes()
        assert [file["path"] for file in component.get("files", [])] == [file.path for file in files[identifier]]
        for file, original in zip(component.get("files", []), files[identifier], strict=True):
            inline = (
                base64.b64decode(file["inline"] + "=" * (-len(file["inline"]) % 4))
                if "inline" in file
                else by_type[DATA, file["digest"]]
            )
            assert inline == original.source.read_bytes()
    needed = {component["source"]["digest"] for component in locked["components"]}
    needed |= {
        file["digest"]
        for component in locked["components"]
        for file in component.get("files", [])
        if "inline" not in file
    }
    assert needed == {layer.digest for layer in artifact.layers[:-1]}, "no layer that nothing refers to"
    shutil.rmtree(directory)


def test_gzip_of_the_archive_is_read_by_another_reader(packed: t.Callable[..., Artifact]) -> None:
    unzipped = gzip.decompress(content(packed(many_files(500), 'files = ["assets/*"]').layers[1]))
    assert len(unzipped) % 512 == 0
    assert unzipped.endswith(bytes(1024)), "two empty blocks end a tar"
