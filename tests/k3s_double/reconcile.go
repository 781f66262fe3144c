// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// timeSkew is by how much a file must be newer than its copy to count as that (k3s v1.36.3: pkg/cluster/bootstrap.go, systemTimeSkew).
const timeSkew = 3 * time.Second

// bootstrapSource says what GET /v1-k3s/server-bootstrap serves: "datastore", as k3s does since v1.32.3 (k3s#11844), or "disk", as it did before, and
// still does when it cannot read its datastore. The stricter one is the default: a server that names another one then gets what that one has on disk.
func bootstrapSource() string { return firstOf(os.Getenv("K3S_DOUBLE_BOOTSTRAP_FROM"), "disk") }

// reconcile is what a server that has data does first at each start (k3s v1.36.3: pkg/cluster/bootstrap.go, Bootstrap): it compares the shared files with
// those of the server that `server` names, and only where it cannot get them, with those in its own copy of etcd. (k3s v1.34 starts a temporary etcd for that,
// v1.36.3 reads the copy directly.)
func (own *server) reconcile(ctx context.Context) error {
	if own.settings.has("server") && own.settings.text("server") != "" {
		data, err := own.askServer(ctx)
		if err == nil {
			logInfo("Reconciling bootstrap data between datastore and disk")
			if err := reconcileFiles(own.place, data); err != nil {
				return err
			}
			logInfo("Successfully reconciled with remote datastore")
			return nil
		}
		logWarning("Unable to reconcile with remote datastore: %s", err)
	}
	logInfo("Starting temporary etcd to reconcile with datastore")
	directory := own.place.server("db/etcd-tmp")
	if err := os.RemoveAll(directory); err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	if err := os.CopyFS(directory, os.DirFS(own.place.etcd())); err != nil {
		return err
	}
	name, err := memberName(own.place, own.host.nodeName)
	if err != nil {
		return err
	}
	stored, err := forceNewCluster(ctx, directory, name, own.secret.password)
	if errors.Is(err, errNoBootstrap) {
		return nil // a first start that ended before it stored them
	}
	if err != nil {
		return fmt.Errorf("Failed to reconcile with temporary etcd: %w", err)
	}
	logInfo("Reconciling bootstrap data between datastore and disk")
	return reconcileFiles(own.place, stored)
}

func (own *server) askServer(ctx context.Context) (bootstrapData, error) {
	client, err := newSupervisorClient(ctx, own.settings.text("server"), own.secret, "server")
	if err != nil {
		return nil, err
	}
	data := bootstrapData{}
	return data, client.get(ctx, "/v1-k3s/server-bootstrap", &data)
}

// reconcileFiles takes over what is newer in the data or missing on disk, and refuses to start where a file on disk is newer
// (k3s v1.36.3: pkg/cluster/bootstrap.go, ReconcileBootstrapData and isNewerFile).
func reconcileFiles(place places, data bootstrapData) error {
	for _, directory := range []string{place.server("cred"), place.tls(), place.tls("etcd")} {
		if entries, err := os.ReadDir(directory); err != nil || len(entries) == 0 {
			return data.write(place)
		}
	}
	var newer []string
	update := false
	for key, file := range data {
		name, known := bootstrapFiles[key]
		if !known {
			continue
		}
		path := place.server(name)
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			logWarning("%s doesn't exist. continuing...", path)
			update = true
			continue
		}
		if err != nil {
			return err
		}
		if bytes.Equal(content, file.Content) {
			continue
		}
		status, err := os.Stat(path)
		if err != nil {
			return err
		}
		update = true
		if status.ModTime().Unix()-file.Timestamp.Unix() >= int64(timeSkew/time.Second) {
			newer = append(newer, path)
		} else {
			logWarning("%s will be updated from the datastore.", path)
		}
	}
	if len(newer) > 0 {
		slices.Sort(newer)
		return errors.New(strings.Join(newer, ", ") + " newer than datastore and could cause a cluster outage. Remove the file(s) from disk and restart to be recreated from datastore.")
	}
	if !update {
		return nil
	}
	logWarning("Updating bootstrap data on disk from datastore")
	return data.write(place)
}

// serveBootstrap hands out the shared files: the server token is the right to them, TLS their envelope.
func (own *supervisor) serveBootstrap(request *http.Request) (bootstrapData, error) {
	if running := own.member.Load(); bootstrapSource() == "datastore" && running != nil {
		_, password, _ := request.BasicAuth()
		ctx, cancel := context.WithTimeout(request.Context(), 10*time.Second)
		defer cancel()
		data, err := fetchBootstrap(ctx, running.client, password)
		if err == nil && data != nil {
			logInfo("Serving HTTP bootstrap from datastore for %s", request.RemoteAddr)
			return data, nil
		}
		logWarning("Failed to retrieve HTTP bootstrap data from datastore; falling back to disk for %s: %v", request.RemoteAddr, err)
	}
	return readBootstrap(own.place)
}
