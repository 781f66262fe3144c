# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/modules: one Markdown page per module, plugin and role, from what `ansible-doc --json` says of them.

antsibull-docs' own pages are for Sphinx; in its other format it puts HTML into reStructuredText, which git hosts do not
show. Its parser of Ansible's markup is used.
"""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

import yaml
from antsibull_docs_parser import dom
from antsibull_docs_parser.parser import Context, parse

PROJECT = Path(__file__).resolve().parent.parent
PAGES = PROJECT / "docs/modules"
COLLECTION = "wasmfaas.platform"
KINDS = ("module", "filter", "lookup", "inventory", "callback", "role")
NOTE = "<!-- Made by `make docs` from the documentation in the code; changes belong there. -->"

Options = dict[str, dict[str, t.Any]]


def main() -> None:
    """Write the pages, remove those of what is gone."""
    PAGES.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in PAGES.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (PAGES / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The pages by file name."""
    found: dict[str, str] = {}
    rows = ["# Modules, filters and roles", "", NOTE, "", "| name | kind | what it does |", "|---|---|---|"]
    for kind in KINDS:
        for full_name, entry in sorted(_documentation(kind).items()):
            name = full_name.removeprefix(f"{COLLECTION}.")
            page, summary = _role_page(full_name, entry) if kind == "role" else _plugin_page(full_name, kind, entry)
            found[f"{name}_{kind}.md"] = page
            rows.append(f"| [{name}]({name}_{kind}.md) | {kind} | {summary} |")
    return {"README.md": "\n".join([*rows, ""]), **found}


def _documentation(kind: str) -> dict[str, t.Any]:
    program = str(Path(sys.executable).parent / "ansible-doc")
    listed = subprocess.run(
        [program, "--json", "--list", "--type", kind, COLLECTION],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = [name for name in json.loads(listed.stdout) if name.startswith(f"{COLLECTION}.")]
    if not names:
        return {}
    shown = subprocess.run(
        [program, "--json", "--type", kind, *names], cwd=PROJECT, check=True, capture_output=True, text=True
    )
    documentation: dict[str, t.Any] = json.loads(shown.stdout)
    return documentation


def _plugin_page(full_name: str, kind: str, entry: dict[str, t.Any]) -> tuple[str, str]:
    doc = entry["doc"]
    lines = [
        f"# {full_name} ({kind})",
        "",
        NOTE,
        "",
        f"{_text(doc['short_description'])}.",
        "",
        *_bullets(doc["description"]),
    ]
    if doc.get("requirements"):
        lines += ["", "## Requirements", "", *_bullets(doc["requirements"])]
    lines += _options(doc.get("options", {}))
    if doc.get("attributes"):
        lines += ["", "## Attributes", "", "| attribute | support | |", "|---|---|---|"]
        for name, attribute in sorted(doc["attributes"].items()):
            details = _cell([*_list(attribute["description"]), *_list(attribute.get("details"))])
            lines.append(f"| {name} | {attribute['support']} | {details} |")
    if entry.get("examples"):
        lines += ["", "## Examples", "", "```yaml", entry["examples"].strip(), "```"]
    if entry.get("return"):
        lines += [
            "",
            "## Return values",
            "",
            "| name | type | returned | |",
            "|---|---|---|---|",
            *_return_rows(entry["return"]),
        ]
    return "\n".join([*lines, ""]), _text(doc["short_description"])


def _role_page(full_name: str, entry: dict[str, t.Any]) -> tuple[str, str]:
    lines = [f"# {full_name} (role)", "", NOTE]
    entry_points = entry["entry_points"]
    for name, point in sorted(entry_points.items(), key=lambda item: (item[0] != "main", item[0])):
        if name != "main":
            lines += ["", f"# Entry point {name}"]
        lines += [
            "",
            f"{_text(point['short_description'])}.",
            "",
            *_bullets(point.get("description", [])),
            *_options(point.get("options", {})),
        ]
    first = entry_points.get("main") or next(iter(entry_points.values()))
    return "\n".join([*lines, ""]), _text(first["short_description"])


def _options(options: Options) -> list[str]:
    return (
        ["", "## Options", "", "| option | type | default | |", "|---|---|---|---|", *_option_rows(options)]
        if options
        else []
    )


def _option_rows(options: Options, prefix: str = "") -> t.Iterator[str]:
    for name, option in sorted(options.items(), key=lambda item: (not item[1].get("required", False), item[0])):
        kind = f"list of {option['elements']}" if option.get("elements") else option.get("type", "str")
        default = (
            "**required**"
            if option.get("required")
            else f"`{_value(option['default'])}`"
            if option.get("default") not in (None, "")
            else ""
        )
        text = _list(option["description"])
        if option.get("choices"):
            text = [*text, f"One of {', '.join(f'C({choice})' for choice in option['choices'])}."]
        if option.get("aliases"):
            text = [*text, f"Also called {', '.join(f'C({alias})' for alias in option['aliases'])}."]
        yield f"| `{prefix}{name}` | {kind} | {default} | {_cell(text)} |"
        yield from _option_rows(option.get("suboptions") or option.get("options") or {}, f"{prefix}{name}.")


def _return_rows(values: Options, prefix: str = "") -> t.Iterator[str]:
    for name, value in values.items():
        kind = f"list of {value['elements']}" if value.get("elements") else value["type"]
        sample = (
            f"<br>Such as `{_value(value['sample'])}`." if isinstance(value.get("sample"), (str, int, float)) else ""
        )
        yield (
            f"| `{prefix}{name}` | {kind} | {value.get('returned', '')} | "
            f"{_cell(_list(value['description']))}{sample} |"
        )
        yield from _return_rows(
            value.get("contains") or {}, f"{prefix}{name}{'[]' if value['type'] == 'list' else ''}."
        )


def _value(value: t.Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
        if not isinstance(value, str)
        else value
    )


def _bullets(texts: str | list[str]) -> list[str]:
    return [f"- {_text(text)}" for text in _list(texts)]


def _cell(texts: list[str]) -> str:
    return "<br>".join(_text(text) for text in texts).replace("|", "\\|")


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _text(text: str) -> str:
    """Ansible's markup as Markdown: names and values as code."""
    return " ".join("".join(_part(part) for part in paragraph) for paragraph in parse([text], Context()))


def _part(part: dom.AnyPart) -> str:
    if isinstance(part, dom.TextPart):
        return part.text
    if isinstance(part, dom.BoldPart):
        return f"**{part.text}**"
    if isinstance(part, dom.ItalicPart):
        return f"*{part.text}*"
    if isinstance(part, (dom.OptionNamePart, dom.ReturnValuePart)):
        return f"`{part.name}={part.value}`" if part.value is not None else f"`{part.name}`"
    if isinstance(part, dom.OptionValuePart):
        return f"`{part.value}`"
    if isinstance(part, dom.EnvVariablePart):
        return f"`{part.name}`"
    if isinstance(part, dom.CodePart):
        return f"`{part.text}`"
    if isinstance(part, dom.ModulePart):
        return f"`{part.fqcn}`"
    if isinstance(part, dom.PluginPart):
        return f"`{part.plugin.fqcn}`"
    if isinstance(part, dom.LinkPart):
        return f"[{part.text}]({part.url})"
    raise NotImplementedError(f"no Markdown for {part!r}: add it to scripts/module_docs.py")


if __name__ == "__main__":
    main()
