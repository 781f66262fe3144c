// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
)

// snapshotFile is one snapshot, on disk or in a bucket.
type snapshotFile struct {
	name, location string
	size           int64
	created        time.Time
	remote         bool
}

// runSnapshot is `k3s etcd-snapshot save|ls|delete|prune` (k3s docs: cli/etcd-snapshot.md). A scheduled snapshot is never taken here.
func runSnapshot(arguments []string) error {
	all, rest, err := loadSettings("", snapshotFlags(arguments))
	if err != nil {
		return err
	}
	line, _, _ := parseCommandLine("", snapshotFlags(arguments))
	ctx := context.Background()
	if len(rest) == 0 {
		return errors.New("usage: k3s etcd-snapshot save|ls|delete|prune")
	}
	switch command, names := rest[0], rest[1:]; command {
	case "save":
		return saveSnapshot(ctx, all, firstOf(last(line["etcd-snapshot-name"]), "on-demand"))
	case "ls", "list", "l":
		return listSnapshots(ctx, all)
	case "delete":
		return deleteSnapshots(ctx, all, names)
	case "prune":
		return pruneSnapshots(ctx, all, firstOf(last(line["etcd-snapshot-name"]), "on-demand"))
	default:
		return fmt.Errorf("etcd-snapshot %s: no such command", command)
	}
}

// snapshotFlags writes the command's short flags in their long form.
func snapshotFlags(arguments []string) []string {
	names := map[string]string{"name": "etcd-snapshot-name", "dir": "etcd-snapshot-dir", "snapshot-retention": "etcd-snapshot-retention", "snapshot-compress": "etcd-snapshot-compress"}
	var long []string
	for _, argument := range arguments {
		if body, isFlag := strings.CutPrefix(argument, "--"); isFlag {
			name, value, hasValue := strings.Cut(body, "=")
			if strings.HasPrefix(name, "s3") {
				name = "etcd-" + name
			}
			argument = "--" + firstOf(names[name], name)
			if hasValue {
				argument += "=" + value
			}
		}
		long = append(long, argument)
	}
	return long
}

func snapshotDirectory(all *settings) string {
	return firstOf(all.text("etcd-snapshot-dir"), all.places().server("db/snapshots"))
}

func saveSnapshot(ctx context.Context, all *settings, name string) error {
	if all.flag("etcd-snapshot-compress") {
		return errors.New("etcd-snapshot-compress is not played by this stand-in of k3s (before v1.37.1 k3s cannot restore such a snapshot)")
	}
	host, err := newHost(all)
	if err != nil {
		return err
	}
	place := all.places()
	if !place.hasData() {
		return errors.New("no etcd data here: snapshots are taken on a server")
	}
	info := transport.TLSInfo{CertFile: place.tls("etcd/client.crt"), KeyFile: place.tls("etcd/client.key"), TrustedCAFile: place.tls("etcd/server-ca.crt")}
	secured, err := info.ClientConfig()
	if err != nil {
		return err
	}
	directory := snapshotDirectory(all)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	// k3s: pkg/etcd/snapshot.go: the name carries the node's, since all servers share one S3 folder.
	file := filepath.Join(directory, fmt.Sprintf("%s-%s-%d", name, host.nodeName, time.Now().Unix()))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if _, err := snapshot.SaveWithVersion(ctx, zap.NewNop(), clientv3.Config{Endpoints: []string{"https://127.0.0.1:2379"}, TLS: secured, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}, file); err != nil {
		return fmt.Errorf("saving the snapshot: %w (is the server running?)", err)
	}
	if all.flag("etcd-s3") {
		bucket, err := newBucket(all)
		if err != nil {
			return err
		}
		if err := bucket.upload(ctx, file); err != nil {
			return fmt.Errorf("S3: %w", err)
		}
	}
	logInfo("Snapshot %s saved.", filepath.Base(file))
	return nil
}

// findSnapshots lists the newest last, those in the bucket too if S3 is on.
func findSnapshots(ctx context.Context, all *settings) ([]snapshotFile, error) {
	var found []snapshotFile
	directory := snapshotDirectory(all)
	entries, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		information, err := entry.Info()
		if err != nil || entry.IsDir() || strings.HasSuffix(entry.Name(), ".part") {
			continue
		}
		found = append(found, snapshotFile{entry.Name(), "file://" + filepath.Join(directory, entry.Name()), information.Size(), information.ModTime(), false})
	}
	if all.flag("etcd-s3") {
		bucket, err := newBucket(all)
		if err != nil {
			return nil, err
		}
		remote, err := bucket.list(ctx)
		if err != nil {
			return nil, fmt.Errorf("S3: %w", err)
		}
		found = append(found, remote...)
	}
	slices.SortStableFunc(found, func(one, other snapshotFile) int { return one.created.Compare(other.created) })
	return found, nil
}

func listSnapshots(ctx context.Context, all *settings) error {
	found, err := findSnapshots(ctx, all)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)
	fmt.Fprintln(table, "Name\tLocation\tSize\tCreated")
	for _, one := range found {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", one.name, one.location, one.size, one.created.UTC().Format(time.RFC3339))
	}
	return table.Flush()
}

func (one snapshotFile) delete(ctx context.Context, all *settings) error {
	if !one.remote {
		return os.Remove(strings.TrimPrefix(one.location, "file://"))
	}
	bucket, err := newBucket(all)
	if err != nil {
		return err
	}
	return bucket.delete(ctx, one.name)
}

func deleteSnapshots(ctx context.Context, all *settings, names []string) error {
	if len(names) == 0 {
		return errors.New("no snapshots given for removal")
	}
	found, err := findSnapshots(ctx, all)
	if err != nil {
		return err
	}
	for _, name := range names {
		deleted := false
		for _, one := range found {
			if one.name == name {
				if err := one.delete(ctx, all); err != nil {
					return err
				}
				deleted = true
			}
		}
		if !deleted {
			return fmt.Errorf("snapshot %s not found", name)
		}
		logInfo("Snapshot %s deleted.", name)
	}
	return nil
}

// pruneSnapshots keeps the newest of a name: retention for files, its own for S3 (k3s docs: cli/etcd-snapshot.md).
func pruneSnapshots(ctx context.Context, all *settings, name string) error {
	found, err := findSnapshots(ctx, all)
	if err != nil {
		return err
	}
	for _, remote := range []bool{false, true} {
		kept := all.number("etcd-snapshot-retention")
		if remote {
			kept = all.number("etcd-s3-retention")
		}
		named := slices.DeleteFunc(slices.Clone(found), func(one snapshotFile) bool { return one.remote != remote || !strings.HasPrefix(one.name, name+"-") })
		for i := 0; i < len(named)-kept; i++ {
			if err := named[i].delete(ctx, all); err != nil {
				return err
			}
			logInfo("Snapshot %s deleted.", named[i].name)
		}
	}
	return nil
}
