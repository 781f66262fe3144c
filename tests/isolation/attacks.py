# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tenant `attacker` tries with its kubeconfig against the tenant `victim`, the cluster and the cloud's
account: each attack is one object, and what must answer it. `ALLOWED` are the same objects as a function has them, so
that a refusal of everything would be noticed."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    LEASE,
    POD,
    SCALED_OBJECT,
    SECRET,
    SPIN_APP,
    Kind,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.settings import EXTERNAL_SCALER

ATTACKER, VICTIM = "attacker", "victim"
IMAGE = f"registry.example.com/functions/shop@sha256:{'0' * 64}"
EXECUTOR = "containerd-shim-spin"
JOB = Kind("batch", "v1", "Job", "jobs")
SERVICE = Kind("", "v1", "Service", "services")
RBAC = "rbac.authorization.k8s.io"

ADMISSION, RIGHTS, SCHEMA = "ValidatingAdmissionPolicy", "RBAC", "the kind's schema"
"""Who refuses."""


@dataclasses.dataclass(frozen=True)
class Attack:
    """One try.

    Attributes:
        name: what it is for.
        kind: of the object.
        body: the object without apiVersion, kind and name; `namespace` names the victim's, else it is the attacker's.
        by: who must refuse it.
        says: a part of the answer.
    """

    name: str
    kind: Kind
    body: dict[str, t.Any]
    by: str = ADMISSION
    says: str = ""
    namespace: str = ATTACKER


def secret(**content: t.Any) -> dict[str, t.Any]:
    return {"type": "Opaque", "stringData": {"key": "value"}, **content}


def app(**spec: t.Any) -> dict[str, t.Any]:
    return {"spec": {"image": IMAGE, "executor": EXECUTOR, "replicas": 1, **spec}}


def volume(**source: t.Any) -> dict[str, t.Any]:
    mount = {"name": "v", "mountPath": "/data"}
    return app(volumes=[{"name": "v", **source}], volumeMounts=[mount])


def route(*hosts: str, **rule: t.Any) -> dict[str, t.Any]:
    backend = {"backendRefs": [{"name": "shop", "port": 80}]}
    parent = {"name": "wasmfaas", "namespace": "wasmfaas-system"}
    return {"spec": {"parentRefs": [parent], "hostnames": list(hosts), "rules": [{**backend, **rule}]}}


def interceptor(host: str, **spec: t.Any) -> dict[str, t.Any]:
    wanted = {
        "target": {"service": "shop", "port": 80},
        "rules": [{"hosts": [host]}],
        "scalingMetric": {"concurrency": {"targetValue": 1}},
    }
    return {"spec": wanted | spec}


def scaled(*triggers: dict[str, t.Any], **spec: t.Any) -> dict[str, t.Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    return {"spec": {"scaleTargetRef": target, "triggers": list(triggers), **spec}}


def by_requests(**metadata: str) -> dict[str, t.Any]:
    return {"type": "external-push", "metadata": {"scalerAddress": EXTERNAL_SCALER, **metadata}}


def autoscaler(metric: dict[str, t.Any], target: str = "Deployment") -> dict[str, t.Any]:
    reference = {"apiVersion": "apps/v1", "kind": target, "name": "shop"}
    return {"spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 2, "metrics": [metric]}}


def workload(*, answers: bool = False, pod: dict[str, t.Any] | None = None, **container: t.Any) -> dict[str, t.Any]:
    """A Job, or a Deployment, as `wasi_program` makes it."""
    spec = {
        "runtimeClassName": "wasmtime-wasi",
        "restartPolicy": "Always" if answers else "Never",
        "containers": [{"name": "program", "image": IMAGE, "command": ["/shop.wasm"], **container}],
        **(pod or {}),
    }
    labels = {"a": "b"}
    selector = {"selector": {"matchLabels": labels}} if answers else {}
    return {"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}, **selector}}


OWN_HOST = f"shop.{ATTACKER}.192.0.2.1.nip.io"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
EXTERNAL = {
    "type": "External",
    "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}},
}

ALLOWED = (
    Attack("a Secret", SECRET, secret()),
    Attack("a function", SPIN_APP, app(variables=[{"name": "greeting", "value": "Hello"}])),
    Attack("a function with a directory of its own", SPIN_APP, volume(emptyDir={"sizeLimit": "64Mi"})),
    Attack("a function with a Secret as a volume", SPIN_APP, volume(secret={"secretName": "shop"})),
    Attack("a route", HTTP_ROUTE, route(OWN_HOST)),
    Attack("a route for requests to a sleeping function", INTERCEPTOR_ROUTE, interceptor(OWN_HOST)),
    Attack("scaling by requests", SCALED_OBJECT, scaled(by_requests(interceptorRoute="shop"))),
    Attack("scaling by CPU", HORIZONTAL_POD_AUTOSCALER, autoscaler(CPU)),
    Attack("a program that runs once", JOB, workload(args=["a"])),
    Attack("a program that answers", DEPLOYMENT, workload(answers=True)),
    Attack("its Service", SERVICE, {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
    Attack("a lock", LEASE, {"spec": {"holderIdentity": "me"}}),
)

TOKENS = (
    Attack(
        "a token without end",
        SECRET,
        secret(
            type="kubernetes.io/service-account-token",
            metadata={"annotations": {"kubernetes.io/service-account.name": "deployer"}},
        ),
        says="has the type Opaque",
    ),
    Attack("a token to join nodes", SECRET, secret(type="bootstrap.kubernetes.io/token"), says="has the type Opaque"),
    Attack("an account", Kind("", "v1", "ServiceAccount", "serviceaccounts"), {}, RIGHTS),
    Attack("rights", Kind(RBAC, "v1", "Role", "roles"), {"rules": []}, RIGHTS),
    Attack(
        "rights of others",
        Kind(RBAC, "v1", "RoleBinding", "rolebindings"),
        {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []},
        RIGHTS,
    ),
)

DATABASE = (
    Attack("a Secret of 200 KB", SECRET, secret(stringData={"key": "x" * 200_000}), says="holds at most 131072 bytes"),
    Attack(
        "variables of 200 KB",
        SPIN_APP,
        app(variables=[{"name": f"v{number}", "value": "x" * 20_000} for number in range(10)]),
        says="at most 131072 bytes together",
    ),
    Attack("a ConfigMap", Kind("", "v1", "ConfigMap", "configmaps"), {"data": {}}, RIGHTS),
    Attack("an event", Kind("", "v1", "Event", "events"), {"involvedObject": {}}, RIGHTS),
    Attack(
        "a route with 17 hosts",
        HTTP_ROUTE,
        {
            "spec": route(*(f"a{number}.{ATTACKER}.192.0.2.1.nip.io" for number in range(16)))["spec"]
            | {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": f"/{n}"}} for n in range(9)]}]}
        },
        says="at most 16 hosts",
    ),
)

CALLS_BY_KEDA = (
    *tuple(
        Attack(
            f"a trigger of type {kind}",
            SCALED_OBJECT,
            scaled({"type": kind, "metadata": metadata}),
            says="of the types",
        )
        for kind, metadata in {
            "prometheus": {"serverAddress": "http://prometheus.observability:9090", "query": "up", "threshold": "1"},
            "metrics-api": {"url": "http://169.254.169.254/latest/meta-data", "valueLocation": "x", "targetValue": "1"},
            "external": {"scalerAddress": "10.0.0.1:80"},
            "aws-cloudwatch": {"awsRegion": "us-east-1", "identityOwner": "operator"},
            "aws-sqs-queue": {"queueURL": "https://sqs.us-east-1.amazonaws.com/1/q", "identityOwner": "operator"},
            "kubernetes-workload": {"podSelector": "app=x", "value": "1"},
            "cron": {"timezone": "UTC", "start": "0 * * * *", "end": "1 * * * *", "desiredReplicas": "50"},
        }.items()
    ),
    Attack(
        "the add-on's trigger with another address",
        SCALED_OBJECT,
        scaled({"type": "external-push", "metadata": {"scalerAddress": "loki.observability:3100"}}),
        says="of the types",
    ),
    Attack(
        "the add-on's trigger with a file of the operator",
        SCALED_OBJECT,
        scaled(by_requests(interceptorRoute="shop", caCert="/var/run/secrets/kubernetes.io/serviceaccount/token")),
        says="of the types",
    ),
    Attack(
        "a trigger with credentials of the platform",
        SCALED_OBJECT,
        scaled({**by_requests(), "authenticationRef": {"kind": "ClusterTriggerAuthentication", "name": "aws"}}),
        says="of the types",
    ),
    Attack(
        "a formula",
        SCALED_OBJECT,
        scaled(by_requests(), advanced={"scalingModifiers": {"formula": "1", "target": "1"}}),
        says="`advanced`",
    ),
    Attack(
        "scaling of another kind",
        SCALED_OBJECT,
        {
            "spec": {
                "scaleTargetRef": {"apiVersion": "batch/v1", "kind": "Job", "name": "x"},
                "triggers": [by_requests()],
            }
        },
        says="scales a Deployment",
    ),
    Attack("an external metric", HORIZONTAL_POD_AUTOSCALER, autoscaler(EXTERNAL), says="by cpu or memory"),
    Attack("a scaler of other kinds", HORIZONTAL_POD_AUTOSCALER, autoscaler(CPU, "ReplicaSet"), says="a Deployment"),
    Attack(
        "an answer from another Service for a cold start",
        INTERCEPTOR_ROUTE,
        interceptor(OWN_HOST, coldStart={"fallback": {"service": {"name": "grafana.observability", "port": 80}}}),
        says="no coldStart",
    ),
    Attack(
        "a route to a Service of the platform",
        INTERCEPTOR_ROUTE,
        interceptor(OWN_HOST, target={"service": "loki.observability.svc", "port": 3100}),
        says="without dots",
    ),
)

HOSTS = tuple(
    Attack(f"the host {host or 'of nobody'}", HTTP_ROUTE, route(*([host] if host else [])), says="hosts of its own")
    for host in (
        f"shop.{VICTIM}.192.0.2.1.nip.io",
        "shop.example.com",  # listed for the victim
        "*.example.com",
        "*.nip.io",
        "*.192.0.2.1.nip.io",
        "grafana.192.0.2.1.nip.io",
        f"shop.{ATTACKER}.{VICTIM}.192.0.2.1.nip.io",
        f"shop.{ATTACKER}.example.org",
        "",
    )
) + tuple(
    Attack(f"the host {host} by the interceptor", INTERCEPTOR_ROUTE, interceptor(host), says="hosts of its own")
    for host in (f"shop.{VICTIM}.192.0.2.1.nip.io", "shop.example.com")
)

VOLUMES = tuple(
    Attack(f"a volume of kind {next(iter(source))}", SPIN_APP, volume(**source), says="is a secret, a configMap")
    for source in (
        {"hostPath": {"path": "/"}},
        {"nfs": {"server": "10.0.0.1", "path": "/"}},
        {"cephfs": {"monitors": ["10.0.0.1"]}},
        {"csi": {"driver": "ebs.csi.aws.com"}},
        {"awsElasticBlockStore": {"volumeID": "vol-1"}},
        {"persistentVolumeClaim": {"claimName": "x"}},
        {"ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "16Ti"}}}}}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        {"emptyDir": {}},
        {"emptyDir": {"sizeLimit": "100Gi"}},
    )
)

NATIVE_CODE = (
    Attack("an image by its tag", SPIN_APP, app(image="registry.example.com/functions/shop:v1"), says="by its digest"),
    Attack(
        "an image of another registry",
        SPIN_APP,
        app(image=f"docker.io/library/busybox@sha256:{'0' * 64}"),
        says="begins with registry.example.com/functions/",
    ),
    Attack(
        "an image of a registry with a longer name",
        SPIN_APP,
        app(image=f"registry.example.com/functions-of-mine/x@sha256:{'0' * 64}"),
        says="begins with registry.example.com/functions/",
    ),
    Attack("a pod", POD, {"spec": {"containers": [{"name": "c", "image": IMAGE}]}}, RIGHTS),
    Attack("a pod's debugger", Kind("", "v1", "Pod", "pods/ephemeralcontainers"), {"spec": {}}, RIGHTS),
    Attack("an ordinary Deployment", DEPLOYMENT, workload(answers=True, pod={"runtimeClassName": None})),
    Attack("an ordinary Job", JOB, workload(pod={"runtimeClassName": None})),
    Attack("a command", JOB, workload(command=["/bin/sh", "-c", "id"]), says="no command but / and"),
    Attack(
        "a probe that runs a command",
        DEPLOYMENT,
        workload(answers=True, readinessProbe={"exec": {"command": ["id"]}}),
        says="no exec in probes",
    ),
    Attack(
        "a command before the end",
        DEPLOYMENT,
        workload(answers=True, lifecycle={"preStop": {"exec": {"command": ["id"]}}}),
        says="no exec in probes",
    ),
    Attack(
        "a program by the tag of its image",
        JOB,
        workload(image="registry.example.com/functions/a:v1"),
        says="by its digest",
    ),
    Attack(
        "a disk of the host for a program",
        JOB,
        workload(pod={"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        says="is a secret, a configMap",
    ),
)

OTHERS = (
    Attack("a Secret in the victim's namespace", SECRET, secret(), RIGHTS, namespace=VICTIM),
    Attack("a function in the victim's namespace", SPIN_APP, app(), RIGHTS, namespace=VICTIM),
    Attack("a function in the namespace default", SPIN_APP, app(), RIGHTS, namespace="default"),
    Attack("a Secret of the system", SECRET, secret(), RIGHTS, namespace="kube-system"),
    Attack(
        "an executor of its own",
        Kind("core.spinkube.dev", "v1alpha1", "SpinAppExecutor", "spinappexecutors"),
        {"spec": {"createDeployment": False}},
        RIGHTS,
    ),
    Attack(
        "a network policy of its own",
        Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
        {"spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}},
        RIGHTS,
    ),
    Attack(
        "a quota of its own",
        Kind("", "v1", "ResourceQuota", "resourcequotas"),
        {"spec": {"hard": {"pods": "1000"}}},
        RIGHTS,
    ),
    Attack(
        "a Gateway", Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways"), {"spec": {"listeners": []}}, RIGHTS
    ),
    Attack(
        "a grant for the victim",
        Kind("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants"),
        {"spec": {"from": [], "to": []}},
        RIGHTS,
    ),
    Attack(
        "a Service with a name outside",
        SERVICE,
        {"spec": {"type": "ExternalName", "externalName": "example.com"}},
        says="of type ClusterIP",
    ),
    Attack(
        "a Service with addresses of others",
        SERVICE,
        {"spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]}},
        says="without externalIPs",
    ),
    Attack(
        "addresses of others behind a Service",
        Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
        {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]},
        RIGHTS,
    ),
)

ATTACKS = (*TOKENS, *DATABASE, *CALLS_BY_KEDA, *HOSTS, *VOLUMES, *NATIVE_CODE, *OTHERS)
