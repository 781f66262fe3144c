// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// runServer is `k3s server`.
func runServer(arguments []string) error {
	all, rest, err := loadSettings("server", arguments)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("no such argument: %q", rest)
	}
	if err := checkServerSettings(all); err != nil {
		return err
	}
	if err := checkHost(all); err != nil {
		return err
	}
	host, err := newHost(all)
	if err != nil {
		return err
	}
	if all.flag("cluster-reset") {
		return resetCluster(all, host)
	}
	if all.has("cluster-reset-restore-path") {
		return errors.New("invalid flag use; --cluster-reset required with --cluster-reset-restore-path")
	}
	tuneMemory()
	return (&server{settings: all, host: host, place: all.places()}).run()
}

// tuneMemory: three servers share one machine with the tests.
func tuneMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}

// server is one start of `k3s server`.
type server struct {
	settings *settings
	host     *host
	place    places
	secret   token
	secrets  passwords
}

func (own *server) run() error {
	ctx := context.Background()
	started := time.Now()
	logInfo("Starting k3s %s (double)", Version)
	if err := checkStoredVersion(own.place.server("version")); err != nil {
		return err
	}
	configuration, err := own.prepare(ctx)
	if err != nil {
		return err
	}
	front, supervisor, err := own.openFront()
	if err != nil {
		return err
	}
	// Both other commands before the API server's: making them sets defaults of the feature gates, which are its flags.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	controllerManager, scheduler := controllerManagerCommand(own.settings), schedulerCommand(own.settings)
	running, err := startEtcd(own.place, configuration)
	if err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	supervisor.member.Store(running)
	go waitForSignal(running)
	running.waitVoter(ctx)
	logInfo("etcd data store connection OK after %s", time.Since(started).Round(time.Millisecond))
	// Stores them at the very first start, and nothing ever after (k3s v1.36.3: pkg/cluster/cluster.go, Start).
	if err := saveBootstrap(ctx, running.client, own.place, own.secret.password, false); err != nil {
		return fmt.Errorf("Shutdown request received: %w", err)
	}
	api := newAPIServer(own.settings, own.host, front)
	failed := make(chan error, 3)
	go func() { failed <- fmt.Errorf("kube-apiserver: %w", api.run(ctx)) }()
	clients, err := own.waitReady(ctx, failed)
	if err != nil {
		return err
	}
	supervisor.clients.Store(clients)
	if err := writeFile(own.place.server("version"), []byte(Version+"\n"), 0o600); err != nil {
		return err
	}
	_ = os.Remove(own.place.server("db/reset-flag")) // k3s: pkg/etcd/etcd.go: a normal start allows the next reset
	logInfo("k3s is up and running after %s", time.Since(started).Round(time.Millisecond))
	notify("READY=1")
	go func() { failed <- fmt.Errorf("kube-controller-manager: %w", controllerManager.Execute()) }()
	if !own.settings.flag("disable-scheduler") {
		go func() { failed <- fmt.Errorf("kube-scheduler: %w", scheduler.Execute()) }()
	}
	go applyManifests(ctx, own.settings)
	go keepMembers(ctx, running, clients)
	go own.runNode(ctx, clients, running)
	return <-failed
}

// prepare brings keys and data together: of this host, of the server it joins, or new ones.
func (own *server) prepare(ctx context.Context) (*embed.Config, error) {
	var err error
	if own.secret, own.secrets, err = serverPasswords(own.settings, own.place); err != nil {
		return nil, err
	}
	if err := buryRemovedMember(own.place, own.settings.has("server")); err != nil {
		return nil, err
	}
	var endpoints []string
	state := embed.ClusterStateFlagNew
	switch {
	case own.place.hasData():
		// It joins and begins nothing any more, but compares its files with those of the server that `server` names (reconcile.go).
		logInfo("Managed etcd cluster bootstrap already complete and initialized")
		if err := own.reconcile(ctx); err != nil {
			return nil, err
		}
	case own.settings.has("server"):
		if endpoints, err = own.join(ctx); err != nil {
			return nil, err
		}
		state = embed.ClusterStateFlagExisting
	case own.settings.flag("cluster-init"):
		if own.secret.authorityHash != "" { // k3s docs: cli/token.md
			return nil, errors.New("failed to normalize server token: the first server must get the short form of the token")
		}
		logInfo("Managed etcd cluster initializing")
	default:
		return nil, errors.New("neither cluster-init nor server is set and there are no data: k3s would use SQLite, which this stand-in does not have")
	}
	if err := makeAuthorities(own.place); err != nil {
		return nil, err
	}
	if hash, err := readAuthorityHash(own.place.tls("server-ca.crt")); err != nil {
		return nil, err
	} else if own.secret.authorityHash != "" && own.secret.authorityHash != hash {
		return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", own.secret.authorityHash, hash)
	}
	if err := ensureUsers(own.place, own.secrets); err != nil {
		return nil, err
	}
	if err := writeTokens(own.place, own.secrets); err != nil {
		return nil, err
	}
	if err := makeServerLeaves(own.place, own.host, own.settings.list("tls-san")); err != nil {
		return nil, err
	}
	if err := writeAdministratorKubeconfig(own.settings, own.settings.text("https-listen-port")); err != nil {
		return nil, err
	}
	if err := prepareEncryption(own.settings, own.place); err != nil {
		return nil, err
	}
	name, err := memberName(own.place, own.host.nodeName)
	if err != nil {
		return nil, err
	}
	configuration, err := etcdConfiguration(own.place, own.host, name, own.settings.list("etcd-arg"))
	if err != nil {
		return nil, err
	}
	configuration.ClusterState = state
	if endpoints != nil {
		if configuration.InitialCluster, err = joinEtcd(ctx, own.place, own.host, name, endpoints); err != nil {
			return nil, fmt.Errorf("starting kubernetes: preparing server: start managed database: %w", err)
		}
	}
	return configuration, nil
}

// join gets the shared keys from any server and compares the critical settings (k3s: pkg/cluster/bootstrap.go); it returns etcd's voters.
func (own *server) join(ctx context.Context) ([]string, error) {
	address := own.settings.text("server")
	client, err := newSupervisorClient(ctx, address, own.secret, "server")
	if err != nil {
		return nil, fmt.Errorf("failed to validate token: %w", err)
	}
	if err := validateConfiguration(ctx, client, own.settings); err != nil {
		return nil, err
	}
	data := bootstrapData{}
	if err := client.get(ctx, "/v1-k3s/server-bootstrap", &data); err != nil {
		return nil, fmt.Errorf("failed to get bootstrap data from %s: %w", address, err)
	}
	var information clusterInformation
	if err := client.get(ctx, "/db/info", &information); err != nil {
		return nil, fmt.Errorf("failed to get the etcd members from %s: %w", address, err)
	}
	logInfo("Joining the cluster of %s", address)
	return information.EtcdEndpoints, reconcileFiles(own.place, data) // files of an earlier membership count here too
}

func (own *server) openFront() (*front, *supervisor, error) {
	front, err := newFront(own.place)
	if err != nil {
		return nil, nil, err
	}
	supervisor := &supervisor{settings: own.settings, host: own.host, place: own.place}
	supervisor.secrets.Store(&own.secrets)
	supervisor.token.Store(&own.secrets.Server)
	supervisor.identify = &identifier{supervisor, front.clients}
	front.supervisor = supervisor.handler()
	return front, supervisor, front.listen(own.settings.text("https-listen-port"), own.settings.text("lb-server-port"))
}

// waitReady returns when /readyz answers 200, or when a part has failed.
func (own *server) waitReady(ctx context.Context, failed <-chan error) (*kubernetes.Clientset, error) {
	configuration, err := clientcmd.BuildConfigFromFlags("", own.place.server("cred/supervisor.kubeconfig"))
	if err != nil {
		return nil, err
	}
	configuration.Host = "https://127.0.0.1:" + own.settings.text("https-listen-port")
	configuration.QPS, configuration.Burst = 50, 100
	clients, err := kubernetes.NewForConfig(configuration)
	if err != nil {
		return nil, err
	}
	for {
		if err := clients.RESTClient().Get().AbsPath("/readyz").Timeout(5 * time.Second).Do(ctx).Error(); err == nil {
			return clients, nil
		}
		select {
		case err := <-failed:
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}
