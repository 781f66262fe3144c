# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests to an API server, from its audit log: reads and writes of objects, without discovery."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

READS = ("get", "list", "watch")


@dataclasses.dataclass(frozen=True)
class Request:
    """A finished request for objects."""

    program: str
    verb: str
    resource: str
    namespace: str
    name: str

    @property
    def writes(self) -> bool:
        return self.verb not in READS


class Requests:
    """The requests since this object was made, from the log of a `ControlPlane` with `audit`."""

    def __init__(self, audit_log: Path) -> None:
        self._file = audit_log
        self._begin = audit_log.stat().st_size

    def of(self, program: str) -> list[Request]:
        """The requests of one program, such as kubectl. The API server writes the log before it answers."""
        with self._file.open("rb") as file:
            file.seek(self._begin)
            events = [json.loads(line) for line in file.read().splitlines()]
        return [
            Request(
                program=str(event.get("userAgent", "")).partition("/")[0],
                verb=event["verb"],
                resource=event["objectRef"].get("resource", ""),
                namespace=event["objectRef"].get("namespace", ""),
                name=event["objectRef"].get("name", ""),
            )
            for event in events
            if event.get("objectRef") and str(event.get("userAgent", "")).startswith(f"{program}/")
        ]
