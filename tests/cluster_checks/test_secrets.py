# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody but root can read a token on a host, and no log shows one."""

from __future__ import annotations

import functools
import typing as t

import pytest

from .conftest import Scenario, connect, load_scenario

# Files in which k3s or this collection keeps tokens. Only root may read them.
TOKEN_FILES = (
    "/etc/rancher/k3s/token",
    "/etc/rancher/k3s/agent-token",
    "/var/lib/rancher/k3s/server/token",
    "/var/lib/rancher/k3s/server/node-token",
    "/var/lib/rancher/k3s/server/agent-token",
    "/etc/rancher/node/password",
)


@functools.cache
def secrets() -> frozenset[str]:
    """The secret parts of all tokens on all hosts, and the node passwords."""
    found = set()
    for name in load_scenario().hosts:
        host = connect(name)
        for file in TOKEN_FILES:
            # K10<hash of the CA>::<user>:<secret>, or the secret alone
            content = host.run("cat %s 2>/dev/null", file).stdout.strip()
            if content:
                found.add(content.rpartition(":")[2])
    return frozenset(found)


def _containing(host: t.Any, command: str) -> list[str]:
    """The secrets in the output of a shell command, by their first three characters."""
    output = host.run(command).stdout
    assert output, f"{command}: no output to search"
    return [f"{secret[:3]}…" for secret in secrets() if secret in output]


def test_there_are_tokens_to_search_for(scenario: Scenario) -> None:
    # The servers' token, the agents' token, and a password for each node.
    assert len(secrets()) >= 2 + len(scenario.hosts)
    assert min(len(secret) for secret in secrets()) >= 16


def test_only_root_can_read_tokens_and_settings(node: t.Any) -> None:
    names = " ".join(TOKEN_FILES)
    listed = node.run(f"find {names} /etc/rancher/k3s -type f -printf '%m %u %p\\n' 2>/dev/null").stdout.splitlines()
    assert len(listed) >= 3
    assert [line for line in listed if not line.startswith("600 root ")] == []


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", id="arguments"),
        pytest.param("cat /proc/[0-9]*/environ | tr '\\0' ' '", id="environment"),
        pytest.param(
            "cat $(find /etc/systemd /run/systemd /usr/lib/systemd -type f -name '*.service*') "
            "/etc/systemd/system/k3s*",
            id="units",
        ),
        # A message of several lines has its length in binary (systemd.io, JOURNAL_EXPORT_FORMATS).
        pytest.param("journalctl --no-pager --output=export | LC_ALL=C tr -c '[:print:]' ' '", id="journal"),
        pytest.param(
            "find /var/log -type f -not -path '/var/log/journal/*' -exec cat {} + "
            "| LC_ALL=C tr -c '[:print:]' ' ' ; echo",
            id="logs",
        ),
    ],
)
def test_no_token_is_shown(node: t.Any, command: str) -> None:
    assert _containing(node, command) == []


def test_no_file_that_others_can_read_has_a_token(scenario: Scenario, node: t.Any) -> None:
    # Patterns go over standard input, because arguments are visible. The search skips directories that others may not
    # enter.
    pruned = "\\( -path /proc -o -path /sys -o -path /usr/lib -o -path /usr/share -o -type d -not -perm -o+x \\)"
    matches = "xargs -0 grep --files-with-matches --fixed-strings --file=/root/.patterns"
    command = (
        "umask 077; cat > /root/.patterns; "
        f"find / -xdev {pruned} -prune -o -type f -perm -o+r -size -64M -print0 | {matches}; rm /root/.patterns"
    )
    found = scenario.environment.run(
        node.check_output("hostname"), command, stdin="".join(f"{secret}\n" for secret in secrets()), check=False
    )
    assert found.stdout.splitlines() == []


def test_ansibles_log_has_no_token(scenario: Scenario) -> None:
    log = (scenario.directory / "ansible.log").read_text(errors="replace")
    assert "PLAY RECAP" in log
    assert [f"{secret[:3]}…" for secret in secrets() if secret in log] == []
