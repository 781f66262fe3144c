# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes and judges the certificates of the cluster's own registry."""

from __future__ import annotations

import datetime
import ipaddress
import typing as t

if t.TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650


def lasts(certificate: str, now: datetime.datetime, *, days: float) -> bool:
    """Whether a certificate in PEM is valid for so many days more; False for a text that is none."""
    found = _load(certificate)
    return found is not None and found.not_valid_after_utc - now >= datetime.timedelta(days=days)


def serves(certificate: str, names: t.Sequence[str], authority: str, now: datetime.datetime) -> bool:
    """Whether a certificate has all names, was signed by this authority, and has a third of its life before it."""
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
    """The names of the certificate, and 127.0.0.1, where each node reaches the registry by its own node port."""
    from cryptography import x509

    result: list[x509.GeneralName] = []
    for name in dict.fromkeys([*names, "127.0.0.1"]):
        try:
            result.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            result.append(x509.DNSName(name))
    return result


def new_authority(now: datetime.datetime) -> dict[str, str]:
    """Make an authority: `certificate` and `key` in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name("wasmfaas function registry authority")
    builder = _builder(subject, subject, key, now, AUTHORITY_DAYS).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return _signed(builder, key, key)


def new_server(names: t.Sequence[str], authority: dict[str, str], now: datetime.datetime, days: int) -> dict[str, str]:
    """Make a certificate that the authority signs: `certificate` and `key` in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer = x509.load_pem_x509_certificate(authority["certificate"].encode())
    issuer_key = t.cast(
        "ec.EllipticCurvePrivateKey", serialization.load_pem_private_key(authority["key"].encode(), password=None)
    )
    key = ec.generate_private_key(ec.SECP256R1())
    # Never beyond the end of the authority: clients would refuse the chain then, and `serves` looks at this certificate
    # alone.
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
    # Valid since an hour ago, as the clocks of hosts differ.
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
