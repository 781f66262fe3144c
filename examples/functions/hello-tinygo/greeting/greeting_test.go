// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package greeting

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func ask(method, target string) (int, string, http.Header) {
	recorder := httptest.NewRecorder()
	Handle(recorder, httptest.NewRequest(method, target, nil))
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

func TestGreets(t *testing.T) {
	for target, text := range map[string]string{
		"/":                   "Hello, world!\n",
		"/?name=ignored":      "Hello, world!\n",
		"/hello/Ada":          "Hello, Ada!\n",
		"/hello/Zo%C3%AB%20Z": "Hello, Zoë Z!\n",
	} {
		if status, body, _ := ask(http.MethodGet, target); status != http.StatusOK || body != text {
			t.Errorf("%s: got %d %q, want 200 %q", target, status, body, text)
		}
	}
}

func TestSaysWhatExistsAtAnUnknownPath(t *testing.T) {
	for _, target := range []string{"/hello", "/hello/", "/hello/a/b", "/elsewhere"} {
		status, body, _ := ask(http.MethodGet, target)
		if status != http.StatusNotFound || !strings.Contains(body, "/hello/Ada") {
			t.Errorf("%s: got %d %q", target, status, body)
		}
	}
}

func TestRefusesOtherMethods(t *testing.T) {
	status, _, header := ask(http.MethodPost, "/")
	if status != http.StatusMethodNotAllowed || header.Get("Allow") != http.MethodGet {
		t.Errorf("got %d, Allow %q", status, header.Get("Allow"))
	}
}
