// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/tools/clientcmd"
)

// applyDefinitions applies all CustomResourceDefinitions in the given files, or in the *.yaml and *.yml files of the
// given directories, and waits until the API server serves them.
func applyDefinitions(kubeconfig string, paths []string) error {
	configuration, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	configuration.QPS = -1
	clients, err := clientset.NewForConfig(configuration)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	resource := clients.ApiextensionsV1().CustomResourceDefinitions()
	var names []string
	for _, path := range paths {
		documents, err := readDocuments(path)
		if err != nil {
			return err
		}
		for _, document := range documents {
			var definition apiextensions.CustomResourceDefinition
			if err := yaml.Unmarshal(document, &definition); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if definition.Kind != "CustomResourceDefinition" {
				continue
			}
			force := true
			options := metav1.PatchOptions{FieldManager: "control_plane", Force: &force}
			if _, err := resource.Patch(ctx, definition.Name, types.ApplyPatchType, document, options); err != nil {
				return fmt.Errorf("%s: %w", definition.Name, err)
			}
			names = append(names, definition.Name)
		}
	}
	for _, name := range names {
		err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			definition, err := resource.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			for _, condition := range definition.Status.Conditions {
				if condition.Type == apiextensions.Established && condition.Status == apiextensions.ConditionTrue {
					return true, nil
				}
			}
			return false, nil
		})
		if err != nil {
			return fmt.Errorf("%s is not established: %w", name, err)
		}
	}
	return nil
}

func readDocuments(path string) ([][]byte, error) {
	files := []string{path}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if info.IsDir() {
		files = nil
		for _, pattern := range []string{"*.yaml", "*.yml"} {
			matches, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return nil, err
			}
			files = append(files, matches...)
		}
	}
	var documents [][]byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if len(bytes.TrimSpace(document)) > 0 {
				documents = append(documents, document)
			}
		}
	}
	return documents, nil
}
