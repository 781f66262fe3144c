# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a certificate ends, read with nothing but the standard library: hosts have neither `cryptography` nor always the
openssl program."""

from __future__ import annotations

import base64
import datetime
import re
import typing as t

SEQUENCE = 0x30
UTC_TIME = 0x17
VERSION_TAG = 0xA0

RENEWAL_DAYS = 120
"""k3s renews each leaf certificate that ends within so many days whenever it starts (k3s v1.33.1 and later,
pkg/daemons/config/types.go, CertificateRenewDays; 90 before, k3s-io/k3s#12232)."""

PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


class NotACertificate(ValueError):
    """The bytes are not a certificate in PEM form."""


def end_of_first(pem: bytes) -> float:
    """`notAfter` of the first certificate of a PEM file, in seconds since 1970. The first is the leaf (RFC 8446,
    4.4.2).

    Raises:
        NotACertificate: no certificate in it, or one that is cut off.
    """
    encoded = _first(pem)
    try:
        return _not_after(_fields(encoded)[3][1])
    except (ValueError, IndexError, StopIteration) as error:
        raise NotACertificate(f"not readable ({error})") from error


def issuer_of_first(pem: bytes) -> bytes:
    """The name of the authority that issued the first certificate of a PEM file, encoded. k3s's authorities have the
    time of their making in it.

    Raises:
        NotACertificate: as of `end_of_first`.
    """
    encoded = _first(pem)
    try:
        return _fields(encoded)[2][1]
    except (ValueError, IndexError, StopIteration) as error:
        raise NotACertificate(f"not readable ({error})") from error


def _first(pem: bytes) -> bytes:
    found = PEM_BLOCK.search(pem)
    if found is None:
        raise NotACertificate("no certificate in it")
    return found.group(1)


def _fields(encoded: bytes) -> list[tuple[int, bytes]]:
    """serialNumber, signature, issuer, validity and what follows."""
    # RFC 5280, 4.1: Certificate {tbsCertificate {[0] version, serialNumber, signature, issuer, validity {notBefore,
    # notAfter}, …}, …}
    fields = list(_children(next(_children(_only(base64.b64decode(encoded))))[1]))
    return fields[1:] if fields[0][0] == VERSION_TAG else fields


def _not_after(validity: bytes) -> float:
    (_begin, (tag, text)) = list(_children(validity))
    written = text.decode("ascii")
    # RFC 5280, 4.1.2.5.1: two digits of a year below 50 are of this century; strptime draws that line at 69.
    century = "" if tag != UTC_TIME else "20" if int(written[:2]) < 50 else "19"
    return (
        datetime.datetime.strptime(century + written, "%Y%m%d%H%M%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()
    )


def _only(data: bytes) -> bytes:
    (tag, content) = next(_children(data))
    if tag != SEQUENCE:
        raise ValueError("no sequence at its start")
    return content


def _children(data: bytes) -> t.Iterator[tuple[int, bytes]]:
    """The values that stand one behind the other in `data` (X.690, 8.1), each as its tag and content."""
    position = 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if position + length > len(data):
            raise ValueError("it is cut off")
        yield tag, data[position : position + length]
        position += length
