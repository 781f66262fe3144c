# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component's entry point: hands Spin's request to greeting.py and its answer back to Spin."""

from __future__ import annotations

from greeting import answer
from spin_sdk import http


class IncomingHandler(http.IncomingHandler):
    """componentize-py looks for a class of this name."""

    def handle_request(self, request: http.Request) -> http.Response:
        result = answer(request.method, request.uri)
        return http.Response(result.status, result.headers, b"" if request.method == "HEAD" else result.body)
