# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in, what the cookie is like, and which requests are refused because another site may have made them."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.service.tokens import Role
from starlette.routing import Route
from starlette.testclient import TestClient

from .conftest import Page

FORMS = [
    "/session",
    "/session/end",
    "/language",
    "/tenants/user1/tokens",
    "/tenants/user1/tokens/alice/revoke",
    "/tenants/user1/new",
    "/tenants/user1/new/hello-js",
    "/tenants/user1/functions/shop/source",
    "/tenants/user1/functions/shop/rollback",
    "/tenants/user1/functions/shop/promote",
    "/tenants/user1/functions/shop/variables",
    "/tenants/user1/functions/shop/variables/remove",
    "/tenants/user1/functions/shop/delete",
    "/tenants/user1/functions/shop/deployments/1/cancel",
]


def test_every_form_of_the_page_is_among_those_that_are_tried(page: Page) -> None:
    paths = {
        route.path
        for route in page.application.routes
        if isinstance(route, Route) and "POST" in (route.methods or ()) and not route.path.startswith("/v1")
    }
    values = {"tenant": "user1", "name": "shop", "starter": "hello-js", "number:int": "1", "token": "alice"}
    for name, value in values.items():
        paths = {path.replace(f"{{{name}}}", value) for path in paths}
    assert paths == set(FORMS)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # a function's host, or another port of this one
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://page.example"},
        {"Origin": "https://evil.example"},
        {"Origin": "https://page.example:8443"},
        {"Origin": "null"},
        {"Origin": ""},
        {},
    ],
    ids=str,
)
def test_a_form_that_another_site_sends_is_refused(page: Page, path: str, headers: dict[str, str]) -> None:
    page.sign_in()
    page.live()
    page.deployment()
    answer = page.client.post(path, data={"name": "x"}, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert "The request did not come from this page." in answer.text
    assert "set-cookie" not in answer.headers
    assert ("user1", "shop") in page.functions.live
    assert not page.functions.promoted


def test_without_fetch_metadata_the_origin_decides(page: Page) -> None:
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    answer = page.client.post(
        "/session", data={"token": secret}, headers={"Origin": "https://page.example"}, follow_redirects=False
    )
    assert answer.status_code == 303


def test_cookie_by_https_is_bound_to_the_host_and_hidden_from_scripts(page: Page) -> None:
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    cookie = page.post("/session", {"token": secret}).headers["set-cookie"]
    assert cookie.startswith(f"__Host-wasmfaas_session={secret};")
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert attributes == {"httponly", "path=/", "samesite=strict", "secure"}


def test_cookie_by_http_has_no_prefix_that_a_browser_would_refuse(page: Page) -> None:
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    with TestClient(page.application, base_url="http://localhost:8800") as client:
        cookie = client.post(
            "/session", data={"token": secret}, headers={"Sec-Fetch-Site": "same-origin"}, follow_redirects=False
        ).headers["set-cookie"]
    assert cookie.startswith(f"wasmfaas_session={secret};")
    assert {part.strip().lower() for part in cookie.split(";")[1:]} == {"httponly", "path=/", "samesite=strict"}


def test_cookie_of_plain_http_does_not_count_by_https(page: Page) -> None:
    """Any host beside this one may set a cookie without the prefix."""
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    answer = page.get("/tenants/user1", Cookie=f"wasmfaas_session={secret}")
    assert answer.status_code == 401


def test_wrong_token_is_refused_and_kept_nowhere(page: Page) -> None:
    answer = page.post("/session", {"token": "wfs_wrong", "back": "/tenants/user1"})
    assert answer.status_code == 401
    assert "The token is unknown, was revoked or has ended." in answer.text
    assert "wfs_wrong" not in answer.text
    assert "set-cookie" not in answer.headers
    assert 'value="/tenants/user1"' in answer.text


def test_guessing_tokens_is_slowed_down(page: Page) -> None:
    answers = [page.post("/session", {"token": f"wfs_{number}"}).status_code for number in range(25)]
    assert answers[0] == 401
    assert answers[-1] == 429


def test_signing_in_goes_back_to_the_page_that_was_asked_for(page: Page) -> None:
    assert 'name="back" value="/tenants/user1/functions/shop"' in page.get("/tenants/user1/functions/shop").text
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    answer = page.post("/session", {"token": secret, "back": "/tenants/user1/functions/shop"})
    assert answer.headers["location"] == "/tenants/user1/functions/shop"


@pytest.mark.parametrize(
    "back",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\r\nSet-Cookie: a=b", "/\t/evil"],
)
def test_signing_in_never_leads_to_another_host(page: Page, back: str) -> None:
    secret = page.service.tokens.create("alice", "user1", Role.DEPLOY)
    assert page.post("/session", {"token": secret, "back": back}).headers["location"] == "/"


def test_signing_out_removes_the_cookie(page: Page) -> None:
    page.sign_in()
    assert page.get("/tenants/user1").status_code == 200
    answer = page.post("/session/end")
    assert answer.status_code == 303
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert page.get("/tenants/user1").status_code == 401


def test_a_revoked_token_ends_the_session_and_says_so(page: Page) -> None:
    page.sign_in()
    page.service.tokens.delete("a-deploy")
    answer = page.get("/tenants/user1")
    assert answer.status_code == 401
    assert "The session has ended." in answer.text
    assert "max-age=0" in answer.headers["set-cookie"].lower()


def test_the_address_of_loopback_leads_to_its_name(page: Page) -> None:
    """Local functions are ports of 127.0.0.1, and a browser would send them the page's cookie."""
    with TestClient(page.application, base_url="http://127.0.0.1:8800") as client:
        shown = client.get("/tenants/user1", follow_redirects=False)
        sent = client.post("/session", data={"token": "x"}, follow_redirects=False)
    assert (shown.status_code, shown.headers["location"]) == (303, "http://localhost:8800/tenants/user1")
    assert (sent.status_code, sent.headers["location"]) == (303, "http://localhost:8800/")


def test_an_administrator_chooses_a_tenant(page: Page) -> None:
    page.live()
    page.sign_in(Role.ADMIN, "*")
    assert page.get("/").headers["location"] == "/tenants"
    assert '<a href="/tenants/user1">user1</a>' in page.get("/tenants").text
    assert page.get("/tenants?tenant=user9").headers["location"] == "/tenants/user9"
    assert page.get("/tenants?tenant=../x").status_code == 422


def test_everybody_else_sees_the_own_tenant_alone(page: Page) -> None:
    page.sign_in()
    assert page.get("/").headers["location"] == "/tenants/user1"
    assert page.get("/tenants/user2").status_code == 403
    assert page.post("/tenants/user2/functions/shop/delete").status_code == 403


def test_a_token_that_may_only_read_sees_no_forms_and_changes_nothing(page: Page) -> None:
    page.live()
    page.deployment()
    page.sign_in(Role.READ)
    shown = page.get("/tenants/user1/functions/shop")
    assert shown.status_code == 200
    assert '<form class="card"' not in shown.text
    assert page.get("/tenants/user1/new").status_code == 403
    for path in FORMS[3:]:
        assert page.post(path, {"name": "shop", "to": "1"}).status_code == 403, path
    assert ("user1", "shop") in page.functions.live
