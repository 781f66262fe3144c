// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * The first process of a pod. It starts the local runtime's front.mjs and gives it port 80 of all the pod's addresses,
 * as an earlier process of front.mjs gives its socket to the next. Nothing listens there until a release answers. When
 * its standard input ends, it ends with all processes of the pod.
 *
 *   node pod.mjs FRONT_SCRIPT FUNCTION_DIRECTORY
 */

import { spawn } from "node:child_process";
import { createServer } from "node:net";

const PORT = 80;
const [script, directory] = process.argv.slice(2);
const front = spawn(process.execPath, [...process.execArgv, script, directory, `after:${PORT}`], {
  stdio: ["ignore", "inherit", "inherit", "ipc"],
});
const server = createServer((connection) => connection.destroy());
front.on("message", ({ type }) => {
  if (type === "give") server.listen(PORT, "0.0.0.0", () => front.send({ type: "socket" }, server));
  else if (type === "took over") server.close();
});
front.on("exit", (code) => process.exit(code ?? 1));
process.stdin.on("end", () => process.kill(-process.pid, "SIGKILL")).resume();
