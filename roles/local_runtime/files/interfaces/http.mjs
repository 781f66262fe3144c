// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * What the component's own HTTP requests may reach, and three repairs of preview2-shim's server.
 */

import { http } from "@bytecodealliance/preview2-shim";
import { parseAllowedHost, WELL_KNOWN_PORTS } from "./allowed_hosts.mjs";
import { REPEATED_HEADERS } from "./names.mjs";

const CHAINING = /^([^.]+)\.spin\.internal$/;

/**
 * @param {string[]} allowedHosts items of allowed_outbound_hosts, expanded, none empty
 * @param {{port: number, token: string}} front where requests to the function itself and to its other components go
 * @param {(message: string) => void} log
 */
export function outgoingHandler(allowedHosts, front, log) {
  const rules = allowedHosts.map(parseAllowedHost);
  const allowed = (scheme, host, port) => rules.some((rule) => rule(scheme, host, port));
  return {
    handle(request, options) {
      const scheme = (request.scheme()?.val ?? request.scheme()?.tag ?? "HTTPS").toLowerCase();
      const authority = (request.authority() ?? "").toLowerCase();
      const [, host, port] = /^(.*?)(?::(\d+))?$/.exec(authority);
      const asked = port ? Number(port) : WELL_KNOWN_PORTS[scheme];
      const relative = authority === "" || host === "self.alt";
      const chained = CHAINING.exec(host)?.[1];
      if (!allowed(scheme, relative ? "self" : host, asked)) {
        log(`A component tried to make a request to ${scheme}://${authority || "self"}: add it to allowed_outbound_hosts of the component in spin.toml.`);
        throw { tag: "HTTP-request-denied" };
      }
      if (relative || chained) {
        request.setScheme({ tag: "HTTP" });
        request.setAuthority(`127.0.0.1:${front.port}`);
        if (chained) request.setPathWithQuery(`/.well-known/wasmfaas-chain/${front.token}/${chained}${request.pathWithQuery() ?? "/"}`);
      }
      return http.outgoingHandler.handle(request, options);
    },
  };
}

const encode = (text) => new TextEncoder().encode(text);
const decode = (bytes) => new TextDecoder().decode(bytes);
// The classes themselves are changed, not derived from: preview2-shim and jco check for them by instanceof.
const { Fields, OutgoingBody, OutgoingResponse, ResponseOutparam } = http.types;

const bodyAsked = new WeakSet();
const originalBody = OutgoingResponse.prototype.body;
OutgoingResponse.prototype.body = function () {
  bodyAsked.add(this);
  return originalBody.call(this);
};

/** Outcomes given so far, so that a trap after the response does not make a second one. */
export const answered = new WeakSet();

const originalSet = ResponseOutparam.set;
ResponseOutparam.set = (parameter, result) => {
  if (result.tag === "err") {
    // preview2-shim ends the process here; Spin answers 500.
    console.error(`[wasmfaas] the component gave an error instead of a response: ${JSON.stringify(result.val)}`);
    return answer(parameter, 500, "");
  }
  answered.add(parameter);
  const response = result.val;
  const headers = response.headers();
  const count = new Map();
  for (const [name] of headers.entries()) count.set(name.toLowerCase(), (count.get(name.toLowerCase()) ?? 0) + 1);
  const repeated = [...count].filter(([, times]) => times > 1).map(([name]) => [name, headers.get(name).map(decode)]);
  if (repeated.length) headers.entries().push([REPEATED_HEADERS, encode(encodeURIComponent(JSON.stringify(repeated)))]);
  // A response whose body was never asked for: the server wants one to end the answer.
  const body = bodyAsked.has(response) ? null : response.body();
  originalSet(parameter, result);
  if (body) OutgoingBody.finish(body);
};

/** A whole answer made by the runtime itself. */
export function answer(parameter, status, text) {
  const headers = new Fields();
  headers.set("content-type", [encode("text/plain; charset=utf-8")]);
  const response = new OutgoingResponse(headers);
  response.setStatusCode(status);
  const body = response.body();
  const stream = body.write();
  ResponseOutparam.set(parameter, { tag: "ok", val: response });
  if (text) stream.blockingWriteAndFlush(encode(text));
  stream[Symbol.dispose]?.();
  OutgoingBody.finish(body);
}
