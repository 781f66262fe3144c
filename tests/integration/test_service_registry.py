# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources and logs of the hosted service in a real registry, as several replicas share them."""

from __future__ import annotations

import collections.abc
import contextlib
import hashlib
import io
import itertools
import tarfile
import threading
import typing as t
from pathlib import Path

import msgspec
import pytest
import uvicorn
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import Timeouts
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import DistributionLocation
from ansible_collections.wasmfaas.platform.service.api.problems import HANDLERS
from ansible_collections.wasmfaas.platform.service.builds import dependency_caches
from ansible_collections.wasmfaas.platform.service.builds.dependency_caches import DependencyCaches
from ansible_collections.wasmfaas.platform.service.cluster import logs
from ansible_collections.wasmfaas.platform.service.cluster.logs import ClusterLogStore, replica_key
from ansible_collections.wasmfaas.platform.service.deployments.log import LogWriter
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings, now
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem
from ansible_collections.wasmfaas.platform.service.registry_files import RegistryFiles
from ansible_collections.wasmfaas.platform.service.sources import registry as source_registry
from ansible_collections.wasmfaas.platform.service.sources.registry import RegistrySourceStore
from ansible_collections.wasmfaas.platform.service.sources.store import Source
from starlette.applications import Starlette

from .support.control_plane import ControlPlane
from .support.registries import Registry
from .support.servers import free_port, wait_until

SECONDS = 60.0
_numbers = itertools.count(1)


@pytest.fixture
def store_of(registry: Registry) -> collections.abc.Iterator[t.Callable[[str], DistributionStore]]:
    """The registry as each tenant's functions are in it, below a path of this test's own."""
    path = f"test{next(_numbers)}"
    with contextlib.ExitStack() as opened:

        def store(tenant: str) -> DistributionStore:
            location = DistributionLocation(registry.host, f"{path}/{tenant}")
            made = DistributionStore(
                location,
                credentials_for=lambda _repository: None,
                plain_http=True,
                timeouts=Timeouts(attempts=1, total=5),
            )
            return opened.enter_context(contextlib.closing(made))

        yield store


@pytest.fixture
def files(store_of: t.Callable[[str], DistributionStore]) -> RegistryFiles:
    return RegistryFiles(store_of, source_registry.REPOSITORY, source_registry.KIND)


def packed(content: str, *, level: int = 1) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=level) as archive:
        for name, text in (("spin.toml", content), ("main.py", "x" * 2000)):
            about = tarfile.TarInfo(name)
            about.size = len(text)
            archive.addfile(about, io.BytesIO(text.encode()))
    return stream.getvalue()


def keep(store: RegistrySourceStore, archive: bytes, tenant: str = "user1") -> tuple[Source, bool]:
    with store.upload(tenant) as upload:
        upload.write(archive)
        return store.keep(tenant, upload)


def test_a_source_is_there_at_every_replica_and_for_its_tenant_alone(files: RegistryFiles, tmp_path: Path) -> None:
    first, second = (RegistrySourceStore(files, tmp_path / name) for name in ("first", "second"))
    archive = packed("one")
    source, new = keep(first, archive)
    assert new
    assert source.archive == f"sha256:{hashlib.sha256(archive).hexdigest()}"
    assert second.find("user1", source.source) == second.find("user1", source.archive) == source
    assert second.find("user2", source.source) is second.find("user2", source.archive) is None
    second.unpack("user1", source.source, tmp_path / "tree")
    assert (tmp_path / "tree/spin.toml").read_text() == "one"
    assert keep(second, archive) == (source, False)
    with pytest.raises(PlatformError, match="no longer there"):
        second.archive("user2", source.source)


def test_dependencies_are_a_tenants_own_and_the_newest_key_has_a_place(
    store_of: t.Callable[[str], DistributionStore], tmp_path: Path
) -> None:
    caches = DependencyCaches(RegistryFiles(store_of, dependency_caches.REPOSITORY, dependency_caches.KIND))
    archive, target = tmp_path / "given.tar", tmp_path / "fetched.tar"
    first, other = "0" * 64, f"{dependency_caches.PLACES:08x}{'0' * 56}"  # in the same place
    for key, content in ((first, b"one"), (other, b"two")):
        assert not caches.fetch("user1", key, "amd64", target)
        archive.write_bytes(content)
        caches.keep("user1", key, "amd64", archive)
        assert caches.fetch("user1", key, "amd64", target)
        assert target.read_bytes() == content
    assert not caches.fetch("user1", first, "amd64", target)
    assert not caches.fetch("user1", other, "arm64", target)
    assert not caches.fetch("user2", other, "amd64", target)


def test_two_archives_of_one_tree_are_one_source(files: RegistryFiles, tmp_path: Path) -> None:
    first, second = (RegistrySourceStore(files, tmp_path / name) for name in ("first", "second"))
    source, _new = keep(first, packed("one"))
    other, new = keep(second, packed("one", level=9))
    assert (other.source, new) == (source.source, False)
    assert other.archive != source.archive
    for digest in (source.source, source.archive, other.archive):
        found = first.find("user1", digest)
        assert found is not None and found.source == source.source
    RegistrySourceStore(files, tmp_path / "third").unpack("user1", source.source, tmp_path / "tree")


def test_what_somebody_else_pushed_is_not_taken_for_a_source(
    files: RegistryFiles, store_of: t.Callable[[str], DistributionStore], tmp_path: Path
) -> None:
    """Who has the tenant's registry account may push there."""
    store = RegistrySourceStore(files, tmp_path / "replica")
    source, _new = keep(store, packed("one"))
    forged = tmp_path / "forged"
    forged.write_bytes(packed("two"))
    tag = source.source.removeprefix("sha256:")
    kept = files.find("user1", tag)
    assert kept is not None
    files.put("user1", tag, forged, kept.annotations)
    fresh = RegistrySourceStore(files, tmp_path / "fresh")
    with pytest.raises(PlatformError, match="has other files"):
        fresh.archive("user1", source.source)
    assert not list((tmp_path / "fresh/user1").iterdir())
    files.put("user1", tag, forged, {})
    assert fresh.find("user1", source.source) is None
    forged.write_bytes(b"no archive")
    files.put("user1", tag, forged, kept.annotations)
    with pytest.raises(PlatformError):
        fresh.archive("user1", source.source)
    store_of("user1").close()


def test_an_artifact_is_handed_over_within_the_registry(
    files: RegistryFiles, store_of: t.Callable[[str], DistributionStore], tmp_path: Path
) -> None:
    """As what was built for one function is given to another one of the tenant."""
    content = tmp_path / "content"
    content.write_bytes(b"content")
    files.put("user1", "one", content, {})
    kept = files.find("user1", "one")
    assert kept is not None
    store = store_of("user1")
    manifest = store.manifest(source_registry.REPOSITORY, "one")
    assert manifest is not None
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    artifact = store.handed_over(source_registry.REPOSITORY, digest, "other")
    assert artifact is not None
    assert artifact.digest == digest
    pushed = store.push("other", artifact, tag="two")
    assert (pushed.changed, pushed.uploaded_blobs) == (True, 0)
    store.download("other", kept.digest, tmp_path / "copy", most=100)
    assert (tmp_path / "copy").read_bytes() == b"content"
    with pytest.raises(PlatformError, match="longer than 3 bytes"):
        store.download("other", kept.digest, tmp_path / "copy", most=3)
    assert store.handed_over("missing", digest, "other") is None


def test_the_cache_keeps_what_was_used_last(files: RegistryFiles, tmp_path: Path) -> None:
    archives = [packed(str(number)) for number in range(4)]
    store = RegistrySourceStore(files, tmp_path, cache_bytes=2 * len(archives[0]) + 10)
    sources = [keep(store, archive)[0] for archive in archives]
    there = {path.stem for path in tmp_path.glob("*/*.archive")}
    assert len(there) == 2
    assert sources[-1].source.removeprefix("sha256:") in there
    assert store.archive("user1", sources[0].source).read_bytes() == archives[0]
    store.forget("user1", set())
    store.forget("nobody", set())


def test_a_registry_that_is_away_is_no_mistake_of_the_service(tmp_path: Path) -> None:
    def away(tenant: str) -> DistributionStore:
        return DistributionStore(
            DistributionLocation(f"127.0.0.1:{free_port()}", tenant),
            credentials_for=lambda _repository: None,
            plain_http=True,
            timeouts=Timeouts(attempts=1, total=1),
        )

    store = RegistrySourceStore(RegistryFiles(away, source_registry.REPOSITORY, source_registry.KIND), tmp_path)
    with pytest.raises(ServiceProblem) as caught:
        keep(store, packed("one"))
    assert caught.value.code is Code.UNAVAILABLE
    with pytest.raises(ServiceProblem):
        store.find("user1", f"sha256:{'0' * 64}")


class Replica:
    """A replica with logs; `worker` is the address of the one with the workers."""

    def __init__(self, files: RegistryFiles, directory: Path, control_plane: ControlPlane) -> None:
        from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import KubernetesApi
        from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions

        api = KubernetesApi(ConnectionOptions(kubeconfig=str(control_plane.kubeconfig)))
        self.worker = ""
        self.port = free_port()
        self.deployments: dict[tuple[str, str, int], Deployment] = {}
        self.guess = ""
        self.key = replica_key(lambda: api, "default")
        self.logs = ClusterLogStore(
            files, directory, worker_address=lambda: self.worker, key=lambda: self.guess or self.key()
        )
        routes = self.logs.routes(lambda *key: self.deployments.get(key))
        config = uvicorn.Config(
            Starlette(routes=routes, exception_handlers=HANDLERS), host="127.0.0.1", port=self.port, log_config=None
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started, seconds=SECONDS, what="the replica does not serve")


@pytest.fixture
def replicas(
    store_of: t.Callable[[str], DistributionStore], control_plane: ControlPlane, tmp_path: Path
) -> collections.abc.Iterator[tuple[Replica, Replica]]:
    files = RegistryFiles(store_of, logs.REPOSITORY, logs.KIND)
    made = tuple(Replica(files, tmp_path / name, control_plane) for name in ("working", "other"))
    working, other = made
    other.worker = "127.0.0.1:8800"
    other.logs._port = working.port
    yield working, other
    for one in made:
        one.server.should_exit = True
        one.thread.join(SECONDS)


def deployment(**more: t.Any) -> Deployment:
    made = Deployment(
        number=1, tenant="user1", function="hello", source="", settings=Settings(), settings_digest="",
        requested_by="test", created=now(),
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def test_a_log_is_read_at_the_replica_with_the_worker_and_then_in_the_registry(
    replicas: tuple[Replica, Replica], tmp_path: Path
) -> None:
    working, other = replicas
    made = deployment()
    working.deployments[made.key] = made
    writer = LogWriter(working.logs.file(made), set)
    writer.line("begun")
    assert working.logs.read(made, 0) == other.logs.read(made, 0) == b"begun\n"
    assert (other.logs.read(made, 6), other.logs.size(made)) == (b"", 6)
    writer.line("done")
    writer.close()
    assert other.logs.read(made, 6) == b"done\n"
    working.logs.keep(made)
    finished = msgspec.structs.replace(made, phase=Phase.READY)
    other.worker = ""
    working.server.should_exit = True
    assert other.logs.read(finished, 0) == b"begun\ndone\n"
    assert (other.logs.read(finished, 6), other.logs.size(finished)) == (b"done\n", 11)
    # A function of the same name that is made later has a log of its own.
    assert other.logs.read(msgspec.structs.replace(finished, created=now()), 0) == b""


def test_a_replica_that_takes_over_goes_on_with_the_log(replicas: tuple[Replica, Replica]) -> None:
    working, other = replicas
    made = deployment()
    writer = LogWriter(working.logs.file(made), set)
    writer.line("begun")
    other.logs.resume(made)
    assert not other.logs.file(made).exists()
    working.logs.keep(made)
    writer.line("not kept")
    writer.close()
    other.logs.resume(made)
    writer = LogWriter(other.logs.file(made), set)
    writer.line("done")
    writer.close()
    other.logs.keep(made)
    working.logs.resume(made)  # which has more
    assert working.logs.file(made).read_text() == "begun\nnot kept\n"
    finished = msgspec.structs.replace(made, phase=Phase.READY)
    assert working.logs.read(finished, 0) == b"begun\ndone\n"


def test_only_a_replica_reads_logs_of_another_one(replicas: tuple[Replica, Replica]) -> None:
    working, other = replicas
    made = deployment()
    working.deployments[made.key] = made
    writer = LogWriter(working.logs.file(made), set)
    writer.line("begun")
    writer.close()
    assert working.key() == other.key()
    other.guess = "guessed"
    assert other.logs.read(made, 0) == b""
    other.logs._port = free_port()
    assert (other.logs.read(made, 0), other.logs.size(made)) == (b"", 0)
