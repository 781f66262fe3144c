// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// runToken is `k3s token create|list|delete|generate|rotate` (k3s docs: cli/token.md).
func runToken(arguments []string) error {
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	ttl := flags.Duration("ttl", 24*time.Hour, "")
	description := flags.String("description", "", "")
	kubeconfig := flags.String("kubeconfig", firstOf(os.Getenv("KUBECONFIG"), "/etc/rancher/k3s/k3s.yaml"), "")
	data := flags.StringP("data-dir", "d", firstOf(os.Getenv("K3S_DATA_DIR"), flagRules["data-dir"].fallback), "")
	old := flags.StringP("token", "t", os.Getenv("K3S_TOKEN"), "")
	fresh := flags.String("new-token", os.Getenv("K3S_NEW_TOKEN"), "")
	server := flags.StringP("server", "s", "https://127.0.0.1:6443", "")
	flags.String("groups", "", "")
	flags.String("usages", "", "")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	place := places{*data}
	ctx := context.Background()
	switch rest := flags.Args(); {
	case len(rest) == 0:
		return errors.New("usage: k3s token create|list|delete|generate|rotate")
	case rest[0] == "generate":
		fmt.Println(newBootstrapToken())
		return nil
	case rest[0] == "rotate":
		return requestRotation(ctx, place, *server, *old, *fresh)
	case rest[0] != "create" && rest[0] != "list" && rest[0] != "delete":
		return fmt.Errorf("token %s: no such command", rest[0])
	default:
		configuration, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
		if err != nil {
			return err
		}
		clients, err := kubernetes.NewForConfig(configuration)
		if err != nil {
			return err
		}
		switch rest[0] {
		case "create":
			return createToken(ctx, clients, place, append(rest, "")[1], *ttl, *description)
		case "list":
			return listTokens(ctx, clients)
		}
		for _, name := range rest[1:] {
			id, _, _ := strings.Cut(name, ".")
			if err := clients.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, "bootstrap-token-"+id, metav1.DeleteOptions{}); err != nil {
				return err
			}
			fmt.Printf("bootstrap token %q deleted\n", id)
		}
		return nil
	}
}

func newBootstrapToken() string { return randomText(3) + "." + randomText(8) }

func createToken(ctx context.Context, clients kubernetes.Interface, place places, text string, ttl time.Duration, description string) error {
	text = firstOf(text, newBootstrapToken())
	if !bootstrapToken.MatchString(text) {
		return errors.New("the token is not of the form abcdef.0123456789abcdef")
	}
	id, secret, _ := strings.Cut(text, ".")
	data := map[string]string{
		"token-id": id, "token-secret": secret, "description": description,
		"usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "true", "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
	}
	if ttl > 0 {
		data["expiration"] = time.Now().UTC().Add(ttl).Format(time.RFC3339)
	}
	_, err := clients.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id}, Type: corev1.SecretTypeBootstrapToken, StringData: data}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	hash, err := readAuthorityHash(place.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	fmt.Printf("K10%s::%s\n", hash, text)
	return nil
}

func listTokens(ctx context.Context, clients kubernetes.Interface) error {
	found, err := clients.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "type=" + string(corev1.SecretTypeBootstrapToken)})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS")
	for _, secret := range found.Items {
		expires, left := string(secret.Data["expiration"]), "<forever>"
		if end, err := time.Parse(time.RFC3339, expires); err == nil {
			left = time.Until(end).Round(time.Second).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\tauthentication,signing\t%s\t%s\n", secret.Data["token-id"], left, firstOf(expires, "<never>"), firstOf(string(secret.Data["description"]), "<none>"), secret.Data["auth-extra-groups"])
	}
	return table.Flush()
}

func isExpired(secret *corev1.Secret) bool {
	end, err := time.Parse(time.RFC3339, string(secret.Data["expiration"]))
	return err == nil && time.Now().After(end)
}

// rotation is the body of PUT /v1-k3s/token (k3s, pkg/server/handlers/token.go).
type rotation struct {
	NewToken string `json:"newToken"`
}

// requestRotation asks a server to take a new server token; all servers must be started anew with it afterwards.
func requestRotation(ctx context.Context, place places, server, old, fresh string) error {
	secret, err := parseToken(firstOf(old, readText(place.server("token"))))
	if err != nil {
		return err
	}
	if fresh == "" {
		fresh = randomText(16)
		logInfo("A new token was generated; it is in %s", place.server("token"))
	}
	client, err := newSupervisorClient(ctx, server, secret, "server")
	if err != nil {
		return err
	}
	body, err := json.Marshal(rotation{NewToken: fresh})
	if err != nil {
		return err
	}
	if _, err := client.call(ctx, http.MethodPut, "/v1-k3s/token", body); err != nil {
		return fmt.Errorf("token rotate: %w", err)
	}
	fmt.Println("Token rotated, restart k3s nodes with new token")
	return nil
}

// rotateToken takes another server token, or the same again, and saves this server's shared files under it (k3s v1.36.3: pkg/server/handlers/token.go,
// tokenRotate): from then on a server with another token cannot start. Of the tokens that this process lets others in by, it changes none.
func (own *supervisor) rotateToken(writer http.ResponseWriter, request *http.Request) {
	var asked rotation
	running := own.member.Load()
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil || running == nil {
		http.Error(writer, "no new token, or etcd not ready", http.StatusBadRequest)
		return
	}
	err := func() error {
		fresh, err := parseToken(asked.NewToken)
		if err != nil {
			return err
		}
		if fresh.bootstrap {
			return errors.New("failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>")
		}
		users, err := readPasswd(own.place)
		if err != nil {
			return err
		}
		old, found := users.users["server"]
		if !found {
			return errors.New("server token not found")
		}
		users.ensure("server", "k3s:server", fresh.password)
		if agent, err := readToken(own.settings, "agent-token"); err != nil {
			return err
		} else if agent == "" && users.users["node"].password == old.password {
			users.ensure("node", "k3s:agent", fresh.password)
		}
		if err := users.write(own.place); err != nil {
			return err
		}
		if err := writeServerToken(own.place, fresh.password); err != nil {
			return err
		}
		if err := saveBootstrap(request.Context(), running.client, own.place, fresh.password, true); err != nil {
			return err
		}
		own.token.Store(&fresh.password)
		return nil
	}()
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
	}
}
