# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new key for the secrets that k3s encrypts in etcd.

The name of a key holds the time at which it was made (k3s docs, cli/secrets-encrypt.md), so a run after one that was
cut off makes no second one.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import time
import typing as t

from ...errors import PlatformError
from ...host.commands import TIMED_OUT
from ...host.digests import sha256
from ...host.waiting import wait_for
from .. import paths
from .k3s_command import Run, last_line, run_on_host, tail
from .snapshot import DIRECTORY

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


def rotate(
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
