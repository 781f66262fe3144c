// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Turns a WebAssembly component into JavaScript and core modules.
 *
 *   node transpile.mjs COMPONENT.wasm DIRECTORY
 *
 * Writes DIRECTORY/{component.js,component.core*.wasm} and, last, DIRECTORY/interfaces.json {imports, exports, reusable}.
 * Exit code 3: the file is nothing that this runtime can run; the last line of stderr says why.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transpileBytes } from "@bytecodealliance/jco-transpile";

const [source, directory] = process.argv.slice(2);

function refuse(message) {
  console.error(message);
  process.exit(3);
}

let bytes = readFileSync(source);
const layer = bytes.subarray(0, 4).toString("latin1") === "\0asm" ? bytes.readUInt32LE(4) : -1;
if (layer === 1) {
  // A core module, as `cargo build --target wasm32-wasip1` makes it: it carries its WIT world in a section.
  const { componentNew } = await import("@bytecodealliance/jco-transpile/wasm-tools");
  const adapter = join(dirname(fileURLToPath(import.meta.url)), "wasi_snapshot_preview1.reactor.wasm");
  if (bytes.indexOf("component-type") < 0) refuse("it is a core module of Spin's first interface (before components), which only Spin runs");
  try {
    bytes = Buffer.from(await componentNew(bytes, [["wasi_snapshot_preview1", readFileSync(adapter)]]));
  } catch (error) {
    refuse(`its core module could not be made a component: ${error.message ?? error.payload ?? error}`);
  }
} else if (layer !== 0x1000d) refuse("it is no WebAssembly component");

let result;
try {
  // No minifying or optimising: it costs seconds and gains nothing measurable.
  result = await transpileBytes(bytes, { name: "component", instantiation: "async", emitTypescriptDeclarations: false, base64Cutoff: 0 });
} catch (error) {
  refuse(`jco could not read the component: ${String(error.message ?? error.payload ?? error).split("\n")[0]}`);
}
mkdirSync(directory, { recursive: true });
for (const [name, content] of Object.entries(result.files)) if (!name.endsWith(".d.ts")) writeFileSync(join(directory, name), content);
// componentize-py names itself in the component; see backend.mjs for what follows.
const reusable = bytes.includes("componentize-py");
const exports = result.exports.map(([name]) => name);
writeFileSync(join(directory, "interfaces.json"), JSON.stringify({ imports: result.imports, exports, reusable }));
