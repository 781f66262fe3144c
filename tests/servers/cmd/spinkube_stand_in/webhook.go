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

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const webhookPath = "/validate-core-spinkube-dev-v1alpha1-spinapp"

// spinAppValidator refuses at creation and update what the operator's validating webhook refuses: facts/spin.md §4.4.
type spinAppValidator struct{ client client.Client }

func (v *spinAppValidator) Handle(ctx context.Context, request admission.Request) admission.Response {
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(request.Object.Raw, &object.Object); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	var application spinApp
	if err := decode(object, &application); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	application.Namespace = request.Namespace
	if err := v.validate(ctx, &application); err != nil {
		return admission.Denied(fmt.Sprintf("SpinApp.core.spinkube.dev %q is invalid: %s", application.Name, err))
	}
	return admission.Allowed("")
}

func (v *spinAppValidator) validate(ctx context.Context, application *spinApp) error {
	spec := &application.Spec
	executorObject := newObject(spinExecutorKind)
	if err := v.client.Get(ctx, types.NamespacedName{Namespace: application.Namespace, Name: spec.Executor}, executorObject); apierrors.IsNotFound(err) {
		return fmt.Errorf("spec.executor: Invalid value: %q: executor does not exist in namespace", spec.Executor)
	} else if err != nil {
		return err
	}
	var executor spinExecutor
	if err := decode(executorObject, &executor); err != nil {
		return err
	}
	if spec.EnableAutoscaling && spec.Replicas != 0 {
		return fmt.Errorf("spec.replicas: Invalid value: %d: replicas cannot be set when autoscaling is enabled", spec.Replicas)
	}
	if !spec.EnableAutoscaling && spec.Replicas < 1 {
		return fmt.Errorf("spec.replicas: Invalid value: %d: replicas must be > 0", spec.Replicas)
	}
	if !executor.Spec.CreateDeployment {
		if spec.DeploymentAnnotations != nil {
			return errors.New("spec.deploymentAnnotations: Invalid value: deploymentAnnotations can't be set when the executor does not use operator deployments")
		}
		if spec.PodAnnotations != nil {
			return errors.New("spec.podAnnotations: Invalid value: podAnnotations can't be set when the executor does not use operator deployments")
		}
	}
	if memory, limited := spec.InvocationLimits["memory"]; limited {
		invocation, err := resource.ParseQuantity(memory)
		if err != nil {
			return fmt.Errorf("spec.invocationLimits.memory: Invalid value: %q: %w", memory, err)
		}
		if limit, set := spec.Resources.Limits["memory"]; set && invocation.Cmp(limit) > 0 {
			return fmt.Errorf("spec.invocationLimits.memory: Invalid value: %q: is more than the memory limit %s", memory, limit.String())
		}
	}
	return nil
}

// registerWebhook makes the real API server ask this process, as it asks the real operator (failurePolicy Fail).
func registerWebhook(ctx context.Context, c client.Client, address string, certificate []byte) error {
	configuration := &admissionregistration.ValidatingWebhookConfiguration{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"},
		ObjectMeta: metav1.ObjectMeta{Name: "spin-operator-validating-webhook-configuration"},
		Webhooks: []admissionregistration.ValidatingWebhook{{
			Name:                    "vspinapp.kb.io",
			AdmissionReviewVersions: []string{admissionv1.SchemeGroupVersion.Version},
			SideEffects:             ptr.To(admissionregistration.SideEffectClassNone),
			FailurePolicy:           ptr.To(admissionregistration.Fail),
			ClientConfig:            admissionregistration.WebhookClientConfig{URL: ptr.To("https://" + address + webhookPath), CABundle: certificate},
			Rules: []admissionregistration.RuleWithOperations{{
				Operations: []admissionregistration.OperationType{admissionregistration.Create, admissionregistration.Update},
				Rule:       admissionregistration.Rule{APIGroups: []string{spinAppKind.Group}, APIVersions: []string{spinAppKind.Version}, Resources: []string{"spinapps"}},
			}},
		}},
	}
	return c.Patch(ctx, configuration, client.Apply, client.FieldOwner(operatorFieldManager), client.ForceOwnership) //nolint:staticcheck // as elsewhere
}
