// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// sharedFile is one file of the bootstrap data with the time it was last changed (k3s v1.36.3: pkg/bootstrap/bootstrap.go, File).
type sharedFile struct {
	Timestamp time.Time
	Content   []byte
}

// bootstrapData are the files below server/ that all servers share, by k3s's name of each (pkg/daemons/config/types.go,
// ControlRuntimeBootstrap). They are handed to other servers, and kept in etcd encrypted by the server token.
type bootstrapData map[string]sharedFile

var bootstrapFiles = map[string]string{
	"ServerCA": "tls/server-ca.crt", "ServerCAKey": "tls/server-ca.key", "ClientCA": "tls/client-ca.crt", "ClientCAKey": "tls/client-ca.key",
	"RequestHeaderCA": "tls/request-header-ca.crt", "RequestHeaderCAKey": "tls/request-header-ca.key",
	"ETCDServerCA": "tls/etcd/server-ca.crt", "ETCDServerCAKey": "tls/etcd/server-ca.key",
	"ETCDPeerCA": "tls/etcd/peer-ca.crt", "ETCDPeerCAKey": "tls/etcd/peer-ca.key", "ServiceKey": "tls/service.key",
	"PasswdFile": passwdFile, "EncryptionConfig": "cred/encryption-config.json", "EncryptionHash": "cred/encryption-state.json",
}

func readBootstrap(place places) (bootstrapData, error) {
	data := bootstrapData{}
	for key, name := range bootstrapFiles {
		content, err := os.ReadFile(place.server(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		status, err := os.Stat(place.server(name))
		if err != nil {
			return nil, err
		}
		data[key] = sharedFile{status.ModTime(), content}
	}
	return data, nil
}

// write puts the files on disk with the times that they have in the data (k3s v1.36.3: WriteToDiskFromStorage).
func (data bootstrapData) write(place places) error {
	for key, file := range data {
		name, known := bootstrapFiles[key]
		if !known {
			continue
		}
		mode := os.FileMode(0o600)
		if filepath.Ext(name) == ".crt" {
			mode = 0o644
		}
		if err := writeFile(place.server(name), file.Content, mode); err != nil {
			return err
		}
		if err := os.Chtimes(place.server(name), file.Timestamp, file.Timestamp); err != nil {
			return err
		}
	}
	return nil
}

const bootstrapPrefix = "/bootstrap/"

var errOtherToken = errors.New("bootstrap data already found and encrypted with different token")

func bootstrapKey(password string) string {
	sum := sha256.Sum256([]byte(password))
	return bootstrapPrefix + hex.EncodeToString(sum[:])[:12]
}

// saveBootstrap stores the files of this server's disk under the password's key. Where that key is there already, it changes nothing but
// with override, and then removes those of other passwords (k3s v1.36.3: pkg/cluster/storage.go, Save and RotateBootstrapToken).
func saveBootstrap(ctx context.Context, client *clientv3.Client, place places, password string, override bool) error {
	stored, err := client.Get(ctx, bootstrapPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	if len(stored.Kvs) > 0 && !override {
		for _, pair := range stored.Kvs {
			if string(pair.Key) == bootstrapKey(password) {
				logWarning("Bootstrap key already exists")
				return nil
			}
		}
		return fmt.Errorf("failed to save bootstrap data: %w", errOtherToken)
	}
	logInfo("Saving cluster bootstrap data to datastore")
	data, err := readBootstrap(place)
	if err != nil {
		return err
	}
	sealed, err := data.seal(password)
	if err != nil {
		return err
	}
	key := bootstrapKey(password)
	operations := []clientv3.Op{clientv3.OpPut(key, string(sealed))}
	for _, pair := range stored.Kvs {
		if string(pair.Key) != key {
			operations = append(operations, clientv3.OpDelete(string(pair.Key)))
		}
	}
	_, err = client.Txn(ctx).Then(operations...).Commit()
	return err
}

// fetchBootstrap returns nil, nil if nothing is stored yet, errOtherToken if it was stored with another token.
func fetchBootstrap(ctx context.Context, client *clientv3.Client, password string) (bootstrapData, error) {
	stored, err := client.Get(ctx, bootstrapPrefix, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	for _, pair := range stored.Kvs {
		if string(pair.Key) == bootstrapKey(password) {
			return openBootstrap(pair.Value, password)
		}
	}
	if len(stored.Kvs) > 0 {
		return nil, errOtherToken
	}
	return nil, nil
}

type sealedData struct{ Salt, Nonce, Data []byte }

func passwordCipher(password string, salt []byte) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, password, salt, 4096, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (data bootstrapData) seal(password string) ([]byte, error) {
	plain, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	sealed := sealedData{Salt: make([]byte, 16), Nonce: make([]byte, 12)}
	_, _ = rand.Read(sealed.Salt)
	_, _ = rand.Read(sealed.Nonce)
	aead, err := passwordCipher(password, sealed.Salt)
	if err != nil {
		return nil, err
	}
	sealed.Data = aead.Seal(nil, sealed.Nonce, plain, nil)
	return json.Marshal(sealed)
}

func openBootstrap(content []byte, password string) (bootstrapData, error) {
	var sealed sealedData
	if err := json.Unmarshal(content, &sealed); err != nil {
		return nil, err
	}
	aead, err := passwordCipher(password, sealed.Salt)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed.Nonce, sealed.Data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOtherToken, err)
	}
	var data bootstrapData
	return data, json.Unmarshal(plain, &data)
}
