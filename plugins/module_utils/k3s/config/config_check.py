# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's dictionaries of config.yaml keys: checked against what k3s knows, since k3s itself skips an unknown key
with a line in its log."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing as t

from ...problems import Problem
from . import flags

VARIABLES = {"server": "k3s_server_config", "agent": "k3s_agent_config"}
"""Where a role's keys come from, as far as no other variable is found to hold them."""

_BY_PLAN = "take it out: which server a node joins is decided by the servers that live"
_BY_REGISTRIES = "take it out: the role registries writes that file to its usual place"
_EMBEDDED = "take it out: servers keep their data in etcd of their own; an external datastore is not supported"
_WHOLE = "take it out: every server runs all of the control plane"

MANAGED = {
    "token": "take it out and give the variable k3s_token: tokens are kept in files of mode 0600",
    "token-file": "take it out and give the variable k3s_token",
    "agent-token": "take it out and give the variable k3s_agent_token: tokens are kept in files of mode 0600",
    "agent-token-file": "take it out and give the variable k3s_agent_token",
    "server": _BY_PLAN,
    "cluster-init": _BY_PLAN,
    "cluster-reset": "take it out and run ansible-playbook wasmfaas.platform.restore: in the file, it would reset the "
    "cluster at each start",
    "cluster-reset-restore-path": "take it out and run ansible-playbook wasmfaas.platform.restore with that snapshot",
    "node-name": "set k3s_node_name for the host",
    "with-node-id": "take it out and set k3s_node_name for the host, to a name of its own",
    "node-ip": "set k3s_node_address for the host",
    "node-label": "set k3s_node_labels for the host: k3s reads this key at a node's first start only",
    "node-taint": "set k3s_node_taints for the host: k3s reads this key at a node's first start only",
    "https-listen-port": "set k3s_api_port",
    "supervisor-port": "set k3s_api_port",
    "apiserver-port": "set k3s_api_port",
    "config": "take it out: it makes no sense in the file itself",
    "data-dir": "take it out and mount the disk at /var/lib/rancher",
    "write-kubeconfig": "take it out: commands on the host read the file at its usual place; write-kubeconfig-mode "
    "and -group are yours",
    "private-registry": _BY_REGISTRIES,
    "image-credential-provider-bin-dir": _BY_REGISTRIES,
    "image-credential-provider-config": _BY_REGISTRIES,
    "rootless": "take it out: nodes run as root",
    "datastore-endpoint": _EMBEDDED,
    "datastore-cafile": _EMBEDDED,
    "datastore-certfile": _EMBEDDED,
    "datastore-keyfile": _EMBEDDED,
    "kine-tls": _EMBEDDED,
    "disable-apiserver": _WHOLE,
    "disable-controller-manager": _WHOLE,
    "disable-etcd": _WHOLE,
    "disable-agent": _WHOLE,
}
"""Keys that are not the user's to set, with what to do instead."""

SECRETS = {
    "vpn-auth": "put it into a file of mode 0600 on the host and set vpn-auth-file",
    **dict.fromkeys(
        ("etcd-s3-access-key", "etcd-s3-secret-key", "etcd-s3-session-token"),
        "leave it out and let the servers' instance profile (IAM role) give the right to the bucket, or put it into "
        "/root/.aws/credentials of each server (docs/operations/backup.md)",
    ),
}
"""Credentials: config.yaml is no place for them."""

S3_SECRET = "etcd-s3-config-secret"  # noqa: S105 (a key)

DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
"""As Go's time.ParseDuration reads it."""

ITEM_NEAR = 0.85
"""Likeness from which an item of an open list, such as `disable`, counts as a mistyped known item."""


def validate(
    config: t.Mapping[str, t.Any],
    *,
    host: str,
    role: str,
    version: str = "",
    sources: t.Mapping[str, str] | None = None,
) -> list[Problem]:
    """All problems of a user's keys.

    Args:
        config: the merged dictionary; a value None stands for "not this key, not even with the collection's value".
        role: `server` or `agent`.
        version: of k3s that will read it; "" does not look whether it knows the key.
        sources: variable that a key was set in, by key, as far as known.
    """
    problems = []
    for key, value in config.items():
        variable = (sources or {}).get(key, VARIABLES[role])
        found = _key_problem(str(key), role, version) or _value_problem(flags.load().of(role)[str(key)], value)
        if found:
            problems.append(Problem(host, f"{variable}: {found[0]}", found[1]))
    return [*problems, *_ignored_secret(config, host=host, sources=sources or {})]


def _ignored_secret(config: t.Mapping[str, t.Any], *, host: str, sources: t.Mapping[str, str]) -> list[Problem]:
    """k3s reads its S3 settings from a Secret only where no other is set (v1.36.4, pkg/etcd/s3/s3.go, GetClient)."""
    others = [key for key, value in config.items() if str(key).startswith("etcd-s3-") and value is not None]
    if config.get(S3_SECRET) is None or others == [S3_SECRET]:
        return []
    others.remove(S3_SECRET)
    return [
        Problem(
            host,
            f"{sources.get(S3_SECRET, VARIABLES['server'])}: k3s ignores {S3_SECRET} beside {', '.join(others)}",
            "put all of them into the Secret, or take the Secret out (docs/operations/backup.md)",
        )
    ]


def normalized(key: str, value: t.Any, role: str) -> t.Any:
    """A valid value as k3s takes it: lists as lists of texts, numbers and truth values as such."""
    flag = flags.load().of(role)[key]
    if flag.type == "list":
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    if flag.type == "bool":
        return value if isinstance(value, bool) else value.lower() == "true"
    return int(value) if flag.type == "int" else str(value)


def comparable(flag: flags.Flag, value: t.Any) -> tuple[str, ...]:
    """A value of a key that servers must share, in a form that can be compared: without order, with the default if it
    is not set."""
    items = value if isinstance(value, list) else [value]
    texts = [part.strip() for item in items if item is not None for part in _text(item).split(",")]
    texts = [text for text in texts if text]
    if flag.type == "bool":
        return (texts[0] if texts else "false",)
    if flag.critical_items:
        texts = [text for text in texts if text in flag.critical_items]
    return tuple(sorted(set(texts or ([flag.default] if flag.default else []))))


def differences(configs: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[Problem]:
    """Keys that all servers must share and do not; `configs`: final dictionary by server.

    k3s-io/docs datastore/ha-embedded; those that k3s compares itself stop the joining server with "critical
    configuration value mismatch".
    """
    problems = []
    for flag in flags.load().shared():
        whole = dataclasses.replace(flag, critical_items=())
        values: dict[tuple[str, ...], list[str]] = {}
        for host, config in configs.items():
            values.setdefault(comparable(whole, config.get(flag.name)), []).append(host)
        if len(values) > 1:
            said = "; ".join(
                f"{', '.join(hosts)}: {'(secret)' if flag.secret else ', '.join(value) or 'nothing'}"
                for value, hosts in values.items()
            )
            problems.append(
                Problem(
                    "",
                    f"{flag.name} must be the same on all servers, but is not ({said})",
                    "set it once, in k3s_server_config of the servers' group",
                )
            )
    return problems


def label_problems(labels: t.Any, *, host: str, role: str) -> list[Problem]:
    """What is wrong with the desired labels of a node (kubernetes.io,
    concepts/overview/working-with-objects/labels)."""
    where, problems = "k3s_node_labels", []
    if not isinstance(labels, dict):
        return [Problem(host, f"{where} is no dictionary", "write it as {label: value}")]
    for key, value in labels.items():
        if not _is_qualified(str(key)):
            problems.append(
                Problem(
                    host,
                    f"{where}: {key!r} is no label",
                    "write it as name or domain/name, of letters, digits, - _ . and at most 63 characters",
                )
            )
        elif re.fullmatch(RESERVED_LABELS, str(key)):
            problems.append(
                Problem(
                    host,
                    f"{where}: {key} is set by k3s itself",
                    "take it out" + (", or put the host into the group of servers" if role == "agent" else ""),
                )
            )
        if not re.fullmatch(LABEL_VALUE, label_value(value)):
            problems.append(
                Problem(
                    host,
                    f"{where}: {key}: {value!r} is no value of a label",
                    "use at most 63 letters, digits, - _ and .",
                )
            )
    return problems


def taint_problems(taints: t.Any, *, host: str) -> list[Problem]:
    """What is wrong with the desired taints of a node."""
    where, problems = "k3s_node_taints", []
    if not isinstance(taints, list):
        return [Problem(host, f"{where} is no list", "write it as [{key: …, value: …, effect: NoSchedule}]")]
    for taint in taints:
        if not isinstance(taint, dict) or not {"key", "effect"} <= set(taint) <= {"key", "value", "effect"}:
            problems.append(
                Problem(host, f"{where}: {taint!r} is no taint", "write it as {key: …, value: …, effect: NoSchedule}")
            )
        elif taint["effect"] not in TAINT_EFFECTS:
            meant = next(iter(difflib.get_close_matches(str(taint["effect"]), TAINT_EFFECTS, n=1)), "NoSchedule")
            problems.append(
                Problem(
                    host,
                    f"{where}: {taint['key']}: {taint['effect']!r} is no effect of a taint",
                    f"write {meant} ({', '.join(TAINT_EFFECTS)})",
                )
            )
        elif not _is_qualified(str(taint["key"])) or not re.fullmatch(LABEL_VALUE, label_value(taint.get("value"))):
            problems.append(
                Problem(
                    host,
                    f"{where}: {taint['key']}={taint.get('value')} is no taint",
                    "key and value follow the rules of labels",
                )
            )
    return problems


LABEL_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
LABEL_VALUE = rf"({LABEL_NAME})?"
DOMAIN = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
RESERVED_LABELS = (
    r"node-role\.kubernetes\.io/(control-plane|etcd|master)|(beta\.)?kubernetes\.io/(hostname|os|arch)"
    r"|etcd\.k3s\.cattle\.io/.*|k3s\.io/hostname"
)
"""Written by k3s or the kubelet, which put back what others set; the roles among them tell servers from agents."""

KUBELET_MAY = r"((kubelet|node)\.kubernetes\.io|[\w.-]+\.(kubelet|node)\.kubernetes\.io|topology\.kubernetes\.io)/.*"
"""Labels below kubernetes.io that the kubelet accepts for its own node; with others k3s does not start (kubernetes,
staging/src/k8s.io/kubelet/pkg/apis)."""


def at_registration(label: str) -> bool:
    """Whether a node may register with that label; all others are set over the API."""
    domain = label.partition("/")[0] if "/" in label else ""
    return not re.search(r"(^|\.)(kubernetes|k8s)\.io$", domain) or re.fullmatch(KUBELET_MAY, label) is not None


def label_value(value: t.Any) -> str:
    """The value as text; YAML's true becomes `true`."""
    return "" if value is None else _text(value)


def is_node_name(name: str) -> bool:
    """Whether this can be the name of a node (RFC 1123 subdomain)."""
    return len(name) <= 253 and re.fullmatch(DOMAIN, name) is not None


def _key_problem(key: str, role: str, version: str) -> tuple[str, str] | None:
    known = flags.load()
    if key in MANAGED and (key in known.of(role) or key in known.of("server")):
        return f"{key} is not to be set here", MANAGED[key]
    if key in SECRETS:
        return f"{key} is a secret", SECRETS[key]
    if key.endswith("+"):
        return (
            f"{key} appends to an earlier file, and this is the first",
            f"write {key[:-1]}: lists of arguments are added to the collection's own",
        )
    flag = known.of(role).get(key)
    if flag is None:
        if role == "agent" and key in known.of("server"):
            return f"{key} is a key for servers, agents ignore it", "move it to k3s_server_config"
        if role == "server" and key in known.of("agent"):
            return f"{key} is a key for agents only", "move it to k3s_agent_config"
        if key in known.removed:
            return f"{key} is no longer known to k3s", "take it out"
        near = known.nearest(key, role)
        return (
            f"k3s knows no key {key}",
            f"write {near}" if near else "take it out; docs.k3s.io/cli/server lists the keys",
        )
    if version and not flag.known_to(version):
        return f"k3s {version} does not know {key}", f"take it out, or use a version that has it: {flag.since}"
    return None


def _value_problem(flag: flags.Flag, value: t.Any) -> tuple[str, str] | None:
    if value is None:
        return None
    shown = "its value" if flag.secret else repr(value)
    wrong = _type_problem(flag, value)
    if wrong:
        return f"{flag.name}: {shown} is {wrong[0]}", wrong[1]
    items = [str(item) for item in value] if isinstance(value, list) else [str(value)]
    for item in items:
        unknown = flag.choices and item not in flag.choices
        near = (
            difflib.get_close_matches(item, flag.choices, n=1, cutoff=ITEM_NEAR if flag.type == "list" else 0.0)
            if unknown
            else []
        )
        # `disable` also takes the names of the user's own manifests: only what looks mistyped is refused.
        if unknown and (near or flag.type != "list"):
            return (
                f"{flag.name}: {item!r} is none of {', '.join(flag.choices)}",
                f"write {near[0]}" if near else f"write {flag.choices[0]}",
            )
        if flag.name.endswith("-arg") and item.startswith("-"):
            return f"{flag.name}: {item!r} begins with a dash", f"write {item.lstrip('-')}"
        if flag.name.endswith("-arg") and not re.match(r"[a-z][A-Za-z0-9-]*(=|$)", item):
            return f"{flag.name}: {item!r} is no argument", "write it as name=value"
    if flag.name == "write-kubeconfig-mode":
        return _mode_problem(str(value))
    return None


def _type_problem(flag: flags.Flag, value: t.Any) -> tuple[str, str] | None:
    """What the value is instead, and what to do."""
    if flag.type == "list":
        items = value if isinstance(value, list) else [value]
        if all(isinstance(item, (str, int, float)) and not isinstance(item, bool) for item in items):
            return None
        return "no list of texts", f"write {flag.name}: [first, second]"
    if flag.type == "bool":
        return (
            None
            if isinstance(value, bool) or str(value).lower() in ("true", "false")
            else ("neither true nor false", "write true or false")
        )
    if flag.type == "int":
        good = not isinstance(value, bool) and re.fullmatch(r"-?\d+", str(value)) is not None
        return None if good else ("no whole number", "write a number")
    if isinstance(value, (bool, list, dict, float)) or (
        isinstance(value, int) and flag.name == "write-kubeconfig-mode"
    ):
        return "no text", "put it in quotes" if isinstance(value, (int, float)) else "write one text"
    if flag.type == "duration" and not DURATION.fullmatch(str(value)):
        return "no duration", "write it as 30s, 10m or 1h30m"
    return None


def _mode_problem(mode: str) -> tuple[str, str] | None:
    if not re.fullmatch(r"0?[0-7]{3}", mode):
        return f"write-kubeconfig-mode: {mode!r} is no file mode", 'write "0600"'
    if mode[-1] != "0":
        return (
            f"write-kubeconfig-mode: {mode} lets every user of the host administrate the cluster",
            'write "0640", with write-kubeconfig-group for who may read it',
        )
    return None


def _is_qualified(key: str) -> bool:
    domain, slash, name = key.rpartition("/")
    return re.fullmatch(LABEL_NAME, name) is not None and (not slash or is_node_name(domain))


def _text(value: t.Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
