# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong manifests: what the error says and advises."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.manifest_file import LARGEST_MANIFEST
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest.parse import read_manifest

DIGEST = "sha256:" + "0a" * 32

HEAD = """spin_manifest_version = 2
[application]
name = "a"
"""
TRIGGER = """[[trigger.http]]
route = "/..."
component = "a"
"""
COMPONENT = """[component.a]
source = "a.wasm"
"""
GOOD = HEAD + TRIGGER + COMPONENT  # the last line is line 8
VERSION_1 = """spin_version = "1"
name = "old"
trigger = { type = "http" }
[[component]]
id = "one"
source = "one.wasm"
[component.trigger]
route = "/one"
"""


def refuse(source: Path, profile: str | None = None) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        read_manifest(source, profile=profile)
    assert caught.value.next_step
    assert caught.value.cause
    return caught.value


def dependency(value: str, name: str = "x:y") -> str:
    return f'{GOOD}dependencies = {{ "{name}" = {value} }}\n'


WRONG = {
    # text, beginning of the cause, part of the next step
    "broken TOML": (
        "spin_manifest_version = 2\n[application\n",
        "spin.toml:2: column 13: broken TOML:",
        "Correct the TOML",
    ),
    "broken TOML at the end": ('a = "', "spin.toml:1: broken TOML:", "Correct the TOML"),
    "deep TOML": ("a = " + "[" * 5000, "spin.toml: the TOML is nested too deeply", "fewer"),
    "long integer": ("a = " + "9" * 5000, "spin.toml: broken TOML", "Correct"),
    "empty file": ("", "spin.toml: the manifest version is missing", "spin_manifest_version = 2"),
    "version 3": (
        "spin_manifest_version = 3",
        "spin.toml:1: spin_manifest_version: unknown manifest version '3'",
        "spin_manifest_version = 2",
    ),
    "version 2 as a string": (
        'spin_manifest_version = "2"',
        "spin.toml:1: spin_manifest_version: the version 2 must be an integer",
        "= 2",
    ),
    "version 1 as an integer": (
        "\nspin_manifest_version = 1",
        "spin.toml:2: spin_manifest_version: the version 1 must be the string",
        '"1"',
    ),
    "version true": (
        "spin_manifest_version = true",
        "spin.toml:1: spin_manifest_version: unknown manifest version",
        "= 2",
    ),
    "version 2 by the old key": (
        "spin_version = 2",
        "spin.toml:1: spin_version: version 2 is said by spin_manifest_version",
        "= 2",
    ),
    "no application": (
        "spin_manifest_version = 2\n" + TRIGGER + COMPONENT,
        "spin.toml: [application] is missing",
        "[application]",
    ),
    "no name": (GOOD.replace('name = "a"', ""), 'spin.toml:2: application: "name" is missing', "name ="),
    "empty name": (GOOD.replace('name = "a"', 'name = ""'), "spin.toml:3: application.name: is empty", "name"),
    "name of a wrong type": (
        GOOD.replace('name = "a"', "name = 1"),
        "spin.toml:3: application.name: must be a string, but is an integer",
        "a string",
    ),
    "unknown root key": ("foo = 1\n" + GOOD, "spin.toml:1: foo: unknown key", "known here are application"),
    "misplaced name": ('name = "x"\n' + GOOD, "spin.toml:1: name: unknown key", "Move it into [application]"),
    "unknown application key": (
        GOOD.replace("[application]", '[application]\nauthor = ["x"]'),
        'spin.toml:3: application.author: unknown key, did you mean "authors"?',
        "authors",
    ),
    "unknown component key": (
        GOOD + 'enviroment = { A = "b" }',
        'spin.toml:9: component.a.enviroment: unknown key, did you mean "environment"?',
        "environment",
    ),
    "route in the component": (GOOD + 'route = "/"', "spin.toml:9: component.a.route: unknown key", "[[trigger.http]]"),
    "unknown key in an inline table": (
        GOOD + 'files = [\n  "x",\n  { source = "a", dest = "b" },\n]',
        "spin.toml:11: component.a.files[1].dest: unknown key",
        "destination",
    ),
    "unknown build key": (
        GOOD + '[component.a.build]\ncommand = "x"\ncmd = "y"',
        "spin.toml:11: component.a.build.cmd: unknown key",
        "command",
    ),
    "unknown variable key": (
        GOOD + '[variables]\nx = { default = "", secrte = true }',
        'spin.toml:10: variables.x.secrte: unknown key, did you mean "secret"?',
        "secret",
    ),
    "unknown profile key": (
        GOOD + 'profile.x.files = ["a"]',
        "spin.toml:9: component.a.profile.x.files: unknown key",
        "Remove it",
    ),
    "profile with a workdir": (
        GOOD + 'profile.x.build = { command = "a", workdir = "b" }',
        "spin.toml:9: component.a.profile.x.build.workdir: unknown key",
        "only change the command",
    ),
    "variables of a wrong type": (
        GOOD.replace("[application]", "variables = 1\n[application]"),
        "spin.toml:2: variables: must be a table, but is an integer",
        "a table",
    ),
    "variable with both": (
        GOOD + '[variables]\nx = { required = true, default = "" }',
        "spin.toml:10: variables.x: has both",
        "either",
    ),
    "variable with neither": (
        GOOD + "[variables.x]\nsecret = true",
        "spin.toml:9: variables.x: has neither",
        "default",
    ),
    "variable name": (
        GOOD + '[variables]\nmy-name = { default = "" }',
        'spin.toml:10: variables.my-name: "my-name" is no valid variable name: words must be separated with "_"',
        '"my_name"',
    ),
    "variable name in upper case": (
        GOOD + '[variables]\nNAME = { default = "" }',
        "spin.toml:10: variables.NAME:",
        '"name"',
    ),
    "variable default of a wrong type": (
        GOOD + "[variables]\nx = { default = 1 }",
        "spin.toml:10: variables.x.default: must be a string",
        "string",
    ),
    "component id": (
        GOOD + '[component.bad_id]\nsource = "b"',
        'spin.toml:9: component.bad_id: "bad_id" is no valid component id: words must be separated with "-"',
        '"bad-id"',
    ),
    "component id in mixed case": (
        GOOD + '[component.myThing]\nsource = "b"',
        "spin.toml:9: component.myThing:",
        '"my-thing"',
    ),
    "component id with a digit": (
        GOOD + '[component.a-1]\nsource = "b"',
        'spin.toml:9: component.a-1: "a-1" is no valid component id: each word must start with a letter',
        "another",
    ),
    "version 1 components": (
        HEAD + TRIGGER + '[[component]]\nid = "a"',
        "spin.toml:7: component: [[component]] is version 1",
        "[component.<id>]",
    ),
    "no source": (GOOD.replace('source = "a.wasm"', ""), 'spin.toml:7: component.a: "source" is missing', "source ="),
    "source of a wrong type": (
        GOOD.replace('"a.wasm"', "[1]"),
        "spin.toml:8: component.a.source: must be a string or a table, but is an array",
        "source =",
    ),
    "absolute source": (
        GOOD.replace("a.wasm", "/a.wasm"),
        'spin.toml:8: component.a.source: "/a.wasm" is absolute',
        "relative",
    ),
    "source outside": (
        GOOD.replace("a.wasm", "../a.wasm"),
        'spin.toml:8: component.a.source: "../a.wasm" leaves the directory',
        "-e source_root=",
    ),
    "source outside by a detour": (
        GOOD.replace("a.wasm", "x/../../a.wasm"),
        "spin.toml:8: component.a.source:",
        "-e source_root=",
    ),
    "source through a link": (
        GOOD.replace("a.wasm", "link/a.wasm"),
        'spin.toml:8: component.a.source: "link/a.wasm" leaves the directory of the manifest through a symbolic link',
        "-e source_root=",
    ),
    "empty source": (GOOD.replace("a.wasm", ""), "spin.toml:8: component.a.source: is empty", ""),
    "NUL in the source": (
        GOOD.replace("a.wasm", "a\\u0000"),
        "spin.toml:8: component.a.source: holds a NUL character",
        "",
    ),
    "source without digest": (
        GOOD.replace('"a.wasm"', '{ url = "https://e.com/a" }'),
        'spin.toml:8: component.a.source: "digest" is missing',
        "sha256sum",
    ),
    "source with a bad digest": (
        GOOD.replace('"a.wasm"', '{ url = "https://e.com/a", digest = "sha256:12" }'),
        "spin.toml:8: component.a.source.digest:",
        "sha256sum",
    ),
    "source with a bad URL": (
        GOOD.replace('"a.wasm"', f'{{ url = "ftp://e.com/a", digest = "{DIGEST}" }}'),
        'spin.toml:8: component.a.source.url: "ftp://e.com/a" is no http',
        "https://",
    ),
    "source with sha256": (
        GOOD.replace('"a.wasm"', '{ url = "https://e.com/a", sha256 = "1" }'),
        "spin.toml:8: component.a.source",
        '"digest"',
    ),
    "source from a registry": (
        GOOD.replace('"a.wasm"', '{ registry = "ttl.sh", package = "u:p", version = "1.0.0" }'),
        "spin.toml:8: component.a.source: u:p comes from a component registry",
        "wkg get u:p",
    ),
    "no trigger": (HEAD + COMPONENT, "spin.toml: the application has no trigger", "[[trigger.http]]"),
    "empty list of triggers": (
        HEAD.replace("[application]", "trigger.http = []\n[application]") + COMPONENT,
        "spin.toml: the application has no trigger",
        "[[trigger.http]]",
    ),
    "one table as the trigger": (
        GOOD.replace("[[trigger.http]]", "[trigger.http]"),
        "spin.toml:4: trigger.http: must be an array of tables, but is one table",
        "[[trigger.http]]",
    ),
    "trigger of a wrong type": (
        HEAD.replace("[app", "trigger = 1\n[app") + COMPONENT,
        "spin.toml:2: trigger: must be a table",
        "a table",
    ),
    "trigger without component": (
        GOOD.replace('component = "a"', ""),
        'spin.toml:4: trigger.http[0]: "component" is missing',
        "component =",
    ),
    "static response beside a component": (
        GOOD.replace('component = "a"', 'component = "a"\nstatic_response = { status_code = 404 }'),
        "spin.toml:7: trigger.http[0].static_response: excludes component",
        "Remove static_response",
    ),
    "static response of another trigger": (
        HEAD + "[[trigger.x]]\nstatic_response = {}\n" + COMPONENT,
        'spin.toml:4: trigger.x[0]: "component" is missing',
        "component =",
    ),
    "status of a static response": (
        GOOD.replace('component = "a"', "static_response = { status_code = 1 }"),
        "spin.toml:6: trigger.http[0].static_response.status_code: must be a number from 100 to 999",
        "404",
    ),
    "header of a static response": (
        GOOD.replace('component = "a"', "static_response = { headers = { a = 1 } }"),
        "spin.toml:6: trigger.http[0].static_response.headers.a: must be a string",
        "string",
    ),
    "static response alone": (
        HEAD + '[[trigger.http]]\nroute = "/..."\nstatic_response = { body = "x" }\n',
        "spin.toml: the application has no component",
        "Add a component",
    ),
    "entrypoint of wagi": (
        GOOD.replace('component = "a"', 'component = "a"\nexecutor = { type = "wagi", entrypoint = "main" }'),
        "spin.toml:7: trigger.http[0].executor.entrypoint: is no longer supported",
        "Remove entrypoint",
    ),
    "unknown component": (
        GOOD.replace("[component.a]", "[component.hello]").replace('"a"', '"helo"'),
        'spin.toml:6: trigger.http[0].component: there is no component "helo", did you mean "hello"?',
        '"hello"',
    ),
    "bad component reference": (
        GOOD.replace('component = "a"', 'component = "1-2"'),
        'spin.toml:6: trigger.http[0].component: "1-2" is no valid component id',
        "another",
    ),
    "component of a wrong type": (
        GOOD.replace('component = "a"', "component = 1"),
        "spin.toml:6: trigger.http[0].component: must be a component id or a table",
        "component =",
    ),
    "inline component": (
        GOOD.replace('component = "a"', 'component = { sorce = "x" }'),
        "spin.toml:6: trigger.http[0].component",
        "source",
    ),
    "trigger ids": (
        GOOD.replace('"/..."', '"/..."\nid = "x"') + TRIGGER.replace("/...", "/2") + 'id = "x"',
        'spin.toml:13: trigger.http[1].id: the trigger id "x" is given twice',
        "own",
    ),
    "middleware": (
        GOOD.replace('component = "a"', 'component = "a"\ndependencies.middleware = [{ path = "b.wasm" }]'),
        "spin.toml:7: trigger.http[0].dependencies: components that are composed",
        "Only Spin 4",
    ),
    "extra components": (
        GOOD.replace('component = "a"', 'component = "a"\ncomponents = { b = "a" }'),
        "spin.toml:7: trigger.http[0].components: components that are composed",
        "Only Spin 4",
    ),
    "date in a trigger": (
        GOOD.replace("[[trigger.http]]", '[[trigger.x]]\ncomponent = "a"\nat = [2020-01-01]\n[[trigger.http]]'),
        "spin.toml:6: trigger.x[0].at[0]: a date",
        "string",
    ),
    "infinity in a trigger": (
        GOOD.replace("[application]", "[application.trigger.x]\nat = inf\n[application]"),
        "spin.toml:3: application.trigger.x.at: an infinite",
        "finite",
    ),
    "no route": (GOOD.replace('route = "/..."', ""), 'spin.toml:4: trigger.http[0]: "route" is missing', '"/..."'),
    "route of a wrong type": (
        GOOD.replace('"/..."', "1"),
        "spin.toml:5: trigger.http[0].route: must be a string",
        '"/..."',
    ),
    "route private = false": (
        GOOD.replace('"/..."', "{ private = false }"),
        "spin.toml:5: trigger.http[0].route: a route that is a table",
        "private = true",
    ),
    "wildcard in the middle": (GOOD.replace("/...", "/a/.../b"), "spin.toml:5: trigger.http[0].route:", "last segment"),
    "star in the middle": (GOOD.replace("/...", "/a/*/b"), "spin.toml:5: trigger.http[0].route:", "last segment"),
    "wildcard without slash": (GOOD.replace("/...", "/a..."), "spin.toml:5: trigger.http[0].route:", "by itself"),
    "named wildcard": (GOOD.replace("/...", "/*rest"), "spin.toml:5: trigger.http[0].route:", "by itself"),
    "unnamed parameter": (GOOD.replace("/...", "/:/a"), "spin.toml:5: trigger.http[0].route:", ":name"),
    "slashes after the wildcard": (GOOD.replace("/...", "/a/...//"), "spin.toml:5: trigger.http[0].route:", '"/a/..."'),
    "reserved route": (
        GOOD.replace("/...", "/.well-known/spin/health"),
        "spin.toml:5: trigger.http[0].route:",
        "Choose",
    ),
    "reserved route without slash": (
        GOOD.replace("/...", ".well-known/spin/..."),
        "spin.toml:5: trigger.http[0].route:",
        "Choose",
    ),
    "unknown http key": (
        GOOD.replace("route =", 'rout = "/"\nroute ='),
        "spin.toml:5: trigger.http[0].rout: unknown key",
        "Remove it",
    ),
    "executor": (
        GOOD.replace('"a"\n[c', '"a"\nexecutor = { type = "cgi" }\n[c'),
        'spin.toml:7: trigger.http[0].executor.type: unknown executor "cgi"',
        "wagi",
    ),
    "executor as a string": (
        GOOD.replace('"a"\n[c', '"a"\nexecutor = "wagi"\n[c'),
        "spin.toml:7: trigger.http[0].executor: must be a table",
        "a table",
    ),
    "base": (
        GOOD.replace("[application]", '[application.trigger.http]\nbase = "/api"\n[application]'),
        'spin.toml:3: application.trigger.http.base: the base "/api" is not supported',
        '"/api/..."',
    ),
    "unknown http setting": (
        GOOD.replace("[application]", "[application.trigger.http]\nport = 1\n[application]"),
        "spin.toml:3: application.trigger.http.port: unknown key",
        "base",
    ),
    "redis without channel": (
        GOOD.replace("[[trigger.http]]", "[[trigger.redis]]").replace("route =", "address ="),
        'spin.toml:4: trigger.redis[0]: "channel" is missing',
        "channel",
    ),
    "redis without address": (
        GOOD.replace("[[trigger.http]]", "[[trigger.redis]]").replace("route =", "channel ="),
        "spin.toml:4: trigger.redis[0]: no Redis server is given",
        "redis://",
    ),
    "undeclared variable": (
        GOOD + 'variables = { x = "{{ tokn }}" }\n[variables]\ntoken = { required = true }',
        (
            'spin.toml:9: component.a.variables.x: the variable "tokn" is not declared in [variables], did you mean '
            '"token"?'
        ),
        "{{ token }}",
    ),
    "no variables at all": (
        GOOD + 'variables = { x = "{{ y }}" }',
        'spin.toml:9: component.a.variables.x: the variable "y" is not declared',
        "y = { required = true }",
    ),
    "unclosed template": (
        GOOD + '[component.a.variables]\nx = "{{ y"',
        'spin.toml:10: component.a.variables.x: "{{ y": "{{" is not closed',
        "}}",
    ),
    "name of a component variable": (
        GOOD + 'variables = { X-Y = "" }',
        "spin.toml:9: component.a.variables.X-Y:",
        "x_y",
    ),
    "undeclared variable in a host": (
        GOOD + 'allowed_outbound_hosts = [\n"http://ok",\n"https://{{ host }}"]',
        "spin.toml:11: component.a.allowed_outbound_hosts[1]: the variable",
        "host = { required = true }",
    ),
    "host by default value": (
        GOOD + 'allowed_outbound_hosts = ["https://{{ h }}"]\n[variables]\nh = { default = "invalid host" }',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "host without scheme": (
        GOOD + 'allowed_outbound_hosts = ["example.com"]',
        'spin.toml:9: component.a.allowed_outbound_hosts[0]: "example.com" is no allowed host: lacks the scheme',
        "*://*:*",
    ),
    "host with a path": (
        GOOD + 'allowed_outbound_hosts = ["https://example.com/a"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "host with a port and a path": (
        GOOD + 'allowed_outbound_hosts = ["https://example.com:1/a"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "host without port": (
        GOOD + 'allowed_outbound_hosts = ["tcp://example.com"]',
        'spin.toml:9: component.a.allowed_outbound_hosts[0]: "tcp://example.com" is no allowed host: lacks the port',
        "<scheme>",
    ),
    "host with a bad port": (
        GOOD + 'allowed_outbound_hosts = ["tcp://example.com:65536"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "host with a star inside": (
        GOOD + 'allowed_outbound_hosts = ["https://a.*.com"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "star before an address": (
        GOOD + 'allowed_outbound_hosts = ["https://*.1.2.3.4"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "bad address": (
        GOOD + 'allowed_outbound_hosts = ["https://1.2.3.400"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "empty encoded label": (
        GOOD + 'allowed_outbound_hosts = ["http://xn--"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "encoded label of plain letters": (
        GOOD + 'allowed_outbound_hosts = ["https://www.xn--abc-.example"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "empty host": (
        GOOD + 'allowed_outbound_hosts = [""]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "<scheme>",
    ),
    "allow all": (
        GOOD + 'allowed_outbound_hosts = ["insecure:allow-all"]',
        "spin.toml:9: component.a.allowed_outbound_hosts[0]:",
        "*://*:*",
    ),
    "old host with a path": (
        GOOD + 'allowed_http_hosts = ["e.com/a"]',
        'spin.toml:9: component.a.allowed_http_hosts[0]: "e.com/a" contains a path',
        "allowed_outbound_hosts",
    ),
    "hosts of a wrong type": (
        GOOD + 'allowed_outbound_hosts = "https://e.com"',
        "spin.toml:9: component.a.allowed_outbound_hosts: must be an array of strings, but is a string",
        "array",
    ),
    "store label": (
        GOOD + 'key_value_stores = ["b@d"]',
        'spin.toml:9: component.a.key_value_stores[0]: "b@d" must be in kebab-case',
        "label",
    ),
    "targets": (GOOD + "targets = [1]", "spin.toml:9: component.a.targets[0]: must be a string or a table", "string"),
    "target of a registry": (
        GOOD + 'targets = ["spin-up:3.3", { registry = "r.example", package = "a:b" }]',
        "spin.toml:9: component.a.targets[1]: must name a url or a path",
        'path = "…"',
    ),
    "target of both kinds": (
        GOOD + 'targets = [{ url = "https://e.com", path = "t.toml" }]',
        "spin.toml:9: component.a.targets[0]: must name a url or a path",
        'path = "…"',
    ),
    "tool": (GOOD + "tool.x = 1", "spin.toml:9: component.a.tool.x: must be a table", "table"),
    "files as a string": (
        GOOD + 'files = "a"',
        "spin.toml:9: component.a.files: must be an array, but is a string",
        "array",
    ),
    "file entry": (GOOD + "files = [1]", "spin.toml:9: component.a.files[0]: must be a string or", "assets"),
    "file pattern ..": (
        GOOD + 'files = ["a/.."]',
        'spin.toml:9: component.a.files[0]: the pattern "a/.." ends in the parent directory',
        "**/*",
    ),
    "file pattern .": (
        GOOD + 'files = ["."]',
        'spin.toml:9: component.a.files[0]: the pattern "." ends in the current directory',
        'source = "."',
    ),
    "files outside": (
        GOOD + 'files = ["../x/*"]',
        'spin.toml:9: component.a.files[0]: "../x/*" leaves the directory',
        "into the directory",
    ),
    "absolute files": (
        GOOD + 'files = ["/etc/*"]',
        'spin.toml:9: component.a.files[0]: "/etc/*" is absolute',
        "into the directory",
    ),
    "mount outside": (
        GOOD + 'files = [{ source = "..", destination = "/" }]',
        'spin.toml:9: component.a.files[0]: source ".." leaves the directory',
        "into the directory",
    ),
    "mount through a link": (
        GOOD + 'files = [{ source = "link", destination = "/" }]',
        'spin.toml:9: component.a.files[0]: source "link" leaves the directory',
        "into the directory",
    ),
    "destination outside": (
        GOOD + 'files = [{ source = "a", destination = "/../b" }]',
        "spin.toml:9: component.a.files[0]: destination",
        '".."',
    ),
    "destination .": (
        GOOD + 'files = [{ source = "a", destination = "." }]',
        'spin.toml:9: component.a.files[0]: destination "." ends in the current directory',
        'destination = "/"',
    ),
    "destination that ends in .": (
        GOOD + 'files = [{ source = "a", destination = "/b/." }]',
        'spin.toml:9: component.a.files[0]: destination "/b/." ends in the current directory',
        'destination = "/b/"',
    ),
    "bad pattern": (
        GOOD + 'files = ["a/***"]',
        'spin.toml:9: component.a.files[0]: "a/***" is no valid pattern: more than two',
        "assets",
    ),
    "bad exclude pattern": (GOOD + 'exclude_files = ["a**"]', "spin.toml:9: component.a.exclude_files[0]:", "secrets"),
    "unclosed bracket": (GOOD + 'files = ["[a"]', "spin.toml:9: component.a.files[0]:", "[[]"),
    "build without command": (
        GOOD + 'build.workdir = "x"',
        'spin.toml:9: component.a.build: "command" is missing',
        "command =",
    ),
    "build of a short array": (
        GOOD + 'build = ["make"]',
        "spin.toml:9: component.a.build: must be a table, or an array of command, workdir, watch",
        "command =",
    ),
    "build of an array with a wrong watch": (
        GOOD + 'build = ["make", ".", "src"]',
        "spin.toml:9: component.a.build.watch: must be an array of strings",
        "array",
    ),
    "build command": (
        GOOD + "build.command = 1",
        "spin.toml:9: component.a.build.command: must be a string or an array",
        "command =",
    ),
    "workdir outside": (
        GOOD + 'build = { command = "a", workdir = "../x" }',
        'spin.toml:9: component.a.build.workdir: "../x" leaves the directory',
        "below",
    ),
    "dependency name": (
        dependency('"1"', "x:y:z"),
        'spin.toml:9: component.a.dependencies."x:y:z": is no valid name of an import',
        "namespace:package",
    ),
    "dependency version": (
        dependency('"one"'),
        'spin.toml:9: component.a.dependencies."x:y": "one" is no version requirement',
        "^2",
    ),
    "dependency kind": (
        dependency('{ export = "x" }'),
        'spin.toml:9: component.a.dependencies."x:y": says neither',
        "path",
    ),
    "mixed dependency": (
        dependency('{ path = "a", version = "1" }'),
        'spin.toml:9: component.a.dependencies."x:y": "version" and "path" exclude each other',
        "one of",
    ),
    "dependency key": (
        dependency('{ path = "a", exprt = "1" }'),
        'spin.toml:9: component.a.dependencies."x:y".exprt: unknown key',
        "export",
    ),
    "dependency path": (
        dependency('{ path = "../a" }'),
        'spin.toml:9: component.a.dependencies."x:y".path: "../a" leaves',
        "into the directory",
    ),
    "dependency without digest": (
        dependency('{ url = "https://e.com" }'),
        'spin.toml:9: component.a.dependencies."x:y": "digest" is missing',
        "sha256",
    ),
    "dependency of a wrong type": (
        dependency("1"),
        'spin.toml:9: component.a.dependencies."x:y": must be a string or a table',
        "version",
    ),
    "unknown dependency": (
        dependency('{ component = "b" }'),
        'spin.toml:9: component.a.dependencies."x:y".component: there is no component "b"',
        "",
    ),
    "rich dependency": (
        dependency('{ component = "b" }') + '[component.b]\nsource = "b"\nfiles = ["x"]\nenvironment = { A = "b" }',
        (
            'spin.toml:9: component.a.dependencies."x:y".component: component "b" cannot be a dependency, because it '
            "has "
            "its own environment, files"
        ),
        "second component",
    ),
    "plain dependency": (
        dependency('"1"', "plain"),
        "spin.toml:9: component.a.dependencies.plain: must say which package",
        "package =",
    ),
    "export of a package": (
        dependency('{ path = "p", export = "e" }'),
        'spin.toml:9: component.a.dependencies."x:y": an export cannot',
        "x:y/<interface>",
    ),
    "conflicting dependencies": (
        GOOD + '[component.a.dependencies]\n"x:y@1.1.0" = "1"\n"x:y@1.2.0" = "1"',
        'spin.toml:11: component.a.dependencies."x:y@1.2.0": conflicts',
        "incompatible",
    ),
    "both ways to inherit": (
        dependency('{ path = "p", inherit_configuration = false }') + "dependencies_inherit_configuration = false",
        "spin.toml:10: component.a.dependencies_inherit_configuration: excludes",
        "one or the other",
    ),
    "inherit of a wrong type": (
        dependency('{ path = "p", inherit_configuration = 1 }'),
        'spin.toml:9: component.a.dependencies."x:y".inherit_configuration: must be an array',
        "array",
    ),
    "version 1: unknown key": (
        VERSION_1 + '[[component]]\nid = "two"\nsorce = "x"',
        'spin.toml:11: component[1].sorce: unknown key, did you mean "source"?',
        "source",
    ),
    "version 1: newer key": (
        VERSION_1.replace("[component.trigger]", "dependencies = {}\n[component.trigger]"),
        "spin.toml:7: component[0].dependencies: unknown key",
        "version 2",
    ),
    "version 1: component table": (
        VERSION_1.replace("[[component]]", "[component.x]").replace("[component.trigger]", "[component.x.trigger]"),
        "spin.toml:4: component: must be an array of tables",
        "[[component]]",
    ),
    "version 1: both version keys": (
        'spin_manifest_version = "1"\n' + VERSION_1,
        "spin.toml:2: spin_version: says the version again",
        "Remove spin_version",
    ),
    "version 1: no trigger": (
        VERSION_1.replace('trigger = { type = "http" }', ""),
        'spin.toml: "trigger" is missing',
        'type = "http"',
    ),
    "version 1: no type": (VERSION_1.replace('type = "http"', ""), 'spin.toml:3: trigger: "type" is missing', "http"),
    "version 1: no component trigger": (
        VERSION_1.replace('[component.trigger]\nroute = "/one"', ""),
        'spin.toml:4: component[0]: "trigger" is missing',
        "[component.trigger]",
    ),
    "version 1: no id": (VERSION_1.replace('id = "one"', ""), 'spin.toml:4: component[0]: "id" is missing', "id ="),
    "version 1: bad id": (
        VERSION_1.replace('id = "one"', 'id = "1"'),
        'spin.toml:4: component[0]: "1" is no valid component id',
        "another",
    ),
    "version 1: duplicate id": (
        VERSION_1 + VERSION_1[VERSION_1.index("[[") :],
        'spin.toml:10: component[1].id: the component id "one" is taken',
        "own",
    ),
    "version 1: duplicate route": (
        VERSION_1 + VERSION_1[VERSION_1.index("[[") :].replace('"one"', '"two"'),
        "spin.toml:13: component[1].trigger.route: the route",
        "own",
    ),
    "version 1: hosts": (
        VERSION_1.replace("[component.trigger]", 'allowed_http_hosts = ["ftp://e.com"]\n[component.trigger]'),
        'spin.toml:7: component[0].allowed_http_hosts[0]: "ftp://e.com" is no host',
        "example.com",
    ),
    "version 1: undeclared variable": (
        VERSION_1 + '[component.config]\nx = "{{ y }}"',
        'spin.toml:10: component[0].config.x: the variable "y" is not declared',
        "[variables]",
    ),
    "version 1: base": (
        VERSION_1.replace('"http"', '"http", base = "/x"'),
        'spin.toml:3: trigger.base: the base "/x" is not supported',
        "/x/...",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong(tmp_path: Path, case: str) -> None:
    text, cause, next_step = WRONG[case]
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "link").symlink_to(tmp_path)
    (tmp_path / "project" / "spin.toml").write_text(text, encoding="utf-8")

    error = refuse(tmp_path / "project")

    lines = error.cause.splitlines()
    assert any(line.startswith(cause) for line in lines), error.cause
    assert next_step in str(error)


@pytest.mark.parametrize(
    ("first", "second"), [("/a", "/a"), ("/a", "/a/"), ("/a/...", "/a/*"), ("/:x/b", "/:y/b"), ("/", "//")]
)
def test_duplicate_routes_name_both_triggers(tmp_path: Path, first: str, second: str) -> None:
    other = f'[[trigger.http]]\nid = "second"\ncomponent = {{ source = "b.wasm" }}\nroute = "{second}"\n'
    (tmp_path / "spin.toml").write_text(GOOD.replace("/...", first) + other)

    error = refuse(tmp_path)

    assert error.cause.startswith(f'spin.toml:12: trigger.http[1].route: the route "{second}" of trigger "second"')
    assert 'that of trigger "a-http-trigger" (component "a")' in error.cause


def test_all_problems_are_listed_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").write_text(GOOD.replace("route", "rute") + "a = 1\nenv = {}\n[component.b]\nfoo = 1\n")

    error = refuse(tmp_path)

    lines = error.cause.splitlines()
    assert [line.split(": ")[0] for line in lines] == ["spin.toml:9", "spin.toml:10", "spin.toml:11", "spin.toml:12"]
    assert 'Rename it to "environment".' in error.cause


def test_unknown_profile(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").write_text(GOOD + '[component.a.profile.debug]\nsource = "b.wasm"\n')
    error = refuse(tmp_path, "deugb")
    assert (error.cause, error.next_step) == (
        'spin.toml: no component has the profile "deugb".',
        "Use one of debug, or none.",
    )


def test_no_such_directory(tmp_path: Path) -> None:
    error = refuse(tmp_path / "missing")
    assert error.cause == f"{tmp_path}/missing: no such directory or file."


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Cargo.toml", "spin new -t http-rust --init"),
        ("package.json", "spin new -t http-js"),
        ("readme", "examples/functions"),
        ("Spin.toml", 'Rename "Spin.toml"'),
    ],
)
def test_directory_without_manifest(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).touch()
    error = refuse(tmp_path)
    assert error.cause == f"{tmp_path}: holds no spin.toml, so it is no Spin project."
    assert advice in error.next_step


def test_directory_above_the_project(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "spin.toml").touch()
    assert str(tmp_path / "shop") in refuse(tmp_path).next_step


def test_directory_far_above_the_projects_names_them(tmp_path: Path) -> None:
    """Not those of packages and of build output, nor in what git ignores."""
    (tmp_path / "Cargo.toml").touch()
    (tmp_path / ".gitignore").write_text("/generated\n")
    for project in ("samples/one", "apps/two/web", "node_modules/x", "target/package/x", "generated/x"):
        (tmp_path / project).mkdir(parents=True)
        (tmp_path / project / "spin.toml").touch()
    (tmp_path / "target" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    next_step = refuse(tmp_path).next_step
    assert next_step == f"Give one of the projects in it: {tmp_path}/samples/one, {tmp_path}/apps/two/web."
    for number in range(7):
        (tmp_path / f"more{number}").mkdir()
        (tmp_path / f"more{number}" / "spin.toml").touch()
    assert refuse(tmp_path).next_step.endswith(f"{tmp_path}/more4, … (9 in all).")


def test_path_that_ansible_cut_at_a_space_is_told_with_its_quotes(tmp_path: Path) -> None:
    from ansible.parsing.splitter import parse_kv

    project = tmp_path / "My first project"
    project.mkdir()
    (project / "spin.toml").write_text(GOOD)
    cut = Path(parse_kv(f"src={project}")["src"])
    assert cut == tmp_path / "My"
    error = refuse(cut)
    assert error.next_step == f"""Quote the path, since it holds a space: `-e 'src="{project}"'`."""
    [quoted] = re.findall("-e '(.*)'", error.next_step)
    assert parse_kv(quoted)["src"] == str(project)
    cut.mkdir()
    assert refuse(cut).next_step == error.next_step


def test_manifest_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").mkdir()
    assert "is no regular file" in refuse(tmp_path).cause
    (tmp_path / "fifo").mkdir()
    os.mkfifo(tmp_path / "fifo" / "spin.toml")
    assert "is no regular file" in refuse(tmp_path / "fifo").cause


def test_manifest_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").write_bytes(b"a = 1\n\xff")
    assert refuse(tmp_path).cause.startswith("spin.toml:2: the file is not UTF-8")


def test_manifest_that_is_huge(tmp_path: Path) -> None:
    (tmp_path / "spin.toml").write_bytes(b"#" * (LARGEST_MANIFEST + 1))
    assert "is larger than" in refuse(tmp_path).cause


def test_path_with_nul() -> None:
    assert "is no path" in refuse(Path("a\0b")).cause
