// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	// k3s docs: cli/certificate.md: a leaf lasts 365 days, and is renewed at a start within 120 days of its end
	// (k3s v1.33.1 and later: pkg/daemons/config/types.go, CertificateRenewDays; k3s-io/k3s#12232).
	leafLife    = 365 * 24 * time.Hour
	renewalTime = 120 * 24 * time.Hour
)

// lifeOfLeaves is shorter where a test says so: hosts of tests share the clock of their machine, so no year can pass on them.
func lifeOfLeaves() time.Duration {
	if seconds, err := strconv.Atoi(os.Getenv("K3S_DOUBLE_LEAF_SECONDS")); err == nil {
		return time.Duration(seconds) * time.Second
	}
	return leafLife
}

// authority is a certificate authority: PATH.crt and PATH.key. NewSelfSignedCACert makes it good for 10 years (k3s docs: cli/certificate.md).
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// makeAuthority creates the authority's files, if they are not there.
func makeAuthority(path, name string) error {
	if exists(path+".crt") && exists(path+".key") {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: fmt.Sprintf("%s@%d", name, time.Now().Unix())}, key)
	if err != nil {
		return err
	}
	return writePair(path, certificate.Raw, key)
}

func loadAuthority(path string) (*authority, error) {
	certificates, err := cert.CertsFromFile(path + ".crt")
	if err != nil {
		return nil, err
	}
	key, err := keyutil.PrivateKeyFromFile(path + ".key")
	if err != nil {
		return nil, err
	}
	signer, isSigner := key.(crypto.Signer)
	if !isSigner {
		return nil, errors.New(path + ".key cannot sign")
	}
	return &authority{certificates[0], signer}, nil
}

// leaf is what a certificate says; names and addresses are those of servers.
type leaf struct {
	subject pkix.Name
	names   []string
	ips     []net.IP
}

func (signer *authority) sign(subject leaf, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject.subject,
		DNSNames:     subject.names,
		IPAddresses:  subject.ips,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifeOfLeaves()),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, signer.certificate, public, signer.key)
}

// makeLeaf creates PATH.crt and PATH.key unless they are there, of this authority and not about to end.
func (signer *authority) makeLeaf(path string, subject leaf) error {
	if present, err := cert.CertsFromFile(path + ".crt"); err == nil && exists(path+".key") {
		if present[0].CheckSignatureFrom(signer.certificate) == nil && time.Until(present[0].NotAfter) > renewalTime {
			return nil // as it is: a new tls-san needs `k3s certificate rotate` (k3s docs: cli/certificate.md)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	certificate, err := signer.sign(subject, key.Public())
	if err != nil {
		return err
	}
	return writePair(path, certificate, key)
}

// writePair puts the certificate last: where it exists, the key does too.
func writePair(path string, certificate []byte, key crypto.PrivateKey) error {
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := writeFile(path+".key", keyPEM, 0o600); err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	content, err := cert.EncodeCertificates(parsed)
	if err != nil {
		return err
	}
	return writeFile(path+".crt", content, 0o644)
}

// authorityHash is the hash in the K10 form of a token (k3s docs: cli/token.md).
func authorityHash(bundle []byte) string {
	sum := sha256.Sum256(bundle)
	return hex.EncodeToString(sum[:])
}

func readAuthorityHash(file string) (string, error) {
	bundle, err := os.ReadFile(file)
	return authorityHash(bundle), err
}
