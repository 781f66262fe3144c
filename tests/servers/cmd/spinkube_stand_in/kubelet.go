// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// kubelet plays the scheduler, one node's kubelet, containerd and the shim for the pods that the real controllers make.
type kubelet struct {
	client   client.Client
	recorder record.EventRecorder
	store    *imageStore
	settings settings
	runtime  *containerRuntime // nil: pods are played

	lock        sync.Mutex
	pods        map[types.UID]*runningPod
	firstStarts map[string]firstStart // by the node and the digest of the image's config
	nextAddr    int
}

// firstStart is the first one of an image on the node, which compiles it.
type firstStart struct {
	pod types.UID
	at  time.Time
}

// runningPod is what the node knows of a pod and the API does not.
type runningPod struct {
	uid          types.UID
	image        *image
	application  *lockedApplication
	log          string // of the running container
	previousLog  string // of the one before it
	pullFailures int
	retryAt      time.Time
	startedAt    time.Time
	restarts     int32
	crashed      bool
	ready        bool // a process that has answered its probe
	address      string
	waitingFor   string // the last reason an event was written for
}

const spinHandler = "spin"

// programLabel is on pods of plain WASI programs, which the tests' program_node.py plays.
const programLabel = "wasmfaas.dev/program"

// isPlayedElsewhere tells whether another player of the tests acts as the pod's kubelet: program_node.py for programs, played_kubelet.py for the pods of Jobs
// (batch/v1 labels each of them). Two kubelets would overwrite each other's status.
func isPlayedElsewhere(pod *corev1.Pod) bool {
	_, isProgram := pod.Labels[programLabel]
	_, isOfJob := pod.Labels[batchv1.JobNameLabel]
	return isProgram || isOfJob
}

func (k *kubelet) setup(manager ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(manager).Named("kubelet").For(&corev1.Pod{}).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8}).Complete(k)
}

// registerNode creates the node, or brings it up to date after a restart on another port.
func (k *kubelet) registerNode(ctx context.Context, c client.Client, logPort int32) error {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.settings.nodeName, Labels: map[string]string{
		"spin": "true", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": k.settings.nodeName,
	}}}
	if k.settings.shimVersion != "" {
		node.Labels[k.settings.shimVersionKey] = k.settings.shimVersion
		node.Annotations = map[string]string{k.settings.shimVersionKey: k.settings.shimVersion}
	}
	if err := c.Create(ctx, node); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
		return err
	}
	before := node.DeepCopy()
	node.Spec.Taints = nil // admission taints each new node as not ready
	if err := c.Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return err
	}
	before = node.DeepCopy()
	capacity := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("64"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("10000")}
	node.Status.Capacity, node.Status.Allocatable = capacity, capacity
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}, {Type: corev1.NodeHostName, Address: k.settings.nodeName}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = logPort
	node.Status.NodeInfo = corev1.NodeSystemInfo{KubeletVersion: "v1.36.4", OperatingSystem: "linux", Architecture: "amd64", OSImage: "spinkube_stand_in", ContainerRuntimeVersion: "containerd://2.2.0"}
	now := metav1.Now()
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", Message: "the stand-in is ready", LastHeartbeatTime: now, LastTransitionTime: now}}
	return c.Status().Patch(ctx, node, client.MergeFrom(before))
}

func (k *kubelet) known(pod *corev1.Pod) *runningPod {
	k.lock.Lock()
	defer k.lock.Unlock()
	running := k.pods[pod.UID]
	if running == nil {
		k.nextAddr++
		running = &runningPod{uid: pod.UID, address: fmt.Sprintf("10.42.%d.%d", k.nextAddr/250%250, k.nextAddr%250+1)}
		if len(pod.Status.ContainerStatuses) == 1 { // the stand-in was restarted: carry on counting
			running.restarts = pod.Status.ContainerStatuses[0].RestartCount
			running.address = pod.Status.PodIP
		}
		k.pods[pod.UID] = running
	}
	return running
}

func (k *kubelet) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	pod := &corev1.Pod{}
	if err := k.client.Get(ctx, request.NamespacedName, pod); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if pod.DeletionTimestamp != nil {
		return k.terminate(ctx, pod)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return ctrl.Result{}, nil
	}
	if isPlayedElsewhere(pod) {
		return ctrl.Result{}, nil
	}
	if pod.Spec.NodeName == "" {
		return ctrl.Result{}, ignoreConflict(k.schedule(ctx, pod))
	}
	if pod.Spec.NodeName != k.settings.nodeName && pinnedNode(pod) == "" {
		return ctrl.Result{}, nil
	}
	after, err := k.advance(ctx, pod)
	return ctrl.Result{RequeueAfter: after}, ignoreConflict(err)
}

// ignoreConflict: the cache was behind; the pod's next change brings it here again.
func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// terminate removes a pod for good a moment after its deletion was asked for: the shim exits at once on SIGTERM (runwasi: sys/unix/container/instance.rs).
func (k *kubelet) terminate(ctx context.Context, pod *corev1.Pod) (ctrl.Result, error) {
	// The API server sets the time-stamp to the end of the grace period.
	grace := time.Duration(ptr.Deref(pod.DeletionGracePeriodSeconds, 0)) * time.Second
	wait := k.settings.terminateAfter
	if k.runtime != nil {
		wait = min(preStopSleep(pod), grace)
	}
	if since := time.Since(pod.DeletionTimestamp.Add(-grace)); since < wait {
		return ctrl.Result{RequeueAfter: wait - since}, nil
	}
	if k.runtime != nil {
		if err := k.runtime.kill(ctx, pod.UID); err != nil {
			return ctrl.Result{}, err
		}
	}
	k.lock.Lock()
	delete(k.pods, pod.UID)
	k.lock.Unlock()
	k.recorder.Eventf(pod, corev1.EventTypeNormal, "Killing", "Stopping container %s", pod.Spec.Containers[0].Name)
	return ctrl.Result{}, client.IgnoreNotFound(k.client.Delete(ctx, pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID}))
}

// pinnedNode is the node that a pod's affinity names, as that of a DaemonSet's pod does; empty where it names none. Such pods are played on each node.
func pinnedNode(pod *corev1.Pod) string {
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil || pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == metav1.ObjectNameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}

// schedule binds the pod to the one node, or to the one that its affinity names, if that has the labels that the RuntimeClass's scheduling asks for
// (kubernetes.io: RuntimeClass).
func (k *kubelet) schedule(ctx context.Context, pod *corev1.Pod) error {
	name := pinnedNode(pod)
	if name == "" {
		name = k.settings.nodeName
	}
	var node corev1.Node
	if err := k.client.Get(ctx, types.NamespacedName{Name: name}, &node); err != nil {
		return err
	}
	if !labels.SelectorFromSet(pod.Spec.NodeSelector).Matches(labels.Set(node.Labels)) || node.Spec.Unschedulable {
		message := "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
		if k.known(pod).once("FailedScheduling") {
			k.recorder.Event(pod, corev1.EventTypeWarning, "FailedScheduling", message)
		}
		before := pod.DeepCopy()
		setCondition(pod, corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", message)
		if err := k.client.Status().Patch(ctx, pod, client.MergeFrom(before)); err != nil {
			return err
		}
		return nil
	}
	binding := &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID}, Target: corev1.ObjectReference{Kind: "Node", Name: name}}
	if err := k.client.SubResource("binding").Create(ctx, pod, binding); err != nil {
		return err
	}
	k.recorder.Eventf(pod, corev1.EventTypeNormal, "Scheduled", "Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, name)
	return nil
}

// once tells whether this is a new reason to wait, so that an event is written once and not at each look.
func (r *runningPod) once(reason string) bool {
	if r.waitingFor == reason {
		return false
	}
	r.waitingFor = reason
	return true
}

// advance takes the next step of a pod's life and returns when to look again.
func (k *kubelet) advance(ctx context.Context, pod *corev1.Pod) (time.Duration, error) {
	running := k.known(pod)
	if wait := time.Until(running.retryAt); wait > 0 {
		return wait, nil
	}
	if len(pod.Spec.Containers) != 1 || len(pod.Spec.InitContainers) > 0 {
		return 0, k.waiting(ctx, pod, running, "ContainerCreating", "the stand-in runs pods of exactly one container", "FailedCreatePodSandBox")
	}
	if message, err := k.sandboxProblem(ctx, pod); err != nil {
		return 0, err
	} else if message != "" {
		running.retryAt = time.Now().Add(k.settings.backOff)
		return k.settings.backOff, k.waiting(ctx, pod, running, "ContainerCreating", message, "FailedCreatePodSandBox")
	}
	if message, err := k.volumeProblem(ctx, pod); err != nil {
		return 0, err
	} else if message != "" {
		running.retryAt = time.Now().Add(k.settings.backOff)
		return k.settings.backOff, k.waiting(ctx, pod, running, "ContainerCreating", message, "FailedMount")
	}
	if running.image == nil {
		if failed, after, err := k.pullImage(ctx, pod, running); failed || err != nil {
			return after, err
		}
	}
	if message, err := k.environmentProblem(ctx, pod); err != nil {
		return 0, err
	} else if message != "" {
		running.retryAt = time.Now().Add(k.settings.backOff)
		return k.settings.backOff, k.waiting(ctx, pod, running, "CreateContainerConfigError", message, "Failed")
	}
	if running.startedAt.IsZero() || running.crashed {
		return k.start(ctx, pod, running)
	}
	return k.becomeReady(ctx, pod, running)
}

// sandboxProblem: the handler of the RuntimeClass must be one that containerd has (k3s: pkg/agent/containerd/runtimes.go).
func (k *kubelet) sandboxProblem(ctx context.Context, pod *corev1.Pod) (string, error) {
	if pod.Spec.RuntimeClassName == nil {
		return "the stand-in has no runc: the pod needs a runtimeClassName", nil
	}
	var class nodev1.RuntimeClass
	if err := k.client.Get(ctx, types.NamespacedName{Name: *pod.Spec.RuntimeClassName}, &class); apierrors.IsNotFound(err) {
		return fmt.Sprintf("RuntimeClass %q not found", *pod.Spec.RuntimeClassName), nil
	} else if err != nil {
		return "", err
	}
	if class.Handler != spinHandler {
		return fmt.Sprintf("Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for %q is configured", class.Handler), nil
	}
	return "", nil
}

func (k *kubelet) volumeProblem(ctx context.Context, pod *corev1.Pod) (string, error) {
	for _, volume := range pod.Spec.Volumes {
		var object client.Object
		var name string
		switch {
		case volume.Secret != nil && !ptr.Deref(volume.Secret.Optional, false):
			object, name = &corev1.Secret{}, volume.Secret.SecretName
		case volume.ConfigMap != nil && !ptr.Deref(volume.ConfigMap.Optional, false):
			object, name = &corev1.ConfigMap{}, volume.ConfigMap.Name
		default:
			continue
		}
		if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: name}, object); apierrors.IsNotFound(err) {
			return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %s", volume.Name, notFoundMessage(object, name)), nil
		} else if err != nil {
			return "", err
		}
	}
	return "", nil
}

func notFoundMessage(object client.Object, name string) string {
	kind := "secret"
	if _, isConfigMap := object.(*corev1.ConfigMap); isConfigMap {
		kind = "configmap"
	}
	return fmt.Sprintf("%s %q not found", kind, name)
}

// environmentProblem finds references of the environment to what is not there, as kubelet's makeEnvironmentVariables does.
func (k *kubelet) environmentProblem(ctx context.Context, pod *corev1.Pod) (string, error) {
	for _, variable := range pod.Spec.Containers[0].Env {
		if variable.ValueFrom == nil {
			continue
		}
		if ref := variable.ValueFrom.SecretKeyRef; ref != nil && !ptr.Deref(ref.Optional, false) {
			var secret corev1.Secret
			if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}, &secret); apierrors.IsNotFound(err) {
				return notFoundMessage(&secret, ref.Name), nil
			} else if err != nil {
				return "", err
			}
			if _, there := secret.Data[ref.Key]; !there {
				return fmt.Sprintf("couldn't find key %s in Secret %s/%s", ref.Key, pod.Namespace, ref.Name), nil
			}
		}
		if ref := variable.ValueFrom.ConfigMapKeyRef; ref != nil && !ptr.Deref(ref.Optional, false) {
			var configMap corev1.ConfigMap
			if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}, &configMap); apierrors.IsNotFound(err) {
				return notFoundMessage(&configMap, ref.Name), nil
			} else if err != nil {
				return "", err
			}
			if _, there := configMap.Data[ref.Key]; !there {
				return fmt.Sprintf("couldn't find key %s in ConfigMap %s/%s", ref.Key, pod.Namespace, ref.Name), nil
			}
		}
	}
	return "", nil
}

// pullImage pulls, or writes the events and the status of a failed pull: ErrImagePull, then ImagePullBackOff, in turns.
func (k *kubelet) pullImage(ctx context.Context, pod *corev1.Pod, running *runningPod) (failed bool, after time.Duration, err error) {
	container := pod.Spec.Containers[0]
	var secrets []corev1.Secret
	references := pod.Spec.ImagePullSecrets
	for _, reference := range references {
		var secret corev1.Secret
		if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: reference.Name}, &secret); err == nil {
			secrets = append(secrets, secret)
		} else if !apierrors.IsNotFound(err) {
			return true, 0, err
		} else if running.once("FailedToRetrieveImagePullSecret") {
			k.recorder.Eventf(pod, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", reference.Name)
		}
	}
	k.recorder.Eventf(pod, corev1.EventTypeNormal, "Pulling", "Pulling image %q", container.Image)
	pulled, pullError := k.store.pull(ctx, container.Image, container.ImagePullPolicy == corev1.PullAlways, secrets)
	if pullError == nil {
		running.image = pulled
		running.pullFailures = 0
		k.recorder.Eventf(pod, corev1.EventTypeNormal, "Pulled", "Successfully pulled image %q", container.Image)
		return false, 0, nil
	}
	running.pullFailures++
	after = backOff(k.settings.backOff, running.pullFailures)
	running.retryAt = time.Now().Add(after)
	k.recorder.Eventf(pod, corev1.EventTypeWarning, "Failed", "Failed to pull image %q: %s", container.Image, pullError)
	k.recorder.Event(pod, corev1.EventTypeWarning, "Failed", "Error: ErrImagePull")
	reason, message := "ErrImagePull", pullError.Error()
	if running.pullFailures > 1 {
		reason, message = "ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", container.Image, pullError)
		k.recorder.Eventf(pod, corev1.EventTypeNormal, "BackOff", "Back-off pulling image %q", container.Image)
		k.recorder.Event(pod, corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
	}
	return true, after, k.waiting(ctx, pod, running, reason, message, "")
}

// start runs the shim's checks; what fails them ends with exit code 137, whatever it was (runwasi: sys/unix/container/executor.rs).
func (k *kubelet) start(ctx context.Context, pod *corev1.Pod, running *runningPod) (time.Duration, error) {
	container := pod.Spec.Containers[0]
	var node corev1.Node
	if err := k.client.Get(ctx, types.NamespacedName{Name: pod.Spec.NodeName}, &node); err != nil {
		return 0, err
	}
	var retained []string
	for _, variable := range container.Env {
		if variable.Name == "SPIN_COMPONENTS_TO_RETAIN" {
			retained = strings.Split(variable.Value, ",")
		}
	}
	application, err := running.image.load(node.Labels[k.settings.shimVersionKey], retained)
	if err == nil {
		if kind, _ := application.behaviour(); kind == "crash" {
			err = errors.New("the application asked for a crash with STAND_IN_BEHAVIOUR=crash")
		}
	}
	if err == nil {
		err = k.collision(running, pod.Spec.NodeName)
	}
	if err == nil && k.runtime != nil {
		err = k.startContainer(ctx, pod, running)
	}
	if security := container.SecurityContext; err == nil && security != nil && ptr.Deref(security.ReadOnlyRootFilesystem, false) {
		err = errors.New("failed to write /spin.json: Read-only file system (os error 30)") // shim #123
	}
	running.previousLog = running.log
	again := running.crashed
	if again {
		running.restarts++
	}
	k.recorder.Eventf(pod, corev1.EventTypeNormal, "Created", "Created container: %s", container.Name)
	k.recorder.Eventf(pod, corev1.EventTypeNormal, "Started", "Started container %s", container.Name)
	running.startedAt = time.Now()
	if err != nil {
		running.crashed = true
		running.log = fmt.Sprintf("Error: %s\n", err)
		if running.restarts == 0 {
			running.previousLog = running.log
		}
		if pod.Spec.RestartPolicy == corev1.RestartPolicyNever {
			ended := &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error", StartedAt: metav1.NewTime(running.startedAt), FinishedAt: metav1.NewTime(running.startedAt)}
			return 0, k.update(ctx, pod, running, corev1.PodFailed, false, corev1.ContainerState{Terminated: ended})
		}
		if !again { // the first restart is made at once (kubelet v1.34.1: pkg/kubelet/kuberuntime/kuberuntime_manager.go, doBackOff)
			ended := &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error", StartedAt: metav1.NewTime(running.startedAt), FinishedAt: metav1.NewTime(running.startedAt)}
			return time.Millisecond, k.update(ctx, pod, running, corev1.PodRunning, false, corev1.ContainerState{Terminated: ended})
		}
		after := backOff(k.settings.backOff, int(running.restarts))
		running.retryAt = time.Now().Add(after)
		message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", after, container.Name, pod.Name, pod.Namespace, pod.UID)
		k.recorder.Eventf(pod, corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", container.Name, pod.Name, pod.Namespace, pod.UID)
		return after, k.update(ctx, pod, running, corev1.PodRunning, false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: message}})
	}
	running.crashed = false
	k.lock.Lock()
	running.application = application
	running.log = fmt.Sprintf("Serving http://0.0.0.0:80\nAvailable Routes: %d trigger(s) of %s\n", len(application.Triggers), application.name())
	k.lock.Unlock()
	return k.becomeReady(ctx, pod, running)
}

// collision plays what happens to pods of a fresh artifact that start on one node while the first of them does: runwasi finds no label of the compiled
// content yet and stores it again, and all but the first end with exit code 137; a later try works (seen with containerd-shim-spin 0.24.0,
// containerd-shim-wasm 1.0.0 and containerd 2.2.9, with 8 replicas). Here the first restart, which is made at once, fails as well.
func (k *kubelet) collision(running *runningPod, node string) error {
	k.lock.Lock()
	defer k.lock.Unlock()
	key := node + "/" + running.image.configDigest
	first, isStarted := k.firstStarts[key]
	if !isStarted {
		if k.firstStarts == nil {
			k.firstStarts = map[string]firstStart{}
		}
		k.firstStarts[key] = firstStart{pod: running.uid, at: time.Now()}
		return nil
	}
	if first.pod == running.uid || time.Since(first.at) >= k.settings.collision {
		return nil
	}
	return errors.New(`Failed to read Spin app manifest from "/spin.toml"`)
}

// becomeReady reports the container as running, and as ready when its time has come, or where it is a process when that answers its probe.
func (k *kubelet) becomeReady(ctx context.Context, pod *corev1.Pod, running *runningPod) (time.Duration, error) {
	readyAfter := k.settings.readyAfter
	kind, seconds := running.application.behaviour()
	if kind == "slow_start" {
		readyAfter = 5 * time.Second
		if parsed, err := time.ParseDuration(seconds + "s"); err == nil {
			readyAfter = parsed
		}
	}
	ready := kind != "never_ready" && time.Since(running.startedAt) >= readyAfter
	again := max(readyAfter-time.Since(running.startedAt), time.Millisecond)
	if k.runtime != nil {
		if ready, again = running.ready, 0; !ready {
			ready, again = k.probeReadiness(ctx, pod, running)
		}
		running.ready = ready
	}
	state := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(running.startedAt)}}
	if err := k.update(ctx, pod, running, corev1.PodRunning, ready, state); err != nil {
		return 0, err
	}
	switch {
	case ready:
		return 0, nil
	case kind == "never_ready":
		if running.once("Unhealthy") {
			k.recorder.Event(pod, corev1.EventTypeWarning, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
		}
		return 0, nil
	default:
		return again, nil
	}
}

func (k *kubelet) waiting(ctx context.Context, pod *corev1.Pod, running *runningPod, reason, message, event string) error {
	if event != "" && running.once(reason+message) {
		text := message
		if reason == "CreateContainerConfigError" {
			text = "Error: " + message
		}
		k.recorder.Event(pod, corev1.EventTypeWarning, event, text)
	}
	if reason == "ContainerCreating" {
		message = "" // kubelet tells why in the event only
	}
	return k.update(ctx, pod, running, corev1.PodPending, false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
}

// update writes the pod's status as kubelet would.
func (k *kubelet) update(ctx context.Context, pod *corev1.Pod, running *runningPod, phase corev1.PodPhase, ready bool, state corev1.ContainerState) error {
	before := pod.DeepCopy()
	now := metav1.Now()
	container := pod.Spec.Containers[0]
	status := corev1.ContainerStatus{Name: container.Name, Image: container.Image, Ready: ready, RestartCount: running.restarts, State: state, Started: ptr.To(state.Running != nil)}
	if running.image != nil {
		status.ImageID = running.image.reference
	}
	if running.crashed {
		status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error", StartedAt: metav1.NewTime(running.startedAt), FinishedAt: metav1.NewTime(running.startedAt)}
	}
	pod.Status.Phase = phase
	pod.Status.HostIP, pod.Status.HostIPs = "127.0.0.1", []corev1.HostIP{{IP: "127.0.0.1"}}
	if phase == corev1.PodRunning {
		pod.Status.PodIP, pod.Status.PodIPs = running.address, []corev1.PodIP{{IP: running.address}}
	}
	if pod.Status.StartTime == nil {
		pod.Status.StartTime = &now
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{status}
	setCondition(pod, corev1.PodInitialized, corev1.ConditionTrue, "", "")
	value, reason, message := corev1.ConditionTrue, "", ""
	if !ready {
		value, reason, message = corev1.ConditionFalse, "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", container.Name)
	}
	setCondition(pod, corev1.ContainersReady, value, reason, message)
	setCondition(pod, corev1.PodReady, value, reason, message)
	return k.client.Status().Patch(ctx, pod, client.MergeFrom(before))
}

func setCondition(pod *corev1.Pod, kind corev1.PodConditionType, value corev1.ConditionStatus, reason, message string) {
	for i := range pod.Status.Conditions {
		condition := &pod.Status.Conditions[i]
		if condition.Type == kind {
			if condition.Status != value {
				condition.LastTransitionTime = metav1.Now()
			}
			condition.Status, condition.Reason, condition.Message = value, reason, message
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind, Status: value, Reason: reason, Message: message, LastTransitionTime: metav1.Now()})
}

// backOff doubles with each failure up to eight times the first wait: kubelet's 10 s to 5 min, shortened.
func backOff(first time.Duration, failures int) time.Duration {
	return first << min(max(failures-1, 0), 3)
}

// answering returns the application that runs in a pod, or nil where none does.
func (k *kubelet) answering(uid types.UID) (*image, *lockedApplication) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if running := k.pods[uid]; running != nil && running.application != nil && !running.crashed {
		return running.image, running.application
	}
	return nil, nil
}

// logOf returns the log of a pod's container, or of the one that crashed before it.
func (k *kubelet) logOf(uid types.UID, previous bool) string {
	k.lock.Lock()
	defer k.lock.Unlock()
	running := k.pods[uid]
	switch {
	case running == nil:
		return ""
	case previous:
		return running.previousLog
	default:
		return running.log
	}
}

// appendLog adds a line as a function that writes to its standard output would (containerd-shim-spin v0.24.0: both streams go to stderr).
func (k *kubelet) appendLog(uid types.UID, line string) {
	k.lock.Lock()
	defer k.lock.Unlock()
	if running := k.pods[uid]; running != nil {
		running.log = (running.log + line + "\n")[max(0, len(running.log)+len(line)+1-64<<10):]
	}
}
