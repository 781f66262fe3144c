# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two functions of one workspace, as Cargo and npm have it: they are built from its top, share a directory, and their
Wasm files lie in a `target` directory beside the projects."""

from __future__ import annotations

import collections.abc
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .support.function_project import FunctionProject
from .support.playbooks import PlaybookRun, Playbooks, extra

NAMES = ("one", "two")
BUILD = """
import pathlib, sys

project, target = pathlib.Path("apps", sys.argv[1]), pathlib.Path("target")
message = pathlib.Path("common/message.txt").read_bytes() + (project / "message.txt").read_bytes()
section = bytes([4]) + b"text" + message  # a custom section
assert len(section) < 128
target.mkdir(exist_ok=True)
(target / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
(target / f"{project.name}.wasm").write_bytes((project / "base.bin").read_bytes() + bytes([0, len(section)]) + section)
with open("../builds", "a") as builds:
    builds.write(f"{project.name} ")
"""

CARGO_WORKSPACE = {
    "Cargo.toml": '[workspace]\nmembers = ["apps/shop", "common", "xtask"]\nresolver = "2"\n',
    "common/Cargo.toml": '[package]\nname = "common"\nversion = "0.1.0"\nedition = "2021"\n',
    "common/src/lib.rs": 'pub const GREETING: &str = "first";\n',
    "apps/shop/Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n\n'
    '[dependencies]\ncommon = { path = "../../common" }\n',
    "apps/shop/src/lib.rs": 'pub fn answer() -> String {\n    format!("{} from shop", common::GREETING)\n}\n',
    "xtask/Cargo.toml": '[package]\nname = "xtask"\nversion = "0.1.0"\nedition = "2021"\n\n'
    '[dependencies]\nshop = { path = "../apps/shop" }\n',
    "xtask/src/main.rs": """
fn main() {
    let answer = shop::answer();
    let mut wasm = include_bytes!("../../apps/shop/base.bin").to_vec();
    wasm.extend([0, (answer.len() + 5) as u8, 4]); // a custom section
    wasm.extend(b"text");
    wasm.extend(answer.as_bytes());
    std::fs::create_dir_all("target/wasm32-wasip1/release").unwrap();
    std::fs::write("target/wasm32-wasip1/release/shop.wasm", wasm).unwrap();
}
""",
}
"""A workspace without crates from elsewhere. Its member `xtask` stands for the compiler's target wasm32-wasip1, which a
machine may lack: it puts what the function's own code says into a component."""

Push = collections.abc.Callable[..., PlaybookRun]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A git repository, whose `.gitignore` names a directory of notes, but not `target`."""
    top = tmp_path / "workspace"
    for name in NAMES:
        project = FunctionProject(top / "apps" / name, name)
        project.manifest(
            source=f"../../target/{name}.wasm",
            command=f"python3 common/build.py {name}",
            workdir="../..",
            more='files = [{ source = "../../web", destination = "/" }]',
        )
        project.write(name)
    for path, content in {
        "common/build.py": BUILD,
        "common/message.txt": "first",
        "common/key.pem": "a secret of the workspace",
        "web/index.html": "the page of both functions" * 10,
        ".gitignore": "/notes/\n",
    }.items():
        (top / path).parent.mkdir(exist_ok=True)
        (top / path).write_text(content)
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    return top


@pytest.fixture
def push(workspace: Path, tmp_path: Path) -> Push:
    """Runs deploy-function.yml as far as an OCI image layout."""
    playbooks = Playbooks(tmp_path / "home")

    def run(name: str, **variables: object) -> PlaybookRun:
        given = {"src": workspace / "apps" / name, "state": "pushed", "registry": f"oci:{tmp_path / 'images'}"}
        return playbooks.run("deploy-function.yml", *extra(**given, **variables))

    return run


def changes(runs: list[PlaybookRun]) -> list[int]:
    assert [run.exit_code for run in runs] == [0] * len(runs), runs[-1].output
    return [run.changed for run in runs]


def test_functions_of_one_workspace(push: Push, workspace: Path, tmp_path: Path) -> None:
    builds = tmp_path / "builds"
    assert changes([push(name) for name in NAMES]) == [1, 1]
    assert changes([push(name) for name in NAMES]) == [0, 0]
    (workspace / "notes").mkdir()
    (workspace / "notes" / "today").write_text("nothing that a build reads")
    assert changes([push(name) for name in NAMES]) == [0, 0]
    assert builds.read_text() == "one two "

    (workspace / "common" / "message.txt").write_text("second")
    assert changes([push(name) for name in NAMES]) == [1, 1]
    assert changes([push(name) for name in NAMES]) == [0, 0]
    assert builds.read_text() == "one two one two "

    blobs = {path.read_bytes() for path in (tmp_path / "images").rglob("*") if path.is_file()}
    assert {
        (workspace / path).read_bytes() for path in ("target/one.wasm", "target/two.wasm", "web/index.html")
    } <= blobs
    assert not any(b"a secret of the workspace" in blob for blob in blobs)


@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo, which builds the workspace, is not installed")
def test_workspace_of_cargo(tmp_path: Path) -> None:
    """Cargo's own files beside the sources, `Cargo.lock` and `target`, are no change, and a sister crate is."""
    top = tmp_path / "workspace"
    project = FunctionProject(top / "apps" / "shop", "shop")
    project.manifest(
        source="../../target/wasm32-wasip1/release/shop.wasm",
        command="cargo run --quiet --offline --package xtask",
        workdir="../..",
    )
    for path, content in CARGO_WORKSPACE.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_text(content)
    (top / ".gitignore").write_text("/target\n")
    subprocess.run(["git", "init", "-q", str(top)], check=True)
    playbooks = Playbooks(tmp_path / "home")
    images = tmp_path / "images"

    def push() -> PlaybookRun:
        given = {"src": project.directory, "state": "pushed", "registry": f"oci:{images}"}
        # The playbook has a home of its own, and rustup's cargo looks for its compilers in the user's.
        rustup = {"RUSTUP_HOME": os.environ.get("RUSTUP_HOME") or str(Path.home() / ".rustup")}
        return playbooks.run("deploy-function.yml", *extra(**given), environment=rustup)

    def built() -> bytes:
        return (top / "target/wasm32-wasip1/release/shop.wasm").read_bytes()

    assert changes([push(), push()]) == [1, 0]
    assert built().endswith(b"first from shop")
    assert (top / "Cargo.lock").is_file(), "made by the first build"
    library = top / "common/src/lib.rs"
    library.write_text(library.read_text().replace("first", "second"))
    assert changes([push(), push()]) == [1, 0]
    assert built().endswith(b"second from shop")
    assert built() in [path.read_bytes() for path in images.rglob("*") if path.is_file()]


def test_source_root_outside_of_a_repository(push: Push, workspace: Path) -> None:
    shutil.rmtree(workspace / ".git")
    refused = push("one")
    assert refused.exit_code != 0
    shown = " ".join(refused.output.split())
    assert "component.main.source" in shown
    assert '"../../target/one.wasm" leaves the directory of the manifest' in shown
    assert f"-e source_root={workspace}" in shown
    assert changes([push("one", source_root=workspace), push("one", source_root=workspace)]) == [1, 0]
    manifest = workspace / "apps" / "one" / "spin.toml"
    manifest.write_text(manifest.read_text().replace("../../web", "../../link"))
    (workspace / "link").symlink_to("/etc")
    linked = push("one", source_root=workspace)
    assert linked.exit_code != 0
    assert "through a symbolic link" in " ".join(linked.output.split()), json.dumps(linked.output)
