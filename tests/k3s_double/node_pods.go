// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// pods plays this node's containers: they run as soon as they are bound, and end when they are asked to.
type pods struct {
	node *node
	lock sync.Mutex
	next byte // last part of the next pod's address
}

func (own *node) runPods(ctx context.Context) {
	configuration, err := clientcmd.BuildConfigFromFlags("", own.place.agent("kubelet.kubeconfig"))
	if err != nil {
		logFatal("%s", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(kubernetes.NewForConfigOrDie(configuration), 30*time.Second, informers.WithTweakListOptions(func(options *metav1.ListOptions) {
		options.FieldSelector = "spec.nodeName=" + own.host.nodeName
	}))
	played := &pods{node: own, next: 2}
	handle := func(object any) {
		if pod, isPod := object.(*corev1.Pod); isPod {
			if err := played.handle(ctx, pod); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				logWarning("pod %s/%s: %s", pod.Namespace, pod.Name, err)
			}
		}
	}
	informer := factory.Core().V1().Pods().Informer()
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: handle, UpdateFunc: func(_, object any) { handle(object) }})
	informer.Run(ctx.Done())
}

func (own *pods) handle(ctx context.Context, pod *corev1.Pod) error {
	clients := own.node.clients.CoreV1().Pods(pod.Namespace)
	if pod.DeletionTimestamp != nil {
		// Containers end at once; the object goes as the kubelet lets it go.
		grace := int64(0)
		return clients.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &grace, Preconditions: &metav1.Preconditions{UID: &pod.UID}})
	}
	if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return nil
	}
	if handler, err := own.missingRuntime(ctx, pod); err != nil || handler != "" {
		if err != nil {
			return err
		}
		return own.waiting(ctx, pod, handler)
	}
	return own.patch(ctx, pod, own.running(ctx, pod))
}

// missingRuntime: a RuntimeClass exists without any shim, and the pod hangs on a node that has none (containerd: internal/cri/server/sandbox_run.go).
func (own *pods) missingRuntime(ctx context.Context, pod *corev1.Pod) (string, error) {
	if pod.Spec.RuntimeClassName == nil || *pod.Spec.RuntimeClassName == "" {
		return "", nil
	}
	class, err := own.node.clients.NodeV1().RuntimeClasses().Get(ctx, *pod.Spec.RuntimeClassName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if _, found := own.node.runtimes[class.Handler]; found || class.Handler == "runc" {
		return "", nil
	}
	return class.Handler, nil
}

func (own *pods) waiting(ctx context.Context, pod *corev1.Pod, handler string) error {
	if len(pod.Status.ContainerStatuses) > 0 {
		return nil
	}
	message := fmt.Sprintf("Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for %q is configured", handler)
	status := corev1.PodStatus{Phase: corev1.PodPending, HostIP: own.node.host.address, Conditions: podConditions(corev1.ConditionFalse)}
	for _, container := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{Name: container.Name, Image: container.Image,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}})
	}
	now := metav1.Now()
	_, err := own.node.clients.CoreV1().Events(pod.Namespace).Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{GenerateName: pod.Name + "-", Namespace: pod.Namespace},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Type:           corev1.EventTypeWarning, Reason: "FailedCreatePodSandBox", Message: message, Count: 1, FirstTimestamp: now, LastTimestamp: now,
		Source: corev1.EventSource{Component: "kubelet", Host: own.node.host.nodeName},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	return own.patch(ctx, pod, status)
}

// running is the status of a pod whose containers all run; the pods of a Job have done their work.
func (own *pods) running(ctx context.Context, pod *corev1.Pod) corev1.PodStatus {
	now, started := metav1.Now(), true
	status := corev1.PodStatus{Phase: corev1.PodRunning, HostIP: own.node.host.address, StartTime: &now, Conditions: podConditions(corev1.ConditionTrue)}
	status.HostIPs = []corev1.HostIP{{IP: status.HostIP}}
	status.PodIP = own.address(ctx, pod)
	status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	done := false
	for _, owner := range pod.OwnerReferences {
		done = done || owner.Kind == "Job"
	}
	for _, container := range pod.Spec.Containers {
		state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}
		if done {
			state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
		}
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{Name: container.Name, Image: container.Image, ImageID: container.Image,
			ContainerID: "containerd://" + string(pod.UID), Ready: !done, Started: &started, State: state})
	}
	if done {
		status.Phase, status.Conditions = corev1.PodSucceeded, podConditions(corev1.ConditionFalse)
	}
	return status
}

func podConditions(ready corev1.ConditionStatus) []corev1.PodCondition {
	var all []corev1.PodCondition
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady} {
		all = append(all, corev1.PodCondition{Type: kind, Status: ready, LastTransitionTime: metav1.Now()})
	}
	return append(all, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()})
}

// address is one of the node's range, which the controller manager allots.
func (own *pods) address(ctx context.Context, pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return own.node.host.address
	}
	own.lock.Lock()
	defer own.lock.Unlock()
	present, err := own.node.clients.CoreV1().Nodes().Get(ctx, own.node.host.nodeName, metav1.GetOptions{})
	if err != nil {
		return own.node.host.address
	}
	ip, _, err := net.ParseCIDR(present.Spec.PodCIDR)
	if err != nil {
		return own.node.host.address
	}
	address := ip.To4()
	address[3] = own.next
	if own.next++; own.next > 250 {
		own.next = 2
	}
	return address.String()
}

func (own *pods) patch(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = own.node.clients.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
