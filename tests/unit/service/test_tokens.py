# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.service.problem import Code, ServiceProblem
from ansible_collections.wasmfaas.platform.service.tokens import ALL_TENANTS, FileTokenStore, Role


@pytest.fixture
def tokens(tmp_path: Path) -> FileTokenStore:
    return FileTokenStore(tmp_path / "service" / "tokens.json")


def test_a_token_is_found_by_its_characters_and_by_nothing_else(tokens: FileTokenStore, tmp_path: Path) -> None:
    secret = tokens.create("alice", "user1", Role.DEPLOY)
    found = tokens.find(secret)
    assert found is not None
    assert (found.name, found.tenant, found.role) == ("alice", "user1", Role.DEPLOY)
    assert tokens.find(secret[:-1]) is None
    assert tokens.find("") is None
    assert tokens.find("\udc80") is None
    file = tmp_path / "service" / "tokens.json"
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_revoked_token_is_no_token(tokens: FileTokenStore) -> None:
    secret = tokens.create("alice", "user1", Role.READ)
    assert tokens.delete("alice")
    assert tokens.find(secret) is None
    assert not tokens.delete("alice")


def test_a_token_ends(tokens: FileTokenStore) -> None:
    now = datetime.datetime.now(datetime.UTC)
    past = tokens.create("past", "user1", Role.READ, (now - datetime.timedelta(seconds=1)).isoformat())
    future = tokens.create("future", "user1", Role.READ, (now + datetime.timedelta(hours=1)).isoformat())
    assert tokens.find(past) is None
    assert tokens.find(future) is not None
    assert [token.name for token in tokens.all()] == ["future", "past"]


@pytest.mark.parametrize(
    ("name", "tenant", "role", "expires", "says"),
    [
        ("Alice", "user1", Role.READ, "", "no name of a token"),
        ("a" * 64, "user1", Role.READ, "", "no name of a token"),
        ("alice", ALL_TENANTS, Role.DEPLOY, "", "cannot be for the tenant '*'"),
        ("alice", "user1", Role.ADMIN, "", "cannot be for the tenant 'user1'"),
        ("alice", "user1", Role.READ, "tomorrow", "no time with a time zone"),
        ("alice", "user1", Role.READ, "2027-01-01T00:00:00", "no time with a time zone"),
    ],
)
def test_what_makes_no_token(
    tokens: FileTokenStore, name: str, tenant: str, role: Role, expires: str, says: str
) -> None:
    with pytest.raises(ServiceProblem, match=says) as caught:
        tokens.create(name, tenant, role, expires)
    assert caught.value.code is Code.INVALID
    assert tokens.all() == []


def test_a_name_is_given_once(tokens: FileTokenStore) -> None:
    secret = tokens.create("alice", "user1", Role.READ)
    with pytest.raises(ServiceProblem, match="a token 'alice' already") as caught:
        tokens.create("alice", "user2", Role.DEPLOY)
    assert caught.value.code is Code.CONFLICT
    assert tokens.find(secret) is not None
