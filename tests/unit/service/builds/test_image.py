# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which builder's image a project gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.service.builds.image import builder_image

IMAGES = {name: f"registry.example/{name}:1" for name in ("python", "javascript", "rust", "go")}


def image(project: Path, images: dict[str, str], **builds: str) -> str:
    """That for a project with a component in each named directory."""
    tables = [
        f'[[trigger.http]]\nroute = "/{name}"\ncomponent = "{name}"\n[component.{name}]\nsource = "{name}.wasm"\n'
        f'[component.{name}.build]\ncommand = "true"\nworkdir = "{directory}"\n'
        for name, directory in builds.items()
    ]
    head = 'spin_manifest_version = 2\n[application]\nname = "a"\n'
    (project / "spin.toml").write_text(head + "\n".join(tables))
    for directory in builds.values():
        (project / directory).mkdir(exist_ok=True)
    return builder_image(read_manifest(project), images)


@pytest.mark.parametrize(
    ("sign", "language"),
    [
        ("package.json", "javascript"),
        ("Cargo.toml", "rust"),
        ("go.mod", "go"),
        ("requirements.txt", "python"),
        ("other.txt", "python"),
    ],
)
def test_a_file_tells_the_language(tmp_path: Path, sign: str, language: str) -> None:
    (tmp_path / sign).touch()
    assert image(tmp_path, IMAGES, one=".") == IMAGES[language]


def test_the_nearest_file_counts_and_a_component_without_any_is_built_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/go.mod").touch()
    assert image(tmp_path, IMAGES, one="one", two="two") == IMAGES["go"]


def test_several_languages_and_missing_images_are_refused(tmp_path: Path) -> None:
    for name, sign in (("one", "go.mod"), ("two", "Cargo.toml")):
        (tmp_path / name).mkdir()
        (tmp_path / name / sign).touch()
    with pytest.raises(PlatformError, match="several languages"):
        image(tmp_path, IMAGES, one="one", two="two")
    with pytest.raises(PlatformError, match="no image to build go in"):
        image(tmp_path, {"python": "x"}, one="one")
