// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
)

// encryptionPoll is how often the API server looks for a changed configuration; a minute is its default.
const encryptionPoll = 2 * time.Second

// encryptionState is cred/encryption-state.json.
type encryptionState struct{ Stage string }

// encryptionStage is the stage that this process is in, where it is none that is kept on disk (k3s v1.36.3: pkg/server/handlers/secrets-encrypt.go,
// encryptionRotateKeys: "As this stage is not persisted, we do not write the annotation to file").
var encryptionStage atomic.Value

// prepareEncryption makes the API server's encryption configuration of a new cluster (k3s docs: cli/secrets-encrypt.md).
func prepareEncryption(all *settings, place places) error {
	file := place.server("cred/encryption-config.json")
	if !all.flag("secrets-encryption") || exists(file) {
		return nil
	}
	if place.hasData() && minorOf(Version) < 35 {
		return errors.New("secrets-encryption cannot be turned on for an existing cluster before v1.35 (k3s #13403)")
	}
	if err := writeEncryption(place, []apiserverv1.Key{newEncryptionKey(all)}, all.text("secrets-encryption-provider")); err != nil {
		return err
	}
	return writeEncryptionState(place, "start")
}

func newEncryptionKey(all *settings) apiserverv1.Key {
	content := make([]byte, 32)
	_, _ = rand.Read(content)
	return apiserverv1.Key{Name: all.text("secrets-encryption-provider") + "key-" + time.Now().UTC().Format("20060102150405.000000"), Secret: base64.StdEncoding.EncodeToString(content)}
}

// writeEncryption writes the configuration with the first key active.
func writeEncryption(place places, keys []apiserverv1.Key, provider string) error {
	encrypting := apiserverv1.ProviderConfiguration{AESCBC: &apiserverv1.AESConfiguration{Keys: keys}}
	if provider == "secretbox" {
		encrypting = apiserverv1.ProviderConfiguration{Secretbox: &apiserverv1.SecretboxConfiguration{Keys: keys}}
	}
	configuration := apiserverv1.EncryptionConfiguration{
		TypeMeta: metav1.TypeMeta{Kind: "EncryptionConfiguration", APIVersion: "apiserver.config.k8s.io/v1"},
		Resources: []apiserverv1.ResourceConfiguration{{
			Resources: []string{"secrets"},
			Providers: []apiserverv1.ProviderConfiguration{encrypting, {Identity: &apiserverv1.IdentityConfiguration{}}},
		}},
	}
	content, err := json.Marshal(configuration)
	if err != nil {
		return err
	}
	return writeFile(place.server("cred/encryption-config.json"), content, 0o600)
}

func writeEncryptionState(place places, stage string) error {
	content, err := json.Marshal(encryptionState{stage})
	if err != nil {
		return err
	}
	return writeFile(place.server("cred/encryption-state.json"), content, 0o600)
}

func readEncryptionState(place places) (encryptionState, error) {
	var state encryptionState
	content, err := os.ReadFile(place.server("cred/encryption-state.json"))
	if err != nil {
		return state, err
	}
	return state, json.Unmarshal(content, &state)
}

// readEncryption returns keys (the active one first) and provider, or an error if encryption is off.
func readEncryption(place places) ([]apiserverv1.Key, string, error) {
	content, err := os.ReadFile(place.server("cred/encryption-config.json"))
	if err != nil {
		return nil, "", err
	}
	var configuration apiserverv1.EncryptionConfiguration
	if err := json.Unmarshal(content, &configuration); err != nil {
		return nil, "", err
	}
	for _, provider := range configuration.Resources[0].Providers {
		if provider.AESCBC != nil {
			return provider.AESCBC.Keys, "aescbc", nil
		}
		if provider.Secretbox != nil {
			return provider.Secretbox.Keys, "secretbox", nil
		}
	}
	return nil, "", errors.New("no keys")
}

// encryptionHash is the annotation by which k3s compares the servers: STAGE-HASH.
func encryptionHash(place places) string {
	content, err := os.ReadFile(place.server("cred/encryption-config.json"))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return fmt.Sprintf("%s-%s", currentEncryptionStage(place), hex.EncodeToString(sum[:]))
}

func currentEncryptionStage(place places) string {
	if stage, set := encryptionStage.Load().(string); set && stage != "" {
		return stage
	}
	state, _ := readEncryptionState(place)
	return state.Stage
}
