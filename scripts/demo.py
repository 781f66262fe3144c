# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make demo` shows: a function is deployed on this machine, answers over HTTP, and a second deployment changes
nothing."""

from __future__ import annotations

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import httpx2

EXAMPLE = "examples/functions/hello-python"
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
WARM_REQUESTS = 20


def main() -> None:
    """Deploy, call, deploy again; leaves with a message where one of them does not do what it promises."""
    _step(
        "1. Deploy a function in Python. The first time installs the local runtime and builds the function, which "
        "takes a minute or two."
    )
    first, first_seconds = _deploy()

    _step(f"2. Call it: curl {first['url']}")
    _call(first["url"])

    _step("3. Deploy it again. Nothing has changed, so nothing is built, pushed or restarted.")
    again, again_seconds = _deploy()
    if again["changed"]:
        sys.exit(
            "The second deployment reports a change; that is a bug. Run `make demo` again with ANSIBLE_VERBOSITY=2 "
            "and file what it prints."
        )

    _step("Done")
    rows = {
        "first deployment": f"{first_seconds:6.1f} s   changed={first['changed']}".lower(),
        "second deployment": f"{again_seconds:6.1f} s   changed={again['changed']}, "
        f"of which {sum(again['stages'].values()):.2f} s in the module".lower(),
        "artifact": first["image"],
        "answers at": first["url"],
    }
    for name, value in rows.items():
        print(f"  {name:<18} {value}")
    print("\nThe function keeps running. What next:")
    print("  . .venv/bin/activate")
    print("  ansible-playbook wasmfaas.platform.list_functions")
    print(f"  ansible-playbook wasmfaas.platform.delete_function -e name={first['name']}  # stops it, removes its data")


def _deploy() -> tuple[dict[str, t.Any], float]:
    """Run the playbook as a user would; gives its result file and the seconds of the whole command."""
    arguments = ["deploy-function.yml", "-e", f"src={EXAMPLE}"]
    print(f"$ {shlex.join(['ansible-playbook', *arguments])}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        result = Path(directory) / "result.json"
        started = time.monotonic()
        run = subprocess.run([PLAYBOOK, *arguments, "-e", f"result_file={result}"], check=False)
        seconds = time.monotonic() - started
        if run.returncode:
            sys.exit("The deployment failed; the error above says what to do.")
        return json.loads(result.read_text(encoding="utf-8")), seconds


def _call(url: str) -> None:
    """Print the function's answer and how long the first and the following requests took."""
    with httpx2.Client(timeout=30) as client:
        milliseconds = []
        for _request in range(1 + WARM_REQUESTS):
            started = time.perf_counter()
            answer = client.get(url)
            milliseconds.append((time.perf_counter() - started) * 1000)
            if answer.is_error:
                sys.exit(f"{url} answers {answer.status_code}: {answer.text[:500]}")
    print(f"HTTP {answer.status_code}, {answer.headers.get('content-type', 'no content type')}\n")
    print("\n".join(f"    {line}" for line in answer.text.rstrip().splitlines()))
    first, *warm = milliseconds
    print(
        f"\nfirst request {first:.1f} ms, the next {len(warm)}: median {statistics.median(warm):.1f} ms, slowest "
        f"{max(warm):.1f} ms"
    )


def _step(title: str) -> None:
    print(f"\n=== {title}\n", flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parent.parent)
    main()
