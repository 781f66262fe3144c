# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys k3s's config.yaml may hold, from k3s_flags.yml beside this file. Runs on the controller only."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import typing as t
from pathlib import Path

from ..version import FINAL, Version, is_version, parse

DATA = Path(__file__).with_name("k3s_flags.yml")
NEAR = 0.6
"""Likeness (difflib's ratio) from which a key counts as the one that was meant."""


@dataclasses.dataclass(frozen=True)
class Flag:
    """One key of config.yaml, which is a command line flag without its dashes.

    Args:
        type: `string`, `int`, `bool`, `duration` or `list`.
        critical: k3s compares it with the cluster's when a server joins.
        same_on_servers: k3s does not compare it, but its documentation asks for the same on all servers.
        critical_items: of a list, the only items that are compared; empty means all.
        since: first versions that know it, one for each minor line it came to; empty where it has always been there.
    """

    name: str
    type: str
    scope: str = "both"
    critical: bool = False
    same_on_servers: bool = False
    critical_items: tuple[str, ...] = ()
    secret: bool = False
    hidden: bool = False
    deprecated: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    since: str = ""
    note: str = ""

    def known_to(self, version: str) -> bool:
        """Whether that version of k3s has the key; true if it is unknown."""
        first = re.findall(r"v\d+\.\d+(?:\.\d+)?(?:\+k3s\d+)?", self.since)
        if not first or not is_version(version):
            return True
        asked = parse(version)
        lines = [_lowest(text) for text in first]
        own_line = [line for line in lines if (line.major, line.minor) == (asked.major, asked.minor)]
        return asked >= own_line[0] if own_line else asked >= max(lines)


class Flags:
    """All keys by role."""

    def __init__(self, server: dict[str, Flag], agent: dict[str, Flag], removed: t.Iterable[str]) -> None:
        self._roles = {"server": server, "agent": agent}
        self.removed = frozenset(removed)

    def of(self, role: str) -> dict[str, Flag]:
        return self._roles[role]

    def shared(self) -> list[Flag]:
        """Those whose value must be equal on all servers."""
        return [flag for flag in self._roles["server"].values() if flag.critical or flag.same_on_servers]

    def nearest(self, name: str, role: str) -> str:
        """The key that was probably meant; "" if none is similar."""
        asked = name.lower().replace("_", "-").lstrip("-")
        keys = [key for key, flag in self._roles[role].items() if not flag.hidden]
        if asked in keys:
            return asked
        return next(iter(difflib.get_close_matches(asked, keys, n=1, cutoff=NEAR)), "")


@functools.cache
def load() -> Flags:
    """The keys of k3s_flags.yml."""
    import yaml

    read = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    fields = {field.name for field in dataclasses.fields(Flag)}
    roles = {
        role: {
            name: Flag(name=name, **{key: _value(key, value) for key, value in entry.items() if key in fields})
            for name, entry in read[role].items()
        }
        for role in ("server", "agent")
    }
    return Flags(roles["server"], roles["agent"], read["removed"])


def _value(key: str, value: t.Any) -> t.Any:
    if isinstance(value, list):
        return tuple(value)
    return str(value) if key == "default" else value


def _lowest(text: str) -> Version:
    numbers = [int(number) for number in re.findall(r"\d+", text.split("+", maxsplit=1)[0])]
    release = int(text.partition("+k3s")[2] or 0)
    return Version(numbers[0], numbers[1], numbers[2] if len(numbers) > 2 else 0, FINAL if release else 0, release, 0)
