// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package export_wasi_http_incoming_handler is what the generated package wit_exports calls by this name.
package export_wasi_http_incoming_handler

import "wasmfaas.example/wasihttp/internal/wit/imports/wasi_http_types"

// Handle answers a request; it is set before the first one.
var Handle func(request *wasi_http_types.IncomingRequest, out *wasi_http_types.ResponseOutparam)
