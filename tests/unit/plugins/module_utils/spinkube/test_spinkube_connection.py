# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs and options; the integration tests connect to a real API server."""

from __future__ import annotations

import gzip
import time
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube import connection as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.connection import ConnectionOptions, connect


def kubeconfig(name: str = "one", server: str = "http://127.0.0.1:1", **user: t.Any) -> dict[str, t.Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": server}}],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def connected(options: ConnectionOptions) -> t.Any:
    return connect(options).config


def test_kubeconfig_by_path_dictionary_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig()))
    assert connected(ConnectionOptions(kubeconfig=str(path))).cluster.server == "http://127.0.0.1:1"
    assert connected(ConnectionOptions(kubeconfig=kubeconfig())).user.token == "token-of-one"
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert connected(ConnectionOptions()).user.token == "token-of-one"


def test_several_files_are_one_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = []
    for number, content in enumerate(
        [kubeconfig("one"), kubeconfig("two"), kubeconfig("one", server="http://127.0.0.1:9")]
    ):
        files.append(tmp_path / str(number))
        files[-1].write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", ":".join(map(str, [*files, tmp_path / "missing"])))
    assert connected(ConnectionOptions()).cluster.server == "http://127.0.0.1:1"
    assert connected(ConnectionOptions(context="two")).user.token == "token-of-two"


def test_options_win_over_the_kubeconfig() -> None:
    config = connected(ConnectionOptions(kubeconfig=kubeconfig(), host="http://127.0.0.1:2", api_key="mine"))
    assert (config.cluster.server, config.user.token) == ("http://127.0.0.1:2", "mine")


def test_host_and_token_need_no_kubeconfig() -> None:
    assert (
        connected(ConnectionOptions(host="http://127.0.0.1:2", api_key="mine")).cluster.server == "http://127.0.0.1:2"
    )


def test_certificates_are_not_checked_only_where_that_is_asked_for() -> None:
    assert not connected(ConnectionOptions(kubeconfig=kubeconfig(server="https://127.0.0.1:1"))).cluster.insecure
    assert connected(
        ConnectionOptions(kubeconfig=kubeconfig(server="https://127.0.0.1:1"), validate_certs=False)
    ).cluster.insecure


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{broken: [", "is not YAML"),
        ("just text", "is not a kubeconfig"),
        (yaml.safe_dump({**kubeconfig(), "current-context": "gone"}), "gone"),
        (yaml.safe_dump({**kubeconfig(), "clusters": []}), "one"),
    ],
)
def test_wrong_kubeconfig_is_told_with_the_option_for_another(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(PlatformError, match=f"The connection to Kubernetes cannot be set up: .*{reason}") as caught:
        connect(ConnectionOptions(kubeconfig=str(tmp_path / "config")))
    assert "kubeconfig=PATH" in caught.value.next_step


def test_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="no such kubeconfig"):
        connect(ConnectionOptions(kubeconfig=str(tmp_path / "gone")))
    with pytest.raises(PlatformError, match=r"home/\.kube/config: no such kubeconfig"):
        connect(ConnectionOptions())


def test_missing_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="cannot be set up"):
        connect(
            ConnectionOptions(kubeconfig=kubeconfig(server="https://127.0.0.1:1"), ca_cert=str(tmp_path / "gone.pem"))
        )


def test_impersonation_becomes_headers() -> None:
    options = ConnectionOptions(impersonate_user="ann", impersonate_groups=("a", "b"))
    assert module._impersonation(options) == [
        ("Impersonate-User", "ann"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
    ]


def test_credential_plugin_of_version_1_is_run_too() -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "env": None}
    read = module._with_exec_version(kubeconfig(exec=plugin))["users"][0]["user"]["exec"]
    assert read["apiVersion"].endswith("v1beta1")
    assert '"apiVersion":"client.authentication.k8s.io/v1"' in read["env"][0]["value"]


class TransportStub:
    """Answers with what it was given, an exception or a status, and counts."""

    def __init__(self, *answers: t.Any) -> None:
        self.answers = list(answers)
        self.requests: list[t.Any] = []

    def handle_request(self, request: t.Any) -> t.Any:
        import httpx2

        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx2.Response):
            return answer
        return httpx2.Response(answer, request=request)


def send(stub: TransportStub, headers: list[tuple[str, str]] | None = None, *, transport: t.Any = None) -> t.Any:
    import httpx2

    transport = transport or module._Transport(t.cast("t.Any", stub), "https://api.example:6443", headers or [])
    return transport.handle_request(httpx2.Request("GET", "https://api.example:6443/api"))


@pytest.mark.parametrize("status", sorted(module.RETRIED_STATUS))
def test_server_that_asks_for_patience_is_asked_again(status: int) -> None:
    stub = TransportStub(status, 200)
    assert send(stub).status_code == 200
    assert len(stub.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_refusal_is_final(status: int) -> None:
    stub = TransportStub(status, 200)
    assert send(stub).status_code == status
    assert len(stub.requests) == 1


def test_server_that_never_answers_is_given_up_soon_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    monkeypatch.setattr(module, "FIRST_CONTACT_SECONDS", 2)
    stub = TransportStub(httpx2.ConnectError("refused"))
    with pytest.raises(
        PlatformError, match=r"The Kubernetes API server https://api\.example:6443 does not answer: refused"
    ):
        send(stub)
    assert len(stub.requests) > 1


def test_server_that_had_answered_is_waited_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    monkeypatch.setattr(module, "FIRST_CONTACT_SECONDS", 0)
    stub = TransportStub(200, httpx2.ConnectError("restarting"), 200)
    transport = module._Transport(t.cast("t.Any", stub), "https://api.example:6443", [])
    assert send(stub, transport=transport).status_code == 200
    assert send(stub, transport=transport).status_code == 200
    assert len(stub.requests) == 3


def test_server_that_stays_overloaded_is_told_by_its_last_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_CONTACT_SECONDS", 0.2)
    assert send(TransportStub(503)).status_code == 503


def test_all_groups_are_impersonated() -> None:
    stub = TransportStub(200)
    send(stub, [("Impersonate-User", "ann"), ("Impersonate-Group", "a"), ("Impersonate-Group", "b")])
    assert stub.requests[0].headers.get_list("Impersonate-Group") == ["a", "b"]


@pytest.mark.parametrize(
    "odd",
    [
        {"clusters": ["one"]}, {"clusters": 1}, {"clusters": {"one": {}}}, {"users": ["one"]},
        {"users": [{"name": "one"}]}, {"contexts": [1]}, {"contexts": [{"name": "one", "context": "one"}]},
        {"users": [{"name": "one", "user": "ann"}]}, {"users": [{"name": "one", "user": {"exec": "program"}}]},
        {"clusters": [{"name": "one", "cluster": "https://a"}]},
    ],
)  # fmt: skip
def test_an_odd_kubeconfig_is_refused(tmp_path: Path, odd: dict[str, t.Any]) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump({**kubeconfig(), **odd}))
    for given in (str(path), {**kubeconfig(), **odd}):
        with pytest.raises(PlatformError, match="The connection to Kubernetes cannot be set up: "):
            connect(ConnectionOptions(kubeconfig=given))


def test_an_answer_is_whole_and_as_it_was_sent() -> None:
    import httpx2

    packed = gzip.compress(b"hello")
    headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain", "X-Two": "1"}
    answer = send(TransportStub(httpx2.Response(200, headers=headers, content=packed)))
    assert (answer.read(), answer.text, list(answer.iter_lines())) == (b"hello", "hello", ["hello"])
    assert answer.headers["x-two"] == "1" and "content-encoding" not in answer.headers


def test_an_answer_that_is_too_long_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    monkeypatch.setattr(module, "ANSWER_BYTES", 100_000)
    taken: list[int] = []

    def endless() -> t.Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x" * 1000

    with pytest.raises(PlatformError, match=r"API server https://api\.example:6443 takes more than 100000 bytes"):
        send(TransportStub(httpx2.Response(200, content=endless())))
    assert len(taken) < 200


def test_an_answer_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx2

    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)

    def drops() -> t.Iterator[bytes]:
        while True:
            time.sleep(0.05)  # slower than the limit for all of it, and no silence
            yield b" "

    with pytest.raises(PlatformError, match=r"takes more than 0\.2 s"):
        send(TransportStub(httpx2.Response(200, content=drops())))
