// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * One component of one release, answering HTTP on a port of its own. Started by front.mjs, which sends the settings over the
 * IPC channel (never argv or environment: they hold secrets) and ends with it.
 *
 * Requests are served one after the other, each by an instance of its own, as Spin does; some are made in advance. The front is told
 * when the component is entered and left ("begun", "finished"). Only a component
 * made by componentize-py keeps one instance for all requests, as making one takes about 0.4 s: its global variables last until a
 * trap or a new process.
 */

import { readFile } from "node:fs/promises";
import { mkdirSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { WASIShim } from "@bytecodealliance/preview2-shim/instantiation";
import { HTTPServer } from "@bytecodealliance/preview2-shim/http";
import { cli, filesystem, sockets } from "@bytecodealliance/preview2-shim";
import { denied, unknownInterface } from "./interfaces/denied.mjs";
import { answer, answered, endAnswer, outgoingHandler, restoreHeaders } from "./interfaces/http.mjs";
import { keyValueInterfaces } from "./interfaces/key_value.mjs";
import { sqliteInterfaces } from "./interfaces/sqlite.mjs";
import { variablesInterfaces } from "./interfaces/variables.mjs";

const PREPARED_INSTANCES = 2;
const log = (message) => console.error(`[wasmfaas] ${message}`);
process.on("disconnect", () => process.exit(0)); // the front is gone

const settings = await new Promise((resolve) => process.once("message", resolve));
const { component, directory, dataDirectory, values, environment, keyValueStores, databases, allowedHosts, answering, front, warmUpPath } = settings;
mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });

/** Turns writing of component files into the error that Spin gives. */
function readOnly(files) {
  const { Descriptor } = files.types;
  const refuse = () => {
    throw "read-only";
  };
  const openAt = Descriptor.prototype.openAt;
  Descriptor.prototype.openAt = function (pathFlags, path, openFlags, flags) {
    if (flags.write || flags.mutateDirectory || openFlags.create || openFlags.truncate) refuse();
    return openAt.call(this, pathFlags, path, openFlags, flags);
  };
  for (const name of ["createDirectoryAt", "linkAt", "removeDirectoryAt", "renameAt", "setSize", "setTimes", "setTimesAt", "symlinkAt", "unlinkFileAt", "write"])
    Descriptor.prototype[name] = refuse;
  return files;
}

const nullStream = filesystem
  .createFilesystem({ preopens: { "/dev": "/dev" } })
  .preopens.getDirectories()[0][0]
  .openAt({}, "null", {}, { write: true })
  .writeViaStream(0n);
const files = readOnly(filesystem.createFilesystem({ preopens: { "/": join(directory, "files") } }));

const modules = new Map();
const coreModule = (name) => {
  if (!modules.has(name)) modules.set(name, readFile(join(directory, "module", name)).then((bytes) => WebAssembly.compile(bytes)));
  return modules.get(name);
};
const { instantiate } = await import(pathToFileURL(join(directory, "module", "component.js")));

/** @param {boolean} rehearsal without any effect outside: no stores, no requests, no output */
function imports(rehearsal) {
  const shim = new WASIShim({
    filesystem: files,
    sandbox: { env: environment, args: settings.arguments },
    sockets: sockets.createSockets({ enableNetwork: false }),
  }).getImportObject();
  const trap = (status) => {
    throw new Error(`the component ended itself (${JSON.stringify(status)})`);
  };
  const known = {
    ...shim,
    ...denied,
    ...variablesInterfaces(values),
    ...keyValueInterfaces(dataDirectory, rehearsal ? [] : keyValueStores),
    ...sqliteInterfaces(dataDirectory, rehearsal ? [] : databases),
    "wasi:cli/environment": { ...shim["wasi:cli/environment"], initialCwd: () => "/" },
    "wasi:cli/exit": { exit: trap, exitWithCode: trap },
    "wasi:http/outgoing-handler": outgoingHandler(rehearsal ? [] : allowedHosts, front, answering, rehearsal ? () => {} : log),
  };
  if (rehearsal) {
    known["wasi:cli/stdout"] = { ...cli.stdout, getStdout: () => nullStream };
    known["wasi:cli/stderr"] = { ...cli.stderr, getStderr: () => nullStream };
  }
  return new Proxy(known, { get: (target, name) => target[name] ?? unknownInterface(String(name)), has: () => true });
}

const { reusable } = JSON.parse(await readFile(join(directory, "module", "interfaces.json"), "utf8"));
const create = (rehearsal = false) => instantiate(coreModule, imports(rehearsal));
const prepared = []; // instances that no request has seen, or the one that all see
const waiting = []; // requests that came when none was left
let rehearsing = false;
let preparing = false;

async function prepare() {
  if (preparing || rehearsing) return;
  preparing = true;
  try {
    while (prepared.length < (reusable ? 1 : PREPARED_INSTANCES)) {
      prepared.push(await create());
      while (waiting.length && prepared.length) handle(...waiting.shift());
    }
  } catch (error) {
    log(`${component} could not be instantiated: ${error.stack ?? error}`);
    process.exit(1); // the front starts this process again
  }
  preparing = false;
}

/** Tells the front; at once, also when the component then never returns. */
const tell = (type, more = {}) => process.connected && process.send({ type, ...more });

function receive(incoming, parameter) {
  if (!rehearsing) tell("begun");
  restoreHeaders(incoming.headers());
  handle(incoming, parameter);
}

function handle(incoming, parameter) {
  const instance = reusable ? prepared[0] : prepared.shift();
  if (!instance) {
    waiting.push([incoming, parameter]);
    return void setImmediate(prepare);
  }
  const handler = Object.entries(instance).find(([name]) => name.startsWith("wasi:http/incoming-handler"))[1];
  try {
    handler.handle(incoming, parameter);
    if (!answered.has(parameter)) throw new Error("the component returned without a response");
  } catch (error) {
    if (!rehearsing) log(`${component} trapped: ${error.stack ?? error}`);
    if (reusable) prepared.length = 0; // a trapped instance must not be entered again
    if (!answered.has(parameter)) answer(parameter, 500, "");
  }
  if (!endAnswer(parameter) && !rehearsing) log(`${component} did not finish its answer, which is cut off`);
  // Only once preview2-shim's server is done with the request too: the front sends no other one before.
  if (!rehearsing) setImmediate(tell, "finished");
  if (prepared.length < PREPARED_INSTANCES) setImmediate(prepare);
}

const server = new HTTPServer({ handle: receive });
server.listen(0, "127.0.0.1");
const { port } = server.address();
tell("loaded");

if (warmUpPath !== null) {
  // V8 compiles each function of a core module at its first call: a rehearsal by throw-away instances pays that before users come.
  rehearsing = true;
  try {
    for (let round = 0; round < 3; round++) {
      if (prepared.length === 0) prepared.push(await create(true));
      await new Promise((resolve) => {
        const options = { host: "127.0.0.1", port, path: warmUpPath, headers: settings.warmUpHeaders, agent: false };
        request(options, (response) => response.resume().on("error", resolve).on("close", resolve)).on("error", resolve).end();
      });
    }
  } catch (error) {
    log(`${component}: the rehearsal failed (${error.message ?? error}); that alone is no fault`);
  }
  prepared.length = 0;
  rehearsing = false;
  tell("rehearsed");
}
await prepare();
tell("ready", { port });

// The shim and long-lived instances keep some kilobytes of each request: a process that has grown is replaced by the front.
const limit = process.memoryUsage.rss() + settings.growthBytes;
const watch = setInterval(() => {
  if (process.memoryUsage.rss() < limit) return;
  clearInterval(watch);
  tell("grown");
}, 1000);
