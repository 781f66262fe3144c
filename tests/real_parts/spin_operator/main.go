// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command spin_operator runs the controllers and webhooks of spin-operator as its own program does (spin-operator v0.6.1: cmd/main.go), with what that
// program has no flags for: the port, address and certificate of its webhooks. Two test sessions on one machine each need their own.
//
// The module's name lies below that of spin-operator because Go lets only such modules import its internal packages.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	spinv1alpha1 "github.com/spinkube/spin-operator/api/v1alpha1"
	"github.com/spinkube/spin-operator/internal/controller"
	webhooks "github.com/spinkube/spin-operator/internal/webhook"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

func main() {
	// The kubeconfig comes by --kubeconfig, which controller-runtime defines, or KUBECONFIG.
	port := flag.Int("webhook-port", 0, "port of the webhooks on 127.0.0.1")
	keys := flag.String("webhook-keys", "", "directory with tls.crt and tls.key of the webhooks")
	probe := flag.String("health-probe-bind-address", "", "HOST:PORT of /readyz")
	flag.Parse()
	go func() { // The test session holds a pipe: it closes however the session ends.
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := run(*port, *keys, *probe); err != nil {
		fmt.Fprintln(os.Stderr, "spin_operator:", err)
		os.Exit(1)
	}
}

func run(port int, keys, probe string) error {
	ctrl.SetLogger(zap.New(zap.UseDevMode(true)))
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, spinv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	configuration, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(configuration, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: probe,
		WebhookServer:          webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: keys}),
	})
	if err != nil {
		return err
	}
	apps := &controller.SpinAppReconciler{Client: manager.GetClient(), Scheme: scheme, Recorder: manager.GetEventRecorderFor("spinapp-reconciler")}
	executors := &controller.SpinAppExecutorReconciler{Client: manager.GetClient(), Scheme: scheme, Recorder: manager.GetEventRecorderFor("spinappexecutor-reconciler")}
	for _, setup := range []func(ctrl.Manager) error{
		apps.SetupWithManager,
		executors.SetupWithManager,
		webhooks.SetupSpinAppWebhookWithManager,
		webhooks.SetupSpinAppExecutorWebhookWithManager,
		func(manager ctrl.Manager) error {
			return manager.AddReadyzCheck("webhooks", manager.GetWebhookServer().StartedChecker())
		},
		func(manager ctrl.Manager) error { return manager.AddHealthzCheck("healthz", healthz.Ping) },
	} {
		if err := setup(manager); err != nil {
			return err
		}
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
