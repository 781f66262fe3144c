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

func ask(method, target, body string) (int, string, http.Header) {
	recorder := httptest.NewRecorder()
	Handler().ServeHTTP(recorder, httptest.NewRequest(method, target, strings.NewReader(body)))
	return recorder.Code, recorder.Body.String(), recorder.Header()
}

func TestGreets(t *testing.T) {
	for target, text := range map[string]string{
		"/":                   "Hello, world!\n",
		"/?name=ignored":      "Hello, world!\n",
		"/hello/Ada":          "Hello, Ada!\n",
		"/hello/Zo%C3%AB%20Z": "Hello, Zoë Z!\n",
	} {
		if status, body, _ := ask(http.MethodGet, target, ""); status != http.StatusOK || body != text {
			t.Errorf("%s: got %d %q, want 200 %q", target, status, body, text)
		}
	}
}

func TestGreetsWhomTheBodyNames(t *testing.T) {
	status, body, header := ask(http.MethodPost, "/hello", `{"name": "Ada"}`)
	if status != http.StatusOK || body != `{"message":"Hello, Ada!"}`+"\n" || header.Get("Content-Type") != "application/json" {
		t.Errorf("got %d %q %v", status, body, header)
	}
	for _, wrong := range []string{"", "no JSON", `{"name": ""}`, `{"name": "` + strings.Repeat("a", 9000) + `"}`} {
		if status, _, _ := ask(http.MethodPost, "/hello", wrong); status != http.StatusBadRequest {
			t.Errorf("%.20s: got %d, want 400", wrong, status)
		}
	}
}

func TestCounts(t *testing.T) {
	if status, body, _ := ask(http.MethodGet, "/count/3", ""); status != http.StatusOK || body != "1\n2\n3\n" {
		t.Errorf("got %d %q", status, body)
	}
	for _, wrong := range []string{"0", "-1", "many", "10001"} {
		if status, _, _ := ask(http.MethodGet, "/count/"+wrong, ""); status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", wrong, status)
		}
	}
}

func TestRefusesOtherPathsAndMethods(t *testing.T) {
	if status, _, _ := ask(http.MethodGet, "/elsewhere", ""); status != http.StatusNotFound {
		t.Errorf("got %d, want 404", status)
	}
	status, _, header := ask(http.MethodPost, "/hello/Ada", "")
	if status != http.StatusMethodNotAllowed || !strings.Contains(header.Get("Allow"), http.MethodGet) {
		t.Errorf("got %d, Allow %q", status, header.Get("Allow"))
	}
}
