# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a program on a cluster, checked."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..errors import PlatformError
from ..function.probe import trusted
from ..function.time_limit import checked_seconds
from ..spinkube.settings import ClusterSettings, gateway_of, resources
from .model import Kind

RUNTIME_CLASS = "wasmtime-wasi"
DEFAULT_PORT = 80
"""Where functions listen too, so that network policies for functions let requests to programs through."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OF_THE_SHIM = ("WASMTIME_HTTP_PROXY_SOCKET_ADDR", "WASMTIME_HTTP_BACKLOG")


@dataclasses.dataclass(frozen=True)
class ProgramSettings:
    """See the options of the module wasi_program, which have the same names.

    Attributes:
        run: `once` or `always`; None for what the kind is made for.
        port: None where the program listens at none, or at the default of its kind.
        address: where the URL and its probe come from, as for functions.
    """

    address: ClusterSettings
    run: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    env_secrets: tuple[str, ...] = ()
    port: int | None = None
    replicas: int | None = None
    retries: int = 2
    runtime_class: str = RUNTIME_CLASS

    def runs_once(self, kind: Kind) -> bool:
        """Whether the program is a Job, and not a Deployment."""
        return self.run == "once" or (self.run is None and kind == "command" and self.port is None)

    def listens_at(self, kind: Kind) -> int | None:
        """The port at which the program answers HTTP requests; None where it answers none."""
        return self.port or (DEFAULT_PORT if kind == "server" else None)


def program_settings(parameters: dict[str, t.Any]) -> ProgramSettings:
    """Check the parameters of wasi_program; raises PlatformError."""
    namespace, gateway = gateway_of(parameters["gateway"])
    if parameters["probe_ca_file"]:
        trusted(parameters["probe_ca_file"])
    for name, least in (("port", 1), ("replicas", 1), ("retries", 0)):
        if parameters[name] is not None and parameters[name] < least:
            raise PlatformError(f"{name}: must be {least} or more.", next_step="Correct it, or leave it out.")
    if parameters["run"] == "once":
        for name in ("port", "replicas"):
            if parameters[name] is not None:
                raise PlatformError(
                    f"{name}: contradicts `run: once`, since such a program ends.", next_step="Leave one of them out."
                )
    address = ClusterSettings(
        gateway_namespace=namespace,
        gateway_name=gateway,
        tls=bool(parameters["tls"]),
        timeout=checked_seconds("timeout", parameters["timeout"]),
        resources=resources(parameters["resources"], parameters["memory"], parameters["cpu"]),
        image_pull_secrets=tuple(parameters["image_pull_secrets"]),
        **{
            name: parameters[name]
            for name in (
                "hostname", "domain", "service_account", "probe_path", "probe_address", "probe_ca_file", "wait",
                "wait_timeout",
            )
        },
    )  # fmt: skip
    return ProgramSettings(
        address,
        run=parameters["run"],
        args=tuple(parameters["args"]),
        env=environment(parameters["env"]),
        env_secrets=tuple(parameters["env_secrets"]),
        port=parameters["port"],
        replicas=parameters["replicas"],
        retries=parameters["retries"],
        runtime_class=parameters["runtime_class"],
    )


def check_kind(settings: ProgramSettings, kind: Kind) -> None:
    """Refuse options that have no meaning for a program of this kind; raises PlatformError."""
    check_end(settings.run, kind)
    if kind == "command" and settings.runs_once(kind) and settings.replicas is not None:
        raise PlatformError(
            "replicas: the program is a command, which runs once.",
            next_step="Leave it out, or keep the program running with `-e run=always`.",
        )
    if settings.listens_at(kind) is None:
        for name in ("hostname", "domain", "probe_path"):
            if getattr(settings.address, name):
                raise PlatformError(
                    f"{name}: has no effect, since the program is a command without a port.",
                    next_step="Leave it out, or name the port at which it answers HTTP with `-e program_port=PORT`.",
                )


def check_end(run: str | None, kind: Kind) -> None:
    """Refuse `run: once` for what never ends; raises PlatformError."""
    if kind == "server" and run == "once":
        raise PlatformError(
            "run: the program is a server of wasi:http, which never ends.", next_step="Leave `run` out."
        )


def environment(given: dict[str, t.Any] | None) -> dict[str, str]:
    """The environment as texts, sorted by name; raises PlatformError."""
    made = {}
    for name, value in sorted((given or {}).items()):
        if not _VARIABLE.fullmatch(str(name)):
            raise PlatformError(
                f"env: {name!r} is no name of an environment variable.",
                next_step="Use letters, digits and _, with a letter or _ first.",
            )
        if name in _OF_THE_SHIM:
            raise PlatformError(
                f"env: {name} is set from `port`, or not at all.", next_step="Use `-e program_port=PORT`."
            )
        if isinstance(value, bool):
            made[name] = "true" if value else "false"
        elif isinstance(value, (str, int, float)):
            made[name] = str(value)
        else:
            raise PlatformError(
                f"env: {name} must be text, and is a {type(value).__name__}.",
                next_step="Give it as a string; as JSON text if it has structure.",
            )
    return made
