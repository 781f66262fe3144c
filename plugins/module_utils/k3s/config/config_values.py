# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads k3s's config.yaml on a host, where there is no YAML library: keys with texts, or lists of texts, which is all
that k3s's options are.

What it cannot read is left out: it tells what a host runs with and never decides what is written.
"""

from __future__ import annotations

import glob
import json
import re
import typing as t

from .. import paths

Value = t.Union[str, "list[str]"]

REPORTED = (
    "cluster-cidr",
    "service-cidr",
    "cluster-dns",
    "cluster-domain",
    "flannel-backend",
    "flannel-ipv6-masq",
    "flannel-external-ip",
    "egress-selector-mode",
    "disable",
    "disable-cloud-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "disable-helm-controller",
    "embedded-registry",
    "secrets-encryption",
    "secrets-encryption-provider",
    "node-name",
    "node-ip",
    "data-dir",
    "datastore-endpoint",
    "etcd-snapshot-dir",
    "etcd-snapshot-retention",
    "etcd-s3",
    "etcd-s3-endpoint",
    "etcd-s3-endpoint-ca",
    "etcd-s3-bucket",
    "etcd-s3-bucket-lookup-type",
    "etcd-s3-region",
    "etcd-s3-folder",
    "etcd-s3-insecure",
    "etcd-s3-skip-ssl-verify",
    "etcd-s3-timeout",
    "etcd-s3-config-secret",
)
"""Keys that a report may hold: what must be equal on all servers, where the node is, and where snapshots go. No other
leaves the host, since it may be a secret; of the datastore only whether there is one."""


def read_values(text: str) -> dict[str, Value]:
    """Top-level keys of a YAML file whose value is a scalar or a list of scalars; a scalar is the text that stands
    there, without its quotes."""
    if text.lstrip().startswith("{"):
        try:
            read = json.loads(text)
        except ValueError:
            return {}
        return {
            key: [_plain(item) for item in value] if isinstance(value, list) else _plain(value)
            for key, value in read.items()
        }
    values: dict[str, Value] = {}
    key = ""
    for line in text.splitlines():
        item = re.match(r"\s*-\s+(.*)$", line)
        pair = re.match(r"""["']?([A-Za-z][\w-]*\+?)["']?\s*:(?:\s+(.*))?$""", line)
        if item and key:
            listed = values.setdefault(key, [])
            if isinstance(listed, list):
                listed.append(_scalar(item[1]))
        elif pair:
            key = ""
            content = (pair[2] or "").strip()
            if not content or content.startswith("#"):
                key = pair[1]
            elif content.startswith("["):
                values[pair[1]] = [
                    _scalar(part)
                    for part in re.findall(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,\[\]][^,\]]*""", content)
                ]
            elif content[0] not in "{|>&*!":
                values[pair[1]] = _scalar(content)
        elif line.strip() and not line.lstrip().startswith("#"):
            key = ""
    return values


def on_host(*, root: str = "") -> dict[str, Value]:
    """What config.yaml and its drop-ins say, but join.yaml; REPORTED keys only. Later files win (docs.k3s.io,
    installation/configuration)."""
    files = [f"{root}{paths.CONFIG}", *sorted(glob.glob(f"{root}{paths.CONFIG_DROP_INS}/*.yaml"))]
    merged: dict[str, Value] = {}
    for file in files:
        if file != f"{root}{paths.JOIN_CONFIG}":
            merged.update(read_file(file))
    reported = {key: value for key, value in merged.items() if key in REPORTED}
    if "datastore-endpoint" in reported:
        reported["datastore-endpoint"] = "(set)"
    return reported


def read_file(path: str) -> dict[str, Value]:
    """`read_values` of a file; nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return read_values(file.read())
    except OSError:
        return {}


def _scalar(text: str) -> str:
    text = text.strip()
    quoted = re.match(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'""", text)
    if quoted and text.startswith('"'):
        try:
            return str(json.loads(quoted[0]))
        except ValueError:
            return quoted[0][1:-1]
    if quoted:
        return quoted[0][1:-1].replace("''", "'")
    plain = re.split(r"\s+#", text, maxsplit=1)[0].strip()
    return "" if plain in ("~", "null") else plain


def _plain(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
