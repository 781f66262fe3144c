# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes an inventory of Terraform's outputs, for where AWS cannot be asked: the hosts, groups and variables that
inventories/aws finds by tags.

terraform -chdir=terraform output -json | python3 scripts/terraform_inventory.py >inventories/aws_offline/hosts.yml
"""

from __future__ import annotations

import json
import sys
import typing as t

import yaml


def main() -> int:
    """Standard input to standard output."""
    try:
        made = inventory(json.load(sys.stdin))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        print(
            f"Standard input is not the outputs of terraform/ ({error!r}). Next: `terraform -chdir=terraform output "
            f"-json | {sys.argv[0]}`, after an apply.",
            file=sys.stderr,
        )
        return 1
    print(
        "---\n# Made by scripts/terraform_inventory.py from `terraform output -json`; make it again after each apply."
    )
    yaml.dump(made, sys.stdout, Dumper=IndentedDumper, sort_keys=True, allow_unicode=True, width=160)
    return 0


class IndentedDumper(yaml.SafeDumper):
    """Indents lists, as yamllint wants it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """PyYAML asks for lists without indentation."""
        super().increase_indent(flow, False)


def inventory(outputs: dict[str, t.Any]) -> dict[str, t.Any]:
    """The inventory in YAML's structure. `outputs`: what `terraform output -json` prints. Errors: KeyError for
    others."""
    groups: dict[str, dict[str, t.Any]] = {}
    for name, host in outputs["inventory"]["value"]["hosts"].items():
        groups.setdefault(host["group"], {"hosts": {}})["hosts"][name] = host["variables"]
        groups.setdefault(f"k3s_{host['role']}", {"children": {}})["children"][host["group"]] = {}
    # As in inventories/aws/localhost.yml.
    controller = {
        "localhost": {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    }
    return {"all": {"hosts": controller, "vars": {"aws_cluster": outputs["cluster"]["value"]}, "children": groups}}


if __name__ == "__main__":
    sys.exit(main())
