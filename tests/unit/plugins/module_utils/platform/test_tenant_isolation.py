# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a proof of isolation. With answers of a real API server: tests/isolation."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.attacks import (
    OF_PROGRAMS,
    RIGHTS,
    Setting,
    allowed,
    attacks,
    beyond_the_quota,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.tenant_isolation import (
    NOT_TRIED,
    REFUSED,
    SCHEMA,
    TAKEN,
    UNCLEAR,
    Answer,
    attempt,
    judge,
    run,
    summary,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.spinkube.api import Forbidden, MissingKind, Refused

SETTING = Setting("a", "b", ("registry.example.com/{tenant}",), ("nip.io",), ("shop.example.com",))
NEEDED, ATTACKS = allowed(SETTING), attacks(SETTING)


class Api:
    """Answers everything with one error."""

    def __init__(self, error: PlatformError | None) -> None:
        self._error = error

    def apply(self, *_objects: t.Any, **_options: t.Any) -> None:
        if self._error:
            raise self._error

    create = list = apply


def answer(error: PlatformError | None) -> Answer:
    return attempt(t.cast(t.Any, Api(error)), ATTACKS[0], SETTING)


@pytest.mark.parametrize(
    ("error", "outcome", "by"),
    [
        (None, TAKEN, ""),
        (Forbidden("forbidden: no right", next_step=""), REFUSED, "RBAC"),
        (Forbidden('pods "x" violates PodSecurity "baseline"', next_step=""), REFUSED, "Pod Security"),
        (Refused("exceeded quota: tenant", next_step=""), REFUSED, "ResourceQuota"),
        (Refused("ValidatingAdmissionPolicy 'x' denied it", next_step=""), REFUSED, "ValidatingAdmissionPolicy"),
        (Refused("spec.x: Required value", next_step=""), REFUSED, SCHEMA),
        (Refused("failed calling webhook: no endpoints", next_step=""), UNCLEAR, ""),
        (Forbidden("status unknown for quota: tenant", next_step=""), UNCLEAR, ""),
        (PlatformError("does not answer", next_step=""), UNCLEAR, ""),
        (MissingKind("the cluster has no X", next_step=""), NOT_TRIED, ""),
    ],
)
def test_who_refused(error: PlatformError | None, outcome: str, by: str) -> None:
    found = answer(error)
    assert (found.outcome, found.by) == (outcome, by)


GIVEN = Answer(TAKEN)


def verdict(attack: Answer, needed: Answer = GIVEN) -> tuple[bool, list[str], str]:
    refused = (ATTACKS[1], Answer(REFUSED, RIGHTS, "forbidden"))
    outcome = judge([(NEEDED[0], needed)], [(ATTACKS[0], attack), refused])
    return outcome.document["passed"], [str(problem) for problem in outcome.problems], summary(outcome.document)


def test_a_proof() -> None:
    assert verdict(Answer(REFUSED, RIGHTS, "forbidden")) == (
        True,
        [],
        "Passed: 2 attacks, 2 refused (2 by RBAC), 0 taken, 0 unclear, 0 not tried",
    )
    assert verdict(Answer(NOT_TRIED, text="the cluster has no X"))[0]


@pytest.mark.parametrize(
    ("attack", "needed", "what"),
    [
        (Answer(TAKEN), Answer(TAKEN), "tokens, a token without end (Secret): the attack got through"),
        (Answer(UNCLEAR, text="no answer"), Answer(TAKEN), "nothing judged the attack: no answer"),
        (Answer(REFUSED, RIGHTS), Answer(REFUSED, RIGHTS, "forbidden"), "did not take what every tenant needs"),
    ],
)
def test_no_proof(attack: Answer, needed: Answer, what: str) -> None:
    passed, problems, line = verdict(attack, needed)
    assert not passed and line.startswith("FAILED: ")
    assert len(problems) == 1 and what in problems[0] and "Next: " in problems[0]


def test_nothing_refused_is_no_proof() -> None:
    outcome = judge([], [(ATTACKS[0], Answer(NOT_TRIED, text="x"))])
    assert [problem.what for problem in outcome.problems] == ["no attack was refused"]


def test_attacks_fit_the_cluster() -> None:
    assert len({(attack.about, attack.name) for attack in ATTACKS}) == len(ATTACKS)
    without = dataclasses.replace(
        SETTING, image_prefixes=(), domains=(), own_hosts=("own.example.com",), programs=False
    )
    tried = attacks(without)
    assert {attack.by for attack in tried if attack.kind in OF_PROGRAMS} == {RIGHTS}
    assert [attack.name for attack in tried if attack.not_tried] == [
        "an image of another registry",
        "an image of a registry with a longer name",
        "an image below the victim's path",
    ]
    assert not [attack for attack in ATTACKS if attack.not_tried]
    assert "nip.io" not in str(tried)
    assert {entry.namespace for entry in beyond_the_quota(SETTING)} == {"b"}


def test_hosts_are_needed() -> None:
    given = {"attacker": "a", "victim": "b", "victim_hosts": [], "domains": ["nip.io"], "attacker_hosts": []}
    with pytest.raises(PlatformError, match="victim_hosts is empty"):
        run(given, False, set())
