# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a certificate, on real ones."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.certificate import problem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)
WILDCARDS = ["*.default.example.com", "*.user1.example.com"]


def make(
    names: list[str],
    *,
    begins: int = -1,
    ends: int = 90,
    subject: str = "leaf",
    issuer: str = "authority",
    password: bytes | None = None,
) -> tuple[str, str]:
    """A certificate and its key in PEM form; `begins` and `ends` are days from NOW."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=begins))
        .not_valid_after(NOW + datetime.timedelta(days=ends))
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
        )
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode(), pem.decode()


def judged(certificate: str, key: str | None, names: list[str] | None = None, days: int = 7) -> str:
    return problem(certificate, key, names if names is not None else WILDCARDS, days=days, now=NOW)


def test_a_good_one_with_its_chain() -> None:
    certificate, key = make(WILDCARDS)
    authority, _key = make([], subject="authority", issuer="root")
    assert judged(certificate + authority, key) == ""
    assert judged(certificate, None) == ""


@pytest.mark.parametrize(
    ("held", "wanted", "fits"),
    [
        (["*.example.com"], ["*.default.example.com"], False),  # one part only
        (["*.example.com"], ["*.example.com"], True),
        (["*.example.com"], ["shop.example.com"], True),
        (["*.example.com"], ["a.shop.example.com"], False),
        (["*.example.com"], ["example.com"], False),
        (["SHOP.example.com"], ["shop.Example.com"], True),
        (["shop.example.com"], ["*.example.com"], False),
        ([], ["shop.example.com"], False),
    ],
)
def test_names_as_clients_match_them(held: list[str], wanted: list[str], fits: bool) -> None:
    certificate, key = make(held, subject="shop.example.com")  # the common name does not count
    said = judged(certificate, key, wanted)
    assert (said == "") is fits
    if not fits:
        assert said == f"it is for another host: it holds {', '.join(held) or 'no host name'}, and not {wanted[0]}"


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (-100, -1, "it ended at 2026-11-21 12:00 UTC"),
        (-1, 3, "it ends at 2026-11-25 12:00 UTC, in less than 7 days"),
        (2, 90, "it begins only at 2026-11-24 12:00 UTC"),
    ],
)
def test_time(begins: int, ends: int, said: str) -> None:
    assert judged(*make(WILDCARDS, begins=begins, ends=ends)) == said


def test_key_and_form() -> None:
    certificate, key = make(WILDCARDS)
    _other, other_key = make(WILDCARDS)
    assert judged(certificate, other_key) == "its key is that of another certificate"
    assert judged(certificate, "nonsense") == "its key is no private key in PEM form"
    assert (
        judged(certificate, make(WILDCARDS, password=b"x")[1])
        == "its key is encrypted, and nobody would type the password"
    )
    assert judged(key, key) == "it holds no certificate in PEM form"
    assert judged("", None) == "it holds no certificate in PEM form"


def test_chain_in_the_wrong_order() -> None:
    certificate, key = make(WILDCARDS)
    stranger, _key = make([], subject="somebody else")
    assert judged(certificate + stranger, key).startswith("its chain is not in order")
