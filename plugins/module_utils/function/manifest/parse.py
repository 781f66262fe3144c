# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a project directory's spin.toml, version 1 or 2, into the model, and refuses every wrong one.

Follows Spin's crates/manifest/src (schema/v2.rs, schema/common.rs, normalize.rs) and what crates/loader/src/local.rs
checks while loading.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t
from pathlib import Path

from .dependencies import Dependencies, check_download, inherit_everything, read_dependencies
from .hosts import convert_http_hosts
from .location import KeyPath
from .manifest_file import parse_toml, read_text
from .model import Build, Component, FilesMount, LocalSource, Manifest, RemoteSource, Trigger, Variable
from .names import fixed_identifier, identifier_error
from .paths import Bounds, find_bounds
from .problems import Problems
from .tables import Table, refuse_unwritable, type_name
from .validate import normalise_dependencies, reaches_out, validate

_ROOT_KEYS = ("spin_manifest_version", "application", "variables", "trigger", "component")
_APPLICATION_KEYS = ("name", "version", "description", "authors", "targets", "trigger", "tool")
_VARIABLE_KEYS = ("description", "required", "default", "secret")
_COMPONENT_KEYS = (
    "source",
    "description",
    "variables",
    "environment",
    "files",
    "exclude_files",
    "allowed_http_hosts",
    "allowed_outbound_hosts",
    "key_value_stores",
    "sqlite_databases",
    "ai_models",
    "targets",
    "build",
    "tool",
    "dependencies_inherit_configuration",
    "dependencies",
    "profile",
)
_BUILD_KEYS = ("command", "workdir", "watch")
_PROFILE_KEYS = ("source", "environment", "dependencies", "build")
_TARGET_FORMS = '"<name>:<version>", { url = "https://…" } or { path = "…" }'

_ROOT_HINTS = {
    key: f"Move it into [application], where {key} belongs in version 2."
    for key in ("name", "version", "description", "authors")
}
_ROOT_HINTS["spin_version"] = "Remove it; spin_manifest_version = 2 says the version."
_COMPONENT_HINTS = {
    "config": 'Rename it to "variables", its name in version 2.',
    "env": 'Rename it to "environment".',
    "trigger": 'Write a [[trigger.<type>]] with component = "<id>" instead, as version 2 wants it.',
    "route": "Move it into [[trigger.http]].",
    "command": "Move it into [component.<id>.build].",
    "workdir": "Move it into [component.<id>.build].",
    "watch": "Move it into [component.<id>.build].",
    "id": "Write the id into the header, [component.<id>].",
}
_SOURCE_FORMS = 'Write source = "<path of the .wasm file>" or source = { url = "https://…", digest = "sha256:…" }.'


def read_manifest(source: Path, *, profile: str | None = None, source_root: Path | None = None) -> Manifest:
    """Read and check a manifest.

    Args:
        source: the project directory, or the manifest file itself.
        profile: the build profile whose overrides apply.
        source_root: the directory that no path of the manifest leaves, all files of which then count as sources. None
            takes the top directory of the git repository around the project, or else the project directory; its files
            count if a path leaves the project directory.

    Raises:
        PlatformError: the directory or file cannot be read, or the manifest is wrong; the cause names file, line and
            key of each problem.
    """
    path, text = read_text(source)
    bounds = find_bounds(path.parent, source_root)
    raw = parse_toml(path, text)
    problems = Problems(path.name, text)
    version = _version(raw, problems)
    if version == 1:
        from . import version_1  # rare, and the import would cost every other run

        raw = version_1.upgrade(raw, problems)
    reader = _Reader(path, bounds, problems, profile, version)
    manifest = reader.manifest(Table(raw, (), problems))
    problems.raise_if_any()
    manifest = normalise_dependencies(manifest, reader.component_paths, problems)
    validate(manifest, reader.component_paths, problems)
    problems.raise_if_any()
    return dataclasses.replace(manifest, covers_source_root=source_root is not None or reaches_out(manifest))


def _version(raw: dict[str, t.Any], problems: Problems) -> int:
    key = "spin_version" if "spin_version" in raw and "spin_manifest_version" not in raw else "spin_manifest_version"
    value = raw.get(key)
    next_step = 'Write spin_manifest_version = 2 as the first line (version 1 is written as the string "1").'
    if value == "1":
        return 1
    if isinstance(value, int) and value == 2 and key == "spin_manifest_version":
        return 2
    if value is None:
        problems.add((), "the manifest version is missing", next_step)
    elif value == "2":
        problems.add((key,), 'the version 2 must be an integer, not the string "2"', next_step)
    elif isinstance(value, int) and value == 1 and not isinstance(value, bool):
        problems.add((key,), 'the version 1 must be the string "1", not an integer', next_step)
    elif value == 2:
        problems.add((key,), "version 2 is said by spin_manifest_version", next_step)
    else:
        problems.add((key,), f"unknown manifest version {str(value)[:100]!r}", next_step)
    problems.raise_if_any()
    raise AssertionError("one problem was added")


class _Reader:
    """Reads version 2 tables into the model and notes problems on the way.

    Args:
        version: of the manifest as it was written; version 1 has no rule on labels (Spin: schema/v1.rs).
    """

    def __init__(self, path: Path, bounds: Bounds, problems: Problems, profile: str | None, version: int) -> None:
        self.path = path
        self.bounds = bounds
        self.problems = problems
        self.profile = profile
        self.version = version
        self.profiles: set[str] = set()
        self.component_paths: dict[str, KeyPath] = {}
        self.inline_numbers = itertools.count(1)

    def manifest(self, root: Table) -> Manifest:
        root.refuse_unknown(_ROOT_KEYS, _ROOT_HINTS)
        if "application" not in root.data:
            self.problems.add((), "[application] is missing", 'Add [application] with name = "…".')
        application = root.table("application")
        application.refuse_unknown(_APPLICATION_KEYS)
        name = application.text("name", required="application" in root.data, example='name = "…"')
        if name == "":
            self.problems.add((*application.path, "name"), "is empty", "Give the application a name.")
        self.targets(application)
        application.tables("tool")
        settings = {kind: table.data for kind, table in application.tables("trigger").items()}
        for kind, table in settings.items():
            refuse_unwritable(table, ("application", "trigger", kind), self.problems)
        variables = {key: self.variable(key, table) for key, table in root.tables("variables").items()}
        components = self.components(root)
        triggers = self.triggers(root, components)
        if not components and triggers:
            # containerd-shim-spin takes an image without a Wasm layer for an ordinary Linux container
            message = "the application has no component, and a node cannot run it without one"
            self.problems.add((), message, "Add a component, even if no trigger calls it.")
        if self.profile is not None and self.profile not in self.profiles:
            known = (
                f"Use one of {', '.join(sorted(self.profiles))}, or none."
                if self.profiles
                else "Deploy without a profile; this manifest has none."
            )
            self.problems.add((), f'no component has the profile "{self.profile}"', known)
        return Manifest(
            path=self.path,
            name=name or "",
            version=application.text("version") or "",
            description=application.text("description") or "",
            authors=application.texts("authors"),
            variables=variables,
            triggers=tuple(sorted(triggers, key=lambda trigger: trigger.type)),
            components=components,
            trigger_settings={kind: dict(table) for kind, table in settings.items()},
            profile=self.profile,
            source_root=Path(self.bounds.source_root),
        )

    def variable(self, name: str, table: Table) -> Variable:
        table.refuse_unknown(_VARIABLE_KEYS)
        self.identifier(name, table.path, "_", "variable name", lower=True)
        required, default = table.flag("required"), table.text("default")
        if bool(required) == ("default" in table.data):
            message = (
                "has both required = true and a default" if required else "has neither required = true nor a default"
            )
            self.problems.add(
                table.path, message, 'Write either required = true, or default = "…" (which may be empty).'
            )
        return Variable(
            description=table.text("description"),
            required=bool(required),
            default=default,
            secret=bool(table.flag("secret")),
        )

    def components(self, root: Table) -> dict[str, Component]:
        value = root.data.get("component", {})
        if isinstance(value, list):
            next_step = 'Write [component.<id>] for each, or spin_manifest_version = "1" if it is a version 1 manifest.'
            self.problems.add(("component",), "[[component]] is version 1, but the manifest says version 2", next_step)
            return {}
        components = {}
        for name, table in root.tables("component").items():
            self.identifier(name, table.path, "-", "component id")
            self.component_paths[name] = table.path
            components[name] = self.component(name, table)
        return components

    def component(self, name: str, table: Table) -> Component:
        table.refuse_unknown(_COMPONENT_KEYS, _COMPONENT_HINTS)
        self.targets(table)
        table.tables("tool")
        source = self.source(table, required=True)
        environment = table.text_map("environment")
        build = self.build(table)
        dependencies = read_dependencies(table.table("dependencies"), self.bounds)
        for profile, overrides in table.tables("profile").items():
            self.profiles.add(profile)
            overridden = self.overrides(overrides)
            if profile != self.profile:
                continue
            source = overridden[0] or source
            environment |= overridden[1]
            dependencies |= overridden[2]
            if overridden[3] is not None:
                build = dataclasses.replace(
                    build or Build(commands=()), commands=overridden[3].commands, command=overridden[3].command
                )
        inherit = table.flag("dependencies_inherit_configuration")
        if inherit is not None and any("inherit_configuration" in dependency for dependency in dependencies.values()):
            message = "excludes inherit_configuration of a single dependency"
            self.problems.add((*table.path, "dependencies_inherit_configuration"), message, "Use one or the other.")
        elif inherit:
            inherit_everything(dependencies)
        return Component(
            id=name,
            source=source or LocalSource(""),
            description=table.text("description") or "",
            variables=self.component_variables(table),
            environment=environment,
            files=self.files(table),
            exclude_files=table.texts("exclude_files"),
            allowed_outbound_hosts=self.hosts(table),
            key_value_stores=self.labels(table, "key_value_stores"),
            sqlite_databases=self.labels(table, "sqlite_databases"),
            ai_models=table.texts("ai_models"),
            build=build,
            dependencies=dependencies,
            dependencies_inherit_configuration=bool(inherit),
        )

    def overrides(
        self, table: Table
    ) -> tuple[LocalSource | RemoteSource | None, dict[str, str], Dependencies, Build | None]:
        table.refuse_unknown(_PROFILE_KEYS)
        build = table.table("build")
        build.refuse_unknown(
            ("command",),
            {
                "workdir": "Remove it; a profile can only change the command.",
                "watch": "Remove it; a profile can only change the command.",
            },
        )
        return (
            self.source(table, required=False),
            table.text_map("environment"),
            read_dependencies(table.table("dependencies"), self.bounds),
            self.build_command(build) if "build" in table.data else None,
        )

    def source(self, table: Table, *, required: bool) -> LocalSource | RemoteSource | None:
        path: KeyPath = (*table.path, "source")
        value = table.data.get("source")
        if value is None:
            if required:
                self.problems.add(table.path, '"source" is missing', _SOURCE_FORMS)
            return None
        if isinstance(value, str):
            if refusal := self.bounds.refusal(value, "let the build write the file into the directory of the manifest"):
                self.problems.add(path, *refusal)
            return LocalSource(value)
        if not isinstance(value, dict):
            self.problems.add(path, f"must be a string or a table, but is {type_name(value)}", _SOURCE_FORMS)
            return None
        source = table.table("source")
        if "package" in source.data or "registry" in source.data:
            package = source.data.get("package", "the package")
            message = f"{package!s:.200} comes from a component registry, which is not supported"
            next_step = (
                f"Download it once (`wkg get {package!s:.200}`), put the file into the directory and name it: "
                'source = "<path>"; or give url and digest.'
            )
            self.problems.add(path, message, next_step)
            return None
        source.refuse_unknown(
            ("url", "digest"),
            {"sha256": 'Rename it to "digest"; its value is "sha256:<64 hexadecimal digits>".', "path": _SOURCE_FORMS},
        )
        url = source.text("url", required=True, example='url = "https://…"')
        digest = source.text(
            "digest", required=True, example='digest = "sha256:…", which `sha256sum` of the downloaded file prints'
        )
        if url is None:
            return None
        check_download(url, digest, path, self.problems)
        # Digests are compared as text later on.
        return RemoteSource(url, (digest or "").lower())

    def build(self, table: Table) -> Build | None:
        if "build" not in table.data:
            return None
        if isinstance(table.data["build"], list):
            table = self.build_of_array(table)
        build = table.table("build")
        build.refuse_unknown(_BUILD_KEYS)
        workdir = build.text("workdir")
        if workdir is not None and (
            refusal := self.bounds.refusal(workdir, "write a directory below that of the manifest")
        ):
            self.problems.add((*build.path, "workdir"), *refusal)
        watch = build.texts("watch")
        for index, pattern in enumerate(watch):
            # What it names would not count as a source. Spin itself reads `watch` only for `spin watch`.
            if refusal := self.bounds.refusal_to_leave(pattern, "remove the entry"):
                self.problems.add((*build.path, "watch", index), *refusal, pattern)
        read = self.build_command(build)
        return dataclasses.replace(read, workdir=workdir or ".", watch=watch)

    def build_of_array(self, table: Table) -> Table:
        """The same with the build as a table: Spin reads an array as the values of `_BUILD_KEYS` in their order."""
        values = table.data["build"]
        if len(values) != len(_BUILD_KEYS):
            self.problems.add(
                (*table.path, "build"),
                f"must be a table, or an array of {', '.join(_BUILD_KEYS)}",
                'Write build = { command = "…" }.',
            )
            values = ("", ".", [])
        return Table({"build": dict(zip(_BUILD_KEYS, values, strict=True))}, table.path, self.problems)

    def build_command(self, build: Table) -> Build:
        command = build.data.get("command")
        if command is None:
            self.problems.add(build.path, '"command" is missing', 'Add command = "…", or remove the build table.')
        elif isinstance(command, list):
            return Build(commands=build.texts("command"), command=list(build.texts("command")))
        elif not isinstance(command, str):
            self.problems.add(
                (*build.path, "command"),
                f"must be a string or an array of strings, but is {type_name(command)}",
                'Write command = "…".',
            )
        else:
            return Build(commands=(command,), command=command)
        return Build(commands=())

    def component_variables(self, table: Table) -> dict[str, str]:
        variables = table.text_map("variables")
        for name in table.table("variables").data:
            self.identifier(name, (*table.path, "variables", name), "_", "variable name", lower=True)
        return variables

    def files(self, table: Table) -> tuple[str | FilesMount, ...]:
        value = table.data.get("files", [])
        if not isinstance(value, list):
            table.wrong_type((*table.path, "files"), "an array", value)
            return ()
        mounts: list[str | FilesMount] = []
        for index, element in enumerate(value):
            path: KeyPath = (*table.path, "files", index)
            if isinstance(element, str):
                mounts.append(element)
            elif isinstance(element, dict):
                mount = Table(element, path, self.problems)
                mount.refuse_unknown(("source", "destination"))
                source, destination = (mount.text(key, required=True) for key in ("source", "destination"))
                if source is not None and destination is not None:
                    # Spin joins an empty source with the directory of the manifest, which gives that directory
                    mounts.append(FilesMount(source or ".", destination))
            else:
                message = f"must be a string or {{ source = …, destination = … }}, but is {type_name(element)}"
                self.problems.add(
                    path, message, 'Write a pattern such as "assets/**/*", or { source = "assets", destination = "/" }.'
                )
        return tuple(mounts)

    def hosts(self, table: Table) -> tuple[str, ...]:
        old = table.texts("allowed_http_hosts")
        converted, errors = convert_http_hosts(old, with_databases=False)
        for index, error in errors:
            message = f'"{old[index]}" {error}'
            self.problems.add(
                (*table.path, "allowed_http_hosts", index),
                message,
                "Write a host or host:port, or better allowed_outbound_hosts.",
                old[index],
            )
        return (*table.texts("allowed_outbound_hosts"), *converted)

    def labels(self, table: Table, key: str) -> tuple[str, ...]:
        labels = table.texts(key)
        if self.version == 1:
            return labels
        for index, label in enumerate(labels):
            if identifier_error(label, "-") and identifier_error(label, "_"):
                message = f'"{label}" must be in kebab-case or snake_case'
                self.problems.add(
                    (*table.path, key, index),
                    message,
                    'Write a label of letters and digits in words joined with "-" or "_".',
                    label,
                )
        return labels

    def targets(self, table: Table) -> None:
        value = table.data.get("targets", [])
        path: KeyPath = (*table.path, "targets")
        if not isinstance(value, list):
            table.wrong_type(path, "an array", value)
            return
        for index, element in enumerate(value):
            if isinstance(element, dict):
                target = Table(element, (*path, index), self.problems)
                if set(target.data) not in ({"url"}, {"path"}):
                    self.problems.add(
                        target.path, "must name a url or a path, and nothing else", f"Write one of {_TARGET_FORMS}."
                    )
                for key in target.data:
                    target.text(key)
            elif not isinstance(element, str):
                table.wrong_type((*path, index), "a string or a table", element)

    def identifier(self, name: str, path: KeyPath, separator: str, what: str, *, lower: bool = False) -> None:
        if error := identifier_error(name, separator, lower=lower):
            fixed = fixed_identifier(name, separator, lower=lower)
            self.problems.add(
                path,
                f'"{name}" is no valid {what}: {error}',
                f'Rename it to "{fixed}".' if fixed else f"Choose another {what}.",
            )

    # Triggers

    def triggers(self, root: Table, components: dict[str, Component]) -> list[Trigger]:
        if root.data.get("trigger", {}) == {} or (
            isinstance(root.data["trigger"], dict) and all(value == [] for value in root.data["trigger"].values())
        ):
            self.problems.add(
                (),
                "the application has no trigger, so nothing would ever call it",
                'Add [[trigger.http]] with route = "/..." and component = "<id>".',
            )
        entries: list[tuple[Table, str]] = []
        for kind, value in root.table("trigger").data.items():
            if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
                message = "must be an array of tables" + (", but is one table" if isinstance(value, dict) else "")
                self.problems.add(("trigger", kind), message, f"Write [[trigger.{kind}]] with double brackets.")
                continue
            entries += [
                (Table(entry, ("trigger", kind, index), self.problems), kind) for index, entry in enumerate(value)
            ]
        ids = self.trigger_ids(entries)
        return [
            self.trigger(table, kind, trigger_id, components)
            for (table, kind), trigger_id in zip(entries, ids, strict=True)
        ]

    def trigger_ids(self, entries: list[tuple[Table, str]]) -> list[str]:
        """Name each trigger as normalize_trigger_ids does; refuse an id given twice."""
        given = [table.text("id") or "" for table, _kind in entries]
        taken = set(given)
        first: dict[str, Table] = {}
        for (table, _kind), trigger_id in zip(entries, given, strict=True):
            if trigger_id and first.setdefault(trigger_id, table) is not table:
                self.problems.add(
                    (*table.path, "id"),
                    f'the trigger id "{trigger_id}" is given twice',
                    "Give each trigger an id of its own, or none.",
                )
        named = []
        counts: dict[str, t.Iterator[int]] = {}
        for (table, kind), given_id in zip(entries, given, strict=True):
            trigger_id = given_id
            if not trigger_id:
                component = table.data.get("component")
                candidates = (f"{component}-{kind}-trigger",) if isinstance(component, str) else ()
                # What was taken stays taken, so the count goes on where it was
                numbers = counts.setdefault(kind, itertools.count(1))
                counted = (f"{kind}-trigger{number}" for number in numbers)
                trigger_id = next(
                    candidate for candidate in itertools.chain(candidates, counted) if candidate not in taken
                )
                taken.add(trigger_id)
            named.append(trigger_id)
        return named

    def trigger(self, table: Table, kind: str, trigger_id: str, components: dict[str, Component]) -> Trigger:
        settings = {
            key: value
            for key, value in table.data.items()
            if key not in ("id", "component", "components", "dependencies")
        }
        refuse_unwritable(settings, table.path, self.problems)
        for key in ("components", "dependencies"):
            if table.table(key).data:
                message = "components that are composed with the trigger's component (middleware) are not supported"
                next_step = (
                    "Only Spin 4 itself can compose these: remove them, or deploy with `spin registry push` "
                    "and `spin kube scaffold`."
                )
                self.problems.add((*table.path, key), message, next_step)
        component = table.data.get("component")
        if component is None:
            if kind != "http" or "static_response" not in settings:
                message = '"component" is missing, so the trigger would call nothing'
                self.problems.add(table.path, message, 'Add component = "<id>".')
        elif isinstance(component, dict):
            inline = self.inline_id(trigger_id, components)
            self.component_paths[inline] = (*table.path, "component")
            components[inline] = self.component(inline, table.table("component"))
            component = inline
        elif not isinstance(component, str):
            self.problems.add(
                (*table.path, "component"),
                f"must be a component id or a table, but is {type_name(component)}",
                'Write component = "<id>".',
            )
        elif component not in components:
            self.identifier(component, (*table.path, "component"), "-", "component id")
        return Trigger(
            id=trigger_id, type=kind, component=component if isinstance(component, str) else "", settings=settings
        )

    def inline_id(self, trigger_id: str, components: dict[str, Component]) -> str:
        """Name an inline component as normalize_inline_components does."""
        natural = f"{trigger_id}-component"
        if identifier_error(natural, "-") is None and natural not in components:
            return natural
        return next(
            name for name in (f"inline-component{number}" for number in self.inline_numbers) if name not in components
        )
