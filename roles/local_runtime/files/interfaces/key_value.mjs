// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Key-value stores in a SQLite file. Same file name and table as Spin's own (spinframework/spin crates/key-value-spin/src/store.rs,
 * crates/runtime-config/src/lib.rs), so that data stays when a function moves between `spin up` and the embedded runtime.
 */

import { join } from "node:path";
import { openDatabase } from "./sqlite.mjs";

const other = (error) => ({ tag: "other", val: String(error.message ?? error) });

/** @param {string} directory @param {string[]} allowed labels of `key_value_stores` */
export function keyValueInterfaces(directory, allowed) {
  let database;
  const statements = {};
  /** Opened at first use: a function without stores makes no file. */
  function prepared(sql) {
    if (!database) {
      database = openDatabase(join(directory, "sqlite_key_value.db"));
      database.exec("CREATE TABLE IF NOT EXISTS spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))");
    }
    return (statements[sql] ??= database.prepare(sql));
  }
  const guarded = (action) => {
    try {
      return action();
    } catch (error) {
      throw other(error);
    }
  };
  const read = (store, key) => prepared("SELECT value FROM spin_key_value WHERE store=? AND key=?").get(store, key)?.value;
  const write = (store, key, value) =>
    prepared("INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) ON CONFLICT(store, key) DO UPDATE SET value=excluded.value").run(store, key, value);
  const remove = (store, key) => prepared("DELETE FROM spin_key_value WHERE store=? AND key=?").run(store, key);
  const keys = (store) => prepared("SELECT key FROM spin_key_value WHERE store=?").all(store).map((row) => row.key);
  /** All or nothing, and no other process in between. */
  function transaction(action) {
    prepared("SELECT 1 FROM spin_key_value LIMIT 1");
    database.exec("BEGIN IMMEDIATE");
    try {
      const result = action();
      database.exec("COMMIT");
      return result;
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }

  class Store {
    #label;
    static open(label) {
      if (!allowed.includes(label)) throw { tag: "access-denied" };
      const store = new this();
      store.#label = label;
      return store;
    }
    get label() {
      return this.#label;
    }
    get(key) {
      return guarded(() => read(this.#label, key));
    }
    set(key, value) {
      guarded(() => write(this.#label, key, value));
    }
    delete(key) {
      guarded(() => remove(this.#label, key));
    }
    exists(key) {
      return guarded(() => read(this.#label, key) !== undefined);
    }
    getKeys() {
      return guarded(() => keys(this.#label));
    }
  }

  class Bucket extends Store {
    listKeys() {
      return { keys: this.getKeys(), cursor: undefined };
    }
  }

  class Cas {
    #bucket;
    #key;
    #value;
    static new(bucket, key) {
      const cas = new Cas();
      cas.#bucket = bucket;
      cas.#key = key;
      cas.#value = bucket.get(key);
      return cas;
    }
    current() {
      return this.#value;
    }
    static swap(cas, value) {
      let done;
      try {
        done = transaction(() => {
          const now = read(cas.#bucket.label, cas.#key);
          const same = now === undefined || cas.#value === undefined ? now === cas.#value : Buffer.compare(now, cas.#value) === 0;
          if (same) write(cas.#bucket.label, cas.#key, value);
          return same;
        });
      } catch (error) {
        throw { tag: "store-error", val: other(error) };
      }
      if (!done) throw { tag: "cas-failed", val: Cas.new(cas.#bucket, cas.#key) };
    }
  }

  return {
    "fermyon:spin/key-value": { Store },
    "wasi:keyvalue/store": { Bucket, open: (label) => Bucket.open(label) },
    "wasi:keyvalue/batch": {
      getMany: (bucket, names) => names.map((name) => [name, bucket.get(name)]),
      setMany: (bucket, pairs) => guarded(() => transaction(() => pairs.forEach(([name, value]) => write(bucket.label, name, value)))),
      deleteMany: (bucket, names) => guarded(() => transaction(() => names.forEach((name) => remove(bucket.label, name)))),
    },
    "wasi:keyvalue/atomics": {
      Cas,
      swap: (cas, value) => Cas.swap(cas, value),
      // The counter is 8 bytes, little-endian, as in key-value-spin/src/store.rs.
      increment: (bucket, key, delta) =>
        guarded(() =>
          transaction(() => {
            const now = read(bucket.label, key);
            if (now !== undefined && now.length !== 8) throw new Error("the value is no 64-bit number");
            const sum = BigInt.asIntN(64, (now === undefined ? 0n : Buffer.from(now).readBigInt64LE()) + delta);
            const bytes = Buffer.alloc(8);
            bytes.writeBigInt64LE(sum);
            write(bucket.label, key, bytes);
            return sum;
          }),
        ),
    },
  };
}
