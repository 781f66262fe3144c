# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of etcd on a server: take one, keep the newest, say all that a restore needs to know of it.

k3s names a file `NAME-NODE-SECONDS` (k3s, pkg/etcd/snapshot.go) and adds `.zip` where it compresses. It prints the name
in a form that changed between releases, so the directory is compared before and after instead.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import pwd
import re
import shutil
import tempfile
import typing as t

from ...errors import PlatformError
from ...host.commands import TIMED_OUT, Completed
from ...host.digests import BLOCK_BYTES, sha256
from .. import paths
from .k3s_command import Run, last_line, run_on_host, tail

DIRECTORY = f"{paths.SERVER_DIRECTORY}/db/snapshots"
STAGING = "/var/tmp"  # noqa: S108 (a directory with an unguessable name is made in it)
STAGED_PREFIX = "wasmfaas-snapshot-"
SPARE_BYTES = 64 * 1024 * 1024
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
SAVED = re.compile(r"-(?P<seconds>\d{9,})(?:\.zip)?$")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """One file in the directory of snapshots."""

    path: str
    name: str
    size: int
    created: float
    """Seconds since 1970, of the name."""
    modified: int
    """Nanoseconds since 1970, of the file."""


def snapshots(directory: str = DIRECTORY, *, name: str = "") -> list[Snapshot]:
    """Snapshots in a directory, newest first; with `name`, only those that were taken under it. A missing directory has
    none."""
    found = []
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return []
    for entry in entries:
        if not entry.is_file() or (name and not entry.name.startswith(f"{name}-")):
            continue
        stamp = SAVED.search(entry.name)
        if stamp is None:
            continue  # what k3s downloads or decompresses lies there too
        status = entry.stat()
        found.append(Snapshot(entry.path, entry.name, status.st_size, float(stamp["seconds"]), status.st_mtime_ns))
    return sorted(found, key=lambda snapshot: (snapshot.created, snapshot.name), reverse=True)


def save(
    name: str, *, directory: str = "", seconds: float, run: Run = run_on_host, program: str = paths.K3S_BINARY
) -> Snapshot:
    """Take a snapshot under `name`, to S3 too where the server's config.yaml says so.

    Args:
        directory: where to; the server's own setting where empty, which `snapshots` must then be told as well.
        seconds: how long it may take.

    Raises:
        PlatformError: k3s did not save it.
    """
    kept_in = directory or DIRECTORY
    before = {snapshot.name: snapshot for snapshot in snapshots(kept_in, name=name)}
    arguments = [
        program,
        "etcd-snapshot",
        "save",
        f"--name={name}",
        *([f"--etcd-snapshot-dir={directory}"] if directory else []),
    ]
    completed = run(arguments, seconds)
    if completed.exit_code != 0:
        raise PlatformError(
            f"k3s did not save a snapshot of etcd: {last_line(completed)}",
            next_step=what_to_do(completed),
            facts={"output": tail(completed), "exit_code": completed.exit_code},
        )
    # Two within one second have one name: then the file is another, with the same name.
    new = [snapshot for snapshot in snapshots(kept_in, name=name) if before.get(snapshot.name) != snapshot]
    if not new:
        raise PlatformError(
            f"k3s said that it saved a snapshot, but there is no new file {name}-* in {kept_in}.",
            next_step="Where config.yaml has etcd-snapshot-dir, give the same directory as snapshot_directory.",
            facts={"output": tail(completed)},
        )
    return new[0]


def prune(
    name: str,
    keep: int,
    *,
    directory: str = "",
    seconds: float,
    run: Run = run_on_host,
    program: str = paths.K3S_BINARY,
) -> list[str]:
    """Remove all but the newest `keep` of this node's snapshots under `name`, on disk and, where config.yaml says so,
    in S3.

    Gives the names of the removed files.

    Raises:
        PlatformError: k3s did not remove them.
    """
    before = [snapshot.name for snapshot in snapshots(directory or DIRECTORY, name=name)]
    if len(before) <= keep:
        return []
    # `--snapshot-retention` is the name in the docs, but some releases know only the alias (k3s,
    # pkg/cli/cmds/etcd_snapshot.go has a stray comma in it).
    arguments = [program, "etcd-snapshot", "prune", f"--name={name}", f"--etcd-snapshot-retention={keep}"]
    completed = run([*arguments, *([f"--etcd-snapshot-dir={directory}"] if directory else [])], seconds)
    if completed.exit_code != 0:
        raise PlatformError(
            f"k3s did not remove old snapshots: {last_line(completed)}",
            next_step=what_to_do(completed),
            facts={"output": tail(completed), "exit_code": completed.exit_code},
        )
    left = {snapshot.name for snapshot in snapshots(directory or DIRECTORY, name=name)}
    return [snapshot for snapshot in before if snapshot not in left]


def authority_digest(path: str = paths.SERVER_CA) -> str:
    """SHA-256 of the cluster's certificate authority, as in a token's secure form; empty where there is none yet."""
    try:
        return sha256(path)
    except OSError:
        return ""


def what_to_do(completed: Completed) -> str:
    """The next step for a failed `k3s etcd-snapshot`."""
    said = f"{completed.output}{completed.error}".lower()
    if completed.exit_code == TIMED_OUT:
        return (
            "Look at the disk and the size of /var/lib/rancher/k3s/server/db on that host, or give it longer with "
            "-e snapshot_timeout=SECONDS."
        )
    if "no space left" in said:
        return (
            "Free space below /var/lib/rancher on that host: `k3s etcd-snapshot ls` and `k3s etcd-snapshot delete "
            "NAME`."
        )
    if "s3" in said or "bucket" in said:
        return "Check the etcd-s3-* keys in k3s_server_config, and that the host reaches the bucket."
    if "connection refused" in said or "not ready" in said or "503" in said:
        return (
            "The server is not up: see `journalctl -u k3s -n 50` there, and run ansible-playbook "
            "wasmfaas.platform.site first."
        )
    return "See `journalctl -u k3s -n 50` on that host."


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The host's half of the module `k3s_backup`: takes a snapshot, and says where its action finds what it transfers.

    Returns:
        `snapshot`, `removed_snapshots`, `version` (of k3s), `authority` (see authority_digest), `staged` (the directory
        of `stage`, empty without one) and `files` (paths by what they are, named as in a backup).
    """
    name, keep, directory = parameters["name"], parameters["keep_on_server"], parameters["snapshot_directory"] or ""
    if NAME.fullmatch(name) is None:
        raise PlatformError(
            f"{name!r} cannot be the name of a snapshot.", next_step="Use lower-case letters, digits, dots and hyphens."
        )
    if keep < 0:
        raise PlatformError(
            f"keep_on_server is {keep}.", next_step="Give the number of snapshots to keep, or 0 to keep all."
        )
    if not os.path.isdir(paths.ETCD_DIRECTORY):
        raise PlatformError(
            f"There is no etcd on this host: {paths.ETCD_DIRECTORY} does not exist.",
            next_step="Take the snapshot on a server of a cluster with embedded etcd.",
        )
    facts: dict[str, t.Any] = {"version": version(), "authority": authority_digest()}
    if check_mode:
        return {"changed": True, "snapshot": {}, "staged": "", "files": {}, "removed_snapshots": [], **facts}
    remove_staged()
    saved = save(name, directory=directory, seconds=parameters["timeout"])
    digest = sha256(saved.path)
    # Only after the new one is there and readable.
    removed = prune(name, keep, directory=directory, seconds=parameters["timeout"]) if keep else []
    files = {
        "snapshot": saved.path,
        "server-token": paths.SERVER_TOKEN,
        "agent-token": f"{paths.SERVER_DIRECTORY}/agent-token",
    }
    files = {what: path for what, path in files.items() if os.path.exists(path)}
    staged = stage(files, parameters["stage_for"]) if parameters["stage_for"] else ""
    if staged:
        files = {what: f"{staged}/{what}" for what in files}
    described = {
        "path": saved.path,
        "name": saved.name,
        "size": saved.size,
        "sha256": digest,
        "created": moment(saved.created),
    }
    return {
        "changed": True,
        "snapshot": described,
        "staged": staged,
        "files": files,
        "removed_snapshots": removed,
        **facts,
    }


def stage(files: dict[str, str], user: str, *, parent: str = STAGING) -> str:
    """Copy files, under their keys' names, into a new directory that belongs to `user` alone; gives the directory.

    Raises:
        PlatformError: there is no such user, or no space.
    """
    try:
        owner = pwd.getpwnam(user)
    except KeyError as error:
        raise PlatformError(
            f"There is no user {user!r} on this host.", next_step="Set ansible_user to the user of the connection."
        ) from error
    needed = sum(os.path.getsize(path) for path in files.values())
    if shutil.disk_usage(parent).free < needed + SPARE_BYTES:
        raise PlatformError(
            f"{parent} has no {needed // 2**20 + 1} MiB free for the copy that is transferred.",
            next_step=f"Free space in {parent}, or connect as root.",
        )
    staged = tempfile.mkdtemp(prefix=STAGED_PREFIX, dir=parent)
    try:
        for name, path in files.items():
            target = f"{staged}/{name}"
            with (
                open(path, "rb") as source,
                open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy,
            ):
                shutil.copyfileobj(source, copy, BLOCK_BYTES)
            os.chown(target, owner.pw_uid, owner.pw_gid)
        os.chown(staged, owner.pw_uid, owner.pw_gid)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise PlatformError(
            f"The copy for the transfer could not be made in {staged}: {error.strerror}.",
            next_step="Look at the disk of that host.",
        ) from error
    return staged


def remove_staged(*, parent: str = STAGING) -> None:
    """Remove what a run that was cut off left."""
    for entry in os.scandir(parent):
        if entry.name.startswith(STAGED_PREFIX) and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)


def version(run: Run = run_on_host, program: str = paths.K3S_BINARY) -> str:
    """Version of the binary, such as `v1.36.4+k3s1`; empty where it says none."""
    found = re.search(r"\bv\d+\.\d+\.\d+\S*", run([program, "--version"], 30).output)
    return found[0] if found else ""


def moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
