// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// joinEtcd makes this server a learner of the running cluster (k3s: pkg/etcd/etcd.go), and returns the initial cluster
// for its configuration. A second learner is refused by etcd itself: "too many learner members in cluster".
func joinEtcd(ctx context.Context, place places, host *host, name string, endpoints []string) (string, error) {
	client, err := newEtcdClient(place, endpoints)
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	listed, err := client.MemberList(ctx)
	if err != nil {
		return "", fmt.Errorf("joining etcd cluster: %w", err)
	}
	members, add := listed.Members, true
	for _, other := range members {
		cut := strings.LastIndex(other.Name, "-")
		if other.Name != name && cut > 0 && other.Name[:cut] == host.nodeName {
			// The old member of a re-created server must go first (k3s: pkg/etcd/member_controller.go).
			return "", fmt.Errorf("joining etcd cluster: duplicate node name found, please use a unique name for this node: the etcd cluster still has the member %s; delete the Node %s first", other.Name, host.nodeName)
		}
		if (other.Name == "" || other.Name == name) && isAt(other, host) {
			add, other.Name = false, name // added by a try that ended before etcd started
		}
	}
	if add {
		added, err := client.MemberAddAsLearner(ctx, []string{peerURL(host)})
		if err != nil {
			return "", fmt.Errorf("joining etcd cluster: %w", err)
		}
		members = added.Members
		added.Member.Name = name
		for _, other := range members {
			if other.ID == added.Member.ID {
				other.Name = name
			}
		}
	}
	var cluster []string
	for _, other := range members {
		for _, address := range other.PeerURLs {
			if other.Name == "" {
				return "", errors.New("joining etcd cluster: another server is joining: too many learner members in cluster")
			}
			cluster = append(cluster, other.Name+"="+address)
		}
	}
	return strings.Join(cluster, ","), nil
}

func isAt(other *etcdserverpb.Member, host *host) bool {
	for _, address := range other.PeerURLs {
		if parsed, err := url.Parse(address); err == nil && parsed.Hostname() == host.address {
			return true
		}
	}
	return false
}
