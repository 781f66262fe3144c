# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes what the tests run, one program after the other, into ~/.cache/wasmfaas: `python -m tests.programs`. What is
there is not built again. With `--full` also what only some tests run, and are skipped without.

A test that needs a program builds it itself where it is missing; this does it beside the checks of `make test` that
need none. KEDA and the programs of a real node take too long for that: their tests are skipped where they are missing.
"""

from __future__ import annotations

import argparse
import collections.abc
import sys
import time

from ansible_collections.wasmfaas.platform.tests.hosts import k3s_binary, rootfs, unavailable
from ansible_collections.wasmfaas.platform.tests.integration.support import (
    gateway,
    helm_program,
    keda,
    policed_node,
    real_node,
    real_parts,
    servers,
    traefik,
)
from ansible_collections.wasmfaas.platform.tests.observability import tools


def root_file_system() -> object:
    return unavailable() or rootfs.rootfs()


PROGRAMS: dict[str, collections.abc.Callable[[], object]] = {
    "test servers": servers.build,
    "stand-in of k3s": lambda: k3s_binary.stand_in(k3s_binary.STAND_IN_VERSION),
    "stand-in of k3s, the version to upgrade to": lambda: k3s_binary.stand_in(k3s_binary.STAND_IN_UPGRADE_VERSION),
    "spin-operator": real_parts.SPIN_OPERATOR.build,
    "root file system of the test hosts": root_file_system,
    "contour": gateway.ContourProgram,
    "helm": helm_program.build,
    "opentelemetry collector": tools.collector,
}
FULL: dict[str, collections.abc.Callable[[], object]] = {
    "KEDA HTTP add-on": keda.KEDA_HTTP_ADD_ON.build,
    "KEDA": keda.KEDA.build,
    "Traefik": traefik.TRAEFIK.build,
    "kube-router": policed_node.KUBE_ROUTER.build,
    **{part.name: part.build for part in real_node.PARTS},
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the programs of the tests.")
    parser.add_argument("--full", action="store_true", help="also those of which a few tests are skipped without")
    failed = False
    for name, build in {**PROGRAMS, **(FULL if parser.parse_args().full else {})}.items():
        begun = time.monotonic()
        try:
            build()
        except Exception as error:  # the tests that need it say so too; the others are built all the same
            failed = True
            print(f"{name}: not built: {error}", file=sys.stderr, flush=True)
        else:
            print(f"{name}: there after {time.monotonic() - begun:.0f} s", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
