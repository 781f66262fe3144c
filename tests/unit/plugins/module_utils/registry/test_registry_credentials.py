# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's and Podman's files and real helper programs, as small scripts in PATH."""

from __future__ import annotations

import base64
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.credentials import (
    Credentials,
    find_credentials,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import CredentialOptions

OPTIONS = CredentialOptions()
HOST = "registry.example.com:5000"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; nothing of the real user is read."""
    for variable in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    return tmp_path


def _write(path: Path, content: t.Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def _helper(home: Path, name: str, script: str) -> None:
    path = _write(home / "bin" / f"docker-credential-{name}", f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _found(
    host: str = HOST, repository: str = "team/hello", options: CredentialOptions = OPTIONS
) -> tuple[str, str] | None:
    credentials = find_credentials(host, repository, options)
    return (credentials.username, credentials.password) if credentials else None


def test_nothing_configured_is_anonymous() -> None:
    assert _found() is None


def test_explicit_options_win(home: Path) -> None:
    _write(home / ".docker/config.json", {"auths": {HOST: _auth("file", "x")}})
    assert _found(options=CredentialOptions("me", "secret")) == ("me", "secret")
    with pytest.raises(PlatformError, match="no password"):
        _found(options=CredentialOptions("me"))


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2/"])
def test_docker_config(home: Path, key: str) -> None:
    _write(
        home / ".docker/config.json",
        {"auths": {key: _auth("me", "pass:word"), "other.example.com": _auth("other", "x")}},
    )
    assert _found() == ("me", "pass:word")


def test_docker_hub_is_found_under_the_url_of_its_index(home: Path) -> None:
    _write(home / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": _auth("me", "x")}})
    assert _found("docker.io") == ("me", "x")


def test_places_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(home / ".config/containers/auth.json", {"auths": {HOST: _auth("podman", "x")}})
    assert _found() == ("podman", "x")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
    _write(home / "run/containers/auth.json", {"auths": {HOST: _auth("runtime", "x")}})
    assert _found() == ("runtime", "x")
    _write(home / "docker/config.json", {"auths": {HOST: _auth("docker", "x")}})
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    assert _found() == ("docker", "x")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(_write(home / "auth.json", {"auths": {HOST: _auth("named", "x")}})))
    assert _found() == ("named", "x")
    assert _found(
        options=CredentialOptions(file=_write(home / "option.json", {"auths": {HOST: _auth("option", "x")}}))
    ) == ("option", "x")


def test_podman_entries_for_a_path_win_over_the_host(home: Path) -> None:
    _write(
        home / "auth.json",
        {
            "auths": {
                HOST: _auth("host", "x"),
                f"{HOST}/team": _auth("team", "x"),
                f"{HOST}/team/hello": _auth("hello", "x"),
            }
        },
    )
    options = CredentialOptions(file=home / "auth.json")
    assert [_found(repository=name, options=options) for name in ("team/hello", "team/other", "teammate/hello")] == [
        ("hello", "x"),
        ("team", "x"),
        ("host", "x"),
    ]


def test_identity_and_registry_tokens(home: Path) -> None:
    _write(
        home / ".docker/config.json",
        {"auths": {HOST: {"identitytoken": "refresh"}, "other.example.com": {"registrytoken": "bearer"}}},
    )
    identity = find_credentials(HOST, "a", OPTIONS)
    finished = find_credentials("other.example.com", "a", OPTIONS)
    assert identity is not None and identity.identity_token == "refresh"
    assert finished is not None and finished.registry_token == "bearer"


def test_helper_for_the_host_gets_the_server_on_standard_input_only(home: Path) -> None:
    _helper(
        home,
        "vault",
        'cat > "$HOME/input"; echo "$*" > "$HOME/arguments"; echo '
        '\'{"ServerURL":"x","Username":"me","Secret":"from-helper"}\'',
    )
    _write(
        home / ".docker/config.json",
        {"credHelpers": {HOST: "vault"}, "credsStore": "missing", "auths": {HOST: _auth("file", "x")}},
    )
    assert _found() == ("me", "from-helper")
    assert (home / "input").read_text() == HOST
    assert (home / "arguments").read_text() == "get\n"


def test_default_store_and_identity_token(home: Path) -> None:
    _helper(home, "desktop", 'echo \'{"Username":"<token>","Secret":"refresh"}\'')
    _write(home / ".docker/config.json", {"credsStore": "desktop", "auths": {HOST: {}}})
    credentials = find_credentials(HOST, "a", OPTIONS)
    assert credentials is not None and (credentials.username, credentials.identity_token) == ("", "refresh")


@pytest.mark.parametrize(
    "script", ["echo 'credentials not found in native keychain'; exit 1", 'echo \'{"Username":"","Secret":""}\'']
)
def test_helper_that_knows_nothing_leads_to_the_file(home: Path, script: str) -> None:
    _helper(home, "empty", script)
    _write(home / ".docker/config.json", {"credsStore": "empty", "auths": {HOST: _auth("file", "x")}})
    assert _found() == ("file", "x")


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("echo 'vault is locked' >&2; exit 3", "exit code 3: vault is locked"),
        ("echo nonsense", "no valid answer"),
        ("echo '[]'", "no valid answer"),
    ],
)
def test_broken_helper(home: Path, script: str, cause: str) -> None:
    _helper(home, "broken", script)
    _write(home / ".docker/config.json", {"credsStore": "broken"})
    with pytest.raises(PlatformError, match=cause):
        _found()


def test_missing_helper_names_the_program(home: Path) -> None:
    path = _write(home / ".docker/config.json", {"credsStore": "nowhere"})
    with pytest.raises(PlatformError, match="docker-credential-nowhere") as caught:
        _found()
    assert str(path) in caught.value.next_step


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("{", "not valid JSON at line 1"),
        ("[]", "no JSON object"),
        ({"auths": {HOST: {"auth": "!!"}}}, "not base64"),
        ({"auths": {HOST: {"auth": "bm9jb2xvbg=="}}}, "not base64"),
    ],
)
def test_broken_file(home: Path, content: t.Any, cause: str) -> None:
    path = _write(home / ".docker/config.json", content)
    with pytest.raises(PlatformError, match=cause) as caught:
        _found()
    assert str(path) in str(caught.value)


def test_named_file_must_exist(home: Path) -> None:
    with pytest.raises(PlatformError, match="does not exist"):
        _found(options=CredentialOptions(file=home / "nowhere"))


def test_secrets_are_not_in_the_representation() -> None:
    shown = repr(Credentials("x", "me", "hidden1", "hidden2", "hidden3")) + repr(CredentialOptions("me", "hidden4"))
    assert "hidden" not in shown
