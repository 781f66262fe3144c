# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Linux hosts on one machine, booted by systemd-nspawn: Debian, each with its own systemd, sshd, disk and network.

    environment = Environment.create(directory, [HostSpecification("server1"), HostSpecification("server2")])
    environment.host("server1").run("systemctl is-system-running")
    environment.kill("server1")      # power loss; freeze, cut, fill_disk, wipe … are the other accidents
    environment.destroy()

The command line offers the same: `python -m tests.hosts --help`. README.md says how they differ from real machines.
"""

from __future__ import annotations

from .environment import MAXIMUM_HOSTS, Environment, Host, HostSpecification, environments, prune
from .errors import HostsError
from .inventory import inventory, write_inventory
from .machine import unavailable

__all__ = [
    "MAXIMUM_HOSTS",
    "Environment",
    "Host",
    "HostSpecification",
    "HostsError",
    "environments",
    "inventory",
    "prune",
    "unavailable",
    "write_inventory",
]
