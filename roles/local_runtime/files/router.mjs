// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Spin's routing: which component answers a path, and the headers that it then sees.
 *
 * Rules ported from spinframework/spin crates/routes/src/lib.rs (parse_route, sanitize, trailing_wildcard),
 * crates/trigger-http/src/headers.rs (compute_default_headers), and the crate routefinder 0.5.4 that they
 * rest on (src/route_spec.rs, src/segment.rs: parsing, matching, precedence).
 */

export const WELL_KNOWN_PREFIX = "/.well-known/spin/";

const trimSlashes = (text) => text.replace(/^\/+/, "").replace(/\/+$/, "");

/** @returns {{kind: "slash"|"dot"|"exact"|"parameter"|"wildcard", text?: string}[]} */
function parseSegments(route) {
  const source = trimSlashes(route);
  const segments = [];
  let last = 0;
  const ends = [...source.matchAll(/[./]/g)].map((match) => match.index).concat(source.length);
  for (const end of ends) {
    const before = last === 0 ? null : source[last - 1];
    const section = source.slice(last, end);
    last = end + 1;
    let segment = null;
    if (section === "*") segment = { kind: "wildcard" };
    else if (section.startsWith("*")) throw new Error(`route ${route}: a wildcard has no name; write "*" for "${section}"`);
    else if (section === ":") throw new Error(`route ${route}: a path parameter needs a name`);
    else if (section.startsWith(":")) segment = { kind: "parameter", text: section.slice(1) };
    else if (section !== "") segment = { kind: "exact", text: section };
    if (before === ".") {
      const previous = segments.at(-1);
      if (previous?.kind === "exact") previous.text += ".";
      else segments.push({ kind: "dot" });
    }
    if (segment) {
      if (before === "/") segments.push({ kind: "slash" });
      segments.push(segment);
    }
  }
  return segments;
}

/** @returns {{captures: string[]} | null} */
function matchSegments(segments, path) {
  let rest = trimSlashes(path);
  const captures = [];
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    switch (segment.kind) {
      case "exact":
        if (!rest.startsWith(segment.text)) return null;
        rest = rest.slice(segment.text.length);
        break;
      case "parameter": {
        if (rest === "") return null;
        const stop = rest.search(next?.kind === "dot" ? /[./]/ : /\//);
        if (next?.kind === "dot" && rest[stop] !== ".") return null;
        const value = stop < 0 ? rest : rest.slice(0, stop);
        captures.push(value);
        rest = rest.slice(value.length);
        break;
      }
      case "wildcard":
        captures.push(rest);
        rest = "";
        break;
      case "slash":
        if (rest.startsWith("/") && next) rest = rest.slice(1);
        else if (rest === "" && (!next || next.kind === "wildcard")) break;
        else return null;
        break;
      case "dot":
        if (!rest.startsWith(".")) return null;
        rest = rest.slice(1);
        break;
    }
  }
  return rest === "" || rest === "/" ? { captures } : null;
}

/** routefinder's `impl Ord for Segment`: positive = `mine` is the more specific one. */
function compareSegment(mine, theirs) {
  if (mine === theirs || (["slash", "dot"].includes(mine) && ["slash", "dot"].includes(theirs))) return 0;
  if (mine === "dot" || mine === "exact") return 1;
  if (mine === "parameter") return theirs === "exact" ? -1 : 1;
  if (mine === "wildcard") return theirs === "exact" || theirs === "parameter" ? -1 : 1;
  return -1;
}

/** Best route first (routefinder's `impl Ord for RouteSpec`, which is reversed there). */
function compareRoutes(mine, theirs) {
  const length = Math.min(mine.segments.length, theirs.segments.length);
  for (let index = 0; index < length; index++) {
    const order = compareSegment(mine.segments[index].kind, theirs.segments[index].kind);
    if (order) return -order;
  }
  const dots = (route) => route.segments.filter((segment) => segment.kind === "dot").length;
  return dots(theirs) - dots(mine) || mine.segments.length - theirs.segments.length;
}

/**
 * @param {object[]} triggers the `triggers` of a locked application whose trigger_type is "http"
 * @returns {(path: string) => {trigger: object, rawRoute: string, basedRoute: string, trailing: string, named: Record<string, string>} | null}
 */
export function buildRouter(triggers) {
  const byRoute = new Map();
  for (const trigger of triggers) {
    const route = trigger.trigger_config.route;
    // `{private = true}`: reachable only by service chaining. A later trigger with the same route replaces an earlier one.
    if (typeof route === "string") byRoute.set(route, trigger);
  }
  const routes = [];
  for (const [rawRoute, trigger] of byRoute) {
    const absolute = rawRoute.startsWith("/") ? rawRoute : `/${rawRoute}`;
    const basedRoute = absolute.replace(/\/$/, "");
    const pattern = basedRoute.endsWith("/...") ? `${basedRoute.slice(0, -4)}/*` : basedRoute;
    routes.push({ trigger, rawRoute, basedRoute, segments: parseSegments(pattern) });
  }
  routes.sort(compareRoutes);
  return (path) => {
    for (const route of routes) {
      const match = matchSegments(route.segments, path);
      if (!match) continue;
      const named = {};
      let trailing = "";
      const capturing = route.segments.filter((segment) => segment.kind === "parameter" || segment.kind === "wildcard");
      for (const [index, segment] of capturing.entries()) {
        const value = match.captures[index];
        if (segment.kind === "parameter") named[segment.text] = value;
        // Spin keeps a trailing slash that routefinder drops.
        else trailing = `${value === "" ? "" : `/${value}`}${path.endsWith("/") ? "/" : ""}`;
      }
      return { trigger: route.trigger, rawRoute: route.rawRoute, basedRoute: route.basedRoute, trailing, named };
    }
    return null;
  };
}

/** A match as if the path had been asked of `/...` (Spin's RouteMatch::synthetic): service chaining. */
export const chainedMatch = (path) => ({ rawRoute: "/...", basedRoute: "/...", trailing: path, named: {} });

/**
 * The headers that Spin adds to a request.
 *
 * @param {{rawRoute: string, basedRoute: string, trailing: string, named: Record<string, string>}} match
 * @param {{host: string | undefined, url: string, clientAddress: string}} request `url` is path and query, `clientAddress` is `host:port`
 */
export function spinHeaders(match, { host, url, clientAddress }) {
  const headers = {
    "spin-path-info": match.trailing,
    "spin-full-url": `http://${host ?? "localhost"}${url}`,
    "spin-matched-route": match.basedRoute,
    "spin-base-path": "/",
    "spin-raw-component-route": match.rawRoute,
    "spin-component-route": match.rawRoute.replace(/\/\.\.\.$/, ""),
    "spin-client-addr": clientAddress,
  };
  for (const [name, value] of Object.entries(match.named)) headers[`spin-path-match-${name.toLowerCase()}`] = value;
  return headers;
}
