# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts for an air gap: from an HTTP repository and from the real Distribution registry, into the directory, and out
of it on the other side."""

from __future__ import annotations

import collections.abc
import functools
import hashlib
import http.server
import io
import json
import tarfile
import threading
import types
import typing as t
from pathlib import Path

import httpx2
import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.action import k3s_charts
from ansible_collections.wasmfaas.platform.plugins.module_utils.charts import download as charts
from ansible_collections.wasmfaas.platform.plugins.module_utils.download import air_gap_bundle, pinned
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import store

from .support import platform_parts
from .support.fixtures import Registry

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"


def archive(name: str, version: str) -> bytes:
    """A chart as `helm package` makes it, as far as it counts here."""
    buffer = io.BytesIO()
    content = yaml.safe_dump({"apiVersion": "v2", "name": name, "version": version}).encode()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        member = tarfile.TarInfo(f"{name}/Chart.yaml")
        member.size = len(content)
        opened.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Repository(t.NamedTuple):
    """A Helm repository on 127.0.0.1; `asked` is what was asked for."""

    url: str
    directory: Path
    asked: list[str]


@pytest.fixture
def repository(tmp_path: Path) -> collections.abc.Iterator[Repository]:
    directory = tmp_path / "repository"
    (directory / "archives").mkdir(parents=True)
    content = archive("keda", "2.20.2")
    (directory / "archives/keda-2.20.2.tgz").write_bytes(content)
    entry = {"version": "2.20.2", "urls": ["archives/keda-2.20.2.tgz"], "digest": hashlib.sha256(content).hexdigest()}
    (directory / "index.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "entries": {"keda": [entry]}}), encoding="utf-8"
    )
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Repository(f"http://127.0.0.1:{server.server_port}", directory, asked)
    server.shutdown()
    server.server_close()
    thread.join()


def push(registry: Registry, name: str, version: str, layer_type: str = charts.ARCHIVE_TYPE) -> bytes:
    """As `helm push` does."""
    content, config = archive(name, version), b"{}"
    layers = []
    for data, media_type in ((config, HELM_CONFIG), (content, layer_type)):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = httpx2.post(f"{registry.url}/v2/helm/{name}/blobs/uploads/").headers["Location"]
        httpx2.put(f"{place}{'&' if '?' in place else '?'}digest={digest}", content=data).raise_for_status()
        layers.append({"mediaType": media_type, "digest": digest, "size": len(data)})
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": layers[0],
        "layers": layers[1:],
    }
    tag = version.replace("+", "_")
    answer = httpx2.put(
        f"{registry.url}/v2/helm/{name}/manifests/{tag}",
        content=json.dumps(manifest),
        headers={"Content-Type": str(manifest["mediaType"])},
    )
    answer.raise_for_status()
    return content


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The checksums that the collection has recorded; none of the stand-ins' charts."""
    checksums: dict[str, str] = {}
    monkeypatch.setattr(pinned, "CHARTS", checksums)
    return checksums


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chart registries speak HTTPS; the one of this test does not."""
    monkeypatch.setattr(charts, "open_store", functools.partial(store.open_store, plain_http=True))


def collect(directory: Path, sources: dict[str, dict[str, str]], *, check_mode: bool = False) -> charts.Collected:
    return charts.collect(sources, [], directory, check_mode=check_mode)


def test_from_a_repository_once(repository: Repository, tmp_path: Path) -> None:
    sources = {"keda": {"repository": repository.url, "version": "2.20.2"}}
    first = collect(tmp_path / "bundle", sources)
    assert first.changed
    assert first.versions == {"chart-keda": "2.20.2"}
    fetched = Path(first.places["chart-keda"]["any"]["path"])
    assert fetched.read_bytes() == (repository.directory / "archives/keda-2.20.2.tgz").read_bytes()
    repository.asked.clear()
    second = collect(tmp_path / "bundle", sources)
    assert not second.changed
    assert second.places == first.places
    assert repository.asked == []


def test_version_with_a_v_is_found_without_it(repository: Repository, tmp_path: Path) -> None:
    assert collect(tmp_path / "bundle", {"keda": {"repository": repository.url, "version": "v2.20.2"}}).changed


@pytest.mark.usefixtures("plain")
def test_from_a_registry_once(registry: Registry, tmp_path: Path) -> None:
    content = push(registry, "cert-manager", "v1.21.1+build")
    sources = {"cert-manager": {"repository": f"oci://{registry.host}/helm/cert-manager", "version": "v1.21.1+build"}}
    first = collect(tmp_path / "bundle", sources)
    assert Path(first.places["chart-cert-manager"]["any"]["path"]).read_bytes() == content
    assert not collect(tmp_path / "bundle", sources).changed


def test_check_mode_fetches_nothing(repository: Repository, tmp_path: Path) -> None:
    assert collect(
        tmp_path / "bundle", {"keda": {"repository": repository.url, "version": "2.20.2"}}, check_mode=True
    ).changed
    assert repository.asked == []
    assert not (tmp_path / "bundle").exists()


def test_directory_is_complete_for_the_other_side(repository: Repository, tmp_path: Path) -> None:
    own = tmp_path / "own.tgz"
    own.write_bytes(archive("traefik", "41.3.0"))
    sources: dict[str, dict[str, str]] = {
        "keda": {"repository": repository.url, "version": "2.20.2"},
        "traefik": {"content": str(own), "version": "41.3.0"},
    }
    directory = tmp_path / "bundle"
    collected = collect(directory, sources)
    result = air_gap_bundle.complete(directory, collected.places, collected.versions, [])
    assert [file["name"] for file in result["files"]] == ["chart-keda", "chart-traefik"]
    assert not air_gap_bundle.complete(directory, collected.places, collected.versions, [])["changed"]
    carried = directory.rename(tmp_path / "carried")
    own.unlink()
    for name, version in (("keda", "2.20.2"), ("traefik", "41.3.0")):
        with tarfile.open(charts.chart_from_bundle(name, sources[name], carried)) as opened:
            assert yaml.safe_load(t.cast("t.IO[bytes]", opened.extractfile(f"{name}/Chart.yaml")))["version"] == version


def test_what_was_not_collected_or_was_changed_is_named(repository: Repository, tmp_path: Path) -> None:
    source = {"repository": repository.url, "version": "2.20.2"}
    with pytest.raises(PlatformError, match=r"holds no chart keda 2\.20\.2") as raised:
        charts.chart_from_bundle("keda", source, tmp_path / "bundle")
    assert "wasmfaas.platform.bundle" in raised.value.next_step
    collect(tmp_path / "bundle", {"keda": source})
    charts.chart_from_bundle("keda", source, tmp_path / "bundle").write_bytes(b"other")
    with pytest.raises(PlatformError, match="is not what was downloaded"):
        charts.chart_from_bundle("keda", source, tmp_path / "bundle")
    assert collect(tmp_path / "bundle", {"keda": source}).changed  # and is fetched anew


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"version": "9.9.9"}, r"has no chart keda 9\.9\.9; the newest that it has is 2\.20\.2"),
        ({"version": "2.20.2", "chart": "other"}, r"has no chart other 2\.20\.2; the newest that it has is none"),
        ({"repository": "", "version": "1"}, "no repository or no version"),
        (
            {"content": "/nowhere/keda.tgz", "version": "1"},
            "/nowhere/keda.tgz, the archive of the chart keda, cannot be read",
        ),
    ],
)
def test_bad_source_is_named(repository: Repository, tmp_path: Path, source: dict[str, str], message: str) -> None:
    with pytest.raises(PlatformError, match=message) as raised:
        collect(tmp_path / "bundle", {"keda": {"repository": repository.url} | source})
    assert "platform_chart" in raised.value.next_step


@pytest.mark.parametrize("content", ["entries: 3", "{", "- a"])
def test_what_is_no_index_is_named(repository: Repository, tmp_path: Path, content: str) -> None:
    (repository.directory / "index.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError, match="is not an index of charts"):
        collect(tmp_path / "bundle", {"keda": {"repository": repository.url, "version": "2.20.2"}})


def test_archive_that_is_not_what_the_index_says_is_refused(repository: Repository, tmp_path: Path) -> None:
    (repository.directory / "archives/keda-2.20.2.tgz").write_bytes(b"other")
    with pytest.raises(PlatformError, match=r"and .* is expected"):
        collect(tmp_path / "bundle", {"keda": {"repository": repository.url, "version": "2.20.2"}})
    with pytest.raises(PlatformError, match="holds no chart"):
        charts.chart_from_bundle("keda", {"version": "2.20.2"}, tmp_path / "bundle")


def test_a_chart_that_is_not_what_was_recorded_is_refused(
    repository: Repository, recorded: dict[str, str], tmp_path: Path
) -> None:
    """Also where archive and index agree, and where it lies in the bundle since before."""
    source = {"repository": repository.url, "version": "2.20.2"}
    assert collect(tmp_path / "bundle", {"keda": source}).changed
    digest = hashlib.sha256((repository.directory / "archives/keda-2.20.2.tgz").read_bytes()).hexdigest()
    recorded["keda 2.20.2"] = "a" * 64
    for place in ("bundle", "other"):
        with pytest.raises(PlatformError, match=rf"keda 2\.20\.2 with the SHA-256 {digest}, and a{{64}} is") as raised:
            collect(tmp_path / place, {"keda": source})
        assert "platform_chart_overrides.keda.sha256" in raised.value.next_step
    for accepted in (digest, f"sha256:{digest}", ""):
        collect(tmp_path / "accepted", {"keda": {**source, "sha256": accepted}})
    recorded["keda 2.20.2"] = digest
    assert not collect(tmp_path / "bundle", {"keda": source}).changed


@pytest.mark.usefixtures("plain")
def test_a_chart_of_a_registry_that_is_not_what_was_recorded_is_refused(
    registry: Registry, recorded: dict[str, str], tmp_path: Path
) -> None:
    content = push(registry, "traefik", "41.3.0")
    source = {"repository": f"oci://{registry.host}/helm/traefik", "version": "41.3.0"}
    recorded["traefik 41.3.0"] = "a" * 64
    with pytest.raises(PlatformError, match="is expected"):
        collect(tmp_path / "bundle", {"traefik": source})
    assert not [path for path in (tmp_path / "bundle").rglob("*") if path.is_file()]
    recorded["traefik 41.3.0"] = hashlib.sha256(content).hexdigest()
    assert collect(tmp_path / "bundle", {"traefik": source}).changed


def test_charts_with_a_checksum_come_through_this_machine_if_asked_for(
    repository: Repository, recorded: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those without one are left to the cluster, as all are by default."""
    content = (repository.directory / "archives/keda-2.20.2.tgz").read_bytes()
    recorded["keda 2.20.2"] = hashlib.sha256(content).hexdigest()
    action: t.Any = object.__new__(k3s_charts.ActionModule)
    action._task = types.SimpleNamespace(check_mode=False)
    monkeypatch.setattr(action, "_directory", lambda name, _variables: str(tmp_path) if "cache" in name else "")
    monkeypatch.setattr(action, "_archive", lambda _name, path: Path(path).read_bytes())
    sources = {name: {"repository": repository.url, "version": "2.20.2"} for name in ("keda", "other")}

    def given(**arguments: t.Any) -> dict[str, t.Any]:
        charts = [{"name": "keda"}, {"name": "other"}]
        found: dict[str, t.Any] = action._sources({"sources": sources, "charts": charts, **arguments}, {})
        return {name: source.get("content") for name, source in found.items()}

    assert given() == {"keda": None, "other": None}
    action._task.check_mode = True
    assert given(charts_by_checksum=True) == {"keda": None, "other": None}
    action._task.check_mode = False
    assert given(charts_by_checksum=True, state="absent") == {"keda": None, "other": None}
    assert repository.asked == []
    assert given(charts_by_checksum="yes") == {"keda": content, "other": None}
    recorded["keda 2.20.2"] = "a" * 64
    with pytest.raises(PlatformError, match="is expected"):
        given(charts_by_checksum=True)


@pytest.mark.usefixtures("plain")
def test_registry_without_the_version_and_without_a_chart_is_named(registry: Registry, tmp_path: Path) -> None:
    push(registry, "zot", "0.1.122", layer_type="application/vnd.oci.image.layer.v1.tar+gzip")
    address = f"oci://{registry.host}/helm/zot"
    with pytest.raises(PlatformError, match="has no version 9"):
        collect(tmp_path / "bundle", {"zot": {"repository": address, "version": "9"}})
    with pytest.raises(PlatformError, match=r"zot:0\.1\.122 is not a chart"):
        collect(tmp_path / "bundle", {"zot": {"repository": address, "version": "0.1.122"}})


def test_each_part_brings_the_charts_and_definitions_that_its_role_installs() -> None:
    known = yaml.safe_load((platform_parts.ROLES / "platform/vars/main.yml").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((platform_parts.ROLES / "platform/defaults/main.yml").read_text(encoding="utf-8"))
    installed: dict[str, set[str]] = {}
    for role, variant in platform_parts.variants():
        if role in known["__platform_charts_of"]:
            installed.setdefault(role, set()).update(
                chart["name"] for call in platform_parts.calls(role, variant) for chart in call.charts
            )
    assert {role: set(names) for role, names in known["__platform_charts_of"].items()} == installed
    assert set().union(*installed.values()) == set(defaults["platform_charts"])
    named = {name for names in known["__platform_definitions_of"].values() for name in names}
    assert named == set(defaults["platform_definitions"])
    for role, names in known["__platform_definitions_of"].items():
        variables = (platform_parts.ROLES / role / "vars/main.yml").read_text(encoding="utf-8")
        assert all(name in variables for name in names)
