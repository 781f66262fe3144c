// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * What the local runtime does not have: each call gives an error that says so.
 * The error cases are those of spinframework/spin wit/deps/spin@2.0.0/{redis,mysql,postgres,mqtt,llm}.wit and spin-postgres@{3,4}.0.0.
 */

const text = (name) => `${name} is not in the local runtime: install Spin (then "spin up" runs the function) or deploy to a cluster`;

/** An interface whose only way in is `connection.open`. */
const connection = (name, tag) => ({
  Connection: class Connection {
    static open() {
      throw { tag, val: text(name) };
    }
  },
});

/** Anything else: instantiates, traps at the first call. */
export function unknownInterface(name) {
  return new Proxy(
    {},
    {
      has: () => true,
      get: (_target, key) => {
        if (typeof key !== "string") return undefined;
        const fail = () => {
          throw new Error(text(`${name} (${key})`));
        };
        return /^[A-Z]/.test(key) ? new Proxy(class {}, { construct: fail, get: (target, member) => (member in target ? target[member] : fail) }) : fail;
      },
    },
  );
}

export const denied = {
  "fermyon:spin/redis": connection("Redis", "other"),
  "fermyon:spin/mysql": connection("MySQL", "connection-failed"),
  "fermyon:spin/postgres": connection("PostgreSQL", "connection-failed"),
  "spin:postgres/postgres": connection("PostgreSQL", "connection-failed"),
  "fermyon:spin/mqtt": connection("MQTT", "other"),
  "fermyon:spin/llm": {
    infer() {
      throw { tag: "runtime-error", val: text("LLM inference") };
    },
    generateEmbeddings() {
      throw { tag: "runtime-error", val: text("LLM embedding") };
    },
  },
};
