// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

//go:embed manifests/runtimes.yaml
var runtimesManifest []byte

//go:embed manifests/rolebindings.yaml
var roleBindingsManifest []byte

const manifestInterval = 5 * time.Second // k3s: 15 s

// applyManifests applies the files of server/manifests at the start and when they change (k3s: pkg/deploy/controller.go). Packaged files are written anew
// at each start, unless `disable` or a .skip file is against it; deleting a file deletes no objects.
func applyManifests(ctx context.Context, all *settings) {
	place := all.places()
	directory := place.server("manifests")
	packaged := map[string][]byte{"rolebindings": roleBindingsManifest}
	if !slices.Contains(all.disabled(), "runtimes") {
		packaged["runtimes"] = runtimesManifest
	}
	for name, content := range packaged {
		if err := writeFile(filepath.Join(directory, name+".yaml"), content, 0o600); err != nil {
			logError("%s", err)
		}
	}
	configuration, err := clientcmd.BuildConfigFromFlags("", place.server("cred/supervisor.kubeconfig"))
	if err != nil {
		logFatal("%s", err)
	}
	configuration.QPS, configuration.Burst = 50, 100
	applier := &applier{
		client: dynamic.NewForConfigOrDie(configuration),
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(configuration))),
	}
	applied := map[string][32]byte{}
	for {
		files, _ := filepath.Glob(filepath.Join(directory, "*.yaml"))
		for _, file := range files {
			content, err := os.ReadFile(file)
			sum := sha256.Sum256(content)
			if err != nil || applied[file] == sum || exists(file+".skip") {
				continue
			}
			if strings.Contains(filepath.Base(file), "_") { // k3s docs: installation/packaged-components.md: names must be DNS-1123
				logError("Failed to process config: failed to process %s: invalid AddOn name", file)
				applied[file] = sum
				continue
			}
			if err := applier.apply(ctx, content); err != nil {
				logError("Failed to process config: failed to process %s: %s", file, err)
				continue
			}
			applied[file] = sum
		}
		time.Sleep(manifestInterval)
	}
}

type applier struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

func (own *applier) apply(ctx context.Context, content []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(string(content)), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.IsList() {
			err = object.EachListItem(func(item runtime.Object) error { return own.applyOne(ctx, item.(*unstructured.Unstructured)) })
		} else {
			err = own.applyOne(ctx, object)
		}
		if err != nil {
			return err
		}
	}
}

func (own *applier) applyOne(ctx context.Context, object *unstructured.Unstructured) error {
	kind := object.GroupVersionKind()
	mapping, err := own.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		own.mapper.Reset()
		return err
	}
	var resources dynamic.ResourceInterface = own.client.Resource(mapping.Resource)
	if mapping.Scope.Name() == "namespace" {
		namespace := firstOf(object.GetNamespace(), metav1.NamespaceDefault)
		resources = own.client.Resource(mapping.Resource).Namespace(namespace)
	}
	_, err = resources.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "deploy", Force: true})
	return err
}
