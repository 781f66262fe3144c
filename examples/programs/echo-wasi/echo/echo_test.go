// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package echo

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswersWithTheRequest(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "/a%20b?c=d", nil)
	request.Header.Add("X-Two", "1")
	request.Header.Add("X-Two", "2")
	request.Header.Set("Accept", "*/*")
	recorder := httptest.NewRecorder()
	Handler().ServeHTTP(recorder, request)
	if got, want := recorder.Body.String(), "GET /a%20b?c=d\nAccept: */*\nX-Two: 1\nX-Two: 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnswersWithTheBody(t *testing.T) {
	for given, kind := range map[string]string{"text/csv": "text/csv", "": "application/octet-stream"} {
		request := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("a,b\n\x00"))
		request.Header.Set("Content-Type", given)
		recorder := httptest.NewRecorder()
		Handler().ServeHTTP(recorder, request)
		if recorder.Body.String() != "a,b\n\x00" || recorder.Header().Get("Content-Type") != kind {
			t.Errorf("%q: got %q %v", given, recorder.Body.String(), recorder.Header())
		}
	}
}
