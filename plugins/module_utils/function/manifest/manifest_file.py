# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the file spin.toml of a project, as text and as TOML; refuses what is no such file."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import tomllib
import typing as t
from pathlib import Path

from ...errors import PlatformError

MANIFEST_NAME = "spin.toml"
LARGEST_MANIFEST = 1 << 18
"""Bytes; a larger file is not a manifest."""

LARGEST_DEPTH = 80
"""Keys inside each other; Spin's parser takes no more (toml_edit 0.22, `RecursionCheck`)."""

# Strings and comments; one that is not closed reaches to the end, so that nothing is read twice.
_STRING_OR_COMMENT = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*(?:"|$)'
    r"|'[^'\n]*(?:'|$)"
    r"|#[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_DEEP_KEY = re.compile(rf"(?:[\w-]+[ \t]*\.[ \t]*){{{LARGEST_DEPTH}}}")

_SHOWN_PROJECTS = 5
_SEARCHED_FILES = 20_000

# A file that a project without a manifest probably has → the Spin template to start from.
_TEMPLATES = {
    "Cargo.toml": "http-rust",
    "package.json": "http-js",
    "requirements.txt": "http-py",
    "pyproject.toml": "http-py",
    "app.py": "http-py",
    "go.mod": "http-go",
    "index.html": "static-fileserver",
}


def read_text(source: Path) -> tuple[Path, str]:
    """The manifest's path and text.

    Args:
        source: the project directory, or the manifest itself.

    Raises:
        PlatformError: there is no manifest, or it cannot be read, is too large or not UTF-8.
    """
    if "\0" in str(source):
        raise PlatformError(
            f"{str(source)!r}: is no path.", next_step="Give the path of a project directory that holds a spin.toml."
        )
    try:
        path = Path(os.path.abspath(source))
        if path.is_dir():
            path = path / MANIFEST_NAME
            if not path.exists():
                raise _no_manifest(path.parent)
        elif not path.exists():
            raise PlatformError(
                f"{source}: no such directory or file.",
                next_step=_quoted(path)
                or "Give the path of a project directory that holds a spin.toml, or of the spin.toml itself.",
            )
        if not path.is_file():
            raise PlatformError(f"{path}: is no regular file.", next_step="Put the manifest there as a file.")
        with path.open("rb") as file:
            content = file.read(LARGEST_MANIFEST + 1)
    except OSError as error:
        raise PlatformError(
            f"{source}: cannot be read: {error.strerror or error}.",
            next_step="Make the project directory readable for the user that deploys.",
        ) from error
    if len(content) > LARGEST_MANIFEST:
        raise PlatformError(
            f"{path.name}: is larger than {LARGEST_MANIFEST} bytes, so it is no manifest.",
            next_step="Give the path of a spin.toml.",
        )
    try:
        # Rust's TOML parser passes over a byte order mark too.
        return path, content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PlatformError(
            f"{path.name}:{line}: the file is not UTF-8: {error.reason}.", next_step="Save the file as UTF-8."
        ) from error


def _no_manifest(directory: Path) -> PlatformError:
    names = sorted(os.listdir(directory))
    cause = f"{directory}: holds no {MANIFEST_NAME}, so it is no Spin project."
    for name in names:
        if name.lower() == MANIFEST_NAME:
            return PlatformError(cause, next_step=f'Rename "{name}" to "{MANIFEST_NAME}".')
    if quoted := _quoted(directory):
        return PlatformError(cause, next_step=quoted)
    if below := _projects_below(directory):
        more = f", … ({len(below)} in all)" if len(below) > _SHOWN_PROJECTS else ""
        return PlatformError(
            cause,
            next_step=f"Give one of the projects in it: {', '.join(below[:_SHOWN_PROJECTS])}{more}.",
        )
    template = next((template for name, template in _TEMPLATES.items() if name in names), None)
    new = f"`spin new -t {template or 'http-py'} --init` makes one in the directory"
    return PlatformError(
        cause, next_step=f"Add a {MANIFEST_NAME}: {new}, or copy one of the collection's examples/functions."
    )


def _projects_below(directory: Path) -> list[str]:
    """The directories below that hold a manifest, those near the top first; not those inside of packages, caches and
    build output."""
    from ..source_digest import SourceWalk

    found: list[str] = []
    files = itertools.islice(SourceWalk(directory, set()).files(), _SEARCHED_FILES)
    with contextlib.suppress(OSError):  # what can be read tells enough
        found.extend(os.path.dirname(path) for path in files if os.path.basename(path) == MANIFEST_NAME)
    return [str(directory / path) for path in sorted(found, key=lambda path: (path.count("/"), path))]


def _quoted(path: Path) -> str:
    """What to do where a path was cut at its first space, as Ansible does without quotes; empty where it was not."""
    try:
        longer = sorted(entry for entry in os.listdir(path.parent) if entry.startswith(f"{path.name} "))
    except OSError:
        return ""
    if not longer:
        return ""
    return f"""Quote the path, since it holds a space: `-e 'src="{path.parent / longer[0]}"'`."""


def parse_toml(path: Path, text: str) -> dict[str, t.Any]:
    """The manifest's tables; raises PlatformError with line and column of what is not TOML."""
    if deep := _DEEP_KEY.search(_without_strings(text)):
        line = deep.string.count("\n", 0, deep.start()) + 1
        raise PlatformError(
            f"{path.name}:{line}: a key has more than {LARGEST_DEPTH} parts.",
            next_step="Write fewer tables inside each other.",
        )
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise PlatformError(
            f"{path.name}: the TOML is nested too deeply.", next_step="Write fewer arrays or tables inside each other."
        ) from error
    except ValueError as error:
        message = str(error)
        place = ""
        if match := re.search(r" \(at line (\d+), column (\d+)\)$", message):
            message, place = message[: match.start()], f"{match[1]}: column {match[2]}: "
        elif match := re.search(r" \(at end of document\)$", message):
            message, place = message[: match.start()] + " at the end of the file", f"{len(text.splitlines()) or 1}: "
        next_step = "Correct the TOML there; https://toml.io/en/v1.0.0 describes it."
        raise PlatformError(f"{path.name}:{place or ' '}broken TOML: {message}.", next_step=next_step) from error


def _without_strings(text: str) -> str:
    """The text with a letter for each string and nothing for each comment; lines stay where they are."""

    def letter(match: re.Match[str]) -> str:
        return ("" if match[0].startswith("#") else "_") + "\n" * match[0].count("\n")

    return _STRING_OR_COMMENT.sub(letter, text)
