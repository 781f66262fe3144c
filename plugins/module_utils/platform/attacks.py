# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one tenant tries with its kubeconfig against another, the cluster and the cloud's account: each attack is one
request, and who must refuse it. `tests/isolation` and the playbook verify_isolation try all of them. `allowed` are the
same objects as functions and programs have them, so that a refusal of everything is noticed."""

from __future__ import annotations

import dataclasses
import typing as t

from ..spinkube.kinds import (
    DEPLOYMENT,
    HORIZONTAL_POD_AUTOSCALER,
    HTTP_ROUTE,
    INTERCEPTOR_ROUTE,
    JOB,
    LEASE,
    POD,
    SCALED_OBJECT,
    SECRET,
    SERVICE,
    SPIN_APP,
    Kind,
)
from ..spinkube.settings import EXTERNAL_SCALER
from .tenant import NIP_IO
from .tenant_policies import MOST_MATCHES

RBAC = "rbac.authorization.k8s.io"
DIGEST = f"@sha256:{'0' * 64}"
TEST_ADDRESS = "192.0.2.1"
"""For documentation (RFC 5737): no host has it."""
ELSEWHERE = "elsewhere.example"
"""A domain that nobody has (RFC 2606)."""

ADMISSION, RIGHTS, QUOTA = "ValidatingAdmissionPolicy", "RBAC", "ResourceQuota"
"""Who refuses."""

OF_PROGRAMS = (JOB, DEPLOYMENT, SERVICE)
"""Kinds for which tenants have rights with `tenant_programs` alone."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """Who attacks whom, and what differs between clusters.

    Attributes:
        attacker: namespace of the tenant that attacks.
        victim: namespace of the other.
        image_prefixes: `tenant_image_prefixes`; empty where tenants may run images of any registry.
        domains: `tenant_domains`.
        own_hosts: hosts that are listed for the attacker.
        victim_hosts: hosts that are listed for the victim; at least one.
        secret_bytes: `tenant_secret_bytes`.
        executor: the tenants' SpinAppExecutor.
        program_runtime_class: RuntimeClass of programs.
        programs: whether tenants may deploy programs.
    """

    attacker: str
    victim: str
    image_prefixes: tuple[str, ...]
    domains: tuple[str, ...]
    victim_hosts: tuple[str, ...]
    own_hosts: tuple[str, ...] = ()
    secret_bytes: int = 131072
    executor: str = "containerd-shim-spin"
    program_runtime_class: str = "wasmtime-wasi"
    programs: bool = True

    @property
    def prefix(self) -> str:
        """What images of the attacker may begin with."""
        prefixes = self.image_prefixes or ("registry.example.com/functions",)
        return prefixes[0].replace("{tenant}", self.attacker)

    @property
    def image(self) -> str:
        """An image that the attacker may name. It need not exist: nothing is started."""
        return f"{self.prefix}/shop{DIGEST}"

    @property
    def domain(self) -> str:
        """A domain under which functions have hosts; empty where they have those alone that are listed."""
        first = next(iter(self.domains), "")
        return f"{TEST_ADDRESS}.{NIP_IO}" if first == NIP_IO else first

    @property
    def own_host(self) -> str:
        return f"shop.{self.attacker}.{self.domain}" if self.domain else self.own_hosts[0]


@dataclasses.dataclass(frozen=True)
class Attack:
    """One request.

    Attributes:
        name: what it is for.
        kind: of the object.
        body: the object without apiVersion, kind and name; {} for a list.
        by: who must refuse it.
        says: a part of the answer.
        namespace: where; the attacker's if it is empty, all if it is `*`.
        tried: `apply` (as a dry run, so that nothing is kept) or `list`.
        not_tried: why it cannot be tried on this cluster; empty if it can.
        about: what it belongs to, such as `tokens`.
    """

    name: str
    kind: Kind
    body: dict[str, t.Any]
    by: str = ADMISSION
    says: str = ""
    namespace: str = ""
    tried: str = "apply"
    not_tried: str = ""
    about: str = ""


def secret(**content: t.Any) -> dict[str, t.Any]:
    return {"type": "Opaque", "stringData": {"key": "value"}, **content}


def app(setting: Setting, **spec: t.Any) -> dict[str, t.Any]:
    return {"spec": {"image": setting.image, "executor": setting.executor, "replicas": 1, **spec}}


def volume(setting: Setting, **source: t.Any) -> dict[str, t.Any]:
    mount = {"name": "v", "mountPath": "/data"}
    return app(setting, volumes=[{"name": "v", **source}], volumeMounts=[mount])


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


def workload(
    setting: Setting, *, answers: bool = False, pod: dict[str, t.Any] | None = None, **container: t.Any
) -> dict[str, t.Any]:
    """A Job, or a Deployment, as `wasi_program` makes it."""
    spec = {
        "runtimeClassName": setting.program_runtime_class,
        "restartPolicy": "Always" if answers else "Never",
        "containers": [{"name": "program", "image": setting.image, "command": ["/shop.wasm"], **container}],
        **(pod or {}),
    }
    labels = {"a": "b"}
    selector = {"selector": {"matchLabels": labels}} if answers else {}
    return {"spec": {"template": {"metadata": {"labels": labels}, "spec": spec}, **selector}}


CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}
EXTERNAL = {
    "type": "External",
    "external": {"metric": {"name": "m"}, "target": {"type": "Value", "value": "1"}},
}


def attacks(setting: Setting) -> tuple[Attack, ...]:
    """All attacks; each must be refused."""
    groups = {
        "tokens": _tokens(),
        "database": _database(setting),
        "calls by KEDA": _calls_by_keda(setting),
        "hosts": _hosts(setting),
        "volumes": _volumes(setting),
        "native code": _native_code(setting),
        "others": _others(setting),
        "reading": _reading(setting),
    }
    return tuple(
        _by_rights(dataclasses.replace(attack, about=about), setting)
        for about, group in groups.items()
        for attack in group
    )


def beyond_the_quota(setting: Setting) -> tuple[Attack, ...]:
    """One of each kind that the victim may write. Its own quota must allow none of them."""
    own = dataclasses.replace(setting, attacker=setting.victim, own_hosts=setting.victim_hosts, victim=setting.attacker)
    of_kind = {entry.kind: entry for entry in allowed(own)}
    return tuple(
        dataclasses.replace(entry, by=QUOTA, says="exceeded quota", namespace=setting.victim, about="quota")
        for entry in of_kind.values()
    )


def _by_rights(attack: Attack, setting: Setting) -> Attack:
    """Without `tenant_programs` a tenant lacks the right before any policy is asked."""
    if setting.programs or attack.kind not in OF_PROGRAMS:
        return attack
    return dataclasses.replace(attack, by=RIGHTS, says="")


def allowed(setting: Setting) -> tuple[Attack, ...]:
    """What functions and programs need; each must be taken."""
    entries = (
        Attack("a Secret", SECRET, secret()),
        Attack("a function", SPIN_APP, app(setting, variables=[{"name": "greeting", "value": "Hello"}])),
        Attack("a function with a directory of its own", SPIN_APP, volume(setting, emptyDir={"sizeLimit": "64Mi"})),
        Attack("a function with a Secret as a volume", SPIN_APP, volume(setting, secret={"secretName": "shop"})),
        Attack("a route", HTTP_ROUTE, route(setting.own_host)),
        Attack("a route for requests to a sleeping function", INTERCEPTOR_ROUTE, interceptor(setting.own_host)),
        Attack("scaling by requests", SCALED_OBJECT, scaled(by_requests(interceptorRoute="shop"))),
        Attack("scaling by CPU", HORIZONTAL_POD_AUTOSCALER, autoscaler(CPU)),
        Attack("a program that runs once", JOB, workload(setting, args=["a"])),
        Attack("a program that answers", DEPLOYMENT, workload(setting, answers=True)),
        Attack("its Service", SERVICE, {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}),
        Attack("a lock", LEASE, {"spec": {"holderIdentity": "me"}}),
    )
    return tuple(
        dataclasses.replace(entry, by="", about="needed")
        for entry in entries
        if setting.programs or entry.kind not in OF_PROGRAMS
    )


def _tokens() -> tuple[Attack, ...]:
    return (
        Attack(
            "a token without end",
            SECRET,
            secret(
                type="kubernetes.io/service-account-token",
                metadata={"annotations": {"kubernetes.io/service-account.name": "deployer"}},
            ),
            says="has the type Opaque",
        ),
        Attack(
            "a token to join nodes", SECRET, secret(type="bootstrap.kubernetes.io/token"), says="has the type Opaque"
        ),
        Attack("an account", Kind("", "v1", "ServiceAccount", "serviceaccounts"), {}, RIGHTS),
        Attack("rights", Kind(RBAC, "v1", "Role", "roles"), {"rules": []}, RIGHTS),
        Attack(
            "rights of others",
            Kind(RBAC, "v1", "RoleBinding", "rolebindings"),
            {"roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}, "subjects": []},
            RIGHTS,
        ),
    )


def _database(setting: Setting) -> tuple[Attack, ...]:
    return (
        Attack(
            "a Secret that is too large",
            SECRET,
            secret(stringData={"key": "x" * (setting.secret_bytes + 4)}),
            says=f"holds at most {setting.secret_bytes} bytes",
        ),
        Attack(
            "variables that are too large together",
            SPIN_APP,
            app(setting, variables=[{"name": f"v{n}", "value": "x" * (setting.secret_bytes // 8)} for n in range(9)]),
            says=f"at most {setting.secret_bytes} bytes together",
        ),
        Attack("a ConfigMap", Kind("", "v1", "ConfigMap", "configmaps"), {"data": {}}, RIGHTS),
        Attack("an event", Kind("", "v1", "Event", "events"), {"involvedObject": {}}, RIGHTS),
        Attack(
            f"a route with {MOST_MATCHES + 1} matches in one rule",
            HTTP_ROUTE,
            route(
                setting.own_host,
                matches=[{"path": {"type": "PathPrefix", "value": f"/{n}"}} for n in range(MOST_MATCHES + 1)],
            ),
            says=f"{MOST_MATCHES} matches each",
        ),
    )


def _calls_by_keda(setting: Setting) -> tuple[Attack, ...]:
    return (
        *tuple(
            Attack(
                f"a trigger of type {kind}",
                SCALED_OBJECT,
                scaled({"type": kind, "metadata": metadata}),
                says="of the types",
            )
            for kind, metadata in {
                "prometheus": {
                    "serverAddress": "http://prometheus.observability:9090",
                    "query": "up",
                    "threshold": "1",
                },
                "metrics-api": {
                    "url": "http://169.254.169.254/latest/meta-data",
                    "valueLocation": "x",
                    "targetValue": "1",
                },
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
        Attack(
            "a scaler of other kinds", HORIZONTAL_POD_AUTOSCALER, autoscaler(CPU, "ReplicaSet"), says="a Deployment"
        ),
        Attack(
            "an answer from another Service for a cold start",
            INTERCEPTOR_ROUTE,
            interceptor(
                setting.own_host, coldStart={"fallback": {"service": {"name": "grafana.observability", "port": 80}}}
            ),
            says="no coldStart",
        ),
        Attack(
            "a route to a Service of the platform",
            INTERCEPTOR_ROUTE,
            interceptor(setting.own_host, target={"service": "loki.observability.svc", "port": 3100}),
            says="without dots",
        ),
    )


def _hosts(setting: Setting) -> tuple[Attack, ...]:
    listed = setting.victim_hosts[0]
    parent = f"*.{listed.partition('.')[2]}"
    of_domain = (
        (
            f"shop.{setting.victim}.{setting.domain}",
            f"*.{setting.domain}",
            f"*.{NIP_IO if setting.domain.endswith(NIP_IO) else setting.domain.partition('.')[2]}",
            f"grafana.{setting.domain}",
            f"shop.{setting.attacker}.{setting.victim}.{setting.domain}",
        )
        if setting.domain
        else ()
    )
    return tuple(
        Attack(f"the host {host or 'of nobody'}", HTTP_ROUTE, route(*([host] if host else [])), says="hosts of its own")
        for host in (*of_domain, listed, parent, f"shop.{setting.attacker}.{ELSEWHERE}", "")
    ) + tuple(
        Attack(f"the host {host} by the interceptor", INTERCEPTOR_ROUTE, interceptor(host), says="hosts of its own")
        for host in (*of_domain[:1], listed)
    )


def _volumes(setting: Setting) -> tuple[Attack, ...]:
    return tuple(
        Attack(
            f"a volume of kind {next(iter(source))}",
            SPIN_APP,
            volume(setting, **source),
            says="is a secret, a configMap",
        )
        for source in (
            {"hostPath": {"path": "/"}},
            {"nfs": {"server": "10.0.0.1", "path": "/"}},
            {"cephfs": {"monitors": ["10.0.0.1"]}},
            {"csi": {"driver": "ebs.csi.aws.com"}},
            {"awsElasticBlockStore": {"volumeID": "vol-1"}},
            {"persistentVolumeClaim": {"claimName": "x"}},
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "16Ti"}}}}}},
            {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
        )
    ) + tuple(
        Attack(f"an emptyDir {name}", SPIN_APP, volume(setting, emptyDir=source), says="is a secret, a configMap")
        for name, source in (("without a size", {}), ("of 16 TiB", {"sizeLimit": "16Ti"}))
    )


def _native_code(setting: Setting) -> tuple[Attack, ...]:
    any_registry = (
        "" if setting.image_prefixes else "tenant_image_prefixes is empty, so images of any registry are allowed"
    )
    of_tenants = [prefix for prefix in setting.image_prefixes if "{tenant}" in prefix]
    begins = f"begins with {setting.prefix}/" if setting.image_prefixes else ""
    of_programs = f"of tenant {setting.attacker} must run a WASI program"
    return (
        Attack("an image by its tag", SPIN_APP, app(setting, image=f"{setting.prefix}/shop:v1"), says="by its digest"),
        Attack(
            "an image of another registry",
            SPIN_APP,
            app(setting, image=f"registry.{ELSEWHERE}/busybox{DIGEST}"),
            says=begins,
            not_tried=any_registry,
        ),
        Attack(
            "an image of a registry with a longer name",
            SPIN_APP,
            app(setting, image=f"{setting.prefix}-of-mine/x{DIGEST}"),
            says=begins,
            not_tried=any_registry,
        ),
        Attack(
            "an image below the victim's path",
            SPIN_APP,
            app(setting, image=f"{next(iter(of_tenants), '').replace('{tenant}', setting.victim)}/shop{DIGEST}"),
            says=begins,
            not_tried=""
            if of_tenants
            else "no entry of tenant_image_prefixes holds {tenant}, so tenants share the paths of their images",
        ),
        Attack("a pod", POD, {"spec": {"containers": [{"name": "c", "image": setting.image}]}}, RIGHTS),
        Attack("a pod's debugger", Kind("", "v1", "Pod", "pods/ephemeralcontainers"), {"spec": {}}, RIGHTS),
        Attack(
            "an ordinary Deployment",
            DEPLOYMENT,
            workload(setting, answers=True, pod={"runtimeClassName": None}),
            says=of_programs,
        ),
        Attack("an ordinary Job", JOB, workload(setting, pod={"runtimeClassName": None}), says=of_programs),
        Attack(
            "the Deployment of a function without the operator",
            DEPLOYMENT,
            workload(setting, answers=True, pod={"runtimeClassName": "wasmtime-spin-v2"}, command=["/"]),
            says=of_programs,
        ),
        Attack("a command", JOB, workload(setting, command=["/bin/sh", "-c", "id"]), says="have the command /"),
        Attack("the entry point of an image", JOB, workload(setting, command=None), says="have the command /"),
        Attack(
            "the file of a program for a function's shim",
            DEPLOYMENT,
            workload(setting, answers=True, pod={"runtimeClassName": "wasmtime-spin-v2"}),
            says=of_programs,
        ),
        Attack(
            "a probe that runs a command",
            DEPLOYMENT,
            workload(setting, answers=True, readinessProbe={"exec": {"command": ["id"]}}),
            says="no exec in probes",
        ),
        Attack(
            "a command before the end",
            DEPLOYMENT,
            workload(setting, answers=True, lifecycle={"preStop": {"exec": {"command": ["id"]}}}),
            says="no exec in probes",
        ),
        Attack(
            "a program by the tag of its image",
            JOB,
            workload(setting, image=f"{setting.prefix}/a:v1"),
            says="by its digest",
        ),
        Attack(
            "a disk of the host for a program",
            JOB,
            workload(setting, pod={"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            says="is a secret, a configMap",
        ),
    )


def _others(setting: Setting) -> tuple[Attack, ...]:
    return (
        Attack("a Secret in the victim's namespace", SECRET, secret(), RIGHTS, namespace=setting.victim),
        Attack("a function in the victim's namespace", SPIN_APP, app(setting), RIGHTS, namespace=setting.victim),
        Attack("a function in the namespace default", SPIN_APP, app(setting), RIGHTS, namespace="default"),
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
            "a Gateway",
            Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways"),
            {"spec": {"listeners": []}},
            RIGHTS,
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


def _reading(setting: Setting) -> tuple[Attack, ...]:
    kinds = (SECRET, POD, SPIN_APP, HTTP_ROUTE, Kind("", "v1", "Event", "events"))
    return (
        *tuple(
            Attack(f"to read the victim's {kind.plural}", kind, {}, RIGHTS, namespace=setting.victim, tried="list")
            for kind in kinds
        ),
        *tuple(
            Attack(f"to read all {kind.plural}", kind, {}, RIGHTS, namespace="*", tried="list")
            for kind in (*kinds, Kind("", "v1", "Namespace", "namespaces"))
        ),
        Attack("to read the system's Secrets", SECRET, {}, RIGHTS, namespace="kube-system", tried="list"),
    )
