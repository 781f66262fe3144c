// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/util/cert"
)

// front is the one TLS port 6443 of a server (k3s docs: installation/requirements.md): the supervisor answers from the first moment, the API once it is there.
type front struct {
	place       places
	supervisor  http.Handler
	clients     *x509.CertPool
	certificate tls.Certificate
	loopback    atomic.Pointer[tls.Certificate]
	api         atomic.Pointer[http.Handler]
}

func newFront(place places) (*front, error) {
	served, err := tls.LoadX509KeyPair(place.tls("serving-kube-apiserver.crt"), place.tls("serving-kube-apiserver.key"))
	if err != nil {
		return nil, err
	}
	// Nobody asks the client for a certificate of just this authority: the API server tells users and front proxies apart itself.
	pool, err := cert.NewPool(place.tls("client-ca.crt"))
	if err != nil {
		return nil, err
	}
	return &front{place: place, certificate: served, clients: pool}, nil
}

// listen binds all addresses, and 127.0.0.1:6444, where CNI plugins look for the API on every node (k3s: pkg/agent/loadbalancer).
func (own *front) listen(port, localPort string) error {
	for _, address := range []string{":" + port, "127.0.0.1:" + localPort} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		server := &http.Server{
			Handler:           own,
			ReadHeaderTimeout: 32 * time.Second,
			IdleTimeout:       90 * time.Second,
			ErrorLog:          log.New(io.Discard, "", 0), // TCP health checks would fill the journal
			HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 250, SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
			TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert, GetCertificate: own.chooseCertificate},
		}
		go func() {
			if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
				logFatal("port %s: %s", address, err)
			}
		}()
	}
	return nil
}

func (own *front) chooseCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if loopback := own.loopback.Load(); loopback != nil && hello.ServerName == "apiserver-loopback-client" {
		return loopback, nil
	}
	return &own.certificate, nil
}

// serveAPI lets the API server answer, with the certificate that it made for its own loopback client.
func (own *front) serveAPI(handler http.Handler, certificates []dynamiccertificates.SNICertKeyContentProvider) {
	for _, provider := range certificates {
		if names := provider.SNINames(); len(names) == 1 && names[0] == "apiserver-loopback-client" {
			if pair, err := tls.X509KeyPair(provider.CurrentCertKeyContent()); err == nil {
				own.loopback.Store(&pair)
			}
		}
	}
	own.api.Store(&handler)
}

func (own *front) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	path := request.URL.Path
	for _, prefix := range []string{"/ping", "/cacerts", "/static/", "/v1-k3s/", "/db/"} {
		if path == prefix || (strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)) {
			own.supervisor.ServeHTTP(writer, request)
			return
		}
	}
	if api := own.api.Load(); api != nil {
		(*api).ServeHTTP(writer, request)
		return
	}
	http.Error(writer, "apiserver not ready", http.StatusServiceUnavailable)
}
