# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The credentials for a registry: explicit options, else the files and credential helpers of Docker and Podman.

The files: https://docs.docker.com/reference/cli/docker/login/ and containers-auth.json(5).
The helpers: https://github.com/docker/docker-credential-helpers (`docker-credential-<name> get`, the server on standard
input).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .model import CredentialOptions

_HELPER_SECONDS = 60
_IDENTITY_TOKEN_USER = "<token>"  # docker-credential-helpers: the secret is then an identity token  # noqa: S105
_DOCKER_HUB_SERVER = "https://index.docker.io/v1/"
_NOT_FOUND = "credentials not found"  # credentials/error.go: "credentials not found in native keychain"


@dataclasses.dataclass(frozen=True)
class Credentials:
    """Either a user name and password, or an identity (refresh) token, or a finished bearer token."""

    source: str  # where they come from, for messages
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    identity_token: str = dataclasses.field(default="", repr=False)
    registry_token: str = dataclasses.field(default="", repr=False)

    def basic(self) -> str:
        """The value of an Authorization header of scheme Basic (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


def find_credentials(host: str, repository: str, options: CredentialOptions) -> Credentials | None:
    """The credentials for a repository, or None to be anonymous.

    Args:
        host: as in references, with its port; `docker.io` for Docker Hub.
        repository: without the host.

    Errors: PlatformError if a file cannot be read or a helper fails, as going on anonymously would hide the reason.
    """
    if options.username is not None:
        if options.password is None:
            raise PlatformError(
                f"A user name but no password is given for {host}.",
                next_step="Give both, or neither to use `docker login`.",
            )
        return Credentials("the given options", options.username, options.password)
    for path in _files(options):
        content = _read(path)
        found = _from_helper(content, host, path) or _from_entries(content, host, repository, path)
        if found is not None:
            return found
    return None


def _files(options: CredentialOptions) -> list[Path]:
    """All that exist, the first to have an entry wins; an explicitly named file must exist."""
    from_environment = os.environ.get("REGISTRY_AUTH_FILE")
    named = options.file or (Path(from_environment) if from_environment else None)
    if named is not None:
        if not named.is_file():
            raise PlatformError(
                f"The credentials file {named} does not exist.",
                next_step="Name an existing file, or run `docker login` and leave the option and REGISTRY_AUTH_FILE "
                "out.",
            )
        return [named]
    home = Path.home()
    docker = Path(os.environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    configuration = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    candidates = [docker, *([Path(runtime) / "containers" / "auth.json"] if runtime else []), configuration]
    return [path for path in candidates if path.is_file()]


def _read(path: Path) -> dict[str, t.Any]:
    try:
        content = json.loads(path.read_text("utf-8") or "{}")
    except OSError as error:
        raise PlatformError(
            f"Cannot read the credentials file {path}: {error.strerror}.",
            next_step=f"Make {path} readable, or run `docker login` again.",
        ) from error
    except ValueError as error:  # its text is never shown: it could contain a part of a secret
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise PlatformError(
            f"The credentials file {path} is not valid JSON{where}.",
            next_step=f"Repair {path}, or remove it and run `docker login` again.",
        ) from None
    if not isinstance(content, dict):
        raise PlatformError(
            f"The credentials file {path} holds no JSON object.",
            next_step=f"Repair {path}, or remove it and run `docker login` again.",
        )
    return content


def _servers(host: str) -> tuple[str, ...]:
    """The names that one registry has in these files; Docker Hub's is the URL of its index."""
    if host == "docker.io":
        return ("docker.io", _DOCKER_HUB_SERVER, "index.docker.io", "registry-1.docker.io")
    return (host,)


def _table(content: dict[str, t.Any], key: str) -> dict[str, t.Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _from_helper(content: dict[str, t.Any], host: str, path: Path) -> Credentials | None:
    helpers = _table(content, "credHelpers")
    for server in _servers(host):
        if isinstance(helpers.get(server), str):
            return _ask_helper(helpers[server], server, path)
    store = content.get("credsStore")
    if isinstance(store, str) and store:
        return _ask_helper(store, _DOCKER_HUB_SERVER if host == "docker.io" else host, path)
    return None


def _ask_helper(name: str, server: str, path: Path) -> Credentials | None:
    program = f"docker-credential-{name}"
    executable = shutil.which(program)
    if executable is None:
        raise PlatformError(
            f"{path} says that {program} keeps the credentials of {server}, but that program is not in PATH.",
            next_step=f"Install {program}, or remove `credHelpers`/`credsStore` from {path} and run `docker login "
            f"{server}`.",
        )
    try:
        done = subprocess.run(
            [executable, "get"], input=server, capture_output=True, text=True, timeout=_HELPER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PlatformError(
            f"{program} gave no answer for {server} within {_HELPER_SECONDS} s.",
            next_step=f"Run `echo {server} | {program} get` and see what it waits for.",
        ) from None
    except OSError as error:
        raise PlatformError(
            f"Cannot start {executable}: {error.strerror}.", next_step=f"Repair or reinstall {program}."
        ) from error
    if done.returncode != 0:
        message = (done.stderr.strip() or done.stdout.strip())[-500:]
        if _NOT_FOUND in message.lower():
            return None
        raise PlatformError(
            f"{program} failed for {server} with exit code {done.returncode}: {message or 'no message'}.",
            next_step=f"Run `docker login {server}`, or `echo {server} | {program} get` to see why.",
        )
    try:
        answer = json.loads(done.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise PlatformError(
            f"{program} gave no valid answer for {server}.",
            next_step=f"Repair or reinstall {program}; its answer must be JSON with `Username` and `Secret`.",
        ) from None
    if not username and not secret:
        return None  # docker-credential-pass answers so for an unknown server
    source = f"{program} ({path})"
    return (
        Credentials(source, identity_token=secret)
        if username == _IDENTITY_TOKEN_USER
        else Credentials(source, username, secret)
    )


def _from_entries(content: dict[str, t.Any], host: str, repository: str, path: Path) -> Credentials | None:
    entries = {
        _normalised(key): (key, value)
        for key, value in _table(content, "auths").items()
        if isinstance(value, dict) and value
    }
    for key in _keys(host, repository):
        if key in entries:
            written, entry = entries[key]
            found = _from_entry(entry, f"{path}, entry {written!r}", path)
            if found is not None:
                return found
    return None


def _normalised(key: str) -> str:
    """Without scheme and API version, as older versions of `docker login` wrote URLs."""
    bare = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    for version in ("/v1", "/v2"):
        bare = bare.removesuffix(version)
    return bare


def _keys(host: str, repository: str) -> t.Iterator[str]:
    """Most specific first: Podman allows entries for a repository or a path above it."""
    servers = dict.fromkeys(_normalised(server) for server in _servers(host))
    parts = repository.split("/")
    for length in range(len(parts), -1, -1):
        for server in servers:
            yield "/".join((server, *parts[:length]))


def _from_entry(entry: dict[str, t.Any], source: str, path: Path) -> Credentials | None:
    if entry.get("identitytoken"):
        return Credentials(source, identity_token=str(entry["identitytoken"]))
    if entry.get("registrytoken"):
        return Credentials(source, registry_token=str(entry["registrytoken"]))
    if entry.get("auth"):
        try:
            username, separator, password = (
                base64.b64decode(str(entry["auth"]), validate=True).decode("utf-8").partition(":")
            )
        except (binascii.Error, ValueError):
            separator = ""
        if not separator:
            raise PlatformError(
                f"`auth` of {source} is not base64 of `user:password`.",
                next_step=f"Run `docker login` again, or repair {path}.",
            )
        # Docker pads with NUL (cli/config/configfile/file.go)
        return Credentials(source, username, password.rstrip("\0"))
    if entry.get("username") and entry.get("password"):
        return Credentials(source, str(entry["username"]), str(entry["password"]))
    return None
