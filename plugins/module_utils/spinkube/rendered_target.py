# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the objects of a function to a file for a GitOps tool, and asks no cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..function.compatibility.spin_versions import DEFAULT_SHIM_VERSION
from ..function.model import DesiredFunction, Difference, LiveFunction
from ..host import whole_file
from .checks import check_components, check_not_reserved
from .function_objects import function_objects
from .kinds import SPIN_APP, Object
from .labels import MANAGED_BY
from .objects import SOURCE_DIGEST, URL, FunctionObjects
from .settings import ClusterSettings
from .shared_stores import SHARED

_SECRET_STORE_OPTIONS = frozenset({"access_key", "auth_token", "key", "password", "secret_key", "token"})
"""Options of Spin's stores that are credentials."""


def check_rendered_options(parameters: dict[str, t.Any]) -> None:
    """Refuse options that contradict `state=rendered`, or need a cluster; raises PlatformError."""
    for name, given in (
        ("service", parameters.get("service")),
        ("target", parameters["target"] if parameters["target"] != "cluster" else None),
        ("canary", parameters["canary"]),
        ("keep_data", parameters["keep_data"]),
        ("sqlite_statements", parameters["sqlite_statements"]),
    ):
        if given not in (None, "", False):
            raise PlatformError(f"{name}: has no meaning with state=rendered.", next_step="Leave one of them out.")
    if parameters["tls"]:
        raise PlatformError(
            "tls: only the cluster knows the name of the Gateway's HTTPS listener, and state=rendered asks no cluster.",
            next_step="Leave `tls` out. The function then answers at all listeners, HTTPS included.",
        )
    if parameters["key_value_store"] == SHARED:
        raise PlatformError(
            "key_value_store: only the cluster knows which databases are free, and state=rendered asks no cluster.",
            next_step="Name the store in `runtime_config`, with its URL from a Secret.",
        )
    _check_runtime_config(parameters["runtime_config"] or {})


def _check_runtime_config(config: dict[str, t.Any]) -> None:
    for option, stores in config.items():
        for store in stores if isinstance(stores, list) else []:
            values = store.get("options") if isinstance(store, dict) else None
            for value in values if isinstance(values, list) else []:
                if isinstance(value, dict) and "value" in value and _is_secret(value):
                    raise PlatformError(
                        f"runtime_config.{option}: {store.get('name')!r}: the value of {value.get('name')} is a "
                        "credential, and would be written to Git.",
                        next_step="Give it as `valueFrom: {secretKeyRef: {name: …, key: …}}`.",
                    )


def _is_secret(option: dict[str, t.Any]) -> bool:
    return option.get("name") in _SECRET_STORE_OPTIONS or "@" in str(option["value"])


class RenderedTarget:
    """One function as the file `NAME.yaml` of a directory; implements `function.Target`."""

    needs_artifact = False  # the nodes pull it from the registry

    def __init__(self, directory: Path, namespace: str, name: str, settings: ClusterSettings) -> None:
        self._path = directory / f"{name}.yaml"
        self._namespace = namespace
        self._name = name
        self._settings = settings

    def exists(self) -> bool:
        return self.live() is not None

    def live(self) -> LiveFunction | None:
        """The function as its file has it; raises PlatformError where the file is not this function's."""
        text = self._text()
        if text is None:
            return None
        app = self._objects_of(text)[SPIN_APP.kind]
        annotations = app["metadata"].get("annotations") or {}
        return self._described(
            annotations.get(SOURCE_DIGEST, ""), (app.get("spec") or {}).get("image", ""), annotations.get(URL, "")
        )

    def shim_version(self) -> str:
        return self._settings.shim_version or DEFAULT_SHIM_VERSION

    def check(self, desired: DesiredFunction) -> list[str]:
        from .stores import check_stores
        from .variable_names import check_variable_names

        check_not_reserved(self._name)
        self._objects(desired)
        check_variable_names(desired.manifest)
        settings = self._settings
        return check_stores(None, self._namespace, desired.manifest, settings.components, settings.runtime_config)

    def difference(self, desired: DesiredFunction) -> Difference:
        text, objects = self._text(), self._objects(desired)
        before: dict[str, t.Any] = {} if text is None else self._objects_of(text)
        shown = objects if desired.image else self._objects(_with_image(desired, "<known after the build>"))
        after: dict[str, t.Any] = {item["kind"]: item for item in shown}
        if before == after and text != _yaml(objects):
            before, after = {**before, "file": "edited"}, {**after, "file": "as rendered"}
        return Difference(before, after)

    def deploy(self, desired: DesiredFunction) -> LiveFunction:
        objects = self._objects(desired)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            whole_file.write(
                self._path, _yaml(objects), mode=None, partial=str(self._path.parent / f".{self._name}.{os.getpid()}")
            )
        except OSError as error:
            raise PlatformError(
                f"directory: {self._path}: {error.strerror}.", next_step="Name a directory that can be written."
            ) from error
        return self._described(desired.source_digest, desired.image, objects.app["metadata"]["annotations"][URL])

    def ensure_answers(self, desired: DesiredFunction) -> LiveFunction:
        return self._described(desired.source_digest, desired.image, self._url(desired))

    def delete(self) -> None:
        raise AssertionError("state=absent removes functions of a cluster, and never files")

    def _described(self, source_digest: str, image: str, url: str) -> LiveFunction:
        return LiveFunction(
            self._name, self._namespace, source_digest, image, url, "rendered", details={"file": str(self._path)}
        )

    def _text(self) -> str | None:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise PlatformError(
                f"directory: {self._path} cannot be read: {error}.", next_step="Correct it, or name another directory."
            ) from error

    def _objects_of(self, text: str) -> dict[str, Object]:
        """The objects of the file by kind; raises PlatformError where they are not this function's."""
        import yaml

        with contextlib.suppress(yaml.YAMLError, TypeError, KeyError, AttributeError):
            found = {item["kind"]: item for item in yaml.safe_load_all(text)}
            metadata = found[SPIN_APP.kind]["metadata"]
            if (metadata["namespace"], metadata["name"]) == (
                self._namespace,
                self._name,
            ) and MANAGED_BY.items() <= metadata["labels"].items():
                return found
        raise PlatformError(
            f"directory: {self._path} is not the file of the function {self._namespace}/{self._name}.",
            next_step="Name a directory of its own for each namespace, or remove the file if nobody needs it.",
        )

    def _url(self, desired: DesiredFunction) -> str:
        if not desired.has_http_trigger:
            return ""
        settings = self._settings
        if not settings.hostname and not settings.domain:
            raise PlatformError(
                "domain: the function's host is unknown, since state=rendered asks no cluster for it.",
                next_step="Give `-e domain=functions.example.com` or `-e hostname=HOST`.",
            )
        return f"http://{settings.hostname or f'{self._name}.{self._namespace}.{settings.domain}'}"

    def _objects(self, desired: DesiredFunction) -> FunctionObjects:
        if desired.variables.secret:
            raise PlatformError(
                f"variables: {', '.join(sorted(desired.variables.secret))}: secret values are never written to files "
                "for Git.",
                next_step="Leave them out of `variables` where spin.toml has a default, or deploy with "
                "`-e state=present`, which keeps them in a Secret.",
            )
        check_components(desired.manifest, self._settings.components)
        return function_objects(desired, self._settings, self._url(desired), None)


def _with_image(desired: DesiredFunction, image: str) -> DesiredFunction:
    return dataclasses.replace(desired, image=image)


def _yaml(objects: FunctionObjects) -> str:
    """The objects as YAML documents, always the same text for the same objects."""
    import yaml

    # By way of JSON, since PyYAML writes anchors for values that occur twice.
    documents = [json.loads(json.dumps(item)) for item in objects]
    return str(yaml.safe_dump_all(documents, explicit_start=True, sort_keys=True, allow_unicode=True, width=120))
