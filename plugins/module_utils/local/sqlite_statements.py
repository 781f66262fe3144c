# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a file of SQL in the databases of a local function, such as the statements that make its tables."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
import typing as t
import urllib.parse
from pathlib import Path

from ..errors import PlatformError
from ..host import whole_file

LARGEST_BYTES = 16 << 20
RECORD = "sqlite_statements.json"
"""File beside the databases: the digest of the statements that ran in each, by its label."""

_PROGRESS_STEPS = 10_000
"""Steps of SQLite's virtual machine between two looks at the time."""
_NOT_AUTHORIZED = "not authorized"
_UNQUOTED = "!*'()"
"""What JavaScript's encodeURIComponent leaves as it is and Python's quote does not."""


@dataclasses.dataclass(frozen=True)
class SqliteStatements:
    """The content of a file of SQL."""

    path: Path
    text: str = dataclasses.field(repr=False)

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"


def database_file_name(label: str) -> str:
    """The file of a SQLite database in the function's data directory; roles/local_runtime/files/interfaces/sqlite.mjs
    opens the same."""
    return "sqlite_db.db" if label == "default" else f"sqlite_{urllib.parse.quote(label, safe=_UNQUOTED)}.db"


def read_statements(path: Path) -> SqliteStatements:
    """Read the file that the option sqlite_statements names; raises PlatformError where it cannot be."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise PlatformError(
            f"sqlite_statements: {path} cannot be read: {error.strerror}.", next_step="Name a readable file of SQL."
        ) from error
    except UnicodeDecodeError as error:
        raise PlatformError(f"sqlite_statements: {path} is not UTF-8.", next_step="Save it as UTF-8.") from error
    if len(content) > LARGEST_BYTES:
        raise PlatformError(
            f"sqlite_statements: {path} has more than {LARGEST_BYTES} bytes.",
            next_step="Keep only what makes the tables in it, and load data through the function.",
        )
    return SqliteStatements(path, text)


def run_statements(
    statements: SqliteStatements, data_directory: Path, labels: t.Iterable[str], *, timeout_seconds: float
) -> None:
    """Run the statements in each database that is new, or in which others ran before; in one transaction each.

    Args:
        data_directory: of the function, where its databases are.
        labels: of the databases.
        timeout_seconds: for one database, the wait for a version that writes in it included.

    Raises:
        PlatformError: a statement failed; its database is as it was before.
    """
    record = _read_record(data_directory)
    for label in labels:
        database = data_directory / database_file_name(label)
        if record.get(label) == statements.digest and database.exists():
            continue
        new = not database.exists()
        try:
            _run(statements, database, label, timeout_seconds)
        except BaseException:
            if new:
                database.unlink(missing_ok=True)
            raise
        record[label] = statements.digest
        whole_file.write(str(data_directory / RECORD), json.dumps(record, indent=2) + "\n")


def _read_record(data_directory: Path) -> dict[str, str]:
    try:
        found = json.loads((data_directory / RECORD).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _run(statements: SqliteStatements, database: Path, label: str, timeout_seconds: float) -> None:
    import sqlite3

    begun = False

    def authorize(action: int, first: str | None, *_others: str | None) -> int:
        nonlocal begun
        if action == sqlite3.SQLITE_TRANSACTION and not begun:
            begun = True
            return sqlite3.SQLITE_OK
        elsewhere = action == sqlite3.SQLITE_ATTACH and first not in ("", ":memory:")  # as for the function itself
        return sqlite3.SQLITE_DENY if elsewhere or action == sqlite3.SQLITE_TRANSACTION else sqlite3.SQLITE_OK

    end = time.monotonic() + timeout_seconds
    where = f"sqlite_statements: {statements.path}, in the database {label!r}"
    connection = None
    try:
        connection = sqlite3.connect(database, timeout=timeout_seconds, isolation_level=None)
        connection.set_authorizer(authorize)
        connection.set_progress_handler(lambda: int(time.monotonic() > end), _PROGRESS_STEPS)
        connection.executescript(f"BEGIN IMMEDIATE;{statements.text}")
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)
        connection.commit()
    except (sqlite3.Error, ValueError) as error:
        if time.monotonic() > end:
            raise PlatformError(
                f"{where}: the statements did not end within {timeout_seconds:g} s.",
                next_step="Make them shorter, or raise `wait_timeout`.",
            ) from error
        next_step = "Correct the file, then deploy again; nothing was changed."
        if _NOT_AUTHORIZED in str(error):
            next_step = "Leave out BEGIN, COMMIT, ROLLBACK and ATTACH: the whole file is one transaction."
        raise PlatformError(f"{where}: {error}.", next_step=next_step) from error
    finally:
        if connection is not None:
            connection.close()  # what is not committed is undone
