// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command control_plane is a Kubernetes control plane in one process: etcd, kube-apiserver and kube-controller-manager,
// all three the real ones, on the loopback address, with RBAC on.
//
//	control_plane --data-directory DIR --port PORT --kubeconfig FILE [--custom-resource-definitions DIR_OR_FILE]...
//
// All state (keys, certificates, etcd) lives in the data directory, so that a process killed with SIGKILL can be
// started again on the same directory and port. There is no scheduler and no kubelet: spinkube_stand_in plays both.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"

	"wasmfaas.dev/tests/servers/internal/parent"
)

// The address the API server advertises is never used (no endpoint reconciler), but may not be a loopback one: TEST-NET-1.
const advertisedAddress = "192.0.2.1"

type stringList []string

func (list *stringList) String() string         { return fmt.Sprint(*list) }
func (list *stringList) Set(value string) error { *list = append(*list, value); return nil }

func main() {
	parent.FollowStandardInput()
	dataDirectory := flag.String("data-directory", "", "where keys and etcd's data live")
	port := flag.Int("port", 0, "port of the API server on 127.0.0.1; 0 takes a free one")
	kubeconfig := flag.String("kubeconfig", "", "file to write an administrator's kubeconfig to, mode 0600")
	auditLog := flag.String("audit-log", "", "file for one line of JSON for each finished request, without its body; none by default")
	var definitions stringList
	flag.Var(&definitions, "custom-resource-definitions", "file or directory of CRDs, applied before the controllers start; may be repeated")
	flag.Parse()
	if *dataDirectory == "" || *kubeconfig == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*dataDirectory, *port, *kubeconfig, *auditLog, definitions); err != nil {
		fmt.Fprintln(os.Stderr, "control_plane:", err)
		os.Exit(1)
	}
}

func run(dataDirectory string, port int, kubeconfig, auditLog string, definitions []string) error {
	// Both programs set up logging in this one process with the same defaults.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	started := time.Now()
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return err
		}
	}
	keys, err := loadOrCreateKeys(filepath.Join(dataDirectory, "keys"))
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	controllerKubeconfig := filepath.Join(dataDirectory, "controller-manager.kubeconfig")
	for file, user := range map[string]string{kubeconfig: "administrator", controllerKubeconfig: "controller-manager"} {
		if err := keys.writeKubeconfig(file, address, user); err != nil {
			return fmt.Errorf("kubeconfig: %w", err)
		}
	}
	endpoint, err := startEtcd(filepath.Join(dataDirectory, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}

	// Made first: it changes a default of the feature gates, which it may not once they are among another program's flags.
	controllerManager := controllerManagerCommand(keys, controllerKubeconfig)
	audit, err := auditFlags(dataDirectory, auditLog)
	if err != nil {
		return fmt.Errorf("audit policy: %w", err)
	}
	server := apiServerCommand(keys, port, endpoint, audit)
	failed := make(chan error, 2)
	go func() { failed <- fmt.Errorf("kube-apiserver: %w", server.Execute()) }()
	if err := waitReady(keys, "https://"+address+"/readyz", failed); err != nil {
		return err
	}
	klog.Infof("API server ready after %s at %s", time.Since(started).Round(time.Millisecond), address)
	// The garbage collector finds new kinds only at its next discovery (30 s): the kinds come before it.
	if err := applyDefinitions(controllerKubeconfig, definitions); err != nil {
		return fmt.Errorf("custom resource definitions: %w", err)
	}
	go func() {
		failed <- fmt.Errorf("kube-controller-manager: %w", controllerManager.Execute())
	}()
	klog.Infof("controllers started after %s", time.Since(started).Round(time.Millisecond))

	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-failed:
		return err
	case <-signals:
		// At once: API server and etcd would wait for open watches, and the data survive a SIGKILL as well.
		return nil
	}
}

// auditFlags are those that let the API server write each finished request to a file.
func auditFlags(dataDirectory, file string) ([]string, error) {
	if file == "" {
		return nil, nil
	}
	policy := filepath.Join(dataDirectory, "audit-policy.yaml")
	content := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived, ResponseStarted]\nrules: [{level: Metadata}]\n"
	if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
		return nil, err
	}
	return []string{"--audit-policy-file=" + policy, "--audit-log-path=" + file}, nil
}

func apiServerCommand(keys *keySet, port int, etcdEndpoint string, more []string) *cobra.Command {
	command := apiserver.NewAPIServerCommand()
	command.SetArgs(append(more,
		"--etcd-servers="+etcdEndpoint,
		"--bind-address=127.0.0.1",
		"--secure-port="+strconv.Itoa(port),
		"--advertise-address="+advertisedAddress,
		"--endpoint-reconciler-type=none",
		"--authorization-mode=RBAC",
		"--client-ca-file="+keys.path("authority.crt"),
		"--tls-cert-file="+keys.path("apiserver.crt"),
		"--tls-private-key-file="+keys.path("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+keys.path("service-account.key"),
		"--service-account-signing-key-file="+keys.path("service-account.key"),
		"--service-cluster-ip-range=10.43.0.0/16",
		"--kubelet-client-certificate="+keys.path("kubelet-client.crt"),
		"--kubelet-client-key="+keys.path("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--profiling=false",
	))
	return command
}

func controllerManagerCommand(keys *keySet, kubeconfig string) *cobra.Command {
	command := controllermanager.NewControllerManagerCommand()
	command.SetArgs([]string{
		"--kubeconfig=" + kubeconfig,
		"--secure-port=0",
		"--leader-elect=false",
		// The node is a stand-in without heartbeats: its leases, addresses and volumes are nobody's business.
		"--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-node-route-controller,-service-lb-controller,-persistentvolume-attach-detach-controller",
		"--root-ca-file=" + keys.path("authority.crt"),
		"--service-account-private-key-file=" + keys.path("service-account.key"),
		"--cluster-signing-cert-file=" + keys.path("authority.crt"),
		"--cluster-signing-key-file=" + keys.path("authority.key"),
	})
	return command
}

// readyWithin is long, since a busy machine takes minutes for what a quiet one does in seconds.
const readyWithin = 5 * time.Minute

// waitReady returns when the URL answers 200, when a part has failed, or after readyWithin.
func waitReady(keys *keySet, url string, failed <-chan error) error {
	pool := x509.NewCertPool()
	pool.AddCert(keys.authority.certificate)
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	for {
		if response, err := client.Get(url); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s", url, readyWithin)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
