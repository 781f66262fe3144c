# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Spin version each containerd-shim-spin release embeds, and which interfaces each Spin version gives to a
component.

Sources: the shims' versions from the table in spinkube-docs (content/en/docs/install/compatibility-matrices.md) and the
shim's README; the interfaces from the packages in `wit/` of spinframework/spin at the tags of those versions.
"""

from __future__ import annotations

DEFAULT_SHIM_VERSION = "0.25.1"
"""The version that the collection installs; assumed where no cluster can be asked."""

SPIN_OF_SHIM: dict[str, str] = {
    "0.25": "4.0.1",
    "0.24": "3.6.3",
    "0.23": "3.6.2",
    "0.22": "3.5.0",
    "0.21": "3.4.0",
    "0.20": "3.3.1",
    "0.19": "3.2.0",
    "0.18": "3.1.2",
    "0.17": "3.0.0",
    "0.16": "2.6.0",
    "0.15": "2.6.0",
    "0.14": "2.4.3",
    "0.13": "2.3.1",
    "0.12": "2.2.0",
}
"""Shim release (major.minor) to the Spin version inside it, newest first."""

TRIGGERS_OF_SHIM = frozenset({"http", "redis", "sqs", "mqtt", "command"})
"""Trigger types the shim can run (containerd-shim-spin v0.24.0, src/trigger.rs)."""

STATIC_RESPONSE_SINCE = "3.5.0"
"""First Spin version whose HTTP trigger may give a static response without a component."""

WASIP3_UNSTABLE = ("3.5.0", "4.0.0")
"""First Spin version with the executor `wasip3-unstable` of an HTTP trigger, and the first without it (crates/http,
`HttpExecutorType::Wasip3Unstable` in 3.5.0 and 3.6.3, not in 3.4.1 and 4.0.0)."""

_WASI_0_2 = ("cli", "clocks", "filesystem", "http", "io", "random", "sockets")
_WASI_0_3 = ("cli", "clocks", "filesystem", "http", "random", "sockets")  # async functions took the place of wasi:io


def _of_all(
    packages: tuple[str, ...], version: str, since: str, until: str | None = None
) -> dict[str, tuple[str, str | None]]:
    return {f"wasi:{package}/*@{version}": (since, until) for package in packages}


COMPATIBLE_WITHIN_MINOR = tuple(
    f"wasi:{package}/*@{version}"
    for packages, version in ((_WASI_0_2, "0.2"), (_WASI_0_3, "0.3"))
    for package in packages
)
"""Stable WASI 0.2.N and 0.3.N: a host with any release of a family serves all of it (Spin 4.1,
crates/http/src/trigger.rs, matches the prefix)."""

INTERFACES: dict[str, tuple[str, str | None]] = {
    # interface pattern: (first Spin version that has it, first version that has it no more)
    **_of_all(_WASI_0_2, "0.2.0-rc-2023-10-18", "2.0.0"),
    **_of_all(_WASI_0_2, "0.2.0-rc-2023-11-10", "2.1.0"),
    **_of_all(_WASI_0_2, "0.2", "2.2.0"),
    **_of_all(_WASI_0_3, "0.3.0-rc-2025-09-16", "3.5.0", "3.6.0"),
    **_of_all(_WASI_0_3, "0.3.0-rc-2026-01-06", "3.6.0", "4.0.0"),
    **_of_all(_WASI_0_3, "0.3.0-rc-2026-03-15", "4.0.0"),
    **_of_all(_WASI_0_3, "0.3", "4.1.0"),
    "wasi:keyvalue/*@0.2.0-draft2": ("3.0.0", None),
    "wasi:config/*@0.2.0-draft-2024-09-27": ("3.0.0", None),
    "wasi:otel/*@0.2.0-rc.2": ("3.6.2", None),
    "fermyon:spin/*": ("1.0.0", None),  # the interfaces of Spin 1, without a version
    "fermyon:spin/mqtt@2.0.0": ("2.4.3", None),
    "fermyon:spin/*@2.0.0": ("2.0.0", None),
    "spin:postgres/*@3.0.0": ("3.0.0", None),
    "spin:postgres/*@4.0.0": ("3.4.0", None),
    "spin:postgres/*@4.1.0": ("4.0.0", None),
    "spin:postgres/*@4.2.0": ("4.0.0", None),
    "spin:sqlite/*@3.0.0": ("3.3.0", None),
    "spin:sqlite/*@3.1.0": ("4.0.0", None),
    "spin:key-value/*@3.0.0": ("4.0.0", None),
    "spin:variables/*@3.0.0": ("4.0.0", None),
    "spin:redis/*@3.0.0": ("4.0.0", None),
    "spin:mqtt/*@3.0.0": ("4.0.0", None),
    "spin:mysql/*@3.0.0": ("4.0.1", None),
    # Types of triggers outside of Spin, which the shim brings along: sqs.wit of spin-trigger-sqs, spin-mqtt.wit of
    # spin-trigger-mqtt (v0.7.2 in shim 0.24). That the asynchronous ones (3.0.0) came with Spin 4 follows from async
    # functions, not from the shim's source.
    "fermyon:spin-sqs/*@2.0.0": ("2.0.0", None),
    "spin:sqs/*@3.0.0": ("4.0.0", None),
    "spin:mqtt-trigger/*": ("2.0.0", None),
    "spin:mqtt-trigger/*@3.0.0": ("4.0.0", None),
}
"""Interfaces of the host; the first pattern that fits decides, `*` stands for one interface name. 4.1.0 is Spin's main
branch at 94a8fc8."""

HOST_NAMESPACES = ("wasi:", "fermyon:", "spin:")
"""Whose interfaces a host may provide; an import of any other namespace must have been composed in."""

HANDLERS: dict[str, tuple[str, ...]] = {
    "http": ("wasi:http/incoming-handler", "wasi:http/handler", "fermyon:spin/inbound-http"),
    "redis": ("fermyon:spin/inbound-redis", "spin:redis/inbound-redis"),
}
"""What Spin calls in a component, by the type of its trigger: exactly one of these, in a version that it has (4.0.2,
`HandlerType::from_instance_pre` in crates/http/src/trigger.rs and crates/trigger-redis/src/lib.rs)."""

WASI_HTTP_0_3_HANDLER = "wasi:http/handler"
"""The handler that Spin 3.5 and 3.6 call by the executor `wasip3-unstable` only, as that executor calls no other
(3.6.3, crates/http/src/trigger.rs, `validate_executor`)."""

WAGI_EXPORT = "wasi:cli/run"
"""What Spin calls in a component that an HTTP trigger with the executor `wagi` names (Spin 4.0.2,
crates/trigger-http/src/wagi.rs)."""
