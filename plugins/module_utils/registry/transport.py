# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP for this step: a client with a private CA, retries with a bound, and what a failed connection means to a
user."""

from __future__ import annotations

import email.utils
import errno
import socket
import ssl
import threading
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError
from .model import Timeouts

if t.TYPE_CHECKING:
    import httpx2

Result = t.TypeVar("Result")

USER_AGENT = "wasmfaas.platform"
CHUNK = 256 * 1024  # bytes; more gains no speed on loopback, and four uploads hold four of them

_TEMPORARY_STATUS = frozenset({408, 429, 500, 502, 503, 504})
# What OpenSSL says when the other side answers a TLS hello in plain HTTP; the name depends on its version.
_NOT_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}
)


class TemporaryFailure(Exception):
    """An answer that a later attempt may not get; `error` is raised if no attempt is left."""

    def __init__(self, error: PlatformError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after  # seconds


class Cancelled(Exception):
    """Another part of the same push failed; never leaves this package."""


class Peer(t.NamedTuple):
    """The server that requests go to, for messages."""

    address: str  # host[:port]
    kind: str = "registry"
    plain_http: bool = False


def create_client(*, ca_file: Path | None, plain_http: bool, timeouts: Timeouts, connections: int = 4) -> httpx2.Client:
    """A client that takes proxies from the environment and keeps connections. Errors: PlatformError for an unusable
    file."""
    import httpx2

    return httpx2.Client(
        # Loading the system's authorities takes about 40 ms, which plain HTTP need not pay.
        verify=False if plain_http and ca_file is None else tls_context(ca_file),
        timeout=httpx2.Timeout(timeouts.transfer, connect=timeouts.connect, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=connections),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        follow_redirects=False,
    )


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The system's certificate authorities and those in `ca_file`."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = (
                error.strerror if not isinstance(error, ssl.SSLError) and error.strerror else "no PEM certificate in it"
            )
            raise PlatformError(
                f"Cannot use the certificate file {ca_file}: {reason}.",
                next_step="Give the path of a PEM file with the certificate of the authority.",
            ) from error
    return context


def with_retries(
    action: t.Callable[[], Result],
    *,
    did: str,
    peer: Peer,
    timeouts: Timeouts,
    cancelled: threading.Event | None = None,
) -> Result:
    """The result of `action`, tried again after connection errors and TemporaryFailure, within `timeouts`.

    Args:
        did: what is being done, for messages, such as `uploading blob sha256:…`.
        cancelled: ends the waiting between attempts.

    Errors: PlatformError for the last failure; whatever else `action` raises at once.
    """
    import httpx2
    import tenacity

    stop = cancelled or threading.Event()
    backoff = tenacity.wait_exponential(multiplier=timeouts.first_wait, max=10) + tenacity.wait_random(
        0, timeouts.first_wait / 2
    )

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, TemporaryFailure) and error.retry_after is not None:
            return error.retry_after
        return backoff(state)

    def retry(error: BaseException) -> bool:
        return not stop.is_set() and is_temporary(error, timeouts)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry),
        stop=tenacity.stop_after_attempt(timeouts.attempts) | tenacity.stop_before_delay(timeouts.total),
        wait=wait,
        sleep=tenacity.sleep_using_event(stop),
        reraise=True,
    )
    try:
        return retrying(action)
    except TemporaryFailure as failure:
        raise failure.error from None
    except (httpx2.RequestError, httpx2.InvalidURL) as error:
        raise connection_error(error, did=did, peer=peer, timeouts=timeouts) from error


def temporary(response: httpx2.Response, error: PlatformError) -> Exception:
    """`error`, wrapped as TemporaryFailure if the status says so (RFC 9110 §15.6, RFC 6585 §4)."""
    if response.status_code not in _TEMPORARY_STATUS:
        return error
    return TemporaryFailure(error, _retry_after(response.headers.get("Retry-After")))


def connection_error(error: Exception, *, did: str, peer: Peer, timeouts: Timeouts) -> PlatformError:
    """What a failed connection means and what to do; the cause is found in the chain of exceptions."""
    import httpx2

    where = f"the {peer.kind} {peer.address}"
    host = _host(peer.address)
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PlatformError(
                f"The certificate of {where} is not trusted ({cause.verify_message}), while {did}.",
                next_step=f"{_trust(peer)} To see the certificate: `openssl s_client -connect "
                f"{_with_port(peer.address)}`.",
            )
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
            plain = (
                "set `registry_plain_http: true` if the network to it is trusted"
                if peer.kind == "registry"
                else "write `http://`"
            )
            return PlatformError(
                f"{_capital(where)} does not speak HTTPS, while {did}.",
                next_step=f"Give the port that speaks HTTPS, or {plain}.",
            )
        if isinstance(cause, socket.gaierror):
            return PlatformError(
                f"The name {host!r} of {where} cannot be resolved ({cause.strerror}), while {did}.",
                next_step=f"Check the spelling and the DNS: `getent hosts {host}`.",
            )
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return PlatformError(f"Nothing listens at {where}: connection refused, while {did}.", next_step=_look(peer))
    if _is_not_http(error):
        return PlatformError(
            f"{_capital(where)} does not answer in plain HTTP, while {did}.",
            next_step="Use HTTPS: leave `registry_plain_http` out.",
        )
    if isinstance(error, httpx2.ConnectTimeout):
        return PlatformError(
            f"No connection to {where} within {timeouts.connect:g} s, while {did}.", next_step=_look(peer)
        )
    if isinstance(error, httpx2.TimeoutException):
        limit = (
            f"{timeouts.transfer:g} s; {timeouts.commit:g} s after a whole blob"
            if peer.kind == "registry"
            else f"{timeouts.transfer:g} s"
        )
        return PlatformError(
            f"{_capital(where)} gave no answer in time ({limit}), while {did}.",
            next_step=f"Run again; if it stays slow, see its load and its log. {_look(peer)}",
        )
    if isinstance(error, httpx2.ProxyError):
        return PlatformError(
            f"The HTTP proxy refused the connection to {where}, while {did}: {error}.",
            next_step=f"Check HTTPS_PROXY and HTTP_PROXY, or add {host} to NO_PROXY.",
        )
    reason = str(chain[-1]) or type(chain[-1]).__name__
    return PlatformError(
        f"The connection to {where} failed ({reason}), while {did}.",
        next_step=f"Run again: what arrived whole is not sent again. {_look(peer)}",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _look(peer: Peer) -> str:
    url = f"{'http' if peer.plain_http else 'https'}://{peer.address}{'/v2/' if peer.kind == 'registry' else '/'}"
    return f"Check that {peer.address} is right and running: `curl -v {url}`."


def _trust(peer: Peer) -> str:
    if peer.kind != "server":
        return "Set `registry_ca_file` to the PEM file of the authority that signed it."
    return (
        "Add the authority that signed it to the system's (`update-ca-certificates`), or name its PEM file in "
        "SSL_CERT_FILE."
    )


def is_temporary(error: BaseException, timeouts: Timeouts) -> bool:
    """Whether a later attempt may not fail so."""
    import httpx2

    if isinstance(error, TemporaryFailure):
        return error.retry_after is None or error.retry_after <= timeouts.longest_wait
    if not isinstance(error, httpx2.TransportError) or isinstance(
        error, (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.ProxyError)
    ):
        return False
    if _is_not_http(error):
        return False
    # A connection cut inside TLS may work the next time; a certificate or a protocol will not change.
    return not any(
        isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        for cause in _chain(error)
    )


def _is_not_http(error: BaseException) -> bool:
    import httpx2

    return isinstance(error, httpx2.RemoteProtocolError) and "illegal status line" in str(error)


def _chain(error: BaseException) -> t.Iterator[BaseException]:
    following: BaseException | None = error
    while following is not None:
        yield following
        following = following.__cause__ or following.__context__


def _retry_after(value: str | None) -> float | None:
    """Seconds or a date, RFC 9110 §10.2.3; None if there is none or it makes no sense."""
    if not value:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _host(address: str) -> str:
    return address if address.endswith("]") else address.rpartition(":")[0] or address


def _with_port(address: str) -> str:
    return address if _host(address) != address else f"{address}:443"
