// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"sort"
	"strings"

	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/spf13/cobra"
)

// componentArguments merges the user's `…-arg` items over ours, by name, as k3s does.
func componentArguments(ours map[string]string, users []string) []string {
	given := map[string]bool{}
	for _, item := range users {
		name, _, _ := strings.Cut(strings.TrimPrefix(item, "--"), "=")
		given[name] = true
	}
	var arguments []string
	for name, value := range ours {
		if !given[name] {
			arguments = append(arguments, fmt.Sprintf("--%s=%s", name, value))
		}
	}
	sort.Strings(arguments)
	for _, item := range users {
		arguments = append(arguments, "--"+strings.TrimPrefix(item, "--"))
	}
	return arguments
}

func controllerManagerCommand(all *settings) *cobra.Command {
	place := all.places()
	command := controllermanager.NewControllerManagerCommand()
	ours := map[string]string{
		"allocate-node-cidrs":              "true",
		"authentication-kubeconfig":        place.server("cred/controller.kubeconfig"),
		"authorization-kubeconfig":         place.server("cred/controller.kubeconfig"),
		"bind-address":                     "127.0.0.1",
		"cluster-cidr":                     all.text("cluster-cidr"),
		"cluster-signing-cert-file":        place.tls("client-ca.crt"),
		"cluster-signing-key-file":         place.tls("client-ca.key"),
		"configure-cloud-routes":           "false",
		"controllers":                      "*,tokencleaner,-service-lb-controller,-node-route-controller",
		"kubeconfig":                       place.server("cred/controller.kubeconfig"),
		"profiling":                        "false",
		"root-ca-file":                     place.tls("server-ca.crt"),
		"secure-port":                      "10257",
		"service-account-private-key-file": place.tls("service.key"),
		"service-cluster-ip-range":         all.text("service-cidr"),
		"tls-cert-file":                    place.tls("kube-controller-manager/kube-controller-manager.crt"),
		"tls-private-key-file":             place.tls("kube-controller-manager/kube-controller-manager.key"),
		"use-service-account-credentials":  "true",
	}
	command.SetArgs(componentArguments(ours, append(all.values["kube-controller-manager-arg"], all.values["kube-controller-arg"]...)))
	return command
}

func schedulerCommand(all *settings) *cobra.Command {
	place := all.places()
	command := scheduler.NewSchedulerCommand()
	ours := map[string]string{
		"authentication-kubeconfig": place.server("cred/scheduler.kubeconfig"),
		"authorization-kubeconfig":  place.server("cred/scheduler.kubeconfig"),
		"bind-address":              "127.0.0.1",
		"kubeconfig":                place.server("cred/scheduler.kubeconfig"),
		"profiling":                 "false",
		"secure-port":               "10259",
		"tls-cert-file":             place.tls("kube-scheduler/kube-scheduler.crt"),
		"tls-private-key-file":      place.tls("kube-scheduler/kube-scheduler.key"),
	}
	command.SetArgs(componentArguments(ours, all.values["kube-scheduler-arg"]))
	return command
}
