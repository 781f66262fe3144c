// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const mergePatch = types.StrategicMergePatchType

func sortedKeys[V any](values map[string]V) []string { return slices.Sorted(maps.Keys(values)) }

// The kubelet's defaults.
const (
	leaseInterval  = 10 * time.Second
	leaseSeconds   = 40
	statusInterval = 5 * time.Minute
)

// live renews the Lease and the status, and plays the pods; it returns only if the kubelet would end.
func (own *node) live(ctx context.Context) error {
	go own.runPods(ctx)
	var reported string
	var lastReport time.Time
	for {
		if err := own.renewLease(ctx); err != nil {
			logWarning("Failed to update lease: %s", err)
		}
		// Ready may change with a CNI plugin, DiskPressure with the disk.
		state := fmt.Sprint(own.networkReady(), own.diskPressure())
		if state != reported || time.Since(lastReport) > statusInterval || own.judgedUnknown(ctx) {
			if err := own.report(ctx); err != nil {
				logWarning("Error updating node status, will retry: %s", err)
			} else {
				reported, lastReport = state, time.Now()
			}
		}
		time.Sleep(leaseInterval)
	}
}

// judgedUnknown: the controllers have given the node up meanwhile. The kubelet compares with the Node each 10 s (kubelet_node_status.go, nodeStatusHasChanged).
func (own *node) judgedUnknown(ctx context.Context) bool {
	present, err := own.clients.CoreV1().Nodes().Get(ctx, own.host.nodeName, metav1.GetOptions{})
	return err == nil && slices.ContainsFunc(present.Status.Conditions, func(condition corev1.NodeCondition) bool {
		return condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionUnknown
	})
}

func (own *node) report(ctx context.Context) error {
	present, err := own.clients.CoreV1().Nodes().Get(ctx, own.host.nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	return patchNodeStatus(ctx, own.clients, own.host.nodeName, own.status(present))
}

func (own *node) renewLease(ctx context.Context) error {
	leases := own.clients.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(leaseSeconds)
	lease, err := leases.Get(ctx, own.host.nodeName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		present, err := own.clients.CoreV1().Nodes().Get(ctx, own.host.nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: own.host.nodeName, OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: present.Name, UID: present.UID}}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &own.host.nodeName, LeaseDurationSeconds: &seconds, RenewTime: &now},
		}, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.RenewTime, lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds = &now, &own.host.nodeName, &seconds
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

// status is what the kubelet reports; present is the Node as it is, for the times of its conditions.
func (own *node) status(present *corev1.Node) map[string]any {
	addresses := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: own.host.address}, {Type: corev1.NodeHostName, Address: own.host.nodeName}}
	for _, address := range own.host.externalAddresses {
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: address})
	}
	processors := resource.NewQuantity(int64(runtime.NumCPU()), resource.DecimalSI)
	memory := resource.NewQuantity(memoryBytes(), resource.BinarySI)
	capacity := corev1.ResourceList{corev1.ResourceCPU: *processors, corev1.ResourceMemory: *memory, corev1.ResourcePods: resource.MustParse("110")}
	conditions := []corev1.NodeCondition{
		condition(corev1.NodeMemoryPressure, false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		condition(corev1.NodeDiskPressure, false, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		condition(corev1.NodePIDPressure, false, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		condition(corev1.NodeReady, true, "KubeletReady", "kubelet is posting ready status"),
	}
	if own.diskPressure() {
		conditions[1] = condition(corev1.NodeDiskPressure, true, "KubeletHasDiskPressure", "kubelet has disk pressure")
	}
	if !own.networkReady() {
		conditions[3] = condition(corev1.NodeReady, false, "KubeletNotReady", "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized")
	}
	if present != nil {
		for i := range conditions {
			for _, old := range present.Status.Conditions {
				if old.Type == conditions[i].Type && old.Status == conditions[i].Status {
					conditions[i].LastTransitionTime = old.LastTransitionTime
				}
			}
		}
	}
	return map[string]any{
		"addresses": addresses, "capacity": capacity, "allocatable": capacity, "conditions": conditions,
		"nodeInfo": corev1.NodeSystemInfo{
			MachineID: strings.TrimSpace(readText("/etc/machine-id")), SystemUUID: strings.TrimSpace(readText("/etc/machine-id")), BootID: strings.TrimSpace(readText("/proc/sys/kernel/random/boot_id")),
			KernelVersion: strings.TrimSpace(readText("/proc/sys/kernel/osrelease")), OSImage: operatingSystem(), ContainerRuntimeVersion: "containerd://2.1.4-k3s1",
			KubeletVersion: Version, OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH,
		},
		"daemonEndpoints": corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: 10250}},
	}
}

func condition(kind corev1.NodeConditionType, is bool, reason, message string) corev1.NodeCondition {
	status := corev1.ConditionFalse
	if is {
		status = corev1.ConditionTrue
	}
	return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now()}
}

// networkReady: with flannel-backend none a node is not Ready before another CNI plugin has written its configuration (k3s docs: networking/basic-network-options.md).
func (own *node) networkReady() bool {
	if own.cluster.FlannelBackend != "none" {
		return true
	}
	found, _ := filepath.Glob("/etc/cni/net.d/*.conf*")
	return len(found) > 0
}

// diskPressure is k3s' eviction threshold: less than 5 % free.
func (own *node) diskPressure() bool {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(own.place.data, &disk); err != nil || disk.Blocks == 0 {
		return false
	}
	return disk.Bavail*20 < disk.Blocks
}

func memoryBytes() int64 {
	var information syscall.Sysinfo_t
	if err := syscall.Sysinfo(&information); err != nil {
		return 0
	}
	return int64(information.Totalram) * int64(information.Unit)
}

func operatingSystem() string {
	file, err := os.Open("/etc/os-release")
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); found {
			return strings.Trim(name, `"`)
		}
	}
	return ""
}
