# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""openapi.yml is valid and says the same as the code."""

from __future__ import annotations

import json
import typing as t

import jsonschema
import msgspec
import openapi_spec_validator
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.deploy_function import MAXIMUM_NAME_LENGTH
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.reserved_names import RESERVED_FUNCTIONS
from ansible_collections.wasmfaas.platform.service import core, tokens
from ansible_collections.wasmfaas.platform.service.api import deployments, functions, health, query
from ansible_collections.wasmfaas.platform.service.api.content import _MOST_FILES
from ansible_collections.wasmfaas.platform.service.api.problems import problem_response
from ansible_collections.wasmfaas.platform.service.api.routes import ROUTES
from ansible_collections.wasmfaas.platform.service.api.tokens import TokenRequest
from ansible_collections.wasmfaas.platform.service.deployments.model import Deployment, Phase, Settings
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem
from ansible_collections.wasmfaas.platform.service.sources import store
from ansible_collections.wasmfaas.platform.service.variables import LONGEST_VALUE, MOST_VARIABLES

from ..deployments.made import deployment
from .document import DOCUMENT, SCHEMAS, operations, resolved


def test_the_document_is_valid() -> None:
    openapi_spec_validator.validate(DOCUMENT)


def test_what_is_served_is_the_document() -> None:
    assert json.loads(health._openapi()) == DOCUMENT


def test_it_has_the_operations_of_the_code() -> None:
    assert sorted(operations()) == sorted((method, path) for method, path, _handler in ROUTES)


def test_each_operation_has_a_name_of_its_own() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


def test_each_call_below_v1_needs_a_token_and_says_so() -> None:
    for (_method, path), operation in operations().items():
        is_open = operation.get("security") == []
        assert is_open != path.startswith("/v1/"), path
        assert is_open != ("401" in operation["responses"]), path


@pytest.mark.parametrize(
    ("schema", "kind", "without", "more"),
    [
        ("Deployment", Deployment, {"revision"}, {"position"}),
        ("Function", core.Function, set(), set()),
        ("Source", store.Source, set(), set()),
        ("Token", tokens.Token, set(), set()),
        ("NewToken", tokens.Token, set(), {"token"}),
    ],
)
def test_an_answer_has_the_fields_of_its_class(
    schema: str, kind: type[msgspec.Struct], without: set[str], more: set[str]
) -> None:
    fields = set(kind.__struct_fields__) - without | more
    assert set(SCHEMAS[schema]["properties"]) == fields
    assert set(SCHEMAS[schema]["required"]) == fields


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("Settings", Settings),
        ("DeploymentRequest", deployments.DeploymentRequest),
        ("RollbackRequest", deployments.RollbackRequest),
        ("VariableRequest", functions.VariableRequest),
        ("TokenRequest", TokenRequest),
    ],
)
def test_a_request_has_the_fields_of_its_class(schema: str, kind: type[msgspec.Struct]) -> None:
    wanted = msgspec.json.schema(kind)["$defs"][kind.__name__]
    assert set(SCHEMAS[schema]["properties"]) == set(wanted["properties"])
    assert set(SCHEMAS[schema].get("required", [])) == set(wanted["required"])
    assert SCHEMAS[schema]["additionalProperties"] is wanted["additionalProperties"] is False


def test_settings_have_their_bounds_in_bodies_and_queries() -> None:
    query_parameters = {
        one["name"]: one["schema"]
        for one in operations()["PUT", "/v1/tenants/{tenant}/functions/{function}/source"]["parameters"]
        if one["in"] == "query"
    }
    assert set(query_parameters) == {*Settings.__struct_fields__, "wait"}
    for name, described in msgspec.json.schema(Settings)["$defs"]["Settings"]["properties"].items():
        one_of = next(one for one in described["anyOf"] if one["type"] != "null")
        wanted = {key: value for key, value in one_of.items() if key != "type"}
        if "pattern" in wanted:  # in JSON Schema `$` is the very end
            wanted["pattern"] = wanted["pattern"].replace(r"\Z", "$")
        in_body, in_query = SCHEMAS["Settings"]["properties"][name], query_parameters[name]
        assert in_body["type"] == [one_of["type"], "null"] and in_query["type"] == one_of["type"]
        assert wanted.items() <= in_body.items() and wanted.items() <= in_query.items()


def test_enumerations_have_the_values_of_the_code() -> None:
    assert SCHEMAS["Phase"]["enum"] == [str(phase) for phase in Phase]
    assert SCHEMAS["Role"]["enum"] == [str(role) for role in tokens.Role]
    assert SCHEMAS["Problem"]["properties"]["code"]["enum"] == [code.code for code in Code]
    assert SCHEMAS["FunctionName"]["not"]["enum"] == sorted(RESERVED_FUNCTIONS)


def test_limits_are_those_of_the_code() -> None:
    function = "/v1/tenants/{tenant}/functions/{function}"
    assert _parameter("GET", f"{function}/deployments/{{number}}", "number")["maximum"] == query.MOST_NUMBER
    assert _parameter("GET", f"{function}/deployments/{{number}}", "wait")["maximum"] == deployments.LONGEST_WAIT
    assert _parameter("GET", f"{function}/deployments/{{number}}/log", "offset")["maximum"] == query.MOST_NUMBER
    assert _parameter("GET", f"{function}/deployments/{{number}}/log", "Last-Event-ID")["maximum"] == query.MOST_NUMBER
    assert _parameter("GET", f"{function}/logs", "lines")["maximum"] == core.MOST_LOG_LINES
    assert SCHEMAS["VariableRequest"]["properties"]["value"]["maxLength"] == LONGEST_VALUE
    assert SCHEMAS["FunctionName"]["maxLength"] == MAXIMUM_NAME_LENGTH
    assert f"at most {store.MOST_BYTES >> 20} MiB" in DOCUMENT["components"]["requestBodies"]["Archive"]["description"]
    assert (
        f"at most {MOST_VARIABLES} variables"
        in operations()["PUT", f"{function}/variables/{{variable}}"]["description"]
    )
    form = operations()["POST", "/v1/tenants/{tenant}/sources"]["requestBody"]["content"]["multipart/form-data"]
    assert form["schema"]["oneOf"][1]["properties"]["file"]["maxItems"] == _MOST_FILES


def test_every_error_is_a_problem_of_the_code() -> None:
    statuses = {str(code.status) for code in Code}
    for (method, path), operation in operations().items():
        for status, answer in operation["responses"].items():
            if status < "300" or method == "HEAD":
                continue
            assert status in statuses, path
            assert resolved(answer)["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }, path


@pytest.mark.parametrize("code", Code)
def test_a_problem_has_the_form_of_the_document(code: Code) -> None:
    answer = problem_response(ServiceProblem(code, "It is so.", next_step="Wait.", retry_after=1))
    problem = json.loads(bytes(answer.body))
    _check("Problem", problem)
    assert set(problem) == set(SCHEMAS["Problem"]["properties"])


def test_a_deployment_has_the_form_of_the_document() -> None:
    made = deployment(source="sha256:" + "0" * 64, settings=Settings(timeout=30))
    _check("Deployment", core.public(made, 1))
    _check("Deployment", core.public(deployment(phase=Phase.READY, changed=True, finished="2026-11-30T09:00:00.000Z")))


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_examples_are_valid(name: str) -> None:
    for example in SCHEMAS[name]["examples"]:
        _check(name, example)


def _parameter(method: str, path: str, name: str) -> dict[str, t.Any]:
    schema: dict[str, t.Any] = next(
        one["schema"] for one in operations()[method, path]["parameters"] if one["name"] == name
    )
    return schema


def _check(schema: str, value: t.Any) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(whole).validate(value)
