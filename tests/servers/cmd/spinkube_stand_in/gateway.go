// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
)

const gatewayControllerName = gatewayv1.GatewayController("traefik.io/gateway-controller")

// gatewayStatus writes the status of Gateways and HTTPRoutes as a controller of the Gateway API v1 must.
type gatewayStatus struct {
	client   client.Client
	settings settings
}

func (g *gatewayStatus) setup(manager ctrl.Manager) error {
	allRoutes := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, _ client.Object) []reconcile.Request {
		var routes gatewayv1.HTTPRouteList
		if err := g.client.List(ctx, &routes); err != nil {
			return nil
		}
		requests := make([]reconcile.Request, len(routes.Items))
		for i := range routes.Items {
			requests[i].NamespacedName = client.ObjectKeyFromObject(&routes.Items[i])
		}
		return requests
	})
	if err := ctrl.NewControllerManagedBy(manager).Named("gateway").For(&gatewayv1.Gateway{}).Complete(reconcile.Func(g.gateway)); err != nil {
		return err
	}
	// The Services a route names may come after it, and so may the grant.
	serviceRoutes := handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, service client.Object) []reconcile.Request {
		var routes gatewayv1.HTTPRouteList
		if err := g.client.List(ctx, &routes); err != nil {
			return nil
		}
		var requests []reconcile.Request
		for _, route := range routes.Items {
			for _, rule := range route.Spec.Rules {
				for _, backend := range rule.BackendRefs {
					if string(backend.Name) == service.GetName() && string(ptr.Deref(backend.Namespace, gatewayv1.Namespace(route.Namespace))) == service.GetNamespace() {
						requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&route)})
					}
				}
			}
		}
		return requests
	})
	return ctrl.NewControllerManagedBy(manager).Named("httproute").For(&gatewayv1.HTTPRoute{}).
		Watches(&gatewayv1.Gateway{}, allRoutes).Watches(&gatewayv1beta1.ReferenceGrant{}, allRoutes).Watches(&corev1.Service{}, serviceRoutes).
		Complete(reconcile.Func(g.route))
}

func (g *gatewayStatus) gateway(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var gateway gatewayv1.Gateway
	if err := g.client.Get(ctx, request.NamespacedName, &gateway); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if string(gateway.Spec.GatewayClassName) != g.settings.gatewayClass {
		return reconcile.Result{}, nil
	}
	before := gateway.DeepCopy()
	condition := func(conditions *[]metav1.Condition, kind, reason string) {
		meta.SetStatusCondition(conditions, metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, ObservedGeneration: gateway.Generation})
	}
	condition(&gateway.Status.Conditions, string(gatewayv1.GatewayConditionAccepted), string(gatewayv1.GatewayReasonAccepted))
	condition(&gateway.Status.Conditions, string(gatewayv1.GatewayConditionProgrammed), string(gatewayv1.GatewayReasonProgrammed))
	gateway.Status.Addresses = []gatewayv1.GatewayStatusAddress{{Type: ptr.To(gatewayv1.IPAddressType), Value: g.settings.gatewayAddress}}
	gateway.Status.Listeners = nil
	for _, listener := range gateway.Spec.Listeners {
		status := gatewayv1.ListenerStatus{Name: listener.Name, SupportedKinds: []gatewayv1.RouteGroupKind{{Group: ptr.To(gatewayv1.Group(gatewayv1.GroupName)), Kind: "HTTPRoute"}}, Conditions: []metav1.Condition{}}
		for _, old := range before.Status.Listeners {
			if old.Name == listener.Name {
				status.Conditions = old.Conditions
			}
		}
		for kind, reason := range map[gatewayv1.ListenerConditionType]gatewayv1.ListenerConditionReason{
			gatewayv1.ListenerConditionAccepted: gatewayv1.ListenerReasonAccepted, gatewayv1.ListenerConditionProgrammed: gatewayv1.ListenerReasonProgrammed,
			gatewayv1.ListenerConditionResolvedRefs: gatewayv1.ListenerReasonResolvedRefs,
		} {
			if meta.FindStatusCondition(status.Conditions, string(kind)) == nil {
				condition(&status.Conditions, string(kind), string(reason))
			}
		}
		gateway.Status.Listeners = append(gateway.Status.Listeners, status)
	}
	if equality.Semantic.DeepEqual(before.Status, gateway.Status) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, ignoreConflict(g.client.Status().Update(ctx, &gateway))
}

func (g *gatewayStatus) route(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var route gatewayv1.HTTPRoute
	if err := g.client.Get(ctx, request.NamespacedName, &route); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	before := route.DeepCopy()
	parents := []gatewayv1.RouteParentStatus{}
	for _, old := range before.Status.Parents {
		if old.ControllerName != gatewayControllerName {
			parents = append(parents, old)
		}
	}
	for _, reference := range route.Spec.ParentRefs {
		gateway, err := gatewayOf(ctx, g.client, g.settings, &route, reference)
		if err != nil {
			return reconcile.Result{}, err
		}
		if gateway == nil {
			continue
		}
		parent := gatewayv1.RouteParentStatus{ParentRef: reference, ControllerName: gatewayControllerName, Conditions: []metav1.Condition{}}
		for _, old := range before.Status.Parents {
			if old.ControllerName == gatewayControllerName && equality.Semantic.DeepEqual(old.ParentRef, reference) {
				parent.Conditions = old.DeepCopy().Conditions
			}
		}
		accepted := metav1.Condition{Type: string(gatewayv1.RouteConditionAccepted), Status: metav1.ConditionTrue, Reason: string(gatewayv1.RouteReasonAccepted), ObservedGeneration: route.Generation}
		if !admits(gateway, &route, reference) {
			accepted.Status, accepted.Reason = metav1.ConditionFalse, string(gatewayv1.RouteReasonNotAllowedByListeners)
		}
		meta.SetStatusCondition(&parent.Conditions, accepted)
		resolved := metav1.Condition{Type: string(gatewayv1.RouteConditionResolvedRefs), Status: metav1.ConditionTrue, Reason: string(gatewayv1.RouteReasonResolvedRefs), ObservedGeneration: route.Generation}
		for _, rule := range route.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				if problem := backendProblem(ctx, g.client, &route, backend); problem != nil {
					resolved.Status, resolved.Reason, resolved.Message = metav1.ConditionFalse, string(problem.reason), problem.message
				}
			}
		}
		meta.SetStatusCondition(&parent.Conditions, resolved)
		parents = append(parents, parent)
	}
	route.Status.Parents = parents
	if equality.Semantic.DeepEqual(before.Status, route.Status) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, ignoreConflict(g.client.Status().Update(ctx, &route))
}

// gatewayOf returns the Gateway that a parentRef names, if it is of the class that is played here.
func gatewayOf(ctx context.Context, c client.Client, s settings, route *gatewayv1.HTTPRoute, reference gatewayv1.ParentReference) (*gatewayv1.Gateway, error) {
	if ptr.Deref(reference.Kind, "Gateway") != "Gateway" {
		return nil, nil
	}
	var gateway gatewayv1.Gateway
	key := types.NamespacedName{Namespace: string(ptr.Deref(reference.Namespace, gatewayv1.Namespace(route.Namespace))), Name: string(reference.Name)}
	if err := c.Get(ctx, key, &gateway); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if string(gateway.Spec.GatewayClassName) != s.gatewayClass {
		return nil, nil
	}
	return &gateway, nil
}

// admits follows allowedRoutes.namespaces.from (a selector counts as none) and sectionName.
func admits(gateway *gatewayv1.Gateway, route *gatewayv1.HTTPRoute, reference gatewayv1.ParentReference) bool {
	for _, listener := range gateway.Spec.Listeners {
		if reference.SectionName != nil && *reference.SectionName != listener.Name {
			continue
		}
		from := gatewayv1.NamespacesFromSame
		if listener.AllowedRoutes != nil && listener.AllowedRoutes.Namespaces != nil {
			from = ptr.Deref(listener.AllowedRoutes.Namespaces.From, from)
		}
		if from == gatewayv1.NamespacesFromAll || from == gatewayv1.NamespacesFromSame && gateway.Namespace == route.Namespace {
			return true
		}
	}
	return false
}

func isAccepted(ctx context.Context, c client.Client, s settings, route *gatewayv1.HTTPRoute) (bool, error) {
	for _, reference := range route.Spec.ParentRefs {
		gateway, err := gatewayOf(ctx, c, s, route, reference)
		if err != nil {
			return false, err
		}
		if gateway != nil && admits(gateway, route, reference) {
			return true, nil
		}
	}
	return false, nil
}

type referenceProblem struct {
	reason  gatewayv1.RouteConditionReason
	message string
}

// backendProblem is nil for a backendRef to an existing port of a Service, in another namespace only with a ReferenceGrant there.
func backendProblem(ctx context.Context, c client.Client, route *gatewayv1.HTTPRoute, backend gatewayv1.HTTPBackendRef) *referenceProblem {
	if ptr.Deref(backend.Kind, "Service") != "Service" || ptr.Deref(backend.Group, "") != "" {
		return &referenceProblem{gatewayv1.RouteReasonInvalidKind, fmt.Sprintf("kind %s is not played here", ptr.Deref(backend.Kind, ""))}
	}
	key := types.NamespacedName{Namespace: string(ptr.Deref(backend.Namespace, gatewayv1.Namespace(route.Namespace))), Name: string(backend.Name)}
	if key.Namespace != route.Namespace {
		granted, err := isGranted(ctx, c, route.Namespace, key)
		if err != nil {
			return &referenceProblem{gatewayv1.RouteReasonPending, err.Error()}
		}
		if !granted {
			return &referenceProblem{gatewayv1.RouteReasonRefNotPermitted, fmt.Sprintf("no ReferenceGrant in namespace %s lets HTTPRoutes of namespace %s use Service %s", key.Namespace, route.Namespace, key.Name)}
		}
	}
	var service corev1.Service
	if err := c.Get(ctx, key, &service); apierrors.IsNotFound(err) {
		return &referenceProblem{gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("Service %s not found", key)}
	} else if err != nil {
		return &referenceProblem{gatewayv1.RouteReasonPending, err.Error()}
	}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return &referenceProblem{gatewayv1.RouteReasonUnsupportedProtocol, "ExternalName services are not allowed (Traefik's default)"}
	}
	for _, port := range service.Spec.Ports {
		if backend.Port != nil && port.Port == int32(*backend.Port) {
			return nil
		}
	}
	return &referenceProblem{gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("Service %s has no such port", key)}
}

func isGranted(ctx context.Context, c client.Client, from string, to types.NamespacedName) (bool, error) {
	var grants gatewayv1beta1.ReferenceGrantList
	if err := c.List(ctx, &grants, client.InNamespace(to.Namespace)); err != nil {
		return false, err
	}
	for _, grant := range grants.Items {
		fromMatches, toMatches := false, false
		for _, entry := range grant.Spec.From {
			fromMatches = fromMatches || entry.Group == gatewayv1.GroupName && entry.Kind == "HTTPRoute" && string(entry.Namespace) == from
		}
		for _, entry := range grant.Spec.To {
			toMatches = toMatches || entry.Group == "" && entry.Kind == "Service" && string(ptr.Deref(entry.Name, gatewayv1.ObjectName(to.Name))) == to.Name
		}
		if fromMatches && toMatches {
			return true, nil
		}
	}
	return false, nil
}
