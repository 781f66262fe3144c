// Copyright: (c) 2026, the wasmfaas.platform authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

const (
	memberTick        = 2 * time.Second // k3s: 15 s; shorter only to save the tests' time
	statusPatience    = 2 * time.Second
	learnerPatience   = 5 * time.Minute // without progress
	heartbeat         = 5 * time.Minute // of a condition that does not change
	labelEtcd         = "node-role.kubernetes.io/etcd"
	labelControlPlane = "node-role.kubernetes.io/control-plane"
	annotationMember  = "etcd.k3s.cattle.io/node-name"
	annotationAddress = "etcd.k3s.cattle.io/node-address"
	annotationRemove  = "etcd.k3s.cattle.io/remove"
	annotationRemoved = "etcd.k3s.cattle.io/removed-node-name"
	finalizerNode     = "wrangler.cattle.io/node"
	finalizerMember   = "wrangler.cattle.io/managed-etcd-controller"
	conditionVoter    = corev1.NodeConditionType("EtcdIsVoter")
)

// memberKeeper keeps etcd's members and the Node objects of servers together. It runs on every server and acts on etcd's leader
// only, so it needs quorum, as k3s' does (k3s v1.35.5: pkg/etcd/etcd.go manageLearners, pkg/etcd/member_controller.go).
type memberKeeper struct {
	own     *member
	clients kubernetes.Interface
	learner map[uint64]progress
	ill     map[uint64]string // members that do not answer, and why; looked at once in a tick
}

// progress is how far a learner came, and when it was seen to come further.
type progress struct {
	applied uint64
	at      time.Time
}

func keepMembers(ctx context.Context, own *member, clients kubernetes.Interface) {
	factory := informers.NewSharedInformerFactory(clients, 0)
	nodes := factory.Core().V1().Nodes()
	informer := nodes.Informer()
	factory.Start(ctx.Done())
	for !informer.HasSynced() {
		time.Sleep(50 * time.Millisecond)
	}
	keeper := &memberKeeper{own: own, clients: clients, learner: map[uint64]progress{}}
	for range time.Tick(memberTick) {
		if !own.leads() {
			continue
		}
		keeper.look(ctx)
		keeper.promoteLearners(ctx)
		listed, _ := nodes.Lister().List(labels.Everything())
		for _, node := range listed {
			if err := keeper.keep(ctx, node); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				logError("node %s: %s", node.Name, err)
			}
		}
	}
}

// promoteLearners makes learners voters once they have caught up, which etcd itself judges.
func (keeper *memberKeeper) promoteLearners(ctx context.Context) {
	for _, other := range keeper.own.etcd.Server.Cluster().Members() {
		if !other.IsLearner {
			delete(keeper.learner, uint64(other.ID))
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := keeper.own.client.MemberPromote(ctx, uint64(other.ID))
		cancel()
		if err == nil {
			logInfo("Learner %s has been promoted to voting member", other.Name)
			continue
		}
		last, seen := keeper.learner[uint64(other.ID)]
		applied := keeper.applied(ctx, other)
		switch {
		case !seen || applied > last.applied:
			keeper.learner[uint64(other.ID)] = progress{applied, time.Now()}
		case time.Since(last.at) > learnerPatience:
			_, _ = keeper.own.client.MemberRemove(context.Background(), uint64(other.ID))
			logWarning("Removed learner %s from etcd cluster", other.Name)
		}
	}
}

// look asks every member how it is (k3s v1.35.5: pkg/etcd/etcd.go getETCDStatus).
func (keeper *memberKeeper) look(ctx context.Context) {
	keeper.ill = map[uint64]string{}
	for _, other := range keeper.own.etcd.Server.Cluster().Members() {
		if len(other.ClientURLs) == 0 || other.ID == keeper.own.etcd.Server.MemberID() {
			continue // it has not published itself yet
		}
		if _, err := keeper.status(ctx, other); err != nil {
			keeper.ill[uint64(other.ID)] = "failed to check etcd member status: " + err.Error()
		}
	}
}

func (keeper *memberKeeper) status(ctx context.Context, other *membership.Member) (*clientv3.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, statusPatience)
	defer cancel()
	return keeper.own.client.Status(ctx, other.ClientURLs[0])
}

// applied is how far a learner has come; 0 where it does not answer.
func (keeper *memberKeeper) applied(ctx context.Context, other *membership.Member) uint64 {
	if len(other.ClientURLs) == 0 {
		return 0
	}
	status, err := keeper.status(ctx, other)
	if err != nil {
		return 0
	}
	return status.RaftAppliedIndex
}

// keep handles one Node: what goes with it when it is deleted, an etcd member that is to be removed, else its finalizers and the
// condition EtcdIsVoter. With finalizers nothing is missed while no leader is there; `kubectl delete node` waits for them.
func (keeper *memberKeeper) keep(ctx context.Context, node *corev1.Node) error {
	nodes := keeper.clients.CoreV1().Nodes()
	_, isServer := node.Labels[labelEtcd]
	other := keeper.memberOf(node)
	changed := node.DeepCopy()
	finalizers := sets.New(node.Finalizers...)
	wanted := sets.New(finalizerNode)
	if isServer {
		wanted.Insert(finalizerMember)
	}
	switch {
	case node.DeletionTimestamp != nil:
		if !finalizers.HasAny(finalizerNode, finalizerMember) {
			return nil
		}
		if err := keeper.remove(ctx, node, other); err != nil {
			return err
		}
		// k3s: pkg/nodepassword: the Secret goes with the Node.
		err := keeper.clients.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, nodePasswordSecret(node.Name), metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		changed.Finalizers = sets.List(finalizers.Delete(finalizerNode, finalizerMember))
	case !finalizers.IsSuperset(wanted):
		changed.Finalizers = sets.List(finalizers.Union(wanted))
	case isServer && node.Annotations[annotationRemoved] != "":
		// The annotation that asked for it stays until the host has joined again under another member name.
		if current := node.Annotations[annotationMember]; current == "" || current == node.Annotations[annotationRemoved] {
			return keeper.setCondition(ctx, node, other)
		}
		delete(changed.Annotations, annotationRemoved)
		changed.Annotations[annotationRemove] = "false"
	case isServer && node.Annotations[annotationRemove] == "true":
		if err := keeper.remove(ctx, node, other); err != nil {
			return err
		}
		changed.Annotations[annotationRemoved] = node.Annotations[annotationMember]
		for _, name := range []string{annotationMember, annotationAddress} {
			delete(changed.Annotations, name)
		}
	case isServer:
		return keeper.setCondition(ctx, node, other)
	default:
		return nil
	}
	_, err := nodes.Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

// memberOf finds a Node's member by the name in its annotation.
func (keeper *memberKeeper) memberOf(node *corev1.Node) *membership.Member {
	for _, other := range keeper.own.etcd.Server.Cluster().Members() {
		if other.Name != "" && other.Name == node.Annotations[annotationMember] {
			return other
		}
	}
	return nil
}

func (keeper *memberKeeper) remove(ctx context.Context, node *corev1.Node, other *membership.Member) error {
	if other == nil {
		return nil
	}
	logInfo("Removing etcd member %s of node %s", other.Name, node.Name)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := keeper.own.client.MemberRemove(ctx, uint64(other.ID))
	if errors.Is(err, rpctypes.ErrMemberNotFound) {
		return nil
	}
	return err
}

// setCondition writes EtcdIsVoter when it changed, and now and then (k3s v1.35.5: pkg/etcd/etcd.go setEtcdStatusCondition). A member that does not
// answer is False as a learner is, but it is a member and counts for the majority.
func (keeper *memberKeeper) setCondition(ctx context.Context, node *corev1.Node, other *membership.Member) error {
	now := metav1.Now()
	wanted := corev1.NodeCondition{Type: conditionVoter, Status: corev1.ConditionTrue, Reason: "MemberNotLearner", Message: "Node is a voting member of the etcd cluster", LastHeartbeatTime: now, LastTransitionTime: now}
	switch {
	case other == nil:
		wanted.Status, wanted.Reason, wanted.Message = corev1.ConditionFalse, "NotAMember", "Node is not a member of the etcd cluster"
	case keeper.ill[uint64(other.ID)] != "":
		wanted.Status, wanted.Reason, wanted.Message = corev1.ConditionFalse, "Unhealthy", keeper.ill[uint64(other.ID)]
	case other.IsLearner:
		wanted.Status, wanted.Reason, wanted.Message = corev1.ConditionFalse, "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster"
	}
	for _, present := range node.Status.Conditions {
		if present.Type == conditionVoter && present.Status == wanted.Status {
			if present.Reason == wanted.Reason && time.Since(present.LastHeartbeatTime.Time) < heartbeat {
				return nil
			}
			wanted.LastTransitionTime = present.LastTransitionTime
		}
	}
	return patchNodeStatus(ctx, keeper.clients, node.Name, map[string]any{"conditions": []corev1.NodeCondition{wanted}})
}

// patchNodeStatus merges into a Node's status; conditions are merged by their type.
func patchNodeStatus(ctx context.Context, clients kubernetes.Interface, name string, status map[string]any) error {
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = clients.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// markServer puts on a server's Node what k3s puts there through the API: role labels, etcd's annotations, the encryption's hash.
func markServer(ctx context.Context, clients kubernetes.Interface, place places, host *host, memberName string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"labels": map[string]string{labelEtcd: "true", labelControlPlane: "true"},
		"annotations": map[string]any{
			annotationMember: memberName, annotationAddress: host.address, annotationEncryption: nilIfEmpty(encryptionHash(place)),
		},
	}})
	if err != nil {
		return err
	}
	if _, err := clients.CoreV1().Nodes().Patch(ctx, host.nodeName, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("marking the node as a server: %w", err)
	}
	return nil
}

const annotationEncryption = "k3s.io/encryption-config-hash"

func nilIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}
