# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role function_registry."""

from __future__ import annotations

import re
import typing as t

from .checks import Variables, whole

BUCKET = ("bucket", "region", "endpoint", "prefix", "access_key", "secret_key")
LEAST = (
    ("function_registry_keep_images", 2, ", as a rollback needs the one before"),
    ("function_registry_keep_days", 1, ""),
    ("function_registry_certificate_days", 30, ""),
)
"""Variable, its least value, and why."""


def problems(variables: Variables) -> t.Iterator[str]:
    """What is wrong with the registry's address, its storage and what it keeps."""
    yield from _address_problems(variables)
    storage, size = variables["function_registry_storage"], variables["function_registry_size"]
    if storage not in ("disk", "s3"):
        yield f"function_registry_storage: is {storage}. Next: write disk or s3."
    if not re.fullmatch("[1-9][0-9]*(Mi|Gi|Ti)", str(size)):
        yield f"function_registry_size: is {size}. Next: write it as 20Gi."
    if not _is_bucket(variables["function_registry_s3"], needed=storage == "s3"):
        yield (
            "function_registry_s3: must hold bucket and region, both keys or neither, an endpoint that is a URL, and "
            f"nothing but {', '.join(BUCKET)}. Next: correct it."
        )
    for name, least, why in LEAST:
        if whole(variables[name]) < least:
            yield f"{name}: is {variables[name]}. Next: give {least} or more{why}."


def _address_problems(variables: Variables) -> t.Iterator[str]:
    host, port, path = (variables[f"function_registry_{name}"] for name in ("host", "port", "path"))
    if not re.fullmatch("|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]+", str(host)):
        yield (
            f"function_registry_host: {host} is no host name or address. Next: write it without https://, port and "
            "path."
        )
    if not 30000 <= whole(port) <= 32767:
        yield (
            f"function_registry_port: is {port}. Next: give a free port from 30000 to 32767, which Kubernetes opens "
            "on every node."
        )
    if not re.fullmatch("|[a-z0-9]+([._/-][a-z0-9]+)*", str(path)):
        yield (
            f"function_registry_path: {path} is no path of a repository. Next: write lower-case words, with / between "
            "them."
        )


def _is_bucket(bucket: t.Mapping[str, t.Any], *, needed: bool) -> bool:
    endpoint = str(bucket.get("endpoint", "https://"))
    return (
        set(bucket) <= set(BUCKET)
        and bool(bucket.get("access_key")) == bool(bucket.get("secret_key"))
        and endpoint.startswith(("http://", "https://"))
        and (not needed or bool(bucket.get("bucket") and bucket.get("region")))
    )
