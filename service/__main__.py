# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serves the hosted service on this machine, as `make serve` does.

`cluster` as the first argument serves as a replica in a cluster, and `token` makes a token there.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import uvicorn

from ..plugins.module_utils.directories import cache_directory, state_directory
from ..plugins.module_utils.errors import PlatformError
from ..plugins.module_utils.host import whole_file
from ..plugins.module_utils.local.installation import install
from .application import application, local_service
from .deployments.queue import Limits
from .directories import Directories
from .tokens import ALL_TENANTS, Role, TokenStore

RUNTIME_SOURCES = Path(__file__).resolve().parent.parent / "roles/local_runtime/files"


def main() -> None:
    """Serve until interrupted."""
    if sys.argv[1:2] in (["cluster"], ["token"]):
        from .cluster import command

        (command.serve if sys.argv[1] == "cluster" else command.make_token)(sys.argv[2:])
        return
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    for name in ("uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        directories = _directories(arguments)
    except PlatformError as error:
        sys.exit(f"{error.cause}\nNext: {error.next_step}")
    limits = Limits(running=arguments.builds, running_per_tenant=arguments.builds)
    with local_service(directories, limits) as service:
        token_file = _token_file(service.tokens, directories)
        config = uvicorn.Config(
            application(service),
            host="127.0.0.1",
            port=arguments.port,
            log_config=None,
            limit_concurrency=1000,
            timeout_graceful_shutdown=5,
            server_header=False,
        )
        with config.bind_socket() as listener:
            address = f"http://localhost:{listener.getsockname()[1]}"
            _tell(address, token_file)
            uvicorn.Server(config).run(sockets=[listener])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make serve", description="Serve the hosted service on this machine.")
    parser.add_argument("--port", type=int, default=8800, help="of 127.0.0.1; 0 takes a free one (default: 8800)")
    parser.add_argument("--builds", type=int, default=2, help="deployments that are worked on at once (default: 2)")
    parser.add_argument("--state-directory", help="default: ~/.local/state/wasmfaas, as for the playbooks")
    parser.add_argument("--cache-directory", help="default: ~/.cache/wasmfaas")
    return parser.parse_args()


def _directories(arguments: argparse.Namespace) -> Directories:
    """Where things are, with the local runtime installed; raises PlatformError."""
    cache = cache_directory(arguments.cache_directory)
    print("Installing the local runtime, unless it is there; the first time takes half a minute.", flush=True)
    runtime = install(RUNTIME_SOURCES, cache / "local-runtime")
    state = state_directory(arguments.state_directory)
    return Directories(state.absolute(), cache.absolute(), runtime.runtime_directory)


def _token_file(tokens: TokenStore, directories: Directories) -> Path:
    """The file with the token of whoever started the service; made where it is missing or was revoked."""
    file = directories.service / "admin-token"
    if file.is_file() and tokens.find(file.read_text(encoding="utf-8").strip()) is not None:
        return file
    tokens.delete("admin")
    whole_file.write(file, tokens.create("admin", ALL_TENANTS, Role.ADMIN) + "\n")
    return file


def _tell(address: str, token_file: Path) -> None:
    # Standard output may be a log that others read.
    token = token_file.read_text(encoding="utf-8").strip() if sys.stdout.isatty() else f"in {token_file}"
    print(
        f"""
The service answers at {address}
Token for all tenants: {token}

In a browser:  open {address} and sign in with the token.
With curl:     tar czf hello.tar.gz -C examples/functions/hello-python .
               curl -T hello.tar.gz -H "Authorization: Bearer $(cat {token_file})" \\
                 {address}/v1/tenants/user1/functions/hello/source

Ctrl-C ends the service; functions keep running, and deployments go on at its next start.
""",
        flush=True,
    )


if __name__ == "__main__":
    main()
