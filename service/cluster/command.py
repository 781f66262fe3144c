# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommands `cluster`, which serves as a replica, and `token`, which makes the first token."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import typing as t
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from ...plugins.module_utils.errors import PlatformError
from ..application import application
from ..tokens import ALL_TENANTS, Role
from .adapters import ClusterAdapters
from .application import Replica
from .logs import PORT
from .tokens import ClusterTokenStore

SETTINGS_FILE = "/etc/wasmfaas/service.yml"


def serve(given: list[str]) -> None:
    """Serve as a replica until SIGTERM."""
    parser = argparse.ArgumentParser(prog="service cluster", description="Serve as a replica in a cluster.")
    parser.add_argument("--settings", default=SETTINGS_FILE, help=f"YAML or JSON (default: {SETTINGS_FILE})")
    parser.add_argument("--host", default="", help="address to listen at (default: all)")
    parser.add_argument("--port", type=int, default=8800, help="of API and page (default: 8800)")
    parser.add_argument("--builds-port", type=int, default=PORT, help=f"of the build endpoint (default: {PORT})")
    arguments = parser.parse_args(given)
    host = arguments.host or "0.0.0.0"  # noqa: S104 (network policies say who reaches it)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    for name in ("uvicorn.access", "uvicorn.error", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    holder = f"{os.environ.get('POD_NAME', 'replica')}_{os.environ.get('POD_IP', '127.0.0.1')}:{arguments.port}"
    try:
        replica = Replica(Path(arguments.settings), holder, arguments.builds_port)
    except PlatformError as error:
        sys.exit(f"{error.cause}\nNext: {error.next_step}")
    # After its shutdown uvicorn raises the signal again; the default handler would end the process before the Lease is
    # given up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    builds = _in_a_thread(replica.builds_application(), host, arguments.builds_port)
    with contextlib.suppress(KeyboardInterrupt), builds, replica.running() as service:
        config = uvicorn.Config(
            application(service),
            host=host,
            port=arguments.port,
            log_config=None,
            limit_concurrency=1000,
            timeout_graceful_shutdown=20,
            server_header=False,
            # The ingress says who calls; others do not reach the pod.
            proxy_headers=True,
            forwarded_allow_ips="*",
        )
        uvicorn.Server(config).run()


@contextlib.contextmanager
def _in_a_thread(served: Starlette, host: str, port: int) -> t.Iterator[None]:
    """Serves another application inside of the context."""
    config = uvicorn.Config(
        served, host=host, port=port, log_config=None, limit_concurrency=1000, server_header=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    with config.bind_socket() as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="builds")
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()


def make_token(given: list[str]) -> None:
    """Make a token and print it, as for the first administrator."""
    parser = argparse.ArgumentParser(prog="service token", description="Make a token and print it, once.")
    parser.add_argument("--settings", default=SETTINGS_FILE, help=f"YAML or JSON (default: {SETTINGS_FILE})")
    parser.add_argument("--name", required=True, help="tells tokens apart, as in alice-laptop")
    parser.add_argument("--role", choices=[str(role) for role in Role], default=str(Role.ADMIN))
    parser.add_argument("--tenant", default="", help="for the roles read and deploy")
    parser.add_argument("--expires", default="", help="as in 2027-01-31T12:00:00Z (default: no end)")
    arguments = parser.parse_args(given)
    try:
        adapters = ClusterAdapters(Path(arguments.settings))
        store = ClusterTokenStore(lambda: adapters.apis.own, adapters.settings.namespace)
        tenant = arguments.tenant or ALL_TENANTS
        print(store.create(arguments.name, tenant, Role(arguments.role), arguments.expires))
    except PlatformError as error:
        sys.exit(f"{error.cause}\nNext: {error.next_step}")
