# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of allowed_outbound_hosts that nobody writes; test_read_manifest.py and test_wrong_manifests.py have the
others."""

from __future__ import annotations

import random
import time

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.function.manifest import hosts

SEEDS = (
    "http://[::1]:80", "https://[2001:db8::1]", "*://*:*", "http://10.0.0.0/8:80..90", "http://fc00::/7:*",
    "http://*.example.com", "http://xn--bcher-kva.example", "http://self", "postgres://db:5432", "http://{{ a }}:80",
    "http://[::ffff:1.2.3.4]:1", "http://0x7f.1", "redis://[fe80::1%eth0]:1", "http://b\u00fccher.example",
)  # fmt: skip
PIECES = (
    *("[", "]", ":", "::", "%", "%25", "/", "//", "{{", "}}", "*", "*.", "..", "@", "#", "?", "\\", "0x", "-1", "+1"),
    *("99999999999", "\u00fc", "\u202e", "\u0663", "xn--", ".", " ", "\0", "_", "/129", "/-1", "::ffff:", "1.2.3.4"),
    *("\U0001d7d8", "\uff0e", "\u200d"),
)


def mutated(chance: random.Random) -> str:
    text = chance.choice(SEEDS)
    for _time in range(chance.randrange(1, 7)):
        place = chance.randrange(len(text) + 1)
        if chance.random() < 0.3:
            text = text[:place] + text[place + chance.randrange(1, 5) :]
        else:
            text = text[:place] + chance.choice(PIECES) * chance.choice((1, 1, 2, 30)) + text[place:]
    return text


def test_any_entry_ends_in_an_answer() -> None:
    chance = random.Random(13)
    started = time.monotonic()
    for _time in range(2000):
        text = mutated(chance)
        for error in (hosts.host_error(text, {"a": "x"}), hosts.resolved_host_error(text)):
            assert error is None or error
        hosts.older_host_error(text)
        hosts.convert_http_hosts([text], with_databases=False)
    assert time.monotonic() - started < 300, "some milliseconds for an entry, without other load"


@pytest.mark.parametrize(
    "text",
    [
        "http://xn--" + "a" * 200_000,
        "http://" + "\u00fc" * 200_000,
        "http://" + "\u00fc." * 50_000,
        "http://[" + ":" * 200_000 + "]",
        "http://" + "[" * 200_000,
        "http://" + "." * 200_000,
        "http://" + "%41" * 100_000,
        "http://a:" + "9" * 100_000,
        "http://a:" + "0" * 100_000 + "1",
        "{{" * 100_000,
        "*" * 200_000,
    ],
    ids=lambda text: text[:14].encode("ascii", "replace").decode(),
)
def test_a_long_entry_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    assert hosts.host_error(text, {}) is not None
    hosts.older_host_error(text)
    _converted, ((index, _error),) = hosts.convert_http_hosts([text], with_databases=False)
    assert index == 0 and time.monotonic() - started < 30


@pytest.mark.parametrize("host", ["1_0.1", "1.+1", "1.-1", "0x.0x-1", "1.2.3.0_4"])
def test_what_only_python_takes_for_a_number_is_no_address(host: str) -> None:
    if host.endswith(("+1", "-1", "_4")):
        assert hosts.parse_host(host) == host  # a name
    else:
        with pytest.raises(ValueError, match="is no IPv4 address"):
            hosts.parse_host(host)
