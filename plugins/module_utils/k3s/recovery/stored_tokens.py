# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens that k3s keeps for all servers together: in server/cred/passwd of each, and a copy in etcd.

At each start k3s compares the two and refuses to start where the file differs and is newer (k3s v1.36.3:
pkg/cluster/bootstrap.go, ReconcileBootstrapData). It rewrites the file whenever a server starts with another agent
token, but saves it in etcd only at the first start of a cluster and when it is told the server token
(pkg/daemons/control/deps, genUsers; pkg/cluster/storage.go, Save; pkg/server/handlers/token.go, tokenRotate). So the
file has to hold the new tokens before the server token is told, on the server that is told, and must be the same on all
servers afterwards.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import datetime
import glob
import io
import json
import os
import re
import ssl
import typing as t
import urllib.error
import urllib.request

from ...errors import PlatformError
from ...host import whole_file
from ...host.waiting import wait_for
from .. import paths
from ..config import config_values
from .snapshot import SERVER_CA, SERVER_TOKEN, Run, password, run_on_host

PASSWD = f"{paths.SERVER_DIRECTORY}/cred/passwd"
ASIDE = f"{PASSWD}.before-repair"
"""Where `release` puts the file that k3s refused to start with. While it is there, etcd does not have the tokens of the
servers."""
BOOTSTRAP = "/v1-k3s/server-bootstrap"
TIME_SKEW = 3
"""Seconds by which a file must be newer than its copy to count as that (k3s v1.36.3: pkg/cluster/bootstrap.go,
systemTimeSkew)."""
JOURNAL_LINES = "200"
STOP_SECONDS = 90.0
FATAL = re.compile(r'level=fatal msg="([^\n]*)')
REFUSED = re.compile(r"(/\S+(?:, /\S+)*) newer than datastore and could cause a cluster outage")

Request = t.Callable[[str, bytes, str], None]
"""Sends a body by PUT to a path of this server, with the server token's password."""
Reader = t.Callable[[str, str], bytes]
"""Gets a path of this server, with the server token's password."""


class NotAuthorized(PlatformError):
    """The server does not take this password."""


# --- The file
# --------------------------------------------------------------------------------


def users_of(text: str) -> dict[str, tuple[str, str]]:
    """Password and role by user. A line is `PASSWORD,USER,USER,ROLE` (k3s v1.36.3: pkg/passwd/passwd.go); the lines
    have no order."""
    records = [record for record in csv.reader(io.StringIO(text)) if len(record) > 1]
    return {record[1]: (record[0], record[3] if len(record) > 3 else "") for record in records}


def text_of(users: t.Mapping[str, tuple[str, str]]) -> str:
    """The file for these users, the same on every server."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    for user, (secret, role) in sorted(users.items()):
        writer.writerow([secret, user, user, role])
    return written.getvalue()


def read_passwd() -> str:
    """Empty where there is none."""
    try:
        with open(PASSWD, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def wanted_text(*, server: str, agent: str) -> str:
    """What the file must hold for these passwords; `agent` is empty where agents use the server token. Other users
    stay."""
    users = users_of(read_passwd())
    users["server"] = (server, "k3s:server")
    users["node"] = (agent or server, "k3s:agent")
    return text_of(users)


def write_passwd(*, server: str, agent: str) -> bool:
    """Give the file these passwords; gives whether it was another one."""
    text = wanted_text(server=server, agent=agent)
    if text == read_passwd():
        return False
    whole_file.write(PASSWD, text, durable=True)
    return True


# --- The copy in etcd
# --------------------------------------------------------------------------------


def unsaved(read: Reader) -> bool | None:
    """Whether k3s would refuse its next start because of the file; None where this server cannot tell.

    A server gives its copy in etcd since v1.32.3 (k3s-io/k3s #11844). An older one, and one that cannot read etcd,
    gives the file itself, which tells nothing.
    """
    if os.path.exists(ASIDE):
        return True
    text = read_passwd()
    if not text:
        return False  # k3s makes the file anew from its copy
    try:
        stored = json.loads(with_passwords(lambda secret: read(BOOTSTRAP, secret))).get("PasswdFile")
        copy = base64.b64decode(stored["Content"]).decode()
        changed = int(os.path.getmtime(PASSWD)) - seconds_of(stored["Timestamp"])
    except (PlatformError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if copy == text:
        return False
    # Within the skew k3s would take the copy, and write the tokens of its settings into the file once more.
    return changed >= (TIME_SKEW if users_of(copy) == users_of(text) else 0)


def seconds_of(timestamp: str) -> int:
    """Whole seconds since 1970 of a time as Go writes it, such as 2026-11-28T22:20:12.123456789Z."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)", timestamp)
    if found is None:
        raise ValueError(f"{timestamp!r} is no time")
    zone = found[2].replace("Z", "+00:00").replace(":", "")
    return int(datetime.datetime.strptime(found[1] + zone, "%Y-%m-%dT%H:%M:%S%z").timestamp())


def save(request: Request, *, server: str, agent: str) -> None:
    """Have etcd take over the tokens of this server: `server` as the server token, new or the same, and `agent` for the
    agents.

    The file says so first, as k3s stores what is there when it is told the server token. Its time is then that of the
    copy, and newer than that of the file on any other server, which takes the copy over at its next start.

    Raises:
        PlatformError: the server refused.
    """
    current = password(read_token(SERVER_TOKEN))
    before = read_passwd()
    times = (os.path.getatime(PASSWD), os.path.getmtime(PASSWD)) if before else None
    write_passwd(server=current, agent=agent)
    os.utime(PASSWD)
    try:
        with_passwords(lambda secret: request("/v1-k3s/token", json.dumps({"newToken": server}).encode(), secret))
    except PlatformError:
        # Or k3s would refuse its next start. Should it have stored them nevertheless, this is the older file, which it
        # replaces by the copy.
        if times:
            whole_file.write(PASSWD, before, durable=True)
            os.utime(PASSWD, times)
        raise
    # The server writes it before it has stored it (pkg/server/handlers/token.go), and answers afterwards.
    if not wait_for(lambda: password(read_token(SERVER_TOKEN)) == server, seconds=30):
        raise PlatformError(
            "The server took the token, but did not store it.",
            next_step="See `journalctl -u k3s -n 50` on that host, and run it again.",
        )


def settle(*, check_mode: bool = False) -> bool:
    """After `save` on one server, have the file of this one say the same in the same order of lines; gives whether
    something changed.

    A server that still runs with older tokens keeps its file: it is older than the copy, which k3s takes over at the
    next start.
    """
    text = read_passwd()
    wanted = wanted_text(server=password(read_token(SERVER_TOKEN)), agent=password(read_token(paths.AGENT_TOKEN)))
    reorder = bool(text) and text != wanted and users_of(text) == users_of(wanted)
    changed = reorder or os.path.exists(ASIDE)
    if not check_mode:
        if reorder:
            whole_file.write(PASSWD, wanted, durable=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(ASIDE)
    return changed


# --- A server that k3s refuses to start on
# --------------------------------------------------------------------------------


def refused_files(run: Run = run_on_host) -> list[str]:
    """The files that the last start of k3s called newer than their copy in etcd; empty where it runs, or ended for
    another reason."""
    shown = run(["systemctl", "show", f"{paths.SERVER_UNIT}.service", "--property=ActiveState,LoadState"], 30).output
    state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if state.get("LoadState") != "loaded" or state.get("ActiveState") == "active":
        return []
    said = run(
        [
            "journalctl",
            "--boot",
            "-u",
            f"{paths.SERVER_UNIT}.service",
            "-n",
            JOURNAL_LINES,
            "-o",
            "cat",
            "--no-pager",
            "--quiet",
        ],
        60,
    ).output
    fatal = FATAL.findall(said)
    found = REFUSED.search(fatal[-1]) if fatal else None
    return found[1].split(", ") if found else []


def release(*, check_mode: bool = False, run: Run = run_on_host) -> dict[str, t.Any]:
    """Make a server ready to start that refuses to because of these files: it is stopped, and the file with the tokens
    put aside, which k3s then makes anew.

    A newer file of another kind stays: it may be the only one with a key that secrets are encrypted with. What helps
    there is to compare with this server's own copy of etcd, which k3s_service does with `alone`.
    """
    files = refused_files(run)
    if files and not check_mode:
        run(["systemctl", "stop", f"{paths.SERVER_UNIT}.service"], STOP_SECONDS)
        if PASSWD in files:
            with contextlib.suppress(FileNotFoundError):
                os.replace(PASSWD, ASIDE)
    return {"changed": bool(files), "refused": files}


# --- The server's own interface
# --------------------------------------------------------------------------------

T = t.TypeVar("T")


def with_passwords(ask: t.Callable[[str], T]) -> T:
    """Ask with the server token that k3s has on disk, and where that is not the one it was started with, with that of
    its settings.

    A server lets in with the token of its start: it reads the file once (k3s v1.36.3: pkg/authenticator), also after it
    was told another one.

    Raises:
        PlatformError: it takes neither, or cannot be asked.
    """
    secrets = list(dict.fromkeys(filter(None, (password(read_token(path)) for path in (SERVER_TOKEN, paths.TOKEN)))))
    if not secrets:
        raise PlatformError(f"There is no token in {SERVER_TOKEN}.", next_step="Run it on a server that is ready.")
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
        context = ssl.create_default_context(cafile=SERVER_CA)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(asked, timeout=seconds) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace").strip()[:300]
        kind = NotAuthorized if error.code in (401, 403) else PlatformError
        raise kind(
            f"The server refused: {error.code} {said}", next_step="See `journalctl -u k3s -n 50` on that host."
        ) from error
    except OSError as error:
        raise PlatformError(
            f"The server does not answer on port {port}: {error}.",
            next_step="See `systemctl status k3s` on that host, and run it again.",
        ) from error


def read_token(path: str) -> str:
    """Empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
