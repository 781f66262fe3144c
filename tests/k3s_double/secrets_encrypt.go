// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/client-go/kubernetes"
)

// encryptionReport is what `k3s secrets-encrypt status` shows.
type encryptionReport struct {
	Enable       bool     `json:"enable"`
	Stage        string   `json:"stage"`
	ActiveKey    string   `json:"activekey"`
	InactiveKeys []string `json:"inactivekeys"`
	HashMatch    bool     `json:"hashmatch"`
	HashError    string   `json:"hasherror,omitempty"`
	KeyType      string   `json:"keytype"`
}

// runSecretsEncrypt is `k3s secrets-encrypt status|rotate-keys` (k3s docs: cli/secrets-encrypt.md).
func runSecretsEncrypt(arguments []string) error {
	all, rest, err := loadSettings("", arguments)
	if err != nil {
		return err
	}
	if len(rest) == 0 || (rest[0] != "status" && rest[0] != "rotate-keys") {
		return errors.New("usage: k3s secrets-encrypt status|rotate-keys (enable, disable, prepare, rotate and reencrypt are not played by this stand-in)")
	}
	ctx := context.Background()
	// The file and not the settings: it holds the token that this server runs with.
	secret, err := parseToken(readText(all.places().server("token")))
	if err != nil {
		return fmt.Errorf("%s: %w", all.places().server("token"), err)
	}
	client, err := newSupervisorClient(ctx, "https://127.0.0.1:"+all.text("https-listen-port"), secret, "server")
	if err != nil {
		return fmt.Errorf("see server log for details: %w", err)
	}
	if rest[0] == "rotate-keys" {
		client.client.Timeout = time.Minute
		if _, err := client.call(ctx, http.MethodPut, "/v1-k3s/encrypt/config", nil); err != nil {
			return fmt.Errorf("secrets-encrypt rotate-keys: %w", err)
		}
		fmt.Println("keys rotated, reencryption started")
		return nil
	}
	var report encryptionReport
	if err := client.get(ctx, "/v1-k3s/encrypt/status", &report); err != nil {
		return err
	}
	return report.print()
}

func (report encryptionReport) print() error {
	if !report.Enable {
		fmt.Println("Encryption Status: Disabled, no configuration file found")
		return nil
	}
	fmt.Println("Encryption Status: Enabled")
	fmt.Println("Current Rotation Stage:", report.Stage)
	fmt.Println("Server Encryption Hashes:", firstOf(report.HashError, "All hashes match"))
	fmt.Println()
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "Active\tKey Type\tName")
	fmt.Fprintln(table, "------\t--------\t----")
	fmt.Fprintf(table, " *\t%s\t%s\n", report.KeyType, report.ActiveKey)
	for _, name := range report.InactiveKeys {
		fmt.Fprintf(table, "\t%s\t%s\n", report.KeyType, name)
	}
	return table.Flush()
}

func (own *supervisor) encryptionStatus(writer http.ResponseWriter, request *http.Request) {
	clients, ctx := own.withClient(writer, request)
	if clients == nil {
		return
	}
	keys, provider, err := readEncryption(own.place)
	if err != nil {
		answer(writer, encryptionReport{})
		return
	}
	report := encryptionReport{Enable: true, Stage: currentEncryptionStage(own.place), ActiveKey: keys[0].Name, HashMatch: true, KeyType: map[string]string{"aescbc": "AES-CBC", "secretbox": "XSalsa20-POLY1305"}[provider]}
	for _, key := range keys[1:] {
		report.InactiveKeys = append(report.InactiveKeys, key.Name)
	}
	if err := compareEncryption(ctx, clients, own.place); err != nil {
		report.HashMatch, report.HashError = false, err.Error()
	}
	answer(writer, report)
}

// compareEncryption: keys may be rotated only when all servers have the same configuration.
func compareEncryption(ctx context.Context, clients kubernetes.Interface, place places) error {
	servers, err := clients.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labelEtcd})
	if err != nil {
		return err
	}
	wanted := encryptionHash(place)
	for _, server := range servers.Items {
		if found := server.Annotations[annotationEncryption]; found != wanted {
			return fmt.Errorf("hash does not match for node %s: it must be restarted", server.Name)
		}
	}
	return nil
}

// rotateEncryptionKey makes a new key the active one and writes all Secrets anew; the other servers learn it at their next start. Only at the very end the
// configuration is stored in etcd: what ends this process before leaves a key on this disk that nothing else has (pkg/server/handlers/secrets-encrypt.go before
// k3s#13763 was mended; v1.36.3 stores the new key before it encrypts anything with it).
func (own *supervisor) rotateEncryptionKey(writer http.ResponseWriter, request *http.Request) {
	clients, ctx := own.withClient(writer, request)
	if clients == nil {
		return
	}
	err := func() error {
		keys, provider, err := readEncryption(own.place)
		if err != nil {
			return errors.New("secrets encryption is disabled")
		}
		if err := compareEncryption(ctx, clients, own.place); err != nil {
			return err
		}
		encryptionStage.Store("reencrypt_active")
		fresh := newEncryptionKey(own.settings)
		// Readable before it is written with, as k3s does it.
		for _, order := range [][]apiserverv1.Key{append(keys[:len(keys):len(keys)], fresh), append([]apiserverv1.Key{fresh}, keys...)} {
			if err := writeEncryption(own.place, order, provider); err != nil {
				return err
			}
			time.Sleep(2*encryptionPoll + time.Second) // until the API server has loaded it
		}
		if err := own.markEncryption(ctx, clients); err != nil {
			return err
		}
		go own.reencrypt(context.WithoutCancel(ctx), clients, []apiserverv1.Key{fresh}, provider)
		return nil
	}()
	if err != nil {
		encryptionStage.Store("")
		http.Error(writer, err.Error(), http.StatusBadRequest)
	}
}

// markEncryption puts the configuration's hash on this server's Node.
func (own *supervisor) markEncryption(ctx context.Context, clients *kubernetes.Clientset) error {
	return markServer(ctx, clients, own.place, own.host, own.member.Load().etcd.Config().Name)
}

func (own *supervisor) reencrypt(ctx context.Context, clients *kubernetes.Clientset, keys []apiserverv1.Key, provider string) {
	err := func() error {
		secrets, err := clients.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range secrets.Items {
			secret := &secrets.Items[i]
			_, err := clients.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
			if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) { // a conflict: written anew by somebody else
				return err
			}
		}
		if err := writeEncryption(own.place, keys, provider); err != nil {
			return err
		}
		if err := writeEncryptionState(own.place, "reencrypt_finished"); err != nil {
			return err
		}
		if err := saveBootstrap(ctx, own.member.Load().client, own.place, *own.token.Load(), true); err != nil {
			return err
		}
		encryptionStage.Store("")
		return own.markEncryption(ctx, clients)
	}()
	if err != nil {
		logError("reencrypting the secrets: %s", err)
		return
	}
	logInfo("secrets reencrypted")
}
