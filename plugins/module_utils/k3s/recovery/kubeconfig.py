# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The administrator's kubeconfig on the controller: made from the one that k3s keeps on each server."""

from __future__ import annotations

import base64
import time
import typing as t
from pathlib import Path

from ...errors import PlatformError
from ...host import whole_file
from ..host import certificates

Kubeconfig = dict[str, t.Any]
KINDS = ("clusters", "users", "contexts")
RENEWAL_SECONDS = certificates.RENEWAL_DAYS * 86400


def for_controller(server_kubeconfig: str, *, name: str, server: str) -> Kubeconfig:
    """k3s's own kubeconfig with names that do not clash and an address that others reach.

    Args:
        server_kubeconfig: content of /etc/rancher/k3s/k3s.yaml, which says https://127.0.0.1:6443 and calls everything
            `default`.
        name: of cluster, user and context.
        server: URL of the API.
    """
    import yaml

    given = yaml.safe_load(server_kubeconfig)
    cluster = {**given["clusters"][0]["cluster"], "server": server}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": given["users"][0]["user"]}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merged(into: Kubeconfig, ours: Kubeconfig) -> Kubeconfig:
    """`into` with our cluster, user and context in place of those of the same names; its current context stays, if it
    has one."""
    result = {"apiVersion": "v1", "kind": "Config", **into}
    for kind in KINDS:
        names = {entry["name"] for entry in ours[kind]}
        result[kind] = [entry for entry in into.get(kind) or [] if entry.get("name") not in names] + ours[kind]
    result["current-context"] = into.get("current-context") or ours["current-context"]
    return result


def server_in_use(path: Path, servers: t.Sequence[str]) -> str:
    """The URL in the kubeconfig at `path` if it still is one of `servers`, else the first of them: so that a run
    without need changes nothing."""
    clusters = read(path).get("clusters") or [{}]
    cluster = clusters[0].get("cluster")
    present = cluster.get("server", "") if isinstance(cluster, dict) else ""
    return present if present in servers else servers[0]


def keep_user(path: Path, content: Kubeconfig, *, now: float | None = None) -> Kubeconfig:
    """`content` with the credentials that the kubeconfig at `path` has already, where they are as good.

    Each server has a certificate of its own for the administrator, of the same authority: a run that asks another
    server than the last one, as after the loss of the first, has no need to change the file.

    Args:
        now: seconds since 1970; the present where left out.
    """
    before, content = read(path), {**content}
    try:
        (cluster,), (user,) = before["clusters"], before["users"]
        kept, offered = user["user"], content["users"][0]["user"]
        authority = cluster["cluster"]["certificate-authority-data"]
        old, new = (base64.b64decode(entry["client-certificate-data"]) for entry in (kept, offered))
        old_end, new_end = certificates.end_of_first(old), certificates.end_of_first(new)
        same_issuer = certificates.issuer_of_first(old) == certificates.issuer_of_first(new)
    except (KeyError, TypeError, ValueError):
        return content  # not made by us, or by something older
    same_authority = authority == content["clusters"][0]["cluster"].get("certificate-authority-data")
    lasts = old_end > (time.time() if now is None else now) + RENEWAL_SECONDS or old_end >= new_end
    if same_authority and same_issuer and lasts and set(kept) == set(offered):
        content["users"] = [{**content["users"][0], "user": kept}]
    return content


def read(path: Path) -> Kubeconfig:
    """The kubeconfig at `path`, empty where there is no file.

    Raises:
        PlatformError: it is no kubeconfig, so that nothing of another's is overwritten.
    """
    import yaml

    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PlatformError(f"{path} is no YAML: {error}", next_step="Repair it, or name another file.") from error
    if not isinstance(content, dict):
        raise PlatformError(f"{path} is no kubeconfig.", next_step="Name another file.")
    for kind in KINDS:
        entries = content.get(kind) or []
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise PlatformError(
                f"{path} is no kubeconfig: `{kind}` must be a list of dictionaries.",
                next_step="Repair it, or name another file.",
            )
    return content


def ensure(path: Path, content: Kubeconfig, *, check_mode: bool) -> bool:
    """Write `content` to `path`, mode 0600; whether that changed anything."""
    import yaml

    same = path.exists() and read(path) == content and path.stat().st_mode & 0o777 == 0o600
    if same or check_mode:
        return not same
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write(path, yaml.safe_dump(content, sort_keys=False))
    return True


def run(parameters: dict[str, t.Any], check_mode: bool, _hidden: set[str]) -> dict[str, t.Any]:
    """The module `kubeconfig`: its options to its result."""
    path = Path(parameters["path"])
    server = server_in_use(path, parameters["servers"])
    content = keep_user(path, for_controller(parameters["content"], name=parameters["name"], server=server))
    changed = ensure(path, content, check_mode=check_mode)
    if parameters["merge_into"]:
        other = Path(parameters["merge_into"])
        changed |= ensure(other, merged(read(other), content), check_mode=check_mode)
    return {"changed": changed, "path": str(path), "server": server}
