// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
)

//go:embed flags.txt
var flagLines string

// flagRule is a line of flags.txt.
type flagRule struct {
	name, kind, scope string // kind: string int bool duration list; scope: both server agent
	critical, secret  bool
	since             uint // minor version
	environment       string
	choices           []string
	fallback          string
}

var flagRules = parseFlagRules(flagLines)

func parseFlagRules(lines string) map[string]flagRule {
	rules := map[string]flagRule{}
	for line := range strings.Lines(lines) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] == "#" {
			continue
		}
		rule := flagRule{name: fields[0], kind: fields[1], scope: fields[2]}
		for _, field := range fields[3:] {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "critical":
				rule.critical = true
			case "secret":
				rule.secret = true
			case "since":
				since, _ := strconv.ParseUint(value, 10, 32)
				rule.since = uint(since)
			case "env":
				rule.environment = value
			case "choices":
				rule.choices = strings.Split(value, ",")
			case "default":
				rule.fallback = value
			}
		}
		rules[rule.name] = rule
	}
	return rules
}

// goneSettings are values that current k3s no longer knows (k3s docs: reference/flag-deprecation.md).
func goneSetting(name, value string) bool {
	return name == "flannel-backend" && slices.Contains([]string{"wireguard", "ipsec"}, value)
}
