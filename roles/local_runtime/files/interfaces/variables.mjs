// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * Application variables: template expansion, and the interfaces that read them.
 * Rules from spinframework/spin crates/expressions/src/{lib,template}.rs and crates/factor-variables/src/host.rs.
 */

/** Why a name is no variable name, or null. */
function nameFault(name) {
  if (name === "") return "must not be empty";
  if (!/^[a-z0-9_]*$/.test(name)) return "Variable names may contain only lower-case letters, numbers, and underscores.";
  if (!/^[a-z]/.test(name)) return "must start with a lowercase ASCII letter";
  if (!/[a-z0-9]$/.test(name)) return "must end with a lowercase ASCII letter or digit";
  if (name.includes("__")) return "must not contain multiple consecutive underscores";
  return null;
}

/**
 * Puts values in place of `{{ name }}`.
 *
 * @param {string} template
 * @param {(name: string) => string} resolve throws where there is no value
 */
export function expand(template, resolve) {
  return template.replace(/\{\{([\s\S]*?)\}\}/g, (_all, name) => resolve(name.trim()));
}

/**
 * The values that one component may see.
 *
 * @param {Record<string, {default?: string}>} declared `variables` of the locked application
 * @param {Record<string, string>} given values from the deployment; they win over defaults
 * @returns {(name: string) => string}
 */
export function resolver(declared, given) {
  return (name) => {
    if (Object.hasOwn(given, name)) return given[name];
    if (!Object.hasOwn(declared, name)) throw new Error(`unknown variable "${name}"`);
    if (declared[name].default === undefined) throw new Error(`no provider resolved required variable "${name}"`);
    return declared[name].default;
  };
}

/** @param {Record<string, string>} values the component's `config`, expanded */
export function variablesInterfaces(values) {
  const get = (name) => {
    const fault = nameFault(name);
    if (fault) throw { tag: "invalid-name", val: `"${name}": ${fault}` };
    if (!Object.hasOwn(values, name)) throw { tag: "undefined", val: `no variable "${name}" is given to this component` };
    return values[name];
  };
  return {
    "fermyon:spin/variables": { get },
    "wasi:config/store": {
      // An undeclared or ill-formed key is "none" there (host.rs, wasi_config::store::Host).
      get: (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
      getAll: () => Object.entries(values),
    },
  };
}
