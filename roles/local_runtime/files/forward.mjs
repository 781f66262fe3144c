// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** Sends a request to a backend and its answer back, byte for byte and without holding a body in memory. */

import { request as httpRequest } from "node:http";
import { pipeline } from "node:stream";
import "./interfaces/header_bytes.mjs";
import { CONNECTION_HEADERS, PACKED_HEADERS, unpackHeaders } from "./interfaces/names.mjs";

const ANSWER_HEAD_BYTES = 1 << 20;

/**
 * With this cookie the page of the hosted service knows who signed in (service/page/session.py). A browser sends the
 * cookies of a host to all of its ports, and functions are ports of the same machine.
 */
const SESSION_COOKIE = "wasmfaas_session";

/** The pairs of Node's `rawHeaders` without those that concern one connection only, and without the page's session. */
function pairs(rawHeaders, without = new Set()) {
  const kept = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index].toLowerCase();
    const value = name === "cookie" ? withoutSession(rawHeaders[index + 1]) : rawHeaders[index + 1];
    if (!CONNECTION_HEADERS.has(name) && !without.has(name) && value !== null) kept.push(name, value);
  }
  return kept;
}

/** What a header Cookie says beside the session; null where that is nothing. */
function withoutSession(cookies) {
  if (!cookies.includes(SESSION_COOKIE)) return cookies;
  return cookies.split(";").filter((cookie) => cookie.split("=")[0].trim() !== SESSION_COOKIE).join(";").trim() || null;
}

/**
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 * @param {{port: number, host?: string, headers: Record<string, string>, failed: (error: Error) => void}} options `host` stands for the
 *   request's own Host, `headers` are added or replaced; `failed` is told why there is no (whole) answer
 */
export function forward(request, response, { port, host, headers, failed }) {
  const added = Object.entries(headers).flat();
  const hostHeader = host ?? request.headers.host ?? "localhost";
  // A body of unknown length stays one, whatever the method.
  const framing = "transfer-encoding" in request.headers ? ["transfer-encoding", "chunked"] : [];
  const upstream = httpRequest({
    host: "127.0.0.1",
    port,
    method: request.method,
    path: request.url,
    headers: ["host", hostHeader, ...pairs(request.rawHeaders, new Set(["host", ...Object.keys(headers)])), ...added, ...framing],
    agent: false, // a kept connection may be closed by the backend just as it is used
    maxHeaderSize: ANSWER_HEAD_BYTES,
  });
  upstream.on("error", failed);
  upstream.on("response", (incoming) => {
    const packed = incoming.headers[PACKED_HEADERS];
    response.writeHead(incoming.statusCode, pairs(packed === undefined ? incoming.rawHeaders : unpackHeaders(packed)));
    response.flushHeaders();
    pipeline(incoming, response, (error) => error && failed(error));
  });
  response.once("close", () => upstream.destroy());
  request.pipe(upstream);
}
