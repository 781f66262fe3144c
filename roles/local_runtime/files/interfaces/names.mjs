// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** What the front and the backends agree on; apart, as the front does not load the WASI host. */

/**
 * Header in which all headers of an answer travel to the front: preview2-shim's server keeps only the last of each name and takes
 * values for text.
 */
export const PACKED_HEADERS = "wasmfaas-headers";

/** @param {[string, Uint8Array][]} entries @returns {string} */
export const packHeaders = (entries) =>
  Buffer.from(JSON.stringify(entries.flatMap(([name, value]) => [name, Buffer.from(value).toString("latin1")]))).toString("base64");

/** @returns {string[]} names and values in turn, a character for each byte, as in Node's `rawHeaders` */
export const unpackHeaders = (packed) => JSON.parse(Buffer.from(packed, "base64").toString("utf8"));

/**
 * Headers that concern one connection only: components neither see nor set them (DEFAULT_FORBIDDEN_HEADERS of wasmtime-wasi-http
 * 44.0.0, which Spin 4.0.2 uses; its "host" is left out, as a backend needs it).
 */
export const CONNECTION_HEADERS = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);
