// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
)

// certificateServices names the files of `--service`: those below server/tls, and agent's by their prefix.
var certificateServices = map[string][]string{
	"admin":              {"server/tls/client-admin"},
	"api-server":         {"server/tls/client-kube-apiserver", "server/tls/serving-kube-apiserver"},
	"auth-proxy":         {"server/tls/client-auth-proxy"},
	"controller-manager": {"server/tls/client-controller", "server/tls/kube-controller-manager/kube-controller-manager"},
	"scheduler":          {"server/tls/client-scheduler", "server/tls/kube-scheduler/kube-scheduler"},
	"supervisor":         {"server/tls/client-supervisor"},
	"etcd":               {"server/tls/etcd/client", "server/tls/etcd/server-client", "server/tls/etcd/peer-server-client"},
	"kubelet":            {"agent/client-kubelet", "agent/serving-kubelet"},
	"k3s-controller":     {"agent/client-k3s-controller"},
}

// runCertificate is `k3s certificate rotate|check` (k3s docs: cli/certificate.md).
func runCertificate(arguments []string) error {
	services := []string{}
	kept := arguments[:0:0]
	for i := 0; i < len(arguments); i++ {
		name, value, hasValue := strings.Cut(arguments[i], "=")
		if name != "--service" && name != "-s" {
			kept = append(kept, arguments[i])
			continue
		}
		if !hasValue {
			if i++; i == len(arguments) {
				return errors.New("flag needs an argument: --service")
			}
			value = arguments[i]
		}
		services = append(services, strings.Split(value, ",")...)
	}
	all, rest, err := loadSettings("", kept)
	if err != nil {
		return err
	}
	if len(services) == 0 {
		services = sortedKeys(certificateServices)
	}
	for _, service := range services {
		if certificateServices[service] == nil {
			return fmt.Errorf("%s is not a recognized service, it is none of %s", service, strings.Join(sortedKeys(certificateServices), ", "))
		}
	}
	switch {
	case len(rest) == 1 && rest[0] == "rotate":
		return rotateCertificates(all.places(), services)
	case len(rest) >= 1 && rest[0] == "check":
		return checkCertificates(all.places())
	}
	return errors.New("usage: k3s certificate rotate|check [--service NAME,…] (rotate-ca is not played by this stand-in)")
}

// rotateCertificates puts the old ones aside; the next start makes new ones, with the tls-san of then. The authorities stay.
func rotateCertificates(place places, services []string) error {
	logInfo("Server detected, rotating agent and server certificates") // a no-op for what is not there
	backup := place.server(fmt.Sprintf("tls-%d", time.Now().Unix()))
	found := false
	for _, service := range services {
		for _, name := range certificateServices[service] {
			for _, suffix := range []string{".crt", ".key"} {
				file := filepath.Join(place.data, name+suffix)
				content, err := os.ReadFile(file)
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				if err != nil {
					return err
				}
				if err := writeFile(filepath.Join(backup, name+suffix), content, 0o600); err != nil {
					return err
				}
				if err := os.Remove(file); err != nil {
					return err
				}
				found = true
			}
		}
	}
	if !found {
		return fmt.Errorf("no certificates below %s", place.data)
	}
	logInfo("Successfully backed up certificates to %s, please restart k3s server or agent to rotate certificates", backup)
	return nil
}

func checkCertificates(place places) error {
	var files []string
	for _, directory := range []string{place.server("tls"), place.agent()} {
		err := filepath.WalkDir(directory, func(file string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && strings.HasSuffix(file, ".crt") {
				files = append(files, file)
			}
			return nil
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	slices.Sort(files)
	for _, file := range files {
		certificates, err := cert.CertsFromFile(file)
		if err != nil {
			return err
		}
		for _, one := range certificates {
			end := one.NotAfter.UTC().Format(time.RFC3339)
			switch left := time.Until(one.NotAfter); {
			case left < 0:
				logError("%s: certificate %s has expired at %s", file, one.Subject, end)
			case left < renewalTime:
				logWarning("%s: certificate %s will expire within 120 days at %s", file, one.Subject, end)
			default:
				logInfo("%s: certificate %s is ok, expires at %s", file, one.Subject, end)
			}
		}
	}
	return nil
}
