// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// Version is set by build.py: -X main.Version=v1.34.1+k3s1.
var Version = "v1.34.1+k3s1"

func minorOf(release string) uint {
	parsed, err := version.ParseGeneric(release)
	if err != nil {
		return 0
	}
	return parsed.Minor()
}

// checkStoredVersion compares this binary with the one that wrote the data: no skipped minor, no downgrade (k3s docs: upgrades/manual.md).
// Real k3s starts and breaks later; this refuses.
func checkStoredVersion(file string) error {
	stored, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	was, err := version.ParseGeneric(strings.TrimSpace(string(stored)))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	is := version.MustParseGeneric(Version)
	switch {
	case is.Minor() < was.Minor() || (is.Minor() == was.Minor() && is.Patch() < was.Patch()):
		return fmt.Errorf("version skew: the data were written by %s, %s is older: downgrade is not supported, restore a snapshot", strings.TrimSpace(string(stored)), Version)
	case is.Minor() > was.Minor()+1:
		return fmt.Errorf("version skew: the data were written by %s, %s skips a minor version", strings.TrimSpace(string(stored)), Version)
	}
	return nil
}

// checkKubelet is the skew policy for a node that asks this server for its certificates: kubelet not newer, at most 3 minors older (k3s docs: upgrades/manual.md).
func checkKubelet(release string) error {
	kubelet, server := minorOf(release), minorOf(Version)
	if kubelet > server || kubelet+3 < server {
		return fmt.Errorf("version skew: kubelet %s does not go with the API server %s", release, Version)
	}
	return nil
}

// checkJoiningServer lets a server of the next or the last minor in, as a rolling upgrade needs it (k3s docs: upgrades/manual.md).
func checkJoiningServer(release string) error {
	joiner, server := minorOf(release), minorOf(Version)
	if joiner > server+1 || joiner+1 < server {
		return fmt.Errorf("version skew: a server of %s cannot join one of %s", release, Version)
	}
	return nil
}
