# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses at the desk what would crash in the pod, where the true reason shows only in the node's containerd log (spinframework/spin-operator#202)."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

from ..errors import PlatformError
from ..manifest.model import Manifest
from .spin_versions import COMPATIBLE_WITHIN_MINOR, HOST_NAMESPACES, HTTP_HANDLER_EXPORTS, INTERFACES, SPIN_OF_SHIM, TRIGGERS_OF_SHIM
from .webassembly import WebAssemblyBinary, read_binary

OLDEST_SPIN = "1.0.0"
_SHOWN_FINDINGS = 4  # a component built for a newer Spin has dozens, which all say the same; the facts hold all


def spin_version_of_shim(shim_version: str) -> str:
    """The Spin version inside containerd-shim-spin `shim_version` (`0.25.1`, also with a leading `v`).

    Raises PlatformError for what is no version or older than the table. A shim newer than the table is taken for the newest one in it.
    """
    match = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?([-+].*)?", shim_version)
    if match is None:
        raise PlatformError(f"shim_version: {shim_version!r} is not a version.", next_step="write it as in `0.25.1`.")
    wanted = (int(match[1]), int(match[2]))
    known = {(int(major), int(minor)): spin for (major, minor), spin in ((key.split("."), value) for key, value in SPIN_OF_SHIM.items())}
    if wanted > max(known):
        return known[max(known)]
    if wanted not in known:
        raise PlatformError(f"shim_version: containerd-shim-spin {shim_version} is too old.", next_step=f"use one from 0.{min(known)[1]} on.")
    return known[wanted]


def check(manifest: Manifest, sources: dict[str, Path], *, shim_version: str) -> str:
    """Refuse components and triggers that containerd-shim-spin `shim_version` cannot run.

    Returns:
        The first Spin version that gives all interfaces in use; the artifact carries it for `check_pushed`.

    Args:
        manifest: the application.
        sources: component id to its built and composed Wasm file.
        shim_version: of the nodes; the lowest one where they differ.

    Raises:
        PlatformError: names the first findings with both versions; its facts hold all.
    """
    spin = spin_version_of_shim(shim_version)
    known = ", ".join(sorted(TRIGGERS_OF_SHIM))
    foreign = [trigger for trigger in manifest.triggers if trigger.type not in TRIGGERS_OF_SHIM]
    findings = [f"trigger {trigger.id}: containerd-shim-spin has no trigger type {trigger.type!r}, only {known}" for trigger in foreign]
    needed: list[tuple[int, ...]] = []
    oldest = OLDEST_SPIN
    for identifier, path in sources.items():
        binary = read_binary(path, key=f"component.{identifier}.source")
        handles_http = any(trigger.component == identifier and trigger.type == "http" and not _is_wagi(trigger.settings) for trigger in manifest.triggers)
        if handles_http and binary.is_component:
            findings += _missing_handler(identifier, binary)
        for direction, names in (("imports", binary.imports), ("exports", binary.exports)):
            for name in names if binary.is_component else ():
                since, until = _host_versions(name)
                if since is None or (direction == "exports" and not name.startswith(HTTP_HANDLER_EXPORTS)):
                    if direction == "imports" and ":" in name and not name.startswith(HOST_NAMESPACES):
                        findings.append(f"component {identifier} imports {name}, which neither Spin nor one of its `dependencies` provides")
                    continue
                oldest = max(oldest, since, key=_numbers)
                if _numbers(spin) < _numbers(since):
                    findings.append(f"component {identifier} {direction} {name}, which Spin has from {since} on")
                    needed.append(_numbers(since))
                elif until is not None and _numbers(spin) >= _numbers(until):
                    findings.append(f"component {identifier} {direction} {name}, which Spin had from {since} to before {until}")
    if findings:
        more = f"; and {len(findings) - _SHOWN_FINDINGS} more" if len(findings) > _SHOWN_FINDINGS else ""
        raise PlatformError(
            f"containerd-shim-spin {shim_version} (Spin {spin}) cannot run this application: {'; '.join(findings[:_SHOWN_FINDINGS])}{more}.",
            next_step=_advice(needed),
            facts={"shim_version": shim_version, "spin_version": spin, "findings": findings},
        )
    return oldest


def check_pushed(minimum_spin_version: str, *, shim_version: str) -> None:
    """Refuse an artifact that was pushed earlier, from what `check` had found in it; raises PlatformError."""
    spin = spin_version_of_shim(shim_version)
    # The annotation comes from a registry, so it may hold anything.
    if re.fullmatch(r"\d+(\.\d+)*", minimum_spin_version, re.ASCII) and _numbers(spin) < _numbers(minimum_spin_version):
        raise PlatformError(
            f"containerd-shim-spin {shim_version} (Spin {spin}) cannot run this application:"
            f" its components use interfaces that Spin has from {minimum_spin_version} on.",
            next_step=_advice([_numbers(minimum_spin_version)]),
            facts={"shim_version": shim_version, "spin_version": spin},
        )


def _is_wagi(settings: dict[str, object]) -> bool:
    executor = settings.get("executor")
    return isinstance(executor, dict) and executor.get("type") == "wagi"


def _missing_handler(identifier: str, binary: WebAssemblyBinary) -> list[str]:
    if any(name.startswith(HTTP_HANDLER_EXPORTS) for name in binary.exports):
        return []
    return [f"component {identifier} has an http trigger but exports no HTTP handler (it exports {', '.join(binary.exports) or 'nothing'})"]


def _host_versions(name: str) -> tuple[str | None, str | None]:
    """The first Spin version with the interface and the first without it; (None, None) for what is not Spin's or WASI's."""
    for pattern, versions in INTERFACES.items():
        if pattern in COMPATIBLE_WITHIN_MINOR:
            if re.fullmatch(re.escape(pattern).replace(r"\*", ".+") + r"\.\d+", name):
                return versions
        elif fnmatch.fnmatchcase(name, pattern) and ("@" in pattern or "@" not in name):
            return versions
    return None, None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _advice(needed: list[tuple[int, ...]]) -> str:
    if needed:
        for shim, spin in reversed(SPIN_OF_SHIM.items()):
            if _numbers(spin) >= max(needed):
                return (
                    f"install containerd-shim-spin {shim} or later on the nodes, or build with an older SDK "
                    "(Python: spin-sdk 3.4.1 with componentize-py 0.17.2 makes a WASI p2 component, for shims from 0.21 on)."
                )
    return "build the component with an SDK for the Spin version of the nodes."
