# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builder's image a project needs."""

from __future__ import annotations

import os
from pathlib import Path

from ...plugins.module_utils.errors import PlatformError
from ...plugins.module_utils.function.build.python_environment import nearest
from ...plugins.module_utils.function.manifest.model import Manifest

STATIC = "static"
_SIGNS = {
    "Cargo.toml": "rust",
    "go.mod": "go",
    "package.json": "javascript",
    "pyproject.toml": "python",
    "requirements.txt": "python",
}
"""The language of a component by the nearest of these files, the first one where several are there."""


def builder_image(manifest: Manifest, images: dict[str, str]) -> str:
    """The full reference of the image in which all components can be built; raises PlatformError.

    Args:
        images: by language; those of `static` and of what has no sign of a language are built in `python` where there
            is none for them.
    """
    project = Path(os.path.realpath(manifest.sources))
    found = {
        language
        for component in manifest.components.values()
        if component.build and (language := _language(manifest.directory / component.build.workdir, project))
    }
    if len(found) > 1:
        raise PlatformError(
            f"The components are written in several languages ({', '.join(sorted(found))}), and a build here has the "
            "tools of one.",
            next_step="Make a function of each, or deploy with the playbook from a machine that has all tools.",
        )
    language = found.pop() if found else STATIC
    image = images.get(language) or (images.get("python") if language == STATIC else None)
    if not image:
        raise PlatformError(
            f"There is no image to build {language} in: the setting `builds.images` of the service has none.",
            next_step="Tell whoever runs the service: `ansible-playbook wasmfaas.platform.publish_images` makes it.",
        )
    return image


def _language(directory: Path, project: Path) -> str | None:
    sign = nearest(Path(os.path.realpath(directory)), project, tuple(_SIGNS))
    return _SIGNS[sign.name] if sign else None
