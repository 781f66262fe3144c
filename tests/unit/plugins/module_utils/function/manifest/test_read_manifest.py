# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Good manifests, and what the model says about them."""

from __future__ import annotations

import time
import tomllib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import (
    Build,
    FilesMount,
    LocalSource,
    Manifest,
    RemoteSource,
    Trigger,
    Variable,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest

from .minimal import MINIMAL

DIGEST = "sha256:" + "0a" * 32

EVERYTHING = f"""
#:schema https://schemas.spinframework.dev/spin/manifest-v2/latest.json
spin_manifest_version = 2

[application]
name = "shop"
version = "1.2.3"
description = "A shop"
authors = ["Ada <ada@example.com>"]
targets = ["spin-up:3.3", {{ path = "target.toml" }}]

[application.trigger.redis]
address = "redis://{{{{ host }}}}:6379"

[application.tool.lint]
level = 3

[variables]
host = {{ default = "db.example.com", description = "the database" }}
password = {{ required = true, secret = true }}

[[trigger.redis]]
channel = "orders"
component = "worker"

[[trigger.http]]
id = "front"
route = "/..."
component = "shop"
executor = {{ type = "wagi", argv = "a b" }}

[[trigger.http]]
route = "/files/:name"
component = {{ source = "inline.wasm", environment = {{ A = "1" }} }}

[[trigger.http]]
route = {{ private = true }}
component = "worker"

[component.shop]
source = "target/shop.wasm"
description = "front"
variables = {{ db = "pg://{{{{ host }}}}/{{{{password}}}}" }}
environment = {{ KEY = "value" }}
files = ["assets/**/*.png", {{ source = "static", destination = "/" }}]
exclude_files = ["**/secret"]
allowed_outbound_hosts = ["https://{{{{ host }}}}:8443", "*://*.example.com:*", "tcp://10.0.0.0/8:80..90", "http://self"]
allowed_http_hosts = ["api.example.com", "http://[::1]:81/"]
key_value_stores = ["default", "my-store", "my_store"]
sqlite_databases = ["default"]
ai_models = ["llama2-chat"]
dependencies_inherit_configuration = true
[component.shop.build]
command = ["npm install", "npm run build"]
workdir = "front"
watch = ["src/**/*.ts"]
[component.shop.tool.clean]
command = "rm -r target"
[component.shop.dependencies]
"a:b/c@1.0.0" = {{ path = "deps/c.wasm", export = "x" }}
"d:e" = ">=0.1.0, <0.3"
"f:g" = {{ component = "library" }}
"h:i" = {{ url = "https://example.com/h.wasm", digest = "{DIGEST}" }}
plain-name = {{ version = "1", package = "j:k", registry = "registry.example" }}
[component.shop.profile.debug]
source = "target/debug.wasm"
environment = {{ KEY = "debug", EXTRA = "1" }}
build.command = "npm run debug"
dependencies = {{ "d:e" = "=0.2.0" }}

[component.worker]
source = {{ url = "https://example.com/worker.wasm", digest = "{DIGEST.upper().replace("SHA", "sha")}" }}

[component.library]
source = "library.wasm"
"""

VERSION_1 = """
spin_version = "1"
name = "old"
version = "0.1.0"
trigger = { type = "http", base = "/" }

[variables]
secret = { required = true }

[[component]]
id = "Old_Front"
source = "front.wasm"
allowed_http_hosts = ["https://example.com:443", "self", "api.example.com:8080"]
[component.trigger]
route = "/..."
executor = { type = "spin" }
[component.config]
token = "{{ secret }}"
[component.build]
command = "make"

[[component]]
id = "back"
source = "back.wasm"
allowed_outbound_hosts = ["https://fermyon.com:443"]
trigger = { route = "/back" }

[[component]]
id = "all"
source = "all.wasm"
allowed_http_hosts = ["insecure:allow-all", "not//valid/"]
trigger = { route = "/all" }
"""


def read(directory: Path, text: str, profile: str | None = None) -> Manifest:
    (directory / "spin.toml").write_text(text, encoding="utf-8")
    return read_manifest(directory, profile=profile)


def test_everything(tmp_path: Path) -> None:
    manifest = read(tmp_path, EVERYTHING)

    assert (manifest.path, manifest.directory) == (tmp_path / "spin.toml", tmp_path)
    assert (manifest.name, manifest.version, manifest.description, manifest.authors) == (
        "shop",
        "1.2.3",
        "A shop",
        ("Ada <ada@example.com>",),
    )
    assert manifest.variables == {
        "host": Variable(description="the database", default="db.example.com"),
        "password": Variable(required=True, secret=True),
    }
    assert manifest.trigger_settings == {"redis": {"address": "redis://{{ host }}:6379"}}
    assert manifest.triggers == (
        Trigger("front", "http", "shop", {"route": "/...", "executor": {"type": "wagi", "argv": "a b"}}),
        Trigger("http-trigger1", "http", "http-trigger1-component", {"route": "/files/:name"}),
        Trigger("worker-http-trigger", "http", "worker", {"route": {"private": True}}),
        Trigger("worker-redis-trigger", "redis", "worker", {"channel": "orders"}),
    )
    assert list(manifest.components) == ["shop", "worker", "library", "http-trigger1-component"]
    assert manifest.components["worker"].source == RemoteSource("https://example.com/worker.wasm", DIGEST)
    assert manifest.components["http-trigger1-component"].environment == {"A": "1"}
    shop = manifest.components["shop"]
    assert (shop.id, shop.source, shop.description) == ("shop", LocalSource("target/shop.wasm"), "front")
    assert shop.variables == {"db": "pg://{{ host }}/{{password}}"}
    assert shop.files == ("assets/**/*.png", FilesMount("static", "/"))
    assert shop.exclude_files == ("**/secret",)
    assert shop.allowed_outbound_hosts[4:] == (
        "http://api.example.com",
        "https://api.example.com",
        "http://[::1]:81",
        "https://[::1]:81",
    )
    assert (shop.key_value_stores, shop.sqlite_databases, shop.ai_models) == (
        ("default", "my-store", "my_store"),
        ("default",),
        ("llama2-chat",),
    )
    assert shop.build == Build(
        ("npm install", "npm run build"), "front", ("src/**/*.ts",), ["npm install", "npm run build"]
    )
    assert shop.dependencies_inherit_configuration is True
    assert shop.dependencies == {
        "a:b/c@1.0.0": {"path": "deps/c.wasm", "export": "x", "inherit_configuration": True},
        "d:e": {"version": ">=0.1.0, <0.3", "inherit_configuration": True},
        "f:g": {"path": "library.wasm", "inherit_configuration": True},
        "h:i": {"url": "https://example.com/h.wasm", "digest": DIGEST, "inherit_configuration": True},
        "plain-name": {"version": "1", "package": "j:k", "registry": "registry.example", "inherit_configuration": True},
    }


def test_profile(tmp_path: Path) -> None:
    manifest = read(tmp_path, EVERYTHING, "debug")

    shop = manifest.components["shop"]
    assert manifest.profile == "debug"
    assert shop.source == LocalSource("target/debug.wasm")
    assert shop.environment == {"KEY": "debug", "EXTRA": "1"}
    assert shop.build == Build(("npm run debug",), "front", ("src/**/*.ts",), "npm run debug")
    assert shop.dependencies["d:e"]["version"] == "=0.2.0"
    assert shop.dependencies["f:g"]["path"] == "library.wasm"


def test_a_profile_may_add_the_build(tmp_path: Path) -> None:
    text = MINIMAL + 'profile.fast.build.command = ["make fast"]\n'
    assert read(tmp_path, text).components["a"].build is None
    assert read(tmp_path, text, "fast").components["a"].build == Build(("make fast",), command=["make fast"])


def test_version_1(tmp_path: Path) -> None:
    manifest = read(tmp_path, VERSION_1)

    assert (manifest.name, manifest.version) == ("old", "0.1.0")
    assert manifest.trigger_settings == {"http": {"base": "/"}}
    assert manifest.triggers == (
        Trigger("trigger-old-front", "http", "old-front", {"route": "/...", "executor": {"type": "spin"}}),
        Trigger("trigger-back", "http", "back", {"route": "/back"}),
        Trigger("trigger-all", "http", "all", {"route": "/all"}),
    )
    front, back, everything = (manifest.components[name] for name in ("old-front", "back", "all"))
    databases = ("redis://*:*", "mysql://*:*", "postgres://*:*")
    assert front.variables == {"token": "{{ secret }}"}
    assert front.build == Build(("make",), command="make")
    hosts = (
        "http://example.com",
        "https://example.com",
        "http://self",
        "http://api.example.com:8080",
        "https://api.example.com:8080",
    )
    assert front.allowed_outbound_hosts == (*databases, *hosts)
    assert back.allowed_outbound_hosts == ("https://fermyon.com:443",)
    assert everything.allowed_outbound_hosts == (*databases, "http://*:*", "https://*:*", "http://self")


def test_minimal_has_the_defaults(tmp_path: Path) -> None:
    manifest = read(tmp_path, MINIMAL)
    component = manifest.components["a"]
    assert (manifest.version, manifest.authors, manifest.variables, manifest.trigger_settings) == ("", (), {}, {})
    assert (component.build, component.files, component.dependencies, component.allowed_outbound_hosts) == (
        None,
        (),
        {},
        (),
    )
    assert manifest.triggers == (Trigger("a-http-trigger", "http", "a", {"route": "/..."}),)


def test_the_manifest_file_itself_may_be_given(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert read_manifest(other).path == other


def test_ids_made_up_avoid_those_given(tmp_path: Path) -> None:
    text = MINIMAL.replace(
        "[component.a]",
        '[[trigger.http]]\nroute = "/b"\ncomponent = "a"\n[[trigger.x]]\nid = "http-trigger1"\ncomponent = '
        '"a"\n[component.a]',
    )
    text = text.replace(
        "[component.a]",
        '[[trigger.x]]\nid = "Bad_Id"\ncomponent = { source = "x.wasm" }\n[[trigger.x]]\ncomponent = '
        '"a"\n[component.a]',
    )
    manifest = read(tmp_path, text)
    assert [trigger.id for trigger in manifest.triggers] == [
        "a-http-trigger",
        "http-trigger2",
        "http-trigger1",
        "Bad_Id",
        "a-x-trigger",
    ]
    assert manifest.triggers[3].component == "inline-component1"


@pytest.mark.parametrize(
    "route",
    [
        "/",
        "/...",
        "/*",
        "/a",
        "/a/",
        "/a/:b/c",
        "/a.json",
        "/:name.txt",
        "/.well-known/acme",
        "/.well-known/spin",
        "/a/b/...",
        "/a/.../",
        "hello",
        "files/...",
        ":name",
        "",
    ],
)
def test_good_routes(tmp_path: Path, route: str) -> None:
    manifest = read(tmp_path, MINIMAL.replace("/...", route))
    assert manifest.triggers[0].settings["route"] == route


@pytest.mark.parametrize(
    "host",
    [
        "https://example.com",
        "http://example.com/",
        "redis://h:6379",
        "*://*:*",
        "https://*.example.com",
        "http://self",
        "http://self.alt",
        "tcp://h:1..9",
        "http://10.0.0.0/8",
        "tcp://10.0.0.0/8:*",
        "http://[::1]:80",
        "http://fd00::/8",
        "https://a_b.example",
        "http://b.spin.internal",
        "http://*.spin.internal",
        "https://bücher.example",
        "https://xn--bcher-kva.example",
        "https://1.2.3.4",
        "custom://h:1",
        " https://example.com ",
        "https://{{ v }}",
        "{{ empty }}",
        "https://{{ empty }}",
    ],
)
def test_good_hosts(tmp_path: Path, host: str) -> None:
    text = (
        MINIMAL
        + f'allowed_outbound_hosts = ["{host}"]\n[variables]\nv = {{ required = true }}\nempty = {{ default = "" }}\n'
    )
    assert read(tmp_path, text).components["a"].allowed_outbound_hosts == (host,)


def test_labels_of_version_1_may_be_anything(tmp_path: Path) -> None:
    labels = 'key_value_stores = ["My Store", "b@d"]\nsqlite_databases = ["1"]\n[component.trigger]\nroute = "/..."'
    component = read(tmp_path, VERSION_1.replace('[component.trigger]\nroute = "/..."', labels)).components["old-front"]
    assert (component.key_value_stores, component.sqlite_databases) == (("My Store", "b@d"), ("1",))


def test_build_may_be_an_array_of_command_directory_and_watch(tmp_path: Path) -> None:
    build = read(tmp_path, MINIMAL + 'build = [["a", "b"], "front", ["src/*"]]\n').components["a"].build
    assert build == Build(("a", "b"), "front", ("src/*",), ["a", "b"])


def test_mount_of_an_empty_source_is_the_whole_directory(tmp_path: Path) -> None:
    component = read(tmp_path, MINIMAL + 'files = [{ source = "", destination = "/www" }]\n').components["a"]
    assert component.files == (FilesMount(".", "/www"),)


def test_trigger_may_give_a_static_response_instead_of_calling_a_component(tmp_path: Path) -> None:
    fixed = '[[trigger.http]]\nroute = "/robots.txt"\nstatic_response = { status_code = 404, headers = { a = "b" } }\n'
    triggers = read(tmp_path, MINIMAL.replace("[component.a]", fixed + "[component.a]")).triggers
    settings = {"route": "/robots.txt", "static_response": {"status_code": 404, "headers": {"a": "b"}}}
    assert triggers[1] == Trigger("http-trigger1", "http", "", settings)


def test_targets_are_names_urls_or_paths(tmp_path: Path) -> None:
    read(tmp_path, MINIMAL + 'targets = ["spin-up:3.3", { url = "https://e.com/t.toml" }, { path = "t.toml" }]\n')


def test_a_component_without_a_trigger_is_allowed(tmp_path: Path) -> None:
    assert "b" in read(tmp_path, MINIMAL + '[component.b]\nsource = "b.wasm"\n').components


def test_reading_takes_a_bounded_multiple_of_parsing_the_same_text(tmp_path: Path) -> None:
    read(tmp_path, EVERYTHING)
    text = (tmp_path / "spin.toml").read_text()

    def least(work: t.Callable[[], object]) -> float:
        """Processor time, in seconds, of the quickest of ten: what else the machine does is not in it."""
        taken = []
        for _time in range(10):
            begun = time.process_time()
            work()
            taken.append(time.process_time() - begun)
        return min(taken)

    assert least(lambda: read_manifest(tmp_path)) < 20 * least(lambda: tomllib.loads(text))
