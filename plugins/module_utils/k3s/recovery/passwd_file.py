# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file server/cred/passwd of k3s on a server: the passwords that it lets in with."""

from __future__ import annotations

import csv
import io
import typing as t

from ...host import whole_file
from .. import paths

PASSWD = f"{paths.SERVER_DIRECTORY}/cred/passwd"
ASIDE = f"{PASSWD}.before-repair"
"""Where `refused_start.release` puts the file that k3s refused to start with. While it is there, etcd does not have the
tokens of the servers."""


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


def read() -> str:
    """Empty where there is none."""
    try:
        with open(PASSWD, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def wanted_text(*, server: str, agent: str) -> str:
    """What the file must hold for these passwords; `agent` is empty where agents use the server token. Other users
    stay."""
    users = users_of(read())
    users["server"] = (server, "k3s:server")
    users["node"] = (agent or server, "k3s:agent")
    return text_of(users)


def write(*, server: str, agent: str) -> bool:
    """Give the file these passwords; gives whether it was another one."""
    text = wanted_text(server=server, agent=agent)
    if text == read():
        return False
    whole_file.write(PASSWD, text, durable=True)
    return True
