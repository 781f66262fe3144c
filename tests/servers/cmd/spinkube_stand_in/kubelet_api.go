// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// serveLog answers the API server's GET /containerLogs/NAMESPACE/POD/CONTAINER, with which `kubectl logs` is made.
// tailLines and previous are followed, `follow` is not: the answer ends with what there is.
func (k *kubelet) serveLog(writer http.ResponseWriter, request *http.Request) {
	var pod corev1.Pod
	if err := k.client.Get(request.Context(), types.NamespacedName{Namespace: request.PathValue("namespace"), Name: request.PathValue("pod")}, &pod); err != nil {
		http.Error(writer, err.Error(), http.StatusNotFound)
		return
	}
	query := request.URL.Query()
	text := k.logOf(pod.UID, query.Get("previous") == "true")
	if text == "" {
		http.Error(writer, "container \""+request.PathValue("container")+"\" in pod \""+pod.Name+"\" is waiting to start", http.StatusBadRequest)
		return
	}
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil {
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		text = strings.Join(lines[max(0, len(lines)-tail):], "") + "\n"
	}
	writer.Header().Set("Content-Type", "text/plain")
	_, _ = writer.Write([]byte(text))
}

// listenTLS serves the kubelet API with a certificate made for this start, and returns its address. The API server does not
// check a kubelet's certificate unless it is told to.
func listenTLS(ctx context.Context, handler http.Handler, failed chan<- error) (*net.TCPAddr, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "spinkube_stand_in"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(listener) }()
	go func() { <-ctx.Done(); server.Close() }()
	return listener.Addr().(*net.TCPAddr), nil
}
