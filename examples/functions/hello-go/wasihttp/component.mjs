// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Makes a component of what `go build -buildmode=c-shared` wrote for wasip1: node component.mjs MODULE COMPONENT
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { componentEmbed, componentNew, preview1AdapterReactorPath } from "@bytecodealliance/jco";

const WIT = "@spinframework/wasi-http-proxy/wit/wasi-http@0.2.3.wit";

const [module, component] = process.argv.slice(2);
const witSource = await readFile(fileURLToPath(new URL(`node_modules/${WIT}`, import.meta.url)), "utf8");
const embedded = await componentEmbed({ binary: await readFile(module), witSource, world: "http-trigger" });
const adapter = await readFile(fileURLToPath(preview1AdapterReactorPath()));
await mkdir(dirname(component), { recursive: true });
await writeFile(component, await componentNew(embedded, [["wasi_snapshot_preview1", adapter]]));
