# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects to a Kubernetes API server with the authentication options of the kubernetes.core collection."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t
from pathlib import Path

from ..errors import PlatformError

if t.TYPE_CHECKING:
    import httpx2
    import lightkube

    BaseTransport = httpx2.BaseTransport
else:
    BaseTransport = object  # third-party packages are imported where they are used

REQUEST_TIMEOUT_SECONDS = 15.0
FIRST_CONTACT_SECONDS = 8.0
"""How long an API server that never answered is tried: long enough for a lost packet, short enough for a wrong
address."""

LATER_CONTACT_SECONDS = 90.0
"""How long a server that answered before is tried again, so that its restart does not fail a deployment."""

ANSWER_BYTES = 256 << 20
"""What is taken of an answer: a list of the largest clusters has some tens of megabytes."""

ANSWER_SECONDS = 120.0
"""For the whole of an answer that comes in small pieces."""

RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})

_OF_THE_TRANSFER = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that do not describe a body once it was read."""


class NoAnswer(PlatformError):
    """The API server does not answer."""


@dataclasses.dataclass(frozen=True)
class ConnectionOptions:
    """Names and meaning are those of kubernetes.core's `k8s_auth_options`; what is None comes from K8S_AUTH_* or the
    kubeconfig."""

    kubeconfig: str | dict[str, t.Any] | None = None
    context: str | None = None
    host: str | None = None
    api_key: str | None = None
    username: str | None = None
    password: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None
    validate_certs: bool | None = None
    proxy: str | None = None
    impersonate_user: str | None = None
    impersonate_groups: tuple[str, ...] = ()


def connect(options: ConnectionOptions, *, patient: bool = True) -> lightkube.Client:
    """A client for the API server that `options` name; nothing is sent yet.

    Args:
        patient: whether a request is sent again while the API server does not answer. Without it each request is sent
            once and without impersonation, and its answer may be read while it grows.

    Raises:
        PlatformError: no kubeconfig, a wrong context, a certificate that cannot be read.
    """
    import httpx2
    import lightkube
    from lightkube.config.client_adapter import verify_cluster
    from lightkube.config.models import User
    from lightkube.core.exceptions import ConfigError

    try:
        config = _single_config(options)
        if config.user is None:
            config = config._replace(user=User())
        cluster, user = config.cluster, config.user
        for name, value in (("server", options.host), ("certificate_auth", options.ca_cert)):
            if value:
                setattr(cluster, name, value)
        if options.ca_cert:
            cluster.certificate_auth_data = None
        if options.validate_certs is not None:
            cluster.insecure = not options.validate_certs
            if cluster.insecure:
                cluster.certificate_auth = cluster.certificate_auth_data = None
        credentials = (
            ("token", options.api_key), ("username", options.username), ("password", options.password),
            ("client_cert", options.client_cert), ("client_key", options.client_key),
        )  # fmt: skip
        for name, value in credentials:
            if value:
                setattr(user, name, value)
        once = httpx2.HTTPTransport(verify=verify_cluster(cluster, user, config.abs_file), proxy=options.proxy)
        transport = _Transport(once, cluster.server, _impersonation(options)) if patient else once
        return lightkube.Client(config, timeout=httpx2.Timeout(REQUEST_TIMEOUT_SECONDS), transport=transport)
    except (ConfigError, KeyError, OSError, ValueError, TypeError, AttributeError) as error:
        raise PlatformError(
            f"The connection to Kubernetes cannot be set up: {_reason(error)}.",
            next_step="Name the right file with `-e kubeconfig=PATH` (and `-e context=NAME`), or deploy on this "
            "machine with `-e target=local`.",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the kubeconfig has no entry {error}"
    if isinstance(error, (TypeError, AttributeError)):  # text where a table or a list belongs
        return f"the kubeconfig is damaged ({error})"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _single_config(options: ConnectionOptions) -> t.Any:
    from lightkube.config.kubeconfig import KubeConfig
    from lightkube.config.models import Cluster, User

    if isinstance(options.kubeconfig, dict):
        return KubeConfig.from_dict(_with_exec_version(options.kubeconfig)).get(options.context)
    explicit = options.kubeconfig or os.environ.get("KUBECONFIG")
    if options.host and not explicit and (options.api_key or options.username or options.client_cert):
        return KubeConfig.from_one(cluster=Cluster(server=options.host), user=User()).get()
    if not explicit and "KUBERNETES_SERVICE_HOST" in os.environ:
        return KubeConfig.from_service_account().get()
    paths = [Path(part).expanduser() for part in (explicit or "~/.kube/config").split(os.pathsep) if part]
    present = [path for path in paths if path.is_file()]
    if not present:
        raise FileNotFoundError(2, "no such kubeconfig", str(paths[0]))
    return KubeConfig.from_dict(_with_exec_version(_merged(present)), fname=present[0]).get(options.context)


def _merged(paths: list[Path]) -> dict[str, t.Any]:
    """Several files of KUBECONFIG as one; the first to name an entry wins, as in kubectl."""
    import yaml

    merged: dict[str, t.Any] = {"clusters": [], "contexts": [], "users": []}
    for path in paths:
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path} is not a kubeconfig")
        if content.get("current-context"):
            merged.setdefault("current-context", content["current-context"])
        for section in ("clusters", "contexts", "users"):
            known = {entry["name"] for entry in merged[section]}
            merged[section] += [entry for entry in content.get(section) or [] if entry["name"] not in known]
    return merged


def _with_exec_version(kubeconfig: dict[str, t.Any]) -> dict[str, t.Any]:
    """Present credential plugins of v1 as v1beta1, the only version that lightkube 1.0 runs. It uses nothing that
    differs, and the plugin reads its version from KUBERNETES_EXEC_INFO."""
    version = "client.authentication.k8s.io/v1"
    for entry in kubeconfig.get("users") or []:
        plugin = (entry.get("user") or {}).get("exec")
        if plugin and plugin.get("apiVersion") == version:
            plugin["apiVersion"] = f"{version}beta1"
            information = f'{{"apiVersion":"{version}","kind":"ExecCredential","spec":{{"interactive":false}}}}'
            plugin["env"] = [*(plugin.get("env") or []), {"name": "KUBERNETES_EXEC_INFO", "value": information}]
    return kubeconfig


def _impersonation(options: ConnectionOptions) -> list[tuple[str, str]]:
    headers = [("Impersonate-User", options.impersonate_user)] if options.impersonate_user else []
    return headers + [("Impersonate-Group", group) for group in options.impersonate_groups]


class _Transport(BaseTransport):
    """Adds the impersonation headers, and tries again while the API server is restarting or asks for patience.

    Safe for every request of ours: reads, server-side apply and delete are idempotent, and a repeated create is told by
    its name.
    """

    def __init__(self, transport: httpx2.HTTPTransport, server: str, headers: list[tuple[str, str]]) -> None:
        self._transport = transport
        self._server = server
        self._headers = headers
        self._contacted = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        import httpx2

        # Added, not set: there is one header for each group.
        request.headers = httpx2.Headers([*request.headers.multi_items(), *self._headers])
        begun = time.monotonic()
        try:
            response = self._send(request)
        except httpx2.TransportError as error:
            return self._send_again(request, error, begun)
        return self._send_again(request, response, begun) if response.status_code in RETRIED_STATUS else response

    def _send(self, request: httpx2.Request) -> httpx2.Response:
        # Read here, so that an answer that is cut off is tried again as well.
        response = self._whole(self._transport.handle_request(request), request)
        if response.status_code not in RETRIED_STATUS:
            self._contacted = True
        return response

    def _send_again(
        self, request: httpx2.Request, first: httpx2.Response | httpx2.TransportError, begun: float
    ) -> httpx2.Response:
        """What comes of a request whose first try, begun at `begun`, failed so."""
        import httpx2
        import tenacity  # a run whose requests are all answered does without it

        tried = [first]

        def send() -> httpx2.Response:
            outcome = tried.pop() if tried else self._send(request)
            if isinstance(outcome, httpx2.TransportError):
                raise outcome
            return outcome

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(httpx2.TransportError)
            | tenacity.retry_if_result(lambda response: response.status_code in RETRIED_STATUS),
            wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=2),
            stop=lambda _state: (
                time.monotonic() - begun > (LATER_CONTACT_SECONDS if self._contacted else FIRST_CONTACT_SECONDS)
            ),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )
        try:
            return retrying(send)
        except httpx2.TransportError as error:
            raise NoAnswer(
                f"The Kubernetes API server {self._server} does not answer: {error}.",
                next_step="See that it runs and that this machine reaches it (`kubectl get nodes`), then run the "
                "same command again.",
            ) from error

    def _whole(self, response: httpx2.Response, request: httpx2.Request) -> httpx2.Response:
        """The answer with its body; raises PlatformError where that is too long or does not end."""
        import httpx2

        content = bytearray()
        end = time.monotonic() + ANSWER_SECONDS
        try:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > ANSWER_BYTES or time.monotonic() > end:
                    limit = f"{ANSWER_BYTES} bytes" if len(content) > ANSWER_BYTES else f"{ANSWER_SECONDS:g} s"
                    raise PlatformError(
                        f"The answer of the Kubernetes API server {self._server} takes more than {limit}.",
                        next_step="Check that the kubeconfig names the right server, and that no proxy in between "
                        "changes answers.",
                    )
        finally:
            response.close()
        kept = [item for item in response.headers.multi_items() if item[0].lower() not in _OF_THE_TRANSFER]
        return httpx2.Response(
            response.status_code,
            headers=kept,
            content=bytes(content),
            request=request,
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._transport.close()
