# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command that a message or a page names can be run: its playbook, inventory, variables, make target, module and
script exist."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import functools
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
COLLECTION = "wasmfaas.platform."
OF_THE_USER = {"inventories/production", "inventories/INVENTORY", "inventories/aws_offline/hosts.yml"}
"""Inventories that pages name as the user's own, or that a script writes."""

OTHERS_MODULES = {"http.server", "pip", "pytest", "venv"}
"""What `python -m` starts in pages, and is not of this repository."""

OTHERS_VARIABLES = {"ansible_user", "ansible_become_password"}
"""Ansible's own variables."""


@dataclasses.dataclass(frozen=True)
class Command:
    """One command as a reader sees it, on one line. `source` says where: a file and, for a message, its line."""

    source: str
    text: str


@dataclasses.dataclass(frozen=True)
class Playbook:
    """A call of ansible-playbook: the playbook's name, its inventory ('' for none), and names of extra variables."""

    name: str
    inventory: str
    variables: tuple[str, ...]


def test_playbooks_and_their_inventories_exist() -> None:
    found = [(command, _playbook(command.text)) for command in _commands(r"ansible-playbook(?= [\w./-]*(?:\.|\w_)\w)")]
    assert len(found) > 150
    wrong = [
        f"{command.source}: {command.text}"
        for command, call in found
        if call is None or call.name not in _playbooks() or not _inventory_exists(call.inventory)
    ]
    assert wrong == []


def test_extra_variables_are_known_to_their_playbook() -> None:
    calls = [(command, _playbook(command.text)) for command in _commands(rf"ansible-playbook(?= {COLLECTION}|.*\.yml)")]
    named = [(command, call, name) for command, call in calls if call is not None for name in call.variables]
    assert len(named) > 80
    assert [
        f"{command.source}: {name}: {command.text}"
        for command, call, name in named
        if name not in OTHERS_VARIABLES and not re.search(rf"\b{name}\b", _text_of_playbook(call.name))
    ] == []


def test_names_of_the_collection_exist() -> None:
    """Whatever is written as wasmfaas.platform.NAME is a playbook, a role or a plugin."""
    plugins = {
        path.stem
        for kind in ("modules", "action", "filter", "lookup", "inventory", "doc_fragments", "callback")
        for path in (PROJECT / "plugins" / kind).glob("*.*")
    }
    # Action group
    known = plugins | _playbooks() | {path.name for path in (PROJECT / "roles").iterdir()} | {"functions"}
    known |= {f"{COLLECTION}{name}" for name in known}
    told = [
        (source, found[0])
        for source, text in _texts()
        for found in re.finditer(rf"(?<![\w./]){re.escape(COLLECTION)}[a-z]\w*[a-z0-9]\b", text)
    ]
    assert len(told) > 300
    assert sorted({(source, name) for source, name in told if name not in known}) == []


def test_make_targets_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    told = [
        (source, found[1])
        for source, text in _texts()
        for found in re.finditer(r"(?:^|`)make ([a-z][a-z-]*)(?=[ `\n]|$)", text, re.MULTILINE)
        if source.endswith(".md") or found[0].startswith("`")
    ]
    assert len(told) > 30
    assert sorted({(source, target) for source, target in told if target not in targets}) == []


def test_python_modules_and_scripts_exist() -> None:
    told = [
        (source, found)
        for source, text in _texts()
        for found in re.finditer(r"\bpython3? (?:-m (?P<module>[\w.]*\w)|(?P<script>[\w./]+/\w+\.py))", text)
    ]
    assert len(told) > 10
    assert sorted({(source, found[0]) for source, found in told if not _python_exists(found)}) == []


def test_ansible_is_told_modules_by_their_full_names() -> None:
    modules = {f"{COLLECTION}{path.stem}" for path in (PROJECT / "plugins/modules").glob("*.py")}
    told = [
        (source, found[1])
        for source, text in _texts()
        for found in re.finditer(r"\bansible [\w:-]+ [^\n`]*?-m ([\w.]+)", text)
    ]
    assert [(source, name) for source, name in told if name not in modules and not name.startswith("ansible.")] == []


def test_terraform_is_started_where_it_is() -> None:
    told = [(source, found[1]) for source, text in _texts() for found in re.finditer(r"-chdir=([a-z][\w./-]*)", text)]
    assert told
    assert [
        (source, directory) for source, directory in told if not (PROJECT / directory / "versions.tf").is_file()
    ] == []


def test_nothing_cites_a_file_outside_of_the_repository() -> None:
    """A rule of another project is cited by that project's file and version, so sections are of a standard only."""
    cited = re.compile(r"(?<!\w)facts/|(?<!RFC )(?<!\d )§|(?<![\w/])(?:\.\./)*shared/(?!inventory|tasks)|/work/\w")
    own = ("molecule/", ".config/molecule/", "tests/reference_data.py", "tests/packaging/test_commands.py")
    files = [name for name in _tracked() if not name.startswith(own)]
    assert [
        f"{name}:{number}: {line.strip()}"
        for name in files
        for number, line in enumerate(_read(PROJECT / name).splitlines(), 1)
        if cited.search(line)
    ] == []


def test_links_between_pages_lead_somewhere() -> None:
    """Files exist, and so do the headings that a link names."""
    links = [
        (name, found[1])
        for name in _tracked()
        if name.endswith(".md")
        for found in re.finditer(r"\]\(([^)\s]+)\)", _read(PROJECT / name))
        if "://" not in found[1]
    ]
    assert len(links) > 100
    assert [(name, link) for name, link in links if not _leads_somewhere(PROJECT / name, link)] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ansible-playbook site.yml -i inventories/static -e prune=true",
            Playbook("site.yml", "inventories/static", ("prune",)),
        ),
        (
            "ansible-playbook wasmfaas.platform.platform -e '{\"platform_only\": [keda]}' ends",
            Playbook("wasmfaas.platform.platform", "", ("platform_only",)),
        ),
        (
            "ansible-playbook wasmfaas.platform.backup; then -e other=1",
            Playbook("wasmfaas.platform.backup", "", ()),
        ),
        (
            "ansible-playbook wasmfaas.platform.tenant [-e tenant=…] [-i inventories/aws]",
            Playbook("wasmfaas.platform.tenant", "inventories/aws", ("tenant",)),
        ),
    ],
)
def test_a_command_is_taken_apart(text: str, expected: Playbook) -> None:
    assert _playbook(text) == expected


# ---- Where commands stand


@functools.cache
def _texts() -> tuple[tuple[str, str], ...]:
    """Each page, and each text in code that a user may see, with its source."""
    pages = [PROJECT / name for name in _tracked() if name.endswith(".md")]
    told = [PROJECT / name for name in _tracked() if name.startswith(("roles/", "playbooks/")) and _is_text(name)]
    code = [PROJECT / name for name in _tracked() if name.startswith(("plugins/", "scripts/")) and name.endswith(".py")]
    texts = [(str(path.relative_to(PROJECT)), _page(path)) for path in pages]
    texts += [(str(path.relative_to(PROJECT)), _folded(path)) for path in told]
    texts += [each for path in code for each in _messages(path)]
    return tuple(texts)


def _is_text(name: str) -> bool:
    return name.endswith((".yml", ".j2")) and "/files/" not in name


def _page(path: Path) -> str:
    """A page with each command on one line: of code as it is, of prose with its line breaks as spaces."""
    parts = re.split(r"(^```.*?^```|^ {4}.*?$)", _read(path), flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"(?<!\n)\n(?![\n|#*-])", " ", prose) for prose in parts[::2]]
    return re.sub(r" \\\n\s*", " ", "".join(parts))


def _folded(path: Path) -> str:
    """YAML with continued lines of a sentence or a comment on one line."""
    return re.sub(r"\n\s*(?:#\s*)?(?![\s#-]|\w+:)", " ", _read(path))


def _messages(path: Path) -> collections.abc.Iterator[tuple[str, str]]:
    """Texts in code, with X in the place of what a run puts in."""
    for node in ast.walk(ast.parse(_read(path))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield f"{path.relative_to(PROJECT)}:{node.lineno}", node.value
        elif isinstance(node, ast.JoinedStr):
            values = [value.value if isinstance(value, ast.Constant) else "X" for value in node.values]
            yield f"{path.relative_to(PROJECT)}:{node.lineno}", "".join(str(value) for value in values)


def _commands(beginning: str) -> list[Command]:
    return [
        Command(source, text[found.start() : found.start() + 400].splitlines()[0])
        for source, text in _texts()
        for found in re.finditer(beginning, text)
    ]


# ---- What a command names


def _playbook(text: str) -> Playbook | None:
    """A call of ansible-playbook at the beginning of a text; the rest of the sentence is left alone."""
    begun = re.match(r"ansible-playbook ([\w./-]*\w)", text)
    if begun is None:
        return None
    rest, inventory, variables = text[begun.end() :], "", []
    option = re.compile(r"\s*\[?(-[ei]|--limit|--check|--diff|--forks|-v+)\b(?: +('[^']*'|\"[^\"]*\"|[^\s`\]]+))?\]?")
    while found := option.match(rest):
        value = (found[2] or "").strip("'\"")
        if found[1] == "-i":
            inventory = value
        elif found[1] == "-e":
            variables += _names_of(value)
        rest = rest[found.end() :]
    return Playbook(begun[1], inventory.rstrip(",.;:)"), tuple(variables))


def _names_of(extra_variables: str) -> list[str]:
    """The names of the variables in one `-e`: of the outermost object where it is JSON, shortened by … or not."""
    if not extra_variables.startswith("{"):
        return re.findall(r"^(\w+)=", extra_variables)
    inner = re.sub(r"^\{|\}$", "", extra_variables)
    while (flat := re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]", "", inner)) != inner:
        inner = flat
    return re.findall(r'"(\w+)":', inner)


@functools.cache
def _playbooks() -> set[str]:
    """What may follow `ansible-playbook`; NAME stands for any of them in pages."""
    shipped = {f"{COLLECTION}{path.stem}" for path in (PROJECT / "playbooks").glob("*.yml")}
    return shipped | {"site.yml", "deploy-function.yml", "publish-images.yml", f"{COLLECTION}NAME"}


def _inventory_exists(named: str) -> bool:
    return not named.startswith("inventories/") or named in OF_THE_USER or (PROJECT / named).exists()


@functools.cache
def _text_of_playbook(name: str) -> str:
    """All that a playbook runs: its own file, those that it imports, its tasks, and the roles of the collection."""
    stem = name.removeprefix(COLLECTION).removesuffix(".yml").replace("-", "_")
    text, seen, left = "", set(), [stem]
    while left:
        current = left.pop()
        if current in seen:
            continue
        seen.add(current)
        own = _read(PROJECT / f"playbooks/{current}.yml")
        text += own
        left += re.findall(r"import_playbook: (\w+)\.yml", own)
    shared = [*PROJECT.glob("playbooks/tasks/*.yml"), *PROJECT.glob("roles/*/defaults/main.yml")]
    return text + "".join(_read(path) for path in shared)


def _leads_somewhere(page: Path, link: str) -> bool:
    file, _separator, heading = link.partition("#")
    target = page.parent / file if file else page
    return target.exists() and (not heading or heading in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings: lower case, words joined by hyphens, without punctuation."""
    headings = re.findall(r"^#+ (.*)$", _read(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _python_exists(found: re.Match[str]) -> bool:
    if found["script"] is not None:
        return (PROJECT / found["script"]).is_file() or "node_modules" in found["script"]
    if found["module"] in OTHERS_MODULES:
        return True
    path = PROJECT / found["module"].removeprefix(f"ansible_collections.{COLLECTION}").replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


@functools.cache
def _tracked() -> tuple[str, ...]:
    """Files of the repository that hold text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split("\0") if name and not name.endswith((".lock", ".sum", ".wasm", ".png"))]
    return tuple(name for name in names if (PROJECT / name).is_file())


@functools.cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
