# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes real virtual environments from a wheel that lies beside the project, so that no network is needed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build import python_environment as module
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.components import (
    BuildOptions,
    built_components,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.build.python_environment import (
    python_environment,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    Component,
    LocalSource,
    Manifest,
)


def build_all(manifest: Manifest, options: BuildOptions) -> list[str]:
    with built_components(manifest, options) as warnings:
        return warnings


def write_wheel(directory: Path, version: str = "1.0", answer: str = "42") -> Path:
    """A wheel of the package `greeter`, with the program `greet`."""
    path = directory / f"greeter-{version}-py3-none-any.whl"
    information = f"greeter-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("greeter.py", f"def main():\n    print({answer!r})\n")
        wheel.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: greeter\nVersion: {version}\n")
        wheel.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{information}/entry_points.txt", "[console_scripts]\ngreet = greeter:main\n")
        wheel.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "wheels").mkdir(parents=True)
    write_wheel(directory / "wheels")
    (directory / "requirements.txt").write_text("--no-index\n--find-links wheels\ngreeter==1.0\n")
    return directory


def test_directory_without_requirements_needs_none(tmp_path: Path) -> None:
    assert python_environment(tmp_path, tmp_path, tmp_path / "cache", io.StringIO()) is None
    assert not (tmp_path / "cache").exists()


def test_build_finds_the_packages_first_in_its_path_and_the_environment_is_kept(project: Path, tmp_path: Path) -> None:
    component = Component(
        id="c",
        source=LocalSource("app.wasm"),
        build=Build(("greet > app.wasm", "command -v python >> app.wasm; echo $VIRTUAL_ENV >> app.wasm")),
    )
    manifest, options = (
        Manifest(project / "spin.toml", "a", (), {"c": component}),
        BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log"),
    )
    build_all(manifest, options)
    greeting, python, environment = (project / "app.wasm").read_text().splitlines()
    assert greeting == "42"
    assert python == f"{environment}/bin/python"
    assert Path(environment).is_relative_to(tmp_path / "cache" / "python-environments")
    assert "Successfully installed greeter-1.0" in (tmp_path / "log").read_text()
    (Path(environment) / "mark").touch()
    build_all(manifest, options)
    assert (Path(environment) / "mark").exists()
    assert "pip install" not in (tmp_path / "log").read_text()


def test_requirements_above_the_workdir_count_up_to_the_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(module, "_make", lambda environment, requirements, _log: made.append(requirements))
    deep = project / "components" / "one"
    deep.mkdir(parents=True)

    def used(directory: Path, top: Path) -> Path | None:
        made.clear()
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        found = python_environment(directory, top, tmp_path / "cache", io.StringIO())
        assert (found is None) == (not made)
        return made[0] if made else None

    assert used(deep, project) == project / "requirements.txt"
    (deep.parent / "requirements.txt").write_text("")
    assert used(deep, project) == deep.parent / "requirements.txt", "the nearest one"
    assert used(project / "wheels", project / "wheels") is None, "not above the project"
    (tmp_path / "beside").mkdir()
    (tmp_path / "requirements.txt").write_text("")
    assert used(tmp_path / "beside", project) is None, "outside of the project, the directory itself only"


def test_requirements_of_a_workspace_count_where_all_of_it_is_source(project: Path, tmp_path: Path) -> None:
    """Above the project directory, up to the source root."""
    for name, covers in (("alone", False), ("member", True)):
        (project / name).mkdir()
        component = Component("c", LocalSource("app.wasm"), build=Build(("greet > app.wasm || echo none > app.wasm",)))
        manifest = Manifest(
            project / name / "spin.toml", "a", (), {"c": component}, source_root=project, covers_source_root=covers
        )
        build_all(manifest, BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log"))
    assert (project / "alone" / "app.wasm").read_text() == "none\n"
    assert (project / "member" / "app.wasm").read_text() == "42\n"


def test_environment_that_was_cut_off_is_made_again_once_by_two_builds(project: Path, tmp_path: Path) -> None:
    environment = tmp_path / "cache" / "python-environments" / module._key(project / "requirements.txt")
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to("/nowhere")
    (environment / "bin" / "greet").write_text("half a file")
    found: list[Path | None] = []
    logs = [io.StringIO(), io.StringIO()]
    threads = [
        threading.Thread(
            target=lambda log=log: found.append(python_environment(project, project, tmp_path / "cache", log))
        )
        for log in logs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [environment, environment]
    assert sorted("Successfully installed" in log.getvalue() for log in logs) == [False, True]
    assert subprocess.run([environment / "bin" / "greet"], check=True, capture_output=True, text=True).stdout == "42\n"


def test_package_that_cannot_be_had_is_named_and_its_environment_is_not_taken_for_whole(
    project: Path, tmp_path: Path
) -> None:
    (project / "requirements.txt").write_text("--no-index\nno-such-package==1\n")
    with pytest.raises(PlatformError, match="no-such-package") as caught:
        python_environment(project, project, tmp_path / "cache", io.StringIO())
    assert caught.value.facts["exit_code"] == 1
    assert "package index" in caught.value.next_step
    assert not list(tmp_path.glob("cache/python-environments/*/.complete"))


def test_installation_that_hangs_is_stopped(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INSTALL_TIMEOUT_SECONDS", 0.2)
    with pytest.raises(PlatformError, match=r"did not end within 0\.2 s"):
        python_environment(project, project, tmp_path / "cache", io.StringIO())


# Which environment belongs to which requirements


def test_equal_requirements_of_two_projects_share_an_environment(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "requirements.txt").write_text("spin-sdk==3.4.1 --hash=sha256:abc\n# componentize-py\n")
    assert module._key(tmp_path / "one" / "requirements.txt") == module._key(tmp_path / "other" / "requirements.txt")


def test_changed_requirements_get_another_environment(project: Path) -> None:
    before = module._key(project / "requirements.txt")
    (project / "requirements.txt").write_text("--no-index\n--find-links wheels\ngreeter==2.0\n")
    assert module._key(project / "requirements.txt") != before


@pytest.mark.parametrize(
    "line", ["-r base.txt", "-rbase.txt", "--requirement=base.txt", "-c base.txt", "--constraint base.txt  # pinned"]
)
def test_change_in_another_requirements_file_gets_another_environment(project: Path, line: str) -> None:
    (project / "base.txt").write_text("-r deeper.txt\n")
    (project / "deeper.txt").write_text("greeter==1.0\n")
    (project / "requirements.txt").write_text(f"{line}\n")
    before = module._key(project / "requirements.txt")
    (project / "deeper.txt").write_text("greeter==2.0\n")
    assert module._key(project / "requirements.txt") != before


def test_requirements_files_that_name_each_other_end(project: Path) -> None:
    (project / "requirements.txt").write_text("-r base.txt\n")
    (project / "base.txt").write_text("-r requirements.txt\n")
    assert len(module._key(project / "requirements.txt")) == 24


@pytest.mark.parametrize(
    "line", ["./library", "-e library", "greeter @ file:library", "library/greeter.whl", "--find-links=library"]
)
def test_two_projects_with_equal_lines_and_other_packages_beside_them_share_nothing(tmp_path: Path, line: str) -> None:
    keys = []
    for name in ("one", "other"):
        (tmp_path / name / "library").mkdir(parents=True)
        (tmp_path / name / "library" / "greeter.whl").write_text(name)
        (tmp_path / name / "requirements.txt").write_text(f"{line}\n")
        keys.append(module._key(tmp_path / name / "requirements.txt"))
    assert keys[0] != keys[1]


def test_project_installed_as_itself_is_not_made_anew_by_its_own_build(project: Path) -> None:
    (project / "requirements.txt").write_text("-e .\n")
    before = module._key(project / "requirements.txt")
    (project / "app.wasm").write_bytes(os.urandom(10))
    assert module._key(project / "requirements.txt") == before


@pytest.mark.parametrize("line", ["x" * 5000, "a\0b", "https://example.com/" + "y" * 300, "/", "~"])
def test_odd_lines_name_no_file(project: Path, line: str) -> None:
    (project / "requirements.txt").write_text(f"{line}\n")
    assert len(module._key(project / "requirements.txt")) == 24


def test_cache_that_cannot_be_written_is_told(project: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    component = Component(id="c", source=LocalSource("app.wasm"), build=Build(("true",)))
    with pytest.raises(PlatformError, match=r"The build cannot go on: .*cache"):
        build_all(
            Manifest(project / "spin.toml", "a", (), {"c": component}),
            BuildOptions(tmp_path / "cache", tmp_path / "outputs", tmp_path / "log"),
        )
