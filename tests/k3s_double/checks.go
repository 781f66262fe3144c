// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	kubeletapis "k8s.io/kubelet/pkg/apis"
	"k8s.io/kubernetes/pkg/credentialprovider/plugin"
)

// checkServerSettings refuses what this stand-in does not have, instead of doing something else.
func checkServerSettings(all *settings) error {
	for _, name := range []string{"datastore-endpoint", "disable-apiserver", "disable-controller-manager", "disable-etcd", "disable-agent", "rootless", "docker", "etcd-s3-config-secret"} {
		if all.has(name) && all.text(name) != "false" {
			return fmt.Errorf("key %q is not played by this stand-in of k3s", name)
		}
	}
	return nil
}

//go:embed kubelet_flags.txt
var kubeletFlags string

// checkHost is what stops the kubelet, and k3s with it, at a start.
func checkHost(all *settings) error {
	known := strings.Fields(kubeletFlags)
	for _, item := range all.list("kubelet-arg") {
		name, _, _ := strings.Cut(strings.TrimPrefix(item, "--"), "=")
		if !slices.Contains(known, name) {
			return fmt.Errorf("kubelet exited: unknown flag: --%s", name)
		}
	}
	for _, item := range all.list("node-label") {
		key, _, found := strings.Cut(item, "=")
		if !found || key == "" {
			return fmt.Errorf("node-label %q is not KEY=VALUE", item)
		}
		if isKubernetesLabel(key) && !kubeletapis.IsKubeletLabel(key) { // Kubernetes: cmd/kubelet/app/options/options.go
			return fmt.Errorf("kubelet exited: unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: [%s]", key)
		}
	}
	for _, item := range all.list("node-taint") {
		if _, err := parseTaint(item); err != nil {
			return err
		}
	}
	if err := checkCredentialProvider(all); err != nil {
		return err
	}
	if all.flag("protect-kernel-defaults") {
		return checkKernel()
	}
	return nil
}

// checkCredentialProvider is what the kubelet does with its credential providers as it starts, by its own code: strict reading, validation, and that each program
// is there. k3s gives it the two flags if one is a directory and the other is none (k3s v1.35.1: pkg/daemons/agent/agent.go, ImageCredProvAvailable).
func checkCredentialProvider(all *settings) error {
	programs, config := all.text("image-credential-provider-bin-dir"), all.text("image-credential-provider-config")
	if info, err := os.Stat(programs); err != nil || !info.IsDir() {
		return nil
	}
	if info, err := os.Stat(config); err != nil || info.IsDir() {
		return nil
	}
	if err := plugin.RegisterCredentialProviderPlugins(config, programs, nil, nil); err != nil {
		return fmt.Errorf("kubelet exited: failed to register credential provider plugins: %w", err)
	}
	logInfo("Kubelet image credential provider bin dir and configuration file found.")
	return nil
}

func isKubernetesLabel(key string) bool {
	namespace, _, found := strings.Cut(key, "/")
	if !found {
		return false
	}
	for _, domain := range []string{"kubernetes.io", "k8s.io"} {
		if namespace == domain || strings.HasSuffix(namespace, "."+domain) {
			return true
		}
	}
	return false
}

// checkKernel is what the kubelet demands with protect-kernel-defaults (Kubernetes: pkg/kubelet/cm/container_manager_linux.go). A test host that cannot write these files says so
// with K3S_DOUBLE_SKIP_KERNEL_CHECK=1.
func checkKernel() error {
	if os.Getenv("K3S_DOUBLE_SKIP_KERNEL_CHECK") != "" {
		return nil
	}
	var wrong []string
	for file, wanted := range map[string]string{"vm/panic_on_oom": "0", "vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1"} {
		content, err := os.ReadFile("/proc/sys/" + file)
		if err != nil {
			return err
		}
		if found := strings.TrimSpace(string(content)); found != wanted {
			wrong = append(wrong, fmt.Sprintf("invalid kernel flag: %s, expected value: %s, actual value: %s", file, wanted, found))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return errors.New("kubelet exited: failed to start ContainerManager: [" + strings.Join(wrong, ", ") + "]")
	}
	return nil
}
