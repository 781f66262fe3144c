// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * SQLite databases as files, by Node's own SQLite. File names and rules as spinframework/spin crates/sqlite/src/lib.rs,
 * crates/sqlite-inproc/src/lib.rs (parameters bound by position, no ATTACH of files).
 */

import { join } from "node:path";
import { DatabaseSync, constants } from "node:sqlite";

const LOCK_WAIT_MILLISECONDS = 5000; // an old and a new release share the file for a moment

export function openDatabase(path) {
  const database = new DatabaseSync(path, { timeout: LOCK_WAIT_MILLISECONDS, allowExtension: false });
  database.setAuthorizer((action, name) =>
    action === constants.SQLITE_ATTACH && !["", ":memory:"].includes(name) ? constants.SQLITE_DENY : constants.SQLITE_OK,
  );
  return database;
}

const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\?\d*|[:@$][A-Za-z_][\w$]*/g;

/**
 * Node binds by name or skips named ones; Spin binds by position whatever the name. So all parameters get names that tell
 * their position, counted as SQLite does (sqlite.org/lang_expr.html#varparam).
 */
export function numberParameters(statement) {
  const known = new Map();
  const used = new Set();
  let highest = 0;
  const sql = statement.replace(TOKEN, (token) => {
    if (!"?:@$".includes(token[0])) return token;
    let position;
    if (token === "?") position = ++highest;
    else if (token[0] === "?") position = Number(token.slice(1));
    else known.set(token, (position = known.get(token) ?? highest + 1));
    highest = Math.max(highest, position);
    used.add(position);
    return `:p${position}`;
  });
  return { sql, count: highest, used };
}

const toValue = (value) => {
  if (value === null) return { tag: "null" };
  if (typeof value === "bigint") return { tag: "integer", val: value };
  if (typeof value === "number") return { tag: "real", val: value };
  if (typeof value === "string") return { tag: "text", val: value };
  return { tag: "blob", val: value };
};

/** @param {string} directory @param {string[]} allowed labels of `sqlite_databases` */
export function sqliteInterfaces(directory, allowed) {
  class Connection {
    #database;
    static open(label) {
      if (!allowed.includes(label)) throw { tag: "access-denied" };
      const connection = new Connection();
      try {
        connection.#database = openDatabase(join(directory, label === "default" ? "sqlite_db.db" : `sqlite_${encodeURIComponent(label)}.db`));
      } catch (error) {
        throw { tag: "io", val: error.message };
      }
      return connection;
    }
    execute(statement, parameters) {
      try {
        const { sql, count, used } = numberParameters(statement);
        if (parameters.length !== count) throw new Error(`Wrong number of parameters passed to query. Got ${parameters.length}, needed ${count}`);
        const prepared = this.#database.prepare(sql);
        prepared.setReadBigInts(true);
        prepared.setReturnArrays(true);
        const bound = Object.fromEntries([...used].map((position) => [`p${position}`, parameters[position - 1].val ?? null]));
        const columns = prepared.columns().map((column) => column.name);
        return { columns, rows: prepared.all(bound).map((row) => ({ values: row.map(toValue) })) };
      } catch (error) {
        throw error.errcode === 13 ? { tag: "database-full" } : { tag: "io", val: error.message };
      }
    }
    #scalar(sql) {
      const prepared = this.#database.prepare(sql);
      prepared.setReadBigInts(true);
      return prepared.get().value;
    }
    lastInsertRowid() {
      return this.#scalar("SELECT last_insert_rowid() AS value");
    }
    changes() {
      return this.#scalar("SELECT changes() AS value");
    }
    [Symbol.dispose]() {
      this.#database?.close();
    }
  }
  return { "fermyon:spin/sqlite": { Connection }, "spin:sqlite/sqlite": { Connection } };
}
