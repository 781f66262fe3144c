// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// KEDA with its HTTP add-on 0.15.0 (pkg/k8s/scaledobject.go, scaler/handlers.go): an InterceptorRoute finds the application of a host, a ScaledObject of
// type external-push that names it scales the Deployment between its minimum and 1. No load is measured.

var (
	interceptorRouteKind = schema.GroupVersionKind{Group: "http.keda.sh", Version: "v1beta1", Kind: "InterceptorRoute"}
	scaledObjectKind     = schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}
)

type interceptorRoute struct {
	Spec struct {
		Target struct {
			Service string `json:"service"`
			Port    int32  `json:"port"`
		} `json:"target"`
		Rules []struct {
			Hosts []string `json:"hosts"`
		} `json:"rules"`
	} `json:"spec"`
}

type scaledObject struct {
	Spec struct {
		ScaleTargetRef struct {
			Name string `json:"name"`
		} `json:"scaleTargetRef"`
		MinReplicaCount *int32 `json:"minReplicaCount"`
		CooldownPeriod  *int32 `json:"cooldownPeriod"`
		Triggers        []struct {
			Type     string            `json:"type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"triggers"`
	} `json:"spec"`
}

// serveInterceptor is the interceptor's own port, for a Gateway that is another program.
func (f *front) serveInterceptor(writer http.ResponseWriter, request *http.Request) {
	f.serveIntercepted(writer, request, hostOf(request))
}

// serveIntercepted plays the interceptor: it holds a request until a pod is ready, 20 s at most as its default (conditionWait).
func (f *front) serveIntercepted(writer http.ResponseWriter, request *http.Request, host string) {
	ctx, cancel := context.WithTimeout(request.Context(), 20*time.Second)
	defer cancel()
	object, route := f.interceptorRouteOf(ctx, host)
	if object == nil {
		http.Error(writer, "not found", http.StatusNotFound)
		return
	}
	scaled := f.scaledObjectOf(ctx, object)
	service := types.NamespacedName{Namespace: object.GetNamespace(), Name: route.Spec.Target.Service}
	for {
		if scaled != nil {
			f.lock.Lock()
			f.requests[client.ObjectKeyFromObject(scaled)] = time.Now()
			f.lock.Unlock()
			if err := scaleTo(ctx, f.client, scaled, func(replicas int32) int32 { return max(replicas, 1) }); err != nil {
				http.Error(writer, err.Error(), http.StatusBadGateway)
				return
			}
		}
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
			http.Error(writer, "context deadline exceeded while waiting for a ready pod", http.StatusBadGateway)
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (f *front) interceptorRouteOf(ctx context.Context, host string) (*unstructured.Unstructured, *interceptorRoute) {
	list := newObjectList(interceptorRouteKind)
	if err := f.client.List(ctx, list); err != nil {
		return nil, nil
	}
	for i := range list.Items {
		var route interceptorRoute
		if decode(&list.Items[i], &route) != nil {
			continue
		}
		for _, rule := range route.Spec.Rules {
			if slices.ContainsFunc(rule.Hosts, func(pattern string) bool { return strings.EqualFold(pattern, host) }) {
				return &list.Items[i], &route
			}
		}
	}
	return nil, nil
}

func (f *front) scaledObjectOf(ctx context.Context, route *unstructured.Unstructured) *unstructured.Unstructured {
	list := newObjectList(scaledObjectKind)
	if err := f.client.List(ctx, list, client.InNamespace(route.GetNamespace())); err != nil {
		return nil
	}
	for i := range list.Items {
		var scaled scaledObject
		if decode(&list.Items[i], &scaled) != nil {
			continue
		}
		for _, trigger := range scaled.Spec.Triggers {
			if trigger.Type == "external-push" && trigger.Metadata["interceptorRoute"] == route.GetName() {
				return &list.Items[i]
			}
		}
	}
	return nil
}

// scaler brings the target of a ScaledObject to its minimum when no request came for the cool-down period (KEDA's default: 300 s).
type scaler struct {
	client client.Client
	front  *front
}

func (s *scaler) setup(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("keda").For(newObject(scaledObjectKind)).WithEventFilter(predicate.GenerationChangedPredicate{}).Complete(s)
}

func (s *scaler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := newObject(scaledObjectKind)
	if err := s.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	var scaled scaledObject
	if err := decode(object, &scaled); err != nil {
		return ctrl.Result{}, err
	}
	s.front.lock.Lock()
	last, requested := s.front.requests[request.NamespacedName]
	s.front.lock.Unlock()
	if !requested {
		last = object.GetCreationTimestamp().Time
	}
	coolDown := time.Duration(ptr.Deref(scaled.Spec.CooldownPeriod, 300)) * time.Second
	idle := time.Since(last) >= coolDown
	minimum := ptr.Deref(scaled.Spec.MinReplicaCount, 0)
	err := scaleTo(ctx, s.client, object, func(replicas int32) int32 {
		if idle {
			return minimum
		}
		return max(replicas, minimum)
	})
	if client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	before := object.DeepCopy()
	conditions := []any{
		map[string]any{"type": "Ready", "status": "True", "reason": "ScaledObjectReady", "message": "ScaledObject is defined correctly and is ready for scaling"},
		map[string]any{"type": "Active", "status": map[bool]string{true: "False", false: "True"}[idle], "reason": "ScalerActive", "message": "played by the stand-in"},
	}
	if err := unstructured.SetNestedSlice(object.Object, conditions, "status", "conditions"); err != nil {
		return ctrl.Result{}, err
	}
	if err := s.client.Status().Patch(ctx, object, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: max(min(coolDown-time.Since(last), 5*time.Second), 200*time.Millisecond)}, nil
}

// scaleTo writes the replicas of a ScaledObject's Deployment through its scale subresource, as the HPA does.
func scaleTo(ctx context.Context, c client.Client, object *unstructured.Unstructured, wanted func(int32) int32) error {
	var scaled scaledObject
	if err := decode(object, &scaled); err != nil {
		return err
	}
	var deployment appsv1.Deployment
	if err := c.Get(ctx, types.NamespacedName{Namespace: object.GetNamespace(), Name: scaled.Spec.ScaleTargetRef.Name}, &deployment); err != nil {
		return err
	}
	replicas := ptr.Deref(deployment.Spec.Replicas, 1)
	target := wanted(replicas)
	if target == replicas {
		return nil
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":`+strconv.Itoa(int(target))+`}}`))
	return c.SubResource("scale").Patch(ctx, &deployment, patch, client.FieldOwner("keda"))
}

func newObject(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object
}

func newObjectList(kind schema.GroupVersionKind) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind + "List"})
	return list
}

func decode(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}
