# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use the cluster's own registry, and how it is trusted: authority, certificate, two users. Made once, on the
controller, and kept.

The truth is a Secret of the cluster; a file on this machine holds the same, for what comes before the cluster and for
deployments. Why so: docs/decisions/0012-function-registry.md.
"""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
import json
import secrets
import typing as t
from pathlib import Path

from ..errors import PlatformError
from ..host import whole_file

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

Access = dict[str, t.Any]
DEPLOYER, NODES = "deployer", "nodes"
AUTHORITY_DAYS = 3650
SHORTEST_AUTHORITY_DAYS = 90
"""An authority that ends sooner is made anew, and with it all that it signed. The nodes learn of it in the same run."""
_ROUNDS = 5
"""bcrypt's least but one: the registry hashes at each request, and random passwords of 256 bits need no slow hash."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """
    Args:
        host: what images are called after; "" keeps the one there is, else the first of `names`.
        names: host names and addresses that the registry is reached by, in the order of preference.
        path: what the names of repositories begin with.
        days: that a new certificate of the registry lasts.
    """

    host: str
    names: tuple[str, ...]
    port: int
    path: str
    days: int


def ensure(path: Path, stored: str, wanted: Wanted, *, check_mode: bool) -> tuple[bool, Access]:
    """Whether the file at `path` had to be changed, and what it holds: what the cluster has, else what it has, else
    new; brought up to date.

    Args:
        stored: what the cluster holds; "" where it holds nothing or there is none.
    """
    before = _parse(stored, "The cluster's Secret of the registry") if stored else read(path)
    after = brought_up_to_date(before, wanted, authority_file=str(authority_path(path)))
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
                f"Can't write {error.filename or path}: {error.strerror}.",
                next_step="Give a folder that you may write to in function_registry_directory.",
            ) from error
    return not same, after


def authority_path(path: Path) -> Path:
    """Beside the file, for `registry_ca_file`."""
    return path.with_name(f"{path.stem}-ca.pem")


def read(path: Path) -> Access:
    """The content of the file, {} without one. Errors: PlatformError where it is unreadable."""
    text = _text(path)
    return _parse(text, str(path)) if text else {}


def dumps(access: Access) -> str:
    """As it stands in the file and in the Secret: the same text for the same content."""
    return json.dumps(access, indent=2, sort_keys=True) + "\n"


def brought_up_to_date(
    access: Access, wanted: Wanted, *, authority_file: str, now: datetime.datetime | None = None
) -> Access:
    """`access` with all that is missing, ends soon or no longer fits made anew; the same if there is no need.

    A function's image names the host that was there as it was deployed, so the host stays as long as nobody asks for
    another, and earlier ones stay names of the registry.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    earlier = [str(name) for name in access.get("names") or []]
    host = wanted.host or str(access.get("host") or "") or wanted.names[0]
    hosts = list(dict.fromkeys([*(access.get("hosts") or []), host]))
    # Names only come: neither another order nor a run that knows fewer of the servers means a new certificate.
    names = list(dict.fromkeys([*earlier, host, *wanted.names, *hosts]))
    authority = access.get("authority") or {}
    if not _lasts(authority.get("certificate", ""), now, days=SHORTEST_AUTHORITY_DAYS):
        authority = _new_authority(now)
    server = access.get("server") or {}
    if not _serves(server.get("certificate", ""), names, authority["certificate"], now):
        server = _new_server(names, authority, now, wanted.days)
    users = {
        name: str((access.get("users") or {}).get(name) or secrets.token_urlsafe(32)) for name in (DEPLOYER, NODES)
    }
    return {
        "registry": f"{bracketed(host)}:{wanted.port}{'/' if wanted.path else ''}{wanted.path}",
        "username": DEPLOYER,
        "password": users[DEPLOYER],
        "ca_file": authority_file,
        "host": host,
        "hosts": hosts,
        "names": names,
        "port": wanted.port,
        "authority": authority,
        "server": server,
        "users": users,
        "htpasswd": _htpasswd(users, str(access.get("htpasswd") or "")),
    }


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
            f"Can't read {path}: {getattr(error, 'strerror', '') or error}.",
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


def _lasts(certificate: str, now: datetime.datetime, *, days: float) -> bool:
    found = _load(certificate)
    return found is not None and found.not_valid_after_utc - now >= datetime.timedelta(days=days)


def _serves(certificate: str, names: t.Sequence[str], authority: str, now: datetime.datetime) -> bool:
    """Whether it has all names, was signed by this authority, and has a third of its life before it."""
    from cryptography import x509

    found, issuer = _load(certificate), _load(authority)
    if found is None or issuer is None:
        return False
    try:
        found.verify_directly_issued_by(issuer)
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound, _invalid_signature()):
        return False
    life = found.not_valid_after_utc - found.not_valid_before_utc
    return set(_alternative_names(names)) <= set(held) and found.not_valid_after_utc - now > life / 3


def _invalid_signature() -> type[Exception]:
    from cryptography.exceptions import InvalidSignature

    return InvalidSignature


def _load(certificate: str) -> x509.Certificate | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.encode())
    except ValueError:
        return None


def _alternative_names(names: t.Sequence[str]) -> list[x509.GeneralName]:
    """Of the certificate. 127.0.0.1 is how each node reaches the registry, by its own node port."""
    from cryptography import x509

    result: list[x509.GeneralName] = []
    for name in dict.fromkeys([*names, "127.0.0.1"]):
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def _new_authority(now: datetime.datetime) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("wasmfaas function registry authority")
    builder = _builder(subject, subject, key, now, AUTHORITY_DAYS).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return _signed(builder, key, key)


def _new_server(names: t.Sequence[str], authority: dict[str, str], now: datetime.datetime, days: int) -> dict[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer = x509.load_pem_x509_certificate(authority["certificate"].encode())
    issuer_key = t.cast(
        "ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(authority["key"].encode(), password=None)
    )
    key = ec.generate_private_key(ec.SECP256R1())
    # Not longer than the authority itself: clients refuse a chain at the end of its shortest part, and the age of this
    # one is what is looked at.
    days = max(1, min(days, (issuer.not_valid_after_utc - now).days))
    builder = _builder(_name("wasmfaas function registry"), issuer.subject, key, now, days)
    builder = builder.add_extension(x509.SubjectAlternativeName(_alternative_names(names)), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
    )
    return _signed(builder, key, issuer_key)


def _name(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime.datetime, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
    )
    # An hour ahead: clocks of hosts differ.
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=days)
    )
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> dict[str, str]:
    from cryptography.hazmat.primitives import hashes, serialization

    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "certificate": builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(),
        "key": private.decode(),
    }
