// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"hash/adler32"
	"maps"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operator plays spin-operator v0.6.1: facts/spin.md §4.
type operator struct {
	client   client.Client
	recorder record.EventRecorder
}

const (
	operatorFieldManager = "spin-operator"
	nameLabel            = "core.spinkube.dev/app-name"
)

func (o *operator) setup(manager ctrl.Manager) error {
	owned := newObject(spinAppKind)
	return ctrl.NewControllerManagedBy(manager).Named("spin-operator").
		For(owned).Owns(&appsv1.Deployment{}).Owns(&corev1.Service{}).Complete(o)
}

// Reconcile makes the Deployment, the Service and the runtime configuration's Secret of one SpinApp (§4.3).
func (o *operator) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := newObject(spinAppKind)
	if err := o.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	var application spinApp
	if err := decode(object, &application); err != nil {
		return ctrl.Result{}, err
	}
	executorObject := newObject(spinExecutorKind)
	if err := o.client.Get(ctx, types.NamespacedName{Namespace: request.Namespace, Name: application.Spec.Executor}, executorObject); err != nil {
		o.recorder.Eventf(object, corev1.EventTypeWarning, "MissingExecutor", "Could not find SpinAppExecutor %s/%s", request.Namespace, application.Spec.Executor)
		return ctrl.Result{}, err
	}
	var executor spinExecutor
	if err := decode(executorObject, &executor); err != nil {
		return ctrl.Result{}, err
	}
	if executor.Spec.CreateDeployment {
		if err := o.updateStatus(ctx, object, &application); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
	}
	if object.GetDeletionTimestamp() != nil {
		return ctrl.Result{}, nil // the garbage collector removes what it owns
	}
	if executor.Spec.CreateDeployment {
		if err := o.applyDeployment(ctx, &application, &executor); err != nil {
			return ctrl.Result{}, err
		}
	} else if err := o.client.Delete(ctx, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: application.Name, Namespace: application.Namespace}}); client.IgnoreNotFound(err) != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, o.applyService(ctx, &application)
}

// updateStatus copies the Deployment's conditions (§4.1): without a generation, so they may be those of an older spec.
func (o *operator) updateStatus(ctx context.Context, object *unstructured.Unstructured, application *spinApp) error {
	status := &application.Status
	status.ActiveScheduler = application.Spec.Executor
	var deployment appsv1.Deployment
	err := o.client.Get(ctx, client.ObjectKeyFromObject(object), &deployment)
	switch {
	case apierrors.IsNotFound(err):
		for _, condition := range []string{"Available", "Progressing"} {
			meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: condition, Status: metav1.ConditionUnknown, Reason: "DeploymentNotFound", Message: "Deployment not found"})
		}
		status.ReadyReplicas = 0
	case err != nil:
		return err
	default:
		for _, condition := range deployment.Status.Conditions {
			if condition.Type == appsv1.DeploymentAvailable || condition.Type == appsv1.DeploymentProgressing {
				meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: string(condition.Type), Status: metav1.ConditionStatus(condition.Status), Reason: condition.Reason, Message: condition.Message})
			}
		}
		status.ReadyReplicas = deployment.Status.ReadyReplicas
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(status)
	if err != nil {
		return err
	}
	before := object.DeepCopy()
	if err := unstructured.SetNestedMap(object.Object, content, "status"); err != nil {
		return err
	}
	return o.client.Status().Patch(ctx, object, client.MergeFrom(before))
}

func (o *operator) apply(ctx context.Context, application *spinApp, object client.Object) error {
	object.SetOwnerReferences([]metav1.OwnerReference{{
		APIVersion: spinAppKind.GroupVersion().String(), Kind: spinAppKind.Kind, Name: application.Name, UID: application.UID,
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}})
	return o.client.Patch(ctx, object, client.Apply, client.FieldOwner(operatorFieldManager), client.ForceOwnership) //nolint:staticcheck // as the operator does
}

func (o *operator) applyService(ctx context.Context, application *spinApp) error {
	labels := map[string]string{nameLabel: application.Name}
	return o.apply(ctx, application, &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: application.Name, Namespace: application.Namespace, Labels: labels, Annotations: application.Spec.ServiceAnnotations},
		Spec: corev1.ServiceSpec{
			Ports:    []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromString("http-app")}},
			Selector: map[string]string{statusLabel(application.Name): "ready"},
		},
	})
}

func (o *operator) applyDeployment(ctx context.Context, application *spinApp, executor *spinExecutor) error {
	configuration := executor.Spec.DeploymentConfig
	if configuration == nil || configuration.RuntimeClassName == nil {
		return fmt.Errorf("the stand-in plays only executors with a runtimeClassName: %s", executor.Name)
	}
	spec := &application.Spec
	secretName := spec.RuntimeConfig.LoadFromSecret
	if secretName == "" {
		var err error
		if secretName, err = o.createRuntimeConfiguration(ctx, application); err != nil {
			return err
		}
	}
	volumes := append([]corev1.Volume{}, spec.Volumes...)
	mounts := append([]corev1.VolumeMount{}, spec.VolumeMounts...)
	volumes = append(volumes, corev1.Volume{Name: "spin-runtime-config", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: secretName, Optional: ptr.To(true), Items: []corev1.KeyToPath{{Key: "runtime-config.toml", Path: "runtime-config.toml"}}}}})
	mounts = append(mounts, corev1.VolumeMount{Name: "spin-runtime-config", ReadOnly: true, MountPath: "/runtime-config.toml", SubPath: "runtime-config.toml"})
	authoritySecret := configuration.CACertSecret
	if configuration.InstallDefaultCACerts {
		if authoritySecret == "" {
			authoritySecret = "spin-ca"
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: authoritySecret, Namespace: application.Namespace, Annotations: map[string]string{"app.kubernetes.io/managed-by": "spin-operator.spinkube.dev"}},
			StringData: map[string]string{"ca-certificates.crt": "# the stand-in has no certificates\n"}}
		if err := o.client.Create(ctx, secret); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	if authoritySecret != "" {
		volumes = append(volumes, corev1.Volume{Name: "spin-ca", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
			SecretName: authoritySecret, Optional: ptr.To(true), Items: []corev1.KeyToPath{{Key: "ca-certificates.crt", Path: "ca-certificates.crt"}}}}})
		mounts = append(mounts, corev1.VolumeMount{Name: "spin-ca", ReadOnly: true, MountPath: "/etc/ssl/certs/ca-certificates.crt", SubPath: "ca-certificates.crt"})
	}
	environment, err := environmentOf(application, executor)
	if err != nil {
		return err
	}

	podLabels := map[string]string{}
	maps.Copy(podLabels, spec.PodLabels)
	podLabels[nameLabel] = application.Name
	podLabels[statusLabel(application.Name)] = "ready"
	var replicas *int32 // omitted with autoscaling, so that the scaler owns the field (§4.5)
	if !spec.EnableAutoscaling {
		replicas = ptr.To(spec.Replicas)
	}
	return o.apply(ctx, application, &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: application.Name, Namespace: application.Namespace,
			Labels: map[string]string{nameLabel: application.Name}, Annotations: spec.DeploymentAnnotations},
		Spec: appsv1.DeploymentSpec{
			Replicas: replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{nameLabel: application.Name, statusLabel(application.Name): "ready"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: podLabels, Annotations: spec.PodAnnotations},
				Spec: corev1.PodSpec{
					RuntimeClassName:   configuration.RuntimeClassName,
					ImagePullSecrets:   spec.ImagePullSecrets,
					ServiceAccountName: spec.ServiceAccountName,
					Volumes:            volumes,
					Containers: []corev1.Container{{
						Name: application.Name, Image: spec.Image, Command: []string{"/"},
						Ports:          []corev1.ContainerPort{{Name: "http-app", ContainerPort: 80}},
						Env:            environment,
						VolumeMounts:   mounts,
						Resources:      corev1.ResourceRequirements{Limits: spec.Resources.Limits, Requests: spec.Resources.Requests},
						ReadinessProbe: probe(spec.Checks.Readiness),
						LivenessProbe:  probe(spec.Checks.Liveness),
					}},
				},
			},
		},
	})
}

func statusLabel(name string) string { return fmt.Sprintf("core.spinkube.dev/app.%s.status", name) }

func environmentOf(application *spinApp, executor *spinExecutor) ([]corev1.EnvVar, error) {
	var environment []corev1.EnvVar
	add := func(name, value string) {
		if value != "" {
			environment = append(environment, corev1.EnvVar{Name: name, Value: value})
		}
	}
	for _, variable := range application.Spec.Variables {
		environment = append(environment, corev1.EnvVar{Name: "SPIN_VARIABLE_" + strings.ToUpper(variable.Name), Value: variable.Value, ValueFrom: variable.ValueFrom})
	}
	add("SPIN_HTTP_LISTEN_ADDR", "0.0.0.0:80")
	if otel := executor.Spec.DeploymentConfig.Otel; otel != nil {
		add("OTEL_EXPORTER_OTLP_ENDPOINT", otel.Endpoint)
		add("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", otel.TracesEndpoint)
		add("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", otel.MetricsEndpoint)
		add("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", otel.LogsEndpoint)
	}
	if memory := application.Spec.InvocationLimits["memory"]; memory != "" {
		quantity, err := resource.ParseQuantity(memory)
		if err != nil {
			return nil, fmt.Errorf("invocationLimits.memory: %w", err)
		}
		add("SPIN_MAX_INSTANCE_MEMORY", strconv.FormatInt(quantity.Value(), 10))
	}
	add("SPIN_COMPONENTS_TO_RETAIN", strings.Join(application.Spec.Components, ","))
	return environment, nil
}

func probe(check *healthProbe) *corev1.Probe {
	if check == nil || check.HTTPGet == nil {
		return nil
	}
	return &corev1.Probe{
		ProbeHandler:        corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: check.HTTPGet.Path, Port: intstr.FromInt32(80), HTTPHeaders: check.HTTPGet.HTTPHeaders}},
		InitialDelaySeconds: check.InitialDelaySeconds, TimeoutSeconds: check.TimeoutSeconds, PeriodSeconds: check.PeriodSeconds,
		SuccessThreshold: check.SuccessThreshold, FailureThreshold: check.FailureThreshold,
	}
}

// createRuntimeConfiguration makes the Secret `<name>-<adler32 of the content>` (§4.3); it is never updated.
func (o *operator) createRuntimeConfiguration(ctx context.Context, application *spinApp) (string, error) {
	var content strings.Builder
	content.WriteString("[[config_provider]]\nprefix = 'SPIN_VARIABLE_'\ntype = 'env'\n")
	write := func(header string, table configTable) error {
		fmt.Fprintf(&content, "\n[%s]\ntype = '%s'\n", header, table.Type)
		for _, option := range table.Options {
			value := option.Value
			if from := option.ValueFrom; from != nil {
				var err error
				if from.SecretKeyRef != nil {
					var secret corev1.Secret
					err = o.client.Get(ctx, types.NamespacedName{Namespace: application.Namespace, Name: from.SecretKeyRef.Name}, &secret)
					value = string(secret.Data[from.SecretKeyRef.Key])
				} else if from.ConfigMapKeyRef != nil {
					var configMap corev1.ConfigMap
					err = o.client.Get(ctx, types.NamespacedName{Namespace: application.Namespace, Name: from.ConfigMapKeyRef.Name}, &configMap)
					value = configMap.Data[from.ConfigMapKeyRef.Key]
				}
				if err != nil {
					return err
				}
			}
			fmt.Fprintf(&content, "%s = %s\n", option.Name, strconv.Quote(value))
		}
		return nil
	}
	configuration := application.Spec.RuntimeConfig
	for _, table := range configuration.KeyValueStores {
		if err := write("key_value_store."+table.Name, table); err != nil {
			return "", err
		}
	}
	for _, table := range configuration.SqliteDatabases {
		if err := write("sqlite_database."+table.Name, table); err != nil {
			return "", err
		}
	}
	if configuration.LLMCompute != nil {
		if err := write("llm_compute", *configuration.LLMCompute); err != nil {
			return "", err
		}
	}
	name := fmt.Sprintf("%s-%x", application.Name, adler32.Checksum([]byte(content.String())))
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: application.Namespace, Labels: map[string]string{nameLabel: application.Name},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: spinAppKind.GroupVersion().String(), Kind: spinAppKind.Kind, Name: application.Name, UID: application.UID}}},
		StringData: map[string]string{"runtime-config.toml": content.String()},
	}
	if err := o.client.Create(ctx, secret); err != nil && !apierrors.IsAlreadyExists(err) {
		return "", err
	}
	return name, nil
}
