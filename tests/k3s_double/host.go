// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// host is what this machine is called and where it is reached.
type host struct {
	nodeName, hostName, address string
	externalAddresses           []string
}

// newHost takes node-name or the host's name, and node-ip or the address of the default route.
func newHost(all *settings) (*host, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	found := &host{hostName: strings.ToLower(name), externalAddresses: all.list("node-external-ip")}
	found.nodeName = strings.ToLower(firstOf(all.text("node-name"), name))
	if all.flag("with-node-id") { // k3s docs: cli/agent.md; for hosts that come again under an old name
		id, err := nodeIdentity("/etc/rancher/node/id")
		if err != nil {
			return nil, err
		}
		found.nodeName += "-" + id
	}
	if addresses := all.list("node-ip"); len(addresses) > 0 {
		found.address, _, _ = strings.Cut(addresses[0], ",")
	} else {
		chosen, err := utilnet.ChooseHostInterface()
		if err != nil {
			return nil, fmt.Errorf("no default route and no node-ip: %w", err) // k3s docs: installation/airgap.md: k3s needs a default route
		}
		found.address = chosen.String()
	}
	if net.ParseIP(found.address) == nil {
		return nil, fmt.Errorf("node-ip %q is no address", found.address)
	}
	return found, nil
}

func nodeIdentity(file string) (string, error) {
	if content, err := os.ReadFile(file); err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	id := randomText(4)
	return id, writeFile(file, []byte(id+"\n"), 0o600)
}

// randomText has two hexadecimal digits for each byte.
func randomText(bytes int) string {
	content := make([]byte, bytes)
	_, _ = rand.Read(content) // never fails since Go 1.24
	return hex.EncodeToString(content)
}
