# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the k3s of this server by its own interface, with the server token."""

from __future__ import annotations

import base64
import contextlib
import glob
import ssl
import typing as t
import urllib.error
import urllib.request

from ...errors import PlatformError
from .. import paths
from ..config import config_values
from .token_files import password, read_token

BOOTSTRAP = "/v1-k3s/server-bootstrap"
TOKEN = "/v1-k3s/token"  # noqa: S105 (a path)
ANSWER_BYTES = 64 << 20
"""More than the certificates and tokens of a cluster are."""
ERROR_BYTES = 64 << 10

Request = t.Callable[[str, bytes, str], None]
"""Sends a body by PUT to a path of this server, with the server token's password."""
Reader = t.Callable[[str, str], bytes]
"""Gets a path of this server, with the server token's password."""
T = t.TypeVar("T")


class NotAuthorized(PlatformError):
    """The server does not take this password."""


def with_passwords(ask: t.Callable[[str], T]) -> T:
    """Ask with the server token that k3s has on disk, and where that is not the one it was started with, with that of
    its settings.

    A server lets in with the token of its start: it reads the file once (k3s v1.36.3: pkg/authenticator), also after it
    was told another one.

    Raises:
        PlatformError: it takes neither, or cannot be asked.
    """
    secrets = list(
        dict.fromkeys(filter(None, (password(read_token(path)) for path in (paths.SERVER_TOKEN, paths.TOKEN))))
    )
    if not secrets:
        raise PlatformError(
            f"There is no token in {paths.SERVER_TOKEN}.", next_step="Run it on a server that is ready."
        )
    with contextlib.suppress(NotAuthorized):
        return ask(secrets[0])
    return ask(secrets[-1])


def api_port() -> int:
    """Of this server's supervisor, by its settings."""
    files = [paths.CONFIG, *sorted(glob.glob(f"{paths.CONFIG_DROP_INS}/*.yaml"))]
    found = [str(port) for file in files if (port := config_values.read_file(file).get("https-listen-port"))]
    return int(found[-1]) if found and found[-1].isdigit() else 6443


def writer(port: int, *, seconds: float = 60) -> Request:
    """Requests to the k3s of this host, which proves itself with the cluster's certificate authority."""

    def request(path: str, body: bytes, secret: str) -> None:
        _ask(port, "PUT", path, body, secret, seconds)

    return request


def reader(port: int, *, seconds: float = 20) -> Reader:
    """As `writer`, for what is only read."""
    return lambda path, secret: _ask(port, "GET", path, None, secret, seconds)


def _ask(port: int, method: str, path: str, body: bytes | None, secret: str, seconds: float) -> bytes:
    credentials = base64.b64encode(f"server:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"https://127.0.0.1:{port}{path}", data=body, method=method, headers=headers)
    try:
        context = ssl.create_default_context(cafile=paths.SERVER_CA)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(asked, timeout=seconds) as response:
            content = bytes(response.read(ANSWER_BYTES + 1))
        if len(content) > ANSWER_BYTES:
            raise PlatformError(
                f"The server's answer to {path} has more than {ANSWER_BYTES} bytes.",
                next_step=f"See which program listens on port {port} of that host: `ss -tlnp`.",
            )
        return content
    except urllib.error.HTTPError as error:
        said = error.read(ERROR_BYTES).decode("utf-8", "replace").strip()[:300]
        kind = NotAuthorized if error.code in (401, 403) else PlatformError
        raise kind(
            f"The server refused: {error.code} {said}", next_step="See `journalctl -u k3s -n 50` on that host."
        ) from error
    except OSError as error:
        raise PlatformError(
            f"The server does not answer on port {port}: {error}.",
            next_step="See `systemctl status k3s` on that host, and run it again.",
        ) from error
