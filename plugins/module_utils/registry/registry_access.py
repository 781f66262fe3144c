# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and passwords of the cluster's own registry: authority, certificate, two users and one for each tenant.
Made once, on the controller, and kept.

The truth is a Secret of the cluster; a file on this machine holds the same, for what comes before the cluster and for
deployments. Why so: docs/decisions/0012-function-registry.md.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import secrets
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..host import whole_file
from .certificates import lasts, new_authority, new_server, serves

Access = dict[str, t.Any]
DEPLOYER, NODES = "deployer", "nodes"
TENANT = "tenant-"
"""The user of a tenant is called this and the tenant's name, so that no tenant has the name of another user."""
SHORTEST_AUTHORITY_DAYS = 90
"""An authority that ends sooner is replaced, and with it all that it signed. The nodes get it in the same run."""
_ROUNDS = 5
"""bcrypt's least but one: the registry hashes at each request, and random passwords of 256 bits need no slow hash."""


@dataclasses.dataclass(frozen=True)
class DesiredAccess:
    """What is asked for.

    Attributes:
        host: what images are called after; "" keeps the one there is, else the first of `names`.
        names: host names and addresses that the registry is reached by, in the order of preference.
        path: what the names of repositories begin with.
        days: that a new certificate of the registry lasts.
        tenants: that have a user, beside those that have one already.
        removed: tenants whose user goes.
        new_passwords: tenants whose user gets another password.
    """

    host: str
    names: tuple[str, ...]
    port: int
    path: str
    days: int
    tenants: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    new_passwords: tuple[str, ...] = ()


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Do what the parameters of registry_access ask for; raises PlatformError."""
    names = tuple(name for name in parameters["names"] if name)
    if not names:
        raise PlatformError(
            "The registry has no name or address.",
            next_step="Set function_registry_host, or give the servers an address in the inventory.",
        )
    path = Path(parameters["path"]).absolute()
    desired = DesiredAccess(
        parameters["host"],
        names,
        parameters["port"],
        parameters["repository_path"].strip("/"),
        parameters["days"],
        tuple(parameters["tenants"]),
        tuple(parameters["tenants_removed"]),
        tuple(parameters["new_passwords"]),
    )
    changed, access = ensure(path, parameters["stored"], desired, check_mode=check_mode)
    return {"changed": changed, "registry": access["registry"], "hosts": access["hosts"], "path": str(path)}


def ensure(path: Path, stored: str, desired: DesiredAccess, *, check_mode: bool) -> tuple[bool, Access]:
    """Bring the file at `path` up to date, from what the cluster holds, else from the file, else from nothing.

    Args:
        stored: what the cluster holds; "" where it holds nothing or there is none.

    Returns:
        Whether the file had to be changed, and its content.
    """
    before = _parse(stored, "The cluster's Secret of the registry") if stored else read(path)
    after = brought_up_to_date(before, desired, authority_file=str(authority_path(path)))
    certificate = authority_path(path)
    same = read(path) == after and _mode(path) == 0o600 and _text(certificate) == after["authority"]["certificate"]
    if not same and not check_mode:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # First what makes the other useful: a run that is cut off between them writes both again.
            whole_file.write(certificate, after["authority"]["certificate"], mode=0o644)
            whole_file.write(path, dumps(after))
        except OSError as error:
            raise PlatformError(
                f"Cannot write {error.filename or path}: {error.strerror}.",
                next_step="Give a directory that you may write to in function_registry_directory.",
            ) from error
    return not same, after


def authority_path(path: Path) -> Path:
    """Beside the file, for `registry_ca_file`."""
    return path.with_name(f"{path.stem}-ca.pem")


def read(path: Path) -> Access:
    """The content of the file, {} without one; raises PlatformError where it cannot be read."""
    text = _text(path)
    return _parse(text, str(path)) if text else {}


def dumps(access: Access) -> str:
    """The text of the file and of the Secret; the same for the same content."""
    return json.dumps(access, indent=2, sort_keys=True) + "\n"


def brought_up_to_date(
    access: Access, desired: DesiredAccess, *, authority_file: str, now: datetime.datetime | None = None
) -> Access:
    """Give `access` with all parts made that are missing, end soon or no longer fit; unchanged if there are none.

    A function's image names the host that was there as it was deployed, so the host stays as long as nobody asks for
    another, and earlier ones stay names of the registry.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    earlier = [str(name) for name in access.get("names") or []]
    host = desired.host or str(access.get("host") or "") or desired.names[0]
    hosts = list(dict.fromkeys([*(access.get("hosts") or []), host]))
    # Names are only added, so neither another order nor a run that knows fewer servers causes a new certificate.
    names = list(dict.fromkeys([*earlier, host, *desired.names, *hosts]))
    authority = access.get("authority") or {}
    if not lasts(authority.get("certificate", ""), now, days=SHORTEST_AUTHORITY_DAYS):
        authority = new_authority(now)
    server = access.get("server") or {}
    if not serves(server.get("certificate", ""), names, authority["certificate"], now):
        server = new_server(names, authority, now, desired.days)
    users = _users(access.get("users") or {}, desired)

    def registry(host: str) -> str:
        return f"{bracketed(host)}:{desired.port}{'/' if desired.path else ''}{desired.path}"

    return {
        "registry": registry(host),
        "registries": [registry(name) for name in hosts],
        "username": DEPLOYER,
        "password": users[DEPLOYER],
        "ca_file": authority_file,
        "host": host,
        "hosts": hosts,
        "names": names,
        "port": desired.port,
        "authority": authority,
        "server": server,
        "users": users,
        "htpasswd": _htpasswd(users, str(access.get("htpasswd") or "")),
    }


def _users(present: dict[str, t.Any], desired: DesiredAccess) -> dict[str, str]:
    """The password of each user; tenants that nobody names keep theirs."""
    tenants = [name.removeprefix(TENANT) for name in present if name.startswith(TENANT)]
    tenants = [name for name in dict.fromkeys([*tenants, *desired.tenants]) if name not in desired.removed]
    kept = {
        name: str(password)
        for name, password in present.items()
        if password and name not in [f"{TENANT}{tenant}" for tenant in desired.new_passwords]
    }
    names = (DEPLOYER, NODES, *(f"{TENANT}{name}" for name in tenants))
    return {name: kept.get(name) or secrets.token_urlsafe(32) for name in names}


def bracketed(name: str) -> str:
    """An IPv6 address as URLs have it."""
    return f"[{name}]" if ":" in name else name


def _parse(text: str, what: str) -> Access:
    try:
        access = json.loads(text)
        if isinstance(access, dict):
            return access
    except ValueError:
        pass
    raise PlatformError(
        f"{what} is damaged: it is no JSON object.",
        next_step="Delete it and run again: a new authority and new passwords are made, and nodes start their k3s "
        "again to know them.",
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise PlatformError(
            f"Cannot read {path}: {getattr(error, 'strerror', '') or error}.",
            next_step="Repair it, or move it away and run again.",
        ) from error


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _htpasswd(users: dict[str, str], before: str) -> str:
    """A line per user; hashes carry a random salt, so those that still fit stay."""
    import bcrypt

    present = dict(line.split(":", 1) for line in before.splitlines() if ":" in line)

    def line(name: str, password: str) -> str:
        old = present.get(name, "").encode()
        try:
            fits = bool(old) and bcrypt.checkpw(password.encode(), old)
        except ValueError:
            fits = False
        return f"{name}:{(old if fits else bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS))).decode()}\n"

    return "".join(line(name, password) for name, password in sorted(users.items()))
