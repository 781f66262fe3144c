// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// front answers HTTP requests as the Gateway and the functions behind it would.
//
// It goes the whole way HTTPRoute → Service → ready pods, with the real objects, and answers in the place of the pod.
// Of an HTTPRoute it follows hostnames, path matches and weighted backendRefs; filters, header, method and query matches it ignores.
type front struct {
	client   client.Client
	node     *kubelet
	settings settings
}

func (f *front) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	host := hostOf(request)
	route, rule, err := f.findRule(request.Context(), host, request.URL.Path)
	switch {
	case err != nil:
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	case rule == nil:
		http.Error(writer, "404 page not found", http.StatusNotFound) // Traefik's text
		return
	}
	backend := pickBackend(rule.BackendRefs)
	if backend == nil {
		http.Error(writer, "no backend with a weight", http.StatusInternalServerError)
		return
	}
	// "If all entries in BackendRefs are invalid … return 500" (Gateway API, HTTPRouteRule.backendRefs).
	if problem := backendProblem(request.Context(), f.client, route, *backend); problem != nil {
		http.Error(writer, problem.message, http.StatusInternalServerError)
		return
	}
	service := types.NamespacedName{Namespace: string(ptr.Deref(backend.Namespace, gatewayv1.Namespace(route.Namespace))), Name: string(backend.Name)}
	if service.String() == f.settings.interceptorService {
		f.serveIntercepted(writer, request, host)
		return
	}
	pods, err := f.readyPods(request.Context(), service)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	f.answer(writer, request, pods)
}

// hostOf is the Host header without its port, in lower case.
func hostOf(request *http.Request) string {
	host, _, err := net.SplitHostPort(request.Host)
	if err != nil {
		host = request.Host
	}
	return strings.ToLower(host)
}

// findRule picks the route and rule by the precedence of the Gateway API: exact host before wildcard, longest path first, oldest route first.
func (f *front) findRule(ctx context.Context, host, path string) (*gatewayv1.HTTPRoute, *gatewayv1.HTTPRouteRule, error) {
	var routes gatewayv1.HTTPRouteList
	if err := f.client.List(ctx, &routes); err != nil {
		return nil, nil, err
	}
	type candidate struct {
		route             *gatewayv1.HTTPRoute
		rule              *gatewayv1.HTTPRouteRule
		hostRank, lengths int
	}
	var candidates []candidate
	for i := range routes.Items {
		route := &routes.Items[i]
		rank := hostRank(route.Spec.Hostnames, host)
		if rank < 0 || len(route.Spec.ParentRefs) == 0 || route.DeletionTimestamp != nil {
			continue
		}
		accepted, err := isAccepted(ctx, f.client, f.settings, route)
		if err != nil {
			return nil, nil, err
		}
		if !accepted {
			continue
		}
		for j := range route.Spec.Rules {
			rule := &route.Spec.Rules[j]
			if length := pathLength(rule.Matches, path); length >= 0 {
				candidates = append(candidates, candidate{route, rule, rank, length})
			}
		}
	}
	if len(candidates) == 0 {
		return nil, nil, nil
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.hostRank, a.hostRank), cmp.Compare(b.lengths, a.lengths),
			a.route.CreationTimestamp.Compare(b.route.CreationTimestamp.Time), cmp.Compare(a.route.Namespace+"/"+a.route.Name, b.route.Namespace+"/"+b.route.Name))
	})
	return candidates[0].route, candidates[0].rule, nil
}

// hostRank is -1 for no match, 0 for a route without hostnames, else the length of the match, exact ones above wildcards.
func hostRank(hostnames []gatewayv1.Hostname, host string) int {
	if len(hostnames) == 0 {
		return 0
	}
	best := -1
	for _, hostname := range hostnames {
		name := strings.ToLower(string(hostname))
		if name == host {
			best = max(best, 10_000)
		} else if suffix, wildcard := strings.CutPrefix(name, "*"); wildcard && strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			best = max(best, len(suffix))
		}
	}
	return best
}

func pathLength(matches []gatewayv1.HTTPRouteMatch, path string) int {
	if len(matches) == 0 {
		return 0
	}
	best := -1
	for _, match := range matches {
		if match.Path == nil {
			best = max(best, 0)
			continue
		}
		value := ptr.Deref(match.Path.Value, "/")
		switch ptr.Deref(match.Path.Type, gatewayv1.PathMatchPathPrefix) {
		case gatewayv1.PathMatchExact:
			if path == value {
				best = max(best, 10_000)
			}
		case gatewayv1.PathMatchPathPrefix:
			trimmed := strings.TrimSuffix(value, "/")
			if path == trimmed || strings.HasPrefix(path, trimmed+"/") {
				best = max(best, len(value))
			}
		}
	}
	return best
}

func pickBackend(references []gatewayv1.HTTPBackendRef) *gatewayv1.HTTPBackendRef {
	total := int32(0)
	for _, reference := range references {
		total += ptr.Deref(reference.Weight, 1)
	}
	if total == 0 {
		return nil
	}
	drawn := rand.Int32N(total)
	for i := range references {
		if drawn -= ptr.Deref(references[i].Weight, 1); drawn < 0 {
			return &references[i]
		}
	}
	return nil
}

// readyPods are those that a Service's EndpointSlice would hold: ready, not terminating, matching the selector.
func (f *front) readyPods(ctx context.Context, key types.NamespacedName) ([]corev1.Pod, error) {
	var service corev1.Service
	if err := f.client.Get(ctx, key, &service); err != nil {
		return nil, err
	}
	if len(service.Spec.Selector) == 0 {
		return nil, nil
	}
	var pods corev1.PodList
	if err := f.client.List(ctx, &pods, client.InNamespace(key.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool {
		if pod.DeletionTimestamp != nil {
			return true
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == corev1.PodReady {
				return condition.Status != corev1.ConditionTrue
			}
		}
		return true
	}), nil
}

// answer speaks for one of the pods: 503 if there is none, the health check of every Spin application, else JSON.
func (f *front) answer(writer http.ResponseWriter, request *http.Request, pods []corev1.Pod) {
	rand.Shuffle(len(pods), func(i, j int) { pods[i], pods[j] = pods[j], pods[i] })
	for i := range pods {
		pod := &pods[i]
		running, application := f.node.answering(pod.UID)
		if application == nil {
			continue
		}
		if f.node.runtime != nil {
			forward(writer, request, pod.Status.PodIP)
			return
		}
		f.node.appendLog(pod.UID, fmt.Sprintf("%s %s", request.Method, request.URL.Path))
		if kind, _ := application.behaviour(); kind == "http_500" {
			http.Error(writer, "Internal Server Error", http.StatusInternalServerError)
			return
		}
		if request.URL.Path == "/.well-known/spin/health" {
			_, _ = writer.Write([]byte("OK"))
			return
		}
		writer.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(writer).Encode(map[string]string{
			"namespace": pod.Namespace, "function": application.name(), "image": running.reference, "pod": pod.Name,
		})
		return
	}
	http.Error(writer, "no available server", http.StatusServiceUnavailable) // Traefik's text
}
