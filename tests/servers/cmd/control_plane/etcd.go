// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// startEtcd runs a one-member etcd in this process and returns its client URL.
//
// It does not call fsync: a killed process loses nothing by that, only a machine that loses power would. Its ports may
// change between two starts on the same directory, since its only client is in the same process.
func startEtcd(directory string) (string, error) {
	configuration := embed.NewConfig()
	configuration.Dir = directory
	configuration.LogLevel = "warn"
	configuration.UnsafeNoFsync = true
	configuration.WarningUnaryRequestDuration = time.Second // left at 0, each request would be logged
	var urls [2]url.URL
	for i := range urls {
		port, err := freePort()
		if err != nil {
			return "", err
		}
		urls[i] = url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	}
	configuration.ListenClientUrls, configuration.AdvertiseClientUrls = urls[:1], urls[:1]
	configuration.ListenPeerUrls, configuration.AdvertisePeerUrls = urls[1:], urls[1:]
	configuration.InitialCluster = configuration.InitialClusterFromName(configuration.Name)
	etcd, err := embed.StartEtcd(configuration)
	if err != nil {
		return "", err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return urls[0].String(), nil
	case err := <-etcd.Err():
		return "", err
	case <-time.After(30 * time.Second):
		etcd.Close()
		return "", errors.New("not ready after 30 seconds")
	}
}
