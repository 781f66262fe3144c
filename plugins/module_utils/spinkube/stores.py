# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the stores that a function's components use with Spin's runtime configuration on the cluster."""

from __future__ import annotations

import base64
import binascii
import tomllib
import typing as t

from ..errors import PlatformError
from ..function.manifest.model import Manifest
from ..function.stores import DEFAULT_STORE, KEY_VALUE, KINDS, StoreKind, used_stores
from .api import Forbidden, KubernetesApi
from .kinds import SECRET, Object

_CONFIGURATION_KEY = "runtime-config.toml"
"""The key of a Secret of `loadFromSecret` (spin-operator v0.6.1, internal/controller/deployment.go)."""


_OF_THE_POD = "spin"
"""The type whose data lies in the pod."""


def check_stores(
    api: KubernetesApi | None,
    namespace: str,
    manifest: Manifest,
    components: tuple[str, ...],
    runtime_config: dict[str, t.Any] | None,
) -> list[str]:
    """Check that each store which a function uses is configured.

    Args:
        api: None where no cluster may be asked; then what a Secret configures is not checked.
        components: those that run; empty for all.
        runtime_config: `spec.runtimeConfig` of the SpinApp.

    Returns:
        Warnings about stores whose data is lost with their pod.

    Raises:
        PlatformError: the function would end at its start, since Spin knows no such store or cannot open it.
    """
    running = [manifest.components[name] for name in components or manifest.components]
    configuration = _configuration(api, namespace, runtime_config or {})
    if configuration is None:
        return []
    warnings: list[str] = []
    for kind in KINDS:
        used, configured = used_stores(running, kind), configuration[kind.option]
        for label, component in used.items():
            where = f"{manifest.path.name}: component.{component}.{kind.key}: {label!r}"
            if label not in configured and label != DEFAULT_STORE:
                raise PlatformError(
                    f"{where}: this {kind.title} is configured nowhere, and Spin would refuse to start the function.",
                    next_step=f"Configure it with `runtime_config: {{{kind.option}: [{{name: {label}, …}}]}}`, or use "
                    f"the store `{DEFAULT_STORE}`, which needs no configuration (docs/functions.md, Stores).",
                )
            if configured.get(label, _OF_THE_POD) == _OF_THE_POD:
                shared = "Deploy with `-e key_value_store=shared`, or give" if kind is KEY_VALUE else "Give"
                warnings.append(
                    f"{where}: this {kind.title} lies in the pod: each replica has its own, and its data is lost "
                    f"with the pod, so with every deployment. Next: {shared} it a backend outside with "
                    f"`runtime_config: {{{kind.option}: [{{name: {label}, type: {list(kind.types)[1]}, …}}]}}` "
                    "(docs/functions.md, Stores)."
                )
    return warnings


def _configuration(
    api: KubernetesApi | None, namespace: str, runtime_config: dict[str, t.Any]
) -> dict[str, dict[str, str]] | None:
    """The types of the configured stores by `StoreKind.option` and label; None if the configuration cannot be seen."""
    secret_name = runtime_config.get("loadFromSecret")
    if secret_name:
        return _in_secret(api, namespace, str(secret_name)) if api else None
    return {kind.option: _in_option(runtime_config, kind) for kind in KINDS}


def _in_option(runtime_config: dict[str, t.Any], kind: StoreKind) -> dict[str, str]:
    types: dict[str, str] = {}
    stores = runtime_config.get(kind.option) or []
    if not isinstance(stores, list) or not all(isinstance(store, dict) for store in stores):
        raise PlatformError(
            f"runtime_config.{kind.option}: must be a list of dictionaries.",
            next_step="Write each as `{name: …, type: …, options: [{name: …, value: …}]}`.",
        )
    for store in stores:
        name, of_type = str(store.get("name") or ""), str(store.get("type") or "")
        where = f"runtime_config.{kind.option}: {name!r}"
        if of_type not in kind.types:
            raise PlatformError(
                f"{where}: Spin has no {kind.title} of type {of_type!r}.",
                next_step=f"Use one of {', '.join(kind.types)}.",
            )
        if name in types:
            raise PlatformError(f"{where}: it is configured twice.", next_step="Keep one of them.")
        options = store.get("options")
        given = (
            {option.get("name") for option in options if isinstance(option, dict)} if isinstance(options, list) else ()
        )
        if missing := [option for option in kind.types[of_type] if option not in given]:
            raise PlatformError(
                f"{where}: a {kind.title} of type {of_type} needs {' and '.join(missing)}.",
                next_step=f"Add `{{name: {missing[0]}, value: …}}` to its `options`.",
            )
        types[name] = of_type
    return types


def _in_secret(api: KubernetesApi, namespace: str, name: str) -> dict[str, dict[str, str]] | None:
    """The same of a configuration file of Spin that a Secret holds; None without the permission to read it."""
    try:
        secret = api.get(SECRET, namespace, name)
    except Forbidden:
        return None
    where = f"runtime_config.loadFromSecret: the Secret {namespace}/{name}"
    if secret is None:
        # The operator mounts it as optional, so the function would start without it.
        raise PlatformError(f"{where} does not exist.", next_step="Make it, or correct the name.")
    document = _parsed(secret, where)
    return {kind.option: _in_table(document, kind, where) for kind in KINDS}


def _in_table(document: dict[str, t.Any], kind: StoreKind, where: str) -> dict[str, str]:
    stores = document.get(kind.table, {})
    if not isinstance(stores, dict):
        raise _no_table(f"{where}: {kind.table}", f"[{kind.table}.LABEL]")
    for label, store in stores.items():
        if not isinstance(store, dict):
            raise _no_table(f"{where}: {kind.table}.{label}", f"[{kind.table}.{label}]")
    return {label: str(store.get("type", "")) for label, store in stores.items()}


def _no_table(where: str, header: str) -> PlatformError:
    """The refusal of what Spin would refuse at the function's start; it shows no value, which may be secret."""
    return PlatformError(
        f"{where} of its {_CONFIGURATION_KEY} is no TOML table, and Spin would refuse to start the function.",
        next_step=f"Write each store as a table with its own header, such as `{header}`, and its `type` below.",
    )


def _parsed(secret: Object, where: str) -> dict[str, t.Any]:
    encoded = (secret.get("data") or {}).get(_CONFIGURATION_KEY)
    if encoded is None:
        raise PlatformError(
            f"{where} has no key {_CONFIGURATION_KEY}.", next_step="Put Spin's runtime configuration under this key."
        )
    try:
        return tomllib.loads(base64.b64decode(encoded).decode())
    except RecursionError as error:
        raise PlatformError(
            f"{where}: its {_CONFIGURATION_KEY} is nested too deeply.",
            next_step="Write fewer arrays inside each other.",
        ) from error
    except (binascii.Error, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # The error names a line and a column, and nothing of the content.
        raise PlatformError(
            f"{where}: its {_CONFIGURATION_KEY} is no TOML: {error}.",
            next_step="Correct it; the function would not start.",
        ) from error
