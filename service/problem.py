# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the service that are no errors of a deployment step: each has an HTTP status and a code."""

from __future__ import annotations

import contextlib
import enum
import typing as t

from ..plugins.module_utils.errors import PlatformError


class Code(enum.Enum):
    """Codes of problems with their HTTP status and title; clients may rely on the code."""

    BAD_REQUEST = ("bad_request", 400, "The request cannot be read")
    DIGEST_MISMATCH = ("digest_mismatch", 400, "The content has another digest")
    UNAUTHORIZED = ("unauthorized", 401, "A valid token is needed")
    FORBIDDEN = ("forbidden", 403, "The token does not allow this")
    NOT_FOUND = ("not_found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405, "The method is not allowed here")
    CONFLICT = ("conflict", 409, "The present state does not allow this")
    NO_CANARY = ("no_canary", 409, "There is no canary")
    TOO_LARGE = ("too_large", 413, "The content is too large")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported_media_type", 415, "The content has the wrong type")
    INVALID = ("invalid", 422, "The content is invalid")
    TOO_MANY = ("too_many", 429, "Too many requests or deployments")
    INTERNAL = ("internal", 500, "The service made a mistake")
    UNAVAILABLE = ("unavailable", 503, "The service is not available")

    def __init__(self, code: str, status: int, title: str) -> None:
        self.code, self.status, self.title = code, status, title


class ServiceProblem(PlatformError):
    """What a request gets instead of what it asked for.

    Args:
        retry_after: seconds after which the same request may succeed; None where waiting does not help.
    """

    def __init__(self, code: Code, cause: str, *, next_step: str, retry_after: int | None = None) -> None:
        super().__init__(cause, next_step=next_step)
        self.code, self.retry_after = code, retry_after


@contextlib.contextmanager
def as_invalid() -> t.Iterator[None]:
    """Tells an error about what a client sent as such; other problems of a request stay as they are."""
    try:
        yield
    except ServiceProblem:
        raise
    except PlatformError as error:
        raise ServiceProblem(Code.INVALID, error.cause, next_step=error.next_step) from error
