// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Runs a WASI command from its start to its end: a core module with `_start`, or a component that exports wasi:cli/run.
 *
 *   node command.mjs PROGRAM_DIRECTORY MODULE_DIRECTORY < settings.json
 *
 * MODULE_DIRECTORY holds program.wasm, a core module, or what transpile.mjs wrote of a component. The settings are {arguments,
 * environment}; the first argument is the program's name. A command has no files; a component has the network. What it writes goes to
 * stdout and stderr. The exit code is the command's, and 137 where it trapped or could not be instantiated, as with
 * containerd-shim-wasmtime (containerd/runwasi eb9967a, crates/containerd-shim-wasm/src/sys/unix/container/executor.rs).
 */

import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const NOT_RUN = 137;

// PROGRAM_DIRECTORY only tells a human and the deletion whose process this is.
const [, directory] = process.argv.slice(2);
const { arguments: args, environment: env } = JSON.parse(readFileSync(0, "utf8")); // the command finds the end of its stdin
const coreModule = join(directory, "program.wasm");

/** @returns {Promise<number>} the exit code */
async function runModule() {
  const { WASI } = await import("node:wasi");
  const wasi = new WASI({ version: "preview1", args, env, preopens: {}, returnOnExit: true });
  const module = await WebAssembly.compile(await readFile(coreModule));
  return wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject()));
}

/** How a component ends itself. Not by `process.exit`, which may lose what is not written yet. */
class Exit extends Error {
  constructor(code) {
    super(`exit code ${code}`);
    this.code = code;
  }
}

/** @returns {Promise<number>} the exit code */
async function runComponent() {
  const { WASIShim } = await import("@bytecodealliance/preview2-shim/instantiation");
  const shim = new WASIShim({ sandbox: { preopens: {}, env, args } }).getImportObject();
  const end = (code) => {
    throw new Exit(code);
  };
  const imports = {
    ...shim,
    "wasi:cli/environment": { ...shim["wasi:cli/environment"], initialCwd: () => "/" },
    "wasi:cli/exit": { exit: ({ tag }) => end(tag === "err" ? 1 : 0), exitWithCode: end },
  };
  const { instantiate } = await import(pathToFileURL(join(directory, "component.js")));
  const compiled = (name) => readFile(join(directory, name)).then((bytes) => WebAssembly.compile(bytes));
  const instance = await instantiate(compiled, imports);
  const [, command] = Object.entries(instance).find(([name]) => name.startsWith("wasi:cli/run"));
  try {
    command.run();
    return 0;
  } catch (error) {
    if (error instanceof Exit) return error.code;
    if ("payload" in error) return 1; // `run` returned an error
    throw error;
  }
}

try {
  process.exitCode = await (existsSync(coreModule) ? runModule() : runComponent());
} catch (error) {
  console.error(`[wasmfaas] the program trapped: ${error.stack ?? error}`);
  process.exitCode = NOT_RUN;
}
process.exit();
