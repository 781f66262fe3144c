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
import datetime
import json
import os
import re

from ...errors import PlatformError
from ...host import whole_file
from ...host.waiting import wait_for
from .. import paths
from . import passwd_file
from .server_api import BOOTSTRAP, TOKEN, Reader, Request, with_passwords
from .token_files import password, read_token

TIME_SKEW = 3
"""Seconds by which a file must be newer than its copy to count as that (k3s v1.36.3: pkg/cluster/bootstrap.go,
systemTimeSkew)."""


def unsaved(read: Reader) -> bool | None:
    """Whether k3s would refuse its next start because of the file; None where this server cannot tell.

    A server gives its copy in etcd since v1.32.3 (k3s-io/k3s #11844). An older one, and one that cannot read etcd,
    gives the file itself, which tells nothing.
    """
    if os.path.exists(passwd_file.ASIDE):
        return True
    text = passwd_file.read()
    if not text:
        return False  # k3s makes the file anew from its copy
    try:
        stored = json.loads(with_passwords(lambda secret: read(BOOTSTRAP, secret))).get("PasswdFile")
        copy = base64.b64decode(stored["Content"]).decode()
        changed = int(os.path.getmtime(passwd_file.PASSWD)) - seconds_of(stored["Timestamp"])
    except (PlatformError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if copy == text:
        return False
    # Within the skew k3s would take the copy, and write the tokens of its settings into the file once more.
    return changed >= (TIME_SKEW if passwd_file.users_of(copy) == passwd_file.users_of(text) else 0)


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
    current = password(read_token(paths.SERVER_TOKEN))
    before = passwd_file.read()
    times = (os.path.getatime(passwd_file.PASSWD), os.path.getmtime(passwd_file.PASSWD)) if before else None
    passwd_file.write(server=current, agent=agent)
    os.utime(passwd_file.PASSWD)
    try:
        with_passwords(lambda secret: request(TOKEN, json.dumps({"newToken": server}).encode(), secret))
    except PlatformError:
        # Or k3s would refuse its next start. Should it have stored them nevertheless, this is the older file, which it
        # replaces by the copy.
        if times:
            whole_file.write(passwd_file.PASSWD, before, durable=True)
            os.utime(passwd_file.PASSWD, times)
        raise
    # The server writes it before it has stored it (pkg/server/handlers/token.go), and answers afterwards.
    if not wait_for(lambda: password(read_token(paths.SERVER_TOKEN)) == server, seconds=30):
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
    text = passwd_file.read()
    wanted = passwd_file.wanted_text(
        server=password(read_token(paths.SERVER_TOKEN)), agent=password(read_token(paths.AGENT_TOKEN))
    )
    reorder = bool(text) and text != wanted and passwd_file.users_of(text) == passwd_file.users_of(wanted)
    changed = reorder or os.path.exists(passwd_file.ASIDE)
    if not check_mode:
        if reorder:
            whole_file.write(passwd_file.PASSWD, wanted, durable=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(passwd_file.ASIDE)
    return changed
