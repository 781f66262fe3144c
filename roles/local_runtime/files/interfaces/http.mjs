// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * What the component's own HTTP requests may reach, and repairs of preview2-shim's server.
 */

import { http, io } from "@bytecodealliance/preview2-shim";
import { _forbiddenHeaders } from "@bytecodealliance/preview2-shim/http";
import { callExtension, outputStreamId } from "@bytecodealliance/preview2-shim/io-worker";
import { parseAllowedHost, WELL_KNOWN_PORTS } from "./allowed_hosts.mjs";
import { CONNECTION_HEADERS, PACKED_HEADERS, packHeaders } from "./names.mjs";

const CHAINING = /^([^.]+)\.spin\.internal$/;

/**
 * Rules of spinframework/spin v4.0.2, crates/factor-outbound-http/src/wasi.rs (prepare_request) and
 * crates/trigger-http/src/outbound_http.rs.
 *
 * @param {string[]} allowedHosts items of allowed_outbound_hosts, expanded, none empty
 * @param {{port: number, token: string}} front where requests to the function itself and to its other components go
 * @param {string[]} components ids of the function's components that answer requests; a call to another one is a trap
 * @param {(message: string) => void} log
 */
export function outgoingHandler(allowedHosts, front, components, log) {
  const rules = allowedHosts.map(parseAllowedHost);
  const allowed = (scheme, host, port) => rules.some((rule) => rule(scheme, host, port));
  return {
    handle(request, options) {
      const scheme = (request.scheme()?.val ?? request.scheme()?.tag ?? "HTTPS").toLowerCase();
      const authority = request.authority() ?? "";
      const [, host, port] = /^(.*?)(?::(\d+))?$/.exec(authority);
      const asked = port ? Number(port) : WELL_KNOWN_PORTS[scheme];
      const itself = host === "" || host === "self.alt";
      const chained = CHAINING.exec(host)?.[1];
      const permitted = itself ? allowed("http", "self") || allowed("https", "self") : allowed(scheme, host.toLowerCase(), asked);
      if (!permitted) {
        log(`A component tried to make a request to ${scheme}://${itself ? "self" : authority}: add it to allowed_outbound_hosts of the component in spin.toml.`);
        throw { tag: "HTTP-request-denied" };
      }
      if (chained && !components.includes(chained)) throw new Error(`unknown routing destination '${chained}'`);
      const path = request.pathWithQuery() ?? "/";
      if (itself || chained) {
        request.setScheme({ tag: "HTTP" });
        request.setAuthority(`127.0.0.1:${front.port}`);
        request.setPathWithQuery(chained ? `/.well-known/wasmfaas-chain/${front.token}/${chained}${path}` : path);
      }
      for (const entry of request.headers().entries()) entry[1] = textOfBytes(entry[1]);
      return http.outgoingHandler.handle(request, options);
    },
  };
}

const encode = (text) => new TextEncoder().encode(text);
// The classes themselves are changed, not derived from: preview2-shim and jco check for them by instanceof.
const { Fields, FutureIncomingResponse, OutgoingBody, OutgoingRequest, OutgoingResponse, ResponseOutparam } = http.types;
CONNECTION_HEADERS.forEach((name) => _forbiddenHeaders.add(name));

callExtension(new URL("./header_bytes.mjs", import.meta.url), "load", []);
// preview2-shim takes header values for text; components give and get bytes, which need not be any.
const bytesOfText = (bytes) => Buffer.from(new TextDecoder().decode(bytes), "latin1"); // the text has a character for each byte
const textOfBytes = (bytes) => encode(Buffer.from(bytes).toString("latin1"));

/** Turns the values of headers that preview2-shim received into what was sent. */
export function restoreHeaders(fields) {
  for (const entry of fields.entries()) entry[1] = new Uint8Array(bytesOfText(entry[1]));
}

/** As HeaderValue::from_bytes of the crate http 1.3.1: all but control characters, a tab excepted. */
const isValue = (bytes) => bytes.every((byte) => (byte >= 32 && byte !== 127) || byte === 9);

const originalAppend = Fields.prototype.append;
Fields.prototype.append = function (name, value) {
  if (!isValue(value)) throw { tag: "invalid-syntax" };
  originalAppend.call(this, name, new Uint8Array());
  this.entries().at(-1)[1] = value;
};
const originalSetFields = Fields.prototype.set;
Fields.prototype.set = function (name, values) {
  if (!values.every(isValue)) throw { tag: "invalid-syntax" };
  originalSetFields.call(this, name, values.map(() => new Uint8Array()));
  values.forEach((value, index) => (this.entries().at(index - values.length)[1] = value));
};
const originalSetAuthority = OutgoingRequest.prototype.setAuthority;
OutgoingRequest.prototype.setAuthority = function (authority) {
  // Spin's SDK for Python writes ":443" for a relative request, which preview2-shim refuses.
  originalSetAuthority.call(this, /^:\d*$/.test(authority ?? "") ? undefined : authority);
};
const originalGet = FutureIncomingResponse.prototype.get;
FutureIncomingResponse.prototype.get = function () {
  const result = originalGet.call(this);
  if (result?.tag === "ok" && result.val.tag === "ok") restoreHeaders(result.val.val.headers());
  return result;
};

const unfinishedAnswers = new URL("./unfinished_answers.mjs", import.meta.url);
callExtension(unfinishedAnswers, "load", []);

const bodies = new WeakMap(); // of responses
const streams = new WeakMap(); // of the bodies of responses
const pollables = new WeakMap(); // of these streams
const finished = new WeakSet(); // bodies
const originalBody = OutgoingResponse.prototype.body;
OutgoingResponse.prototype.body = function () {
  const body = originalBody.call(this);
  bodies.set(this, body);
  streams.set(body, null);
  return body;
};
const originalWrite = OutgoingBody.prototype.write;
OutgoingBody.prototype.write = function () {
  const stream = originalWrite.call(this);
  if (streams.has(this)) streams.set(this, stream);
  return stream;
};
const { OutputStream } = io.streams;
const originalSubscribe = OutputStream.prototype.subscribe;
OutputStream.prototype.subscribe = function () {
  const pollable = originalSubscribe.call(this);
  if (!pollables.has(this)) pollables.set(this, []);
  pollables.get(this).push(pollable);
  return pollable;
};
const originalFinish = OutgoingBody.finish;
OutgoingBody.finish = (body, trailers) => {
  originalFinish(body, trailers);
  finished.add(body);
};
const originalDispose = OutgoingBody.prototype[Symbol.dispose];
OutgoingBody.prototype[Symbol.dispose] = function () {
  // preview2-shim's server ends the stream of a response itself, and its process where that is gone; see `endAnswer`.
  if (!streams.has(this)) originalDispose.call(this);
};

const answers = new WeakMap(); // responses by their ResponseOutparam

/**
 * Called when the component has returned or trapped: cuts its answer off where it did not finish it, as Spin does.
 *
 * What a trap left behind is released: preview2-shim's server would end this process because of it.
 *
 * @returns {boolean} whether the answer is whole
 */
export function endAnswer(parameter) {
  const body = bodies.get(answers.get(parameter));
  if (!body) return true;
  const stream = streams.get(body) ?? body.write();
  for (const pollable of pollables.get(stream) ?? []) pollable[Symbol.dispose](); // nothing where the component released it
  if (finished.has(body)) return true;
  callExtension(unfinishedAnswers, "cut off", [outputStreamId(stream)]);
  return false;
}

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
  const headers = response.headers().entries();
  const packed = packHeaders(headers);
  // A response whose body was never asked for: the server wants one to end the answer.
  const body = bodies.has(response) ? null : response.body();
  answers.set(parameter, response);
  headers.splice(0, headers.length, [PACKED_HEADERS, encode(packed)]);
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
