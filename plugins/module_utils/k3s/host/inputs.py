# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running k3s was started with, and whether the files say something else by now.

k3s reads its files at start only. The unit writes a digest of each into a record just before k3s starts, whoever
started it; a restart is needed exactly if the files differ from that record. So a run that was cut off between writing
and restarting is made good by the next one.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re

from ...host.digests import Digests
from .. import paths

PATTERNS = (
    paths.K3S_BINARY,
    paths.SHIM_PATTERN,
    paths.CONFIG,
    f"{paths.CONFIG_DROP_INS}/*.yaml",
    f"{paths.CONFIG_DROP_INS}/*.yml",
    paths.REGISTRIES,
    paths.CREDENTIAL_PROVIDER_CONFIG,
    f"{paths.CREDENTIAL_PROVIDER_DIRECTORY}/*",
    paths.AUDIT_POLICY,
    paths.ADMISSION_CONFIG,
)
"""Input files of both units, as shell patterns; `patterns` adds the unit itself."""

EXCLUDED = paths.JOIN_CONFIG
"""Ignored by k3s once it has joined (k3s docs, installation/configuration.md): a change of it needs no restart."""

UNFINISHED = (".wasmfaas-partial", "~")
"""Ends of names that are no inputs: what managed_files has begun to transfer."""


def patterns(unit: str) -> tuple[str, ...]:
    """Shell patterns of the input files of `unit`, `k3s` or `k3s-agent`."""
    return (*PATTERNS, f"{paths.UNIT_DIRECTORY}/{unit}.service", f"{paths.UNIT_DIRECTORY}/{unit}.service.d/*.conf")


def record_path(unit: str) -> str:
    """The file with the record of `unit`, in a directory that the next boot empties."""
    return f"{paths.RUN_DIRECTORY}/{unit}.inputs"


def recorded(unit: str, *, root: str = "") -> dict[str, str] | None:
    """SHA-256 by path of what `unit` was last started with; None where there is no record (never started since boot, or
    by a unit of another make).

    `root` is put before every path, for tests.
    """
    try:
        with open(root + record_path(unit), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    found = (re.match(r"([0-9a-f]{64}) [ *](/.*)$", line) for line in lines)
    return {match[2]: match[1] for match in found if match and not _ignored(match[2])}


def forget(unit: str, *, root: str = "") -> None:
    """Remove the record of `unit`, so that all its files count as changed until it starts again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(root + record_path(unit))


def current(unit: str, *, root: str = "", digests: Digests | None = None) -> dict[str, str]:
    """SHA-256 by path of the input files of `unit` as they are now."""
    digests = digests or Digests()
    files = {}
    for pattern in patterns(unit):
        for path in glob.glob(root + pattern):
            name = path[len(root) :]
            if not _ignored(name) and os.path.isfile(path):
                files[name] = digests.of(path)
    return files


def stale(unit: str, *, root: str = "", digests: Digests | None = None) -> list[str]:
    """Input files of `unit` that were added, changed or removed since it was started, sorted; all of them where there
    is no record.

    Says nothing about a unit that does not run.
    """
    before, now = recorded(unit, root=root) or {}, current(unit, root=root, digests=digests)
    return sorted(path for path in {*before, *now} if before.get(path) != now.get(path))


def exec_start_pre(unit: str) -> str:
    """The setting of a systemd unit that writes the record, on several lines. It holds no `$` and no `%`, which systemd
    would replace.

    A failure to write it does not keep k3s from starting (`-`), but leaves no record, so that the next run restarts
    rather than trusts an old one.
    """
    record = record_path(unit)
    # systemd takes a backslash at the end of a line and what follows it for a space, also within quotes.
    script = " \\\n    ".join(
        [
            f"umask 077; mkdir -p {paths.RUN_DIRECTORY}; rm -f {record}; sha256sum",
            *patterns(unit),
            f"2>/dev/null | grep -vF {EXCLUDED} > {record}.partial;",
            f"mv {record}.partial {record}",
        ]
    )
    return f"ExecStartPre=-/bin/sh -c '{script}'"


def _ignored(path: str) -> bool:
    return path == EXCLUDED or path.endswith(UNFINISHED)
