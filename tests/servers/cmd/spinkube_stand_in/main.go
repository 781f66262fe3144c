// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command spinkube_stand_in plays, against a real API server and real controllers, what a test machine cannot run:
//
//   - scheduler, kubelet, containerd and the Spin shim of one node (kubelet.go, pull.go, artifact.go), pod logs (kubelet_api.go),
//   - the Gateway, KEDA's interceptor and scaler, and the functions' answers over HTTP (front.go, gateway.go, keda.go).
//
// No WebAssembly is run. The operator beside it is the real one (tests/real_parts/spin_operator).
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"wasmfaas.dev/tests/servers/internal/parent"
)

type settings struct {
	kubeconfig         string
	frontPort          int
	nodeName           string
	shimVersion        string
	shimVersionKey     string
	readyAfter         time.Duration
	terminateAfter     time.Duration
	backOff            time.Duration
	gatewayClass       string
	gatewayAddress     string
	interceptorService string
	interceptorAddress string
	containerRuntime   string
	authorities        stringList
	plainHTTP          stringList
}

type stringList []string

func (list *stringList) String() string         { return fmt.Sprint(*list) }
func (list *stringList) Set(value string) error { *list = append(*list, value); return nil }

func main() {
	parent.FollowStandardInput()
	var s settings
	flags := flag.NewFlagSet("spinkube_stand_in", flag.ExitOnError) // controller-runtime has put its own flags into the common one
	flags.StringVar(&s.kubeconfig, "kubeconfig", "", "an administrator's kubeconfig")
	flags.IntVar(&s.frontPort, "front-port", 0, "port of the HTTP front on 127.0.0.1")
	flags.StringVar(&s.nodeName, "node-name", "wasm-node", "name of the node that is registered")
	flags.StringVar(&s.shimVersion, "shim-version", "0.25.1", "the shim's version, as label and annotation of the node; the label is what counts afterwards")
	flags.StringVar(&s.shimVersionKey, "shim-version-key", "wasmfaas.dev/shim-version", "name of that label and annotation")
	flags.DurationVar(&s.readyAfter, "ready-after", 200*time.Millisecond, "time from a container's start to its readiness")
	flags.DurationVar(&s.terminateAfter, "terminate-after", 100*time.Millisecond, "time from a pod's deletion to its end")
	flags.DurationVar(&s.backOff, "back-off", time.Second, "first wait after a failed pull or a crash; it doubles three times")
	flags.StringVar(&s.gatewayClass, "gateway-class", "traefik", "GatewayClass whose Gateways the front plays")
	flags.StringVar(&s.gatewayAddress, "gateway-address", "127.0.0.1", "address in the Gateways' status")
	flags.StringVar(&s.interceptorService, "interceptor-service", "keda/keda-add-ons-http-interceptor-proxy", "NAMESPACE/NAME of the Service behind which the front plays KEDA's interceptor")
	flags.StringVar(&s.interceptorAddress, "interceptor-address", "", "HOST:PORT where KEDA's interceptor is played for another program's Gateway; empty: only behind the front")
	flags.StringVar(&s.containerRuntime, "container-runtime", "", "Unix socket of a container runtime that runs pods as processes; empty: pods are played")
	flags.Var(&s.authorities, "registry-authority", "PEM file of a certificate authority for registries; may be repeated")
	flags.Var(&s.plainHTTP, "plain-http-registry", "HOST:PORT of a registry without TLS that is not on the loopback address; may be repeated")
	_ = flags.Parse(os.Args[1:]) // ends the process on an error
	if s.kubeconfig == "" || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "spinkube_stand_in:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	logger := logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, nil))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	configuration, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return err
	}
	configuration.QPS = -1 // no limit: a thousand functions are a test
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, gatewayv1beta1.Install} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	manager, err := ctrl.NewManager(configuration, ctrl.Options{
		Scheme:  scheme,
		Metrics: metricsserver.Options{BindAddress: "0"},
		// Secrets and ConfigMaps are read at the server: a Secret written a moment before its pod must be seen.
		Client: client.Options{Cache: &client.CacheOptions{Unstructured: true, DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}}}},
	})
	if err != nil {
		return err
	}
	store, err := newImageStore(s.authorities, s.plainHTTP)
	if err != nil {
		return err
	}
	node := &kubelet{client: manager.GetClient(), recorder: manager.GetEventRecorderFor("kubelet"), store: store, settings: s, runtime: newContainerRuntime(s.containerRuntime), pods: map[types.UID]*runningPod{}}
	entrance := &front{client: manager.GetClient(), node: node, settings: s, requests: map[types.NamespacedName]time.Time{}}
	for _, setup := range []func(ctrl.Manager) error{
		node.setup,
		(&gatewayStatus{client: manager.GetClient(), settings: s}).setup,
		(&scaler{client: manager.GetClient(), front: entrance}).setup,
	} {
		if err := setup(manager); err != nil {
			return err
		}
	}

	failed := make(chan error, 4)
	direct, err := client.New(configuration, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	secured := http.NewServeMux()
	secured.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", node.serveLog)
	address, err := listenTLS(ctx, secured, failed)
	if err != nil {
		return err
	}
	if err := node.registerNode(ctx, direct, int32(address.Port)); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	go func() { failed <- manager.Start(ctx) }()
	if !manager.GetCache().WaitForCacheSync(ctx) {
		select {
		case err := <-failed:
			return err
		default:
			return ctx.Err()
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.frontPort)))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: entrance, ReadHeaderTimeout: 10 * time.Second}
	go func() { failed <- server.Serve(listener) }()
	if s.interceptorAddress != "" {
		interceptor := &http.Server{Addr: s.interceptorAddress, Handler: http.HandlerFunc(entrance.serveInterceptor), ReadHeaderTimeout: 10 * time.Second}
		go func() { failed <- interceptor.ListenAndServe() }()
	}
	logger.Info("ready", "front", listener.Addr().String(), "kubelet", address.String())
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
