# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of SQL in the databases of a local function; tests/integration/test_local_runtime.py deploys one."""

from __future__ import annotations

import sqlite3
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function import spin_function
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Component,
    LocalSource,
    Manifest,
    Trigger,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.model import DesiredFunction
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.stages import Stages
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.variables import VariableValues
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import sqlite_statements as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.local.target import LocalTarget, local_settings
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

TABLES = "CREATE TABLE visits (who TEXT);\nINSERT INTO visits VALUES ('first'); -- no end of the line"


def run(tmp_path: Path, text: str, *labels: str, seconds: float = 60) -> None:
    path = tmp_path / "tables.sql"
    path.write_text(text)
    (tmp_path / "data").mkdir(exist_ok=True)
    statements = module.read_statements(path)
    module.run_statements(statements, tmp_path / "data", labels or ("default",), timeout_seconds=seconds)


def rows(tmp_path: Path, label: str = "default", query: str = "SELECT who FROM visits") -> list[str]:
    connection = sqlite3.connect(tmp_path / "data" / module.database_file_name(label))
    try:
        return [row[0] for row in connection.execute(query)]
    finally:
        connection.close()


def test_once_in_each_new_database(tmp_path: Path) -> None:
    run(tmp_path, TABLES)
    run(tmp_path, TABLES, "default", "a/b ü")
    run(tmp_path, TABLES, "default", "a/b ü")
    assert rows(tmp_path) == rows(tmp_path, "a/b ü") == ["first"]
    assert module.database_file_name("a/b ü!") == "sqlite_a%2Fb%20%C3%BC!.db"  # as encodeURIComponent


def test_changed_statements_run_again(tmp_path: Path) -> None:
    run(tmp_path, TABLES)
    run(tmp_path, "INSERT INTO visits VALUES ('second')")
    assert rows(tmp_path) == ["first", "second"]


def test_in_a_database_that_was_removed_they_run_again(tmp_path: Path) -> None:
    run(tmp_path, TABLES)
    (tmp_path / "data" / "sqlite_db.db").unlink()
    run(tmp_path, TABLES)
    assert rows(tmp_path) == ["first"]


@pytest.mark.parametrize("record", ["", "[]", "{", '{"default": 1}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, record: str) -> None:
    run(tmp_path, "CREATE TABLE IF NOT EXISTS visits (who TEXT)")
    (tmp_path / "data" / module.RECORD).write_text(record)
    run(tmp_path, "CREATE TABLE IF NOT EXISTS visits (who TEXT)")
    assert rows(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "cause", "next_step"),
    [
        ("INSERT INTO visits VALUES ('lost'); CREATE TABLE visits (a)", "table visits already exists", "Correct"),
        ("INSERT INTO visits VALUES ('lost'); nonsense", 'near "nonsense": syntax error', "Correct the file"),
        ("INSERT INTO visits VALUES ('lost'); CREATE TABLE b (", "incomplete input", "Correct the file"),
        ("INSERT INTO visits VALUES ('lost'); COMMIT; nonsense", "not authorized", "Leave out BEGIN, COMMIT"),
        ("BEGIN; INSERT INTO visits VALUES ('lost'); COMMIT;", "not authorized", "Leave out BEGIN"),
        ("INSERT INTO visits VALUES ('lost'); ATTACH '/tmp/stolen.db' AS stolen", "not authorized", "ATTACH"),
        ("INSERT INTO visits VALUES ('lost');\0", "null character", "Correct the file"),
    ],
)
def test_a_statement_that_fails_leaves_the_database_as_it_was(
    tmp_path: Path, text: str, cause: str, next_step: str
) -> None:
    run(tmp_path, TABLES)
    with pytest.raises(PlatformError, match=f"tables.sql, in the database 'default': .*{cause}") as caught:
        run(tmp_path, text)
    assert next_step in caught.value.next_step
    assert rows(tmp_path) == ["first"]
    with pytest.raises(PlatformError):
        run(tmp_path, text, "new")
    assert not (tmp_path / "data" / module.database_file_name("new")).exists()
    run(tmp_path, TABLES)
    assert rows(tmp_path) == ["first"], "what failed is not recorded"


def test_statements_without_an_end_are_given_up(tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(PlatformError, match=r"did not end within 0\.2 s"):
        run(tmp_path, endless, seconds=0.2)


@pytest.mark.parametrize(
    ("content", "cause"), [(None, "cannot be read"), (b"\xff", "is not UTF-8"), (b" " * 101, "more than 100 bytes")]
)
def test_a_file_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, cause: str
) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 100)
    if content is not None:
        (tmp_path / "a.sql").write_bytes(content)
    with pytest.raises(PlatformError, match=f"sqlite_statements: .*a.sql .*{cause}"):
        module.read_statements(tmp_path / "a.sql")


# ---- the option


def parameters(**given: t.Any) -> dict[str, t.Any]:
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return {**defaults, "name": "hello", "target": "local", **given}


def target(tmp_path: Path, **given: t.Any) -> LocalTarget:
    return LocalTarget("default", "hello", local_settings(parameters(**given), tmp_path), Stages())


def desired(*databases: str) -> DesiredFunction:
    component = Component(id="main", source=LocalSource("a.wasm"), sqlite_databases=databases)
    trigger = Trigger("main", "http", "main", {"route": "/..."})
    manifest = Manifest(Path("/p/spin.toml"), "hello", (trigger,), {"main": component})
    return DesiredFunction("hello", "default", "sha256:0", "", manifest, VariableValues({}, {}))


def test_only_a_function_with_a_database_takes_them(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("SELECT 1")
    made = target(tmp_path, sqlite_statements=str(tmp_path / "a.sql"))
    made.check(desired("default"))
    with pytest.raises(PlatformError, match=r"sqlite_statements: no component in spin\.toml has a SQLite database"):
        made.check(desired())


def test_other_statements_are_a_change(tmp_path: Path) -> None:
    def settings(text: str | None) -> str:
        if text is not None:
            (tmp_path / "a.sql").write_text(text)
        given = {} if text is None else {"sqlite_statements": str(tmp_path / "a.sql")}
        return str(target(tmp_path, **given).difference(desired("default")).after["settings"])

    assert len({settings(None), settings("SELECT 1"), settings("SELECT 2")}) == 3
    assert settings("SELECT 1") == settings("SELECT 1")


def test_a_cluster_does_not_take_them() -> None:
    given = parameters(target="cluster", state="absent", sqlite_statements="a.sql")
    with pytest.raises(PlatformError, match="sqlite_statements: has no effect with target=cluster") as caught:
        spin_function.run(given, False, set())
    assert "runtime_config" in caught.value.next_step


def test_removal_needs_no_file(tmp_path: Path) -> None:
    given = parameters(state="absent", state_directory=str(tmp_path), sqlite_statements="/nowhere/a.sql")
    assert not spin_function.run(given, False, set())["changed"]
