# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of certificates as the cryptography library and this reader see it."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.host.certificates import (
    NotACertificate,
    end_of_first,
    issuer_of_first,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(end: datetime.datetime, *, made_at: int = 1795312800) -> bytes:
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, f"k3s-server-ca@{made_at}"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "k3s"),
        ]
    )
    begin = datetime.datetime(1960, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
    )
    made = builder.not_valid_before(begin).not_valid_after(end).sign(KEY, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "end",
    [
        datetime.datetime(2026, 11, 22, 7, 30, 5, tzinfo=datetime.UTC),
        datetime.datetime(2049, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        datetime.datetime(2050, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC),
        datetime.datetime(1968, 7, 1, tzinfo=datetime.UTC),
    ],
)
def test_end(end: datetime.datetime) -> None:
    assert end_of_first(certificate(end)) == end.timestamp()


def test_the_first_of_a_chain_counts() -> None:
    leaf, authority = (datetime.datetime(year, 1, 1, tzinfo=datetime.UTC) for year in (2027, 2036))
    assert end_of_first(b"# a comment\n" + certificate(leaf) + certificate(authority)) == leaf.timestamp()


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"])
def test_no_certificate(pem: bytes) -> None:
    for read in (end_of_first, issuer_of_first):
        with pytest.raises(NotACertificate):
            read(pem)


def test_issuers_of_the_same_name_are_equal() -> None:
    first, second = (certificate(datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)) for year in (2027, 2028))
    assert b"k3s-server-ca@1795312800" in issuer_of_first(first)
    assert issuer_of_first(first) == issuer_of_first(second)
    assert issuer_of_first(
        certificate(datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC), made_at=1795312801)
    ) != issuer_of_first(first)


def test_cut_off_anywhere() -> None:
    lines = certificate(datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)).splitlines()
    for kept in range(1, 3):
        with pytest.raises(NotACertificate):
            end_of_first(b"\n".join([*lines[:kept], lines[-1]]))
