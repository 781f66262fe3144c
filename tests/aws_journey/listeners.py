# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load balancers by a file: `python -m tests.aws_journey.listeners FILE`.

FILE is JSON, a list of listeners (`Listener`), and is read again whenever it changes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import typing as t
from pathlib import Path

from ..integration.support.load_balancer import HealthCheck, Listener, LoadBalancer

FILE_SECONDS = 0.5


def read(text: str) -> list[Listener]:
    """The listeners of a file."""
    return [
        Listener(
            address=entry["address"],
            port=entry["port"],
            targets=tuple((str(address), int(port)) for address, port in entry["targets"]),
            check=HealthCheck(**entry["check"]),
        )
        for entry in json.loads(text)
    ]


def write(listeners: t.Iterable[Listener], file: Path) -> None:
    """The file of `read`, replaced in one step."""
    partial = file.with_suffix(".new")
    partial.write_text(json.dumps([dataclasses.asdict(listener) for listener in listeners]), encoding="utf-8")
    partial.replace(file)


async def serve(file: Path) -> None:
    """Run the listeners of a file until this task is cancelled."""
    running: dict[Listener, asyncio.Task[None]] = {}
    while True:
        desired = read(file.read_text(encoding="utf-8"))
        for listener in [listener for listener in running if listener not in desired]:
            running.pop(listener).cancel()
        for listener in desired:
            if listener not in running:
                running[listener] = asyncio.create_task(LoadBalancer(listener).run())
        await asyncio.sleep(FILE_SECONDS)
        for task in running.values():
            if task.done():
                task.result()  # raises what ended it


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
