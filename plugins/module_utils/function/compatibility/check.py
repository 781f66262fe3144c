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
from .core_module import wrapped_module
from .spin_versions import (
    COMPATIBLE_WITHIN_MINOR,
    HANDLERS,
    HOST_NAMESPACES,
    INTERFACES,
    SPIN_OF_SHIM,
    STATIC_RESPONSE_SINCE,
    TRIGGERS_OF_SHIM,
    WAGI_EXPORT,
    WASI_HTTP_0_3_HANDLER,
    WASIP3_UNSTABLE,
)
from .webassembly import read_binary

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
    known = {version_numbers(shim): spin for shim, spin in SPIN_OF_SHIM.items()}
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
    return _shim_numbers(shim_version) > max(map(version_numbers, SPIN_OF_SHIM))


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
    findings = _Findings(spin_version_of_shim(shim_version))
    _look_at_triggers(manifest, findings)
    for identifier, path in sources.items():
        binary = read_binary(path, key=f"component.{identifier}.source")
        component = _Component(identifier, binary.imports, binary.exports)
        if not binary.is_component:
            wrapped = wrapped_module(binary)
            findings.problems += [f"component {identifier} {problem}" for problem in wrapped.problems]
            component = _Component(identifier, wrapped.imports, wrapped.exports, " (a core module)")
            if wrapped.problems:
                continue
        _look_at_component(manifest, component, findings)
    _refuse(findings, shim_version)
    warning = (
        f"containerd-shim-spin {shim_version} is newer than this collection knows, so it was not checked "
        f"whether it runs this: {_shortened(findings.later)}."
    )
    return Compatibility(findings.minimum, (warning,) if findings.later else ())


def check_triggers(manifest: Manifest, *, shim_version: str) -> None:
    """Refuse what `check` refuses already for the triggers' sake, before anything is built; raises PlatformError."""
    findings = _Findings(spin_version_of_shim(shim_version))
    _look_at_triggers(manifest, findings)
    _refuse(findings, shim_version)


def _refuse(findings: _Findings, shim_version: str) -> None:
    newer = is_newer_than_known(shim_version)
    refused = findings.problems if newer else findings.problems + findings.later
    if refused:
        spin = findings.spin
        raise PlatformError(
            f"containerd-shim-spin {shim_version} (Spin {spin}{' or later' if newer else ''}) cannot run this "
            f"application: {_shortened(refused)}.",
            next_step=_advice(findings.minimum, spin) if findings.later and not newer else _WITH_ANOTHER_SDK,
            facts={"shim_version": shim_version, "spin_version": spin, "problems": refused},
        )


def check_pushed(minimum_spin_version: str, *, shim_version: str) -> None:
    """Refuse an artifact that was pushed earlier, from what `check` had found in it; raises PlatformError."""
    spin = spin_version_of_shim(shim_version)
    # The annotation comes from a registry, so it may hold anything.
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,9}\+?", minimum_spin_version, re.ASCII) or is_newer_than_known(
        shim_version
    ):
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

    @property
    def minimum(self) -> str:
        """As `Compatibility.minimum_spin_version`."""
        return max(self.needed, key=_order, default=OLDEST_SPIN)

    def look_at(self, what: str, since: str, until: str | None) -> None:
        """Compare with the first Spin version that has it, and the first that has it no more."""
        self.needed.append(since)
        if version_numbers(self.spin) < version_numbers(since):
            self.later.append(f"{what}, which Spin has from {since} on")
        elif until is not None and version_numbers(self.spin) >= version_numbers(until):
            self.problems.append(f"{what}, which Spin had from {since} to before {until}")


def _look_at_triggers(manifest: Manifest, findings: _Findings) -> None:
    known = ", ".join(sorted(TRIGGERS_OF_SHIM))
    for trigger in manifest.triggers:
        if trigger.type not in TRIGGERS_OF_SHIM:
            findings.problems.append(
                f"trigger {trigger.id}: containerd-shim-spin has no trigger type {trigger.type!r}, only {known}"
            )
        for what, since, until in _versioned_settings(trigger):
            findings.look_at(f"trigger {trigger.id} {what}", since, until)


@dataclasses.dataclass(frozen=True)
class _Component:
    """The outside of one component; `kind` says in words if Spin makes it of something else."""

    id: str
    imports: tuple[str, ...]
    exports: tuple[str, ...]
    kind: str = ""

    def __str__(self) -> str:
        return f"component {self.id}{self.kind}"


def _look_at_component(manifest: Manifest, component: _Component, findings: _Findings) -> None:
    for name in component.imports:
        if ":" in name:
            _look_at_interface(f"{component} imports {name}", name, findings)
    triggers = [trigger for trigger in manifest.triggers if trigger.component == component.id]
    if any(_executor(trigger) == "wagi" for trigger in triggers) and not _has(component, WAGI_EXPORT):
        findings.problems.append(_missing_export(component, "a wagi trigger", WAGI_EXPORT))
    for kind in HANDLERS:
        executors = {_executor(trigger) for trigger in triggers if trigger.type == kind} - {"wagi"}
        if executors:
            _look_at_handlers(component, kind, executors, findings)


def _look_at_handlers(component: _Component, kind: str, executors: set[str], findings: _Findings) -> None:
    """Whether the component exports exactly one handler that this Spin knows: another that it does not know has no
    effect."""
    handlers = [name for name in component.exports if name.partition("@")[0] in HANDLERS[kind]]
    # Releases of one stable family are one to Spin
    known = {_family(name): name for name in handlers if _is_in(name, findings.spin)}
    if len(known) > 1:
        findings.problems.append(
            f"{component} exports {' and '.join(known.values())}, and Spin calls a component that exports one handler"
        )
    elif not known:
        if not handlers:
            findings.problems.append(_missing_export(component, *_WANTED[kind]))
        for name in handlers:
            _look_at_interface(f"{component} exports {name}", name, findings)
    else:
        name = next(iter(known.values()))
        _look_at_interface(f"{component} exports {name}", name, findings)
        since, until = WASIP3_UNSTABLE
        if kind == "http" and version_numbers(since) <= version_numbers(findings.spin) < version_numbers(until):
            _look_at_executors(component, name, executors, findings)


_WANTED = {"http": ("an http trigger", "HTTP handler"), "redis": ("a redis trigger", "Redis handler")}


def _look_at_executors(component: _Component, handler: str, executors: set[str], findings: _Findings) -> None:
    is_unstable = handler.startswith(f"{WASI_HTTP_0_3_HANDLER}@")
    if is_unstable and executors != {"wasip3-unstable"}:
        findings.problems.append(
            f"{component} exports {handler}, which this Spin calls only if the trigger has executor = {{ type = "
            '"wasip3-unstable" }'
        )
    elif not is_unstable and "wasip3-unstable" in executors:
        findings.problems.append(
            f"{component} has the executor wasip3-unstable, which calls {WASI_HTTP_0_3_HANDLER}, and exports {handler}"
        )


def _look_at_interface(what: str, name: str, findings: _Findings) -> None:
    """Compare with what this Spin has; `what` says who imports or exports `name`."""
    if not name.startswith(HOST_NAMESPACES):
        findings.problems.append(f"{what}, which neither Spin nor one of its `dependencies` provides")
        return
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


def _has(component: _Component, export: str) -> bool:
    return any(name.partition("@")[0] == export for name in component.exports)


def _missing_export(component: _Component, trigger: str, needed: str) -> str:
    has = ", ".join(component.exports) or "nothing"
    other = ", which a wagi trigger calls" if needed != WAGI_EXPORT and _has(component, WAGI_EXPORT) else ""
    return f"{component} has {trigger} but exports no {needed} (it exports {has}{other})"


def _is_in(name: str, spin: str) -> bool:
    since, until = _host_versions(name)
    return (
        since is not None
        and version_numbers(since) <= version_numbers(spin)
        and (until is None or version_numbers(spin) < version_numbers(until))
    )


def _family(name: str) -> str:
    """The interface with as much of its version as Spin distinguishes."""
    return re.sub(r"(@0\.\d+)\.\d+$", r"\1", name)


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
        ((pattern.partition("@")[2], since) for pattern, since in rows),
        key=lambda row: (version_numbers(row[1]), row[0]),
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


def version_numbers(version: str) -> tuple[int, ...]:
    """`4.0.1` as (4, 0, 1), to compare versions."""
    return tuple(int(part) for part in version.split("."))


def _order(minimum_spin_version: str) -> tuple[tuple[int, ...], bool]:
    return version_numbers(minimum_spin_version.removesuffix(LATER)), minimum_spin_version.endswith(LATER)


def _shortened(problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
    return "; ".join(problems[:_SHOWN_PROBLEMS]) + more


_NEWEST_SPIN = max((since for since, _until in INTERFACES.values()), key=version_numbers)
_WITH_ANOTHER_SDK = "Mend what is named, or build the component with an SDK for the Spin version of the nodes."


def _advice(minimum: str, spin: str) -> str:
    """What to do where the nodes have Spin `spin`, and `minimum` is needed (as
    `Compatibility.minimum_spin_version`)."""
    older = "spin-sdk 3.4.1 with componentize-py 0.17.2 makes a WASI p2 component, for shims from 0.21 on"
    older += "; 4.0.0 with 0.23.0 one for shims from 0.25 on" if version_numbers(spin) >= (4, 0, 0) else ""
    older += ". Go: spin-go-sdk v2 with TinyGo, or `net/http` as in examples/functions/hello-go"
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
