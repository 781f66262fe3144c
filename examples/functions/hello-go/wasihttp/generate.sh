#!/bin/sh
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Makes internal/wit anew: Go bindings from the WIT of the npm package @spinframework/wasi-http-proxy. The generator:
#   cargo install wit-bindgen-cli --version 0.63.0 --locked --no-default-features --features go
set -eu
cd "$(dirname "$0")"
npm ci --silent
rm -rf internal/wit/imports internal/wit/exports/wit_exports
wit-bindgen go --quiet --world http-trigger --pkg-name wasmfaas.example/wasihttp/internal/wit --out-dir internal/wit \
  node_modules/@spinframework/wasi-http-proxy/wit/wasi-http@0.2.3.wit
find internal/wit -name wit_bindings.go -o -name wit_exports.go | while read -r file; do
  gofmt -w "$file"
  sed -i '1i // Made by ../generate.sh of package wasihttp; do not edit.' "$file"
done
