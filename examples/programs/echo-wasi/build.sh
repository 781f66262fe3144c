#!/bin/sh
# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Writes dist/echo-wasi.wasm, a component that exports wasi:http/incoming-handler. The same sources make the same bytes.
set -eu
adapter=../../functions/hello-go/wasihttp
npm ci --prefix "$adapter"
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -buildvcs=false \
  -ldflags='-s -w -checklinkname=0' -o dist/module.wasm .
node "$adapter/component.mjs" dist/module.wasm dist/echo-wasi.wasm
