# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on the controller: a directory each, with a snapshot of etcd, the tokens without which it cannot be restored,
and what both belong to.

A directory gets its name when it is complete, so a run that was cut off leaves none that looks like a backup. Runs on
the controller only.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import re
import shutil
import tempfile
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ...host.digests import sha256
from . import bare_snapshot

FORMAT = 1
METADATA = "metadata.json"
SNAPSHOT = "snapshot"
SERVER_TOKEN = "server-token"  # noqa: S105 (a file name)
AGENT_TOKEN = "agent-token"  # noqa: S105 (a file name)
PARTIAL = ".partial-"
PARTIAL_SECONDS = 24 * 3600
"""An unfinished directory older than this belongs to no run that goes on."""
COMPLETE = re.compile(r"\d{8}T\d{6}Z-.+")


@dataclasses.dataclass(frozen=True)
class Backup:
    """A complete backup.

    Attributes:
        version: of the k3s that took the snapshot.
        authority: SHA-256 of the cluster's certificate authority; two backups with the same are of one cluster.
        name: the snapshot's name on the server and in the bucket.
        nodes: names of the cluster's nodes at that time.
        s3: `{bucket, folder, endpoint, region}` where k3s uploaded it too, without credentials; else empty.
        fetched: whether the snapshot itself is here; else only what is needed to restore it from the bucket.
    """

    path: str
    version: str
    authority: str
    node: str
    name: str
    created: str
    size: int
    sha256: str
    nodes: list[str]
    s3: dict[str, str]
    fetched: bool

    @property
    def snapshot(self) -> str:
        return str(Path(self.path) / SNAPSHOT) if self.fetched else ""

    @property
    def server_token(self) -> str:
        return str(Path(self.path) / SERVER_TOKEN)

    def described(self) -> dict[str, t.Any]:
        return {**dataclasses.asdict(self), "snapshot": self.snapshot, "server_token": self.server_token}


def begin(directory: str, *, seconds: float) -> str:
    """Make a directory for a backup in `directory`, which is made with mode 0700; gives its temporary path.

    Args:
        seconds: now, since 1970.

    Raises:
        PlatformError: it cannot be made.
    """
    root = Path(directory)
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = root / ".gitignore"
        if not ignore.exists():  # backups hold all of the cluster's secrets, and inventories are often kept in git
            ignore.write_text("*\n", encoding="utf-8")
        for left in root.glob(f"{PARTIAL}*"):
            if seconds - left.stat().st_mtime > PARTIAL_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        return tempfile.mkdtemp(prefix=PARTIAL, dir=root)
    except OSError as error:
        raise PlatformError(
            f"No backup can be kept in {directory}: {error.strerror}.",
            next_step="Name another directory with -e backup_directory=DIRECTORY.",
        ) from error


def finish(unfinished: str, described: dict[str, t.Any], *, seconds: float) -> Backup:
    """Write the metadata, check the transferred snapshot, and give the directory its name.

    Args:
        unfinished: the path that `begin` gave, with the files in it.
        described: the fields of Backup but `path` and `fetched`.

    Raises:
        PlatformError: the snapshot arrived damaged, or the token is missing.
    """
    path = Path(unfinished)
    fetched = (path / SNAPSHOT).is_file()
    if fetched:
        digest = sha256(str(path / SNAPSHOT))
        if digest != described["sha256"]:
            raise PlatformError(
                f"The snapshot {described['name']} arrived damaged: its sha256 is {digest}, on the server it is "
                f"{described['sha256']}.",
                next_step="Run it again; if it happens again, look at the disks and the network between.",
            )
    elif not described["s3"]:
        raise PlatformError(
            "The snapshot was neither fetched nor uploaded.",
            next_step="Leave out -e backup_fetch=false, or configure etcd-s3 in k3s_server_config.",
        )
    if not (path / SERVER_TOKEN).is_file() or not (path / SERVER_TOKEN).read_text(encoding="utf-8").strip():
        raise PlatformError(
            "The server's token could not be fetched.",
            next_step="See that /var/lib/rancher/k3s/server/token is on that server, and run it again.",
        )
    for file in path.iterdir():
        file.chmod(0o600)
    content = {"format": FORMAT, "fetched": fetched, **described}
    write(path / METADATA, json.dumps(content, indent=2, sort_keys=True) + "\n")
    stamp = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    target = path.parent / f"{stamp}-{described['node']}"
    if target.exists():  # two within one second
        target = path.parent / f"{stamp}-{described['node']}-{os.getpid()}"
    path.rename(target)
    return read(str(target))


def write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def read(path: str) -> Backup:
    """The backup in a directory; only its metadata is read.

    Raises:
        PlatformError: it is none.
    """
    file = Path(path) / METADATA
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("format") != FORMAT:
            raise PlatformError(
                f"{file} has a format that this version does not know.",
                next_step="Use the version of this collection that made the backup.",
            )
        return Backup(path=str(Path(path).absolute()), **content)
    except FileNotFoundError as error:
        raise PlatformError(
            f"{path} is no backup: there is no {METADATA} in it.",
            next_step="Give a directory that wasmfaas.platform.backup made, as -e backup=DIRECTORY.",
        ) from error
    except OSError as error:
        raise PlatformError(
            f"{file} cannot be read: {error.strerror}.", next_step="Run it as the user who made the backup."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PlatformError(f"{file} is damaged ({error}).", next_step="Use another backup.") from error


def verify(backup: Backup) -> None:
    """Read all of a backup and compare.

    Raises:
        PlatformError: a file is missing or was changed.
    """
    try:
        if not Path(backup.server_token).read_text(encoding="utf-8").strip():
            raise PlatformError(
                f"{backup.server_token} is empty.",
                next_step="Use another backup, or put the token of the time of the snapshot there.",
            )
        if backup.fetched and sha256(backup.snapshot) != backup.sha256:
            raise PlatformError(
                f"{backup.snapshot} is damaged: its sha256 is not that in {METADATA}.", next_step="Use another backup."
            )
    except OSError as error:
        raise PlatformError(
            f"The backup in {backup.path} is not complete: {error.filename}: {error.strerror}.",
            next_step="Use another backup.",
        ) from error


def all_in(directory: str) -> list[Backup]:
    """The complete backups in a directory, newest first; what is damaged is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for entry in sorted(Path(directory).iterdir(), reverse=True):
            if COMPLETE.fullmatch(entry.name) and entry.is_dir():
                with contextlib.suppress(PlatformError):
                    found.append(read(str(entry)))
    return found


def find(name: str, directory: str) -> Backup:
    """The backup that a user names: a directory, the name of one in `directory`, or V(latest).

    Raises:
        PlatformError: there is none of that name.
    """
    if name == "latest":
        backups = all_in(directory)
        if not backups:
            raise PlatformError(
                f"There is no backup in {directory}.",
                next_step="Make one with ansible-playbook wasmfaas.platform.backup, or name its directory with -e "
                "backup=DIRECTORY.",
            )
        return backups[0]
    given = Path(name).expanduser()
    return read(str(given if given.is_dir() or "/" in name else Path(directory) / name))


def prune(directory: str, keep: int, authority: str) -> list[str]:
    """Remove all but the newest `keep` backups of one cluster; gives their paths. V(0) keeps all.

    Others' backups, damaged ones and those of another cluster are left alone.
    """
    if keep <= 0:
        return []
    old = [backup.path for backup in all_in(directory) if backup.authority == authority][keep:]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old


def described(
    taken: dict[str, t.Any], *, node: str, nodes: t.Sequence[str], config: t.Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """The metadata for what `snapshot.run` returned on the server; `config` is the server's config.yaml."""
    snapshot = taken["snapshot"]
    return {
        "version": taken["version"],
        "authority": taken["authority"],
        "node": node,
        "name": snapshot["name"],
        "created": snapshot["created"],
        "size": snapshot["size"],
        "sha256": snapshot["sha256"],
        "nodes": sorted(nodes),
        "s3": bucket(config),
    }


def bucket(config: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Where k3s uploads to, without credentials; empty where it does not."""
    if str(config.get("etcd-s3", "")).lower() != "true":
        return {}
    keys = ("bucket", "folder", "endpoint", "region", "config-secret")
    return {"upload": "true", **{key: str(config[f"etcd-s3-{key}"]) for key in keys if config.get(f"etcd-s3-{key}")}}


def summary(backup: Backup) -> str:
    """One line for a person."""
    where = (
        "and in the bucket"
        if backup.fetched and backup.s3
        else "in the bucket only, its token here"
        if backup.s3
        else ""
    )
    return (
        f"{backup.path} ({backup.name}, {backup.size / 2**20:.1f} MiB, {backup.version}, "
        f"{backup.created}{', ' + where if where else ''})"
    )


def now() -> float:
    return datetime.datetime.now(datetime.timezone.utc).timestamp()


def run(parameters: dict[str, t.Any], _check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_backup_info`: its options to its result."""
    if not parameters["backup"]:
        bare = bare_snapshot.described(
            snapshot=parameters["snapshot"] or "",
            name=parameters["s3_snapshot"] or "",
            token_file=parameters["server_token_file"],
        )
        return {"changed": False, "backup": bare, "summary": bare_snapshot.summary(bare)}
    found = find(parameters["backup"], parameters["directory"])
    verify(found)
    return {"changed": False, "backup": found.described(), "summary": summary(found)}
