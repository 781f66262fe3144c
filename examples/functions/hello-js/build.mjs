// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
// Bundles src/ into the one file that j2w (of @spinframework/build-tools) turns into a component.
import { mkdirSync, rmSync } from "node:fs";
import { SpinEsbuildPlugin } from "@spinframework/build-tools/plugins/esbuild/index.js";
import { build } from "esbuild";

// j2w exits with 0 even when it fails. Without an old output, nobody takes a failed build for a good one.
for (const directory of ["build", "dist"]) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
}

await build({
  entryPoints: ["src/index.js"],
  outfile: "build/bundle.js",
  bundle: true,
  format: "esm",
  platform: "neutral",
  plugins: [await SpinEsbuildPlugin()],
  logLevel: "warning",
});
