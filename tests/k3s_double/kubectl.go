// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"

	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// runKubectl is kubectl itself; KUBECONFIG is the administrator's unless given, as in k3s.
func runKubectl(arguments []string) error {
	if file := "/etc/rancher/k3s/k3s.yaml"; os.Getenv("KUBECONFIG") == "" && exists(file) {
		_ = os.Setenv("KUBECONFIG", file)
	}
	os.Args = append([]string{"kubectl"}, arguments...)
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return nil
}
