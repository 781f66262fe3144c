# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read out of a registries.yaml, and that no password gets out."""

from __future__ import annotations

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config.registry_trust import examine

GOOD = """
mirrors:
  docker.io:
    endpoint: ["https://mirror.example:5000", "http://plain.example"]
    rewrite: {"^rancher/(.*)": "mirrorproject/rancher/$1"}
  "*": {}
  empty.example:
configs:
  mirror.example:5000:
    auth: {username: u, password: hunter2}
    tls: {ca_file: /etc/ssl/ca.pem, cert_file: /etc/ssl/c.pem, key_file: /etc/ssl/k.pem}
  alone.example:
    tls: {insecure_skip_verify: true}
"""


def test_endpoints_and_files() -> None:
    read = examine(GOOD)
    assert read.problems == []
    assert read.endpoints == [
        {
            "url": "https://mirror.example:5000",
            "ca_file": "/etc/ssl/ca.pem",
            "cert_file": "/etc/ssl/c.pem",
            "key_file": "/etc/ssl/k.pem",
        },
        {"url": "http://plain.example"},
        {"url": "https://alone.example", "insecure": True},
    ]
    assert read.files == ["/etc/ssl/c.pem", "/etc/ssl/ca.pem", "/etc/ssl/k.pem"]
    assert "hunter2" not in repr(read)


@pytest.mark.parametrize("text", ["", "# nothing\n", "mirrors:\nconfigs: {}\n"])
def test_nothing_in_it(text: str) -> None:
    assert examine(text) == examine("{}")
    assert examine(text).problems == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mirrors:\n  *: {}\n", 'a mirror of all registries is written "*"'),
        ("mirrors: [\n", "it is no YAML"),
        ("- a\n", "it must be a dictionary"),
        ("mirors: {}\n", "mirors is unknown to k3s, meant is mirrors"),
        ("mirrors: [a]\n", "mirrors must be a dictionary"),
        ("mirrors: {a: b}\n", "mirrors.a must be a dictionary"),
        ("mirrors: {a: {endpoints: []}}\n", "mirrors.a.endpoints is unknown to k3s, meant is endpoint"),
        ("mirrors: {a: {endpoint: https://x}}\n", "mirrors.a.endpoint must be a list"),
        ("mirrors: {a: {endpoint: [x.example:5000]}}\n", "x.example:5000 is no URL"),
        ("configs: {a: {tls: {cafile: /x}}}\n", "configs.a.tls.cafile is unknown to k3s, meant is ca_file"),
        ("configs: {a: x}\n", "configs.a must be a dictionary"),
        ("configs: {a: {tls: x}}\n", "configs.a.tls must be a dictionary"),
    ],
)
def test_problems(text: str, said: str) -> None:
    assert said in " | ".join(examine(text).problems)


def test_a_broken_file_shows_no_password() -> None:
    assert "hunter2" not in " ".join(examine("configs:\n  a: {auth: {password: hunter2}\n  b: [\n").problems)
