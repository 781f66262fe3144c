// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// What the function answers; uses only the Request and Response of the web platform, so that Node.js can test it.

const GREETINGS = new Map([
  ["de", "Hallo"],
  ["en", "Hello"],
  ["fr", "Bonjour"],
  ["ja", "こんにちは"],
]);

/**
 * Greets the caller in the first language of Accept-Language that it knows: `/` the world, `/hello/<name>` a person.
 * @param {Request} request
 * @returns {Promise<Response>}
 */
export async function answer(request) {
  if (request.method !== "GET") {
    return Response.json({ error: `${request.method} is not supported here.` }, { status: 405, headers: { allow: "GET" } });
  }
  const path = new URL(request.url).pathname;
  const name = path === "/" ? "world" : nameIn(path);
  if (!name) {
    return Response.json({ error: `There is nothing at ${path}. Try / or /hello/Ada.` }, { status: 404 });
  }
  const language = chooseLanguage(request.headers.get("accept-language") ?? "");
  return Response.json(
    { message: `${GREETINGS.get(language)}, ${name}!` },
    { headers: { "content-language": language, vary: "accept-language" } },
  );
}

function nameIn(path) {
  try {
    return decodeURIComponent(/^\/hello\/([^/]+)$/.exec(path)?.[1] ?? "");
  } catch {
    return ""; // a stray "%" is no name
  }
}

/**
 * Picks the known language of the highest weight; the earlier one if weights are equal (RFC 9110, 12.5.4).
 * @param {string} header value of Accept-Language, such as "fr-CH, de;q=0.8"
 * @returns {string} a key of GREETINGS, "en" if none fits
 */
export function chooseLanguage(header) {
  const wanted = header
    .split(",")
    .map((part) => {
      const [tag, ...parameters] = part.trim().toLowerCase().split(";");
      const weight = parameters.map((parameter) => /^\s*q=([\d.]+)\s*$/.exec(parameter)?.[1]).find(Boolean);
      return { language: tag.trim().split("-")[0], weight: weight === undefined ? 1 : Number(weight) };
    })
    .filter(({ language, weight }) => GREETINGS.has(language) && weight > 0)
    .sort((one, other) => other.weight - one.weight);
  return wanted[0]?.language ?? "en";
}
