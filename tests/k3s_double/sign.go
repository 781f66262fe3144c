// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"net"
	"net/http"

	"crypto/x509"
)

// The node sends a public key and gets a certificate; its private key never leaves it.

func (own *supervisor) signKubeletClient(writer http.ResponseWriter, request *http.Request) {
	if node := own.admitNode(writer, request); node != "" {
		own.sign(writer, request, "client-ca", leaf{subject: pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}}})
	}
}

func (own *supervisor) signKubeletServer(writer http.ResponseWriter, request *http.Request) {
	if node := own.admitNode(writer, request); node != "" {
		serving := leaf{subject: pkix.Name{CommonName: node}, names: []string{node, "localhost"}, ips: []net.IP{net.IPv4(127, 0, 0, 1)}}
		if address := net.ParseIP(request.Header.Get(headerNodeAddress)); address != nil {
			serving.ips = append(serving.ips, address)
		}
		own.sign(writer, request, "server-ca", serving)
	}
}

func (own *supervisor) signController(writer http.ResponseWriter, request *http.Request) {
	if own.admitNode(writer, request) != "" {
		own.sign(writer, request, "client-ca", leaf{subject: pkix.Name{CommonName: "system:k3s-controller"}})
	}
}

func (own *supervisor) sign(writer http.ResponseWriter, request *http.Request, issuer string, subject leaf) {
	certificate, err := func() ([]byte, error) {
		body, err := io.ReadAll(io.LimitReader(request.Body, 1<<16))
		if err != nil {
			return nil, err
		}
		key, err := x509.ParsePKIXPublicKey(body)
		if err != nil {
			return nil, err
		}
		signer, err := loadAuthority(own.place.tls(issuer))
		if err != nil {
			return nil, err
		}
		return signer.sign(subject, key)
	}()
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadRequest)
		return
	}
	_ = pem.Encode(writer, &pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
