// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/kubernetes"
)

// supervisor answers what k3s adds to the API server's port: /ping, /cacerts and the joining of nodes and servers (k3s: pkg/server/handlers/router.go).
type supervisor struct {
	settings *settings
	host     *host
	place    places
	secrets  atomic.Pointer[passwords] // that it was started with: others count from the next start on
	token    atomic.Pointer[string]    // the server token's password that the bootstrap data are encrypted by
	member   atomic.Pointer[member]
	clients  atomic.Pointer[kubernetes.Clientset] // nil until the API is ready
	identify *identifier
}

// clusterInformation is what a node is told when it joins.
type clusterInformation struct {
	Version        string
	Critical       map[string]string
	ClusterDNS     string
	FlannelBackend string
	NoCloud        bool     // disable-cloud-controller
	EtcdEndpoints  []string `json:",omitempty"`
}

func (own *supervisor) handler() http.Handler {
	routes := http.NewServeMux()
	routes.HandleFunc("GET /ping", func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte("pong")) })
	routes.HandleFunc("GET /cacerts", own.serveFile(own.place.tls("server-ca.crt")))
	routes.HandleFunc("GET /v1-k3s/readyz", own.only(roleNode, own.ready))
	routes.HandleFunc("GET /v1-k3s/config", own.only(roleNode, own.information))
	routes.HandleFunc("GET /v1-k3s/client-ca.crt", own.only(roleNode, own.serveFile(own.place.tls("client-ca.crt"))))
	routes.HandleFunc("POST /v1-k3s/client-kubelet.crt", own.only(roleNode, own.signKubeletClient))
	routes.HandleFunc("POST /v1-k3s/serving-kubelet.crt", own.only(roleNode, own.signKubeletServer))
	routes.HandleFunc("POST /v1-k3s/client-k3s-controller.crt", own.only(roleNode, own.signController))
	routes.HandleFunc("GET /v1-k3s/server-bootstrap", own.only(roleServer, own.bootstrap))
	routes.HandleFunc("GET /db/info", own.only(roleServer, own.databaseInformation))
	routes.HandleFunc("PUT /v1-k3s/token", own.only(roleServer, own.rotateToken))
	routes.HandleFunc("GET /v1-k3s/encrypt/status", own.only(roleServer, own.encryptionStatus))
	routes.HandleFunc("PUT /v1-k3s/encrypt/config", own.only(roleServer, own.rotateEncryptionKey))
	return routes
}

// only lets requests of a role through; a server may do what a node may. Wrong credentials are 401, none and those of too little 403
// (k3s v1.35.5: pkg/server/auth/auth.go doAuth).
func (own *supervisor) only(wanted role, handler http.HandlerFunc) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		found := own.identify.role(request)
		given := request.Header.Get("Authorization")
		switch {
		case found >= wanted:
			handler(writer, request)
		case found == roleNone && given != "":
			problem := "invalid username/password combination"
			if strings.HasPrefix(given, "Bearer ") {
				problem = "invalid bearer token"
			}
			logError("Failed to authenticate request from %s: %s", request.RemoteAddr, problem)
			refuse(writer, request, http.StatusUnauthorized, "not authorized")
		default:
			refuse(writer, request, http.StatusForbidden, "forbidden")
		}
	}
}

// refuse answers with an error and logs it at level error, whoever it was that asked: a server's journal is full of the faults of others
// (k3s v1.35.5: pkg/util/apierrors.go SendError).
func refuse(writer http.ResponseWriter, request *http.Request, code int, reason string) {
	logError("Sending %s %d response to %s: %s", request.Proto, code, request.RemoteAddr, reason)
	http.Error(writer, reason, code)
}

func (own *supervisor) serveFile(file string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		content, err := os.ReadFile(file)
		if err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = writer.Write(content)
	}
}

func (own *supervisor) ready(writer http.ResponseWriter, _ *http.Request) {
	if own.clients.Load() == nil {
		http.Error(writer, "apiserver not ready", http.StatusServiceUnavailable)
		return
	}
	_, _ = writer.Write([]byte("ok"))
}

func (own *supervisor) describe() clusterInformation {
	return clusterInformation{
		Version: Version, Critical: criticalValues(own.settings), ClusterDNS: own.settings.text("cluster-dns"),
		FlannelBackend: own.settings.text("flannel-backend"), NoCloud: own.settings.flag("disable-cloud-controller"),
	}
}

func (own *supervisor) information(writer http.ResponseWriter, request *http.Request) {
	if release := request.Header.Get(headerVersion); release != "" && request.Header.Get(headerServer) == "" {
		if err := checkKubelet(release); err != nil {
			http.Error(writer, err.Error(), http.StatusPreconditionFailed)
			return
		}
	}
	answer(writer, own.describe())
}

func (own *supervisor) bootstrap(writer http.ResponseWriter, request *http.Request) {
	if release := request.Header.Get(headerVersion); release != "" { // who only asks, with the server token, is no server that joins
		if err := checkJoiningServer(release); err != nil {
			http.Error(writer, err.Error(), http.StatusPreconditionFailed)
			return
		}
	}
	data, err := own.serveBootstrap(request)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(writer, data)
}

// databaseInformation names the voters that a joining server may ask to add it.
func (own *supervisor) databaseInformation(writer http.ResponseWriter, _ *http.Request) {
	running := own.member.Load()
	if running == nil || own.clients.Load() == nil {
		http.Error(writer, "etcd not ready", http.StatusServiceUnavailable)
		return
	}
	information := own.describe()
	for _, other := range running.etcd.Server.Cluster().Members() {
		if !other.IsLearner {
			information.EtcdEndpoints = append(information.EtcdEndpoints, other.ClientURLs...)
		}
	}
	answer(writer, information)
}

func answer(writer http.ResponseWriter, content any) {
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(content)
}

// withClient gives the API to a handler, or answers that it is not there yet.
func (own *supervisor) withClient(writer http.ResponseWriter, request *http.Request) (*kubernetes.Clientset, context.Context) {
	clients := own.clients.Load()
	if clients == nil {
		http.Error(writer, "apiserver not ready", http.StatusServiceUnavailable)
	}
	return clients, request.Context()
}
