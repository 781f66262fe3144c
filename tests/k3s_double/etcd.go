// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// member is this server's etcd.
type member struct {
	etcd   *embed.Etcd
	client *clientv3.Client
}

// memberName is NODE-RANDOM, kept as long as the data (k3s: pkg/etcd/etcd.go); a server that comes again is another member.
func memberName(place places, nodeName string) (string, error) {
	file := place.etcd("name")
	if content, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	name := nodeName + "-" + randomText(4)
	return name, writeFile(file, []byte(name), 0o600)
}

// etcdConfiguration listens on 2379 and 2380 with TLS, on 2381 for metrics (k3s docs: installation/requirements.md).
func etcdConfiguration(place places, host *host, name string, arguments []string) (*embed.Config, error) {
	configuration := embed.NewConfig()
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	configuration.AddFlags(flags)
	for _, argument := range arguments { // etcd-arg: a name that etcd does not know stops it
		if err := flags.Parse([]string{"--" + strings.TrimPrefix(argument, "--")}); err != nil {
			return nil, fmt.Errorf("etcd-arg: %w", err)
		}
	}
	set := map[string]bool{}
	flags.Visit(func(given *flag.Flag) { set[given.Name] = true })
	configuration.Name, configuration.Dir = name, place.etcd()
	if !set["log-level"] {
		configuration.LogLevel = "error"
	}
	if !set["heartbeat-interval"] && !set["election-timeout"] {
		configuration.TickMs, configuration.ElectionMs = 500, 5000 // k3s' values
	}
	local, remote := urlOf("https://127.0.0.1:2379"), urlOf("https://"+host.address+":2379")
	configuration.ListenClientUrls, configuration.AdvertiseClientUrls = []url.URL{local, remote}, []url.URL{remote}
	localPeer, peer := urlOf("https://127.0.0.1:2380"), urlOf(peerURL(host))
	configuration.ListenPeerUrls, configuration.AdvertisePeerUrls = []url.URL{localPeer, peer}, []url.URL{peer}
	configuration.ListenMetricsUrls = []url.URL{urlOf("http://127.0.0.1:2381")}
	configuration.ClientTLSInfo = transport.TLSInfo{CertFile: place.tls("etcd/server-client.crt"), KeyFile: place.tls("etcd/server-client.key"), TrustedCAFile: place.tls("etcd/server-ca.crt"), ClientCertAuth: true}
	configuration.PeerTLSInfo = transport.TLSInfo{CertFile: place.tls("etcd/peer-server-client.crt"), KeyFile: place.tls("etcd/peer-server-client.key"), TrustedCAFile: place.tls("etcd/peer-ca.crt"), ClientCertAuth: true}
	configuration.WarningUnaryRequestDuration = time.Second // left at 0, each request would be logged
	configuration.InitialCluster = name + "=" + peerURL(host)
	return configuration, nil
}

func peerURL(host *host) string { return "https://" + host.address + ":2380" }

func urlOf(text string) url.URL {
	parsed, err := url.Parse(text)
	if err != nil {
		panic(err) // only texts that were made here
	}
	return *parsed
}

// startEtcd starts this member. It returns as soon as it listens: without quorum it never gets ready (k3s: pkg/etcd/etcd.go).
func startEtcd(place places, configuration *embed.Config) (*member, error) {
	etcd, err := embed.StartEtcd(configuration)
	if err != nil {
		return nil, err
	}
	go func() {
		var failed error
		select {
		case failed = <-etcd.Err(): // also what follows from its stopping: its listeners end with "server is stopping"
		case <-etcd.Server.StopNotify():
		}
		select {
		case <-etcd.Server.StoppingNotify():
			// etcd stops by itself only when it learns that the cluster removed it. k3s stays active with a dead API; only the leader of
			// the controllers ends, since it loses its lease (k3s v1.35.5: pkg/daemons/executor/etcd.go ETCD; k3s-io/k3s#4023).
			if !stopping.Load() {
				if err := writeFile(place.etcd("tombstone"), nil, 0o600); err != nil {
					logFatal("Failed to write tombstone file to %s: %s", place.etcd("tombstone"), err)
				}
				logInfo("This node has been removed from the cluster - please restart k3s to rejoin the cluster")
			}
		default:
			if failed != nil {
				logFatal("etcd failed: %s", failed)
			}
		}
	}()
	client, err := newEtcdClient(place, []string{"https://127.0.0.1:2379"})
	if err != nil {
		return nil, err
	}
	return &member{etcd, client}, nil
}

const backupsKept = 5

// buryRemovedMember moves the data of a member that the cluster removed aside, so that this start joins anew under another member name. A server
// that has no other to join refuses (k3s v1.35.5: pkg/etcd/etcd.go Register, backupDirWithRetention; the refusal since v1.35.1, v1.34.4,
// v1.33.8 and v1.32.12, k3s-io/k3s#13624; older ones begin a cluster of their own).
func buryRemovedMember(place places, hasServer bool) error {
	if !exists(place.etcd("tombstone")) {
		return nil
	}
	if !hasServer {
		return errors.New("Error: preparing server: tombstone file has been detected but --server is empty: backup and delete ${datadir}/server/db to create a new cluster, or set --server to rejoin") //nolint:staticcheck // k3s' words
	}
	logInfo("tombstone file has been detected, removing data dir to rejoin the cluster")
	if err := os.Rename(place.etcd(), place.server("db", fmt.Sprintf("etcd-backup-%d", time.Now().Unix()))); err != nil {
		return err
	}
	backups, err := filepath.Glob(place.server("db", "etcd-backup-*"))
	if err != nil {
		return err
	}
	slices.Sort(backups) // by their time
	for len(backups) > backupsKept {
		if err := os.RemoveAll(backups[0]); err != nil {
			return err
		}
		backups = backups[1:]
	}
	return nil
}

func newEtcdClient(place places, endpoints []string) (*clientv3.Client, error) {
	info := transport.TLSInfo{CertFile: place.tls("etcd/client.crt"), KeyFile: place.tls("etcd/client.key"), TrustedCAFile: place.tls("etcd/server-ca.crt")}
	configuration, err := info.ClientConfig()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: configuration, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		DialKeepAliveTime: 15 * time.Second, DialKeepAliveTimeout: 10 * time.Second})
}

func (own *member) leads() bool {
	return own.etcd.Server.Leader() != 0 && own.etcd.Server.Leader() == own.etcd.Server.MemberID()
}

// waitVoter returns when this member votes and the cluster answers; it waits as long as that takes, and says so.
func (own *member) waitVoter(ctx context.Context) {
	for attempt := 1; ; attempt++ {
		err := own.answers(ctx)
		if err == nil {
			return
		}
		if attempt%50 == 0 {
			logInfo("Waiting for etcd: %s", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (own *member) answers(ctx context.Context) error {
	server := own.etcd.Server
	switch {
	case server.Leader() == 0:
		return errors.New("no leader: is a majority of the servers running?")
	case server.IsLearner():
		return errors.New("this server has not yet been promoted from learner to voting member")
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := own.client.Get(ctx, "health")
	return err
}
