// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * The process behind a local function's URL: owns the public port, starts the backends of a release, sends each request to the
 * right one, and changes over from one release to the next between two requests.
 *
 *   node front.mjs FUNCTION_DIRECTORY PORT
 *
 * Control: HTTP on the Unix socket FUNCTION_DIRECTORY/control.sock (the directory is 0700).
 *   GET  /status     → {process_id, port, state, directories}
 *   POST /deploy     {see plugins/module_utils/local/runtime.py} → the new state, or 422 {cause}
 *   POST /hand-over  {node, script} → another version of this file gets the listening socket; it takes over at its first deploy
 *   POST /stop       → finishes requests under way, ends
 * Writes FUNCTION_DIRECTORY/state.json at the moment of change-over, so that the file says what answers.
 */

import { isUtf8 } from "node:buffer";
import { fork, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { forward } from "./forward.mjs";
import { expandChaining, parseAllowedHost } from "./interfaces/allowed_hosts.mjs";
import { expand, resolver } from "./interfaces/variables.mjs";
import { Masked } from "./masked.mjs";
import { buildRouter, chainedMatch, spinHeaders, WELL_KNOWN_PREFIX } from "./router.mjs";
import { kill, Workers } from "./workers.mjs";

const IDLE_SECONDS = 120; // without any release: whoever started this process is gone
const REHEARSAL_SECONDS = 15;
const HEADERS_SECONDS = 10; // for the headers of a request
const MOST_PROCESSES = 4; // of one component, while its requests wait
const CHAIN_PREFIX = "/.well-known/wasmfaas-chain/";
const CHAINED_CLIENT_ADDRESS = "0.0.0.0:0"; // spinframework/spin v4.0.2, crates/trigger-http/src/outbound_http.rs

const [functionDirectory, wantedPort] = process.argv.slice(2);
process.chdir(functionDirectory); // a Unix socket's path is short: 108 bytes
const runtimeDirectory = dirname(fileURLToPath(import.meta.url));
const chainToken = randomUUID();
const masked = new Masked();
const log = (message) => console.error(masked.text(`${new Date().toISOString()} [wasmfaas] ${message}`));

/** Start of a process in clock ticks since boot: with it a process id is unique. */
const processStarted = (id) => Number(readFileSync(`/proc/${id}/stat`, "utf8").split(") ").at(-1).split(" ")[19]);

let active = null;
let publicServer = null;
let promisedPort = null; // of a predecessor, which gives its listening socket when the first release is ready
let busy = Promise.resolve();
let stopping = false;
const releases = new Set();

// ---- backends ------------------------------------------------------------------------------------------------------------

function childEnvironment(extra = {}) {
  return { ...process.env, ...extra };
}

async function freePort() {
  const server = createTcpServer();
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The settings that backend.mjs waits for. */
function componentSettings(release, component) {
  const { locked_application: application, variables, directory, data_directory: dataDirectory } = release.request;
  const resolve = resolver(application.variables ?? {}, variables);
  const trigger = application.triggers.find(({ trigger_config: config }) => config.component === component.id && typeof config.route === "string");
  const rawRoute = trigger?.trigger_config.route ?? "/...";
  const warmUpPath = `/${rawRoute.replace(/^\//, "")}`.replace(/\/\.\.\.$/, "/").replace(/:([a-z0-9_]+)/gi, "$1") || "/";
  const metadata = component.metadata ?? {};
  const named = (metadata.allowed_outbound_hosts ?? []).map((item) => expand(item, resolve)).filter((item) => item.trim() !== "");
  const allowedHosts = expandChaining(named, application.components.map(({ id }) => id));
  allowedHosts.forEach(parseAllowedHost); // throws here rather than in the backend
  return {
    component: component.id,
    directory: join(directory, "components", component.id),
    dataDirectory,
    values: Object.fromEntries(Object.entries(component.config ?? {}).map(([name, template]) => [name, expand(template, resolve)])),
    arguments: release.request.arguments ?? [component.id],
    environment: component.env ?? {},
    keyValueStores: metadata.key_value_stores ?? [],
    databases: metadata.databases ?? [],
    allowedHosts,
    front: { port: publicPort(), token: chainToken },
    answering: release.request.components,
    growthBytes: release.request.growth_bytes,
    warmUpPath,
    warmUpHeaders: spinHeaders({ rawRoute, basedRoute: rawRoute, trailing: "", named: {} }, { host: "localhost", url: warmUpPath, clientAddress: "127.0.0.1:0" }),
  };
}

/** Has what a child writes in the function's log. */
function follow(child) {
  for (const stream of [child.stdout, child.stderr]) masked.follow(stream, (text) => process.stderr.write(text));
}

/** Calls back when a child has ended and what it wrote is in the log. */
function onceEnded(child, callback) {
  child.once("exit", async (code, signal) => {
    // A child of its own may keep the pipes open.
    await Promise.race([new Promise((resolve) => child.once("close", resolve)), sleep(500)]);
    callback(code, signal);
  });
}

/** Starts one component; resolves to {child, port}. Rejects when it ends before it is ready. */
function startComponent(release, settings) {
  return new Promise((resolve, reject) => {
    const { namespace, name } = release.request.state;
    // The arguments only tell a human and `stop` whose process this is.
    const child = fork(join(runtimeDirectory, "backend.mjs"), [functionDirectory, `${namespace}/${name}`, settings.component], {
      execArgv: ["--disable-warning=ExperimentalWarning"],
      env: childEnvironment(),
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    follow(child);
    release.children.add(child);
    let rehearsal;
    child.on("message", (message) => {
      if (message.type === "loaded" && settings.warmUpPath !== null) {
        rehearsal = setTimeout(() => {
          log(`${settings.component}: the rehearsal took over ${REHEARSAL_SECONDS} s; starting without one`);
          child.removeAllListeners("exit");
          kill(child, "SIGKILL");
          release.children.delete(child);
          startComponent(release, { ...settings, warmUpPath: null }).then(resolve, reject);
        }, REHEARSAL_SECONDS * 1000);
      } else if (message.type === "rehearsed") clearTimeout(rehearsal);
      else if (message.type === "ready") resolve({ child, port: message.port });
    });
    onceEnded(child, (code, signal) => {
      clearTimeout(rehearsal);
      release.children.delete(child);
      reject(new Error(`component "${settings.component}" ended while it started (${signal ?? `exit code ${code}`})`));
    });
    child.once("error", reject);
    child.send(settings);
  });
}

async function startSpin(release) {
  const { spin, directory, data_directory: dataDirectory, variables, runtime_config: runtimeConfig } = release.request;
  const port = await freePort();
  const names = Object.fromEntries(Object.entries(variables).map(([name, value]) => [`SPIN_VARIABLE_${name.toUpperCase()}`, value]));
  const flags = ["up", "-f", join(directory, "spin.toml"), "--listen", `127.0.0.1:${port}`, "--state-dir", dataDirectory, "--quiet"];
  if (runtimeConfig) flags.push("--runtime-config-file", runtimeConfig);
  const child = spawn(spin, flags, { cwd: directory, env: childEnvironment(names), stdio: ["ignore", "pipe", "pipe"], detached: true });
  follow(child);
  child.leadsGroup = true;
  release.children.add(child);
  const ended = new Promise((_resolve, reject) => {
    child.once("error", reject);
    onceEnded(child, (code, signal) => {
      release.children.delete(child);
      reject(new Error(`"spin up" ended while it started (${signal ?? `exit code ${code}`})`));
    });
  });
  const healthy = async () => {
    for (;;) {
      try {
        const response = await fetch(`http://127.0.0.1:${port}${WELL_KNOWN_PREFIX}health`);
        if (response.ok) return { child, port };
      } catch {
        // not listening yet
      }
      await sleep(25);
      if (release.stopped) throw new Error("stopped");
    }
  };
  return Promise.race([ended, healthy()]);
}

/** The processes of one component, or (key "spin") the one of all. */
function workersOf(release, key, start) {
  const serial = release.request.runtime !== "spin";
  const { drain_seconds: drainSeconds } = release.request;
  return new Workers({ key, start, most: serial ? MOST_PROCESSES : 1, serial, log, drainSeconds, stopped: () => release.stopped });
}

function stopRelease(release) {
  release.stopped = true;
  releases.delete(release);
  for (const child of release.children) kill(child);
  const stubborn = [...release.children];
  setTimeout(() => stubborn.forEach((child) => kill(child, "SIGKILL")), 2000).unref();
}

async function drain(release, seconds) {
  const end = Date.now() + seconds * 1000;
  while (release.requests > 0 && Date.now() < end) await sleep(20);
  if (release.requests > 0) log(`${release.requests} requests of the previous release were cut off after ${seconds} s`);
  stopRelease(release);
  const { directory } = release.request;
  if (![...releases].some((other) => other.request.directory === directory)) rmSync(directory, { recursive: true, force: true });
}

// ---- requests ------------------------------------------------------------------------------------------------------------

function reply(response, status, body = "", headers = {}) {
  if (response.headersSent) return response.destroy();
  response.writeHead(status, { "content-length": Buffer.byteLength(body), ...headers });
  response.end(body);
}

/**
 * Has a backend answer. The function has `timeout_seconds` for it, the wait for a free process included; then the caller gets
 * status 504, and a process that is still at it is replaced.
 */
function answerBy(release, key, request, response, options) {
  const backend = release.backends.get(key);
  const { timeout_seconds: seconds } = release.request;
  release.requests++;
  let answered = false;
  let settled = false;
  const timer = setTimeout(() => {
    log(`${request.method} ${request.url.split("?", 1)[0]}: no answer within ${seconds} s`);
    backend.expire(exchange);
    reply(response, 504, `the function did not answer within ${seconds} s\n`, { "content-type": "text/plain", connection: "close" });
  }, seconds * 1000);
  const done = () => {
    // A function that goes on after its caller went away is still held to the limit.
    if (answered && settled) clearTimeout(timer);
  };
  const failed = (error) => {
    if (response.destroyed || response.writableEnded) return;
    log(`${request.method} ${request.url.split("?", 1)[0]}: ${error.message}`);
    reply(response, 502);
  };
  const exchange = {
    run: (port) => forward(request, response, { ...options, port, failed }),
    refuse: () => {
      exchange.settled();
      reply(response, 503, "the function is down; its log says why\n", { "content-type": "text/plain" });
    },
    settled: () => {
      settled = true;
      done();
    },
  };
  response.once("close", () => {
    release.requests--;
    answered = true;
    backend.closed(exchange);
    done();
  });
  backend.give(exchange);
}

function handle(request, response) {
  const release = active;
  const path = request.url.split("?", 1)[0];
  if (path === `${WELL_KNOWN_PREFIX}health`) {
    const healthy = release !== null && [...release.backends.values()].every((backend) => backend.up);
    return reply(response, healthy ? 200 : 503, healthy ? "OK" : "not ready");
  }
  if (release === null) return reply(response, 503, "no release yet\n");
  if (release.request.runtime === "spin") return answerBy(release, "spin", request, response, { headers: {} });
  const isFunction = !release.request.arguments; // else a program, which knows nothing of Spin
  if (isFunction && path.startsWith(WELL_KNOWN_PREFIX)) {
    if (path !== `${WELL_KNOWN_PREFIX}info`) return reply(response, 404);
    const { name, version } = release.request.locked_application.metadata ?? {};
    const information = { name: name ?? "", ...(version && { version }), oci_image_digest: release.request.state.digest };
    return reply(response, 200, JSON.stringify(information, null, 2), { "content-type": "application/json" });
  }
  const clientAddress = `${request.socket.remoteAddress}:${request.socket.remotePort}`;
  if (path.startsWith(CHAIN_PREFIX)) {
    const [token, component, ...rest] = request.url.slice(CHAIN_PREFIX.length).split("/");
    if (token !== chainToken || !release.backends.has(component)) return reply(response, 404);
    request.url = `/${rest.join("/")}`;
    const match = chainedMatch(request.url.split("?", 1)[0]);
    const headers = spinHeaders(match, { host: undefined, url: request.url, clientAddress: CHAINED_CLIENT_ADDRESS });
    return answerBy(release, component, request, response, { host: `${component}.spin.internal`, headers });
  }
  const match = release.route(path);
  if (match === null) return reply(response, 404);
  if (!request.rawHeaders.every((text) => isUtf8(Buffer.from(text, "latin1")))) {
    // As Spin, which hands headers on as text (spinframework/spin v4.0.2, crates/trigger-http/src/headers.rs).
    log(`${request.method} ${path}: a header is not UTF-8`);
    return reply(response, 500);
  }
  const { component, static_response: fixed } = match.trigger.trigger_config;
  if (fixed) return reply(response, fixed.status_code ?? 200, fixed.body ?? "", fixed.headers ?? {});
  const headers = isFunction ? spinHeaders(match, { host: request.headers.host, url: request.url, clientAddress }) : {};
  return answerBy(release, component, request, response, { headers });
}

function newServer() {
  // A request without an end to its headers is answered with status 408; from then on the function's own limit counts.
  const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0, headersTimeout: HEADERS_SECONDS * 1000, connectionsCheckingInterval: 1000 }, handle);
  // On SIGTERM and on a change of port, idle connections are told to close instead of being cut.
  server.on("request", (_request, response) => {
    if (server.closing) response.setHeader("connection", "close");
  });
  return server;
}

const listen = (server, ...where) =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(...where, () => resolve(server));
  });

function closeServer(server) {
  server.closing = true;
  server.close();
  server.closeIdleConnections();
}

const publicPort = () => publicServer?.address().port ?? promisedPort;

/** Asks the predecessor for its listening socket; from then on both answer, until that one ends. */
const takeSocket = (release) =>
  new Promise((resolve, reject) => {
    process.once("message", (_message, socket) => {
      active = release;
      const server = newServer();
      // At once: a received socket accepts connections whether or not anything handles them.
      socket.on("connection", (connection) => server.emit("connection", connection));
      listen(server, socket).then(resolve, reject);
    });
    process.send({ type: "give" });
  });

// ---- deploying -----------------------------------------------------------------------------------------------------------

/** Writes the state file, whole and on disk, beside the one that counts. */
function prepareState(release, port) {
  const { request } = release;
  const state = {
    ...request.state,
    url: `http://127.0.0.1:${port}`,
    port,
    process_id: process.pid,
    process_started: processStarted(process.pid),
    boot_id: readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim(),
    runtime: request.runtime,
    started_at: new Date().toISOString(),
    release: request.directory,
    runtime_directory: runtimeDirectory,
  };
  writeFileSync("state.json.new", JSON.stringify(state, null, 1), { mode: 0o600, flush: true });
  return state;
}

function secretValues({ locked_application: application, variables }) {
  const secret = Object.entries(application.variables ?? {}).filter(([, variable]) => variable.secret);
  return secret.flatMap(([name, variable]) => [variables[name], variable.default]).filter((value) => value !== undefined);
}

async function deploy(request) {
  masked.add(secretValues(request));
  const release = { request, children: new Set(), backends: new Map(), requests: 0, stopped: false };
  releases.add(release);
  const previous = active;
  const previousServer = publicServer;
  let nextServer = null;
  let state;
  try {
    if (request.port && request.port !== publicPort()) nextServer = await listen(newServer(), request.port, "127.0.0.1");
    release.route = buildRouter(request.locked_application.triggers);
    if (request.runtime === "spin") release.backends.set("spin", workersOf(release, "spin", () => startSpin(release)));
    else
      for (const component of request.locked_application.components) {
        if (!request.components.includes(component.id)) continue;
        const settings = componentSettings(release, component);
        if (nextServer) settings.front.port = request.port;
        release.backends.set(component.id, workersOf(release, component.id, (urgent) => startComponent(release, urgent ? { ...settings, warmUpPath: null } : settings)));
      }
    const ready = Promise.all([...release.backends.values()].map((backend) => backend.begin()));
    const late = sleep(request.ready_timeout_seconds * 1000, null, { ref: false }).then(() => {
      throw new Error(`it was not ready within ${request.ready_timeout_seconds} s`);
    });
    late.catch(() => {});
    await Promise.race([ready, late]);
    // First all that can fail, such as on a full disk; then the change-over and its state file at once.
    state = prepareState(release, nextServer ? request.port : publicPort());
    if (promisedPort && !nextServer) publicServer = await takeSocket(release);
    renameSync("state.json.new", "state.json");
  } catch (error) {
    nextServer?.close();
    if (publicServer !== previousServer) publicServer.close(); // the predecessor's, which keeps it
    publicServer = previousServer;
    active = previous;
    stopRelease(release);
    throw error;
  }
  active = release;
  if (nextServer) publicServer = nextServer;
  if (promisedPort) {
    promisedPort = null;
    process.send({ type: "took over" });
    process.disconnect();
  }
  if (nextServer && previousServer) closeServer(previousServer);
  if (previous) drain(previous, request.drain_seconds);
  log(`release ${request.state.digest} of ${request.state.namespace}/${request.state.name} answers at port ${state.port}`);
  return state;
}

async function stop(seconds) {
  if (stopping) return;
  stopping = true;
  if (publicServer) closeServer(publicServer);
  await Promise.all([...releases].map(async (release) => {
    const end = Date.now() + seconds * 1000;
    while (release.requests > 0 && Date.now() < end) await sleep(20);
    stopRelease(release);
  }));
  control.close();
  setTimeout(() => process.exit(0), 20); // children get SIGTERM first; the socket's last answer goes out
}

/** Gives the listening socket to another version of this program, which answers once it has a release of its own. */
async function handOver({ node, script, node_options: options }) {
  await new Promise((resolve) => control.close(resolve)); // frees the name control.sock
  control.closeAllConnections();
  const successor = spawn(node, [...options, script, functionDirectory, `after:${publicPort()}`], { detached: true, env: process.env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  successor.on("message", ({ type }) => {
    if (type === "give") return successor.send({ type: "socket" }, publicServer);
    log(`process ${successor.pid} took over`);
    successor.removeAllListeners("exit");
    control.removeAllListeners("close");
    stop(active?.request.drain_seconds ?? 5);
  });
  successor.once("exit", () => openControl()); // it failed: this process stays in charge
}

// ---- control -------------------------------------------------------------------------------------------------------------

function answerControl(request, response) {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", async () => {
    const send = (status, value) => {
      const body = JSON.stringify(value);
      response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body), connection: "close" });
      response.end(body);
    };
    try {
      const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString("utf8")) : {};
      if (request.url === "/status")
        return send(200, { process_id: process.pid, port: publicPort(), runtime_directory: runtimeDirectory, state: active?.request.state ?? null, directories: [...releases].map((release) => release.request.directory) });
      if (request.url === "/deploy") {
        const result = busy.then(() => deploy(body)); // one at a time, also when the asker is gone
        busy = result.catch(() => {});
        return send(200, await result);
      }
      if (request.url === "/hand-over") {
        send(200, {});
        return response.once("close", () => handOver(body));
      }
      if (request.url === "/stop") {
        send(200, {});
        return stop(body.drain_seconds ?? 5);
      }
      return send(404, { cause: `no such control request: ${request.url}` });
    } catch (error) {
      log(`${request.url}: ${error.message}`);
      return send(422, { cause: error.message, code: error.code });
    }
  });
}

let control;
async function openControl() {
  control = createServer({ requestTimeout: 0, keepAliveTimeout: 1 }, answerControl);
  rmSync("control.sock", { force: true });
  await listen(control, "control.sock");
  chmodSync("control.sock", 0o600);
}

process.on("SIGTERM", () => stop(5));
process.on("SIGINT", () => stop(5));
process.on("SIGHUP", () => {});
process.on("uncaughtException", (error) => log(`fault in the front, it goes on: ${error.stack ?? error}`));

if (wantedPort.startsWith("after:")) {
  promisedPort = Number(wantedPort.slice("after:".length));
  process.once("disconnect", () => {
    if (promisedPort !== null) process.exit(1);
  });
} else {
  try {
    publicServer = await listen(newServer(), Number(wantedPort), "127.0.0.1");
  } catch (error) {
    log(`port ${wantedPort}: ${error.code ?? error.message}`);
    process.exit(error.code === "EADDRINUSE" || error.code === "EACCES" ? 4 : 1);
  }
}
await openControl();
const idle = setInterval(() => {
  if (active === null && releases.size === 0) process.exit(0);
}, IDLE_SECONDS * 1000);
idle.unref();
