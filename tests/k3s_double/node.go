// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
)

type kubernetesClients = kubernetes.Interface

// node plays kubelet and containerd of this host: it registers the Node and keeps it alive with the rights of a kubelet, no more
// (Node authorizer and NodeRestriction are on), so a dead host goes NotReady by the real node lifecycle controller.
type node struct {
	settings *settings
	host     *host
	place    places
	server   bool
	cluster  clusterInformation
	clients  kubernetesClients
	runtimes map[string]string // handler → runtime type, as found at the start
}

// start gets the certificates, prepares containerd's files, and registers the Node.
func (own *node) start(ctx context.Context, client *supervisorClient, api string) error {
	password, err := readNodePassword()
	if err != nil {
		return err
	}
	client.headers[headerNodePassword] = password
	for attempt := 0; ; attempt++ {
		err := own.fetchCertificates(ctx, client, api)
		if err == nil {
			break
		}
		if attempt%5 == 0 { // for ever: a name that another host has does not end k3s (k3s v1.35.5: pkg/agent/config/config.go)
			logInfo("Waiting to retrieve agent configuration; server is not ready: %s", err)
		}
		time.Sleep(time.Second)
	}
	if err := own.writeContainerd(); err != nil {
		return err
	}
	configuration, err := clientcmd.BuildConfigFromFlags("", own.place.agent("kubelet.kubeconfig"))
	if err != nil {
		return err
	}
	configuration.Timeout = 10 * time.Second // of each request; watches have a client of their own
	if own.clients, err = kubernetes.NewForConfig(configuration); err != nil {
		return err
	}
	if err := own.listen(); err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		err := own.register(ctx)
		if err == nil {
			return nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			return fmt.Errorf("kubelet exited: registering the node: %w", err)
		}
		if attempt%10 == 0 {
			logInfo("Waiting to register the node: %s", err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (own *node) fetchCertificates(ctx context.Context, client *supervisorClient, api string) error {
	clientAuthority, err := client.call(ctx, http.MethodGet, "/v1-k3s/client-ca.crt", nil)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{"server-ca.crt": client.authority, "client-ca.crt": clientAuthority} {
		if err := writeFile(own.place.agent(file), content, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"client-kubelet", "serving-kubelet", "client-k3s-controller"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			return err
		}
		certificate, err := client.call(ctx, http.MethodPost, "/v1-k3s/"+name+".crt", public)
		if errors.Is(err, errForbidden) {
			return fmt.Errorf("%s: %w", own.place.agent(name+".crt"), errNodePassword)
		}
		if err != nil {
			return err
		}
		private, err := keyutil.MarshalPrivateKeyToPEM(key)
		if err != nil {
			return err
		}
		if err := writeFile(own.place.agent(name+".key"), private, 0o600); err != nil {
			return err
		}
		if err := writeFile(own.place.agent(name+".crt"), certificate, 0o644); err != nil {
			return err
		}
	}
	for file, pair := range map[string]string{"kubelet": "client-kubelet", "k3scontroller": "client-k3s-controller"} {
		if err := writeKubeconfig(own.place.agent(file+".kubeconfig"), api, own.place.agent("server-ca.crt"), own.place.agent(pair), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// register creates the Node, or takes over the one that is there without touching its labels and taints: node-label and node-taint
// count at the registration only (k3s docs: cli/agent.md).
func (own *node) register(ctx context.Context) error {
	nodes := own.clients.CoreV1().Nodes()
	present, err := nodes.Get(ctx, own.host.nodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		created, err := own.describe()
		if err != nil {
			return err
		}
		_, err = nodes.Create(ctx, created, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	if present.DeletionTimestamp != nil {
		return fmt.Errorf("the old Node %s is being deleted", present.Name)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": own.annotations()}})
	if err != nil {
		return err
	}
	if _, err = nodes.Patch(ctx, own.host.nodeName, mergePatch, patch, metav1.PatchOptions{}); err != nil {
		return err
	}
	return patchNodeStatus(ctx, own.clients, own.host.nodeName, own.status(present))
}

func (own *node) describe() (*corev1.Node, error) {
	described := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: own.host.nodeName, Annotations: own.annotations(), Labels: map[string]string{
		corev1.LabelHostname: own.host.nodeName, corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH,
		"beta.kubernetes.io/os": runtime.GOOS, "beta.kubernetes.io/arch": runtime.GOARCH,
	}}}
	if !own.cluster.NoCloud {
		described.Labels[corev1.LabelInstanceTypeStable] = "k3s"
		described.Labels["beta.kubernetes.io/instance-type"] = "k3s"
		described.Spec.ProviderID = "k3s://" + own.host.nodeName
	}
	for _, item := range own.settings.list("kubelet-arg") {
		name, value, _ := strings.Cut(strings.TrimPrefix(item, "--"), "=")
		switch {
		case name == "provider-id":
			described.Spec.ProviderID = value
		case name == "cloud-provider" && value == "external" && own.cluster.NoCloud: // Kubernetes: cloud-provider; the taint stays until a cloud controller takes it away
			described.Spec.Taints = append(described.Spec.Taints, corev1.Taint{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: corev1.TaintEffectNoSchedule})
		}
	}
	for _, item := range own.settings.list("node-label") {
		key, value, _ := strings.Cut(item, "=")
		described.Labels[key] = value
	}
	for _, item := range own.settings.list("node-taint") {
		taint, err := parseTaint(item)
		if err != nil {
			return nil, err
		}
		described.Spec.Taints = append(described.Spec.Taints, taint)
	}
	// Through JSON, since the status is made for patches.
	content, err := json.Marshal(own.status(nil))
	if err != nil {
		return nil, err
	}
	return described, json.Unmarshal(content, &described.Status)
}

func parseTaint(item string) (corev1.Taint, error) {
	body, effect, found := strings.Cut(item, ":")
	key, value, _ := strings.Cut(body, "=")
	switch effect := corev1.TaintEffect(effect); effect {
	case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		if found && key != "" {
			return corev1.Taint{Key: key, Value: value, Effect: effect}, nil
		}
	}
	return corev1.Taint{}, fmt.Errorf("node-taint %q is not KEY[=VALUE]:EFFECT", item)
}

// annotations are k3s' own; the arguments come without secrets.
func (own *node) annotations() map[string]string {
	command := "agent"
	if own.server {
		command = "server"
	}
	arguments := []string{command}
	for _, name := range sortedKeys(own.settings.values) {
		for _, value := range own.settings.values[name] {
			if flagRules[name].secret {
				value = "********"
			}
			arguments = append(arguments, "--"+name, value)
		}
	}
	text, _ := json.Marshal(arguments)
	return map[string]string{
		"k3s.io/hostname":                      own.host.hostName,
		"k3s.io/internal-ip":                   own.host.address,
		"k3s.io/node-args":                     string(text),
		"k3s.io/node-env":                      "{}",
		"alpha.kubernetes.io/provided-node-ip": own.host.address,
		"volumes.kubernetes.io/controller-managed-attach-detach": "true",
	}
}
