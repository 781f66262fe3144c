# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a deployed function over HTTP until it answers, as its first user would."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import re
import ssl
import time
import typing as t
import urllib.parse

from ..errors import PlatformError

HEALTH_PATH = "/.well-known/spin/health"
"""Every Spin HTTP application answers it with 200 (crates/trigger-http/src/server.rs)."""

_ADDRESS_DOMAINS = re.compile(r"(?:^|[.-])(\d{1,3}(?:[.-]\d{1,3}){3})\.(?:nip|sslip)\.io$")
REQUEST_TIMEOUT_SECONDS = 5.0
_BODY_BYTES = 500


@dataclasses.dataclass(frozen=True)
class ProbeResult:
    """What the last call saw."""

    status: int
    seconds: float  # of that call alone
    attempts: int


def address_in_name(host: str) -> str | None:
    """The IP address that a nip.io or sslip.io name spells out; None for any other name.

    Such a name needs no DNS to be probed, and some resolvers drop these answers as DNS rebinding.
    """
    match = _ADDRESS_DOMAINS.search(host)
    if match is None:
        return None
    try:
        return str(ipaddress.IPv4Address(match[1].replace("-", ".")))
    except ValueError:
        return None


def probe(
    url: str,
    *,
    path: str = HEALTH_PATH,
    timeout_seconds: float,
    address: str | None = None,
    ca_file: str | None = None,
    failing_status: int = 400,
) -> ProbeResult:
    """GET `url` + `path` until it answers with a status below `failing_status`.

    Args:
        address: `host` or `host:port` to connect to instead of the URL's, as long as DNS does not know the name yet;
            IPv6 with or without brackets.
        ca_file: certificates to trust for https.

    Raises:
        PlatformError: it did not within `timeout_seconds`; names the last answer.
    """
    import httpx2
    import tenacity

    parts = urllib.parse.urlsplit(url)
    host = parts.hostname or ""
    connect_to = address or address_in_name(host)
    target = urllib.parse.urlunsplit(
        (parts.scheme, _with_port(connect_to, parts.port) if connect_to else parts.netloc, path, "", "")
    )
    attempts = 0
    verify: t.Any = trusted(ca_file) if ca_file else True
    if parts.scheme != "https":
        verify = False  # nothing to verify, and loading the system's certificates takes longer than the call

    with httpx2.Client(timeout=REQUEST_TIMEOUT_SECONDS, verify=verify, trust_env=False) as client:

        def call() -> tuple[httpx2.Response, bytes, float]:
            nonlocal attempts
            attempts += 1
            started = time.monotonic()
            # The body is left where it is but for an error's first bytes: it may be large, or a stream without an end.
            with client.stream(
                "GET",
                target,
                headers={"Host": parts.netloc, "Accept-Encoding": "identity"},
                extensions={"sni_hostname": host},
            ) as response:
                body = next(response.iter_raw(), b"")[:_BODY_BYTES] if response.status_code >= 400 else b""
            return response, body, time.monotonic() - started

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(httpx2.TransportError)
            | tenacity.retry_if_result(lambda result: result[0].status_code >= failing_status),
            wait=tenacity.wait_exponential(multiplier=0.02, max=1),
            stop=tenacity.stop_after_delay(timeout_seconds),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            response, body, seconds = retrying(call)
        except httpx2.TransportError as error:
            raise PlatformError(
                f"{url}{path} cannot be reached: {error}.",
                next_step=_unreachable_advice(host, connect_to, str(error)),
                facts={"url": url + path},
            ) from error
    if response.status_code >= failing_status:
        raise PlatformError(
            f"{url}{path} answers {response.status_code} {response.reason_phrase}.",
            next_step="Look at the function's log; if its health is elsewhere, name it with `-e probe_path=/…`.",
            facts={"url": url + path, "status": response.status_code, "body": body.decode(errors="replace")},
        )
    return ProbeResult(response.status_code, seconds, attempts)


def _with_port(address: str, port: int | None) -> str:
    with contextlib.suppress(ValueError):
        address = f"[{ipaddress.IPv6Address(address)}]"
    has_port = ":" in address.rpartition("]")[2]
    return address if has_port or port is None else f"{address}:{port}"


def trusted(ca_file: str) -> ssl.SSLContext:
    """A context that trusts the certificates in a PEM file alone; raises PlatformError where it cannot be read."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise PlatformError(
            f"probe_ca_file: {ca_file} cannot be read: {error.strerror or error}.",
            next_step="Name a PEM file with certificates of authorities.",
        ) from error


def _unreachable_advice(host: str, connect_to: str | None, error: str) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in error:
        # What Traefik shows where no certificate of a listener is for the host (3.7.11: pkg/tls/tlsmanager.go).
        if re.search("self.signed certificate(?! in certificate chain)", error):
            return (
                f"The Gateway has no certificate for {host} and shows a self-signed one. Give its HTTPS listener a "
                f"certificate for {host}, or name the self-signed one with `-e probe_ca_file=PATH` if that is meant."
            )
        return (
            f"Give the Gateway's HTTPS listener a certificate for {host}, or name the authority it comes from "
            "with `-e probe_ca_file=PATH`."
        )
    if connect_to:
        return (
            f"See that port 80/443 of {connect_to} is open from here (security group, firewall) and the Gateway's "
            "load balancer is up."
        )
    return f"See that DNS resolves {host} from here, or name the load balancer with `-e probe_address=IP`."
