// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// containerRuntime runs the containers of pods as processes with addresses of their own, where --container-runtime names
// one (support/container_runtime.py): then a pod is ready when its readiness probe is answered, and requests go to it.
type containerRuntime struct{ client *http.Client }

func newContainerRuntime(socket string) *containerRuntime {
	if socket == "" {
		return nil
	}
	dialer := &net.Dialer{}
	return &containerRuntime{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
	}}}
}

type containerOrder struct {
	Namespace   string            `json:"namespace"`
	Pod         string            `json:"pod"`
	Image       string            `json:"image"` // repository@digest
	Application json.RawMessage   `json:"locked_application"`
	Environment map[string]string `json:"environment"`
}

// run starts a pod's container and returns the pod's address; it does not wait until the function answers.
func (c *containerRuntime) run(ctx context.Context, uid types.UID, order containerOrder) (string, error) {
	body, err := json.Marshal(order)
	if err != nil {
		return "", err
	}
	answer, err := c.call(ctx, http.MethodPut, uid, body)
	if err != nil {
		return "", err
	}
	var started struct {
		Address string `json:"address"`
	}
	return started.Address, json.Unmarshal(answer, &started)
}

// kill ends a pod's processes at once, as the shim does on SIGTERM (runwasi: sys/unix/container/instance.rs); requests under way are cut off.
func (c *containerRuntime) kill(ctx context.Context, uid types.UID) error {
	_, err := c.call(ctx, http.MethodDelete, uid, nil)
	return err
}

func (c *containerRuntime) call(ctx context.Context, method string, uid types.UID, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://runtime/pods/"+string(uid), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// startContainer has the container runtime start a pod whose image is on the node.
func (k *kubelet) startContainer(ctx context.Context, pod *corev1.Pod, running *runningPod) error {
	environment, err := k.environment(ctx, pod)
	if err != nil {
		return err
	}
	address, err := k.runtime.run(ctx, pod.UID, containerOrder{
		Namespace: pod.Namespace, Pod: pod.Name, Image: running.image.reference, Application: running.image.lockedApplication(), Environment: environment,
	})
	if err == nil {
		running.address = address
	}
	return err
}

// environment is what environmentProblem has found to be complete, with the values.
func (k *kubelet) environment(ctx context.Context, pod *corev1.Pod) (map[string]string, error) {
	values := map[string]string{}
	for _, variable := range pod.Spec.Containers[0].Env {
		values[variable.Name] = variable.Value
		if variable.ValueFrom == nil {
			continue
		}
		if ref := variable.ValueFrom.SecretKeyRef; ref != nil {
			var secret corev1.Secret
			if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}, &secret); client.IgnoreNotFound(err) != nil {
				return nil, err
			}
			values[variable.Name] = string(secret.Data[ref.Key])
		}
		if ref := variable.ValueFrom.ConfigMapKeyRef; ref != nil {
			var configMap corev1.ConfigMap
			if err := k.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: ref.Name}, &configMap); client.IgnoreNotFound(err) != nil {
				return nil, err
			}
			values[variable.Name] = configMap.Data[ref.Key]
		}
	}
	return values, nil
}

// probeReadiness sends the readiness probe once, as kubelet does; true without one. Its first success is the last one sent here.
func (k *kubelet) probeReadiness(ctx context.Context, pod *corev1.Pod, running *runningPod) (ready bool, again time.Duration) {
	probe := pod.Spec.Containers[0].ReadinessProbe
	if probe == nil || probe.HTTPGet == nil {
		return true, 0
	}
	period := max(time.Duration(probe.PeriodSeconds)*time.Second, time.Second)
	if wait := time.Until(running.startedAt.Add(time.Duration(probe.InitialDelaySeconds) * time.Second)); wait > 0 {
		return false, wait
	}
	ctx, cancel := context.WithTimeout(ctx, max(time.Duration(probe.TimeoutSeconds)*time.Second, time.Second))
	defer cancel()
	address := fmt.Sprintf("http://%s%s", net.JoinHostPort(running.address, probe.HTTPGet.Port.String()), probe.HTTPGet.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, period
	}
	for _, header := range probe.HTTPGet.HTTPHeaders {
		request.Header.Set(header.Name, header.Value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, period
	}
	response.Body.Close()
	return response.StatusCode >= 200 && response.StatusCode < 400, period
}

// preStopSleep is how long kubelet waits before it ends the container: lifecycle.preStop.sleep, which needs nothing in the container.
func preStopSleep(pod *corev1.Pod) time.Duration {
	hook := pod.Spec.Containers[0].Lifecycle
	if hook == nil || hook.PreStop == nil || hook.PreStop.Sleep == nil {
		return 0
	}
	return time.Duration(hook.PreStop.Sleep.Seconds) * time.Second
}

// forward sends a request on to a pod that is a process, as the interceptor does.
func forward(writer http.ResponseWriter, request *http.Request, address string) {
	proxy := httputil.ReverseProxy{Rewrite: func(out *httputil.ProxyRequest) {
		out.SetURL(&url.URL{Scheme: "http", Host: net.JoinHostPort(address, "80")})
		out.Out.Host = out.In.Host
		out.SetXForwarded()
	}}
	proxy.ServeHTTP(writer, request)
}
