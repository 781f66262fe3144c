# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what is wrong with a server's certificate before anybody is served with it. Runs on the controller, where
Ansible brings `cryptography`."""

from __future__ import annotations

import datetime
import typing as t

if t.TYPE_CHECKING:
    from cryptography import x509


def problem(certificate: str, key: str | None, names: t.Iterable[str], *, days: int, now: datetime.datetime) -> str:
    """Why a certificate cannot serve `names`; empty where it can.

    Args:
        certificate: PEM, the server's own certificate first and its chain behind it.
        key: PEM, not encrypted; None where it cannot be seen.
        names: host names, or wildcards as in *.shop.example.com, which only the same wildcard covers (RFC 9525, 6.3: it
            stands for one part).
        days: that it must still last.
    """
    from cryptography import x509

    try:
        own, *chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return "it holds no certificate in PEM form"
    if key is not None and (wrong := _wrong_key(own, key)):
        return wrong
    held = _names(own)
    missing = [name for name in names if not _covers(held, name)]
    if missing:
        return f"it is for another host: it holds {', '.join(held) or 'no host name'}, and not {', '.join(missing)}"
    if own.not_valid_before_utc > now:
        return f"it begins only at {own.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if own.not_valid_after_utc <= now:
        return f"it ended at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if own.not_valid_after_utc < now + datetime.timedelta(days=days):
        return f"it ends at {own.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, in less than {days} days"
    if chain and own.issuer != chain[0].subject:
        return "its chain is not in order: the second certificate is not of the authority that made the first"
    return ""


def _wrong_key(own: x509.Certificate, key: str) -> str:
    from cryptography.hazmat.primitives import serialization

    try:
        public = serialization.load_pem_private_key(key.encode(), password=None).public_key()
    except TypeError:
        return "its key is encrypted, and nobody would type the password"
    except ValueError:
        return "its key is no private key in PEM form"
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return (
        ""
        if public.public_bytes(*form) == own.public_key().public_bytes(*form)
        else "its key is that of another certificate"
    )


def _names(own: x509.Certificate) -> list[str]:
    """Only the alternative names count; clients have long ignored the common name (RFC 9525, 2)."""
    from cryptography import x509

    try:
        extension = own.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return extension.value.get_values_for_type(x509.DNSName)


def _covers(held: t.Iterable[str], name: str) -> bool:
    wanted = {name.lower()} | ({f"*.{name.lower().partition('.')[2]}"} if not name.startswith("*.") else set())
    return any(other.lower() in wanted for other in held)
