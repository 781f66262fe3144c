# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that k3s refuses to start on, since a file of it is newer than its copy in etcd (see stored_tokens.py)."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from .. import paths
from . import passwd_file
from .k3s_command import Run, run_on_host

JOURNAL_LINES = "200"
STOP_SECONDS = 90.0
FATAL = re.compile(r'level=fatal msg="([^\n]*)')
REFUSED = re.compile(r"(/\S+(?:, /\S+)*) newer than datastore and could cause a cluster outage")


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
        if passwd_file.PASSWD in files:
            with contextlib.suppress(FileNotFoundError):
                os.replace(passwd_file.PASSWD, passwd_file.ASIDE)
    return {"changed": bool(files), "refused": files}
