# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a role against its meta/argument_specs.yml: all that is wrong at once, and what to write instead.

Ansible's own validation takes a word for a list of one and `yes` for text, since modules convert what they get.
Variables of roles are not converted: a role that loops over the word gets its letters. Here each value must be what the
role works with; only numbers and truth values may be text, as `-e name=value` gives them.
"""

from __future__ import annotations

import collections.abc
import typing as t

from ansible.module_utils.common.validation import check_type_bool

from .problems import Problem

Option = t.Mapping[str, t.Any]

EMPTY: dict[str, t.Any] = {"list": [], "dict": {}, "int": 0, "float": 0.0, "bool": False}
"""What stands for a value that cannot be used, while others are looked at; "" for all other types."""


def problems(name: str, option: Option, value: t.Any) -> list[Problem]:
    """What is wrong with a variable.

    Args:
        name: that of the variable.
        option: its entry in the argument specification (`type`, `elements`, `options`, `choices`, `no_log`).
        value: what it comes to, templates filled in.
    Returns:
        The problems; none has a value in it where the option has no_log.
    """
    if value is None:
        return [Problem(name, "is written without a value", "give one, or leave it out to have the default")]
    return list(_value_problems(name, option, value))


def _value_problems(name: str, option: Option, value: t.Any) -> t.Iterator[Problem]:
    kind = str(option.get("type", "str"))
    if kind == "list":
        yield from _list_problems(name, option, value)
    elif kind == "dict":
        yield from _dictionary_problems(name, option, value)
    elif not _is(kind, value):
        yield Problem(name, f"{_shown(option, value)} is {_NOT[kind]}", _WRITE[kind])
    elif option.get("choices") and value not in option["choices"]:
        yield Problem(name, f"{_shown(option, value)} is not known", f"write {_either(option['choices'])}")


def _list_problems(name: str, option: Option, value: t.Any) -> t.Iterator[Problem]:
    if isinstance(value, str):
        example = f'["{value}"]' if option.get("elements") == "str" and not option.get("no_log") else "[…]"
        label = name.rpartition(", ")[2]
        yield Problem(
            name,
            f"{_shown(option, value)} is text, and a list is needed",
            f"write {label}: {example}, or -e '{{\"{label}\": {example}}}'",
        )
        return
    if not isinstance(value, collections.abc.Sequence):
        yield Problem(name, "is no list", "write it as [one, two]")
        return
    element: Option = {
        "type": option.get("elements", "raw"),
        "options": option.get("options"),
        "no_log": option.get("no_log"),
    }
    for number, entry in enumerate(value, start=1):
        known = entry.get("name") if isinstance(entry, collections.abc.Mapping) else None
        yield from _value_problems(f"{name}, {known or f'entry {number}'}", element, entry)


def _dictionary_problems(name: str, option: Option, value: t.Any) -> t.Iterator[Problem]:
    if not isinstance(value, collections.abc.Mapping):
        yield Problem(name, f"{_shown(option, value)} is no dictionary", "write it as {key: value}")
        return
    options: t.Mapping[str, Option] = option.get("options") or {}
    if not options:
        return
    unknown = sorted(str(key) for key in value if key not in options)
    lacking = [key for key, entry in options.items() if entry.get("required") and key not in value]
    if unknown:
        yield Problem(name, f"there is no {', '.join(unknown)}", f"use {_either(list(options))}")
    if lacking:
        yield Problem(name, f"lacks {', '.join(lacking)}", f"add {'it' if len(lacking) == 1 else 'them'}")
    for key, entry in options.items():
        if value.get(key) is not None:
            yield from _value_problems(f"{name}, {key}", entry, value[key])


def _is(kind: str, value: t.Any) -> bool:
    if kind == "raw":
        return True
    if isinstance(value, (list, tuple, collections.abc.Mapping)) or value is None:
        return False
    if kind == "bool":
        try:
            check_type_bool(value)
        except TypeError:
            return False
        return True
    if kind in ("int", "float"):
        try:
            number = float(value)
        except ValueError:
            return False
        return not isinstance(value, bool) and (kind == "float" or number.is_integer())
    return True


_NOT = {"int": "no whole number", "float": "no number", "bool": "neither true nor false"}
_WRITE = {"int": "write one, without a unit", "float": "write one, as 1.5", "bool": "write true or false"}
for _kind in ("str", "path"):
    _NOT[_kind], _WRITE[_kind] = "no text", "write one word or number"


def _shown(option: Option, value: t.Any) -> str:
    """The value where it is short and no secret."""
    return (
        f"'{value}'"
        if isinstance(value, (str, int, float)) and not option.get("no_log") and len(str(value)) <= 80
        else "what it has"
    )


def _either(names: t.Sequence[str]) -> str:
    texts = [str(name) for name in names]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} or {texts[-1]}"
