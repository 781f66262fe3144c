# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuses at the desk what would crash in the pod, where the true reason shows only in the node's containerd log
(spinframework/spin-operator#202)."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ..manifest.model import Manifest, Trigger
from .spin_versions import (
    COMPATIBLE_WITHIN_MINOR,
    HANDLER_EXPORTS,
    HOST_NAMESPACES,
    HTTP_HANDLER_EXPORTS,
    INTERFACES,
    SPIN_OF_SHIM,
    STATIC_RESPONSE_SINCE,
    TRIGGERS_OF_SHIM,
    WAGI_EXPORT,
    WASIP3_UNSTABLE,
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
    findings = _Findings(spin)
    for trigger in manifest.triggers:
        if trigger.type not in TRIGGERS_OF_SHIM:
            findings.problems.append(
                f"trigger {trigger.id}: containerd-shim-spin has no trigger type {trigger.type!r}, only {known}"
            )
        for what, since, until in _versioned_settings(trigger):
            findings.look_at(f"trigger {trigger.id} {what}", since, until)
    for identifier, path in sources.items():
        binary = read_binary(path, key=f"component.{identifier}.source")
        if binary.is_component:
            _look_at_component(manifest, identifier, binary, findings)
    problems, later = findings.problems, findings.later
    minimum = max(findings.needed, key=_order, default=OLDEST_SPIN)
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
            f"containerd-shim-spin {shim_version} (Spin {spin}) cannot run this application: it uses something {has}.",
            next_step=_advice(minimum_spin_version, spin),
            facts={"shim_version": shim_version, "spin_version": spin},
        )


class _Findings:
    """Compared with one Spin version: `problems`, what only a `later` version has, and which versions are `needed`."""

    def __init__(self, spin: str) -> None:
        self.spin = spin
        self.problems: list[str] = []
        self.later: list[str] = []
        self.needed: list[str] = []

    def look_at(self, what: str, since: str, until: str | None) -> None:
        """Compare with the first Spin version that has it, and the first that has it no more."""
        self.needed.append(since)
        if _numbers(self.spin) < _numbers(since):
            self.later.append(f"{what}, which Spin has from {since} on")
        elif until is not None and _numbers(self.spin) >= _numbers(until):
            self.problems.append(f"{what}, which Spin had from {since} to before {until}")


def _look_at_component(manifest: Manifest, identifier: str, binary: WebAssemblyBinary, findings: _Findings) -> None:
    http = [trigger for trigger in manifest.triggers if trigger.component == identifier and trigger.type == "http"]
    if any(_executor(trigger) != "wagi" for trigger in http):
        findings.problems += _missing_export(
            identifier, binary, HTTP_HANDLER_EXPORTS, "an http trigger", "HTTP handler"
        )
    if any(_executor(trigger) == "wagi" for trigger in http):
        findings.problems += _missing_export(identifier, binary, (WAGI_EXPORT,), "a wagi trigger", WAGI_EXPORT)
    used = [("imports", name) for name in binary.imports if ":" in name]
    used += [("exports", name) for name in binary.exports if name.partition("@")[0] in HANDLER_EXPORTS]
    for direction, name in used:
        what = f"component {identifier} {direction} {name}"
        if not name.startswith(HOST_NAMESPACES):
            findings.problems.append(f"{what}, which neither Spin nor one of its `dependencies` provides")
            continue
        since, until = _host_versions(name)
        if since is None:
            findings.needed.append(_NEWEST_SPIN + LATER)
            findings.later.append(f"{what}, which no Spin version known here has ({_newest_known(name)})")
        else:
            findings.look_at(what, since, until)


def _versioned_settings(trigger: Trigger) -> t.Iterator[tuple[str, str, str | None]]:
    """What a trigger's settings need: what it is, the first Spin version that has it, the first without it."""
    if trigger.type == "http" and not trigger.component:
        yield "gives a static response", STATIC_RESPONSE_SINCE, None
    if _executor(trigger) == "wasip3-unstable":
        yield "has the executor wasip3-unstable", *WASIP3_UNSTABLE


def _executor(trigger: Trigger) -> str:
    """The type of an HTTP trigger's executor; "" for Spin's own."""
    executor = trigger.settings.get("executor")
    return str(executor.get("type", "")) if isinstance(executor, dict) else ""


def _missing_export(
    identifier: str, binary: WebAssemblyBinary, exports: tuple[str, ...], trigger: str, needed: str
) -> list[str]:
    if any(name.startswith(exports) for name in binary.exports):
        return []
    has = ", ".join(binary.exports) or "nothing"
    return [f"component {identifier} has {trigger} but exports no {needed} (it exports {has})"]


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
