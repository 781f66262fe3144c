# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of k3s are read, compared, and kept from skipping minors."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.version import (
    agent_problem,
    is_version,
    parse,
    upgrade_problem,
)
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(min_value=0, max_value=99)
RELEASED = [
    "v1.33.13+k3s2",
    "v1.34.0-rc1+k3s1",
    "v1.34.0+k3s1-rc1",
    "v1.34.0+k3s1-rc2",
    "v1.34.0+k3s1",
    "v1.34.0+k3s2",
    "v1.34.1+k3s1",
    "v1.37.0+k3s1",
]


def test_versions_are_ordered_as_they_were_released() -> None:
    assert [str(version) for version in sorted(map(parse, reversed(RELEASED)))] == RELEASED


@given(major=NUMBERS, minor=NUMBERS, patch=NUMBERS, release=NUMBERS, candidate=st.none() | NUMBERS)
def test_every_tag_is_read_and_written_as_it_was(
    major: int, minor: int, patch: int, release: int, candidate: int | None
) -> None:
    text = f"v{major}.{minor}.{patch}+k3s{release}" + ("" if candidate is None else f"-rc{candidate}")
    assert str(parse(text)) == text


@given(st.text(max_size=30))
def test_other_text_is_refused_with_an_example(text: str) -> None:
    if is_version(text):
        return
    try:
        parse(text)
    except PlatformError as error:
        assert "+k3s" in error.next_step
    else:
        assert is_version(text.strip().replace("-k3s", "+k3s"))


@pytest.mark.parametrize(
    ("text", "meant"), [("1.36.4", "v1.36.4+k3s1"), ("v1.36.4", "v1.36.4+k3s1"), ("1.36.4+k3s2", "v1.36.4+k3s2")]
)
def test_what_was_meant_is_told(text: str, meant: str) -> None:
    with pytest.raises(PlatformError) as caught:
        parse(text)
    assert meant in caught.value.next_step


@pytest.mark.parametrize(
    ("running", "wanted", "said"),
    [
        ("v1.35.1+k3s1", "v1.34.9+k3s1", "older"),
        ("v1.35.1+k3s2", "v1.35.1+k3s1", "older"),
        ("v1.34.1+k3s1", "v1.36.0+k3s1", "skips"),
        ("v1.33.6+k3s1", "v1.34.1+k3s1", "3.5.26"),
        ("v1.36.9+k3s1", "v2.0.0+k3s1", "skips"),
    ],
)
def test_steps_that_k3s_does_not_make_are_refused_with_a_way(running: str, wanted: str, said: str) -> None:
    found = upgrade_problem(running, wanted)
    assert found is not None and said in found[0]
    assert "v1." in found[1]


@pytest.mark.parametrize(
    ("running", "wanted"),
    [
        ("v1.34.1+k3s1", "v1.34.1+k3s1"),
        ("v1.34.1+k3s1", "v1.35.0+k3s1"),
        ("v1.33.13+k3s2", "v1.34.1+k3s1"),
        ("", "v1.34.1+k3s1"),
        ("odd", "v1.34.1+k3s1"),
    ],
)
def test_other_steps_are_allowed(running: str, wanted: str) -> None:
    assert upgrade_problem(running, wanted) is None


@pytest.mark.parametrize(
    ("agent", "server", "said"),
    [
        ("v1.36.0+k3s1", "v1.35.9+k3s1", "newer"),
        ("v1.32.0+k3s1", "v1.36.0+k3s1", "older"),
        ("v1.33.0+k3s1", "v1.36.0+k3s1", None),
        ("v1.36.2+k3s1", "v1.36.0+k3s1", None),
    ],
)
def test_agents_follow_the_version_skew_policy(agent: str, server: str, said: str | None) -> None:
    found = agent_problem(agent, server)
    assert (found is None) if said is None else (found is not None and said in found[0])
