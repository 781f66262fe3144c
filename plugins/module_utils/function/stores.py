# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of stores that a function can use, and which of them it does use."""

from __future__ import annotations

import dataclasses
import typing as t

from .manifest.model import Component


@dataclasses.dataclass(frozen=True)
class StoreKind:
    """One kind of stores.

    Attributes:
        key: of a component in spin.toml.
        title: of one store, in sentences.
        option: key in `runtime_config`.
        table: in Spin's own runtime configuration file.
        types: known to Spin, with the options that each must have (Spin v4.0.2: crates/key-value-{spin,redis,azure,aws}
            and crates/sqlite, src/lib.rs).
    """

    key: str
    title: str
    option: str
    table: str
    types: dict[str, tuple[str, ...]]


KEY_VALUE = StoreKind(
    "key_value_stores",
    "key-value store",
    "keyValueStores",
    "key_value_store",
    {
        "spin": (),
        "redis": ("url",),
        "azure_cosmos": ("account", "database", "container"),
        "aws_dynamo": ("region", "table"),
    },
)
SQLITE = StoreKind(
    "sqlite_databases",
    "SQLite database",
    "sqliteDatabases",
    "sqlite_database",
    {"spin": (), "libsql": ("url", "token")},
)
KINDS = (KEY_VALUE, SQLITE)

DEFAULT_STORE = "default"
"""The label of the store that Spin configures by itself: of type `spin`, in the function's own file system."""


def used_stores(components: t.Iterable[Component], kind: StoreKind) -> dict[str, str]:
    """The labels that components use, each with the id of the first one."""
    labels: dict[str, str] = {}
    for component in components:
        for label in component.key_value_stores if kind is KEY_VALUE else component.sqlite_databases:
            labels.setdefault(label, component.id)
    return labels
