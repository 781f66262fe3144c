// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// resetCluster is `k3s server --cluster-reset` (k3s docs: cli/etcd-snapshot.md): this server becomes the only member, from its own data
// or from a snapshot. It ends when that is done, and the next start must be a normal one.
func resetCluster(all *settings, host *host) error {
	ctx := context.Background()
	place := all.places()
	flag := place.server("db/reset-flag")
	if exists(flag) {
		return fmt.Errorf("cluster-reset was successfully performed, please remove the cluster-reset flag and start k3s normally, if you need to perform another cluster reset, you must first manually delete the %s file", flag)
	}
	for _, port := range []string{":" + all.text("https-listen-port"), "127.0.0.1:2379"} {
		listener, err := net.Listen("tcp", port)
		if err != nil {
			return fmt.Errorf("stop k3s before a cluster-reset: %w", err)
		}
		listener.Close()
	}
	text, err := readToken(all, "token")
	if err != nil {
		return err
	}
	secret, err := parseToken(firstOf(text, readText(place.server("token"))))
	if err != nil {
		return fmt.Errorf("the server token of the cluster is needed, by --token: %w", err)
	}
	name, err := memberName(place, host.nodeName)
	if err != nil {
		return err
	}
	directory := place.etcd()
	source := all.text("cluster-reset-restore-path")
	if source != "" {
		if directory, err = restoreSnapshot(ctx, all, host, name, source); err != nil {
			return err
		}
	} else if !place.hasData() {
		return errors.New("cluster-reset without cluster-reset-restore-path needs etcd's data, and there are none here")
	}
	data, err := forceNewCluster(ctx, directory, name, secret.password)
	if err == nil {
		err = secret.checkAuthority(data["ServerCA"].Content)
	}
	if err != nil {
		if source != "" {
			_ = os.RemoveAll(directory) // the old data stay as they were
		}
		return fmt.Errorf("starting kubernetes: preparing server: %w", err)
	}
	if err := data.write(place); err != nil {
		return err
	}
	if source != "" {
		if err := swapData(place, directory, name); err != nil {
			return err
		}
	}
	_ = os.Remove(place.etcd("tombstone"))
	if err := writeTokens(place, passwords{secret.password, secret.password}); err != nil {
		return err
	}
	if err := writeFile(flag, nil, 0o600); err != nil {
		return err
	}
	logInfo("Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes")
	return nil
}

var errNoBootstrap = errors.New("no bootstrap data found in etcd")

// restoreSnapshot unpacks a snapshot beside the present data.
func restoreSnapshot(ctx context.Context, all *settings, host *host, name, source string) (string, error) {
	if all.flag("etcd-s3") { // then it is the name of an object (k3s docs: cli/etcd-snapshot.md)
		bucket, err := newBucket(all)
		if err != nil {
			return "", err
		}
		local := filepath.Join(snapshotDirectory(all), filepath.Base(source))
		if err := bucket.download(ctx, source, local); err != nil {
			return "", fmt.Errorf("S3: %s: %w", source, err)
		}
		source = local
	}
	if !exists(source) {
		return "", fmt.Errorf("etcd: snapshot path does not exist: %s", source)
	}
	directory := all.places().server("db/etcd-restored")
	if err := os.RemoveAll(directory); err != nil {
		return "", err
	}
	logInfo("Snapshot %s: restoring", source)
	return directory, snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: source, Name: name, OutputDataDir: directory, PeerURLs: []string{peerURL(host)}, InitialCluster: name + "=" + peerURL(host), InitialClusterToken: randomText(8),
	})
}

// swapData puts the restored data into place; the old ones stay beside them (k3s: pkg/etcd/etcd.go).
func swapData(place places, directory, name string) error {
	if exists(place.etcd()) {
		if err := os.Rename(place.etcd(), place.server("db", fmt.Sprintf("etcd-old-%d", time.Now().Unix()))); err != nil {
			return err
		}
	}
	if err := os.Rename(directory, place.etcd()); err != nil {
		return err
	}
	return writeFile(place.etcd("name"), []byte(name), 0o600)
}

// forceNewCluster starts etcd on the data by itself, which makes it the only member, and reads the bootstrap data with the token.
func forceNewCluster(ctx context.Context, directory, name, password string) (bootstrapData, error) {
	configuration := embed.NewConfig()
	configuration.Name, configuration.Dir, configuration.LogLevel, configuration.ForceNewCluster = name, directory, "error", true
	local, peer := urlOf("http://127.0.0.1:2399"), urlOf("http://127.0.0.1:2398")
	configuration.ListenClientUrls, configuration.AdvertiseClientUrls = []url.URL{local}, []url.URL{local}
	configuration.ListenPeerUrls, configuration.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	configuration.InitialCluster = name + "=" + peer.String()
	configuration.WarningUnaryRequestDuration = time.Second
	etcd, err := embed.StartEtcd(configuration)
	if err != nil {
		return nil, err
	}
	defer etcd.Close()
	select {
	case <-etcd.Server.ReadyNotify():
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(time.Minute):
		return nil, errors.New("etcd is not ready after a minute")
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{local.String()}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	data, err := fetchBootstrap(ctx, client, password)
	if err == nil && data == nil {
		err = errNoBootstrap
	}
	return data, err
}
