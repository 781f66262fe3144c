// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The operator's own Go types need a newer module than the stand-in may depend on: only the fields that it acts on are
// here, by the schema of the CRDs (core.spinkube.dev/v1alpha1, spin-operator v0.6.1).

var (
	spinAppKind      = schema.GroupVersionKind{Group: "core.spinkube.dev", Version: "v1alpha1", Kind: "SpinApp"}
	spinExecutorKind = schema.GroupVersionKind{Group: "core.spinkube.dev", Version: "v1alpha1", Kind: "SpinAppExecutor"}
)

type spinApp struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Image                 string                        `json:"image"`
		Executor              string                        `json:"executor"`
		Replicas              int32                         `json:"replicas"`
		EnableAutoscaling     bool                          `json:"enableAutoscaling"`
		ImagePullSecrets      []corev1.LocalObjectReference `json:"imagePullSecrets"`
		ServiceAccountName    string                        `json:"serviceAccountName"`
		ServiceAnnotations    map[string]string             `json:"serviceAnnotations"`
		DeploymentAnnotations map[string]string             `json:"deploymentAnnotations"`
		PodAnnotations        map[string]string             `json:"podAnnotations"`
		PodLabels             map[string]string             `json:"podLabels"`
		Volumes               []corev1.Volume               `json:"volumes"`
		VolumeMounts          []corev1.VolumeMount          `json:"volumeMounts"`
		Components            []string                      `json:"components"`
		InvocationLimits      map[string]string             `json:"invocationLimits"`
		Resources             struct {
			Limits   corev1.ResourceList `json:"limits"`
			Requests corev1.ResourceList `json:"requests"`
		} `json:"resources"`
		Checks struct {
			Readiness *healthProbe `json:"readiness"`
			Liveness  *healthProbe `json:"liveness"`
		} `json:"checks"`
		Variables []struct {
			Name      string               `json:"name"`
			Value     string               `json:"value"`
			ValueFrom *corev1.EnvVarSource `json:"valueFrom"`
		} `json:"variables"`
		RuntimeConfig struct {
			LoadFromSecret  string        `json:"loadFromSecret"`
			SqliteDatabases []configTable `json:"sqliteDatabases"`
			KeyValueStores  []configTable `json:"keyValueStores"`
			LLMCompute      *configTable  `json:"llmCompute"`
		} `json:"runtimeConfig"`
	} `json:"spec"`
	Status struct {
		Conditions      []metav1.Condition `json:"conditions,omitempty"`
		ActiveScheduler string             `json:"activeScheduler,omitempty"`
		ReadyReplicas   int32              `json:"readyReplicas"`
	} `json:"status"`
}

type healthProbe struct {
	HTTPGet *struct {
		Path        string              `json:"path"`
		HTTPHeaders []corev1.HTTPHeader `json:"httpHeaders"`
	} `json:"httpGet"`
	InitialDelaySeconds int32 `json:"initialDelaySeconds"`
	TimeoutSeconds      int32 `json:"timeoutSeconds"`
	PeriodSeconds       int32 `json:"periodSeconds"`
	SuccessThreshold    int32 `json:"successThreshold"`
	FailureThreshold    int32 `json:"failureThreshold"`
}

type configTable struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Options []struct {
		Name      string `json:"name"`
		Value     string `json:"value"`
		ValueFrom *struct {
			ConfigMapKeyRef *corev1.ConfigMapKeySelector `json:"configMapKeyRef"`
			SecretKeyRef    *corev1.SecretKeySelector    `json:"secretKeyRef"`
		} `json:"valueFrom"`
	} `json:"options"`
}

type spinExecutor struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		CreateDeployment bool `json:"createDeployment"`
		DeploymentConfig *struct {
			RuntimeClassName      *string `json:"runtimeClassName"`
			SpinImage             *string `json:"spinImage"`
			CACertSecret          string  `json:"caCertSecret"`
			InstallDefaultCACerts bool    `json:"installDefaultCACerts"`
			Otel                  *struct {
				Endpoint        string `json:"exporter_otlp_endpoint"`
				TracesEndpoint  string `json:"exporter_otlp_traces_endpoint"`
				MetricsEndpoint string `json:"exporter_otlp_metrics_endpoint"`
				LogsEndpoint    string `json:"exporter_otlp_logs_endpoint"`
			} `json:"otel"`
		} `json:"deploymentConfig"`
	} `json:"spec"`
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
