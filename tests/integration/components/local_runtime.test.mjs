// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Rules of Spin that the local runtime repeats; the cases marked "Spin" are those of spinframework/spin crates/routes/src/lib.rs,
// crates/trigger-http/src/headers.rs and crates/outbound-networking-config/src/allowed_hosts.rs.

import assert from "node:assert/strict";
import { createServer, get } from "node:http";
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { test } from "node:test";
import { forward } from "../../../roles/local_runtime/files/forward.mjs";
import { expandChaining, parseAllowedHost } from "../../../roles/local_runtime/files/interfaces/allowed_hosts.mjs";
import { numberParameters } from "../../../roles/local_runtime/files/interfaces/sqlite.mjs";
import { expand, resolver, variablesInterfaces } from "../../../roles/local_runtime/files/interfaces/variables.mjs";
import { Masked } from "../../../roles/local_runtime/files/masked.mjs";
import { buildRouter, spinHeaders } from "../../../roles/local_runtime/files/router.mjs";

const router = (routes) => buildRouter(routes.map((route, index) => ({ trigger_config: { component: String(index), route } })));
const chosen = (routes, path) => {
  const match = router(routes)(path);
  return match && routes[Number(match.trigger.trigger_config.component)];
};

test("the most specific route wins, in whatever order", () => {
  for (const [routes, path, expected] of [
    [["/foo", "/foo/bar"], "/foo/bar", "/foo/bar"], // Spin
    [["/foo/...", "/foo/bar"], "/foo/bar", "/foo/bar"],
    [["/foo/...", "/foo/bar/..."], "/foo/bar/baz", "/foo/bar/..."],
    [["/...", "/foo/..."], "/foo", "/foo/..."],
    [["/...", "/foo/..."], "/foobar", "/..."],
    [["/:name", "/foo"], "/foo", "/foo"],
    [["/:name", "/..."], "/foo", "/:name"],
    [["/", "/..."], "/", "/"],
    [["/"], "/x", null],
    [["/foo"], "/foo/", "/foo"],
    [["/foo"], "/foo/x", null],
    [["/foo/:id/..."], "/foo", null],
    [["/a.b/:file.json"], "/a.b/x.json", "/a.b/:file.json"],
    [["/a.b/:file.json"], "/a.b/x.txt", null],
    [[{ private: true }], "/", null],
  ])
    for (const order of [routes, routes.toReversed()]) assert.equal(chosen(order, path), expected, `${order} ${path}`);
});

test("of equal routes the last counts", () => assert.equal(router(["/a", "/a"])("/a").trigger.trigger_config.component, "1"));

test("headers tell the match", () => {
  const headers = (route, path) =>
    spinHeaders(router([route])(path), { host: "fermyon.dev", url: `${path}?k=v`, clientAddress: "127.0.0.1:8777" });
  assert.deepEqual(headers("/foo/:userid/...", "/foo/42/bar"), {
    "spin-path-info": "/bar",
    "spin-full-url": "http://fermyon.dev/foo/42/bar?k=v",
    "spin-matched-route": "/foo/:userid/...",
    "spin-base-path": "/",
    "spin-raw-component-route": "/foo/:userid/...",
    "spin-component-route": "/foo/:userid",
    "spin-client-addr": "127.0.0.1:8777",
    "spin-path-match-userid": "42",
  }); // Spin
  for (const [path, trailing] of [["/foo", ""], ["/foo/", "/"], ["/foo/bar", "/bar"], ["/foo/bar/", "/bar/"]])
    assert.equal(headers("/foo/...", path)["spin-path-info"], trailing); // Spin
});

test("allowed hosts", () => {
  for (const [item, scheme, host, port, expected] of [
    ["https://spin.fermyon.dev", "https", "spin.fermyon.dev", 443, true],
    ["https://spin.fermyon.dev", "http", "spin.fermyon.dev", 80, false],
    ["https://spin.fermyon.dev:8443", "https", "spin.fermyon.dev", 443, false],
    ["http://localhost:3000..4000", "http", "localhost", 3999, true],
    ["http://localhost:3000..4000", "http", "localhost", 4000, false],
    ["http://*.example.com", "http", "a.b.example.com", 80, true],
    ["http://*.example.com", "http", "example.com", 80, false],
    ["*://*:*", "https", "anything", 1234, true],
    ["http://127.0.0.0/8:*", "http", "127.1.2.3", 99, true],
    ["http://127.0.0.0/8:*", "http", "128.1.2.3", 99, false],
    ["http://self", "http", "self", 80, true],
    ["http://self", "http", "localhost", 80, false],
    ["http://*:*", "http", "self", 80, true],
    ["HTTP://x".toLowerCase(), "http", "x", 80, true],
  ])
    assert.equal(parseAllowedHost(item)(scheme, host, port), expected, `${item} ${scheme}://${host}:${port}`);
  assert.throws(() => parseAllowedHost("example.com"), /has no scheme/);
});

test("a wildcard for chaining stands for the application's components", () =>
  assert.deepEqual(expandChaining(["http://*.spin.internal", "http://*.example.com"], ["a", "b"]), [
    "http://a.spin.internal",
    "http://b.spin.internal",
    "http://*.example.com",
  ])); // Spin

test("secret values are blacked out, also in pieces and line by line", () => {
  const masked = new Masked();
  masked.add(["s3cret", "x", "-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----"]);
  masked.add(["s3cret-and-more"]);
  assert.equal(masked.text("s3cret s3cret-and-more x"), "******** ******** x");
  assert.equal(masked.text("key:\n  abcdefgh\n"), "key:\n  ********\n");
  let written = "";
  const stream = new PassThrough();
  masked.follow(stream, (text) => (written += text));
  for (const piece of ["one s3c", "ret\ntwo\nlast s3cr", "et"]) stream.write(piece);
  stream.end();
  return finished(stream).then(() => assert.equal(written, "one ********\ntwo\nlast ********"));
});

test("parameters of SQL count as in SQLite", () => {
  assert.deepEqual(numberParameters("a=? AND b=?3 AND c=? AND d=:n AND e=:n").sql, "a=:p1 AND b=:p3 AND c=:p4 AND d=:p5 AND e=:p5");
  assert.equal(numberParameters("SELECT '?', \"?\", `?`, [?] -- ?\n/* ? */, ?").count, 1);
});

test("templates", () => {
  const resolve = resolver({ a: { default: "1" }, b: {} }, { b: "2" });
  assert.equal(expand("{{ a }}-{{b}}-{ c }", resolve), "1-2-{ c }");
  assert.throws(() => expand("{{ c }}", resolve), /unknown variable "c"/);
  const { get } = variablesInterfaces({ a: "1" })["fermyon:spin/variables"];
  assert.equal(get("a"), "1");
  for (const [name, tag] of [["b", "undefined"], ["B", "invalid-name"], ["a__b", "invalid-name"], ["a_", "invalid-name"], ["", "invalid-name"]])
    assert.throws(() => get(name), (error) => error.tag === tag);
});

test("a function does not get the session of the hosted service's page", async (context) => {
  const listening = async (handler) => {
    const server = createServer(handler);
    context.after(() => server.close());
    await new Promise((done) => server.listen(0, "127.0.0.1", done));
    return server.address().port;
  };
  const backend = await listening((request, response) => response.end(JSON.stringify(request.headers.cookie ?? null)));
  const failed = (error) => assert.fail(error);
  const front = await listening((request, response) => forward(request, response, { port: backend, headers: {}, failed }));
  const seen = (cookie) =>
    new Promise((done, refused) => {
      get({ host: "127.0.0.1", port: front, headers: { cookie }, agent: false }, async (answer) => {
        done(JSON.parse((await answer.toArray()).join("")));
      }).on("error", refused);
    });
  for (const [cookie, expected] of [
    ["wasmfaas_session=wfs_secret", null],
    ["a=1; wasmfaas_session=wfs_secret; b=2", "a=1; b=2"],
    ["wasmfaas_session=wfs_secret; a=1", "a=1"],
    ["a=1;wasmfaas_session=x", "a=1"],
    [" wasmfaas_session =x; a=wasmfaas_session", "a=wasmfaas_session"],
    ["wasmfaas_session", null],
    ["wasmfaas_session_of_mine=1", "wasmfaas_session_of_mine=1"],
    ["a=1; b=2", "a=1; b=2"],
  ]) {
    assert.equal(await seen(cookie), expected, cookie);
  }
});
