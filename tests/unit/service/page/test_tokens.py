# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An administrator makes and revokes the tokens of a tenant in the page."""

from __future__ import annotations

import html
import re

import pytest
from ansible_collections.wasmfaas.platform.service.tokens import ALL_TENANTS, Role

from .conftest import Page

TOKENS = "/tenants/user1/tokens"


def made(page: Page, **form: str) -> str:
    """A new token, as its page shows it."""
    answer = page.post(TOKENS, form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found = re.search(r'id="secret" readonly value="([^"]+)"', answer.text)
    assert found is not None
    return html.unescape(found[1])


def test_a_token_is_shown_once_and_works(page: Page) -> None:
    page.sign_in(Role.ADMIN, ALL_TENANTS)
    secret = made(page, name="alice-laptop", deploy="yes", last_day="2099-01-31")
    found = page.service.tokens.find(secret)
    assert found is not None
    assert (found.name, found.tenant, found.role) == ("alice-laptop", "user1", Role.DEPLOY)
    assert found.expires == "2099-01-31T23:59:59Z"
    shown = page.get(TOKENS).text
    assert "alice-laptop" in shown and "2099-01-31" in shown
    assert secret not in shown


def test_a_token_without_a_choice_may_only_read_and_has_no_end(page: Page) -> None:
    page.sign_in(Role.ADMIN, ALL_TENANTS)
    found = page.service.tokens.find(made(page, name="reader"))
    assert found is not None and (found.role, found.expires) == (Role.READ, "")


def test_only_the_tokens_of_the_tenant_are_shown_and_revoked(page: Page) -> None:
    page.sign_in(Role.ADMIN, ALL_TENANTS)
    own, other = (page.service.tokens.create(f"of-{name}", name, Role.READ) for name in ("user1", "user2"))
    shown = page.get(TOKENS).text
    assert "of-user1" in shown
    assert "of-user2" not in shown and "a-admin" not in shown.partition("<main")[2]
    assert page.post(f"{TOKENS}/of-user2/revoke").status_code == 404
    assert page.post(f"{TOKENS}/a-admin/revoke").status_code == 404
    assert page.post(f"{TOKENS}/of-user1/revoke").headers["location"] == TOKENS
    assert page.service.tokens.find(own) is None
    assert page.service.tokens.find(other) is not None


@pytest.mark.parametrize("role", [Role.READ, Role.DEPLOY])
def test_nobody_else_sees_or_makes_tokens(page: Page, role: Role) -> None:
    page.sign_in(role)
    assert page.get(TOKENS).status_code == 403
    assert page.post(TOKENS, {"name": "mine"}).status_code == 403
    assert page.post(f"{TOKENS}/a-{role}/revoke").status_code == 403
    assert TOKENS not in page.get("/tenants/user1").text
    assert [one.name for one in page.service.tokens.all()] == [f"a-{role}"]


def test_a_name_that_is_taken_or_a_day_that_is_none_is_told(page: Page) -> None:
    page.sign_in(Role.ADMIN, ALL_TENANTS)
    page.service.tokens.create("taken", "user1", Role.READ)
    taken = page.post(TOKENS, {"name": "taken"})
    assert taken.status_code == 409 and f'href="{TOKENS}"' in taken.text
    assert page.post(TOKENS, {"name": "other", "last_day": "tomorrow"}).status_code == 422
    assert page.post(TOKENS, {"name": "No!"}).status_code == 422


def test_an_administrator_finds_the_page(page: Page) -> None:
    page.sign_in(Role.ADMIN, ALL_TENANTS)
    assert f'href="{TOKENS}"' in page.get("/tenants/user1").text
