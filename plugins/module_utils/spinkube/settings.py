# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a function on a cluster, checked."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import PlatformError
from ..function.capacity import replicas_needed
from ..function.probe import trusted
from ..function.time_limit import DEFAULT_TIMEOUT, checked_seconds

DEFAULT_EXECUTOR = "containerd-shim-spin"
DEFAULT_GATEWAY = ("wasmfaas-system", "wasmfaas")
INTERCEPTOR_SERVICE = ("keda", "keda-add-ons-http-interceptor-proxy", 8080)
EXTERNAL_SCALER = "keda-add-ons-http-external-scaler.keda:9090"


@dataclasses.dataclass(frozen=True)
class Autoscale:
    """Between how many replicas a function scales, and by what.

    Exactly one of the three targets is set. `target_concurrency` and `target_requests_per_second` need KEDA with its
    HTTP add-on and may go down to 0 replicas; `target_cpu_percent` needs only Kubernetes and keeps at least 1
    (`scaling_warnings` says why it hardly works).
    """

    min: int
    max: int
    target_concurrency: int | None = None  # requests that one replica works on at once
    target_requests_per_second: int | None = None  # for one replica
    target_cpu_percent: int | None = None  # of the CPU request
    cooldown_seconds: int = 300
    cold_start_timeout: int | None = None  # seconds; None for the limit of the platform's interceptor

    @property
    def by_requests(self) -> bool:
        return self.target_cpu_percent is None


@dataclasses.dataclass(frozen=True)
class ClusterSettings:
    """See the options of the module spin_function, which have the same names."""

    replicas: int | None = None
    autoscale: Autoscale | None = None
    hostname: str | None = None
    domain: str | None = None
    gateway_namespace: str = DEFAULT_GATEWAY[0]
    gateway_name: str = DEFAULT_GATEWAY[1]
    tls: bool = False
    executor: str = DEFAULT_EXECUTOR
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    resources: dict[str, t.Any] | None = None
    invocation_limits: dict[str, str] | None = None
    runtime_config: dict[str, t.Any] | None = None
    key_value_store: str = "pod"
    components: tuple[str, ...] = ()
    probe_path: str = ""
    probe_address: str | None = None
    probe_ca_file: str | None = None
    timeout: int = DEFAULT_TIMEOUT
    shim_version: str | None = None
    wait: bool = True
    wait_timeout: float = 120.0
    warm: str = "none"
    warm_is_given: bool = False


def autoscale(
    options: dict[str, t.Any] | None,
    load: dict[str, t.Any] | None,
    replicas: int | None,
    resources: dict[str, t.Any] | None,
) -> Autoscale | None:
    """Check the scaling options, and fill in from `load` what `autoscale` leaves open.

    From a load of λ requests per second, S seconds each, c at once in a replica: N = ⌈λ·S/c⌉ replicas carry it, so
    scaling starts with room for twice the load (max = 2·N) and a target of c requests for a replica. `min` is 1, since
    with 0 somebody waits for a cold start.

    Raises:
        PlatformError: options contradict each other or are out of range.
    """
    if options is None and load is None:
        return None
    if replicas is not None:
        raise PlatformError(
            "replicas: a fixed number contradicts `autoscale` and `load`.", next_step="Keep one of them."
        )
    values = {key: value for key, value in (options or {}).items() if value is not None}
    targets = [
        key for key in ("target_concurrency", "target_requests_per_second", "target_cpu_percent") if key in values
    ]
    if load is not None:
        needed = replicas_needed(load["requests_per_second"], load["service_time_seconds"], load["concurrency"])
        values.setdefault("max", max(2 * needed, values.get("min", 1), 1))
        if not targets:
            values["target_concurrency"] = max(1, int(load["concurrency"]))
            targets = ["target_concurrency"]
    if not targets:
        values["target_concurrency"] = 10
    if len(targets) > 1:
        raise PlatformError(f"autoscale: {' and '.join(targets)} contradict each other.", next_step="Keep one of them.")
    scale = Autoscale(**{"min": 1, "max": max(10, values.get("min", 1)), **values})
    if scale.min < 0 or scale.max < max(1, scale.min):
        raise PlatformError(
            f"autoscale: min {scale.min} and max {scale.max} are no range.",
            next_step="Give 0 <= min <= max and max >= 1.",
        )
    if any(values[target] < 1 for target in targets):
        raise PlatformError(
            f"autoscale.{targets[0]}: must be 1 or more.", next_step="Give the load that one replica is to carry."
        )
    if scale.cold_start_timeout is not None:
        checked_seconds("autoscale.cold_start_timeout", scale.cold_start_timeout)
    if not scale.by_requests:
        _check_cpu_target(scale, resources)
    return scale


def _check_cpu_target(scale: Autoscale, resources: dict[str, t.Any] | None) -> None:
    if scale.cold_start_timeout is not None:
        raise PlatformError(
            "autoscale.cold_start_timeout: has no effect with target_cpu_percent, since no request waits for a replica "
            "there.",
            next_step="Leave it out, or use target_concurrency.",
        )
    if scale.min < 1:
        raise PlatformError(
            "autoscale: a CPU target cannot start from 0 replicas, since nothing measures a pod that is not there.",
            next_step="Use min: 1, or target_concurrency.",
        )
    if not ((resources or {}).get("requests") or {}).get("cpu"):
        raise PlatformError(
            "autoscale.target_cpu_percent: needs `cpu` (or `resources.requests.cpu`), since it is a percentage of it.",
            next_step="Add `-e cpu=100m`.",
        )


def scaling_warnings(scale: Autoscale | None) -> list[str]:
    """What one should know of a way to scale before one relies on it.

    The processor time of a function's pod was 0 on cgroup v1 (seen with containerd-shim-spin 0.24.0 on containerd 2.2.9
    and kubelet 1.34.1). On v2 containerd-shim 0.8.0 (src/cgroup.rs) puts microseconds into a field of nanoseconds; that
    was not measured.
    """
    if scale is None or scale.by_requests:
        return []
    stays = "1 replica" if scale.min == 1 else f"{scale.min} replicas"
    return [
        (
            "autoscale.target_cpu_percent: Kubernetes sees no processor time of a function's pod on nodes with cgroup "
            f"v1, and probably a thousandth of it on others, so the function is likely to stay at {stays}. Next: Scale "
            f"by requests, as in `autoscale: {{min: {scale.min}, max: {scale.max}, target_concurrency: 10}}`, which "
            "needs KEDA, or use `replicas`."
        )
    ]


def resources(given: dict[str, t.Any] | None, memory: str | None, cpu: str | None) -> dict[str, t.Any] | None:
    """The pods' resources, with `memory` and `cpu` filled in.

    Memory gets the same request and limit, so that a pod cannot take more of a node than was counted; the shim's own
    memory is counted by the RuntimeClass. The processor is only requested: a function that needs more uses what is
    idle.

    Raises:
        PlatformError: two options set the same value.
    """
    short = (("requests", "memory", memory), ("limits", "memory", memory), ("requests", "cpu", cpu))
    made: dict[str, t.Any] = {kind: dict(values or {}) for kind, values in (given or {}).items()}
    for kind, name, value in short:
        if value is None:
            continue
        if name in made.get(kind, {}):
            raise PlatformError(f"{name}: contradicts `resources.{kind}.{name}`.", next_step="Keep one of them.")
        made.setdefault(kind, {})[name] = value
    return made or None


def warm_mode(given: str | None, scale: Autoscale | None, *, wait: bool) -> str:
    """Which nodes start the function once before requests need them there, `all`, `running` or `none`; by default all
    where it sleeps, since each request that wakes it may come to another node.

    Raises:
        PlatformError: `given` needs what is switched off.
    """
    if given is None:
        return "all" if scale is not None and scale.min == 0 and wait else "none"
    if given != "none" and not wait:
        raise PlatformError(
            "warm: comes after the function was seen to run, which `wait: false` does not wait for.",
            next_step="Leave one of them out.",
        )
    return given


def gateway_of(given: str) -> tuple[str, str]:
    """Namespace and name of a Gateway that is given as `namespace/name`; raises PlatformError."""
    namespace, _separator, name = given.partition("/")
    if not namespace or not name:
        raise PlatformError(
            f"gateway: {given!r} is not of the form namespace/name.",
            next_step="Write it as in wasmfaas-system/wasmfaas.",
        )
    return namespace, name


def cluster_settings(parameters: dict[str, t.Any]) -> ClusterSettings:
    """Check the parameters of spin_function that only apply to a cluster; raises PlatformError."""
    if parameters["replicas"] is not None and parameters["replicas"] < 1:
        raise PlatformError(
            "replicas: must be 1 or more.", next_step="Use `autoscale: {min: 0}` to let the function sleep."
        )
    namespace, gateway = gateway_of(parameters["gateway"])
    if parameters["probe_ca_file"]:
        trusted(parameters["probe_ca_file"])  # an error now is better than one once the function is up
    needs = resources(parameters["resources"], parameters["memory"], parameters["cpu"])
    scale = autoscale(parameters["autoscale"], parameters["load"], parameters["replicas"], needs)
    return ClusterSettings(
        replicas=parameters["replicas"],
        autoscale=scale,
        warm=warm_mode(parameters["warm"], scale, wait=parameters["wait"]),
        warm_is_given=parameters["warm"] is not None,
        resources=needs,
        tls=bool(parameters["tls"]),
        timeout=checked_seconds("timeout", parameters["timeout"]),
        gateway_namespace=namespace,
        gateway_name=gateway,
        image_pull_secrets=tuple(parameters["image_pull_secrets"]),
        components=tuple(parameters["components"]),
        key_value_store=parameters["key_value_store"] or "pod",
        **{
            name: parameters[name]
            for name in (
                "hostname", "domain", "executor", "service_account", "invocation_limits", "runtime_config",
                "probe_path", "probe_address", "probe_ca_file", "shim_version", "wait", "wait_timeout",
            )
        },
    )  # fmt: skip
