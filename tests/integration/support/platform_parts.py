# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles of the platform hand to the module k3s_charts, rendered by Ansible's own engine from their tasks,
without a host.

Ansible finds a collection's filters only if it came before whatever else imports from the collection, so it works in a
process of its own: `calls` runs this file as a program.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import json
import subprocess
import sys
import tempfile
import typing as t
from pathlib import Path

import yaml

if t.TYPE_CHECKING:
    from ansible.parsing.dataloader import DataLoader

REPOSITORY = Path(__file__).resolve().parents[3]
ROLES = REPOSITORY / "roles"
MODULE = "wasmfaas.platform.k3s_charts"
INSTALL = "component_install"
"""Entry point of role platform that has the one task with the module that installs."""
SERVERS = ("server-1", "server-2", "server-3")
API_VERSION = "v1.36.4+k3s1"
"""As if k3s ran the API server of these tests."""
Variables = dict[str, t.Any]

HOSTS: Variables = {
    "groups": {
        "all": [*SERVERS, "store-1", "worker-1"],
        "k3s_server": [*SERVERS],
        "observability": ["store-1"],
        "worker_wasm": ["worker-1"],
    },
    "hostvars": {
        name: {"ansible_host": f"192.0.2.{number}"}
        for number, name in enumerate((*SERVERS, "store-1", "worker-1"), start=1)
    },
    "k3s_plan": {
        "cluster": {"api_host": "server-1", "state": "running"},
        "hosts": {
            name: {"role": "server", "address": f"192.0.2.{number}", "node_name": name}
            for number, name in enumerate(SERVERS, start=1)
        },
    },
}
ALL = [
    "cert_manager", "spin_operator", "ingress", "keda", "observability", "aws_integration", "function_registry",
    "function_builds", "key_value_store", "function_service",
]  # fmt: skip
AWS: Variables = {
    "name": "shop",
    "region": "eu-central-1",
    "vpc_id": "vpc-0123456789abcdef0",
    "interruption_queue": "https://sqs.eu-central-1.amazonaws.com/123456789012/shop-interruptions",
    "autoscaler_tags": ["k8s.io/cluster-autoscaler/enabled", "k8s.io/cluster-autoscaler/shop"],
    "node_groups": {
        "control-plane": {
            "permissions": [
                "cloud_controller",
                "cluster_autoscaler",
                "ebs_csi",
                "registry_pull",
                "snapshots",
                "termination_handler",
            ]
        },
        "worker-wasm": {"permissions": ["registry_pull"]},
    },
}
ACCESS = {
    "server": {"certificate": "a certificate", "key": "a key"},
    "htpasswd": "nodes:$2y$05$hash",
    "host": "192.0.2.1",
}

VARIANTS: dict[str, dict[str, Variables]] = {
    "aws_integration": {"all": {"aws_cluster": AWS, "aws_integration_load_balancer_controller": True}},
    "cert_manager": {
        "acme": {"cert_manager_acme_email": "person@example.com", "cert_manager_acme_region": "eu-central-1"}
    },
    "function_builds": {"sandbox": {"function_builds_runtime_handler": "runsc"}},
    "function_service": {
        "two": {
            "registry": "registry.example.com/functions",
            "function_service_host": "api.example.com",
            "function_service_image_credentials": [
                {"server": "registry.example.com", "username": "puller", "password": "s3cret"}
            ],
            "function_service_registry_username": "pusher",
            "function_service_registry_password": "s3cret",
            "function_service_node_selector": {"wasmfaas.dev/group": "worker-backend"},
            "__function_service_tenants": ["user1"],
        },
    },
    "function_registry": {
        "s3": {
            "function_registry_storage": "s3",
            "function_registry_s3": {"bucket": "functions", "region": "eu-central-1"},
        }
    },
    "key_value_store": {
        "two": {
            "key_value_store_namespaces": ["default", "shop"],
            "key_value_store_storage_class": "fast",
        }
    },
    "observability": {
        "s3": {
            "observability_storage": "s3",
            "observability_logs_bucket": "shop-logs",
            "observability_traces_bucket": "shop-traces",
            "observability_bucket_region": "eu-central-1",
        }
    },
    "tenant": {
        "two": {
            "tenant_list": [{"name": "user1"}, {"name": "user2", "egress_networks": ["10.1.2.0/24"]}],
            "tenant_domains": ["example.com"],
        }
    },
}
"""Variables of an inventory, by role and a name; beside them each role is rendered with its defaults alone, if it can
be."""
NEEDS_VARIABLES = ("aws_integration", "function_service", "tenant")


@dataclasses.dataclass(frozen=True)
class Call:
    """What one task of a role has role platform install."""

    role: str
    task: str
    definitions: list[Variables]
    objects: list[Variables]
    charts: list[Variables]
    objects_after: list[Variables]
    objects_absent: list[Variables]


def roles() -> list[str]:
    """All roles that have something installed so."""
    files = {path.name: path / "tasks/main.yml" for path in ROLES.iterdir()}
    return sorted(name for name, file in files.items() if file.exists() and INSTALL in file.read_text(encoding="utf-8"))


def variants() -> list[tuple[str, str]]:
    """Each role with the names of what it is rendered with."""
    names = {role: [*([] if role in NEEDS_VARIABLES else ["defaults"]), *VARIANTS.get(role, {})] for role in roles()}
    return [(role, name) for role, several in names.items() for name in several]


def calls(role: str, variant: str, **variables: t.Any) -> list[Call]:
    """What the role's tasks hand to the module."""
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        json.dumps({"role": role, "variant": variant, "variables": variables}),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return [Call(**entry) for entry in json.loads(finished.stdout)]


def _render(role: str, variant: str, directory: Path, variables: Variables) -> list[Variables]:
    """`directory` gets the files that the role's templates read."""
    (directory / "function-registry.json").write_text(json.dumps(ACCESS), encoding="utf-8")
    known: Variables = {
        **HOSTS,
        "playbook_dir": str(directory),
        "inventory_dir": str(directory),
        "inventory_hostname": "server-1",
    }
    known |= {"role_path": str(ROLES / role), "ansible_search_path": [str(ROLES / role)], "ansible_check_mode": False}
    own = VARIANTS.get(role, {}).get(variant, {})
    for name in (*_dependencies(role), role):
        known |= _file(ROLES / name / "defaults/main.yml")
    known |= {"platform_components": ALL, "k3s_version": API_VERSION, **own, **variables}
    for name in (*_dependencies(role), role):
        known |= _file(ROLES / name / "vars/main.yml")
    return [_call(role, task, known) for task in _tasks(role)]


def _call(role: str, task: Variables, known: Variables) -> Variables:
    from ansible.template import Templar

    (install,) = _load(ROLES / "platform/tasks" / f"{INSTALL}.yml")
    templar = Templar(_loader(), variables={**known, **task["vars"]})
    arguments = {
        name: templar.template(install[MODULE][name])
        for name in ("definitions", "objects", "charts", "objects_after", "objects_absent")
    }
    return {"role": role, "task": str(task["name"]), **arguments}


def _tasks(role: str) -> list[Variables]:
    tasks = _load(ROLES / role / "tasks/main.yml")
    return [task for task in tasks if task.get("ansible.builtin.include_role", {}).get("tasks_from") == INSTALL]


def _dependencies(role: str) -> list[str]:
    meta = yaml.safe_load((ROLES / role / "meta/main.yml").read_text(encoding="utf-8"))
    return [entry["role"].rpartition(".")[2] for entry in meta.get("dependencies") or []]


def _file(path: Path) -> Variables:
    return dict(_load(path) or {}) if path.exists() else {}


def _load(path: Path) -> t.Any:
    return _loader().load_from_file(str(path), trusted_as_template=True)


@functools.cache
def _loader() -> DataLoader:
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader

    init_plugin_loader([str(REPOSITORY / ".ansible/collections")])
    return DataLoader()


def texts(value: t.Any, path: tuple[str, ...] = ()) -> collections.abc.Iterator[tuple[tuple[str, ...], str]]:
    """All texts in a value with their way."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from texts(below, (*path, str(key)))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from texts(below, (*path, str(number)))
    elif isinstance(value, str):
        yield path, value


if __name__ == "__main__":
    _asked = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory() as _directory:
        _made = _render(_asked["role"], _asked["variant"], Path(_directory), _asked["variables"])
    sys.stdout.write(json.dumps(_made))
