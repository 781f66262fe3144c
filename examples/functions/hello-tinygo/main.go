// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The component's entry point: hands Spin's requests to package greeting.
package main

import (
	spinhttp "github.com/spinframework/spin-go-sdk/v2/http"

	"hello-tinygo/greeting"
)

func init() {
	spinhttp.Handle(greeting.Handle)
}

// main is needed by the compiler and never called.
func main() {}
