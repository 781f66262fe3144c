// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/x509/pkix"
	"net"
	"os"

	"k8s.io/client-go/util/keyutil"
)

var authorityNames = map[string]string{
	"server-ca": "k3s-server-ca", "client-ca": "k3s-client-ca", "request-header-ca": "k3s-request-header-ca",
	"etcd/server-ca": "etcd-server-ca", "etcd/peer-ca": "etcd-peer-ca",
}

// makeAuthorities creates what all servers of a cluster share; a joining server has got it from another one.
func makeAuthorities(place places) error {
	for file, name := range authorityNames {
		if err := makeAuthority(place.tls(file), name); err != nil {
			return err
		}
	}
	if exists(place.tls("service.key")) {
		return nil
	}
	key, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return err
	}
	return writeFile(place.tls("service.key"), key, 0o600)
}

// makeServerLeaves creates this server's own certificates.
func makeServerLeaves(place places, host *host, names []string) error {
	api := leaf{subject: pkix.Name{CommonName: "kube-apiserver"}, names: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", host.nodeName},
		ips: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 43, 0, 1), net.ParseIP(host.address)}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			api.ips = append(api.ips, ip)
		} else {
			api.names = append(api.names, name)
		}
	}
	member := leaf{subject: pkix.Name{CommonName: "etcd-server"}, names: []string{"localhost", host.nodeName}, ips: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(host.address)}}
	client := func(name string, groups ...string) leaf {
		return leaf{subject: pkix.Name{CommonName: name, Organization: groups}}
	}
	for signer, leaves := range map[string]map[string]leaf{
		"server-ca": {"serving-kube-apiserver": api, "kube-controller-manager/kube-controller-manager": api, "kube-scheduler/kube-scheduler": api},
		"client-ca": {
			"client-admin":          client("system:admin", "system:masters"),
			"client-supervisor":     client("system:k3s-supervisor", "system:masters"),
			"client-controller":     client("system:kube-controller-manager"),
			"client-scheduler":      client("system:kube-scheduler"),
			"client-kube-apiserver": client("system:apiserver", "system:masters"),
		},
		"request-header-ca": {"client-auth-proxy": client("system:auth-proxy")},
		"etcd/server-ca":    {"etcd/server-client": member, "etcd/client": client("etcd-client")},
		"etcd/peer-ca":      {"etcd/peer-server-client": member},
	} {
		issuer, err := loadAuthority(place.tls(signer))
		if err != nil {
			return err
		}
		for name, subject := range leaves {
			if err := issuer.makeLeaf(place.tls(name), subject); err != nil {
				return err
			}
		}
	}
	for file, name := range map[string]string{"admin": "client-admin", "supervisor": "client-supervisor", "controller": "client-controller", "scheduler": "client-scheduler"} {
		if err := writeKubeconfig(place.server("cred", file+".kubeconfig"), "https://127.0.0.1:6443", place.tls("server-ca.crt"), place.tls(name), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeAdministratorKubeconfig is /etc/rancher/k3s/k3s.yaml, written at each start; 0600 unless write-kubeconfig-mode says else.
func writeAdministratorKubeconfig(all *settings, port string) error {
	mode := os.FileMode(0o600)
	if text := all.text("write-kubeconfig-mode"); text != "" {
		parsed, err := parseMode(text)
		if err != nil {
			return err
		}
		mode = parsed
	}
	place := all.places()
	file := firstOf(all.text("write-kubeconfig"), "/etc/rancher/k3s/k3s.yaml")
	return writeKubeconfig(file, "https://127.0.0.1:"+port, place.tls("server-ca.crt"), place.tls("client-admin"), mode)
}
