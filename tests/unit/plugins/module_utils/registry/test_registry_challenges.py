# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading WWW-Authenticate headers, RFC 9110 section 11."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.authentication import parse_challenges
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (['Basic realm="Registry Realm"'], [("basic", {"realm": "Registry Realm"})]),
        (
            [
                'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:team/hello:pull,push"'
            ],
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:team/hello:pull,push",
                    },
                )
            ],
        ),
        (
            ['BEARER Realm = "https://a/t" , service=plain , error="invalid_token"'],
            [("bearer", {"realm": "https://a/t", "service": "plain", "error": "invalid_token"})],
        ),
        (['Bearer realm="https://a/t?x=1&y=2"'], [("bearer", {"realm": "https://a/t?x=1&y=2"})]),
        (
            ['Basic realm="a", Bearer realm="b",service="c"'],
            [("basic", {"realm": "a"}), ("bearer", {"realm": "b", "service": "c"})],
        ),
        (["Negotiate", 'Basic realm="a"'], [("negotiate", {}), ("basic", {"realm": "a"})]),
        (["Negotiate, Basic"], [("negotiate", {}), ("basic", {})]),
        (['Basic realm="say \\"hello, you\\""'], [("basic", {"realm": 'say "hello, you"'})]),
        (["Basic"], [("basic", {})]),
        ([""], []),
        ([], []),
        (["="], []),
        (['realm="lost"'], []),
    ],
)
def test_challenges(values: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert [(challenge.scheme, challenge.parameters) for challenge in parse_challenges(values)] == expected


@given(st.lists(st.text(alphabet='ab ,="\\/:', max_size=30) | st.text(max_size=20), max_size=3))
def test_never_fails(values: list[str]) -> None:
    for challenge in parse_challenges(values):
        assert challenge.scheme == challenge.scheme.lower() != ""


_NAME = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
_VALUE = st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\'), max_size=20)


@given(st.lists(st.tuples(_NAME, st.dictionaries(_NAME, _VALUE, min_size=1, max_size=4)), min_size=1, max_size=3))
def test_reads_back_what_a_registry_writes(challenges: list[tuple[str, dict[str, str]]]) -> None:
    written = ", ".join(
        f"{scheme} " + ",".join(f'{name}="{value}"' for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    assert [(challenge.scheme, challenge.parameters) for challenge in parse_challenges([written])] == challenges
