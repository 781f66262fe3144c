// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	encryptionreload "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli/globalflag"
	basecompatibility "k8s.io/component-base/compatibility"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// apiServer is kube-apiserver up to the handler that answers requests; the front serves it, on one port with the supervisor.
type apiServer struct {
	options   *options.ServerRunOptions
	arguments []string
	front     *front
}

// newAPIServer is made after the other components' commands: making those changes defaults of the feature gates, which are its flags.
func newAPIServer(all *settings, host *host, front *front) *apiServer {
	place := all.places()
	ours := map[string]string{
		"advertise-address":                  firstOf(all.text("advertise-address"), host.address),
		"allow-privileged":                   "true",
		"anonymous-auth":                     "false", // k3s docs: cli/server.md; /readyz and /livez answer 401 without credentials
		"api-audiences":                      "https://kubernetes.default.svc.cluster.local,k3s",
		"authorization-mode":                 "Node,RBAC",
		"bind-address":                       "0.0.0.0",
		"client-ca-file":                     place.tls("client-ca.crt"),
		"enable-admission-plugins":           "NodeRestriction",
		"enable-aggregator-routing":          "true",
		"enable-bootstrap-token-auth":        "true",
		"etcd-cafile":                        place.tls("etcd/server-ca.crt"),
		"etcd-certfile":                      place.tls("etcd/client.crt"),
		"etcd-keyfile":                       place.tls("etcd/client.key"),
		"etcd-servers":                       "https://127.0.0.1:2379",
		"kubelet-certificate-authority":      place.tls("server-ca.crt"),
		"kubelet-client-certificate":         place.tls("client-kube-apiserver.crt"),
		"kubelet-client-key":                 place.tls("client-kube-apiserver.key"),
		"kubelet-preferred-address-types":    "InternalIP,ExternalIP,Hostname",
		"profiling":                          "false",
		"proxy-client-cert-file":             place.tls("client-auth-proxy.crt"),
		"proxy-client-key-file":              place.tls("client-auth-proxy.key"),
		"requestheader-allowed-names":        "system:auth-proxy",
		"requestheader-client-ca-file":       place.tls("request-header-ca.crt"),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"secure-port":                        all.text("https-listen-port"),
		"service-account-issuer":             "https://kubernetes.default.svc.cluster.local",
		"service-account-key-file":           place.tls("service.key"),
		"service-account-signing-key-file":   place.tls("service.key"),
		"service-cluster-ip-range":           all.text("service-cidr"),
		"service-node-port-range":            all.text("service-node-port-range"),
		"tls-cert-file":                      place.tls("serving-kube-apiserver.crt"),
		"tls-private-key-file":               place.tls("serving-kube-apiserver.key"),
	}
	if exists(place.server("cred/encryption-config.json")) { // k3s docs: cli/secrets-encrypt.md
		ours["encryption-provider-config"] = place.server("cred/encryption-config.json")
		ours["encryption-provider-config-automatic-reload"] = "true"
		encryptionreload.EncryptionConfigFileChangePollDuration = encryptionPoll
	}
	return &apiServer{options.NewServerRunOptions(), componentArguments(ours, all.values["kube-apiserver-arg"]), front}
}

// run does what kube-apiserver's own command does, but serves no port itself. It returns when the server ends.
func (server *apiServer) run(ctx context.Context) error {
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	named := server.options.Flags()
	globalflag.AddGlobalFlags(named.FlagSet("global"), "kube-apiserver", logs.SkipLoggingConfigurationFlags())
	for _, set := range named.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(server.arguments); err != nil {
		return err
	}
	registry := server.options.GenericServerRunOptions.ComponentGlobalsRegistry
	if err := registry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	if err := logsapi.ValidateAndApply(server.options.Logs, registry.FeatureGateFor(basecompatibility.DefaultKubeComponent)); err != nil {
		return err
	}
	port, _ := strconv.Atoi(flags.Lookup("secure-port").Value.String())
	// Its own listener accepts nothing; the port is what it advertises as the endpoint of the Service kubernetes.
	server.options.SecureServing.Listener = &idleListener{address: &net.TCPAddr{IP: net.IPv4zero, Port: port}, closed: make(chan struct{})}
	completed, err := server.options.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	configuration, err := apiserver.NewConfig(completed)
	if err != nil {
		return err
	}
	finished, err := configuration.Complete()
	if err != nil {
		return err
	}
	chain, err := apiserver.CreateServerChain(finished)
	if err != nil {
		return err
	}
	prepared, err := chain.PrepareRun()
	if err != nil {
		return err
	}
	var own []dynamiccertificates.SNICertKeyContentProvider
	if serving := chain.GenericAPIServer.SecureServingInfo; serving != nil {
		own = serving.SNICerts
	}
	server.front.serveAPI(chain.GenericAPIServer.Handler, own)
	if err := prepared.Run(ctx); err != nil {
		return err
	}
	return fmt.Errorf("ended")
}

// idleListener is a listener that nobody connects to.
type idleListener struct {
	address net.Addr
	closed  chan struct{}
}

func (idle *idleListener) Accept() (net.Conn, error) {
	<-idle.closed
	return nil, net.ErrClosed
}

func (idle *idleListener) Close() error {
	select {
	case <-idle.closed:
	default:
		close(idle.closed)
	}
	return nil
}

func (idle *idleListener) Addr() net.Addr { return idle.address }
