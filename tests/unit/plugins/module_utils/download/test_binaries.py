# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs are fetched once, verified, and never left half done; the server is a real one on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import os
import tarfile
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import (
    air_gap_bundle,
    binaries,
    fetch,
    pinned,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError

BINARY = b"\x7fELF" + bytes(range(256)) * 2000
DIGEST = hashlib.sha256(BINARY).hexdigest()
VERSION = "v1.36.4+k3s1"


def archive(**files: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name.replace('__', '/')}")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return target.getvalue()


class Releases:
    """An HTTP server with files, which counts what is asked and fails on demand."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fail_first = 0
        self.cut_first = 0
        releases = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                releases.answer(self)

            def log_message(self, format: str, *arguments: t.Any) -> None:  # noqa: A002 - the base class names it so
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if request.path.startswith("/moved"):
            request.send_response(302)
            request.send_header("Location", request.path.removeprefix("/moved"))
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        content = self.files.get(request.path)
        if self.fail_first:
            self.fail_first -= 1
            content, status = b"", 503
        else:
            status = 404 if content is None else 200
        request.send_response(status)
        request.send_header("Content-Length", str(len(content or b"")))
        request.end_headers()
        if self.cut_first and content:
            self.cut_first -= 1
            content = content[: len(content) // 2]
        request.wfile.write(content or b"")

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def releases() -> t.Iterator[Releases]:
    made = Releases()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    short = dataclasses.replace(fetch.TIMEOUTS, first_wait=0.01, connect=2.0, transfer=2.0)
    monkeypatch.setattr(fetch.fetch_file, "__kwdefaults__", {"timeouts": short})
    monkeypatch.setattr(fetch.fetch_checksum, "__kwdefaults__", {"timeouts": short})


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The checksums that the collection has recorded: none, as the binaries here are no real ones."""
    checksums: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(pinned, "BINARIES", checksums)
    return checksums


def test_what_was_recorded_counts_over_the_list_of_the_release(
    tmp_path: Path, releases: Releases, recorded: dict[str, dict[str, str]]
) -> None:
    """Whoever can replace the binary can replace the list beside it."""
    wanted = k3s(releases)
    assert run(tmp_path, wanted)["changed"] is True
    recorded[f"k3s {VERSION}"] = {"arm64": "a" * 64}
    with pytest.raises(PlatformError, match=f"{DIGEST}.*a{{64}}|a{{64}}.*{DIGEST}"):
        run(tmp_path, wanted)
    recorded[f"k3s {VERSION}"] = {"arm64": DIGEST}
    assert run(tmp_path, wanted)["changed"] is False
    recorded[f"k3s {VERSION}"] = {"arm64": "a" * 64}
    assert run(tmp_path, {**wanted, "checksums": {"arm64": DIGEST}})["changed"] is False, "the user's own counts"
    file = tmp_path / "k3s"
    file.write_bytes(BINARY)
    assert run(tmp_path, {**wanted, "paths": {"arm64": str(file)}})["binaries"]["k3s"]["arm64"]["sha256"] == DIGEST


def k3s(releases: Releases, **more: t.Any) -> dict[str, t.Any]:
    releases.files[f"/{VERSION.replace('+', '%2B')}/k3s-arm64"] = BINARY
    releases.files[f"/{VERSION.replace('+', '%2B')}/sha256sum-arm64.txt"] = (
        f"{'0' * 64}  k3s-airgap-images-arm64.tar.gz\n{DIGEST}  k3s-arm64\n".encode()
    )
    entry = {
        "url": f"{releases.url}/{{version}}/k3s{{suffix}}",
        "checksums_url": f"{releases.url}/{{version}}/sha256sum-{{architecture}}.txt",
    }
    return {"name": "k3s", "version": VERSION, "variable": "k3s_release_url", **entry, **more}


def run(
    tmp_path: Path,
    *wanted: dict[str, t.Any],
    check_mode: bool = False,
    bundle: Path | None = None,
    architecture: str = "arm64",
) -> dict[str, t.Any]:
    parameters = {
        "binaries": list(wanted),
        "architectures": [architecture],
        "cache_directory": str(tmp_path / "cache"),
        "bundle_directory": bundle and str(bundle),
    }
    return binaries.run(parameters, check_mode, set())


def leftovers(tmp_path: Path) -> list[str]:
    return [path.name for path in tmp_path.rglob("*") if path.name.endswith((".partial", ".download"))]


def test_binary_is_fetched_once_by_the_checksum_of_its_release(releases: Releases, tmp_path: Path) -> None:
    first = run(tmp_path, k3s(releases))
    place = tmp_path / f"cache/k3s/{VERSION}/arm64/k3s"
    assert first == {"changed": True, "binaries": {"k3s": {"arm64": {"path": str(place), "sha256": DIGEST}}}}
    assert place.read_bytes() == BINARY and os.access(place, os.X_OK)
    assert releases.asked == [
        f"/{VERSION.replace('+', '%2B')}/sha256sum-arm64.txt",
        f"/{VERSION.replace('+', '%2B')}/k3s-arm64",
    ]
    releases.asked.clear()
    assert run(tmp_path, k3s(releases)) == {**first, "changed": False}
    assert releases.asked == [], "a second run needs no network"
    assert leftovers(tmp_path) == []


def test_pinned_checksum_needs_no_list(releases: Releases, tmp_path: Path) -> None:
    assert (
        run(tmp_path, k3s(releases, checksums={"arm64": f"sha256:{DIGEST.upper()}".lower()}, checksums_url=None))[
            "changed"
        ]
        is True
    )
    assert len(releases.asked) == 1


def test_wrong_checksum_is_refused_and_nothing_stays(releases: Releases, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=f"has the SHA-256 {DIGEST}, and {'1' * 64} is expected") as caught:
        run(tmp_path, k3s(releases, checksums={"arm64": "1" * 64}))
    assert "K3s_release_url" in caught.value.next_step or "k3s_release_url" in caught.value.next_step
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == ["k3s.lock"]


def test_changed_pin_fetches_anew(releases: Releases, tmp_path: Path) -> None:
    run(tmp_path, k3s(releases))
    with pytest.raises(PlatformError, match="is expected"):
        run(tmp_path, k3s(releases, checksums={"arm64": "2" * 64}))


def test_damaged_binary_in_the_cache_is_fetched_anew(releases: Releases, tmp_path: Path) -> None:
    (path,) = [Path(entry["path"]) for entry in run(tmp_path, k3s(releases))["binaries"]["k3s"].values()]
    path.write_bytes(b"damaged")
    assert run(tmp_path, k3s(releases))["changed"] is True
    assert path.read_bytes() == BINARY


def test_binary_without_its_record_counts_for_nothing(releases: Releases, tmp_path: Path) -> None:
    run(tmp_path, k3s(releases))
    (tmp_path / f"cache/k3s/{VERSION}/arm64/k3s.json").write_text("{half")
    assert run(tmp_path, k3s(releases))["changed"] is True


@pytest.mark.parametrize("fault", ["fail_first", "cut_first"])
def test_passing_faults_are_waited_out(releases: Releases, tmp_path: Path, fault: str) -> None:
    wanted = k3s(releases, checksums={"arm64": DIGEST})
    setattr(releases, fault, 2)
    assert run(tmp_path, wanted)["binaries"]["k3s"]["arm64"]["sha256"] == DIGEST
    assert len(releases.asked) == 3 and leftovers(tmp_path) == []


def test_redirection_is_followed_as_releases_need(releases: Releases, tmp_path: Path) -> None:
    wanted = k3s(releases, url=f"{releases.url}/moved/{{version}}/k3s{{suffix}}")
    assert run(tmp_path, wanted)["changed"] is True


def test_version_that_is_not_there_is_told(releases: Releases, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="There is nothing at") as caught:
        run(tmp_path, {**k3s(releases), "version": "v9.9.9+k3s1"})
    assert "k3s_release_url" in caught.value.next_step and len(releases.asked) == 1, "no use in asking again"


def test_server_that_is_not_there_is_told(tmp_path: Path, releases: Releases) -> None:
    wanted = k3s(releases, checksums={"arm64": DIGEST}, url="http://127.0.0.1:9/k3s")
    with pytest.raises(PlatformError, match=r"127\.0\.0\.1:9") as caught:
        run(tmp_path, wanted)
    assert (
        "k3s_release_url names another place" in caught.value.next_step
        and "wasmfaas.platform.bundle" in caught.value.next_step
    )


def test_list_without_the_binary_and_no_checksum_at_all_are_refused(releases: Releases, tmp_path: Path) -> None:
    wanted = k3s(releases)
    releases.files[f"/{VERSION.replace('+', '%2B')}/sha256sum-arm64.txt"] = f"{DIGEST}  k3s-armhf\n".encode()
    with pytest.raises(PlatformError, match="no checksum of k3s-arm64"):
        run(tmp_path, wanted)
    with pytest.raises(PlatformError, match="No checksum of k3s"):
        run(tmp_path, {**wanted, "checksums_url": None})


def test_check_mode_fetches_nothing(releases: Releases, tmp_path: Path) -> None:
    result = run(tmp_path, k3s(releases), check_mode=True)
    assert result["changed"] is True and result["binaries"]["k3s"]["arm64"]["path"].endswith("/arm64/k3s")
    assert releases.asked == [] and not (tmp_path / "cache").exists()
    fetched = run(tmp_path, k3s(releases))
    assert run(tmp_path, k3s(releases), check_mode=True) == {**fetched, "changed": False}


def shim(releases: Releases, content: bytes, **more: t.Any) -> dict[str, t.Any]:
    releases.files["/shim-aarch64.tar.gz"] = content
    checksums = {"arm64": hashlib.sha256(content).hexdigest()}
    return {
        "name": "containerd-shim-spin-v2",
        "version": "0.25.1",
        "url": f"{releases.url}/shim-{{machine}}.tar.gz",
        "checksums": checksums,
        **more,
    }


@pytest.mark.parametrize(
    "files",
    [
        {"containerd-shim-spin-v2": BINARY},
        {"other-name": BINARY},
        {"bin__containerd-shim-spin-v2": BINARY, "README": b"x"},
    ],
)
def test_binary_is_taken_out_of_its_archive(releases: Releases, tmp_path: Path, files: dict[str, bytes]) -> None:
    content = archive(**files)
    result = run(tmp_path, shim(releases, content))
    found = result["binaries"]["containerd-shim-spin-v2"]["arm64"]
    assert found["sha256"] == DIGEST and Path(found["path"]).read_bytes() == BINARY
    assert run(tmp_path, shim(releases, content)) == {**result, "changed": False}
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "content", [b"no archive", archive(a=b"1", b=b"2"), archive()], ids=["no archive", "two others", "empty"]
)
def test_archive_that_is_none_or_holds_something_else_is_refused(
    releases: Releases, tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(PlatformError, match="archive of containerd-shim-spin-v2"):
        run(tmp_path, shim(releases, content))
    assert leftovers(tmp_path) == []


def test_file_on_this_machine_is_used_as_it_is(releases: Releases, tmp_path: Path) -> None:
    own = tmp_path / "my-k3s"
    own.write_bytes(BINARY)
    result = run(tmp_path, k3s(releases, paths={"arm64": str(own)}))
    assert result == {"changed": False, "binaries": {"k3s": {"arm64": {"path": str(own), "sha256": DIGEST}}}}
    assert releases.asked == []
    with pytest.raises(PlatformError, match="is expected"):
        run(tmp_path, k3s(releases, paths={"arm64": str(own)}, checksums={"arm64": "3" * 64}))
    with pytest.raises(PlatformError, match="There is no file"):
        run(tmp_path, k3s(releases, paths={"arm64": f"{own}-not"}))


def test_archive_on_this_machine_is_unpacked_once(releases: Releases, tmp_path: Path) -> None:
    own = tmp_path / "shim.tar.gz"
    own.write_bytes(archive(**{"containerd-shim-spin-v2": BINARY}))
    wanted = {
        "name": "containerd-shim-spin-v2",
        "version": "0.25.1",
        "url": f"{releases.url}/x.tar.gz",
        "paths": {"arm64": str(own)},
    }
    first = run(tmp_path, wanted)
    assert first["changed"] is True and first["binaries"]["containerd-shim-spin-v2"]["arm64"]["sha256"] == DIGEST
    assert run(tmp_path, wanted) == {**first, "changed": False}


def test_cache_of_one_machine_serves_as_an_air_gap_bundle(releases: Releases, tmp_path: Path) -> None:
    run(tmp_path, k3s(releases))
    carried = tmp_path / "cache"
    releases.asked.clear()
    result = run(tmp_path / "elsewhere", k3s(releases, paths={"arm64": "/only/on/the/other/side"}), bundle=carried)
    assert result["changed"] is False and result["binaries"]["k3s"]["arm64"]["path"].startswith(str(carried))
    assert releases.asked == [] and not (tmp_path / "elsewhere").exists()
    with pytest.raises(PlatformError, match="holds no k3s") as caught:
        run(tmp_path, k3s(releases), bundle=carried, architecture="amd64")
    assert "wasmfaas.platform.bundle" in caught.value.next_step and releases.asked == []
    (carried / f"k3s/{VERSION}/arm64/k3s").write_bytes(b"damaged on the way")
    with pytest.raises(PlatformError, match="is not what it should be"):
        run(tmp_path, k3s(releases), bundle=carried)
    with pytest.raises(PlatformError, match="There is no directory"):
        run(tmp_path, k3s(releases), bundle=tmp_path / "none")


def test_binary_of_this_machine_comes_out_of_an_air_gap_bundle(releases: Releases, tmp_path: Path) -> None:
    own = tmp_path / "my-shim"
    own.write_bytes(BINARY)
    pinned = shim(releases, archive(**{"containerd-shim-spin-v2": b"the one of the release"}))
    given = run(tmp_path, {**pinned, "paths": {"arm64": str(own)}})
    directory = tmp_path / "bundle"
    air_gap_bundle.complete(directory, given["binaries"], {pinned["name"]: pinned["version"]}, [])
    place = directory / "containerd-shim-spin-v2/0.25.1/arm64/containerd-shim-spin-v2"
    assert run(tmp_path, pinned, bundle=directory)["binaries"] == {
        "containerd-shim-spin-v2": {"arm64": {"path": str(place), "sha256": DIGEST}}
    }
    place.write_bytes(b"damaged on the way")
    with pytest.raises(PlatformError, match="is not what it should be"):
        run(tmp_path, pinned, bundle=directory)


def test_release_in_an_air_gap_bundle_is_the_pinned_one(releases: Releases, tmp_path: Path) -> None:
    run(tmp_path, shim(releases, archive(**{"containerd-shim-spin-v2": BINARY})))
    other = shim(releases, archive(**{"containerd-shim-spin-v2": b"another build of it"}))
    with pytest.raises(PlatformError, match=f"expected {DIGEST}, from {other['checksums']['arm64']}"):
        run(tmp_path, other, bundle=tmp_path / "cache")


def test_unwritable_cache_is_told(releases: Releases, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(PlatformError, match="cannot be used on this machine") as caught:
        run(tmp_path, k3s(releases))
    assert "cache directory" in caught.value.next_step


def test_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, releases: Releases, tmp_path: Path) -> None:
    def full(*_arguments: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch.os, "replace", full)
    with pytest.raises(PlatformError, match="no space left on this machine"):
        run(tmp_path, k3s(releases))
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "said"), [("https://x/{nope}", "unknown placeholder"), ("https://x/{", "unknown placeholder")]
)
def test_placeholder_that_is_not_known_is_refused(url: str, said: str) -> None:
    with pytest.raises(PlatformError, match=said) as caught:
        binaries.expand({"name": "k3s", "version": VERSION, "url": url}, ["arm64"])
    assert "{version}" in caught.value.next_step


def test_urls_are_those_of_the_releases() -> None:
    base = "https://github.com/k3s-io/k3s/releases/download"
    entry = {
        "name": "k3s",
        "version": VERSION,
        "url": f"{base}/{{version}}/k3s{{suffix}}",
        "checksums_url": f"{base}/{{version}}/sha256sum-{{architecture}}.txt",
    }
    amd64, arm64 = binaries.expand(entry, ["amd64", "arm64", "amd64"])
    assert amd64.url == f"{base}/v1.36.4%2Bk3s1/k3s" and amd64.asset == "k3s"
    assert (
        arm64.url == f"{base}/v1.36.4%2Bk3s1/k3s-arm64"
        and arm64.checksums_url == f"{base}/v1.36.4%2Bk3s1/sha256sum-arm64.txt"
    )
    with pytest.raises(PlatformError, match="not available for riscv64"):
        binaries.expand(entry, ["riscv64"])


def test_two_runs_at_once_fetch_once(releases: Releases, tmp_path: Path) -> None:
    wanted = k3s(releases, checksums={"arm64": DIGEST})
    results: list[dict[str, t.Any]] = []
    threads = [threading.Thread(target=lambda: results.append(run(tmp_path, wanted))) for _thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert len(releases.asked) == 1
