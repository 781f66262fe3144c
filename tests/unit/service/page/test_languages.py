# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in its languages."""

from __future__ import annotations

import re
import string

import pytest
from ansible_collections.wasmfaas.platform.service.page.language import preferred
from ansible_collections.wasmfaas.platform.service.page.texts import LANGUAGES, TEXTS
from ansible_collections.wasmfaas.platform.service.page.view import DIRECTORY

from .conftest import Page


def placeholders(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_says_the_same_in_all_languages(key: str) -> None:
    texts = TEXTS[key]
    assert len(texts) == len(LANGUAGES)
    assert all(texts)
    assert len({frozenset(placeholders(text)) for text in texts}) == 1


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = [*DIRECTORY.glob("*.py"), *(DIRECTORY / "templates").glob("*.html")]
    everything = "\n".join(file.read_text() for file in sources if file.name != "texts.py")
    named = set(re.findall(r"\bt\(['\"]([a-z_.]+)['\"][,)]", everything))
    assert named - set(TEXTS) == set()
    made = ("role.", "column.", "status.", "phase.", "stage.", "age.")  # their ends come from values
    assert [
        key for key in TEXTS if key not in everything and not key.startswith(made) and not key.endswith(".next")
    ] == []


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-GB,en;q=0.9,ko;q=0.8", "en"),
        ("de,ko;q=0.5", "ko"),
        ("de,fr", "en"),
        ("ko;q=0", "en"),
        ("ko;q=x,en;q=0.1", "en"),
        ("*", "en"),
        (";;;,,,=", "en"),
    ],
)
def test_the_browser_decides(accepted: str, expected: str) -> None:
    assert preferred(accepted) == expected


def test_the_switch_outweighs_the_browser(page: Page) -> None:
    assert "로그인" in page.get("/", **{"Accept-Language": "ko"}).text
    answer = page.post("/language", {"language": "en", "back": "/tenants"}, **{"Accept-Language": "ko"})
    assert answer.headers["location"] == "/tenants"
    assert "Sign in" in page.get("/", **{"Accept-Language": "ko"}).text
    page.post("/language", {"language": "xx"})
    assert '<html lang="en">' in page.get("/", **{"Accept-Language": "ko"}).text
