# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server takes in the namespaces of tenants: a ValidatingAdmissionPolicy for each kind that a tenant may
write. The quota bounds their number, these their content. tests/isolation tries each rule with a tenant's kubeconfig.

How many requests of tenants it works on at once is bounded by a priority level of their own.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..function.reserved_names import RESERVED_FUNCTIONS
from ..spinkube.settings import EXTERNAL_SCALER, INTERCEPTOR_SERVICE

Object = dict[str, t.Any]

PREFIX = "wasmfaas-tenants-"
PRIORITY_LEVEL = "wasmfaas-tenants"
LABELS = {"app.kubernetes.io/managed-by": "wasmfaas"}
API_VERSION = "admissionregistration.k8s.io/v1"
SECRET_TYPES = ("Opaque", "kubernetes.io/dockerconfigjson")
OPERATOR = "system:serviceaccount:spin-operator:"
"""How the users of the operator's namespace begin; it makes the Deployments of functions."""
AUTHORITIES = "spin-ca"
"""The Secret, of over 200 KB, that the operator writes with the right of the tenant's quota (spin-operator v0.6.1:
internal/controller/spinapp_controller.go)."""
MOST_HOSTS = MOST_RULES = 16
MOST_MATCHES = 8


@dataclasses.dataclass(frozen=True)
class Limits:
    """What differs between platforms.

    Attributes:
        image_prefixes: an image begins with one of these and a slash; in them `{tenant}` stands for the namespace. Any
            image where there is none.
        runtime_class: the RuntimeClass of Spin functions. The operator may name others that begin with `wasmtime-`,
            which an executor has until it follows a change of this one.
        program_runtime_class: the RuntimeClass of programs, the only one that a tenant's own workloads have.
        secret_bytes: most bytes of the values of a Secret, and of a SpinApp's variables.
        empty_dir_size: most that an emptyDir may ask for, as a quantity of Kubernetes.
    """

    image_prefixes: tuple[str, ...]
    runtime_class: str
    program_runtime_class: str
    secret_bytes: int
    empty_dir_size: str


@dataclasses.dataclass(frozen=True)
class _Policy:
    """`resources`: (API group, plural); `validations`: (expression of CEL, message, in which `{tenant}` stands for the
    namespace)."""

    name: str
    resources: tuple[tuple[str, str], ...]
    validations: tuple[tuple[str, str], ...]
    variables: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    conditions: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def policies(limits: Limits) -> list[Object]:
    """The policies and their bindings to all namespaces with the label of a tenant, and the tenants' priority level."""
    wanted = (_secrets(limits), _spin_apps(limits), _scalers(), _routes(), _workloads(limits), _services())
    return [_priority_level(), *(item for policy in wanted for item in (_object(policy), _binding(policy)))]


def _priority_level() -> Object:
    """The share of the API server that all tenants have together; their requests wait in turns for each other alone.

    Without it they would share `workload-low` with KEDA, the operator and every other controller (Kubernetes v1.34.1:
    pkg/apis/flowcontrol/bootstrap/default.go, whose shares add up to 245, and whose queues these are). The FlowSchema
    of each tenant is in roles/tenant/templates/objects.yml.j2.
    """
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": PRIORITY_LEVEL, "labels": LABELS},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 20,
                "borrowingLimitPercent": 0,
                "lendablePercent": 50,
                "limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 128, "handSize": 6, "queueLengthLimit": 50},
                },
            },
        },
    }


# They may run a database beside the functions, with its Secrets, and k3s' Helm controller may do so for them.
_NOT_BY_ADMINISTRATORS = {
    "not-by-administrators": "!('system:masters' in request.userInfo.groups) && "
    "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"
}


def _secrets(limits: Limits) -> _Policy:
    """CEL counts the characters of a value as base64."""
    return _Policy(
        "secrets",
        (("", "secrets"),),
        (
            (
                f"object.type in {list(SECRET_TYPES)}",
                (
                    f"a Secret of a tenant has the type {' or '.join(SECRET_TYPES)}: others hold accounts' tokens, or "
                    "are of no use to functions"
                ),
            ),
            (
                (
                    f"object.metadata.name == '{AUTHORITIES}' || !has(object.data) || "
                    f"object.data.map(key, size(object.data[key])).sum() * 3 / 4 <= {limits.secret_bytes}"
                ),
                f"a Secret of a tenant holds at most {limits.secret_bytes} bytes",
            ),
        ),
        conditions=_NOT_BY_ADMINISTRATORS,
    )


def _spin_apps(limits: Limits) -> _Policy:
    return _Policy(
        "spinapps",
        (("core.spinkube.dev", "spinapps"),),
        (
            (_image("object.spec.image", limits), _image_message(limits)),
            _volumes("object.spec.?volumes", limits),
            # One that there is already keeps its name.
            (
                f"request.operation != 'CREATE' || !(object.metadata.name in {sorted(RESERVED_FUNCTIONS)})",
                (
                    f"a function of a tenant is not called {', '.join(sorted(RESERVED_FUNCTIONS))}: users may take its "
                    "host for one of the platform"
                ),
            ),
            (
                (
                    "object.spec.?variables.orValue([]).map(entry, size(entry.?value.orValue(''))).sum() <= "
                    f"{limits.secret_bytes}"
                ),
                f"the values of the variables have at most {limits.secret_bytes} bytes together",
            ),
        ),
    )


# KEDA makes autoscalers by external metrics of ScaledObjects, and sets its finalizers on what it handles.
_NOT_BY_KEDA = {
    "not-by-keda": f"!request.userInfo.username.startsWith('system:serviceaccount:{INTERCEPTOR_SERVICE[0]}:')"
}


def _scalers() -> _Policy:
    """KEDA's operator calls what a trigger names with its own rights and from its own network (KEDA v2.20.2:
    pkg/scalers), so only the one that `spin_function` makes is left."""
    ours = f"trigger.metadata.?scalerAddress.orValue('') == '{EXTERNAL_SCALER}'"
    keys = "trigger.metadata.all(key, key in ['scalerAddress', 'interceptorRoute'])"
    return _Policy(
        "scalers",
        (("keda.sh", "scaledobjects"), ("autoscaling", "horizontalpodautoscalers")),
        (
            (
                (
                    "object.spec.scaleTargetRef.kind == 'Deployment' && "
                    "object.spec.scaleTargetRef.?apiVersion.orValue('apps/v1') == 'apps/v1'"
                ),
                "a scaler of a tenant scales a Deployment",
            ),
            (
                "object.spec.?metrics.orValue([]).all(metric, metric.type in ['Resource', 'ContainerResource'])",
                "a HorizontalPodAutoscaler of a tenant scales by cpu or memory",
            ),
            (
                (
                    "object.spec.?triggers.orValue([]).all(trigger, !has(trigger.authenticationRef) && "
                    f"(trigger.type in ['cpu', 'memory'] || trigger.type == 'external-push' && {keys} && {ours}))"
                ),
                (
                    "a ScaledObject of a tenant has triggers of the types cpu, memory and external-push, this one "
                    f"with the scaler {EXTERNAL_SCALER}: others call addresses with the rights of KEDA"
                ),
            ),
            ("!has(object.spec.advanced)", "a ScaledObject of a tenant has no `advanced` settings"),
        ),
        conditions=_NOT_BY_KEDA,
    )


def _routes() -> _Policy:
    rules = "object.spec.?rules.orValue([])"
    return _Policy(
        "routes",
        (("gateway.networking.k8s.io", "httproutes"), ("http.keda.sh", "interceptorroutes")),
        (
            (
                (
                    f"size(object.spec.?hostnames.orValue([])) <= {MOST_HOSTS} && size({rules}) <= {MOST_RULES} && "
                    f"{rules}.all(rule, size(rule.?matches.orValue([])) <= {MOST_MATCHES} && "
                    f"size(rule.?hosts.orValue([])) <= {MOST_HOSTS} && size(rule.?paths.orValue([])) <= {MOST_MATCHES})"
                ),
                (
                    f"a route of a tenant has at most {MOST_HOSTS} hosts and {MOST_RULES} rules with "
                    f"{MOST_MATCHES} matches each, since all share one proxy"
                ),
            ),
            (
                f"{rules}.all(rule, rule.?filters.orValue([]).all(filter, filter.type != 'ExtensionRef'))",
                "a route of a tenant refers to no extension",
            ),
            (
                "!has(object.spec.coldStart) && !has(object.spec.staticRoutes)",
                (
                    "an InterceptorRoute of a tenant has no coldStart and no staticRoutes: they reach names outside of "
                    "its namespace"
                ),
            ),
            (
                (
                    "object.kind != 'InterceptorRoute' || "
                    "object.spec.target.service.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')"
                ),
                "an InterceptorRoute of a tenant leads to a Service of its namespace, named without dots",
            ),
        ),
        conditions=_NOT_BY_KEDA,
    )


def _workloads(limits: Limits) -> _Policy:
    """The command of a function is `/` (spin-operator v0.6.1: internal/controller/spinapp_controller.go). A shim starts
    a container without Wasm layers natively if its command, else its image's entry point, is an ELF file or a script
    (runwasi containerd-shim-wasm/v1.0.0: crates/containerd-shim-wasm/src/sys/unix/container/executor.rs,
    `is_linux_container`). `/` is a directory, so a function's image never runs so, whatever it holds. A program's
    command names its file, so only its quota and network policies hold against an ordinary image."""
    function = f"variables.runtimeClass == '{limits.runtime_class}'"
    probes = "[container.?livenessProbe, container.?readinessProbe, container.?startupProbe]"
    return _Policy(
        "workloads",
        (("apps", "deployments"), ("batch", "jobs")),
        (
            (
                (
                    f"request.userInfo.username.startsWith('{OPERATOR}') ? "
                    f"({function} || variables.runtimeClass.startsWith('wasmtime-')) : "
                    f"variables.runtimeClass == '{limits.program_runtime_class}'"
                ),
                (
                    "a Deployment or Job of tenant {tenant} must run a WASI program, with runtimeClassName "
                    f"{limits.program_runtime_class}; those of functions are made by the operator"
                ),
            ),
            (f"variables.containers.all(c, {_image('c.image', limits)})", _image_message(limits)),
            (
                (
                    "variables.containers.all(container, has(container.command) && size(container.command) == 1 && "
                    f"(container.command[0] == '/' || !({function}) && "
                    "container.command[0].matches('^/[^/]+[.]wasm$')) && "
                    f"{probes}.all(probe, !probe.hasValue() || !has(probe.value().exec)) && "
                    "!container.?lifecycle.?postStart.?exec.hasValue() && "
                    "!container.?lifecycle.?preStop.?exec.hasValue())"
                ),
                (
                    "containers of a tenant have the command /, or /NAME.wasm of a program, and no exec in probes or "
                    "lifecycle: another could run without Wasm"
                ),
            ),
            _volumes("variables.pod.?volumes", limits),
        ),
        variables={
            "pod": "object.spec.template.spec",
            "runtimeClass": "object.spec.template.spec.?runtimeClassName.orValue('')",
            "containers": "object.spec.template.spec.containers + "
            "object.spec.template.spec.?initContainers.orValue([])",
        },
        conditions=_NOT_BY_ADMINISTRATORS,
    )


def _services() -> _Policy:
    return _Policy(
        "services",
        (("", "services"),),
        (
            (
                (
                    "object.spec.?type.orValue('ClusterIP') == 'ClusterIP' && "
                    "size(object.spec.?externalIPs.orValue([])) == 0"
                ),
                "a Service of tenant {tenant} must be of type ClusterIP without externalIPs",
            ),
        ),
        conditions=_NOT_BY_ADMINISTRATORS,
    )


def _image(image: str, limits: Limits) -> str:
    by_digest = f"{image}.matches('@sha256:[a-f0-9]{{64}}$')"
    prefixes = [f"{prefix}/".replace("{tenant}", "' + request.namespace + '") for prefix in limits.image_prefixes]
    begins = " || ".join(f"{image}.startsWith('{prefix}')" for prefix in prefixes)
    return f"{by_digest} && ({begins})" if begins else by_digest


def _image_message(limits: Limits) -> str:
    begins = f", and begins with {'/ or '.join(limits.image_prefixes)}/" if limits.image_prefixes else ""
    return f"an image of a tenant is named by its digest, as in shop@sha256:…{begins}"


def _volumes(volumes: str, limits: Limits) -> tuple[str, str]:
    size = "quantity(string(volume.emptyDir.sizeLimit))"
    return (
        (
            f"{volumes}.orValue([]).all(volume, volume.all(key, key in ['name', 'secret', 'configMap', 'emptyDir']) && "
            "(!has(volume.emptyDir) || has(volume.emptyDir.sizeLimit) && "
            f"{size}.compareTo(quantity('{limits.empty_dir_size}')) <= 0))"
        ),
        (
            "a volume of a tenant is a secret, a configMap, or an emptyDir with a sizeLimit of at most "
            f"{limits.empty_dir_size}"
        ),
    )


def _said(message: str) -> dict[str, str]:
    """A message, as an expression of CEL where it names the tenant."""
    if "{tenant}" not in message:
        return {"message": message}
    parts = [json.dumps(part, ensure_ascii=False) for part in message.split("{tenant}")]
    return {"messageExpression": " + request.namespace + ".join(parts)}


# What was there before the policy can be deleted: its finalizers are taken away by updates.
_NOT_ENDING = {"not-being-deleted": "!has(object.metadata.deletionTimestamp)"}


def _object(policy: _Policy) -> Object:
    rules = [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
        for group, resource in policy.resources
    ]
    spec: Object = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [
            {"name": name, "expression": text} for name, text in {**_NOT_ENDING, **policy.conditions}.items()
        ],
        "variables": [{"name": name, "expression": text} for name, text in policy.variables.items()],
        "validations": [
            {"expression": expression, "reason": "Invalid", **_said(message)}
            for expression, message in policy.validations
        ],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": PREFIX + policy.name, "labels": LABELS},
        "spec": {key: value for key, value in spec.items() if value},
    }


def _binding(policy: _Policy) -> Object:
    selector = {"matchExpressions": [{"key": "wasmfaas.dev/tenant", "operator": "Exists"}]}
    return {
        "apiVersion": API_VERSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": PREFIX + policy.name, "labels": LABELS},
        "spec": {
            "policyName": PREFIX + policy.name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": selector},
        },
    }
