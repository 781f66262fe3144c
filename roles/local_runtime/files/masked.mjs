// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** The function's log without the values of its secret variables, which components may write. */

const MASK = "********";
const SHORTEST_VALUE = 3; // a shorter one would black out words everywhere
const SHORTEST_LINE = 8; // the lines of a value may be written one by one
const LONGEST_LINE = 1 << 16; // characters that are kept until the line ends

export class Masked {
  #texts = new Set();
  #pattern = null;
  #longest = 0;

  /** @param {string[]} values to black out from now on, besides those given before */
  add(values) {
    for (const value of values) {
      if (value.length >= SHORTEST_VALUE) this.#texts.add(value);
      for (const line of value.split(/\r?\n/)) if (line.length >= SHORTEST_LINE) this.#texts.add(line);
    }
    const longestFirst = [...this.#texts].sort((one, other) => other.length - one.length);
    this.#longest = longestFirst[0]?.length ?? 0;
    this.#pattern = longestFirst.length ? new RegExp(longestFirst.map(RegExp.escape).join("|"), "g") : null;
  }

  /** @param {string} text @returns {string} */
  text(text) {
    return this.#pattern ? text.replace(this.#pattern, MASK) : text;
  }

  /** Writes what comes from a stream, line by line, as a value may come in two pieces. */
  follow(stream, write) {
    let rest = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk) => {
      rest += chunk;
      let end = rest.lastIndexOf("\n") + 1;
      if (end === 0 && rest.length > LONGEST_LINE) {
        rest = this.text(rest);
        end = Math.max(0, rest.length - this.#longest);
      }
      if (end > 0) write(this.text(rest.slice(0, end)));
      rest = rest.slice(end);
    });
    stream.on("end", () => write(this.text(rest)));
  }
}
