# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New secrets for a running cluster, one host's part each: leaf certificates, tokens, the key that encrypts secrets in
etcd.

What is done is read from the host each time, so that a run that was cut off is continued by the next one:

- certificates are new where their files are;
- new tokens lie beside the old ones as `*.next` until every node runs with them;
- the name of an encryption key holds the time it was made at (k3s docs, cli/secrets-encrypt.md).
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import hashlib
import json
import os
import re
import secrets
import time
import typing as t

from ...errors import PlatformError
from ...host import whole_file
from ...host.commands import TIMED_OUT
from ...host.waiting import wait_for
from .. import paths
from ..host import certificates, inputs
from ..host.journal import host_secrets
from ..host.service import Options, Service
from . import stored_tokens
from .snapshot import DIRECTORY, SERVER_TOKEN, Run, last_line, moment, password, run_on_host, sha256, tail
from .stored_tokens import Request, read_token

NEXT = ".next"
TOLD = ".told"
"""Beside the staged server token, on the server that told the cluster: a digest of the tokens that etcd has by now."""
TOKEN_FILES = {"server": paths.TOKEN, "agent": paths.AGENT_TOKEN}
TOKEN_CHARACTERS = re.compile(r"[A-Za-z0-9._~+/=-]+")
SHORTEST_TOKEN = 16
TOKEN_BYTES = 32
NEVER = 1_000_000
"""Hours, for what was never made."""
AUTHORITY_SUFFIXES = ("-ca.crt", "-ca.nochain.crt")


# --- Certificates
# --------------------------------------------------------------------------------


def leaves(unit: str) -> list[str]:
    """Files of the certificates that k3s makes anew where they are missing. Those of the authorities are not among
    them."""
    directory = f"{paths.SERVER_DIRECTORY}/tls" if unit == paths.SERVER_UNIT else paths.AGENT_DIRECTORY
    found = [*glob.glob(f"{directory}/*.crt"), *glob.glob(f"{directory}/etcd/*.crt")]
    return sorted(path for path in found if not path.endswith(AUTHORITY_SUFFIXES))


def ages(unit: str) -> tuple[float, float]:
    """When the oldest leaf certificate was made, and when the first one ends, in seconds since 1970; zeros where there
    are none.

    A certificate's own beginning does not tell: k3s sets it to that of its authority (rancher/dynamiclistener,
    cert.NewSignedCert).
    """
    made, ends = [], []
    for path in leaves(unit):
        with contextlib.suppress(OSError, certificates.NotACertificate), open(path, "rb") as file:
            ends.append(certificates.end_of_first(file.read()))
            made.append(os.path.getmtime(path))
    return (min(made), min(ends)) if made else (0.0, 0.0)


def rotate_certificates(
    unit: str,
    *,
    node_name: str,
    minimum_age: float,
    timeout: float,
    check_mode: bool = False,
    run: Run = run_on_host,
    service: t.Callable[..., Service] | None = None,
) -> dict[str, t.Any]:
    """New keys and certificates for this host, unless they are younger than `minimum_age` seconds; the module's result.

    As k3s docs, cli/certificate.md want it: stop, `k3s certificate rotate`, start; a server only while all others are
    healthy.

    Raises:
        PlatformError: another server is not healthy, or k3s does not start.
    """
    make = service or Service
    begin = make(Options(unit=unit, state="started", node_name=node_name, timeout=timeout))
    made, ends = ages(unit)
    if time.time() - made < minimum_age:
        # An earlier run may have been cut off before the start.
        started = begin.manage(check_mode=check_mode)
        return {"changed": started["changed"], "rotated": False, "made": moment(made), "ends": moment(ends)}
    if check_mode:
        return {"changed": True, "rotated": True, "made": moment(made), "ends": moment(ends)}
    if begin.show()["ActiveState"] == "active" and unit == paths.SERVER_UNIT:
        begin.pass_gate()
    make(Options(unit=unit, state="stopped", node_name=node_name, timeout=timeout)).manage(check_mode=False)
    completed = run([paths.K3S_PROGRAM, "certificate", "rotate"], 120)
    begin.manage(check_mode=False)  # also where the rotation failed: the old certificates are as good as before
    if completed.exit_code != 0:
        raise PlatformError(
            f"k3s did not rotate the certificates of {node_name}: {last_line(completed)}",
            next_step="See the output of the task.",
            facts={"output": tail(completed)},
        )
    made, ends = ages(unit)
    return {"changed": True, "rotated": True, "made": moment(made), "ends": moment(ends)}


def certificates_module(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_certificates does; its documentation says what the parameters and the result mean."""
    hidden.update(host_secrets())
    return rotate_certificates(
        params["unit"],
        node_name=params["node_name"],
        minimum_age=params["minimum_age"] * 3600,
        timeout=params["timeout"],
        check_mode=check_mode,
    )


# --- Tokens
# --------------------------------------------------------------------------------


def look_at_tokens(now: float) -> dict[str, t.Any]:
    """Whether new tokens lie beside those in use, whether the cluster has them already, and how many hours old the one
    in use is."""
    staged = [path for path in TOKEN_FILES.values() if os.path.exists(path + NEXT)]
    new = read_token(paths.TOKEN + NEXT)
    told = bool(staged) and read_token(paths.TOKEN + TOLD) == digest_of_staged()
    try:
        age = (now - os.path.getmtime(paths.TOKEN)) / 3600
    except FileNotFoundError:
        age = float(NEVER)
    rotated = told or (bool(new) and password(read_token(SERVER_TOKEN)) == new)
    return {"staged": bool(staged), "server_staged": bool(new), "rotated": rotated, "age": round(age, 3)}


def digest_of_staged() -> str:
    """SHA-256 of the tokens that lie beside those in use."""
    return hashlib.sha256("\n".join(read_token(path + NEXT) for path in TOKEN_FILES.values()).encode()).hexdigest()


def begin_tokens(
    given: t.Mapping[str, str], *, minimum_age: float, now: float, check_mode: bool = False
) -> tuple[bool, bool]:
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
    looked = look_at_tokens(now)
    if looked["staged"]:
        return False, True
    if looked["age"] < minimum_age:
        return False, False
    wanted = {
        kind: token for kind, token in given.items() if not token or password(read_token(TOKEN_FILES[kind])) != token
    }
    chosen = {kind: token or secrets.token_hex(TOKEN_BYTES) for kind, token in wanted.items()}
    # The server's goes last, since its presence means that all are there.
    changed = stage_tokens(
        {kind: chosen[kind] for kind in ("agent", "server") if kind in chosen}, check_mode=check_mode
    )
    return changed, bool(chosen)


def stage_tokens(new: t.Mapping[str, str], *, check_mode: bool = False) -> bool:
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
        if read_token(TOKEN_FILES[kind] + NEXT) != token:
            changed = True
            if not check_mode:
                write_token(TOKEN_FILES[kind] + NEXT, token)
    return changed


def tell_tokens(request: Request, *, check_mode: bool = False) -> bool:
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
    current = password(read_token(SERVER_TOKEN))
    if not current:
        raise PlatformError(f"There is no token in {SERVER_TOKEN}.", next_step="Run it on a server that is ready.")
    digest = digest_of_staged()
    if read_token(paths.TOKEN + TOLD) == digest:
        return False
    if not check_mode:
        stored_tokens.save(request, server=server or current, agent=agent or password(read_token(paths.AGENT_TOKEN)))
        write_token(paths.TOKEN + TOLD, digest)
    return True


def activate_tokens(unit: str, *, check_mode: bool = False) -> bool:
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
                request_restart(unit)
                write_token(path, in_form_of(read_token(path), new))
    return changed


def in_form_of(old: str, new: str) -> str:
    """A new password in the form of an old token: the secure form pins the cluster's authority, which stays the
    same."""
    match = re.match(r"(K10[0-9a-f]{64}::[^:]+:)", old)
    return f"{match[1]}{new}" if match else new


def finish_tokens(*, check_mode: bool = False) -> bool:
    """Remove the staged tokens, once all nodes run with them."""
    left = [
        path for path in (paths.TOKEN + TOLD, *(path + NEXT for path in TOKEN_FILES.values())) if os.path.lexists(path)
    ]
    if not check_mode:
        for path in left:
            os.unlink(path)
    return bool(left)


def request_restart(unit: str) -> None:
    """Without the record of what it was started with, a unit counts as stale, also for a later run."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(inputs.record_path(unit))


def write_token(path: str, token: str) -> None:
    whole_file.write(path, f"{token}\n", durable=True)


def tokens_module(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_token does; its documentation says what the parameters and the result mean."""
    hidden.update(host_secrets())
    step, unit = params["step"], params["unit"]
    new = {"server": params["server_token"] or "", "agent": params["agent_token"] or ""}
    hidden.update(token for token in new.values() if token)
    if step == "look":
        return {"changed": False, **look_at_tokens(time.time())}
    if step == "begin":
        changed, needed = begin_tokens(new, minimum_age=params["minimum_age"], now=time.time(), check_mode=check_mode)
        return {"changed": changed, "needed": needed}
    if step == "stage":
        changed = stage_tokens(new, check_mode=check_mode)
    elif step == "rotate":
        # In check mode nothing was staged before.
        foretold = check_mode and not os.path.exists(paths.TOKEN + NEXT)
        changed = foretold or tell_tokens(stored_tokens.writer(params["port"]), check_mode=check_mode)
    elif step == "activate":
        changed = activate_tokens(unit, check_mode=check_mode)
    elif step == "release":
        return stored_tokens.release(check_mode=check_mode)
    elif step == "check":
        return {"changed": False, "unsaved": stored_tokens.unsaved(stored_tokens.reader(params["port"])) is True}
    elif step == "save":
        changed = True
        if not check_mode:
            current = password(read_token(SERVER_TOKEN))
            stored_tokens.save(
                stored_tokens.writer(params["port"]), server=current, agent=password(read_token(paths.AGENT_TOKEN))
            )
    elif step == "settle":
        changed = stored_tokens.settle(check_mode=check_mode)
    else:
        changed = finish_tokens(check_mode=check_mode)
    return {"changed": changed}


# --- Key that encrypts secrets
# --------------------------------------------------------------------------------

FINISHED = "reencrypt_finished"
AT_REST = ("start", FINISHED)
WORKING = ("reencrypt_request", "reencrypt_active")
KEY_TIME = re.compile(r"-(\d{4})-?(\d\d)-?(\d\d)T?(\d\d):?(\d\d):?(\d\d)(Z|[+-]\d\d:?\d\d)?")
"""As AppendNewEncryptionKey of k3s writes it, with or without its punctuation; UTC where it names no zone."""


def encryption_status(run: Run = run_on_host) -> dict[str, t.Any]:
    """`{enable, stage, activekey, hashmatch, hasherror}` as k3s says it (k3s, pkg/server/handlers/secrets-encrypt.go).

    Raises:
        PlatformError: k3s does not say it.
    """
    completed = run([paths.K3S_PROGRAM, "secrets-encrypt", "status", "--output=json"], 30)
    if completed.exit_code == 0:
        with contextlib.suppress(ValueError):
            read = json.loads(completed.output[completed.output.index("{") :])
            texts = {key: str(read.get(key) or "") for key in ("stage", "activekey", "hasherror")}
            return {"enable": bool(read.get("enable")), "hashmatch": bool(read.get("hashmatch")), **texts}
        if "Encryption Status:" in completed.output:
            return status_from_text(completed.output)
    raise PlatformError(
        f"k3s does not say how secrets are encrypted: {last_line(completed)}",
        next_step="See `k3s secrets-encrypt status` and `journalctl -u k3s -n 50` on that host.",
        facts={"output": tail(completed)},
    )


def status_from_text(output: str) -> dict[str, t.Any]:
    """The same from what is meant for people, the only form of older releases (k3s docs, cli/secrets-encrypt.md)."""

    def found(pattern: str) -> str:
        match = re.search(pattern, output, re.MULTILINE)
        return match[1].strip() if match else ""

    hashes = found(r"^Server Encryption Hashes: (.+)$")
    return {
        "enable": found(r"^Encryption Status: (\w+)") == "Enabled",
        "stage": found(r"^Current Rotation Stage: (\S+)"),
        "activekey": re.sub(r"\s{2,}", " ", found(r"^ \*\s+(\S.*)$")),
        "hashmatch": "All hashes match" in hashes,
        "hasherror": "" if "All hashes match" in hashes else hashes,
    }


def key_age(name: str, now: float) -> float:
    """Seconds since the key of this name was made; endless where its name does not say, as for the first one."""
    found = KEY_TIME.search(name)
    if found is None:
        return float("inf")
    zone = (found[7] or "Z").replace("Z", "+0000").replace(":", "")
    made = datetime.datetime.strptime("".join(found.groups()[:6]) + zone, "%Y%m%d%H%M%S%z")
    return now - made.timestamp()


def check_snapshot(name: str, *, directory: str = "", run: Run = run_on_host) -> None:
    """The snapshot that a rotation falls back on: there, not empty, readable to its end, and known to k3s.

    Raises:
        PlatformError: it is not.
    """
    path = os.path.join(directory or DIRECTORY, name)
    try:
        size = os.path.getsize(path)
        sha256(path)
    except OSError as error:
        size = 0
        problem = f"it cannot be read ({error.strerror})"
    else:
        problem = "" if size else "it is empty"
    if not problem:
        listed = run(
            [paths.K3S_PROGRAM, "etcd-snapshot", "ls", *([f"--etcd-snapshot-dir={directory}"] if directory else [])],
            120,
        )
        if listed.exit_code != 0 or name not in listed.output:
            problem = f"k3s does not list it: {last_line(listed)}"
    if problem:
        raise PlatformError(
            f"The snapshot {path} is no way back from a rotation of the encryption key: {problem}",
            next_step="Mend what keeps k3s from taking snapshots (see `k3s etcd-snapshot ls` there), then run it "
            "again. Nothing was rotated.",
        )


def rotate_encryption_key(
    *,
    minimum_age: float,
    timeout: float,
    snapshot: str = "",
    snapshot_directory: str = "",
    check_mode: bool = False,
    run: Run = run_on_host,
    now: t.Callable[[], float] = time.time,
) -> dict[str, t.Any]:
    """Let k3s make a new key and encrypt all secrets with it, unless the key is younger than `minimum_age` seconds; the
    module's result.

    The servers must be restarted one by one afterwards; `restart_needed` tells whether some still have to.

    Args:
        snapshot: name of the snapshot that was taken before. Older k3s stores the new key in etcd at the very end: a
            server that ends before has the only copy of it (k3s-io/k3s #13763).
        snapshot_directory: where it lies; k3s's own directory where empty.

    Raises:
        PlatformError: encryption is off, somebody else is rotating by hand, there is no snapshot, or it does not come
            to its end.
    """
    status = encryption_status(run)
    if not status["enable"]:
        raise PlatformError(
            "Secrets are not encrypted in this cluster, so there is no key to rotate.",
            next_step="k3s_hardening: true encrypts them in a new cluster; an existing one needs k3s v1.35 or newer "
            "for that (k3s #13403).",
        )
    if status["stage"] not in (*AT_REST, *WORKING):
        raise PlatformError(
            f"Somebody is rotating the key step by step: the stage is {status['stage']}.",
            next_step="Finish it with `k3s secrets-encrypt rotate`, `k3s secrets-encrypt reencrypt` and restarts "
            "between (k3s docs, secrets-encrypt.md).",
        )
    rotated = False
    if status["stage"] in AT_REST and key_age(status["activekey"], now()) >= minimum_age:
        if not status["hashmatch"]:
            # An earlier rotation is not finished: k3s refuses a new one until all servers were restarted.
            return {
                "changed": False,
                "rotated": False,
                "restart_needed": True,
                "unfinished": True,
                "found": state_of(status),
                "key": status["activekey"],
                "stage": status["stage"],
            }
        rotated = True
        if not check_mode:
            check_snapshot(snapshot, directory=snapshot_directory, run=run)
            completed = run([paths.K3S_PROGRAM, "secrets-encrypt", "rotate-keys"], timeout)
            # The command waits for the whole work and gives up after 70 s, while the server goes on (k3s,
            # pkg/cli/secretsencrypt).
            if completed.exit_code not in (0, TIMED_OUT) and not went_on(run):
                raise PlatformError(
                    f"k3s did not rotate the key: {last_line(completed)}",
                    next_step="See `k3s secrets-encrypt status` and `journalctl -u k3s -n 50` on that host.",
                    facts={"output": tail(completed)},
                )
    found = "" if rotated else state_of(status)
    if not check_mode and (rotated or status["stage"] in WORKING):
        status = wait_for_reencryption(timeout, run)
    return {
        "changed": rotated,
        "rotated": rotated,
        "restart_needed": rotated or not status["hashmatch"],
        "unfinished": False,
        "found": found,
        "key": status["activekey"],
        "stage": status["stage"],
    }


def state_of(status: t.Mapping[str, t.Any]) -> str:
    """What an earlier rotation has left, as a sentence; empty where it left nothing."""
    if status["stage"] in WORKING:
        return (
            f"An earlier rotation is at work (stage {status['stage']}): k3s still encrypts secrets with the key "
            f"{status['activekey']}."
        )
    if not status["hashmatch"]:
        why = f": {status['hasherror']}" if status["hasherror"] else ""
        return f"An earlier rotation has made the key {status['activekey']}, and not all servers run with it{why}."
    return ""


def went_on(run: Run) -> bool:
    with contextlib.suppress(PlatformError):
        return encryption_status(run)["stage"] in WORKING
    return False


def wait_for_reencryption(timeout: float, run: Run) -> dict[str, t.Any]:
    found: list[dict[str, t.Any]] = []

    def done() -> bool:
        with contextlib.suppress(PlatformError):  # a moment without an answer is no reason to give up
            found.append(encryption_status(run))
            return bool(found[-1]["stage"] == FINISHED)
        return False

    if not wait_for(done, seconds=timeout, interval=1):
        raise PlatformError(
            f"After {timeout:g} s the secrets are not all encrypted with the new "
            f"key{' (stage ' + found[-1]['stage'] + ')' if found else ''}.",
            next_step="k3s does some 5 a second: run it again to wait longer, or with -e encryption_timeout=SECONDS.",
        )
    return found[-1]


def encryption_module(params: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module k3s_encryption_key does; its documentation says what the parameters and the result mean."""
    hidden.update(host_secrets())
    return rotate_encryption_key(
        minimum_age=params["minimum_age"] * 3600,
        timeout=params["timeout"],
        snapshot=params["snapshot"] or "",
        snapshot_directory=params["snapshot_directory"] or "",
        check_mode=check_mode,
    )
