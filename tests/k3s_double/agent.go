// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"
)

// runAgent is `k3s agent`.
func runAgent(arguments []string) error {
	all, rest, err := loadSettings("agent", arguments)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("no such argument: %q", rest)
	}
	if all.text("server") == "" {
		return errors.New("--server is required")
	}
	text, err := readToken(all, "token")
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("--token is required")
	}
	secret, err := parseToken(text)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if err := checkHost(all); err != nil {
		return err
	}
	host, err := newHost(all)
	if err != nil {
		return err
	}
	place := all.places()
	if err := checkStoredVersion(place.agent("version")); err != nil {
		return err
	}
	server, err := url.Parse(all.text("server"))
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return fmt.Errorf("server %q is not https://HOST:PORT", all.text("server"))
	}
	logInfo("Starting k3s agent %s (double)", Version)
	go waitForSignal(nil)
	// Everything goes through the local load balancer (k3s: pkg/agent/loadbalancer): `server` is needed only to start the first time.
	balancer, err := newBalancer(server, place.agent("etc/k3s-agent-load-balancer.json"))
	if err != nil {
		return err
	}
	local := "127.0.0.1:" + all.text("lb-server-port")
	if err := balancer.listen(local); err != nil {
		return err
	}
	ctx := context.Background()
	own := &node{settings: all, host: host, place: place}
	client := own.connect(ctx, "https://"+local, secret, "node", all.text("server"))
	if err := own.start(ctx, client, "https://"+local); err != nil {
		return err
	}
	if err := writeFile(place.agent("version"), []byte(Version+"\n"), 0o600); err != nil {
		return err
	}
	notify("READY=1")
	logInfo("k3s agent is up and running")
	go balancer.followEndpoints(ctx, place.agent("k3scontroller.kubeconfig"))
	return own.live(ctx)
}

// connect tries until a server takes the token: like k3s it never gives up, and says why not each time (k3s v1.35.5: the authority in
// pkg/agent/run.go, the password in pkg/agent/config/config.go).
func (own *node) connect(ctx context.Context, address string, secret token, user, shown string) *supervisorClient {
	for ; ; time.Sleep(2 * time.Second) {
		client, err := newSupervisorClient(ctx, address, secret, user)
		if err != nil {
			logError("Failed to validate connection to cluster at %s: %s", shown, err)
			continue
		}
		client.headers[headerNodeName] = own.host.nodeName
		client.headers[headerNodeAddress] = own.host.address
		if own.server {
			client.headers[headerServer] = "true"
		}
		if err = client.get(ctx, "/v1-k3s/config", &own.cluster); err == nil {
			return client
		}
		logInfo("Waiting to retrieve agent configuration; server is not ready: failed to retrieve configuration from server: %s", err)
	}
}

// runNode is the node part of a server: the same as an agent, but it talks to its own server.
func (server *server) runNode(ctx context.Context, clients kubernetesClients, running *member) {
	address := "https://127.0.0.1:" + server.settings.text("https-listen-port")
	own := &node{settings: server.settings, host: server.host, place: server.place, server: true}
	secret := server.secrets
	client := own.connect(ctx, address, token{password: secret.Agent}, "node", address)
	if err := own.start(ctx, client, address); err != nil {
		logFatal("%s", err)
	}
	go func() {
		for { // the role labels come through the API, not by the kubelet (Kubernetes: NodeRestriction)
			err := markServer(ctx, clients, server.place, server.host, running.etcd.Config().Name)
			if err == nil {
				return
			}
			logWarning("%s", err)
			time.Sleep(time.Second)
		}
	}()
	if err := own.live(ctx); err != nil {
		logFatal("%s", err)
	}
}

func hostNameOf(address *url.URL) string {
	if address.Port() == "" {
		return address.Host + ":443"
	}
	return address.Host
}

func readText(file string) string {
	content, _ := os.ReadFile(file)
	return string(content)
}
