# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks image registries, from the node that will pull from them, whether they answer and whether the node trusts them.
Runs on the host."""

from __future__ import annotations

import http.client
import ssl
import typing as t
import urllib.parse
from concurrent.futures import ThreadPoolExecutor


def probe(endpoints: t.Sequence[dict[str, t.Any]], timeout: float) -> list[dict[str, t.Any]]:
    """Each endpoint with `state` added: `answers`, `distrusted` (TLS), `unreachable` or `failing` (a server error); and
    `detail`.

    Args:
        endpoints: `url` and, where set, `ca_file`, `cert_file`, `key_file`, `insecure` (bool).
        timeout: seconds for each; they are asked at the same time.
    """
    if not endpoints:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(endpoints))) as pool:
        return list(pool.map(lambda endpoint: {**endpoint, **_ask(endpoint, timeout)}, endpoints))


def _ask(endpoint: dict[str, t.Any], timeout: float) -> dict[str, str]:
    address = urllib.parse.urlsplit(endpoint["url"])
    try:
        connection = _connection(endpoint, address, timeout)
    except (OSError, ValueError) as error:
        return {"state": "distrusted", "detail": f"its certificate files cannot be used: {error}"}
    try:
        # Every registry has this path, and answers 401 to strangers (OCI distribution specification, end-1).
        connection.request("GET", f"{address.path.rstrip('/').removesuffix('/v2')}/v2/")
        status = connection.getresponse().status
    except ssl.SSLError as error:
        return {"state": "distrusted", "detail": getattr(error, "verify_message", "") or error.reason or str(error)}
    except (OSError, http.client.HTTPException) as error:
        return {"state": "unreachable", "detail": str(error) or type(error).__name__}
    finally:
        connection.close()
    return {"state": "failing" if status >= 500 else "answers", "detail": f"HTTP {status}"}


def _connection(
    endpoint: dict[str, t.Any], address: urllib.parse.SplitResult, timeout: float
) -> http.client.HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "http":
        return http.client.HTTPConnection(host, address.port or 80, timeout=timeout)
    context = ssl.create_default_context(cafile=endpoint.get("ca_file") or None)
    if endpoint.get("ca_file"):
        # containerd adds the file to the system's authorities (containerd, core/remotes/docker/config).
        context.load_default_certs()
    if endpoint.get("cert_file"):
        context.load_cert_chain(endpoint["cert_file"], endpoint.get("key_file") or None)
    if endpoint.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, address.port or 443, timeout=timeout, context=context)
