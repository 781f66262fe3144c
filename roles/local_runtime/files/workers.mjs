// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * The processes that run one component (or the one of Spin for all): which of them gets a request, and what happens to one that
 * dies, grows or hangs.
 *
 * A process of a component handles one request at a time. It says "begun" before and "finished" after it enters the component, so
 * the front knows what a process is at, also when an endless loop keeps it from saying anything more.
 */

import { setTimeout as sleep } from "node:timers/promises";

const CROWDED_MILLISECONDS = 1000; // a request that waits longer gets another process
const IDLE_MILLISECONDS = 10_000; // after that long without a request, all but one process end
const LOST_MILLISECONDS = 1000; // for a request whose caller went away before it reached the component
const RESTARTS_PER_MINUTE = 5;

/** Kills a child and, where it leads a process group of its own, the group. */
export function kill(child, signal = "SIGTERM") {
  if (child.exitCode !== null || child.signalCode !== null) return;
  try {
    if (child.leadsGroup) process.kill(-child.pid, signal);
    else child.kill(signal);
  } catch {
    // it ended meanwhile
  }
}

export class Workers {
  /** Whether requests are answered: a process is ready, or one that hung is being replaced. */
  up = false;
  #key;
  #start;
  #most;
  #serial;
  #log;
  #drainSeconds;
  #stopped;
  #ready = new Set();
  #starting = 0;
  #waiting = []; // exchanges that no process has yet, the oldest first
  #deaths = [];
  #down = false;

  /**
   * @param {object} options
   * @param {string} options.key name for the log
   * @param {(urgent: boolean) => Promise<{child: import("node:child_process").ChildProcess, port: number}>} options.start starts a process,
   *   `urgent` where requests wait for it; rejects when it ends before it is ready
   * @param {number} options.most how many processes there may be
   * @param {boolean} options.serial whether a process handles one request at a time and tells "begun" and "finished"
   * @param {(message: string) => void} options.log
   * @param {number} options.drainSeconds how long requests may go on in a process that has grown
   * @param {() => boolean} options.stopped whether the release is stopped
   */
  constructor({ key, start, most, serial, log, drainSeconds, stopped }) {
    [this.#key, this.#start, this.#most, this.#serial, this.#log, this.#drainSeconds, this.#stopped] = [key, start, most, serial, log, drainSeconds, stopped];
  }

  /** Starts the first process; rejects when it ends before it is ready. */
  async begin() {
    this.#starting++;
    try {
      this.#watch(await this.#start(this.#waiting.length > 0));
    } finally {
      this.#starting--;
    }
    this.#next();
  }

  /**
   * Gives a request to a process as soon as one can take it.
   *
   * @param {{run: (port: number) => void, refuse: () => void, settled: () => void}} exchange `run` sends it to a process, `refuse` is
   *   called where none will take it any more, `settled` once the component has nothing to do with it any more
   */
  give(exchange) {
    this.#waiting.push(exchange);
    this.#next();
    if (this.#waiting.includes(exchange)) this.#crowded(exchange);
  }

  /** The caller has its answer or went away. */
  closed(exchange) {
    const { worker } = exchange;
    if (!worker) {
      this.#waiting = this.#waiting.filter((other) => other !== exchange);
      return exchange.settled();
    }
    worker.open--;
    if (worker.exchange !== exchange) return;
    const lost = setTimeout(() => {
      if (worker.exchange === exchange && !worker.handling) this.#finished(worker);
    }, LOST_MILLISECONDS);
    lost.unref();
  }

  /** The request has taken too long: ends the process that handles it, if one does. */
  expire(exchange) {
    const { worker } = exchange;
    if (worker?.exchange !== exchange) return;
    this.#log(`${this.#key} did not end in time; another process replaces it`);
    this.#retire(worker, "SIGKILL");
    exchange.settled();
    if (this.#ready.size + this.#starting === 0) this.#add();
  }

  #next() {
    if (this.#down) for (const exchange of this.#waiting.splice(0)) exchange.refuse();
    while (this.#waiting.length) {
      const able = [...this.#ready].filter((worker) => !this.#serial || worker.exchange === null);
      // One that still sends an answer may take the next request, but if that one hangs, the answer is cut off.
      const [worker] = able.sort((one, other) => one.open - other.open);
      if (!worker) return;
      const exchange = this.#waiting.shift();
      clearTimeout(worker.idle);
      exchange.worker = worker;
      worker.open++;
      if (this.#serial) worker.exchange = exchange;
      exchange.run(worker.port);
      if (!this.#serial) exchange.settled();
    }
  }

  #crowded(exchange) {
    const timer = setTimeout(() => {
      if (!this.#waiting.includes(exchange)) return;
      if (this.#starting === 0 && this.#ready.size < this.#most) this.#add();
      this.#crowded(exchange);
    }, CROWDED_MILLISECONDS);
    timer.unref();
  }

  #finished(worker) {
    worker.handling = false;
    worker.exchange?.settled();
    worker.exchange = null;
    if (!this.#ready.has(worker)) return;
    clearTimeout(worker.idle);
    worker.idle = setTimeout(() => {
      if (worker.exchange === null && worker.open === 0 && this.#ready.size > 1) this.#retire(worker);
    }, IDLE_MILLISECONDS);
    worker.idle.unref();
    this.#next();
  }

  #retire(worker, signal) {
    worker.retired = true;
    this.#ready.delete(worker);
    kill(worker.child, signal);
  }

  /** Starts another process; tries again where that fails, a few times a minute. */
  async #add() {
    try {
      await this.begin();
    } catch (error) {
      if (this.#stopped()) return;
      this.#log(`${this.#key}: ${error.message}`);
      await this.#died();
    }
  }

  async #died() {
    this.up = this.#ready.size > 0;
    this.#deaths = [...this.#deaths.filter((time) => time > Date.now() - 60_000), Date.now()];
    if (this.#ready.size + this.#starting > 0) return;
    if (this.#deaths.length <= RESTARTS_PER_MINUTE) return this.#add();
    this.#log(`${this.#key} ended more than ${RESTARTS_PER_MINUTE} times in a minute; it stays down until the next deploy`);
    this.#down = true;
    this.#next();
  }

  #watch(worker) {
    const { child } = worker;
    Object.assign(worker, { exchange: null, handling: false, open: 0, retired: false, idle: null });
    if (child.exitCode !== null || child.signalCode !== null) throw new Error("it ended right after it was ready");
    this.#ready.add(worker);
    this.up = true;
    child.once("exit", (code, signal) => {
      this.#ready.delete(worker);
      worker.exchange?.settled();
      if (this.#stopped() || worker.retired) return;
      this.#log(`${this.#key} ended (${signal ?? `exit code ${code}`})`);
      this.#died();
    });
    child.on("message", ({ type }) => {
      if (type === "begun") worker.handling = true;
      else if (type === "finished") this.#finished(worker);
      else if (type === "grown") this.#renew(worker);
    });
  }

  async #renew(grown) {
    this.#log(`${this.#key} has grown; another process replaces it`);
    try {
      const next = await this.#start(false);
      if (this.#stopped() || !this.#ready.has(grown)) return kill(next.child);
      this.#watch(next);
      grown.retired = true;
      this.#ready.delete(grown);
      this.#next();
      const end = Date.now() + this.#drainSeconds * 1000;
      while ((grown.open > 0 || grown.exchange !== null) && Date.now() < end) await sleep(20);
      kill(grown.child);
    } catch (error) {
      this.#log(`${this.#key} could not be replaced: ${error.message}`);
    }
  }
}
