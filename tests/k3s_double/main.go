// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command k3s stands for k3s where it cannot be downloaded: etcd, kube-apiserver, controller-manager, scheduler and kubectl are
// the real ones, in one process per host; what k3s adds to them is played, after its code and documentation (README.md).
// README.md says what is real and what is not.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var commands = map[string]func(arguments []string) error{
	"server":          runServer,
	"agent":           runAgent,
	"kubectl":         runKubectl,
	"etcd-snapshot":   runSnapshot,
	"token":           runToken,
	"certificate":     runCertificate,
	"secrets-encrypt": runSecretsEncrypt,
}

func main() {
	arguments := os.Args[1:]
	if filepath.Base(os.Args[0]) == "kubectl" { // the link that install.sh makes (k3s: install.sh)
		arguments = append([]string{"kubectl"}, arguments...)
	}
	if len(arguments) == 0 {
		fmt.Fprintln(os.Stderr, "usage: k3s server|agent|kubectl|etcd-snapshot|token|certificate|secrets-encrypt …, k3s --version")
		os.Exit(2)
	}
	if arguments[0] == "--version" || arguments[0] == "-v" {
		fmt.Printf("k3s version %s (double)\n", Version)
		return
	}
	command, known := commands[arguments[0]]
	if !known {
		logFatal("no such command in this stand-in of k3s: %s", arguments[0])
	}
	if err := command(arguments[1:]); err != nil {
		var quiet quietError
		if errors.As(err, &quiet) {
			os.Exit(int(quiet))
		}
		logFatal("%s", err)
	}
}

// quietError is an exit code of a command that has said itself what went wrong.
type quietError int

func (code quietError) Error() string { return fmt.Sprintf("exit code %d", int(code)) }
