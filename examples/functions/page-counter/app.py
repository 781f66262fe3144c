# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The component's entry point: gives counter.py Spin's key-value store and variables."""

from __future__ import annotations

from counter import answer
from spin_sdk import http, key_value, variables


class IncomingHandler(http.IncomingHandler):
    """componentize-py looks for a class of this name."""

    def handle_request(self, request: http.Request) -> http.Response:
        with key_value.open_default() as store:
            result = answer(request.method, request.uri, request.headers, store, variables.get)
        return http.Response(result.status, result.headers, b"" if request.method == "HEAD" else result.body)
