// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Cuts off an answer that a component began and did not finish, so that its caller sees that it is not whole (wasi:http 0.2.0,
 * types.wit, outgoing-body).
 *
 * An extension of preview2-shim's thread for input and output, which sends the answers of components.
 */

import { subscribe } from "node:diagnostics_channel";

const responses = new WeakMap(); // by the stream of their body
subscribe("http.server.request.start", ({ response }) => response.once("pipe", (body) => responses.set(body, response)));

export default ({ getStream }) =>
  async (operation, [streamId]) => {
    if (operation !== "cut off") return;
    let body;
    try {
      body = getStream(streamId);
    } catch {
      return; // the caller went away before
    }
    const response = responses.get(body);
    if (!response) return;
    body.unpipe(response);
    const rest = body.read();
    if (rest !== null) response.write(rest);
    response.socket?.destroySoon(); // after what was written, but without the end of the body
  };
