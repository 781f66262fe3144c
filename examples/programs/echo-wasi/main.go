// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

//go:build wasip1

// The component's entry point: hands the requests to package echo.
package main

import (
	"echo-wasi/echo"

	"wasmfaas.example/wasihttp"
)

func init() {
	wasihttp.Handle(echo.Handler())
}

// main is needed by the compiler and never called.
func main() {}
