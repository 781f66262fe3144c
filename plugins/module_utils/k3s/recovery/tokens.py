# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's part in giving a running cluster new tokens.

New tokens lie beside those in use, as `*.next`, until every node runs with them, so a run after one that was cut off
continues.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
import typing as t

from ...errors import PlatformError
from .. import paths
from ..host import inputs
from . import refused_start, server_api, stored_tokens
from .server_api import Request
from .token_files import in_form_of, password, read_token, write_token

NEXT = ".next"
TOLD = ".told"
"""Beside the staged server token, on the server that told the cluster: a digest of the tokens that etcd has by now."""
TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=-]+")
SHORTEST_TOKEN = 16
TOKEN_BYTES = 32
NEVER = 1_000_000
"""Hours, for what was never made."""
STEPS = ("look", "begin", "stage", "rotate", "activate", "finish", "release", "check", "save", "settle")


def run_step(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """One of STEPS, with the options of the module `k3s_rotation`; the module's result."""
    step, unit, port = parameters["step"], parameters["unit"], parameters["port"]
    new = {"server": parameters["server_token"] or "", "agent": parameters["agent_token"] or ""}
    hidden.update(token for token in new.values() if token)
    if step == "look":
        return {"changed": False, **look(time.time())}
    if step == "begin":
        changed, needed = begin(new, minimum_age=parameters["minimum_age"], now=time.time(), check_mode=check_mode)
        return {"changed": changed, "needed": needed}
    if step == "release":
        return refused_start.release(check_mode=check_mode)
    if step == "check":
        return {"changed": False, "unsaved": stored_tokens.unsaved(server_api.reader(port)) is True}
    if step == "stage":
        return {"changed": stage(new, check_mode=check_mode)}
    if step == "rotate":
        # In check mode nothing was staged before.
        foretold = check_mode and not os.path.exists(paths.TOKEN + NEXT)
        return {"changed": foretold or tell(server_api.writer(port), check_mode=check_mode)}
    if step == "activate":
        return {"changed": activate(unit, check_mode=check_mode)}
    if step == "save":
        if not check_mode:
            server, agent = password(read_token(paths.SERVER_TOKEN)), password(read_token(paths.AGENT_TOKEN))
            stored_tokens.save(server_api.writer(port), server=server, agent=agent)
        return {"changed": True}
    if step == "settle":
        return {"changed": stored_tokens.settle(check_mode=check_mode)}
    return {"changed": finish(check_mode=check_mode)}


def token_files() -> dict[str, str]:
    """Where the tokens in use lie on this host."""
    return {"server": paths.TOKEN, "agent": paths.AGENT_TOKEN}


def look(now: float) -> dict[str, t.Any]:
    """Whether new tokens lie beside those in use, whether the cluster has them already, and how many hours old the one
    in use is."""
    staged = [path for path in token_files().values() if os.path.exists(path + NEXT)]
    new = read_token(paths.TOKEN + NEXT)
    told = bool(staged) and read_token(paths.TOKEN + TOLD) == digest_of_staged()
    try:
        age = (now - os.path.getmtime(paths.TOKEN)) / 3600
    except FileNotFoundError:
        age = float(NEVER)
    rotated = told or (bool(new) and password(read_token(paths.SERVER_TOKEN)) == new)
    return {"staged": bool(staged), "server_staged": bool(new), "rotated": rotated, "age": round(age, 3)}


def digest_of_staged() -> str:
    """SHA-256 of the tokens that lie beside those in use."""
    return hashlib.sha256("\n".join(read_token(path + NEXT) for path in token_files().values()).encode()).hexdigest()


def begin(given: t.Mapping[str, str], *, minimum_age: float, now: float, check_mode: bool = False) -> tuple[bool, bool]:
    """Choose the new tokens, on the one server where the rotation begins; gives whether something changed, and whether
    there is something to do at all.

    What an earlier run has chosen stays. A given token that is in use already is not rotated; where none is given, it
    is generated.

    Args:
        given: `server` and `agent`, passwords only, empty where they are to be generated.
        minimum_age: hours that the token in use must be old.

    Raises:
        PlatformError: a given token cannot be used.
    """
    looked = look(now)
    if looked["staged"]:
        return False, True
    if looked["age"] < minimum_age:
        return False, False
    wanted = {
        kind: token for kind, token in given.items() if not token or password(read_token(token_files()[kind])) != token
    }
    chosen = {kind: token or secrets.token_hex(TOKEN_BYTES) for kind, token in wanted.items()}
    # The server's goes last, since its presence means that all are there.
    changed = stage({kind: chosen[kind] for kind in ("agent", "server") if kind in chosen}, check_mode=check_mode)
    return changed, bool(chosen)


def stage(new: t.Mapping[str, str], *, check_mode: bool = False) -> bool:
    """Write new tokens beside the old ones; gives whether they were not there yet.

    Args:
        new: `server` and `agent`, passwords only; empty ones are left out.

    Raises:
        PlatformError: a token is too short, or k3s could not read it.
    """
    changed = False
    for kind, token in new.items():
        if not token:
            continue
        # Colons and a leading K10 are of the token's secure form (k3s, pkg/clientaccess/token.go), and spaces get lost.
        if len(token) < SHORTEST_TOKEN or token.startswith("K10") or TOKEN_CHARACTERS.fullmatch(token) is None:
            raise PlatformError(
                f"The new {kind} token cannot be used: it must have {SHORTEST_TOKEN} characters or more, only "
                "letters, digits and"
                " . _ ~ + / = -, and not begin with K10.",
                next_step=f"Set k3s_{'token' if kind == 'server' else 'agent_token'} to such a value, or leave it "
                "empty to have one generated.",
            )
        if read_token(token_files()[kind] + NEXT) != token:
            changed = True
            if not check_mode:
                write_token(token_files()[kind] + NEXT, token)
    return changed


def tell(request: Request, *, check_mode: bool = False) -> bool:
    """Tell the cluster the staged tokens; gives whether it had others before. k3s stores them in etcd, encrypted with
    the server token.

    Through the server's own interface, as `k3s token rotate` does it (k3s, pkg/cli/token/token.go), since that command
    takes tokens as arguments only. An agents' token that is new alone goes the same way, with the server token that is
    in use: nothing else makes k3s store it (see stored_tokens.py).

    Raises:
        PlatformError: the server refused.
    """
    server, agent = read_token(paths.TOKEN + NEXT), read_token(paths.AGENT_TOKEN + NEXT)
    if not server and not agent:
        return False
    current = password(read_token(paths.SERVER_TOKEN))
    if not current:
        raise PlatformError(
            f"There is no token in {paths.SERVER_TOKEN}.", next_step="Run it on a server that is ready."
        )
    digest = digest_of_staged()
    if read_token(paths.TOKEN + TOLD) == digest:
        return False
    if not check_mode:
        stored_tokens.save(request, server=server or current, agent=agent or password(read_token(paths.AGENT_TOKEN)))
        write_token(paths.TOKEN + TOLD, digest)
    return True


def activate(unit: str, *, check_mode: bool = False) -> bool:
    """Let this host use the staged tokens from its next start on; gives whether it used others. The unit counts as
    stale afterwards."""
    files = (paths.TOKEN, paths.AGENT_TOKEN) if unit == paths.SERVER_UNIT else (paths.AGENT_TOKEN,)
    changed = False
    for path in files:
        new = read_token(path + NEXT)
        if new and password(read_token(path)) != new:
            changed = True
            if not check_mode:
                # First, so that a run that is cut off in between still restarts.
                inputs.forget(unit)
                write_token(path, in_form_of(read_token(path), new))
    return changed


def finish(*, check_mode: bool = False) -> bool:
    """Remove the staged tokens, once all nodes run with them."""
    left = [
        path
        for path in (paths.TOKEN + TOLD, *(path + NEXT for path in token_files().values()))
        if os.path.lexists(path)
    ]
    if not check_mode:
        for path in left:
            os.unlink(path)
    return bool(left)
