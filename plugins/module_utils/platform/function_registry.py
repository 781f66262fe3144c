# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of role function_registry, and zot's configuration."""

from __future__ import annotations

import re
import typing as t

from ..problems import Problem
from ..registry.registry_access import DEPLOYER, NODES, TENANT
from .checks import Variables, whole

BUCKET = ("bucket", "region", "endpoint", "prefix", "access_key", "secret_key")
LEAST = (
    ("function_registry_keep_images", 2, ", as a rollback needs the one before"),
    ("function_registry_keep_days", 1, ""),
    ("function_registry_certificate_days", 30, ""),
)
"""Variable, its least value, and why."""


def problems(variables: Variables) -> t.Iterator[Problem]:
    """What is wrong with the registry's address, its storage and what it keeps."""
    yield from _address_problems(variables)
    storage, size = variables["function_registry_storage"], variables["function_registry_size"]
    if storage not in ("disk", "s3"):
        yield Problem("function_registry_storage", f"is {storage}", "write disk or s3")
    if not re.fullmatch("[1-9][0-9]*(Mi|Gi|Ti)", str(size)):
        yield Problem("function_registry_size", f"is {size}", "write it as 20Gi")
    if not _is_bucket(variables["function_registry_s3"], needed=storage == "s3"):
        yield Problem(
            "function_registry_s3",
            "must hold bucket and region, both keys or neither, an endpoint that is a URL, and nothing but "
            f"{', '.join(BUCKET)}",
            "correct it",
        )
    for name, least, why in LEAST:
        if whole(variables[name]) < least:
            yield Problem(name, f"is {variables[name]}", f"give {least} or more{why}")


def _address_problems(variables: Variables) -> t.Iterator[Problem]:
    host, port, path = (variables[f"function_registry_{name}"] for name in ("host", "port", "path"))
    if not re.fullmatch("|[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9a-fA-F:]+", str(host)):
        yield Problem(
            "function_registry_host", f"{host} is no host name or address", "write it without https://, port and path"
        )
    if not 30000 <= whole(port) <= 32767:
        yield Problem(
            "function_registry_port",
            f"is {port}",
            "give a free port from 30000 to 32767, which Kubernetes opens on every node",
        )
    if not re.fullmatch("|[a-z0-9]+([._/-][a-z0-9]+)*", str(path)):
        yield Problem(
            "function_registry_path",
            f"{path} is no path of a repository",
            "write lower-case words, with / between them",
        )


def _is_bucket(bucket: t.Mapping[str, t.Any], *, needed: bool) -> bool:
    endpoint = str(bucket.get("endpoint", "https://"))
    return (
        set(bucket) <= set(BUCKET)
        and bool(bucket.get("access_key")) == bool(bucket.get("secret_key"))
        and endpoint.startswith(("http://", "https://"))
        and (not needed or bool(bucket.get("bucket") and bucket.get("region")))
    )


def configuration(
    storage: str,
    bucket: t.Mapping[str, t.Any],
    *,
    keep_images: int,
    keep_days: int,
    path: str = "",
    tenants: t.Sequence[str] = (),
) -> dict[str, t.Any]:
    """zot's own configuration. It refuses to start with a key that it does not know; keys as in zot v2.1.18,
    pkg/api/config/config.go and examples/.

    Args:
        storage: `disk` or `s3`.
        bucket: the variable function_registry_s3.
        keep_images: newest tags of a repository that are kept on disk.
        keep_days: days that any tag is kept on disk after it was last pushed or pulled.
        path: what the names of repositories begin with.
        tenants: those that have a user, which reads and writes `<path>/<tenant>/<function>` and nothing else.
    """
    server = "/etc/zot-server"
    return {
        "distSpecVersion": "1.1.1",
        "storage": _bucket(bucket) if storage == "s3" else _disk(keep_images, keep_days),
        "http": {
            "address": "0.0.0.0",  # noqa: S104 (in a pod, behind a Service)
            "port": "5000",
            "realm": "function-registry",
            "readTimeout": "15m",
            "writeTimeout": "15m",
            "tls": {"cert": f"{server}/tls.crt", "key": f"{server}/tls.key"},
            "auth": {"htpasswd": {"path": f"{server}/htpasswd"}, "failDelay": 1},
            "accessControl": {"repositories": _rights(path, tenants)},
        },
        "log": {"level": "info"},
    }


def _rights(path: str, tenants: t.Sequence[str]) -> dict[str, t.Any]:
    """Of all patterns that match a repository, the longest one decides alone (zot v2.1.18, pkg/api/authz.go), so each
    names all users. A tenant's ends with one star, which is no `/` and not nothing: with two, tenant `shop` would own
    the operator's function `shop`, too."""
    write = ["read", "create", "update"]
    everyone = [{"users": [DEPLOYER], "actions": write}, {"users": [NODES], "actions": ["read"]}]
    rights = {"**": {"policies": everyone, "defaultPolicy": []}}
    for tenant in tenants:
        pattern = "/".join([*([path] if path else []), tenant, "*"])
        own = {"users": [f"{TENANT}{tenant}"], "actions": write}
        rights[pattern] = {"policies": [*everyone, own], "defaultPolicy": []}
    return rights


def _storage(policy: dict[str, t.Any]) -> dict[str, t.Any]:
    """What disk and bucket have in common; untagged images and referrers are collected in both."""
    collected = {"repositories": ["**"], "deleteReferrers": True, "deleteUntagged": True, **policy}
    return {
        "rootDirectory": "/var/lib/registry",
        "gc": True,
        "gcDelay": "2h",
        "gcInterval": "24h",
        "retention": {"delay": "24h", "policies": [collected]},
    }


def _disk(images: int, days: int) -> dict[str, t.Any]:
    """`commit`: a push is answered when its data are on the disk."""
    hours = f"{days * 24}h"
    rules = {"mostRecentlyPushedCount": images, "pulledWithin": hours, "pushedWithin": hours}
    # The first entry that matches a tag counts, so source records (function/source_record.py) use up no image's place.
    kept = [{"patterns": [pattern], **rules} for pattern in ("record-.*", ".*")]
    # A pattern without rules keeps all (zot 2.1.20, pkg/retention/retention.go): signatures use up no image's place.
    signatures = {"patterns": [r"sha256-[0-9a-f]{64}\.sig"]}
    return {**_storage({"keepTags": [signatures, *kept]}), "commit": True, "dedupe": True}


def _bucket(bucket: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    driver: dict[str, t.Any] = {
        "name": "s3",
        "bucket": bucket.get("bucket", ""),
        "region": bucket.get("region", ""),
        "rootdirectory": f"/{bucket.get('prefix', 'function-registry')}",
        "secure": True,
        "skipverify": False,
    }
    if endpoint := bucket.get("endpoint"):
        driver |= {"regionendpoint": endpoint, "forcepathstyle": True, "secure": endpoint.startswith("https:")}
    return {**_storage({}), "dedupe": False, "remoteCache": False, "storageDriver": driver}
