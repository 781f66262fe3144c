// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command registry is the Distribution registry itself, with the drivers that tests need and no others.
//
//	registry serve CONFIG.yml
//
// It is the program of github.com/distribution/distribution/v3/cmd/registry without its cloud storage drivers, which
// would triple the build. The configuration file is Distribution's own (REGISTRY_* environment variables too).
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"

	"wasmfaas.dev/tests/servers/internal/parent"
)

func main() {
	parent.FollowStandardInput()
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
