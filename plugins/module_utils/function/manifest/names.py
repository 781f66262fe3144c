# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spin's rules for the names and versions in a manifest."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_SEMANTIC_VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?",
    re.ASCII,
)
_REQUIREMENT = re.compile(
    r"(?:=|>=|>|<=|<|~|\^)?\s*(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*|[*xX])(?:\.(?:0|[1-9]\d*|[*xX])(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?)?",
    re.ASCII,
)
_LABEL = re.compile(r"[a-z][a-z0-9]*(?:-[a-z][a-z0-9]*)*")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name among `known` that was probably meant, if one is near."""
    candidates = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), list(candidates), n=1, cutoff=0.6)
    return candidates[found[0]] if found else None


def identifier_error(name: str, separator: str, *, lower: bool = False) -> str | None:
    """Say why `name` is no identifier whose words are parted by `separator`, or return None (Spin:
    crates/serde/src/id.rs)."""
    wrong = {"_": "-", "-": "_"}[separator]
    if not name:
        return "is empty"
    if wrong in name:
        return f'words must be separated with "{separator}", not "{wrong}"'
    for word in name.split(separator):
        if not word:
            return f'begins or ends with "{separator}", or has two in a row'
        if not (word.isascii() and word.isalnum()):
            return f'may hold only ASCII letters, digits and "{separator}"'
        if not word[0].isalpha():
            return f'each word must start with a letter, "{word}" does not'
        letters = [letter for letter in word if letter.isalpha()]
        if any(letter.isupper() != letters[0].isupper() for letter in letters):
            return f'words must be all lower case or all upper case, "{word}" is mixed'
        if lower and word[0].isupper():
            return "must be lower case"
    return None


def fixed_identifier(name: str, separator: str, *, lower: bool = False) -> str | None:
    """Return a name near to `name` that Spin would accept, to suggest it."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())
    fixed = separator.join(words)
    return fixed if identifier_error(fixed, separator, lower=lower) is None else None


def is_version(version: str) -> bool:
    """Whether `version` is a semantic version."""
    return _SEMANTIC_VERSION.fullmatch(version) is not None


def is_version_requirement(requirement: str) -> bool:
    """Whether `requirement` has the form that Rust's semver crate accepts: `^1.2`, `>=0.1.0, <0.3`, `*`."""
    if requirement.strip() in ("*", "x", "X"):
        return True
    return all(_REQUIREMENT.fullmatch(part.strip()) for part in requirement.split(","))


def dependency_name_error(name: str) -> str | None:
    """Say why `name` names no import: `plain-name`, `namespace:package[/interface][@version]` (Spin:
    crates/serde/src/dependencies.rs)."""
    if ":" not in name and "/" not in name:
        return identifier_error(name, "-")
    package, at, version = name.partition("@")
    if at and not is_version(version):
        return f'"{version}" is no semantic version'
    package, slash, interface = package.partition("/")
    if slash and (error := identifier_error(interface, "-")):
        return f'the interface "{interface}" {error}'
    namespace, colon, package_name = package.partition(":")
    if not colon:
        return 'lacks the namespace (expected "namespace:package")'
    for label in (namespace, package_name):
        if not _LABEL.fullmatch(label):
            return f'"{label}" must be lower-case words of letters and digits, joined with "-"'
    return None


def compatible_version(version: str) -> str:
    """Reduce a semantic version to what must be equal for two to be compatible (Spin: normalize_compatible_version)."""
    match = _SEMANTIC_VERSION.fullmatch(version)
    if match is None or match[4]:
        return version.partition("+")[0]
    major, minor, patch = match[1], match[2], match[3]
    if major != "0":
        return f"{major}.0.0"
    return f"0.{minor}.0" if minor != "0" else f"0.0.{patch}"
