# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the handlers need beside the request."""

from __future__ import annotations

import dataclasses
import typing as t

from starlette.requests import Request
from starlette.responses import Response

from ..core import Service
from ..tokens import Token
from .authentication import Authenticator


@dataclasses.dataclass(frozen=True)
class Context:
    """The service and how its users are known."""

    service: Service
    authenticator: Authenticator

    async def token(self, request: Request) -> Token:
        """The valid token of the request; raises ServiceProblem."""
        return await self.authenticator.token(request)


Handler = t.Callable[[Request, Context], t.Awaitable[Response]]
