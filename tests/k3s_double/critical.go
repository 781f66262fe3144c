// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// criticalValues are the settings that all servers must have alike; of `disable` only servicelb (facts §1 "Compared in code").
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

// compareCritical stops a joining server that differs from the one it joins. Keys that only one of two versions knows are not compared.
func compareCritical(ours, theirs map[string]string) error {
	var different []string
	for name, value := range ours {
		if other, known := theirs[name]; known && other != value {
			different = append(different, fmt.Sprintf("%s is %q here and %q there", name, value, other))
		}
	}
	if len(different) == 0 {
		return nil
	}
	sort.Strings(different)
	return fmt.Errorf("failed to validate server configuration: critical configuration value mismatch between servers: %s", strings.Join(different, "; "))
}
