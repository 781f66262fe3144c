// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strconv"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig embeds the certificates, as k3s does: the file is good on other machines too.
func writeKubeconfig(file, server, authorityFile, pair string, mode os.FileMode) error {
	var content [3][]byte
	for i, name := range []string{authorityFile, pair + ".crt", pair + ".key"} {
		var err error
		if content[i], err = os.ReadFile(name); err != nil {
			return err
		}
	}
	configuration := clientcmdapi.NewConfig()
	configuration.Clusters["default"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: content[0]}
	configuration.AuthInfos["default"] = &clientcmdapi.AuthInfo{ClientCertificateData: content[1], ClientKeyData: content[2]}
	configuration.Contexts["default"] = &clientcmdapi.Context{Cluster: "default", AuthInfo: "default"}
	configuration.CurrentContext = "default"
	text, err := clientcmd.Write(*configuration)
	if err != nil {
		return err
	}
	return writeFile(file, text, mode)
}

func parseMode(text string) (os.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 32)
	if err != nil {
		return 0, fmt.Errorf("write-kubeconfig-mode: %w", err)
	}
	return os.FileMode(mode), nil
}
