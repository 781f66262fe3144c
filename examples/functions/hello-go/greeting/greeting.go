// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package greeting makes the function's answers. It imports only the standard library, so that `go test` runs it
// natively.
package greeting

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

const longestName = 100

// Handler greets the world at `/` and a person at `/hello/{name}`, or at `/hello` with JSON, and counts at
// `/count/{number}`.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintln(writer, "Hello, world!")
	})
	mux.HandleFunc("GET /hello/{name}", func(writer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(writer, "Hello, %s!\n", request.PathValue("name"))
	})
	mux.HandleFunc("POST /hello", greet)
	mux.HandleFunc("GET /count/{number}", count)
	return mux
}

func greet(writer http.ResponseWriter, request *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	err := json.NewDecoder(http.MaxBytesReader(writer, request.Body, 4096)).Decode(&asked)
	if err != nil || asked.Name == "" || len(asked.Name) > longestName {
		http.Error(writer, `Send JSON such as {"name": "Ada"}.`, http.StatusBadRequest)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	json.NewEncoder(writer).Encode(map[string]string{"message": "Hello, " + asked.Name + "!"})
}

// count sends each line as soon as it is there.
func count(writer http.ResponseWriter, request *http.Request) {
	last, err := strconv.Atoi(request.PathValue("number"))
	if err != nil || last < 1 || last > 10_000 {
		http.Error(writer, "Count to a number from 1 to 10000.", http.StatusBadRequest)
		return
	}
	flusher, _ := writer.(http.Flusher)
	for number := 1; number <= last; number++ {
		fmt.Fprintln(writer, number)
		if flusher != nil && number%100 == 0 {
			flusher.Flush()
		}
	}
}
