# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: `python -m tests.hosts create --state DIRECTORY server1 server2`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

from .environment import Environment, HostSpecification, environments, prune
from .errors import HostsError
from .inventory import write_inventory
from .machine import unavailable
from .rootfs import rootfs

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_ACTIONS = {
    "kill": "power loss: all processes end at once, the disk stays",
    "boot": "switch on",
    "freeze": "stop all processes",
    "thaw": "continue",
    "cut": "disconnect from the network",
    "heal": "connect to the network again",
    "fill-disk": "fill /var/lib/rancher to the last byte (needs --data-size at create)",
    "free-disk": "free the disk again",
    "wipe": "replace by a blank host of the same name and address",
    "remove": "end and delete",
}


def size(text: str) -> int:
    """The bytes of `512M`, `2G` or a plain number."""
    unit = _UNITS.get(text[-1:].upper(), 1)
    try:
        return int(text[:-1] if unit > 1 else text) * unit
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size. Write 512M or 2G.") from None


def parser() -> argparse.ArgumentParser:
    main_parser = argparse.ArgumentParser(
        prog="python -m tests.hosts", description="Linux hosts on this machine, for tests."
    )
    commands = main_parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("check", help="say why this machine cannot make hosts; exit code 0 if it can")
    commands.add_parser("rootfs", help="build the root file system and print its path")
    commands.add_parser("environments", help="list all environments on this machine")
    commands.add_parser("prune", help="remove what is left of environments whose state directory is gone")

    with_state = argparse.ArgumentParser(add_help=False)
    with_state.add_argument(
        "--state", type=Path, required=True, metavar="DIRECTORY", help="directory of the environment, on a disk"
    )
    create = commands.add_parser("create", parents=[with_state], help="make hosts and boot them; existing ones stay")
    create.add_argument(
        "--data-size", type=size, default=0, metavar="SIZE", help="give each host its own disk at /var/lib/rancher"
    )
    create.add_argument("hosts", nargs="+", metavar="name")
    commands.add_parser("destroy", parents=[with_state], help="end all hosts and delete everything of the environment")
    commands.add_parser("list", parents=[with_state], help="print the hosts as JSON")
    inventory = commands.add_parser("inventory", parents=[with_state], help="write an Ansible inventory of the hosts")
    inventory.add_argument(
        "--group", action="append", default=[], metavar="PARENT/GROUP=name,name", help="default: all hosts, no groups"
    )
    inventory.add_argument("--output", type=Path, required=True, metavar="FILE")
    for name, text in _ACTIONS.items():
        action = commands.add_parser(name, parents=[with_state], help=text)
        action.add_argument("hosts", nargs="+", metavar="name")
    clock = commands.add_parser(
        "clock",
        parents=[with_state],
        help="shift the clock by so many seconds for programs that start from now on; 0: the right time",
    )
    clock.add_argument("hosts", nargs=1, metavar="name")
    clock.add_argument("seconds", type=float)
    for name, text in (("run", "run a shell command over SSH"), ("console", "run a shell command without the network")):
        run = commands.add_parser(name, parents=[with_state], help=text)
        run.add_argument("hosts", nargs=1, metavar="name")
        run.add_argument("shell", metavar="command")
    return main_parser


def main(arguments: list[str] | None = None) -> int:
    """Run the command. Returns 0, 1 with one line on standard error, or the exit code of the command of `run`."""
    options = parser().parse_args(arguments)
    try:
        return _general(options) if not hasattr(options, "state") else _with_state(options, Environment(options.state))
    except HostsError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _general(options: argparse.Namespace) -> int:
    if options.command == "check":
        reason = unavailable()
        print(reason or "Test hosts can be made here.")
        return 1 if reason else 0
    if options.command == "rootfs":
        print(rootfs())
    elif options.command == "environments":
        for identifier, directory in environments().items():
            print(identifier, directory)
    else:
        for removed in prune():
            print(f"Removed: {removed}")
    return 0


def _with_state(options: argparse.Namespace, environment: Environment) -> int:
    if options.command == "create":
        Environment.create(
            options.state, [HostSpecification(name, data_size=options.data_size) for name in options.hosts]
        )
    elif options.command == "destroy":
        environment.destroy()
    elif options.command == "list":
        hosts = [
            {**dataclasses.asdict(host), "running": environment.running(host.name)} for host in environment.hosts()
        ]
        print(json.dumps(hosts, indent=2))
    elif options.command == "inventory":
        groups = {
            group: [name for name in names.split(",") if name]
            for group, _equals, names in (item.partition("=") for item in options.group)
        }
        write_inventory(environment, groups, options.output)
    elif options.command in {"run", "console"}:
        call = environment.run if options.command == "run" else environment.console
        done = call(options.hosts[0], options.shell, check=False)
        print(done.stdout, end="")
        print(done.stderr, end="", file=sys.stderr)
        return done.returncode
    elif options.command == "clock":
        environment.set_clock_offset(options.hosts[0], options.seconds)
    else:
        for name in options.hosts:
            getattr(environment, options.command.replace("-", "_"))(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
