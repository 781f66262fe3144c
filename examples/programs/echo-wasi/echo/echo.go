// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package echo answers each request with what it holds. It imports only the standard library, so that `go test` runs it
// natively.
package echo

import (
	"fmt"
	"io"
	"net/http"
	"slices"
)

// Handler answers a POST or PUT with the body of the request and its type, and all others with their first line and
// headers, sorted by name.
func Handler() http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost || request.Method == http.MethodPut {
			echoBody(writer, request)
			return
		}
		writer.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(writer, "%s %s\n", request.Method, request.URL.RequestURI())
		names := make([]string, 0, len(request.Header))
		for name := range request.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			for _, value := range request.Header[name] {
				fmt.Fprintf(writer, "%s: %s\n", name, value)
			}
		}
	})
}

func echoBody(writer http.ResponseWriter, request *http.Request) {
	kind := request.Header.Get("Content-Type")
	if kind == "" {
		kind = "application/octet-stream"
	}
	writer.Header().Set("Content-Type", kind)
	io.Copy(writer, request.Body)
}
