# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against answers that a real registry gives only in bad moments; tests/integration/test_registry.py has the
real one."""

from __future__ import annotations

import collections.abc
import dataclasses
import hashlib
import re
import socket
import ssl
import threading
import typing as t
import urllib.parse
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Artifact
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_requests, transport
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.credentials import Credentials
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.distribution import DistributionStore
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import Timeouts
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.pushed_blobs import PushedBlobs
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import DistributionLocation

MakeArtifact = collections.abc.Callable[..., Artifact]
Rule = collections.abc.Callable[[httpx2.Request], "httpx2.Response | None"]

TIMEOUTS = Timeouts(attempts=3, first_wait=0.01, total=5, longest_wait=2)
REALM = "https://auth.example.com/token?account=x"


@dataclasses.dataclass
class FakeRegistry:
    """A stand-in for a registry, in memory; rules come first and may answer in its place."""

    rules: list[Rule] = dataclasses.field(default_factory=list)
    requests: list[httpx2.Request] = dataclasses.field(default_factory=list)
    blobs: dict[str, bytes] = dataclasses.field(default_factory=dict)
    manifests: dict[str, bytes] = dataclasses.field(default_factory=dict)
    digest_header: bool = True
    location: str = "/v2/{repository}/blobs/uploads/{number}?_state=a%2Bb/c%3D%3D&x=1"
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        request.read()
        with self.lock:
            self.requests.append(request)
            for rule in self.rules:
                answer = rule(request)
                if answer is not None:
                    return answer
            return self._answer(request)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        method, path = request.method, request.url.path
        if (match := re.fullmatch(r"/v2/(.+)/blobs/uploads/", path)) and method == "POST":
            return httpx2.Response(
                202, headers={"Location": self.location.format(repository=match[1], number=len(self.requests))}
            )
        if re.fullmatch(r"/v2/(.+)/blobs/uploads/[0-9]+", path) and method == "PUT":
            query = request.url.query.decode()
            expected = urllib.parse.urlsplit(self.location).query
            assert query.startswith(f"{expected}&digest=" if expected else "digest="), query
            digest = request.url.params["digest"]
            if digest != f"sha256:{hashlib.sha256(request.content).hexdigest()}":
                return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            assert request.headers["Content-Length"] == str(len(request.content))
            self.blobs[digest] = request.content
            return httpx2.Response(201)
        if match := re.fullmatch(r"/v2/(.+)/blobs/(sha256:.+)", path):
            content = self.blobs.get(match[2])
            return (
                httpx2.Response(404)
                if content is None
                else httpx2.Response(200, headers={"Content-Length": str(len(content))})
            )
        match = re.fullmatch(r"/v2/(.+)/manifests/(.+)", path)
        assert match, path
        if method == "PUT":
            digest = f"sha256:{hashlib.sha256(request.content).hexdigest()}"
            self.manifests[match[2]] = self.manifests[digest] = request.content
            return httpx2.Response(201)  # like ECR: without Location and Docker-Content-Digest
        content = self.manifests.get(match[2])
        if content is None:
            return httpx2.Response(404)
        headers = (
            {"Docker-Content-Digest": f"sha256:{hashlib.sha256(content).hexdigest()}"} if self.digest_header else {}
        )
        return httpx2.Response(200, headers=headers, content=content if method == "GET" else b"")

    def count(self, method: str, pattern: str = "") -> int:
        return sum(
            request.method == method and re.search(pattern, str(request.url)) is not None for request in self.requests
        )


def _error(status: int, code: str = "", message: str = "", **headers: str) -> httpx2.Response:
    return httpx2.Response(
        status,
        json={"errors": [{"code": code, "message": message}]},
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )


def _times(
    number: int, method: str, pattern: str, answer: collections.abc.Callable[[httpx2.Request], httpx2.Response]
) -> Rule:
    """A rule for the first so many requests that fit."""
    left = number

    def rule(request: httpx2.Request) -> httpx2.Response | None:
        nonlocal left
        if left == 0 or request.method != method or not re.search(pattern, str(request.url)):
            return None
        left -= 1
        return answer(request)

    return rule


def _raise(
    error: type[httpx2.TransportError], message: str = "cut"
) -> collections.abc.Callable[[httpx2.Request], httpx2.Response]:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error(message)

    return answer


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> FakeRegistry:
    fake = FakeRegistry()
    monkeypatch.setattr(
        registry_requests, "create_client", lambda **_: httpx2.Client(transport=httpx2.MockTransport(fake))
    )
    return fake


def _store(credentials: Credentials | None = None, **more: t.Any) -> DistributionStore:
    more.setdefault("location", DistributionLocation("registry.example.com", "team"))
    return DistributionStore(
        more.pop("location"), credentials_for=lambda repository: credentials, **{"timeouts": TIMEOUTS, **more}
    )


# ---- what is sent


def test_second_push_is_one_request(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"wasm", b"more")
    store = _store()
    first = store.push("hello", artifact, tag="v1")
    assert (first.changed, first.uploaded_blobs, first.uploaded_bytes) == (
        True,
        4,
        sum(blob.size for blob in artifact.blobs()),
    )
    assert first.image == f"registry.example.com/team/hello@{artifact.digest}"
    assert set(registry.manifests) == {"v1", artifact.digest}
    registry.requests.clear()
    assert store.push("hello", artifact, tag="v1") == dataclasses.replace(
        first, changed=False, uploaded_blobs=0, uploaded_bytes=0
    )
    assert [request.method for request in registry.requests] == ["HEAD"]


def test_new_tag_sends_only_the_manifest(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"wasm")
    _store().push("hello", artifact, tag="v1")
    registry.requests.clear()
    result = _store().push("hello", artifact, tag="v2")
    assert (result.changed, result.uploaded_blobs) == (True, 0)
    assert (registry.count("POST"), registry.count("PUT")) == (0, 1)


def test_manifests_come_after_all_blobs_and_the_tag_last(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"a", b"b", b"c", b"d", b"e", b"a")
    _store().push("hello", artifact, tag="v1")
    puts = [request.url.path for request in registry.requests if request.method == "PUT"]
    assert len(puts) == 7 + 2  # the layer that stands there twice is sent once
    assert [path.rpartition("/")[2] for path in puts[-2:]] == [artifact.digest, "v1"]


def test_only_what_is_missing_is_sent(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"wasm", b"more")
    registry.blobs[artifact.layers[0].digest] = b"wasm"
    store = _store()
    assert not store.has("hello", artifact.digest) and store.manifest("hello", "v1") is None
    assert {request.method for request in registry.requests} <= {"HEAD", "GET"}
    pushed = store.push("hello", artifact, tag="v1")
    size = sum(blob.size for blob in artifact.blobs()) - 4
    assert (pushed.changed, pushed.uploaded_blobs, pushed.uploaded_bytes) == (True, 3, size)
    assert store.push("hello", artifact, tag="v2").uploaded_blobs == 0
    assert store.has("hello", artifact.digest) and store.manifest(
        "hello", "v1"
    ) == artifact.manifest.data == store.manifest("hello", artifact.digest)


def test_tag_without_digest_header_is_read(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.digest_header = False
    artifact = make_artifact(b"wasm")
    assert [_store().push("hello", artifact, tag="v1").changed for _time in range(2)] == [True, False]
    assert _store().push("hello", make_artifact(b"other"), tag="v1").changed


@pytest.mark.parametrize(
    "location",
    [
        "/v2/{repository}/blobs/uploads/{number}",
        "https://registry.example.com/v2/{repository}/blobs/uploads/{number}?state=x",
        "http://registry.example.com/v2/{repository}/blobs/uploads/{number}?state=x",  # behind a TLS proxy
        "//registry.example.com/v2/{repository}/blobs/uploads/{number}?a=%20b",
    ],
)
def test_upload_locations(registry: FakeRegistry, make_artifact: MakeArtifact, location: str) -> None:
    registry.location = location
    assert _store().push("hello", make_artifact(b"wasm"), tag="v1").uploaded_blobs == 3
    assert {(request.url.scheme, request.url.host) for request in registry.requests} == {
        ("https", "registry.example.com")
    }


def test_upload_elsewhere_gets_no_credentials(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.rules.append(
        lambda request: (
            None
            if "Authorization" in request.headers or request.url.host != "registry.example.com"
            else _error(401, WWW_Authenticate="Basic realm=x")
        )
    )
    registry.location = "https://storage.example.com/v2/{repository}/blobs/uploads/{number}"
    _store(Credentials("test", "me", "secret")).push("hello", make_artifact(b"wasm"), tag="v1")
    elsewhere = [request for request in registry.requests if request.url.host == "storage.example.com"]
    assert len(elsewhere) == 3 and not any("Authorization" in request.headers for request in elsewhere)


def test_upload_elsewhere_in_the_clear_is_refused(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.location = "http://storage.example.com/x"
    with pytest.raises(PlatformError, match="without encryption"):
        _store().push("hello", make_artifact(b"wasm"), tag="v1")


def test_empty_blob_left_by_a_crash_is_sent_again(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    artifact = make_artifact(b"wasm")
    registry.blobs[artifact.layers[0].digest] = b""
    _store().push("hello", artifact, tag="v1")
    assert registry.blobs[artifact.layers[0].digest] == b"wasm"


# ---- retries


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_temporary_answers_are_tried_again(registry: FakeRegistry, make_artifact: MakeArtifact, status: int) -> None:
    for method, pattern in (
        ("HEAD", "/manifests/v1"),
        ("POST", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/v1"),
    ):
        registry.rules.append(
            _times(1, method, pattern, lambda request: _error(status, "TOOMANYREQUESTS", "slow down", Retry_After="0"))
        )
    assert _store().push("hello", make_artifact(b"wasm"), tag="v1").changed


@pytest.mark.parametrize(
    "error",
    [
        httpx2.ConnectError,
        httpx2.ReadError,
        httpx2.WriteError,
        httpx2.RemoteProtocolError,
        httpx2.ReadTimeout,
        httpx2.WriteTimeout,
    ],
)
def test_a_cut_upload_starts_again_from_a_fresh_post(
    registry: FakeRegistry, make_artifact: MakeArtifact, error: type[httpx2.TransportError]
) -> None:
    registry.rules.append(_times(1, "PUT", "/uploads/", _raise(error)))
    assert _store().push("hello", make_artifact(b"wasm"), tag="v1").uploaded_blobs == 3
    uploads = [
        str(request.url) for request in registry.requests if request.method == "PUT" and "/uploads/" in str(request.url)
    ]
    assert (registry.count("POST"), len(uploads), len(set(uploads))) == (4, 4, 4)


def test_lost_answer_to_a_whole_upload_is_not_sent_twice(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    def stored_but_lost(request: httpx2.Request) -> httpx2.Response:
        registry._answer(request)
        raise httpx2.ReadError("cut")

    registry.rules.append(_times(1, "PUT", "/uploads/", stored_but_lost))
    assert _store().push("hello", make_artifact(b"wasm"), tag="v1").uploaded_blobs == 3
    assert registry.count("PUT", "/uploads/") == 3


def test_retries_end(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.rules.append(
        _times(-1, "PUT", "/uploads/", lambda request: _error(503, "UNAVAILABLE", "maintenance", Retry_After="0"))
    )
    artifact = make_artifact()
    registry.blobs[artifact.config.digest] = artifact.config.data or b""
    with pytest.raises(
        PlatformError,
        match=r"registry\.example\.com answered HTTP 503 \(UNAVAILABLE: maintenance\), while uploading blob "
        r"sha256:.* to team/hello",
    ):
        _store().push("hello", artifact, tag="v1")
    assert registry.count("PUT") == TIMEOUTS.attempts and registry.manifests == {}


def test_long_retry_after_ends_at_once(registry: FakeRegistry) -> None:
    registry.rules.append(_times(-1, "HEAD", "", lambda request: httpx2.Response(429, headers={"Retry-After": "3600"})))
    registry.rules.append(_times(-1, "GET", "", lambda request: _error(429, "TOOMANYREQUESTS", "pull rate limit")))
    with pytest.raises(PlatformError, match="TOOMANYREQUESTS: pull rate limit") as caught:
        _store().has("hello", "sha256:" + "0" * 64)
    assert registry.count("HEAD") == 1 and "after 3600 s" in caught.value.next_step


@pytest.mark.parametrize(
    ("value", "expected"),
    [("7", 7.0), (None, None), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("-5", None)],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert transport._retry_after(value) == expected


def test_the_first_error_stops_the_other_uploads(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.rules.append(
        _times(-1, "POST", "", lambda request: _error(403, "DENIED", "requested access to the resource is denied"))
    )
    with pytest.raises(PlatformError, match="DENIED") as caught:
        _store().push("hello", make_artifact(*(bytes([number]) for number in range(40))), tag="v1")
    assert registry.count("POST") < 20 and "docker login registry.example.com" in caught.value.next_step


# ---- who we are


@dataclasses.dataclass
class TokenServer:
    """A rule that makes the registry ask for tokens; all that were issued end at the given numbers of accepted
    requests."""

    ends: tuple[int, ...] = ()
    refuse: bool = False
    issued: list[httpx2.Request] = dataclasses.field(default_factory=list)
    valid: set[str] = dataclasses.field(default_factory=set)
    accepted: int = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response | None:
        if request.url.host == "auth.example.com":
            self.issued.append(request)
            if self.refuse:
                return httpx2.Response(401, json={"details": "incorrect username or password"})
            token = f"token-{len(self.issued)}"
            self.valid.add(token)
            return httpx2.Response(200, json={"access_token": token, "expires_in": 300})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token in self.valid:
            self.accepted += 1
            if self.accepted in self.ends:
                self.valid.clear()
            return None
        return _error(
            401,
            "UNAUTHORIZED",
            "authentication required",
            WWW_Authenticate=f'Bearer realm="{REALM}",service="registry",scope="repository:team/hello:pull"',
        )


def test_one_token_serves_all_threads(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    server = TokenServer()
    registry.rules.append(server)
    _store(Credentials("test", "me", "secret")).push(
        "hello", make_artifact(*(bytes([number]) for number in range(12))), tag="v1"
    )
    assert len(server.issued) == 1
    query = urllib.parse.parse_qs(server.issued[0].url.query.decode())
    assert query == {
        "account": ["x"],
        "service": ["registry"],
        "scope": ["repository:team/hello:pull,push", "repository:team/hello:pull"],
    }
    assert server.issued[0].headers["Authorization"] == "Basic bWU6c2VjcmV0"


def test_expired_tokens_are_renewed_in_the_middle_of_a_push(
    registry: FakeRegistry, make_artifact: MakeArtifact
) -> None:
    server = TokenServer(ends=(1, 12, 27, 42))
    registry.rules.append(server)
    artifact = make_artifact(*(bytes([number]) for number in range(12)))
    assert _store(Credentials("test", "me", "secret")).push("hello", artifact, tag="v1").uploaded_blobs == 14
    assert len(server.issued) == 5 and registry.manifests["v1"] == artifact.manifest.data


def test_checks_ask_for_no_right_to_push(registry: FakeRegistry) -> None:
    server = TokenServer()
    registry.rules.append(server)
    _store().has("hello", "sha256:" + "0" * 64)
    assert "push" not in str(server.issued[0].url) and "Authorization" not in server.issued[0].headers


def test_identity_token_is_posted(registry: FakeRegistry) -> None:
    server = TokenServer()
    registry.rules.append(server)
    _store(Credentials("test", identity_token="refresh")).has("hello", "sha256:" + "0" * 64)
    form = urllib.parse.parse_qs(server.issued[0].content.decode())
    assert server.issued[0].method == "POST" and (form["grant_type"], form["refresh_token"], form["service"]) == (
        ["refresh_token"],
        ["refresh"],
        ["registry"],
    )


def test_finished_token_is_used_as_it_is(registry: FakeRegistry) -> None:
    server = TokenServer(valid={"mine"})
    registry.rules.append(server)
    assert not _store(Credentials("test", registry_token="mine")).has("hello", "sha256:" + "0" * 64)
    assert server.issued == []


@pytest.mark.parametrize(
    ("credentials", "cause"),
    [
        (None, "refuses anonymous access"),
        (Credentials("the given options", "me", "wrong"), "refuses the credentials from the given options"),
    ],
)
def test_token_server_refuses(
    registry: FakeRegistry, make_artifact: MakeArtifact, credentials: Credentials | None, cause: str
) -> None:
    registry.rules.append(TokenServer(refuse=True))
    with pytest.raises(PlatformError, match=cause) as caught:
        _store(credentials).push("hello", make_artifact(b"x"), tag="v1")
    assert "docker login registry.example.com" in caught.value.next_step and "wrong" not in str(caught.value)
    assert "incorrect username or password" in caught.value.cause


def test_token_without_the_right_to_push(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    server = TokenServer()
    registry.rules += [
        lambda request: (
            _error(401, "UNAUTHORIZED", "insufficient scope")
            if "token-1" in request.headers.get("Authorization", "")
            else None
        ),
        server,
    ]
    with pytest.raises(PlatformError, match="refuses the credentials from test for team/hello: UNAUTHORIZED"):
        _store(Credentials("test", "me", "x")).push("hello", make_artifact(b"x"), tag="v1")
    assert len(server.issued) == 1


@pytest.mark.parametrize(
    ("challenge", "cause"),
    [
        ("Negotiate", "no way to log in that is known here .offered: negotiate"),
        ('Bearer service="x"', "no way to log in"),
        ('Bearer realm="ftp://x/y"', "no valid token server"),
        ('Bearer realm="http://auth.example.com/token"', "without encryption"),
    ],
)
def test_unusable_challenges(registry: FakeRegistry, challenge: str, cause: str) -> None:
    registry.rules.append(lambda request: _error(401, "UNAUTHORIZED", "x", WWW_Authenticate=challenge))
    with pytest.raises(PlatformError, match=cause):
        _store(Credentials("test", "me", "x")).has("hello", "sha256:" + "0" * 64)


def test_basic(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    good = Credentials("test", "me", "good")
    registry.rules.append(
        lambda request: (
            None
            if request.headers.get("Authorization") == good.basic()
            else _error(401, "UNAUTHORIZED", "no", WWW_Authenticate="Basic realm=x")
        )
    )
    assert _store(good).push("hello", make_artifact(b"x"), tag="v1").changed
    for credentials, cause in (
        (Credentials("a file", "me", "bad"), "refuses the credentials from a file"),
        (None, "none were found"),
    ):
        with pytest.raises(PlatformError, match=cause):
            _store(credentials).push("hello", make_artifact(b"x"), tag="v1")


# ---- refusals


@pytest.mark.parametrize(
    ("method", "pattern", "status", "code", "next_step"),
    [
        ("PUT", "/uploads/", 413, "", "client_max_body_size"),
        ("POST", "/uploads/", 404, "NAME_UNKNOWN", "Create the repository team/hello"),
        ("POST", "/uploads/", 403, "DENIED", "right to push to team/hello"),
        ("POST", "/uploads/", 405, "UNSUPPORTED", "read-only"),
        ("PUT", "/uploads/", 507, "", "disk space"),
        ("PUT", "/manifests/", 404, "MANIFEST_BLOB_UNKNOWN", "garbage collection"),
        ("PUT", "/manifests/v1", 400, "ImageTagAlreadyExistsException", "another tag"),
        ("PUT", "/manifests/v1", 409, "DENIED", "another tag"),
        ("HEAD", "/manifests/", 418, "", "is an OCI registry"),
    ],
)
def test_refusals_say_what_to_do(
    registry: FakeRegistry,
    make_artifact: MakeArtifact,
    method: str,
    pattern: str,
    status: int,
    code: str,
    next_step: str,
) -> None:
    registry.rules.append(_times(-1, method, pattern, lambda request: _error(status, code, "the reason")))
    with pytest.raises(PlatformError) as caught:
        _store().push("hello", make_artifact(b"x"), tag="v1")
    assert f"registry.example.com answered HTTP {status}" in caught.value.cause and "team/hello" in caught.value.cause
    assert "the reason" in caught.value.cause or method == "HEAD"
    assert next_step in caught.value.next_step


@pytest.mark.parametrize(
    "detail",
    [
        # seen: Distribution 2.8
        "write /var/lib/registry/docker/registry/v2/repositories/team/hello/_uploads/1/data: no space left on device",
        # Its storagedriver.Error as JSON
        {
            "DriverName": "filesystem",
            "Enclosed": {"Op": "write", "Path": "/var/lib/registry/docker", "Err": 28},
        },
    ],
    ids=["text", "number"],
)
def test_full_disk_is_named_at_once(registry: FakeRegistry, make_artifact: MakeArtifact, detail: object) -> None:
    answer = {"errors": [{"code": "UNKNOWN", "message": "unknown error", "detail": detail}]}
    registry.rules.append(_times(-1, "PUT", "/uploads/", lambda request: httpx2.Response(500, json=answer)))
    with pytest.raises(PlatformError) as caught:
        _store().push("hello", make_artifact(b"x"), tag="v1")
    assert "HTTP 500 (UNKNOWN: unknown error: no space left on device)" in caught.value.cause
    assert "Free disk space of registry.example.com" in caught.value.next_step
    sent = [str(request.url.params["digest"]) for request in registry.requests if request.method == "PUT"]
    assert len(sent) == len(set(sent))  # nothing a second time


def test_quota_is_named(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.rules.append(
        _times(
            -1,
            "PUT",
            "/manifests/",
            lambda request: _error(412, "DENIED", "adding 1 MiB of storage resource would exceed the quota"),
        )
    )
    with pytest.raises(PlatformError) as caught:
        _store().push("hello", make_artifact(b"x"), tag="v1")
    assert "Raise the quota of team in registry.example.com" in caught.value.next_step


def test_missing_repository_is_created_where_that_is_known(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    created: list[str] = []
    registry.rules.append(
        lambda request: _error(404, "NAME_UNKNOWN", "x") if request.method == "POST" and not created else None
    )
    result = _store(create_repository=created.append).push("hello", make_artifact(b"x", b"y"), tag="v1")
    assert result.uploaded_blobs == 4 and set(created) == {"team/hello"}


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        pytest.param(201, True, id="BLOB_MOUNTING is on"),
        pytest.param(202, False, id="BLOB_MOUNTING is off, and an upload begins instead"),
        pytest.param(403, False, id="no ecr:GetDownloadUrlForLayer on the other repository"),
        pytest.param(405, False, id="not supported"),
    ],
)
def test_layers_of_another_function_are_taken_into_a_repository_that_is_made_for_it(
    registry: FakeRegistry, make_artifact: MakeArtifact, tmp_path: Path, answer: int, taken: bool
) -> None:
    """As Amazon ECR: it makes no repository by itself, and mounts a layer only with the account's setting (user guide,
    Blob mounting in Amazon ECR)."""
    artifact, created, mounts = make_artifact(b"common", b"layer"), list[str](), list[str]()

    def remembered() -> PushedBlobs:
        return PushedBlobs(tmp_path / "pushed.json", "registry.example.com")

    _store(pushed=remembered()).push("first", artifact, tag="v1")
    there = dict(registry.blobs)
    registry.blobs.clear()
    registry.manifests.clear()

    def ecr(request: httpx2.Request) -> httpx2.Response | None:
        if request.method != "POST":
            return None
        if "team/second" not in created:
            return _error(404, "NAME_UNKNOWN", "The repository does not exist in the registry")
        digest = request.url.params.get("mount")
        if digest is None or answer == 202:
            return None  # an upload begins
        mounts.append(digest)
        if answer == 201:
            registry.blobs[digest] = there[digest]
            return httpx2.Response(201, headers={"Location": f"/v2/team/second/blobs/{digest}"})
        return _error(answer, "DENIED", "x")

    registry.rules.append(ecr)
    result = _store(create_repository=created.append, pushed=remembered()).push("second", artifact, tag="v1")
    assert result.uploaded_blobs == (0 if taken else len(there))
    assert set(created) == {"team/second"} and registry.blobs == there
    if answer != 202:
        assert sorted(mounts) == sorted(there), "each layer, the first too"


def test_registry_that_rewrites_manifests(registry: FakeRegistry, make_artifact: MakeArtifact) -> None:
    registry.rules.append(
        _times(
            1,
            "PUT",
            "/manifests/",
            lambda request: httpx2.Response(201, headers={"Docker-Content-Digest": "sha256:" + "1" * 64}),
        )
    )
    with pytest.raises(PlatformError, match="stored other bytes than it was sent"):
        _store().push("hello", make_artifact(b"x"), tag="v1")


@pytest.mark.parametrize("content", [b"wasX", b"wasm-longer", b"w", None])
def test_file_that_changes_meanwhile(
    registry: FakeRegistry, make_artifact: MakeArtifact, tmp_path: Path, content: bytes | None
) -> None:
    artifact = make_artifact(b"wasm")
    source = tmp_path / "source.wasm"
    if content is not None:
        source.write_bytes(content)
    changed = dataclasses.replace(
        artifact, layers=(dataclasses.replace(artifact.layers[0], data=None, path=source), *artifact.layers[1:])
    )
    with pytest.raises(PlatformError, match=r"changed while it was being stored|Cannot read"):
        _store().push("hello", changed, tag="v1")
    assert registry.manifests == {}


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def _verification() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "unable to get local issuer certificate"
    return error


def _not_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("error", "cause", "next_step"),
    [
        (
            _caused(httpx2.ConnectError("x"), ConnectionRefusedError(111, "Connection refused")),
            "Nothing listens",
            "curl -v https://registry.example.com:5000/v2/",
        ),
        (
            _caused(httpx2.ConnectError("x"), socket.gaierror(-2, "Name or service not known")),
            "'registry.example.com' of the registry .* cannot be resolved",
            "getent hosts registry.example.com",
        ),
        (
            _caused(httpx2.ConnectError("x"), _verification()),
            "not trusted .unable to get local issuer",
            "registry_ca_file",
        ),
        (_caused(httpx2.ConnectError("x"), _not_tls()), "does not speak HTTPS", "registry_plain_http: true"),
        (
            httpx2.RemoteProtocolError("illegal status line: bytearray(b'\\x15')"),
            "does not answer in plain HTTP",
            "registry_plain_http",
        ),
        (httpx2.ConnectTimeout("timed out"), "No connection .* within 10 s", "curl"),
        (httpx2.ReadTimeout("timed out"), "gave no answer in time", "see its load"),
        (httpx2.ProxyError("403 Forbidden"), "proxy refused", "NO_PROXY"),
        (httpx2.ReadError("reset by peer"), "failed .reset by peer.", "Run again"),
        (httpx2.TooManyRedirects("Exceeded 20 redirects"), "Exceeded 20 redirects", "Run again"),
    ],
)
def test_failed_connections(error: Exception, cause: str, next_step: str) -> None:
    described = transport.connection_error(
        error, did="looking up team/hello:v1", peer=transport.Peer("registry.example.com:5000"), timeouts=Timeouts()
    )
    assert (
        re.search(cause, described.cause)
        and "looking up team/hello:v1" in described.cause
        and "registry.example.com:5000" in described.cause
    )
    assert next_step in described.next_step


def test_certificate_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for path, reason in ((tmp_path / "missing.pem", "No such file"), (tmp_path / "empty.pem", "no PEM certificate")):
        with pytest.raises(PlatformError, match=reason):
            transport.create_client(ca_file=path, plain_http=False, timeouts=Timeouts())
