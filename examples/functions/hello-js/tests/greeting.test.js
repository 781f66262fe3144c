// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Tests what hello-js answers; needs Node.js only, neither Spin nor WebAssembly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, chooseLanguage } from "../src/greeting.js";

const ask = (path, options = {}) => answer(new Request(`http://localhost${path}`, options));

for (const [path, message] of [
  ["/", "Hello, world!"],
  ["/?name=ignored", "Hello, world!"],
  ["/hello/Ada", "Hello, Ada!"],
  ["/hello/Zo%C3%AB", "Hello, Zoë!"],
]) {
  test(`GET ${path} greets`, async () => {
    const response = await ask(path);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.deepEqual(await response.json(), { message });
  });
}

test("greets in the language that was asked for", async () => {
  const response = await ask("/hello/Ada", { headers: { "accept-language": "fr-CH, en;q=0.5" } });
  assert.equal(response.headers.get("content-language"), "fr");
  assert.deepEqual(await response.json(), { message: "Bonjour, Ada!" });
});

for (const [header, language] of [
  ["", "en"],
  ["pt", "en"],
  ["de", "de"],
  ["DE-at", "de"],
  ["en;q=0.1, ja", "ja"],
  ["fr;q=0.4, de;q=0.9", "de"],
  ["fr, de", "fr"],
  ["fr;q=0, de;q=0.1", "de"],
  ["pt;q=1, fr;level=1;q=0.2", "fr"],
  [";;,q=,*", "en"],
]) {
  test(`Accept-Language "${header}" gives ${language}`, () => {
    assert.equal(chooseLanguage(header), language);
  });
}

for (const path of ["/hello", "/hello/", "/hello/a/b", "/elsewhere", "/hello/%"]) {
  test(`GET ${path} says what exists`, async () => {
    const response = await ask(path);
    assert.equal(response.status, 404);
    assert.match((await response.json()).error, /\/hello\/Ada/);
  });
}

test("refuses other methods", async () => {
  const response = await ask("/", { method: "POST", body: "x" });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get("allow"), "GET");
});
