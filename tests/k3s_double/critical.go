// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// criticalValues are the settings that all servers must have alike; of `disable` only servicelb (k3s: CriticalControlArgs in pkg/daemons/config/types.go).
func criticalValues(all *settings) map[string]string {
	values := map[string]string{}
	for name, rule := range flagRules {
		switch {
		case !rule.critical || rule.since > minorOf(Version):
		case name == "disable":
			values[name] = fmt.Sprint(slices.Contains(all.disabled(), "servicelb"))
		case rule.kind == "bool":
			values[name] = fmt.Sprint(all.flag(name))
		default:
			values[name] = strings.Join(all.list(name), ",")
		}
	}
	return values
}

func (all *settings) disabled() []string {
	return strings.Split(strings.Join(all.list("disable"), ","), ",")
}

// criticalFields are keys that k3s names by their Go field, since the tag with the key is not found for a part of a list
// (k3s v1.35.5: pkg/cluster/bootstrap.go compareConfig). `disable` stands for servicelb.
var criticalFields = map[string]string{
	"cluster-cidr": "ClusterIPRanges.slice[0].IP.slice[1]", "service-cidr": "ServiceIPRanges.slice[0].IP.slice[1]",
	"cluster-dns": "ClusterDNSs.slice[0].slice[1]", "disable": "disable-service-lb",
}

// validateConfiguration compares this server with the one it joins, before anything is taken over: the first thing that a wrong token stops.
func validateConfiguration(ctx context.Context, client *supervisorClient, all *settings) error {
	var information clusterInformation
	client.headers[headerServer] = "true"
	err := client.get(ctx, "/v1-k3s/config", &information)
	if err == nil {
		err = compareCritical(criticalValues(all), information.Critical)
	}
	if err != nil {
		return fmt.Errorf("Error: preparing server: failed to bootstrap cluster data: failed to validate server configuration: %w", err) //nolint:staticcheck // k3s' words
	}
	return nil
}

// compareCritical stops a joining server that differs from the one it joins: warnings name the keys, the error does not. Keys that only one
// of two versions knows are not compared.
func compareCritical(ours, theirs map[string]string) error {
	var different []string
	for name, value := range ours {
		if other, known := theirs[name]; known && other != value {
			different = append(different, firstOf(criticalFields[name], name))
		}
	}
	if len(different) == 0 {
		return nil
	}
	sort.Strings(different)
	for _, field := range different {
		logWarning("critical configuration mismatched: %s", field)
	}
	return errors.New("critical configuration value mismatch between servers")
}
