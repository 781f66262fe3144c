// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"path/filepath"
)

// places are k3s' directories below data-dir.
type places struct{ data string }

func (all *settings) places() places { return places{all.text("data-dir")} }

func (place places) server(parts ...string) string {
	return filepath.Join(append([]string{place.data, "server"}, parts...)...)
}

func (place places) agent(parts ...string) string {
	return filepath.Join(append([]string{place.data, "agent"}, parts...)...)
}

func (place places) tls(parts ...string) string {
	return place.server(append([]string{"tls"}, parts...)...)
}

func (place places) etcd(parts ...string) string {
	return place.server(append([]string{"db", "etcd"}, parts...)...)
}

// hasData tells whether etcd was started here before: then cluster-init and server are ignored (k3s docs: installation/configuration.md).
func (place places) hasData() bool { return exists(place.etcd("member")) }

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// writeFile replaces a file in one step, so that a killed process leaves the old or the new one.
func writeFile(file string, content []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	partial := file + ".partial"
	if err := os.WriteFile(partial, content, mode); err != nil {
		return err
	}
	if err := os.Chmod(partial, mode); err != nil {
		return err
	}
	return os.Rename(partial, file)
}
