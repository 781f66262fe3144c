# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives a function databases of the key-value store that the role key_value_store keeps for its namespace.

Spin uses keys as a function writes them, so each store of each function has a database of its own. Which database is
whose is written down in one Secret for each, since to create an object is the one write that fails for the second of
two deployments that want the same number. A database stays its function's when the function is deleted.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..errors import PlatformError
from ..function.manifest.model import Manifest
from ..function.stores import KEY_VALUE, used_stores
from .api import Conflict, KubernetesApi
from .cluster_function import ClusterFunction
from .kinds import SECRET, Object
from .settings import ClusterSettings

SHARED = "shared"
"""The value of the option `key_value_store` for databases of the platform's store."""

ACCESS_SECRET = "key-value-store"  # noqa: S105 (a name)
"""The Secret of a namespace with the URL of each database, under `database-NUMBER` (role key_value_store)."""

DATABASE_LABEL = "wasmfaas.dev/key-value-store"
DATABASE_VALUE = "database"
_FUNCTION = "wasmfaas.dev/function"
_STORE = "wasmfaas.dev/store"
_KEY = re.compile(r"database-(0|[1-9][0-9]*)")


def settings_with_stores(function: ClusterFunction, manifest: Manifest) -> ClusterSettings:
    """The function's settings with the databases that its stores have, or would get, in `runtime_config`.

    Raises:
        PlatformError: the namespace has no store, or no database is left.
    """
    settings = function.settings
    labels = _labels(settings, manifest)
    if not labels:
        return settings
    databases = _Databases(function.api, function.namespace)
    numbers = databases.numbers(function.name, labels)
    config = settings.runtime_config or {}
    entries = [*(config.get(KEY_VALUE.option) or []), *(_entry(label, numbers[label]) for label in labels)]
    return dataclasses.replace(settings, runtime_config={**config, KEY_VALUE.option: entries})


def reserve_databases(function: ClusterFunction, manifest: Manifest) -> None:
    """Write down which databases are the function's, so that no other gets them. Called with the function's lock.

    Raises:
        PlatformError: the namespace has no store, or no database is left.
    """
    if labels := _labels(function.settings, manifest):
        _Databases(function.api, function.namespace).reserve(function.name, labels)


def _labels(settings: ClusterSettings, manifest: Manifest) -> list[str]:
    """The key-value stores of the components that run, but for those that `runtime_config` configures.

    Raises:
        PlatformError: `runtime_config` names a whole file, to which nothing can be added.
    """
    if settings.key_value_store != SHARED:
        return []
    config = settings.runtime_config or {}
    if config.get("loadFromSecret"):
        raise PlatformError(
            "key_value_store: shared does not go with runtime_config.loadFromSecret, which names the whole "
            "configuration.",
            next_step="Keep one of them.",
        )
    stores = config.get(KEY_VALUE.option) or []
    if not isinstance(stores, list):
        return []  # `check_stores` refuses it
    configured = {store.get("name") for store in stores if isinstance(store, dict)}
    running = [manifest.components[name] for name in settings.components or manifest.components]
    return [label for label in used_stores(running, KEY_VALUE) if label not in configured]


def _entry(label: str, number: int) -> Object:
    reference = {"secretKeyRef": {"name": ACCESS_SECRET, "key": f"database-{number}"}}
    return {"name": label, "type": "redis", "options": [{"name": "url", "valueFrom": reference}]}


class _Databases:
    """Those of one namespace, and whose they are."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api = api
        self._namespace = namespace
        access = api.get(SECRET, namespace, ACCESS_SECRET)
        if access is None:
            raise PlatformError(
                f"key_value_store: the namespace {namespace} has no key-value store.",
                next_step="Add key_value_store to platform_components, see that key_value_store_namespaces has the "
                "namespace, and run `ansible-playbook wasmfaas.platform.platform`; or deploy with "
                "`-e key_value_store=pod`.",
            )
        self._all = sorted(int(match[1]) for key in access.get("data") or {} if (match := _KEY.fullmatch(key)))
        self._taken: dict[int, tuple[str, str]] = {}
        for item in api.list(SECRET, namespace, labels={DATABASE_LABEL: DATABASE_VALUE}):
            annotations = item["metadata"].get("annotations") or {}
            number = item["metadata"]["name"].removeprefix(f"{ACCESS_SECRET}-")
            if number.isdecimal():
                self._taken[int(number)] = (annotations.get(_FUNCTION, ""), annotations.get(_STORE, ""))

    def numbers(self, function: str, labels: t.Iterable[str]) -> dict[str, int]:
        """The database of each store: the one that it has, else the first that is free."""
        own = {store: number for number, (name, store) in self._taken.items() if name == function}
        free = (number for number in self._all if number not in self._taken)
        found: dict[str, int] = {}
        for label in labels:
            number = own[label] if label in own else next(free, None)
            if number is None:
                raise PlatformError(
                    f"key_value_store: all {len(self._all)} databases of the namespace {self._namespace} are taken.",
                    next_step="Set key_value_store_databases higher and run `ansible-playbook "
                    "wasmfaas.platform.platform`, or free those of deleted functions (docs/key_value_store.md).",
                )
            found[label] = number
        return found

    def reserve(self, function: str, labels: t.Iterable[str]) -> None:
        for label in labels:
            while (number := self.numbers(function, [label])[label]) not in self._taken:
                try:
                    self._api.create(SECRET, self._reservation(number, function, label))
                except Conflict:
                    self._taken[number] = ("", "")  # of a deployment at the same moment
                else:
                    self._taken[number] = (function, label)

    def _reservation(self, number: int, function: str, label: str) -> Object:
        return {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {
                "name": f"{ACCESS_SECRET}-{number}",
                "namespace": self._namespace,
                "labels": {"app.kubernetes.io/managed-by": "wasmfaas", DATABASE_LABEL: DATABASE_VALUE},
                "annotations": {_FUNCTION: function, _STORE: label},
            },
        }
