// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/subtle"
	"crypto/x509"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type role int

const (
	roleNone role = iota
	roleNode
	roleServer
)

const (
	headerVersion      = "K3s-Version"
	headerServer       = "K3s-Server" // set by the part of a server that is a node
	headerNodeName     = "K3s-Node-Name"
	headerNodePassword = "K3s-Node-Password"
	headerNodeAddress  = "K3s-Node-Ip"
)

// identifier finds out who asks: by token (basic authentication; bootstrap tokens as bearer), or by client certificate.
type identifier struct {
	supervisor *supervisor
	clients    *x509.CertPool
}

func (own *identifier) role(request *http.Request) role {
	if user, password, given := request.BasicAuth(); given {
		secrets := own.supervisor.secrets.Load()
		switch {
		case same(password, secrets.Server) && user == "server":
			return roleServer
		case user == "node" && (same(password, secrets.Agent) || same(password, secrets.Server)):
			return roleNode
		}
		return roleNone
	}
	if bearer, given := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer "); given {
		return own.bootstrapToken(request, bearer)
	}
	if request.TLS != nil && len(request.TLS.PeerCertificates) > 0 {
		return own.certificateRole(request.TLS.PeerCertificates[0])
	}
	return roleNone
}

func (own *identifier) certificateRole(certificate *x509.Certificate) role {
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: own.clients, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return roleNone
	}
	switch {
	case slices.Contains(certificate.Subject.Organization, "system:masters"):
		return roleServer
	case slices.Contains(certificate.Subject.Organization, "system:nodes"):
		return roleNode
	}
	return roleNone
}

// bootstrapToken looks a `k3s token create` token up in its Secret; it may end any time (k3s docs: cli/token.md).
func (own *identifier) bootstrapToken(request *http.Request, text string) role {
	clients := own.supervisor.clients.Load()
	id, secret, _ := strings.Cut(text, ".")
	if clients == nil || !bootstrapToken.MatchString(text) {
		return roleNone
	}
	stored, err := clients.CoreV1().Secrets(metav1.NamespaceSystem).Get(request.Context(), "bootstrap-token-"+id, metav1.GetOptions{})
	if err != nil || !same(string(stored.Data["token-secret"]), secret) || isExpired(stored) {
		return roleNone
	}
	return roleNode
}

func same(one, other string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1 }
