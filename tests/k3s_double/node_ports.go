// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
)

// listen opens the kubelet's ports: 10248 answers /healthz on the loopback address, 10250 answers nothing to anybody (k3s docs: installation/requirements.md).
func (own *node) listen() error {
	health := http.NewServeMux()
	health.HandleFunc("GET /healthz", func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write([]byte("ok")) })
	local, err := net.Listen("tcp", "127.0.0.1:10248")
	if err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(own.place.agent("serving-kubelet.crt"), own.place.agent("serving-kubelet.key"))
	if err != nil {
		return err
	}
	open, err := net.Listen("tcp", ":10250")
	if err != nil {
		return err
	}
	silent := log.New(io.Discard, "", 0)
	refuse := http.HandlerFunc(func(writer http.ResponseWriter, _ *http.Request) {
		http.Error(writer, "Unauthorized", http.StatusUnauthorized)
	})
	go func() { logError("%s", (&http.Server{Handler: health, ErrorLog: silent}).Serve(local)) }()
	go func() {
		server := &http.Server{Handler: refuse, ErrorLog: silent, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}}
		logError("%s", server.ServeTLS(open, "", ""))
	}()
	return nil
}
