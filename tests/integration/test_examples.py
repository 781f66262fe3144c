# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example functions: their own tests, and the way of hello-python, hello-js and hello-go through the product with
their own build commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import httpx2
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.check import check
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.compatibility.webassembly import read_binary
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.source_digest import source_digest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.spin_function import run
from ansible_collections.wasmfaas.platform.plugins.module_utils.local import installation
from ansible_collections.wasmfaas.platform.plugins.modules.spin_function import argument_spec

from .support.deployment import Deployment
from .support.examples import MADE_BY_BUILDS, reaches, skip_without
from .support.function_project import FunctionProject
from .support.servers import REPOSITORY

EXAMPLES = REPOSITORY / "examples" / "functions"
USER_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasmfaas"
SHIM_VERSION = "0.25.1"
HANDLER = re.compile(r"wasi:http/incoming-handler@0\.2\.\d+")


def copy_of(name: str, directory: Path) -> Path:
    """A copy of an example as it is in the repository: without what builds and tests have left there."""
    shutil.copytree(EXAMPLES / name, directory / name, ignore=MADE_BY_BUILDS)
    return directory / name


def spin_function(state_directory: Path, **given: t.Any) -> dict[str, t.Any]:
    """Run the module; the packages of a build are shared by all tests of this user."""
    defaults = {name: option.get("default") for name, option in argument_spec().items()}
    return run(
        {**defaults, **given, "cache_directory": str(USER_CACHE), "state_directory": str(state_directory)}, False, set()
    )


def push(directory: Path, layout: Path, state: Path) -> dict[str, t.Any]:
    """Build it and put it into an OCI image layout."""
    given = {"source": str(directory), "state": "pushed", "registry": f"oci:{layout}", "shim_version": SHIM_VERSION}
    return spin_function(state, **given)


def skip_without_its_tools(name: str) -> None:
    """A build needs its tools, and hello-go's its Go modules as well."""
    skip_without(name, *{"hello-js": ["npm"], "hello-go": ["npm", "go"]}.get(name, []))


@pytest.mark.parametrize("name", ["hello-python", "hello-js", "hello-go"])
def test_an_example_is_built_and_runs_on_the_pinned_shim(name: str, tmp_path: Path) -> None:
    skip_without_its_tools(name)
    directory = copy_of(name, tmp_path)
    first = push(directory, tmp_path / "images", tmp_path / "state")
    assert first["changed"] is True and first["stages"]["build"] > 0
    assert first["image"].endswith(f"@{first['digest']}")

    manifest = read_manifest(directory)
    sources = {
        component.id: manifest.directory / t.cast("t.Any", component.source).path
        for component in manifest.components.values()
    }
    for component, path in sources.items():
        binary = read_binary(path, key=component)
        assert binary.is_component and [export for export in binary.exports if HANDLER.fullmatch(export)], (
            binary.exports
        )
        assert not [name for name in (*binary.imports, *binary.exports) if name.startswith("wasi:") and "@0.3" in name]
    assert check(manifest, sources, shim_version=SHIM_VERSION)
    blob = json.loads((tmp_path / "images" / "blobs" / "sha256" / first["digest"].removeprefix("sha256:")).read_text())
    assert blob["annotations"]["org.opencontainers.image.title"] == name

    second = push(directory, tmp_path / "images", tmp_path / "state")
    assert second["changed"] is False and "build" not in second["stages"], (
        "what a build writes is no change of the source"
    )
    assert {key: second[key] for key in ("digest", "source_digest")} == {
        key: first[key] for key in ("digest", "source_digest")
    }


def test_hello_go_answers_as_net_http_does(tmp_path: Path) -> None:
    """Its module is small, and its bytes do not depend on where it is built; with the local runtime."""
    skip_without_its_tools("hello-go")
    directories = [copy_of("hello-go", tmp_path / place) for place in ("one", "two")]
    directory = installation.install(REPOSITORY / "roles" / "local_runtime" / "files").runtime_directory
    state = tmp_path / "state"
    given = {"target": "local", "runtime_directory": str(directory)}
    first = spin_function(state, source=str(directories[0]), **given)
    try:
        assert first["changed"] is True
        with httpx2.Client(base_url=first["url"], trust_env=False, timeout=120) as client:
            answer = client.get("/hello/Zo%C3%AB?x=1")
            assert (answer.status_code, answer.text) == (200, "Hello, Zoë!\n")
            assert answer.headers["content-length"] == str(len(answer.content)), "a short answer has its length"
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
            answer = client.post("/hello", json={"name": "Ada"})
            assert (answer.status_code, answer.json()) == (200, {"message": "Hello, Ada!"})
            pieces = iter([b'{"name":', b' "Bob"}'])
            assert client.post("/hello", content=pieces).json() == {"message": "Hello, Bob!"}
            assert client.post("/hello", content=b" " * 1_000_000).status_code == 400, "it is not read to its end"
            answer = client.get("/count/10000")
            assert answer.text.split() == [str(number) for number in range(1, 10001)]
            assert "content-length" not in answer.headers, "it is sent while it is made"
            assert client.head("/").status_code == 200 and not client.head("/").content
            assert client.get("/elsewhere").status_code == 404
            answer = client.put("/hello/Ada")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        second = spin_function(state, source=str(directories[0]), **given)
        assert (second["changed"], second["digest"]) == (False, first["digest"])
        assert not (directories[1] / "dist").exists()
        other = push(directories[1], tmp_path / "images", tmp_path / "other_state")
        assert other["digest"] == first["digest"], "a build in another directory gives the same bytes"
    finally:
        assert spin_function(state, state="absent", name="hello-go", **given)["changed"] is True


def test_j2w_that_fails_with_exit_code_0_pushes_nothing_of_its_last_build(tmp_path: Path) -> None:
    """bytecodealliance/ComponentizeJS#113, with a project as users have it: nothing but the product looks after the old
    output."""
    skip_without_its_tools("hello-js")
    directory = copy_of("hello-js", tmp_path)
    plain = "j2w --input build/bundle.js --output dist/hello-js.wasm"
    (directory / "package.json").write_text(
        (directory / "package.json").read_text().replace("node build.mjs && j2w", "j2w")
    )
    assert f'"build": "{plain}"' in (directory / "package.json").read_text()
    for name in ("build", "dist"):  # j2w makes no directory
        (directory / name).mkdir()
    (directory / ".gitignore").unlink()
    handler = 'addEventListener("fetch", (event) => event.respondWith(new Response("hi")));\n'
    (directory / "build" / "bundle.js").write_text(handler)
    first = push(directory, tmp_path / "images", tmp_path / "state")
    output = (directory / "dist" / "hello-js.wasm").read_bytes()

    (directory / "build" / "bundle.js").write_text(f"{handler}(\n")
    with pytest.raises(
        PlatformError, match=r"npm run build` ended with exit code 0 but wrote no dist/hello-js\.wasm"
    ) as raised:
        push(directory, tmp_path / "images", tmp_path / "state")
    assert raised.value.stage == "build"
    assert "SyntaxError" in raised.value.cause
    assert (directory / "dist" / "hello-js.wasm").read_bytes() == output

    (directory / "build" / "bundle.js").write_text(f"{handler}// corrected\n")
    again = push(directory, tmp_path / "images", tmp_path / "state")
    assert again["changed"] is True and again["source_digest"] != first["source_digest"]


def test_hello_python_is_deployed_to_a_cluster(deployment: Deployment, tmp_path: Path) -> None:
    project = FunctionProject.existing(copy_of("hello-python", tmp_path), "hello-python")
    options: dict[str, t.Any] = {"cache_directory": str(USER_CACHE)}
    first = deployment.deploy(project, **options)
    assert first["changed"] is True and {"build", "registry", "rollout"} <= set(first["stages"])
    answer = deployment.call(first)
    assert (answer.status_code, answer.json()["image"]) == (200, first["image"])
    assert deployment.deploy(project, **options)["changed"] is False


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/spin.toml")))
def test_the_manifest_is_valid_and_the_source_digest_stable(name: str, tmp_path: Path) -> None:
    copies = [copy_of(name, tmp_path / place) for place in ("one", "two")]
    manifests = [read_manifest(copy) for copy in copies]
    assert [manifest.name for manifest in manifests] == [name, name]
    digests = [source_digest(manifest) for manifest in manifests]
    assert digests[0] == digests[1] == source_digest(manifests[0]), (
        "the same source has the same digest wherever it lies"
    )
    os.utime(copies[1] / "spin.toml", (0, 0))
    assert source_digest(manifests[1]) == digests[0]
    (copies[1] / "README.md").write_text("changed\n")
    assert source_digest(manifests[1]) != digests[0]


def test_page_counter_wants_its_secret(deployment: Deployment, tmp_path: Path) -> None:
    project = FunctionProject.existing(copy_of("page-counter", tmp_path), "page-counter")
    with pytest.raises(PlatformError, match="variables: reset_token is required") as raised:
        deployment.deploy(project)
    assert raised.value.stage == "manifest"


# ---- the examples' own tests


@pytest.mark.parametrize("name", sorted({path.parent.name for path in EXAMPLES.glob("*/test_*.py")}))
def test_the_examples_python_tests(name: str, tmp_path: Path) -> None:
    directory = copy_of(name, tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(directory),
        str(directory),
    ]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    result = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"[1-9]\d* passed", result.stdout) and "failed" not in result.stdout


def test_the_javascript_examples_tests(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("Node.js, which the tests of hello-js need, is not installed")
    directory = copy_of("hello-js", tmp_path)
    result = subprocess.run(["node", "--test"], cwd=directory, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"# pass [1-9]", result.stdout) or re.search(r"ℹ pass [1-9]", result.stdout), result.stdout


@pytest.mark.parametrize(
    ("name", "command", "packages_from"),
    [
        ("hello-rust", ["cargo", "test", "--locked"], "index.crates.io"),
        ("hello-go", ["go", "test", "./greeting"], "proxy.golang.org"),
        ("hello-tinygo", ["go", "test", "./greeting"], "proxy.golang.org"),
    ],
    ids=["hello-rust", "hello-go", "hello-tinygo"],
)
def test_the_compiled_examples_tests(name: str, command: list[str], packages_from: str, tmp_path: Path) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]}, which the tests of {name} need, is not installed")
    if not reaches(packages_from):
        pytest.skip(f"{packages_from}, where {command[0]} gets its packages, cannot be reached")
    directory = copy_of(name, tmp_path)
    # One place for the packages and what is compiled of them, kept between runs.
    environment = {
        **os.environ,
        "CARGO_TARGET_DIR": str(USER_CACHE / "tests" / "cargo-target"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
    }
    result = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^ok\s|test result: ok\. [1-9]", result.stdout, re.MULTILINE), result.stdout
