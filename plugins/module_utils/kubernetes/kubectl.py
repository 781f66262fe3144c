# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes API as a server's own `k3s kubectl` reaches it: with the administrator's rights, and without a client
library on the host.

API paths (`/api/v1/nodes/NAME`) go through kubectl's `--raw`, one request each and no discovery.
"""

from __future__ import annotations

import json
import re
import typing as t

from ..errors import PlatformError
from ..host.commands import TIMED_OUT, Completed, run_command
from ..k3s import paths

__all__ = ["ApiProblem", "Completed", "Conflict", "Kubectl", "NotFound", "Unreachable", "host_kubectl"]

FIELD_MANAGER = "wasmfaas"
REQUEST_SECONDS = 30

AGAIN = "Run it again."
REJECTED = "the server rejected our request due to an error in our request"
"""All that kubectl says of a JSON patch that cannot be applied (HTTP 422 without details)."""

Run = t.Callable[[list[str], "str | None"], Completed]
"""Runs kubectl with these arguments and this standard input."""

NOT_FOUND = re.compile(
    r"\(NotFound\)|could not find the requested resource|the server does not have a resource type|no matches for kind",
    re.IGNORECASE,
)
CONFLICT = re.compile(r"\(Conflict\)|\(AlreadyExists\)|the object has been modified", re.IGNORECASE)
UNREACHABLE = re.compile(
    r"connection refused|was refused - did you specify|i/o timeout|no route to host|Unable to connect to the "
    r"server|context deadline exceeded"
    r"|ServiceUnavailable|the server is currently unable to handle|connection reset by peer|unexpected EOF|TLS "
    r"handshake timeout"
    r"|request did not complete within"
    r"|etcdserver: (?:request timed out|leader changed|no leader)|apiserver not ready|\(Timeout\)|Client\.Timeout "
    r"exceeded|handle the request",
    re.IGNORECASE,
)


class ApiProblem(PlatformError):
    """The API refused a request."""


class NotFound(ApiProblem):
    """The object, or its kind, is not there."""


class Conflict(ApiProblem):
    """Somebody else changed the object since it was read, or made it first."""


class Unreachable(ApiProblem):
    """The API server does not answer, or not in time; it may later."""


class Kubectl:
    """Every method raises NotFound, Conflict, Unreachable or, for all else, ApiProblem."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def get(self, path: str) -> dict[str, t.Any]:
        """The object at an API path."""
        return self._object(self.call(["get", "--raw", path], what=f"read {path}"))

    def text(self, path: str) -> str:
        """The answer of a path that is no object, such as `/readyz?verbose`."""
        return self.call(["get", "--raw", path], what=f"read {path}")

    def create(self, path: str, content: dict[str, t.Any]) -> dict[str, t.Any]:
        """POST to the path of a collection or a subresource, such as `/api/v1/namespaces/N/pods/P/eviction`."""
        return self._object(
            self.call(["create", "--raw", path, "-f", "-"], json.dumps(content), what=f"create an object in {path}")
        )

    def replace(self, path: str, content: dict[str, t.Any]) -> dict[str, t.Any]:
        """PUT; Conflict where the object is no longer that of `metadata.resourceVersion`."""
        arguments = ["replace", "--raw", f"{path}?fieldManager={FIELD_MANAGER}", "-f", "-"]
        return self._object(self.call(arguments, json.dumps(content), what=f"change {path}"))

    def patch(self, path: str, patch: t.Any, *, kind: str = "merge") -> dict[str, t.Any]:
        """A patch of kind `merge`, `json` or `strategic` of the object at an API path.

        With `metadata.resourceVersion` in a merge patch: Conflict as for `replace`. A JSON patch whose `test` fails, or
        which removes what is not there, is a Conflict too.
        """
        arguments = [
            "patch",
            *_resource(path),
            f"--type={kind}",
            "--patch-file=/dev/stdin",
            f"--field-manager={FIELD_MANAGER}",
            "-o",
            "json",
        ]
        try:
            return self._object(self.call(arguments, json.dumps(patch), what=f"change {path}"))
        except ApiProblem as refused:
            if kind == "json" and REJECTED in refused.cause:
                raise Conflict(f"{path} is not what the change was made for any longer.", next_step=AGAIN) from refused
            raise

    def delete(self, path: str) -> bool:
        """DELETE; False where it was gone before."""
        try:
            self.call(["delete", "--raw", path], what=f"delete {path}")
        except NotFound:
            return False
        return True

    def call(self, arguments: t.Sequence[str], standard_input: str | None = None, *, what: str = "") -> str:
        """The output of any kubectl command; `what` says it in an error."""
        completed = self._run(list(arguments), standard_input)
        if completed.exit_code != 0:
            raise problem(completed, what or f"run kubectl {arguments[0]}")
        return completed.output

    def completed(self, arguments: t.Sequence[str], standard_input: str | None = None) -> Completed:
        """Any kubectl command, where its caller judges the exit code."""
        return self._run(list(arguments), standard_input)

    def ready(self) -> bool:
        """Whether this server's API says that it is ready."""
        return self._run(["get", "--raw", "/readyz"], None).exit_code == 0

    @staticmethod
    def _object(output: str) -> dict[str, t.Any]:
        try:
            read = json.loads(output)
        except ValueError as error:
            raise ApiProblem(
                f"kubectl printed no JSON: {output[:200]!r}.", next_step="Run the same kubectl command on the host."
            ) from error
        return read if isinstance(read, dict) else {}


def problem(completed: Completed, what: str) -> ApiProblem:
    """The error for a failed kubectl command that was to do `what`."""
    said = (completed.error.strip() or completed.output.strip())[-1000:]
    cause = f"The Kubernetes API did not {what}: {said or f'exit code {completed.exit_code}'}"
    cause = cause if cause.endswith((".", "!")) else f"{cause}."
    if NOT_FOUND.search(said):
        return NotFound(cause, next_step="Check the name, and that what defines its kind is installed.")
    if CONFLICT.search(said):
        return Conflict(cause, next_step=AGAIN)
    if completed.exit_code == TIMED_OUT or UNREACHABLE.search(said):
        return Unreachable(
            cause, next_step="See on the host: journalctl -u k3s -n 50, and k3s kubectl get --raw '/readyz?verbose'."
        )
    return ApiProblem(cause, next_step="Correct what it names, and run it again.")


def host_kubectl(
    program: str = paths.K3S_PROGRAM,
    *,
    command: t.Sequence[str] = (),
    kubeconfig: str = "",
    seconds: float = REQUEST_SECONDS,
) -> Kubectl:
    """`program kubectl` of this host, or another `command`; each call may take `seconds`, and what it asks of the API a
    little less."""
    begin = list(command) or [program, "kubectl"]
    credentials = [f"--kubeconfig={kubeconfig}"] if kubeconfig else []

    def run(arguments: list[str], standard_input: str | None) -> Completed:
        line = [*begin, *credentials, f"--request-timeout={max(1, int(seconds) - 1)}s", *arguments]
        # A KUBECONFIG of the host's administrator may name another cluster.
        return run_command(line, standard_input=standard_input, seconds=seconds, environment={"KUBECONFIG": ""})

    return Kubectl(run)


def _resource(path: str) -> list[str]:
    """`/api/v1/namespaces/N/pods/P` as kubectl's arguments: -n N pods P."""
    match = re.fullmatch(
        r"/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)/(?P<name>[^/?]+)",
        path,
    )
    if match is None:
        raise ValueError(f"{path} is not the path of one object")
    kind = f"{match['plural']}.{match['version']}.{match['group']}" if match["group"] else match["plural"]
    return [kind, match["name"], *(["-n", match["namespace"]] if match["namespace"] else [])]
