# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads numbers and switches in URLs."""

from __future__ import annotations

from starlette.requests import Request

from ..problem import Code, ServiceProblem

MOST_NUMBER = 1 << 53
"""The largest number that JSON's readers agree on."""


def number_in(text: str, what: str, least: int, most: int) -> int:
    """A number in a URL; raises ServiceProblem."""
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise ServiceProblem(
        Code.INVALID, f"{what}: {text!r} is no number from {least} to {most}.", next_step="Correct it in the URL."
    )


def deployment_number(request: Request) -> int:
    """The number of the deployment in the path; raises ServiceProblem."""
    return number_in(request.path_params["number"], "The number of the deployment", 1, MOST_NUMBER)


def switch(request: Request, name: str, *, default: bool = False) -> bool:
    """A parameter of the query that is `true` or `false`; `default` without it. Raises ServiceProblem."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in ("true", "false"):
        raise ServiceProblem(Code.INVALID, f"{name}: must be true or false.", next_step="Correct it in the URL.")
    return text == "true"


def place(request: Request) -> tuple[str, str]:
    """Tenant and function in the path."""
    return request.path_params["tenant"], request.path_params["function"]
