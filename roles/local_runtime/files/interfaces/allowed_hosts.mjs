// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/** What an item of allowed_outbound_hosts allows: rules from spinframework/spin crates/outbound-networking-config/src/allowed_hosts.rs. */

import { BlockList, isIP } from "node:net";

export const WELL_KNOWN_PORTS = { http: 80, https: 443, redis: 6379, mysql: 3306, postgres: 5432, mqtt: 1883 };

/** One item of allowed_outbound_hosts → (scheme, host, port) → allowed?; `self` is the host of relative requests. */
export function parseAllowedHost(item) {
  const text = item.trim();
  const [, scheme, rest] = /^([^:]*):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined) throw new Error(`allowed_outbound_hosts: ${JSON.stringify(item)} has no scheme (write "https://host")`);
  const [, hostText, port] = /^(.*?)(?::([^:\/\]]*)\/?)?$/.exec(rest);
  const host = (isIP(rest.replace(/^\[|\]$/g, "")) ? rest : hostText).replace(/\/$/, "").toLowerCase();
  const range = /^(\d+)\.\.(\d+)$/.exec(port ?? "");
  const portAllowed = (asked) => {
    if (port === "*") return true;
    if (range) return asked >= Number(range[1]) && asked < Number(range[2]);
    return asked === (port ? Number(port) : WELL_KNOWN_PORTS[scheme]);
  };
  let hostAllowed;
  const network = /^(.*)\/(\d+)$/.exec(hostText);
  if (host === "*") hostAllowed = () => true;
  else if (host === "self" || host === "self.alt") hostAllowed = (asked) => asked === "self";
  else if (host.startsWith("*.")) hostAllowed = (asked) => asked !== "self" && asked.endsWith(host.slice(1));
  else if (network && isIP(network[1])) {
    const list = new BlockList();
    list.addSubnet(network[1], Number(network[2]), isIP(network[1]) === 6 ? "ipv6" : "ipv4");
    hostAllowed = (asked) => isIP(asked) !== 0 && list.check(asked, isIP(asked) === 6 ? "ipv6" : "ipv4");
  } else hostAllowed = (asked) => asked === host;
  // A relative request has no port of its own (allows_relative looks at scheme and host only).
  return (askedScheme, askedHost, askedPort) =>
    (scheme === "*" || scheme === askedScheme) && hostAllowed(askedHost) && (askedHost === "self" || portAllowed(askedPort));
}

/** "*.spin.internal" stands for the application's own components (expand_wildcard_service_chaining). */
export function expandChaining(items, componentIds) {
  return items.flatMap((item) => {
    const [, scheme, rest] = /^\s*([^:]*:\/\/)\*(\.spin\.internal.*)$/.exec(item) ?? [];
    return scheme === undefined ? [item] : componentIds.map((id) => `${scheme}${id}${rest}`);
  });
}
