# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No token anywhere but in the files of mode 0600 that k3s and the roles keep it in: everything on all hosts and all that Ansible prints is searched."""

from __future__ import annotations

import re

from .cluster import Cluster

# Reads the whole host: what other users may read of its files, the arguments and environments of processes, journal, logs, units.
SEARCH = r"""
set -u
find / -xdev \( -path /proc -o -path /sys -o -path /run/systemd/inaccessible \) -prune -o -type f -perm /0077 -size -20M -print0 2>/dev/null \
  | xargs -0 --no-run-if-empty grep -lFf /root/secrets 2>/dev/null
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -qFf /root/secrets && echo "arguments of a process"
journalctl --no-pager --quiet 2>/dev/null | grep -qFf /root/secrets && echo "journal"
grep -rlFf /root/secrets /var/log /etc/systemd /run/systemd/system 2>/dev/null
true
"""


def test_no_token_in_anything_that_others_may_read(blank: Cluster) -> None:
    run = blank.play("site.yml", "-vvv").succeeded()
    again = blank.play("site.yml", "-vvv", "--diff").unchanged()
    secrets = tokens(blank)
    assert len(secrets) >= 4  # two tokens, a node password, the administrator's key
    for secret in secrets:
        assert secret not in run.output
        assert secret not in again.output
    for host in blank.environment.hosts:
        blank.environment.run(host.name, "umask 077; cat > /root/secrets", stdin="\n".join(secrets) + "\n")
        found = blank.environment.run(host.name, SEARCH, timeout=300).stdout.split("\n")
        blank.environment.run(host.name, "rm /root/secrets")
        assert [line for line in found if line] == [], host.name


def tokens(cluster: Cluster) -> set[str]:
    """Tokens and passwords of the cluster, the secret part of each alone: a CA's digest, which is a part of the long form, is none."""
    read = cluster.environment.run(
        "server1", "cat /etc/rancher/k3s/token /etc/rancher/k3s/agent-token /var/lib/rancher/k3s/server/token /etc/rancher/node/password"
    ).stdout
    key = cluster.environment.run("server1", "grep client-key-data /etc/rancher/k3s/k3s.yaml").stdout.split(":")[1].strip()
    return {re.sub(r"^K10[0-9a-f]{64}::(server|node):", "", line.strip()) for line in read.splitlines() if line.strip()} | {key}
