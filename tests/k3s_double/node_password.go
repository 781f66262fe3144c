// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// nodePasswordFile says who this host is: a host made again has another password, and its old name is refused (k3s: pkg/nodepassword).
const nodePasswordFile = "/etc/rancher/node/password"

func readNodePassword() (string, error) {
	if content, err := os.ReadFile(nodePasswordFile); err == nil {
		return strings.TrimSpace(string(content)), nil
	}
	password := randomText(16)
	return password, writeFile(nodePasswordFile, []byte(password+"\n"), 0o600)
}

// errNodePassword is what the refused host itself says (k3s v1.35.5: pkg/agent/config/config.go).
var errNodePassword = errors.New("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, " + //nolint:staticcheck // k3s' words
	"try enabling a unique node name with the --with-node-id flag")

// errPasswordHash is what the server that refuses it says (k3s v1.35.5: pkg/nodepassword/nodepassword.go).
var errPasswordHash = errors.New("hash does not match")

func nodePasswordSecret(node string) string { return node + ".node-password.k3s" }

// checkNodePassword compares with the hash in the Secret, or stores the hash of a name that is new.
func checkNodePassword(ctx context.Context, clients kubernetes.Interface, node, password string) error {
	if node == "" || password == "" {
		return errors.New("node name or node password not set")
	}
	secrets := clients.CoreV1().Secrets(metav1.NamespaceSystem)
	stored, err := secrets.Get(ctx, nodePasswordSecret(node), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		salt := randomText(8)
		immutable := true
		_, err := secrets.Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: nodePasswordSecret(node)},
			Immutable:  &immutable,
			Data:       map[string][]byte{"hash": []byte(salt + ":" + passwordHash(password, salt))},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	salt, hash, _ := strings.Cut(string(stored.Data["hash"]), ":")
	if !same(hash, passwordHash(password, salt)) {
		return fmt.Errorf("unable to verify password for node %s: %w", node, errPasswordHash)
	}
	return nil
}

func passwordHash(password, salt string) string {
	key, err := pbkdf2.Key(sha256.New, password, []byte(salt), 4096, 32)
	if err != nil {
		panic(err) // only for wrong lengths
	}
	return hex.EncodeToString(key)
}

// admitNode checks the skew and the password of a node that asks for certificates; it has answered when it returns "".
func (own *supervisor) admitNode(writer http.ResponseWriter, request *http.Request) string {
	clients, ctx := own.withClient(writer, request)
	if clients == nil {
		return ""
	}
	node := request.Header.Get(headerNodeName)
	err := checkKubelet(request.Header.Get(headerVersion))
	if err == nil {
		err = checkNodePassword(ctx, clients, node, request.Header.Get(headerNodePassword))
	}
	if err != nil {
		code := http.StatusInternalServerError
		if errors.Is(err, errPasswordHash) {
			code = http.StatusForbidden
		}
		refuse(writer, request, code, err.Error())
		return ""
	}
	return node
}
