# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the locked application (Spin v4.0.2: crates/locked-app/src/locked.rs, crates/loader/src/local.rs,
crates/oci/src/client.rs)."""

from __future__ import annotations

import base64
import hashlib
import json
import tomllib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.locked_application import (
    content_reference,
    locked_application,
    serialize,
    uses_service_chaining,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.artifact.model import Blob
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Component, LocalSource
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest
from hypothesis import given
from hypothesis import strategies as st


def blob(data: bytes, media_type: str = "application/vnd.wasm.content.layer.v1+wasm") -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), data=data)


def lock(
    directory: Path,
    spin_toml: str,
    files: dict[str, list[tuple[str, Blob]]] | None = None,
    *,
    profile: str | None = None,
) -> dict[str, t.Any]:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "spin.toml").write_text(spin_toml)
    manifest = read_manifest(directory, profile=profile)
    return locked_application(
        manifest, {identifier: blob(bytes(1000)) for identifier in manifest.components}, files or {}
    )


HEAD = """
spin_manifest_version = 2
[application]
name = "a"
"""
HTTP = """
[[trigger.http]]
route = "/..."
component = "c"
"""


def component_of(directory: Path, lines: str) -> dict[str, t.Any]:
    application = lock(directory, f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"\n{lines}')
    return t.cast("dict[str, t.Any]", application["components"][0])


def test_minimal_locked_application_is_exactly_the_golden_one(tmp_path: Path) -> None:
    """The order of the keys counts too: it is that in which Spin's structs are written."""
    wasm, page, tiny = blob(b"\0asm\x01\0\0\0" + bytes(1000)), blob(b"<html>" + bytes(200)), blob(b"hi")
    (tmp_path / "spin.toml").write_text(
        """
        spin_manifest_version = 2
        [application]
        name = "hello"
        version = "0.1.0"
        [variables]
        greeting = { default = "hi" }
        [[trigger.http]]
        route = "/..."
        component = "hello"
        [component.hello]
        source = "hello.wasm"
        sqlite_databases = ["default"]
        allowed_outbound_hosts = ["https://api.example.com"]
        environment = { K = "v" }
        variables = { greeting = "{{ greeting }}" }
        """
    )
    application = locked_application(
        read_manifest(tmp_path), {"hello": wasm}, {"hello": [("assets/index.html", page), ("assets/tiny.txt", tiny)]}
    )
    assert serialize(application).decode() == (
        '{"spin_lock_version":0,'
        '"metadata":{"name":"hello","trigger":{"type":"http"},"triggers":{},"version":"0.1.0"},'
        '"variables":{"greeting":{"default":"hi"}},'
        '"triggers":[{"id":"hello-http-trigger","trigger_type":"http","trigger_config":{"component":"hello","route":"/..."}}],'
        '"components":[{"id":"hello","metadata":{"allowed_outbound_hosts":["https://api.example.com"],"databases":["default"]},'
        f'"source":{{"content_type":"application/wasm","digest":"{wasm.digest}"}},'
        '"env":{"K":"v"},'
        f'"files":[{{"digest":"{page.digest}","path":"assets/index.html"}},{{"inline":"aGk","digest":"{tiny.digest}","path":"assets/tiny.txt"}}],'
        '"config":{"greeting":"{{ greeting }}"}}]}'
    )


# Inline contents


@pytest.mark.parametrize("data", [b"", b"a", b"ab", b"abc", b"\xff\xfe\xfb\xef", bytes(range(128))])
def test_trap_1_padded_base64_never_appears(data: bytes) -> None:
    inline = content_reference(blob(data))["inline"]
    assert "=" not in inline
    assert "-" not in inline and "_" not in inline, "the alphabet is the standard one, not that for URLs"
    assert base64.b64decode(inline + "=" * (-len(inline) % 4), validate=True) == data


def test_contents_of_128_bytes_stand_inline_and_larger_ones_do_not() -> None:
    assert "inline" in content_reference(blob(bytes(128)))
    assert content_reference(blob(bytes(129))) == {"digest": blob(bytes(129)).digest}


def test_inline_contents_name_their_digest_too() -> None:
    """Spin and the shim look a component's source up by digest alone: inline only would be "content missing expected
    digest"."""
    assert content_reference(blob(b"\0asm\x01\0\0\0")) == {
        "inline": "AGFzbQEAAAA",
        "digest": blob(b"\0asm\x01\0\0\0").digest,
    }


@given(st.binary(max_size=200))
def test_inline_contents_give_the_file_back(data: bytes) -> None:
    reference = content_reference(blob(data))
    assert reference["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    if "inline" in reference:
        assert base64.b64decode(reference["inline"] + "=" * (-len(reference["inline"]) % 4)) == data
    else:
        assert len(data) > 128


# Names of keys


def test_trap_5_environment_becomes_env(tmp_path: Path) -> None:
    component = component_of(tmp_path, 'environment = { B = "2", A = "1" }')
    assert component["env"] == {"A": "1", "B": "2"}
    assert list(component["env"]) == ["A", "B"]
    assert "environment" not in component


def test_trap_5_variables_become_config(tmp_path: Path) -> None:
    component = component_of(tmp_path, 'variables = { key = "value" }')
    assert component["config"] == {"key": "value"}
    assert "variables" not in component


def test_trap_5_sqlite_databases_become_metadata_databases(tmp_path: Path) -> None:
    component = component_of(tmp_path, 'sqlite_databases = ["default", "other"]')
    assert component["metadata"] == {"databases": ["default", "other"]}


def test_metadata_of_a_component_holds_the_rest_sorted(tmp_path: Path) -> None:
    component = component_of(
        tmp_path,
        'key_value_stores = ["default"]\nai_models = ["llama2-chat"]\ndescription = "does '
        'it"\nallowed_outbound_hosts = ["https://b", "https://a"]\n'
        '[component.c.build]\ncommand = "make"\nworkdir = "src"\nwatch = ["src/**/*.c"]',
    )
    assert component["metadata"] == {
        "ai_models": ["llama2-chat"],
        "allowed_outbound_hosts": ["https://b", "https://a"],
        "build": {"command": "make", "watch": ["src/**/*.c"], "workdir": "src"},
        "description": "does it",
        "key_value_stores": ["default"],
    }
    assert list(component["metadata"]) == sorted(component["metadata"])


def test_build_commands_stay_as_they_are_written(tmp_path: Path) -> None:
    assert component_of(tmp_path / "1", '[component.c.build]\ncommand = "make"')["metadata"]["build"] == {
        "command": "make"
    }
    assert component_of(tmp_path / "2", '[component.c.build]\ncommand = ["npm ci", "npm run build"]')["metadata"][
        "build"
    ] == {"command": ["npm ci", "npm run build"]}


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    component = component_of(
        tmp_path, 'environment = {}\nvariables = {}\nfiles = []\nallowed_outbound_hosts = []\ndescription = ""'
    )
    assert list(component) == ["id", "source"]


def test_no_component_keeps_its_dependencies_as_they_are_composed(tmp_path: Path) -> None:
    (tmp_path / "d.wasm").write_bytes(b"")
    component = component_of(
        tmp_path, 'dependencies_inherit_configuration = true\n[component.c.dependencies]\n"a:b/c" = { path = "d.wasm" }'
    )
    assert "dependencies" not in component


# Root


def test_application_variables(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}[variables]\nz = {{ required = true, secret = true }}\na = {{ default = "", description = "what" '
        f'}}\nm = {{ default = "x", secret = false }}\n'
        f'{HTTP}[component.c]\nsource = "c.wasm"',
    )
    assert application["variables"] == {
        "a": {"description": "what", "default": ""},
        "m": {"default": "x"},
        "z": {"secret": True},
    }
    assert list(application["variables"]) == ["a", "m", "z"]
    assert list(application["variables"]["a"]) == ["description", "default"]


def test_metadata_of_the_application(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        'spin_manifest_version = 2\n[application]\nname = "a"\nversion = "1.2.3"\ndescription = "d"\nauthors = ["A '
        '<a@example.com>", "B"]\n'
        f'{HTTP}[component.c]\nsource = "c.wasm"',
    )
    assert application["metadata"] == {
        "authors": ["A <a@example.com>", "B"],
        "description": "d",
        "name": "a",
        "trigger": {"type": "http"},
        "triggers": {},
        "version": "1.2.3",
    }
    assert list(application["metadata"]) == sorted(application["metadata"])


def test_metadata_never_holds_the_origin_on_this_machine(tmp_path: Path) -> None:
    application = lock(tmp_path, f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"')
    assert "origin" not in application["metadata"]
    assert str(tmp_path) not in serialize(application).decode()


def test_trap_5_no_file_source_is_left(tmp_path: Path) -> None:
    """Spin's loader writes file:// sources, which only the push replaces."""
    application = lock(tmp_path, f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"', {"c": [("f", blob(bytes(500)))]})
    assert "file://" not in serialize(application).decode()
    component = application["components"][0]
    assert [
        ("source" in reference, "digest" in reference) for reference in (component["source"], *component["files"])
    ] == [(False, True), (False, True)]


def test_global_settings_of_the_only_trigger_type_are_repeated_for_old_readers(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}[application.trigger.redis]\naddress = "redis://r:6379"\n[[trigger.redis]]\nchannel = "x"\ncomponent '
        '= "c"\n[component.c]\nsource = "c.wasm"',
    )
    assert application["metadata"]["trigger"] == {"address": "redis://r:6379", "type": "redis"}
    assert application["metadata"]["triggers"] == {"redis": {"address": "redis://r:6379"}}


def test_two_trigger_types_have_no_trigger_in_the_metadata(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}[application.trigger.redis]\naddress = "redis://r:6379"\n[[trigger.redis]]\nchannel = "x"\ncomponent '
        '= "c"\n'
        f'{HTTP}[component.c]\nsource = "c.wasm"',
    )
    assert "trigger" not in application["metadata"]
    assert [trigger["trigger_type"] for trigger in application["triggers"]] == ["http", "redis"]


def test_triggers_are_sorted_by_type_and_else_as_written(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}[application.trigger.redis]\naddress = "redis://r:6379"\n[[trigger.redis]]\nchannel = "x"\ncomponent '
        '= "c"\n'
        '[[trigger.http]]\nroute = "/z"\ncomponent = "c"\n[[trigger.http]]\nroute = "/a"\ncomponent = '
        '"c"\n[component.c]\nsource = "c.wasm"',
    )
    assert [(trigger["id"], trigger["trigger_config"].get("route")) for trigger in application["triggers"]] == [
        ("c-http-trigger", "/z"),
        ("http-trigger1", "/a"),
        ("c-redis-trigger", None),
    ]


def test_trigger_settings_are_sorted_at_every_level(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}[[trigger.http]]\nroute = "/x"\nexecutor = {{ type = "wagi", entrypoint = "_start", argv = "a" '
        f'}}\ncomponent = "c"\n'
        '[component.c]\nsource = "c.wasm"',
    )
    assert json.dumps(application["triggers"][0]["trigger_config"]) == (
        '{"component": "c", "executor": {"argv": "a", "entrypoint": "_start", "type": "wagi"}, "route": "/x"}'
    )


def test_trigger_with_a_static_response_names_no_component(tmp_path: Path) -> None:
    fixed = '[[trigger.http]]\nroute = "/gone"\nstatic_response = { status_code = 410 }\n'
    application = lock(tmp_path, f'{HEAD}{HTTP}{fixed}[component.c]\nsource = "c.wasm"\n')
    assert application["triggers"][1] == {
        "id": "http-trigger1",
        "trigger_type": "http",
        "trigger_config": {"route": "/gone", "static_response": {"status_code": 410}},
    }


def test_build_profile_is_named(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"\n[component.c.profile.debug]\nenvironment = {{ D = "1" }}',
        profile="debug",
    )
    assert application["metadata"]["profile"] == "debug"
    assert application["components"][0]["env"] == {"D": "1"}


# Service chaining


def chaining(*hosts: str) -> bool:
    return uses_service_chaining(Component(id="c", source=LocalSource("c.wasm"), allowed_outbound_hosts=hosts))


@pytest.mark.parametrize(
    "host",
    [
        "http://b.spin.internal",
        "https://b.spin.internal",
        "http://*.spin.internal",
        "http://b.spin.internal:80",
        "*://b.spin.internal:*",
        "http://B.Spin.Internal/",
        "http://a.b.spin.internal",
    ],
)
def test_service_chaining_is_seen(host: str) -> None:
    assert chaining("https://example.com", host)


@pytest.mark.parametrize(
    "host",
    [
        "http://self",
        "*://*:*",
        "http://spin.internal",
        "http://xspin.internal",
        "http://b.spin.internal.example.com",
        "http://{{ b }}.spin.internal",
        "http://example.com",
    ],
)
def test_service_chaining_is_not_seen_where_spin_sees_none(host: str) -> None:
    assert not chaining(host)


def test_trap_5_service_chaining_raises_the_lock_version(tmp_path: Path) -> None:
    application = lock(
        tmp_path,
        f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"\nallowed_outbound_hosts = ["http://d.spin.internal"]\n'
        '[[trigger.http]]\nroute = "/d"\ncomponent = "d"\n[component.d]\nsource = "d.wasm"',
    )
    assert list(application)[:3] == ["spin_lock_version", "must_understand", "metadata"]
    assert application["spin_lock_version"] == 1
    assert application["must_understand"] == ["component_host_requirements"]
    assert application["components"][0]["host_requirements"] == {"local_service_chaining": "required"}
    assert "host_requirements" not in application["components"][1]
    assert "host_requirements" not in application


def test_lock_version_is_0_without_requirements(tmp_path: Path) -> None:
    """Readers of version 1 take 0 too, and older ones take nothing else."""
    application = lock(tmp_path, f'{HEAD}{HTTP}[component.c]\nsource = "c.wasm"')
    assert application["spin_lock_version"] == 0
    assert "must_understand" not in application


# JSON


def test_json_is_compact_and_keeps_letters_as_serde_json_does(tmp_path: Path) -> None:
    written = serialize({"a": 'ä€😀 "\\\n\t\x01\x7f/', "b": [1, True, None, 1.5]})
    assert written == '{"a":"ä€😀 \\"\\\\\\n\\t\\u0001\x7f/","b":[1,true,null,1.5]}'.encode()


def test_version_1_manifest_gives_what_spin_writes_for_it(tmp_path: Path) -> None:
    """After Spin's crates/loader/tests/ui/valid-manifest: other words, the same rules."""
    application = lock(
        tmp_path,
        """
        spin_version = "1"
        authors = ["Ann", "Ben"]
        name = "counting"
        trigger = { type = "http" }
        version = "2.0.1"
        [[component]]
        id = "first"
        source = "first.wasm"
        [component.trigger]
        executor = { type = "http" }
        route = "/first"
        [component.environment]
        two = "2"
        one = "1"
        [[component]]
        id = "second"
        source = "second.wasm"
        allowed_http_hosts = ["example.com"]
        [component.trigger]
        route = "/second"
        """,
    )
    databases = ["redis://*:*", "mysql://*:*", "postgres://*:*"]
    source = {"content_type": "application/wasm", "digest": blob(bytes(1000)).digest}
    assert application == {
        "spin_lock_version": 0,
        "metadata": {
            "authors": ["Ann", "Ben"],
            "name": "counting",
            "trigger": {"type": "http"},
            "triggers": {"http": {}},
            "version": "2.0.1",
        },
        "triggers": [
            {
                "id": "trigger-first",
                "trigger_type": "http",
                "trigger_config": {"component": "first", "executor": {"type": "http"}, "route": "/first"},
            },
            {
                "id": "trigger-second",
                "trigger_type": "http",
                "trigger_config": {"component": "second", "route": "/second"},
            },
        ],
        "components": [
            {
                "id": "first",
                "metadata": {"allowed_outbound_hosts": databases},
                "source": source,
                "env": {"one": "1", "two": "2"},
            },
            {
                "id": "second",
                "metadata": {"allowed_outbound_hosts": [*databases, "http://example.com", "https://example.com"]},
                "source": source,
            },
        ],
    }


_words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_keys = st.text(st.sampled_from("abcxyzABC_"), min_size=1, max_size=8)


@given(
    environment=st.dictionaries(_keys, _words),
    description=_words,
    contents=st.lists(st.binary(max_size=300), max_size=8),
)
def test_any_component_is_written_whole_and_alike_each_time(
    environment: dict[str, str], description: str, contents: list[bytes]
) -> None:
    manifest = _manifest(environment, description)
    files = [(f"f/{number}", blob(content)) for number, content in enumerate(contents)]
    sources = {"c": blob(bytes(1000))}
    application = locked_application(manifest, sources, {"c": files})
    written = serialize(application)
    assert written == serialize(
        locked_application(_manifest(dict(reversed(environment.items())), description), sources, {"c": files})
    )
    read = json.loads(written)
    assert read == application
    component = read["components"][0]
    assert component.get("env", {}) == environment
    assert component.get("metadata", {}).get("description", "") == description
    for (path, content), file in zip(files, component.get("files", []), strict=True):
        assert file["path"] == path
        assert file["digest"] == content.digest
        assert ("inline" in file) == (content.size <= 128)


def _manifest(environment: dict[str, str], description: str) -> t.Any:
    from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.model import Manifest, Trigger

    component = Component(id="c", source=LocalSource("c.wasm"), environment=environment, description=description)
    return Manifest(
        path=Path("/p/spin.toml"),
        name="a",
        triggers=(Trigger("c-http-trigger", "http", "c", {"route": "/..."}),),
        components={"c": component},
    )


def test_toml_values_of_a_foreign_trigger_are_written_as_json(tmp_path: Path) -> None:
    settings = tomllib.loads("a = 1\nb = 1.5\nc = true\nd = [1, 2]\ne = { y = 1, x = 2 }")
    lines = "\n".join(
        ["[[trigger.command]]", 'component = "c"', "a = 1", "b = 1.5", "c = true", "d = [1, 2]", "e = { y = 1, x = 2 }"]
    )
    application = lock(tmp_path, f'{HEAD}{lines}\n[component.c]\nsource = "c.wasm"')
    assert application["triggers"][0]["trigger_config"] == {**settings, "component": "c"}
    assert json.dumps(application["triggers"][0]["trigger_config"]["e"]) == '{"x": 2, "y": 1}'
