# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses at the desk what would crash in the pod, where the true reason shows only in the node's containerd log
(spinframework/spin-operator#202)."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from pathlib import Path

from ...errors import PlatformError
from ..manifest.model import Manifest
from .spin_versions import (
    COMPATIBLE_WITHIN_MINOR,
    HANDLER_EXPORTS,
    HOST_NAMESPACES,
    HTTP_HANDLER_EXPORTS,
    INTERFACES,
    SPIN_OF_SHIM,
    TRIGGERS_OF_SHIM,
)
from .webassembly import WebAssemblyBinary, read_binary

OLDEST_SPIN = "1.0.0"
_SHOWN_PROBLEMS = 4  # a component built for a newer Spin has dozens, which all say the same; the facts hold all


LATER = "+"
"""After a version in the annotation of an artifact: an interface is newer than that Spin, which is the newest one
known."""


@dataclasses.dataclass(frozen=True)
class Compatibility:
    """What `check` found in an application that it lets pass.

    Attributes:
        minimum_spin_version: the first Spin version that gives all interfaces in use, as in `4.0.0`; `4.1.0+` for one
            later than that. The artifact carries it for `check_pushed`.
        warnings: of what could not be checked.
    """

    minimum_spin_version: str
    warnings: tuple[str, ...] = ()


def spin_version_of_shim(shim_version: str) -> str:
    """The Spin version inside containerd-shim-spin `shim_version` (`0.25.1`, also with a leading `v`).

    Raises PlatformError for what is no version or older than the table. A shim newer than the table is taken for the
    newest one in it.
    """
    wanted = _shim_numbers(shim_version)
    known = {_numbers(shim): spin for shim, spin in SPIN_OF_SHIM.items()}
    if wanted > max(known):
        return known[max(known)]
    if wanted not in known:
        raise PlatformError(
            f"shim_version: containerd-shim-spin {shim_version} is too old.",
            next_step=f"Use one from 0.{min(known)[1]} on.",
        )
    return known[wanted]


def is_newer_than_known(shim_version: str) -> bool:
    """Whether the table lacks this shim; raises PlatformError where the text is no version."""
    return _shim_numbers(shim_version) > max(map(_numbers, SPIN_OF_SHIM))


def check(manifest: Manifest, sources: dict[str, Path], *, shim_version: str) -> Compatibility:
    """Refuse components and triggers that containerd-shim-spin `shim_version` cannot run.

    Of a shim newer than the table nothing is refused that a later Spin may have.

    Args:
        manifest: the application.
        sources: component id to its built and composed Wasm file.
        shim_version: of the nodes; the lowest one where they differ.

    Raises:
        PlatformError: names the first problems with both versions; its facts hold all.
    """
    spin = spin_version_of_shim(shim_version)
    known = ", ".join(sorted(TRIGGERS_OF_SHIM))
    foreign = [trigger for trigger in manifest.triggers if trigger.type not in TRIGGERS_OF_SHIM]
    problems = [
        f"trigger {trigger.id}: containerd-shim-spin has no trigger type {trigger.type!r}, only {known}"
        for trigger in foreign
    ]
    later: list[str] = []
    needed: list[str] = []
    for identifier, path in sources.items():
        binary = read_binary(path, key=f"component.{identifier}.source")
        if not binary.is_component:
            continue
        handles_http = any(
            trigger.component == identifier and trigger.type == "http" and not _is_wagi(trigger.settings)
            for trigger in manifest.triggers
        )
        if handles_http:
            problems += _missing_handler(identifier, binary)
        used = [("imports", name) for name in binary.imports if ":" in name]
        used += [("exports", name) for name in binary.exports if name.partition("@")[0] in HANDLER_EXPORTS]
        for direction, name in used:
            what = f"component {identifier} {direction} {name}"
            if not name.startswith(HOST_NAMESPACES):
                problems.append(f"{what}, which neither Spin nor one of its `dependencies` provides")
                continue
            since, until = _host_versions(name)
            needed.append(since or _NEWEST_SPIN + LATER)
            if since is None:
                later.append(f"{what}, which no Spin version known here has ({_newest_known(name)})")
            elif _numbers(spin) < _numbers(since):
                later.append(f"{what}, which Spin has from {since} on")
            elif until is not None and _numbers(spin) >= _numbers(until):
                problems.append(f"{what}, which Spin had from {since} to before {until}")
    minimum = max(needed, key=_order, default=OLDEST_SPIN)
    newer = is_newer_than_known(shim_version)
    refused = problems if newer else problems + later
    if refused:
        raise PlatformError(
            f"containerd-shim-spin {shim_version} (Spin {spin}{' or later' if newer else ''}) cannot run this "
            f"application: {_shortened(refused)}.",
            next_step=_advice(minimum, spin) if later and not newer else _WITH_ANOTHER_SDK,
            facts={"shim_version": shim_version, "spin_version": spin, "problems": refused},
        )
    warning = (
        f"containerd-shim-spin {shim_version} is newer than this collection knows, so it was not checked "
        f"whether it runs this: {_shortened(later)}."
    )
    return Compatibility(minimum, (warning,) if later else ())


def check_pushed(minimum_spin_version: str, *, shim_version: str) -> None:
    """Refuse an artifact that was pushed earlier, from what `check` had found in it; raises PlatformError."""
    spin = spin_version_of_shim(shim_version)
    # The annotation comes from a registry, so it may hold anything.
    if not re.fullmatch(r"\d+(\.\d+)*\+?", minimum_spin_version, re.ASCII) or is_newer_than_known(shim_version):
        return
    if _order(spin) < _order(minimum_spin_version):
        minimum = minimum_spin_version.removesuffix(LATER)
        has = (
            f"that came to Spin after {minimum}"
            if minimum_spin_version.endswith(LATER)
            else f"that Spin has from {minimum} on"
        )
        raise PlatformError(
            f"containerd-shim-spin {shim_version} (Spin {spin}) cannot run this application: its components use "
            f"interfaces {has}.",
            next_step=_advice(minimum_spin_version, spin),
            facts={"shim_version": shim_version, "spin_version": spin},
        )


def _is_wagi(settings: dict[str, object]) -> bool:
    executor = settings.get("executor")
    return isinstance(executor, dict) and executor.get("type") == "wagi"


def _missing_handler(identifier: str, binary: WebAssemblyBinary) -> list[str]:
    if any(name.startswith(HTTP_HANDLER_EXPORTS) for name in binary.exports):
        return []
    return [
        (
            f"component {identifier} has an http trigger but exports no HTTP handler (it exports "
            f"{', '.join(binary.exports) or 'nothing'})"
        )
    ]


def _host_versions(name: str) -> tuple[str | None, str | None]:
    """The first Spin version with the interface and the first without it; (None, None) for what is not Spin's or
    WASI's."""
    for pattern, versions in INTERFACES.items():
        if pattern in COMPATIBLE_WITHIN_MINOR:
            if re.fullmatch(re.escape(pattern).replace(r"\*", ".+") + r"\.\d+", name):
                return versions
        elif fnmatch.fnmatchcase(name, pattern) and ("@" in pattern or "@" not in name):
            return versions
    return None, None


def _newest_known(name: str) -> str:
    """Which version of the interface `name` the newest Spin has, in words."""
    interface, package = name.partition("@")[0], name.partition("/")[0]
    rows = [
        (pattern, since)
        for pattern, (since, until) in INTERFACES.items()
        if until is None and pattern.startswith(f"{package}/")
    ]
    rows = [row for row in rows if fnmatch.fnmatchcase(interface, row[0].partition("@")[0])]
    if not rows:
        return f"none has {package}"
    version, since = max(
        ((pattern.partition("@")[2], since) for pattern, since in rows), key=lambda row: (_numbers(row[1]), row[0])
    )
    return (
        f"the newest is {package}@{version} in Spin {since}"
        if version
        else f"the newest is {package} without a version"
    )


def _shim_numbers(shim_version: str) -> tuple[int, ...]:
    """Major and minor version."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(\.\d+)?([-+].*)?", shim_version)
    if match is None:
        raise PlatformError(f"shim_version: {shim_version!r} is not a version.", next_step="Write it as in `0.25.1`.")
    return (int(match[1]), int(match[2]))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _order(minimum_spin_version: str) -> tuple[tuple[int, ...], bool]:
    return _numbers(minimum_spin_version.removesuffix(LATER)), minimum_spin_version.endswith(LATER)


def _shortened(problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return "; ".join(problems[:_SHOWN_PROBLEMS]) + more


_NEWEST_SPIN = max((since for since, _until in INTERFACES.values()), key=_numbers)
_WITH_ANOTHER_SDK = "build the component with an SDK for the Spin version of the nodes."


def _advice(minimum: str, spin: str) -> str:
    """What to do where the nodes have Spin `spin`, and `minimum` is needed (as
    `Compatibility.minimum_spin_version`)."""
    older = "spin-sdk 3.4.1 with componentize-py 0.17.2 makes a WASI p2 component, for shims from 0.21 on"
    older += "; 4.0.0 with 0.23.0 one for shims from 0.25 on" if _numbers(spin) >= (4, 0, 0) else ""
    shim = next((shim for shim, has in reversed(SPIN_OF_SHIM.items()) if _order(has) >= _order(minimum)), None)
    if shim:
        return (
            f"Install containerd-shim-spin {shim} or later on the nodes, or build with an older SDK (Python: {older})."
        )
    newest = next(iter(SPIN_OF_SHIM))
    return (
        f"Build with an older SDK (Python: {older}). If the nodes have a containerd-shim-spin later than {newest}, the "
        "newest one that this collection knows, name it with `-e shim_version=VERSION`: interfaces that it may have "
        "are not refused."
    )
