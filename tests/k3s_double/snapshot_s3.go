// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"k8s.io/client-go/util/cert"
)

// bucket is the S3 place of the etcd-s3-* settings; minio's client is what k3s uses too.
type bucket struct {
	client       *minio.Client
	name, folder string
}

func newBucket(all *settings) (*bucket, error) {
	if all.text("etcd-s3-bucket") == "" {
		return nil, errors.New("s3 bucket name was not set")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: all.flag("etcd-s3-skip-ssl-verify")}
	if file := all.text("etcd-s3-endpoint-ca"); file != "" {
		pool, err := cert.NewPool(file)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	keys := credentials.NewStaticV4(all.text("etcd-s3-access-key"), all.text("etcd-s3-secret-key"), all.text("etcd-s3-session-token"))
	if all.text("etcd-s3-access-key") == "" { // k3s: pkg/etcd/s3/s3.go: static, then the AWS file, then the instance profile
		keys = credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	}
	lookup := map[string]minio.BucketLookupType{"dns": minio.BucketLookupDNS, "path": minio.BucketLookupPath}[all.text("etcd-s3-bucket-lookup-type")]
	client, err := minio.New(all.text("etcd-s3-endpoint"), &minio.Options{
		Creds: keys, Secure: !all.flag("etcd-s3-insecure"), Region: all.text("etcd-s3-region"), Transport: transport, BucketLookup: lookup,
	})
	if err != nil {
		return nil, err
	}
	return &bucket{client, all.text("etcd-s3-bucket"), all.text("etcd-s3-folder")}, nil
}

func (own *bucket) upload(ctx context.Context, file string) error {
	_, err := own.client.FPutObject(ctx, own.name, path.Join(own.folder, filepath.Base(file)), file, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return err
}

func (own *bucket) download(ctx context.Context, name, file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return own.client.FGetObject(ctx, own.name, path.Join(own.folder, name), file, minio.GetObjectOptions{})
}

func (own *bucket) delete(ctx context.Context, name string) error {
	return own.client.RemoveObject(ctx, own.name, path.Join(own.folder, name), minio.RemoveObjectOptions{})
}

func (own *bucket) list(ctx context.Context) ([]snapshotFile, error) {
	prefix := ""
	if own.folder != "" {
		prefix = strings.TrimSuffix(own.folder, "/") + "/"
	}
	var found []snapshotFile
	for object := range own.client.ListObjects(ctx, own.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if object.Err != nil {
			return nil, object.Err
		}
		found = append(found, snapshotFile{path.Base(object.Key), "s3://" + path.Join(own.name, object.Key), object.Size, object.LastModified, true})
	}
	return found, nil
}
