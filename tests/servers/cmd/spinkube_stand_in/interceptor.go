// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The interceptor of KEDA's HTTP add-on 0.15.0, as far as the front needs it: an InterceptorRoute finds the Service of a host. Nothing is
// scaled; the real add-on with the real KEDA is in support/keda.py.

var interceptorRouteKind = schema.GroupVersionKind{Group: "http.keda.sh", Version: "v1beta1", Kind: "InterceptorRouteList"}

type interceptorRoute struct {
	Spec struct {
		Target struct {
			Service string `json:"service"`
		} `json:"target"`
		Rules []struct {
			Hosts []string `json:"hosts"`
		} `json:"rules"`
	} `json:"spec"`
}

// serveIntercepted holds a request until a pod is ready, 20 s at most.
func (f *front) serveIntercepted(writer http.ResponseWriter, request *http.Request, host string) {
	ctx, cancel := context.WithTimeout(request.Context(), 20*time.Second)
	defer cancel()
	service, found := f.interceptedService(ctx, host)
	if !found {
		http.Error(writer, "not found", http.StatusNotFound)
		return
	}
	for {
		pods, err := f.readyPods(ctx, service)
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadGateway)
			return
		}
		if len(pods) > 0 {
			f.answer(writer, request, pods)
			return
		}
		select {
		case <-ctx.Done():
			http.Error(writer, "backend not ready: context deadline exceeded", http.StatusGatewayTimeout)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (f *front) interceptedService(ctx context.Context, host string) (types.NamespacedName, bool) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(interceptorRouteKind)
	if err := f.client.List(ctx, list); err != nil {
		return types.NamespacedName{}, false
	}
	for i := range list.Items {
		var route interceptorRoute
		if runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &route) != nil {
			continue
		}
		for _, rule := range route.Spec.Rules {
			if slices.ContainsFunc(rule.Hosts, func(pattern string) bool { return strings.EqualFold(pattern, host) }) {
				return types.NamespacedName{Namespace: list.Items[i].GetNamespace(), Name: route.Spec.Target.Service}, true
			}
		}
	}
	return types.NamespacedName{}, false
}
