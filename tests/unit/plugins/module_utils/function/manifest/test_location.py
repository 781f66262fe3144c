# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of keys."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.location import (
    KeyPath,
    find_line,
    format_path,
)

TEXT = '''# comment = 1
top = 1
"quoted key" = 2
[table] # [not.a.header]
a = """
b = 3
[table.c]
"""
b = [
  "x = 1", # ]
  "y",
]
c.d = { e = 1, "f" = { g = 2 } }
[[array]]
k = 1
[array.sub]
k = 2
[[array]]
k = 3
[array."s.u.b"]
k = 4
'''


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("top",), None, 2),
        (("quoted key",), None, 3),
        (("table",), None, 4),
        (("table", "b"), None, 9),
        (("table", "b", 1), "y", 11),
        (("table", "b", 1), None, 9),
        (("table", "c", "d"), None, 13),
        (("table", "c", "d", "f", "g"), None, 13),
        (("array", 0, "k"), None, 15),
        (("array", 0, "sub", "k"), None, 17),
        (("array", 1, "k"), None, 19),
        (("array", 1, "s.u.b", "k"), None, 21),
        (("array", 1, "missing"), None, 18),
        (("nothing",), None, None),
        ((), None, None),
    ],
)
def test_find_line(path: KeyPath, value: str | None, line: int | None) -> None:
    assert find_line(TEXT, path, value) == line


def test_format_path() -> None:
    assert format_path(("a", 0, "b c", 'd"')) == 'a[0]."b c"."d\\""'
