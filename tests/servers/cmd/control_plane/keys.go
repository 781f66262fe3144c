// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// keySet is a directory of PEM files: one certificate authority for servers and clients, and what it signed.
type keySet struct {
	directory string
	authority struct {
		certificate *x509.Certificate
		key         crypto.Signer
	}
}

func (keys *keySet) path(name string) string { return filepath.Join(keys.directory, name) }

// loadOrCreateKeys makes the keys at the first start only: clients of an earlier start keep working after a restart.
func loadOrCreateKeys(directory string) (*keySet, error) {
	keys := &keySet{directory: directory}
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, err
	}
	if err := keys.loadOrCreateAuthority(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(keys.path("service-account.key")); errors.Is(err, os.ErrNotExist) {
		key, err := keyutil.MakeEllipticPrivateKeyPEM()
		if err != nil {
			return nil, err
		}
		if err := keyutil.WriteKey(keys.path("service-account.key"), key); err != nil {
			return nil, err
		}
	}
	server := cert.AltNames{DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 43, 0, 1)}}
	for name, subject := range map[string]pkix.Name{
		"apiserver":     {CommonName: "kube-apiserver"},
		"administrator": {CommonName: "administrator", Organization: []string{"system:masters"}},
		// In one identity, with all rights: which controller may do what is not under test here.
		"controller-manager": {CommonName: "system:kube-controller-manager", Organization: []string{"system:masters"}},
		"kubelet-client":     {CommonName: "kube-apiserver-kubelet-client"},
	} {
		if err := keys.sign(name, subject, server); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (keys *keySet) loadOrCreateAuthority() error {
	if _, err := os.Stat(keys.path("authority.crt")); errors.Is(err, os.ErrNotExist) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "test control plane"}, key)
		if err != nil {
			return err
		}
		if err := keys.write("authority", certificate.Raw, key); err != nil {
			return err
		}
	}
	certificates, err := cert.CertsFromFile(keys.path("authority.crt"))
	if err != nil {
		return err
	}
	key, err := keyutil.PrivateKeyFromFile(keys.path("authority.key"))
	if err != nil {
		return err
	}
	keys.authority.certificate, keys.authority.key = certificates[0], key.(crypto.Signer)
	return nil
}

// sign makes NAME.key and NAME.crt, good for servers on the loopback address and for clients, if they are not there.
func (keys *keySet) sign(name string, subject pkix.Name, server cert.AltNames) error {
	if _, err := os.Stat(keys.path(name + ".crt")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		DNSNames:     server.DNSNames,
		IPAddresses:  server.IPs,
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, keys.authority.certificate, key.Public(), keys.authority.key)
	if err != nil {
		return err
	}
	return keys.write(name, certificate, key)
}

// write puts the certificate last: where it exists, the key does too.
func (keys *keySet) write(name string, certificate []byte, key crypto.PrivateKey) error {
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	if err := keyutil.WriteKey(keys.path(name+".key"), keyPEM); err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(certificate)
	if err != nil {
		return err
	}
	certificatePEM, err := cert.EncodeCertificates(parsed)
	if err != nil {
		return err
	}
	return cert.WriteCert(keys.path(name+".crt"), certificatePEM)
}

func (keys *keySet) writeKubeconfig(file, address, user string) error {
	configuration := clientcmdapi.NewConfig()
	content := map[string][]byte{}
	for _, name := range []string{"authority.crt", user + ".crt", user + ".key"} {
		data, err := os.ReadFile(keys.path(name))
		if err != nil {
			return err
		}
		content[name] = data
	}
	configuration.Clusters["test"] = &clientcmdapi.Cluster{Server: "https://" + address, CertificateAuthorityData: content["authority.crt"]}
	configuration.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: content[user+".crt"], ClientKeyData: content[user+".key"]}
	configuration.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: user}
	configuration.CurrentContext = "test"
	return clientcmd.WriteToFile(*configuration, file) // creates it with mode 0600
}
