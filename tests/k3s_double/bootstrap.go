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

	clientv3 "go.etcd.io/etcd/client/v3"
)

// bootstrapData are the files below server/ that all servers share: path → content. They are handed to a joining server, and
// kept in etcd encrypted by the server token (facts §2: "also the PBKDF2 passphrase of the bootstrap data").
type bootstrapData map[string][]byte

var bootstrapFiles = []string{
	"tls/server-ca.crt", "tls/server-ca.key", "tls/client-ca.crt", "tls/client-ca.key", "tls/request-header-ca.crt", "tls/request-header-ca.key",
	"tls/etcd/server-ca.crt", "tls/etcd/server-ca.key", "tls/etcd/peer-ca.crt", "tls/etcd/peer-ca.key", "tls/service.key",
	"cred/encryption-config.json", "cred/encryption-state.json",
}

func readBootstrap(place places) (bootstrapData, error) {
	data := bootstrapData{}
	for _, name := range bootstrapFiles {
		content, err := os.ReadFile(place.server(name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		data[name] = content
	}
	return data, nil
}

func (data bootstrapData) write(place places) error {
	for _, name := range bootstrapFiles {
		content, present := data[name]
		if !present {
			continue
		}
		mode := os.FileMode(0o600)
		if filepath.Ext(name) == ".crt" {
			mode = 0o644
		}
		if err := writeFile(place.server(name), content, mode); err != nil {
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

// storeBootstrap writes the data under the password's key and removes those of other passwords, in one transaction.
func storeBootstrap(ctx context.Context, client *clientv3.Client, data bootstrapData, password string) error {
	sealed, err := data.seal(password)
	if err != nil {
		return err
	}
	key := bootstrapKey(password)
	stored, err := client.Get(ctx, bootstrapPrefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
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
