# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a host that hold k3s tokens, and the forms of a token."""

from __future__ import annotations

import re

from ...host import whole_file


def password(token: str) -> str:
    """The password of a token in any form: `K10<CA hash>::server:<password>`, `server:<password>` or the password alone
    (k3s docs, cli/token.md)."""
    credentials = token.strip()
    match = re.fullmatch(r"K10[0-9a-f]*::(.*)", credentials)
    if match:
        credentials = match[1]
        return credentials.split(":", 1)[1] if ":" in credentials else credentials
    return credentials[len("server:") :] if credentials.startswith("server:") else credentials


def read_token(path: str) -> str:
    """Empty where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write_token(path: str, token: str) -> None:
    """Replace the file; it is on the disk once this returns."""
    whole_file.write(path, f"{token}\n", durable=True)


def in_form_of(old: str, new: str) -> str:
    """A new password in the form of an old token: the secure form pins the cluster's authority, which stays the
    same."""
    match = re.match(r"(K10[0-9a-f]{64}::[^:]+:)", old)
    return f"{match[1]}{new}" if match else new
