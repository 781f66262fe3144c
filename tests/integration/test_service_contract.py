# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted service answers as openapi.yml says, whatever it is asked: schemathesis calls every operation with values
that the document allows, at their bounds and past them."""

from __future__ import annotations

import hashlib
import typing as t
import zlib
from pathlib import Path

import hypothesis
import pytest
import schemathesis
from ansible_collections.wasmfaas.platform.service.api import authentication
from ansible_collections.wasmfaas.platform.service.api.health import OPENAPI
from ansible_collections.wasmfaas.platform.service.application import application
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient

from ..extent import FULL
from .support.service_stand_in import BROKEN, SLOW, WAITING, ServiceStandIn, archive, service_stand_in

RANDOM_REQUESTS = 260 if FULL else 4
"""For each operation, each sent with three tokens; beside about a thousand at the bounds of what openapi.yml allows."""

SCHEMA = schemathesis.openapi.from_path(
    OPENAPI,
    config=SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "generation": {"with-security-parameters": False, "allow-extra-parameters": False, "database": "none"},
            "checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}},
        }
    ),
)

ANSWER_CHECKS: tuple[t.Any, ...] = (
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
)
CHECKS = [*ANSWER_CHECKS, checks.negative_data_rejection, checks.unsupported_method]

TAKE_ARCHIVES = frozenset({"deploySource", "uploadForm", "uploadSource"})
"""Refuse random bytes, which the document cannot tell from an archive."""

NEVER_SUCCEED = frozenset({"promote", "uploadForm"})
"""On this target there are no canaries; schemathesis sends no file names in forms, see `test_forms`."""

THERE: dict[str, list[t.Any]] = {
    "tenant": ["user1"],
    "function": ["shop", "shop", SLOW, BROKEN],
    "number": [1, 2, 3, 4],
    "variable": ["greeting", "api_key"],
    "name": ["alice-laptop", "root"],
}
"""Names that the service knows; random ones would always be answered by 404."""

LOG_TYPES = ("text/plain", "application/x-ndjson", "text/event-stream")


class Calls:
    """Sends the requests of one operation to a service.

    Attributes:
        succeeded: whether a request got what it asked for.
        operation: its operationId.
    """

    def __init__(self, stand_in: ServiceStandIn) -> None:
        self._stand_in = stand_in
        self._application = application(stand_in.service)
        self.succeeded = False
        self.operation = ""

    def check(self, case: schemathesis.Case) -> None:
        """Send a request without a token, with one that may only read, and with one that may do what it asks for."""
        self.operation = case.operation.definition.raw["operationId"]
        self._aim(case)
        is_open = not case.operation.path.startswith("/v1/")
        changes = case.operation.method not in ("get", "head")
        nobody = self._answer(case, "")
        assert is_open or nobody.status_code in (401, 405)
        reader = self._answer(case, self._stand_in.read)
        assert not changes or 403 <= reader.status_code <= 422
        wanted = [*CHECKS, checks.positive_data_acceptance]
        if self.operation in TAKE_ARCHIVES or _has_fractions(case.body):
            wanted.pop()
        administers = case.operation.path.startswith("/v1/tokens")
        answer = self._answer(case, self._stand_in.admin if administers else self._stand_in.deploy, wanted)
        self.succeeded |= answer.status_code < 300

    def _answer(
        self, case: schemathesis.Case, token: str, wanted: t.Sequence[t.Any] = ANSWER_CHECKS
    ) -> schemathesis.Response:
        case.headers.pop("Authorization", None)
        answer = case.call(app=self._application, headers={"Authorization": f"Bearer {token}"} if token else {})
        case.validate_response(answer, checks=wanted)
        return answer

    def _aim(self, case: schemathesis.Case) -> None:
        """Put names and archives that are there into three of four valid requests; the same each time."""
        if case.meta is None or case.meta.generation.mode.is_negative:
            return
        chosen = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode("utf-8", "surrogatepass"))
        if not chosen % 4:
            return
        chosen //= 4
        path = {
            name: THERE[name][chosen % len(THERE[name])] if name in THERE else value
            for name, value in case.path_parameters.items()
        }
        content = archive(str(chosen % 8))
        match self.operation:
            case "lookUpSource":
                path["digest"] = self._stand_in.digests[chosen % 2]
            case "createDeployment":
                case.body = {**case.body, "source": self._stand_in.digests[chosen % 2]}
            case "uploadSource":
                path["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
                case.body = content
            case "deploySource":
                case.body = content
                case.headers["Accept"] = ("*/*", "application/json")[chosen % 2]
            case "cancelDeployment":
                path["function"] = WAITING
            case "readDeploymentLog":
                case.headers["Accept"] = LOG_TYPES[chosen % 3]
        case.path_parameters = path


def _has_fractions(body: t.Any) -> bool:
    """Whether a body has numbers such as 1.0, which are integers for JSON Schema but not for the service."""
    if isinstance(body, dict):
        return any(_has_fractions(value) for value in body.values())
    return isinstance(body, float)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[ServiceStandIn]:
    """A service without bounds on the number of requests."""
    for limit in ("CHANGES_PER_MINUTE", "FAILURES_PER_MINUTE"):
        monkeypatch.setattr(authentication, limit, 1_000_000)
    with service_stand_in(tmp_path) as made:
        yield made


@pytest.fixture
def calls(stand_in: ServiceStandIn) -> t.Iterator[Calls]:
    """One service for all requests of an operation; at its end some of them must have succeeded."""
    made = Calls(stand_in)
    yield made
    assert made.succeeded or made.operation in NEVER_SUCCEED


@SCHEMA.parametrize()
@hypothesis.settings(
    max_examples=RANDOM_REQUESTS, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_answers_are_as_the_document_says(calls: Calls, case: schemathesis.Case) -> None:
    calls.check(case)


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([("archive", ("shop.tar.gz", archive("one")))], 201),
        ([("file", ("spin.toml", b"one")), ("file", ("src/app.py", b"two"))], 201),
        ([("file", ("../spin.toml", b"one"))], 422),
        ([("archive", ("shop.tar.gz", archive("one"))), ("file", ("spin.toml", b"one"))], 422),
        ([("archive", ("shop.tar.gz", b"none"))], 422),
    ],
)
def test_forms(stand_in: ServiceStandIn, files: list[tuple[str, tuple[str, bytes]]], status: int) -> None:
    client = TestClient(application(stand_in.service), headers={"Authorization": f"Bearer {stand_in.deploy}"})
    answer = client.post("/v1/tenants/user1/sources", files=files)
    assert answer.status_code == status, answer.text
    SCHEMA["/v1/tenants/{tenant}/sources"]["POST"].validate_response(answer)
