// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package greeting makes the function's answers. It imports only the standard library, so that `go test` runs it
// natively.
package greeting

import (
	"fmt"
	"net/http"
	"strings"
)

// Handle greets the caller: `/` the world, `/hello/<name>` a person.
func Handle(writer http.ResponseWriter, request *http.Request) {
	writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if request.Method != http.MethodGet {
		writer.Header().Set("Allow", http.MethodGet)
		writer.WriteHeader(http.StatusMethodNotAllowed)
		fmt.Fprintf(writer, "%s is not supported here.\n", request.Method)
		return
	}
	path := request.URL.Path
	if path == "/" {
		fmt.Fprintln(writer, "Hello, world!")
		return
	}
	name, found := strings.CutPrefix(path, "/hello/")
	if !found || name == "" || strings.Contains(name, "/") {
		writer.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(writer, "There is nothing at %s. Try / or /hello/Ada.\n", path)
		return
	}
	fmt.Fprintf(writer, "Hello, %s!\n", name)
}
