# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed collection works by itself, and its parts agree with each other."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import tarfile
import typing as t
from pathlib import Path

import jinja2.meta
import pytest
import yaml

if t.TYPE_CHECKING:
    from .conftest import Installed

PROJECT = Path(__file__).resolve().parents[2]
SHIPPED = {"changelogs", "client", "docs", "meta", "playbooks", "plugins", "roles", "service"}
SHIPPED |= {"CHANGELOG.rst", "bindep.txt", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "requirements.txt"}
SHIPPED |= {"requirements-service.lock", "requirements-service.txt"}
PAGES_OF_VARIABLES = ("README.md", "docs/functions.md", "docs/hosted_clients.md")
MODULES = sorted((PROJECT / "plugins/modules").glob("*.py"))
ROLES = sorted(path.parents[1] for path in PROJECT.glob("roles/*/meta/main.yml"))
PLAYBOOKS = sorted((PROJECT / "playbooks").glob("*.yml"))
ENTRY_POINTS = [PROJECT / "deploy-function.yml", PROJECT / "publish-images.yml", PROJECT / "site.yml"]


def test_tarball_holds_what_users_need_and_nothing_else(installed: Installed) -> None:
    with tarfile.open(installed.tarball) as tarball:
        names = tarball.getnames()
    assert {name.split("/")[0] for name in names} <= SHIPPED
    unwanted = re.compile(r"(^|/)(node_modules|__pycache__|\.[a-z_]+_cache|\.venv)(/|$)|\.pyc$")
    assert [name for name in names if unwanted.search(name)] == []


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_playbook_is_found_by_its_full_name(installed: Installed, playbook: Path) -> None:
    result = installed.run("ansible-playbook", f"wasmfaas.platform.{playbook.stem}", "--syntax-check")
    assert result.returncode == 0, result.stdout
    assert "ERROR" not in result.stdout


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda path: path.stem)
def test_entry_point_is_the_playbook_of_its_name(entry_point: Path) -> None:
    if entry_point.is_symlink():
        imported = entry_point.resolve()
        assert imported.parent == PROJECT / "playbooks" and imported.stem == entry_point.stem.replace("-", "_")
        return
    (play,) = yaml.safe_load(entry_point.read_text(encoding="utf-8"))
    imported = PROJECT / play["ansible.builtin.import_playbook"]
    assert imported in PLAYBOOKS
    assert imported.stem == entry_point.stem.replace("-", "_")


def _of_a_cluster(playbook: Path) -> bool:
    return playbook.stem != "require_hosts" and "k3s_server" in playbook.read_text(encoding="utf-8")


@pytest.mark.parametrize("playbook", [path for path in PLAYBOOKS if _of_a_cluster(path)], ids=lambda path: path.stem)
def test_a_playbook_for_a_cluster_first_wants_one(playbook: Path) -> None:
    first, *_others = yaml.safe_load(playbook.read_text(encoding="utf-8"))
    assert first["ansible.builtin.import_playbook"] == "require_hosts.yml"


def test_without_a_cluster_in_the_inventory_a_playbook_fails(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    result = installed.run("ansible-playbook", "wasmfaas.platform.backup", "-i", str(tmp_path / "hosts.yml"))
    assert result.returncode == 2, result.stdout
    assert "The inventory has no hosts in the group k3s_server. Next: " in " ".join(result.stdout.split())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_documentation_is_shown(installed: Installed, module: Path) -> None:
    result = installed.run("ansible-doc", f"wasmfaas.platform.{module.stem}")
    assert result.returncode == 0, result.stdout
    assert f"> MODULE wasmfaas.platform.{module.stem} " in result.stdout


def test_installed_playbook_runs_in_check_mode(installed: Installed, project: Path, tmp_path: Path) -> None:
    result = installed.run(
        "ansible-playbook",
        "wasmfaas.platform.deploy_function",
        "--check",
        "-e",
        f"src={project}/examples/functions/hello-python",
        "-e",
        "target=local",
        "-e",
        f"state_directory={tmp_path}/state",
        "-e",
        f"cache_directory={tmp_path}/cache",
        "-e",
        f"local_runtime_cache_directory={tmp_path}/runtime",
    )
    assert result.returncode == 0, result.stdout
    assert re.search(r"localhost +: ok=\d+ +changed=[1-9]\d* +unreachable=0 +failed=0", result.stdout), result.stdout
    assert "would be deployed" in result.stdout
    assert list(tmp_path.iterdir()) == [], "check mode wrote files"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_module_uses_the_shared_documentation(module: Path) -> None:
    fragments = _documentation(module)["extends_documentation_fragment"]
    assert "wasmfaas.platform.attributes" in fragments
    # What takes the cluster's credentials is in the group, so that module_defaults can give them once.
    assert ("wasmfaas.platform.kubernetes_auth" in fragments) == (module.stem in _action_group())
    assert ("wasmfaas.platform.attributes.action_group" in fragments) == (module.stem in _action_group())


def test_no_option_of_the_modules_for_k3s_is_described_twice() -> None:
    """What several modules share stands in a documentation fragment."""
    described = [
        str(option["description"])
        for module in MODULES
        if module.stem.startswith("k3s_")
        for option in (_documentation(module).get("options") or {}).values()
    ]
    assert [text for text in set(described) if described.count(text) > 1] == []


def test_action_group_names_modules_only() -> None:
    assert set(_action_group()) <= {module.stem for module in MODULES}


def test_deploy_playbook_passes_every_option_of_its_module(installed: Installed) -> None:
    module = "wasmfaas.platform.spin_function"
    shown = installed.run("ansible-doc", "--json", module)
    options = set(json.loads(shown.stdout)[module]["doc"]["options"])
    # The playbook takes a kubeconfig and its context; the other ways to reach a cluster come by the environment
    # (K8S_AUTH_*), as `host`, `username` or `password` would be dangerous names for a variable of a whole play.
    other_credentials = set(_kubernetes_auth_options()) - {"kubeconfig", "context"}
    assert set(_task_arguments("deploy_function", module)) == options - other_credentials


def test_playbooks_and_roles_pass_only_options_that_modules_have(installed: Installed) -> None:
    names = [f"wasmfaas.platform.{module.stem}" for module in MODULES]
    documentation = json.loads(installed.run("ansible-doc", "--json", *names).stdout)
    options = {name: set(entry["doc"].get("options") or {}) for name, entry in documentation.items()}
    files = [*PLAYBOOKS, *PROJECT.glob("playbooks/tasks/*.yml"), *PROJECT.glob("roles/*/tasks/*.yml")]
    tasks = [(file, task) for file in files for task in _tasks(yaml.safe_load(file.read_text(encoding="utf-8")))]
    calls = [(file, key, task[key] or {}) for file, task in tasks for key in task if key in options]
    assert len(calls) > len(MODULES)
    assert [
        (file.name, key, unknown) for file, key, arguments in calls if (unknown := set(arguments) - options[key])
    ] == []


def _tasks(entries: t.Any) -> t.Iterator[dict[str, t.Any]]:
    """All tasks in plays, blocks and lists of tasks."""
    for entry in entries or []:
        yield entry
        for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from _tasks(entry.get(key))


def test_every_variable_of_the_deploy_playbook_is_explained() -> None:
    page = "".join((PROJECT / name).read_text(encoding="utf-8") for name in PAGES_OF_VARIABLES)
    arguments = [
        str(argument) for argument in _task_arguments("deploy_function", "wasmfaas.platform.spin_function").values()
    ]
    variables = set().union(
        *(
            jinja2.meta.find_undeclared_variables(jinja2.Environment(autoescape=True).parse(argument))
            for argument in arguments
        )
    )
    variables |= set(re.findall(r"lookup\('ansible.builtin.vars', '(\w+)'", "".join(arguments)))
    variables -= {"lookup", "omit", "local_runtime_directory"}  # the last is set by the role
    variables = {name for name in variables if not name.startswith("__")}  # without those of the play itself
    assert {"src", "name", "namespace", "registry", "variables"} <= variables
    assert sorted(name for name in variables if not re.search(rf"`{name}[`:]", page)) == []


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_role_defaults_are_those_of_its_argument_specification(role: Path) -> None:
    """Ansible takes a default in the specification for documentation only: both places must say the same."""
    specifications = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    documented = {
        name: option for entry in specifications.values() for name, option in entry.get("options", {}).items()
    }
    defaults_file = role / "defaults/main.yml"
    defaults = yaml.safe_load(defaults_file.read_text(encoding="utf-8")) or {} if defaults_file.exists() else {}
    assert sorted(documented) == sorted(defaults)
    # What is made from other variables has no default that a page could show.
    fixed = {name: value for name, value in defaults.items() if "{{" not in str(value)}
    assert {name: option["default"] for name, option in documented.items() if "default" in option} == fixed
    assert all(name.startswith(f"{role.name}_") for name in documented)


def test_generated_pages_are_current() -> None:
    written = {path.name: path.read_text(encoding="utf-8") for path in (PROJECT / "docs/modules").glob("*.md")}
    assert written == _script("module_docs").pages(), "run `make docs`"


def test_changelog_is_current() -> None:
    assert (PROJECT / "CHANGELOG.rst").read_text(encoding="utf-8") == _script("changelog").page(), "run `make docs`"


def test_lock_files_agree() -> None:
    tested = _pins("requirements-test.lock")
    for name in ("requirements.lock", "tests/unit/requirements.txt"):
        pins = _pins(name)
        assert len(pins) > 5
        assert {
            package: versions for package, versions in pins.items() if not versions <= tested.get(package, set())
        } == {}, name


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_lock_file_names_no_host(name: str) -> None:
    assert (
        re.findall(
            r"https?://\S+|--(?:extra-)?index-url.*",
            (PROJECT / name).read_text(encoding="utf-8").replace("--no-emit-index-url", ""),
        )
        == []
    )


def _documentation(module: Path) -> dict[str, t.Any]:
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "DOCUMENTATION"
        ):
            documentation: dict[str, t.Any] = yaml.safe_load(ast.literal_eval(node.value))
            return documentation
    raise AssertionError(f"{module} has no DOCUMENTATION")


def _action_group() -> list[str]:
    runtime = yaml.safe_load((PROJECT / "meta/runtime.yml").read_text(encoding="utf-8"))
    return [str(name) for name in runtime["action_groups"]["functions"]]


def _kubernetes_auth_options() -> dict[str, t.Any]:
    from ansible_collections.wasmfaas.platform.plugins.doc_fragments.kubernetes_auth import ModuleDocFragment

    options: dict[str, t.Any] = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    return options


def _task_arguments(playbook: str, module: str) -> dict[str, t.Any]:
    (play,) = yaml.safe_load((PROJECT / f"playbooks/{playbook}.yml").read_text(encoding="utf-8"))
    (arguments,) = [task[module] for task in play["tasks"] if module in task]
    return dict(arguments)


def _script(name: str) -> t.Any:
    specification = importlib.util.spec_from_file_location(name, PROJECT / f"scripts/{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _pins(name: str) -> dict[str, set[str]]:
    """Pinned versions by package; there may be one for each Python."""
    pins: dict[str, set[str]] = {}
    for package, version in re.findall(
        r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;]+)", (PROJECT / name).read_text(encoding="utf-8"), re.MULTILINE
    ):
        pins.setdefault(package, set()).add(version)
    return pins
