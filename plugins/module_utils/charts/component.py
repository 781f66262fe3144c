# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component of the platform as one unit: objects, the charts that need them, and objects that need the charts.
They are installed in this order and removed in the reverse one.

k3s' own Helm controller installs charts (helm_controller.py) or, on a cluster without it, helm (helm.py).
"""

from __future__ import annotations

import typing as t

from ..errors import PlatformError
from ..kubernetes.applied import Object, was_applied
from ..kubernetes.kubectl import Kubectl, host_kubectl
from ..kubernetes.objects import COMMAND_SECONDS, Objects, identity, object_key, secret_texts
from .helm import Helm
from .helm_controller import Controller
from .model import Chart, Installer

WEBHOOK_SECONDS = 60.0
SOURCE_KEYS = ("repository", "chart", "version", "content", "sha256")
CONTENT_BYTES = 1_000_000
"""Of an archive as base64: a ConfigMap, in which the Helm controller hands it to its Job, holds 1 MiB."""


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """The module `k3s_charts`: its options to its result."""
    objects, after, surplus = (parameters[name] or [] for name in ("objects", "objects_after", "objects_absent"))
    hidden.update(secret_texts(objects) | secret_texts(after))
    charts = read_charts(
        parameters["charts"] or [], parameters["sources"] or {}, parameters["timeout"], state=parameters["state"]
    )
    kubectl = host_kubectl(command=parameters["kubectl"], seconds=COMMAND_SECONDS)
    controller = Controller(kubectl)
    helm = Helm(kubectl, parameters["kubectl"], binary=parameters["helm"])
    ways: dict[str, list[Installer]] = {"controller": [controller], "helm": [helm], "auto": [controller, helm]}
    component = Component(kubectl, charts, objects, after, surplus, choose=ways[parameters["installer"]])
    if parameters["state"] == "absent":
        return component.remove(check_mode, definitions=parameters["remove_definitions"])
    return component.install(check_mode)


def read_charts(
    entries: list[dict[str, t.Any]], sources: dict[str, t.Any], timeout: int, *, state: str = "present"
) -> list[Chart]:
    """The option `charts`, with where each comes from.

    Raises:
        PlatformError: a chart is listed twice, or it is not said where it comes from.
    """
    names = [entry["name"] for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise PlatformError(f"The chart {twice[0]} is listed twice.", next_step="Give each release a name of its own.")
    return [
        _chart(entry, sources.get(entry["name"]), entry.get("timeout") or timeout, state == "present")
        for entry in entries
    ]


def _chart(entry: dict[str, t.Any], source: t.Any, timeout: int, needed: bool) -> Chart:
    name = entry["name"]
    where = f"platform_charts.{name}"
    source = source if isinstance(source, dict) else {}
    unknown = sorted(set(source) - set(SOURCE_KEYS))
    if unknown:
        raise PlatformError(f"{where} has the unknown key {unknown[0]}.", next_step=f"Use {', '.join(SOURCE_KEYS)}.")
    content = str(source.get("content") or "")
    if needed and not content and not (source.get("repository") and source.get("version")):
        raise PlatformError(
            f"It is not said where the chart {name} comes from: {where} lacks repository or version.",
            next_step="Give both, or `content`, an archive of it.",
        )
    if len(content) > CONTENT_BYTES:
        raise PlatformError(
            f"The archive of the chart {name} has {len(content) * 3 // 4} bytes, and a ConfigMap holds no more than "
            f"{CONTENT_BYTES * 3 // 4}.",
            next_step="Push it to a registry that the cluster reaches (helm push), and name that in "
            f"{where}.repository.",
        )
    repository = str(source.get("repository") or "").rstrip("/")
    return Chart(
        name=name,
        namespace=entry["namespace"],
        values=entry.get("values") or {},
        repository=repository,
        chart=str(source.get("chart") or name),
        version=str(source.get("version") or ""),
        content=content,
        bootstrap=bool(entry.get("bootstrap")),
        take_ownership=bool(entry.get("take_ownership")),
        timeout=int(timeout),
    )


class Component:
    """One component of the platform.

    Args:
        surplus: objects that earlier settings made and the present ones do not: deleted if this collection made them.
        choose: ways to install charts; the first that the cluster has is used.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        charts: list[Chart],
        objects: list[Object],
        after: list[Object],
        surplus: list[Object],
        *,
        choose: t.Sequence[Installer],
    ) -> None:
        self._kubectl = kubectl
        self._charts = charts
        self._before = objects
        self._after = after
        self._surplus = surplus
        self._choose = choose

    def install(self, check_mode: bool) -> dict[str, t.Any]:
        """Install it. Waits again for what a run that was cut off did not finish."""
        objects = Objects(self._kubectl)
        later = Objects(self._kubectl, webhook_seconds=WEBHOOK_SECONDS)
        for group in (self._before, self._after, self._surplus):
            for entry in group:
                identity(entry)
        live = objects.known(
            [
                *self._before,
                *self._after,
                *(entry for installer in self._choose[:1] for entry in installer.objects(self._charts)),
            ]
        )
        result = objects.reconcile(self._before, state="present", check_mode=check_mode, before=live)
        if self._charts:
            namespaces = {entry["metadata"]["name"] for entry in self._before if entry["kind"] == "Namespace"}
            installer = self._installer(live, check_mode)
            known = live if installer is self._choose[0] else None
            result = merged(
                result, installer.install(self._charts, check_mode=check_mode, namespaces=namespaces, before=known)
            )
        # What a chart brought may be among them, and their kinds.
        result = merged(
            result,
            later.reconcile(
                self._after, state="present", check_mode=check_mode, before=None if result["changed"] else live
            ),
        )
        return merged(result, self._remove_surplus(objects, check_mode))

    def remove(self, check_mode: bool, *, definitions: bool) -> dict[str, t.Any]:
        """Remove it: what needs the charts, the charts, and what they needed; CustomResourceDefinitions, with all
        objects of them, only if asked for."""
        objects = Objects(self._kubectl)
        result = merged(
            self._remove_surplus(objects, check_mode),
            objects.reconcile(self._after, state="absent", check_mode=check_mode),
        )
        for installer in self._choose:
            if self._charts and installer.available():
                result = merged(result, installer.uninstall(self._charts[::-1], check_mode=check_mode))
        kept = [entry for entry in self._before if definitions or entry.get("kind") != "CustomResourceDefinition"]
        return merged(result, objects.reconcile(kept, state="absent", check_mode=check_mode))

    def _remove_surplus(self, objects: Objects, check_mode: bool) -> dict[str, t.Any]:
        # By a command of their own: of a kind that is not there the other one would tell nothing.
        live = objects.live(self._surplus)
        ours = [entry for entry in self._surplus if was_applied(live.get(object_key(entry)))]
        return objects.reconcile(ours, state="absent", check_mode=check_mode, before=live)

    def _installer(self, live: dict[str, Object] | None, check_mode: bool) -> Installer:
        """The first way that is there; the Helm controller of a server that has just started is waited for.

        Raises:
            PlatformError: none is.
        """
        if live is not None and self._choose[0].objects(self._charts):
            return self._choose[0]  # its kind could be read
        for installer in self._choose:
            if installer.available():
                return installer
        if check_mode or self._choose[0].wait_available():
            return self._choose[0]
        raise PlatformError(
            f"Charts cannot be installed: {' and '.join(installer.missing for installer in self._choose)}.",
            next_step="On k3s leave disable-helm-controller out of k3s_server_config; on another cluster install "
            "helm there (helm.sh) "
            "and set platform_chart_installer: helm.",
        )


def merged(first: dict[str, t.Any], second: dict[str, t.Any]) -> dict[str, t.Any]:
    """Two results as one."""
    return {
        "changed": first["changed"] or second["changed"],
        "changed_objects": [*first["changed_objects"], *second["changed_objects"]],
        "diff": [*first["diff"], *second["diff"]],
    }
