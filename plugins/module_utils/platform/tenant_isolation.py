# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The work of the module tenant_isolation: tries the attacks with a tenant's kubeconfig, and judges what answered."""

from __future__ import annotations

import collections
import dataclasses
import json
import re
import time
import typing as t

from ..errors import PlatformError
from ..problems import Problem, count, listed
from .attacks import ADMISSION, QUOTA, RIGHTS, Attack, Setting, allowed, attacks, beyond_the_quota
from .tenant import NIP_IO

if t.TYPE_CHECKING:
    from ..spinkube.api import KubernetesApi

REFUSED, TAKEN, UNCLEAR, NOT_TRIED = "refused", "taken", "unclear", "not tried"
OUTCOMES = (REFUSED, TAKEN, UNCLEAR, NOT_TRIED)
HEADINGS = ("ABOUT", "TRIED", "RESULT", "BY", "ANSWER")
POLL_SECONDS = 1.0
SHOWN_ANSWER = 120
"""How many characters of an answer the table shows; the report has all of it."""

SCHEMA, POD_SECURITY, WEBHOOK, LIMITS = "the kind's schema", "Pod Security", "a webhook", "LimitRange"
NAME = "wasmfaas-verify"
"""Of the objects that are tried."""

_BY = (
    (re.compile("exceeded quota"), QUOTA),
    (re.compile("ValidatingAdmissionPolicy"), ADMISSION),
    (re.compile("violates PodSecurity"), POD_SECURITY),
    (re.compile("(maximum|minimum) .* usage per"), LIMITS),
    (re.compile("admission webhook"), WEBHOOK),
)
_UNANSWERED = re.compile("failed calling webhook|status unknown for quota|not yet ready to handle request")
"""A refusal that says nothing about the object: what judges it does not answer."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of one attack.

    Attributes:
        outcome: one of `OUTCOMES`.
        by: who refused, as in `Attack.by`; empty where nobody did.
        text: what the API server said, on one line; why it was not tried.
    """

    outcome: str
    by: str = ""
    text: str = ""


Tried = tuple[Attack, Answer]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`document`: the report as JSON. `table`: the same as lines of text. `problems`: why it is no proof."""

    document: dict[str, t.Any]
    table: list[str]
    problems: list[Problem]


def attempt(api: KubernetesApi, attack: Attack, setting: Setting, *, name: str = NAME, dry_run: bool = True) -> Answer:
    """Try it, and say what answered.

    Args:
        api: with the credentials of the tenant that attacks.
        name: of the object.
        dry_run: whether the API server only judges the object and keeps nothing.
    """
    from ..spinkube.api import Forbidden, MissingKind, Refused
    from ..spinkube.kinds import LEASE

    if attack.not_tried:
        return Answer(NOT_TRIED, text=attack.not_tried)
    namespace = attack.namespace or setting.attacker
    metadata = {**attack.body.get("metadata", {}), "name": name, "namespace": namespace}
    wanted = {"apiVersion": attack.kind.api_version, "kind": attack.kind.kind, **attack.body, "metadata": metadata}
    try:
        if attack.tried == "list":
            api.list(attack.kind, None if namespace == "*" else namespace)
        elif attack.kind == LEASE:  # for which tenants have no right to apply
            api.create(attack.kind, wanted, dry_run=dry_run)
        else:
            api.apply(attack.kind, wanted, dry_run=dry_run)
    except MissingKind as error:
        return Answer(NOT_TRIED, text=_line(error))
    except (Forbidden, Refused) as error:
        text = _line(error)
        if _UNANSWERED.search(text):
            return Answer(UNCLEAR, text=text)
        default = RIGHTS if isinstance(error, Forbidden) else SCHEMA
        return Answer(REFUSED, next((by for pattern, by in _BY if pattern.search(text)), default), text)
    except PlatformError as error:
        return Answer(UNCLEAR, text=_line(error))
    return Answer(TAKEN)


def judge(needed: t.Sequence[Tried], tried: t.Sequence[Tried]) -> Outcome:
    """The verdict.

    Args:
        needed: what functions need, with what answered; all must be taken.
        tried: the attacks, with what answered; none may be taken.
    """
    from ..function.spin_function_info import table_lines

    problems = [*_needed_problems(needed), *_attack_problems(tried)]
    counts = collections.Counter(answer.outcome for _attack, answer in tried)
    by = collections.Counter(answer.by for _attack, answer in tried if answer.outcome == REFUSED)
    entries = [_entry(attack, answer) for attack, answer in tried]
    rows = [
        (entry["about"], entry["tried"], entry["result"], entry["by"], _shortened(entry["answer"])) for entry in entries
    ]
    document = {
        "passed": not problems,
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES},
        "by": dict(by.most_common()),
        "problems": [problem.as_dictionary() for problem in problems],
        "needed": [_entry(attack, answer) for attack, answer in needed],
        "attacks": entries,
    }
    return Outcome(document, table_lines(rows, HEADINGS), problems)


def summary(document: dict[str, t.Any]) -> str:
    """One line."""
    counts = document["counts"]
    by = ", ".join(f"{number} by {name}" for name, number in document["by"].items())
    rest = [f"{counts[outcome]} {outcome}" for outcome in (TAKEN, UNCLEAR, NOT_TRIED)]
    return (
        f"{'Passed' if document['passed'] else 'FAILED'}: {count(sum(counts.values()), 'attack')}, "
        f"{counts[REFUSED]} refused{f' ({by})' if by else ''}, {', '.join(rest)}"
    )


def _needed_problems(needed: t.Sequence[Tried]) -> t.Iterator[Problem]:
    """A cluster that refuses everything proves nothing."""
    for attack, answer in needed:
        if answer.outcome in (REFUSED, UNCLEAR):
            yield Problem(
                f"needed, {attack.name} ({attack.kind.kind})",
                f"the API server did not take what every tenant needs: {answer.text}",
                "see that the inventory has the variables that the cluster's tenants were made with, then run "
                "ansible-playbook wasmfaas.platform.site and this playbook again",
            )


def _attack_problems(tried: t.Sequence[Tried]) -> t.Iterator[Problem]:
    for attack, answer in tried:
        where = f"{attack.about}, {attack.name} ({attack.kind.kind})"
        if answer.outcome == TAKEN:
            expected = f"; {attack.by} should refuse it" if attack.by else ""
            yield Problem(
                where,
                f"the attack got through{expected}",
                "run ansible-playbook wasmfaas.platform.site, which keeps the tenants' rights, quotas and policies, "
                "then this playbook again; docs/security.md says what stops each attack",
            )
        elif answer.outcome == UNCLEAR:
            yield Problem(
                where,
                f"nothing judged the attack: {answer.text}",
                "run ansible-playbook wasmfaas.platform.doctor, mend what it reports, then run this playbook again",
            )
    if not any(answer.outcome == REFUSED for _attack, answer in tried):
        yield Problem("", "no attack was refused", "see that the kubeconfigs are the throw-away tenants'")


def _entry(attack: Attack, answer: Answer) -> dict[str, str]:
    return {
        "about": attack.about,
        "tried": attack.name,
        "kind": attack.kind.kind,
        "expected": attack.by,
        "result": answer.outcome,
        "by": answer.by,
        "answer": answer.text,
    }


def _line(error: PlatformError) -> str:
    return " ".join(error.cause.split())


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_ANSWER else f"{text[:SHOWN_ANSWER]}…"


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """Try all attacks as the parameters of tenant_isolation say; raises PlatformError."""
    from ..host import whole_file
    from ..spinkube.api import KubernetesApi
    from ..spinkube.connection import ConnectionOptions

    setting = _setting(parameters)
    attacker, victim = (
        KubernetesApi(ConnectionOptions(kubeconfig=parameters[name]))
        for name in ("attacker_kubeconfig", "victim_kubeconfig")
    )
    end = time.monotonic() + parameters["timeout"]

    def answers(api: KubernetesApi, entries: t.Iterable[Attack], settled: t.Container[str]) -> list[Tried]:
        return [(entry, _settled(api, entry, setting, settled, end)) for entry in entries]

    outcome = judge(
        answers(attacker, allowed(setting), (TAKEN, NOT_TRIED)),
        [
            *answers(attacker, attacks(setting), (REFUSED, NOT_TRIED)),
            *answers(victim, beyond_the_quota(setting), (REFUSED, NOT_TRIED)),
        ],
    )
    if parameters["file"] and not check_mode:
        content = json.dumps(outcome.document, ensure_ascii=False, indent=2) + "\n"
        whole_file.write(parameters["file"], content, mode=None)
    return {
        "changed": False,
        "document": outcome.document,
        "table": outcome.table,
        "passed": not outcome.problems,
        "problems": listed(outcome.problems).splitlines(),
        "msg": summary(outcome.document),
    }


def _settled(api: KubernetesApi, attack: Attack, setting: Setting, settled: t.Container[str], end: float) -> Answer:
    """The answer, tried again until `end` while it is not a settled one: rights, policies and quotas of a tenant that
    was just made hold on each API server some seconds later."""
    while (answer := attempt(api, attack, setting)).outcome not in settled and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return answer


def _setting(parameters: dict[str, t.Any]) -> Setting:
    if not parameters["victim_hosts"] or not (parameters["domains"] or parameters["attacker_hosts"]):
        raise PlatformError(
            "tenant_isolation: victim_hosts is empty, or both domains and attacker_hosts are.",
            next_step=f"List a host for each tenant in role tenant and here, or give domains, as in [{NIP_IO}].",
        )
    return Setting(
        attacker=parameters["attacker"],
        victim=parameters["victim"],
        image_prefixes=tuple(parameters["image_prefixes"]),
        domains=tuple(parameters["domains"]),
        victim_hosts=tuple(parameters["victim_hosts"]),
        own_hosts=tuple(parameters["attacker_hosts"]),
        secret_bytes=parameters["secret_bytes"],
        executor=parameters["executor"],
        program_runtime_class=parameters["program_runtime_class"],
        programs=parameters["programs"],
    )
