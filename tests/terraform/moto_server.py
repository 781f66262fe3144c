# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The moto server, with three corrections that make it behave like AWS.

AWS detaches a network interface that outlives its machine when the machine is terminated; moto leaves it attached, and
then refuses to delete it. AWS returns the description of a rule from one security group to another; moto stores it but
does not return it. Elastic IPs are public addresses; moto's are this machine's own, below 127.0.0.0/8, by which nobody
reaches a host.
"""

from __future__ import annotations

import itertools
import typing as t

from moto.ec2.models import elastic_ip_addresses
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.server import main

_terminate = Instance.terminate
_numbers = itertools.cycle(range(1, 250))


def terminate(self: Instance, *arguments: t.Any, **options: t.Any) -> t.Any:
    answer = _terminate(self, *arguments, **options)
    for interface in self.nics.values():
        if not interface.delete_on_termination:
            interface.instance = None
            interface.attachment_id = None
            interface.device_index = None
            interface.status = "available"
    return answer


def description(self: SecurityGroupRule) -> str | None:
    return self.ip_range.get("Description") or self.source_group.get("Description")


def public_address() -> str:
    """One of a network that is for documentation (RFC 5737); the last ones are for those who play its routers."""
    return f"203.0.113.{next(_numbers)}"


if __name__ == "__main__":
    # The name by which this module of moto calls it; mypy takes it for no export of it.
    elastic_ip_addresses.random_ip = public_address  # type: ignore[attr-defined]
    Instance.terminate = terminate  # type: ignore[method-assign]
    SecurityGroupRule.description = property(description)  # type: ignore[assignment,method-assign]
    main()
