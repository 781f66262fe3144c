# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role function_registry: what the pod is given, how nodes come to trust it, what it refuses."""

from __future__ import annotations

import base64
import json
import re
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.config import registry_trust
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_access

from tests.reference_data import DataMissingError, chart_file

from .checked_tasks import problem
from .role_rendering import PROJECT, RenderedRole

SERVERS = ("192.0.2.11", "192.0.2.12", "192.0.2.13")
PLAN: dict[str, t.Any] = {
    "cluster": {"api_host": "server-1", "state": "running"},
    "hosts": {
        **{f"server-{number}": {"role": "server", "address": address} for number, address in enumerate(SERVERS, 1)},
        "worker-1": {"role": "agent", "address": "192.0.2.21"},
    },
}
BUCKET = {"bucket": "functions", "region": "eu-central-1"}
# Of zot v2.1.18, pkg/api/config/config.go (case does not count there) and examples/: with an unknown key zot does not
# start.
ZOT_KEYS = {
    "": {"distSpecVersion", "storage", "http", "log"},
    "storage": {
        "rootDirectory",
        "commit",
        "dedupe",
        "remoteCache",
        "gc",
        "gcDelay",
        "gcInterval",
        "retention",
        "storageDriver",
    },
    "storage.retention": {"delay", "policies"},
    "storage.retention.policies": {"repositories", "deleteReferrers", "deleteUntagged", "keepTags"},
    "storage.retention.policies.keepTags": {"patterns", "mostRecentlyPushedCount", "pulledWithin", "pushedWithin"},
    "storage.storageDriver": {
        "name",
        "bucket",
        "region",
        "rootdirectory",
        "secure",
        "skipverify",
        "regionendpoint",
        "forcepathstyle",
    },
    "http": {"address", "port", "realm", "readTimeout", "writeTimeout", "tls", "auth", "accessControl"},
    "http.tls": {"cert", "key"},
    "http.auth": {"htpasswd", "failDelay"},
    "http.auth.htpasswd": {"path"},
    "http.accessControl": {"repositories"},
    "http.accessControl.repositories": {"**", "functions/user1/*"},
    "http.accessControl.repositories.functions/user1/*": {"policies", "defaultPolicy"},
    "http.accessControl.repositories.functions/user1/*.policies": {"users", "actions"},
    "http.accessControl.repositories.**": {"policies", "defaultPolicy"},
    "http.accessControl.repositories.**.policies": {"users", "actions"},
    "log": {"level"},
}


@pytest.fixture
def access(tmp_path: Path) -> registry_access.Access:
    """As the module leaves it in function_registry_directory."""
    wanted = registry_access.DesiredAccess("", SERVERS, 30500, "functions", 1825)
    return registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)[1]


def role(directory: Path, **variables: t.Any) -> RenderedRole:
    known = {"k3s_plan": PLAN, "k3s_api_address": "", "inventory_dir": str(directory)}
    return RenderedRole("function_registry", **known | variables)


def values(directory: Path, **variables: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", role(directory, **variables).template("values_zot.yml.j2"))


def configuration(directory: Path, **variables: t.Any) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads(values(directory, **variables)["configFiles"]["config.json"]))


# ---- zot's configuration


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"function_registry_storage": "s3", "function_registry_s3": BUCKET},
        {
            "function_registry_storage": "s3",
            "function_registry_s3": {**BUCKET, "endpoint": "http://store.example.com:9000", "prefix": "p"},
        },
    ],
    ids=["disk", "bucket", "other store"],
)
def test_zot_knows_every_key(tmp_path: Path, variables: dict[str, t.Any]) -> None:
    def walk(value: t.Any, place: str) -> None:
        if isinstance(value, dict):
            assert set(value) <= ZOT_KEYS[place]
            for key, entry in value.items():
                walk(entry, f"{place}.{key}".lstrip("."))
        elif isinstance(value, list):
            for entry in value:
                walk(entry, place)

    wanted = registry_access.DesiredAccess("", SERVERS, 30500, "functions", 1825, tenants=("user1",))
    registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)
    walk(configuration(tmp_path, **variables), "")


def test_nobody_gets_in_without_a_password_and_nodes_only_read(tmp_path: Path) -> None:
    http = configuration(tmp_path)["http"]
    assert http["auth"]["htpasswd"]["path"] == "/etc/zot-server/htpasswd"
    everything = http["accessControl"]["repositories"]["**"]
    assert everything["defaultPolicy"] == []
    assert "anonymousPolicy" not in everything
    rights = {user: policy["actions"] for policy in everything["policies"] for user in policy["users"]}
    assert rights == {"deployer": ["read", "create", "update"], "nodes": ["read"]}


def rights_of(user: str, repository: str, repositories: dict[str, t.Any]) -> list[str]:
    """As zot v2.1.18 finds them: the longest pattern that matches decides alone (pkg/api/authz.go); a star stands for
    what is between two slashes and is not empty."""

    def matches(pattern: str) -> bool:
        return pattern == "**" or re.fullmatch(re.escape(pattern).replace(r"\*", "[^/]+"), repository) is not None

    policies = repositories[max(filter(matches, repositories), key=len)]["policies"]
    return [action for policy in policies if user in policy["users"] for action in policy["actions"]]


def test_a_tenant_s_account_is_for_its_own_repositories(tmp_path: Path) -> None:
    wanted = registry_access.DesiredAccess("", SERVERS, 30500, "functions", 1825, tenants=("a", "a-b"))
    registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)
    http = configuration(tmp_path)["http"]
    repositories = http["accessControl"]["repositories"]
    everything = ["read", "create", "update"]
    assert all(rights["defaultPolicy"] == [] and "anonymousPolicy" not in rights for rights in repositories.values())
    for user, repository, actions in (
        ("tenant-a", "functions/a/shop", everything),
        ("tenant-a", "functions/a-b/shop", []),
        ("tenant-a-b", "functions/a/shop", []),
        ("tenant-a", "functions/a", []),  # a function of this name that operators deployed
        ("tenant-a", "functions/shop", []),
        ("tenant-a", "functions/a/b/shop", []),
        ("tenant-a", "a/shop", []),
        ("deployer", "functions/a/shop", everything),
        ("deployer", "functions/shop", everything),
        ("nodes", "functions/a/shop", ["read"]),
        ("nodes", "functions/shop", ["read"]),
    ):
        assert rights_of(user, repository, repositories) == actions, (user, repository)
    without = configuration(tmp_path, function_registry_path="")["http"]["accessControl"]["repositories"]
    assert rights_of("tenant-a", "a/shop", without) == everything and rights_of("tenant-a", "a-b/shop", without) == []


def test_which_tenants_get_an_account_and_which_lose_it(tmp_path: Path) -> None:
    listed = [{"name": "a"}, {"name": "b", "state": "absent"}, {"name": "c", "state": "present"}]
    found = role(tmp_path, tenants=listed)
    assert found.value("function_registry_tenants") == ["a", "c"]
    assert found.value("function_registry_tenants_removed") == ["b"]
    assert role(tmp_path).value("function_registry_tenants") == []


def test_it_speaks_tls_only(tmp_path: Path) -> None:
    assert configuration(tmp_path)["http"]["tls"] == {
        "cert": "/etc/zot-server/tls.crt",
        "key": "/etc/zot-server/tls.key",
    }
    assert values(tmp_path)["httpGet"]["scheme"] == "HTTPS"


def test_garbage_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    storage = configuration(tmp_path, function_registry_keep_images=7, function_registry_keep_days=10)["storage"]
    assert storage["gc"] is True
    (policy,) = storage["retention"]["policies"]
    assert policy["deleteUntagged"] is True
    signatures, *kept = policy["keepTags"]
    assert signatures == {"patterns": [r"sha256-[0-9a-f]{64}\.sig"]}
    assert kept == [
        {"patterns": [pattern], "mostRecentlyPushedCount": 7, "pulledWithin": "240h", "pushedWithin": "240h"}
        for pattern in ("record-.*", ".*")
    ]


def test_bucket_keeps_tags_as_what_is_known_of_pulls_goes_with_the_pod(tmp_path: Path) -> None:
    storage = configuration(tmp_path, function_registry_storage="s3", function_registry_s3=BUCKET)["storage"]
    assert storage["gc"] is True
    assert "keepTags" not in storage["retention"]["policies"][0]
    # Both at once would need a database beside the bucket (zot, pkg/cli/server/root.go validateCacheConfig).
    assert (storage["dedupe"], storage["remoteCache"]) == (False, False)


def test_other_store_than_amazon_s(tmp_path: Path) -> None:
    own = {**BUCKET, "endpoint": "http://store.example.com:9000", "access_key": "key", "secret_key": "hidden-secret"}
    driver = configuration(tmp_path, function_registry_storage="s3", function_registry_s3=own)["storage"][
        "storageDriver"
    ]
    assert driver["regionendpoint"] == "http://store.example.com:9000"
    assert (driver["forcepathstyle"], driver["secure"]) == (True, False)


# ---- Values of the chart


def test_the_chart_brings_a_user() -> None:
    """Why the next test is."""
    try:
        chart = yaml.safe_load(chart_file("zot", "values.yaml").read_text(encoding="utf-8"))
    except DataMissingError as error:
        pytest.skip(str(error))
    assert chart["secretFiles"]["htpasswd"].startswith("admin:")


def test_users_that_the_chart_brings_are_not_there(tmp_path: Path, access: registry_access.Access) -> None:
    found = values(tmp_path)
    assert found["mountSecret"] is False
    assert found["secretFiles"] == {}
    objects = role(tmp_path).objects()
    users = base64.b64decode(objects[("Secret", "function-registry-server")]["data"]["htpasswd"]).decode()
    assert users == access["htpasswd"]
    assert sorted(line.split(":")[0] for line in users.splitlines()) == ["deployer", "nodes"]


def test_values_hold_no_secret(tmp_path: Path, access: registry_access.Access) -> None:
    own = {**BUCKET, "access_key": "key", "secret_key": "hidden-secret"}
    text = json.dumps(values(tmp_path, function_registry_storage="s3", function_registry_s3=own))
    hidden = [
        *access["users"].values(),
        access["server"]["key"],
        access["authority"]["key"],
        "hidden-secret",
        access["htpasswd"].splitlines()[0],
    ]
    assert [secret for secret in hidden if secret in text or json.dumps(secret)[1:-1] in text] == []


def test_pod_meets_the_namespace_s_level(tmp_path: Path, access: registry_access.Access) -> None:
    namespace = role(tmp_path).objects()[("Namespace", "function-registry")]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    found = values(tmp_path)
    assert found["podSecurityContext"]["runAsNonRoot"] is True
    assert found["podSecurityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["securityContext"]["allowPrivilegeEscalation"] is False
    assert found["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_pod_starts_again_for_other_users_and_for_other_keys_of_the_bucket(
    tmp_path: Path, access: registry_access.Access
) -> None:
    before = values(tmp_path)["podAnnotations"]
    other = {**access, "htpasswd": access["htpasswd"] + "more:$2b$05$x\n"}
    (tmp_path / "function-registry.json").write_text(registry_access.dumps(other), encoding="utf-8")
    assert values(tmp_path)["podAnnotations"] != before
    bucket = {
        "function_registry_storage": "s3",
        "function_registry_s3": {**BUCKET, "access_key": "a", "secret_key": "b"},
    }
    changed = {
        "function_registry_storage": "s3",
        "function_registry_s3": {**BUCKET, "access_key": "a", "secret_key": "c"},
    }
    assert values(tmp_path, **bucket)["podAnnotations"] != values(tmp_path, **changed)["podAnnotations"]


def test_keys_of_the_bucket_come_from_a_secret(tmp_path: Path, access: registry_access.Access) -> None:
    own = {
        "function_registry_storage": "s3",
        "function_registry_s3": {**BUCKET, "access_key": "key", "secret_key": "hidden"},
    }
    data = role(tmp_path, **own).objects()[("Secret", "function-registry-s3")]["data"]
    assert {name: base64.b64decode(value).decode() for name, value in data.items()} == {
        "access_key": "key",
        "secret_key": "hidden",
    }
    assert [entry["name"] for entry in values(tmp_path, **own)["env"]] == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    without = {"function_registry_storage": "s3", "function_registry_s3": BUCKET}
    assert ("Secret", "function-registry-s3") not in role(tmp_path, **without).objects()
    assert "env" not in values(tmp_path, **without)


def test_cluster_keeps_all_that_another_machine_needs(tmp_path: Path, access: registry_access.Access) -> None:
    data = role(tmp_path).objects()[("Secret", "function-registry-access")]["data"]
    stored = base64.b64decode(data["access.json"]).decode()
    assert str(tmp_path) not in stored
    other = tmp_path / "other" / "function-registry.json"
    wanted = registry_access.DesiredAccess("", SERVERS, 30500, "functions", 1825)
    assert registry_access.ensure(other, stored, wanted, check_mode=False)[1]["users"] == access["users"]


def test_check_mode_of_a_new_cluster_renders(tmp_path: Path) -> None:
    assert len(role(tmp_path).objects()) == 3
    assert values(tmp_path)["service"]["nodePort"] == 30500


# ---- Names


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, list(SERVERS)),
        ({"k3s_api_address": "k3s.example.com"}, ["k3s.example.com", *SERVERS]),
        ({"function_registry_host": "registry.example.com"}, ["registry.example.com", *SERVERS]),
    ],
)
def test_names_are_the_wanted_host_the_api_s_address_and_all_servers(
    tmp_path: Path, variables: dict[str, str], names: list[str]
) -> None:
    assert role(tmp_path, **variables).value("__function_registry_names") == names


def test_names_are_known_without_a_plan_too(tmp_path: Path) -> None:
    servers = {
        name: {"k3s_node": {"node": {"default_address": address}}}
        for name, address in zip(("server-1", "server-2"), SERVERS, strict=False)
    }
    known = {
        "k3s_api_address": "",
        "groups": {"k3s_server": [*servers, "server-3"]},
        "hostvars": {**servers, "server-3": {}},
    }
    assert RenderedRole("function_registry", **known).value("__function_registry_names") == ["192.0.2.11", "192.0.2.12"]


# ---- What nodes are given


def registries(directory: Path, **variables: t.Any) -> tuple[str, list[dict[str, t.Any]]]:
    """registries.yaml and all files of the role `registries`."""
    own = {
        "function_registry_trust": str(directory / "function-registry.json"),
        "ansible_managed": "managed",
        "__k3s_host": {"architecture": "amd64"},
    }
    files = RenderedRole("registries", **own | variables).value("__registries_files")
    return next(file["content"] for file in files if file["path"].endswith("registries.yaml")), files


def test_nodes_pull_through_their_own_port_with_a_password_that_only_reads(
    tmp_path: Path, access: registry_access.Access
) -> None:
    text, files = registries(tmp_path)
    content = yaml.safe_load(text)
    assert content["mirrors"] == {
        "192.0.2.11:30500": {"endpoint": ["https://127.0.0.1:30500", "https://192.0.2.11:30500"]}
    }
    authority = "/etc/rancher/k3s/registries.d/function-registry.pem"
    trusted = {"auth": {"username": "nodes", "password": access["users"]["nodes"]}, "tls": {"ca_file": authority}}
    assert content["configs"] == {"127.0.0.1:30500": trusted, "192.0.2.11:30500": trusted}
    assert access["users"]["deployer"] not in text
    (file,) = [file for file in files if file["path"] == authority]
    assert file["content"] == access["authority"]["certificate"]
    assert registry_trust.examine(text).problems == []
    (settings,) = [file for file in files if file["path"].endswith("registries.yaml")]
    assert (settings["mode"], settings["secret"]) == ("0600", True)


def test_another_server_is_no_reason_for_nodes_to_start_again(tmp_path: Path, access: registry_access.Access) -> None:
    before = registries(tmp_path)
    wanted = registry_access.DesiredAccess("", (*SERVERS, "192.0.2.14"), 30500, "functions", 1825)
    assert registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)[0]
    assert registries(tmp_path) == before


def test_images_called_after_an_earlier_host_are_still_found(tmp_path: Path, access: registry_access.Access) -> None:
    wanted = registry_access.DesiredAccess("registry.example.com", SERVERS, 30500, "functions", 1825)
    registry_access.ensure(tmp_path / "function-registry.json", "", wanted, check_mode=False)
    content = yaml.safe_load(registries(tmp_path)[0])
    assert sorted(content["mirrors"]) == ["192.0.2.11:30500", "registry.example.com:30500"]


def test_own_mirrors_and_credentials_stay(tmp_path: Path, access: registry_access.Access) -> None:
    own = {
        "registries_mirrors": {"docker.io": {"endpoint": ["https://mirror.example.com"]}},
        "registries_configs": {"mirror.example.com": {"auth": {"username": "me", "password": "mine"}}},
    }
    content = yaml.safe_load(registries(tmp_path, **own)[0])
    assert content["mirrors"]["docker.io"] == {"endpoint": ["https://mirror.example.com"]}
    assert content["configs"]["mirror.example.com"]["auth"] == {"username": "me", "password": "mine"}
    assert "127.0.0.1:30500" in content["configs"]


def test_nodes_without_the_registry_are_given_nothing_of_it(tmp_path: Path) -> None:
    files = RenderedRole("registries", ansible_managed="managed", __k3s_host={"architecture": "amd64"}).value(
        "__registries_files"
    )
    states = {Path(file["path"]).name: file.get("state") for file in files}
    assert states["function-registry.pem"] == "absent"
    assert states["registries.yaml"] == "absent"


# ---- Refusals, before anything is touched


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"function_registry_host": "https://registry.example.com"},
            "function_registry_host: https://registry.example.com is no host name",
        ),
        (
            {"function_registry_host": "registry.example.com:5000"},
            "is no host name or address. Next: Write it without https://, port and path.",
        ),
        (
            {"function_registry_port": 5000},
            "function_registry_port: is 5000. Next: Give a free port from 30000 to 32767",
        ),
        ({"function_registry_path": "Functions/"}, "function_registry_path: Functions/ is no path"),
        ({"function_registry_storage": "nfs"}, "function_registry_storage: is nfs. Next: Write disk or s3."),
        ({"function_registry_size": "20"}, "function_registry_size: is 20. Next: Write it as 20Gi."),
        ({"function_registry_storage": "s3"}, "must hold bucket and region"),
        (
            {"function_registry_storage": "s3", "function_registry_s3": {**BUCKET, "access_key": "a"}},
            "both keys or neither",
        ),
        (
            {"function_registry_storage": "s3", "function_registry_s3": {**BUCKET, "acess_key": "a"}},
            "nothing but bucket, region, endpoint",
        ),
        (
            {"function_registry_storage": "s3", "function_registry_s3": {**BUCKET, "endpoint": "store:9000"}},
            "an endpoint that is a URL",
        ),
        ({"function_registry_keep_images": 1}, "a rollback needs the one before"),
        ({"function_registry_keep_days": 0}, "function_registry_keep_days: is 0. Next: Give 1 or more"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, variables: dict[str, t.Any], message: str) -> None:
    found = " ".join(role(tmp_path).problems(**variables))
    assert message in found
    assert "Next: " in found
    assert "access_key: a" not in found


def test_good_input_passes(tmp_path: Path) -> None:
    assert role(tmp_path).problems() == []
    assert role(tmp_path).problems(function_registry_storage="s3", function_registry_s3=BUCKET) == []
    assert role(tmp_path).problems(function_registry_host="2001:db8::1") == []


def test_registry_stays_while_functions_come_from_it(tmp_path: Path, access: registry_access.Access) -> None:
    lines = [
        "user1/shop 192.0.2.11:30500/functions/shop@sha256:0",
        "user1/other ghcr.io/functions/other@sha256:0",
        "user1/near 192x0.2.11:30500/functions/near",
    ]
    found = problem(role(tmp_path), "remove.yml", __function_registry_apps={"stdout_lines": lines})
    assert found.startswith(
        "Functions come from this registry and could start on no other node without it: 1, such as user1/shop."
    )
    assert problem(role(tmp_path), "remove.yml", __function_registry_apps={"stdout_lines": lines[1:]}) == ""


def test_registry_stays_also_where_this_machine_does_not_know_it(tmp_path: Path) -> None:
    """function-registry.json is not in git: a second operator has none."""
    lines = [
        "user1/shop registry.example.com:30500/functions/shop@sha256:0",
        "user1/six [2001:db8::1]:30500/functions/six",
        "user1/other ghcr.io/functions/other",
    ]
    assert "without it: 2, such as user1/shop, user1/six." in problem(
        role(tmp_path), "remove.yml", __function_registry_apps={"stdout_lines": lines}
    )
    assert problem(role(tmp_path), "remove.yml", __function_registry_apps={"stdout_lines": lines[2:]}) == ""


def test_why_the_cluster_does_not_tell_its_passwords_is_shown(tmp_path: Path) -> None:
    failed = {"rc": 1, "stderr": "Unable to connect to the server", "stdout": ""}
    found = problem(role(tmp_path, platform_kubectl=["kubectl"]), "access.yml", __function_registry_secret=failed)
    assert "function-registry-access cannot be read: Unable to connect to the server Next: " in found
    assert problem(role(tmp_path), "access.yml", __function_registry_secret={"skipped": True}) == ""


def test_secrets_are_read_without_a_log() -> None:
    tasks = role(PROJECT).tasks("access.yml")
    (read,) = [task for task in tasks if "get" in str(task.get("ansible.builtin.command"))]
    assert read["no_log"] is True


@pytest.mark.parametrize(
    ("given", "login"),
    [
        ({}, {"registry": "192.0.2.1:30500/functions", "registry_username": "deployer", "registry_password": "pw"}),
        (
            {"registry": "192.0.2.1:30500/functions", "registry_username": "other"},
            {"registry": "192.0.2.1:30500/functions", "registry_username": "other", "registry_password": "pw"},
        ),
        ({"registry": "other.example.com/functions"}, {"registry": "other.example.com/functions"}),
        ({"registry": "192.0.2.1:30500/functions-of-others"}, {"registry": "192.0.2.1:30500/functions-of-others"}),
        (
            {"registry": "192.0.2.1:30500/functions/team"},
            {
                "registry": "192.0.2.1:30500/functions/team",
                "registry_username": "deployer",
                "registry_password": "pw",
            },
        ),
        # A tenant with an account has a path of its own.
        (
            {"namespace": "user1"},
            {
                "registry": "192.0.2.1:30500/functions/user1",
                "registry_username": "deployer",
                "registry_password": "pw",
            },
        ),
        (
            {"namespace": "user2"},
            {"registry": "192.0.2.1:30500/functions", "registry_username": "deployer", "registry_password": "pw"},
        ),
    ],
)
def test_deployments_log_in_to_the_own_registry_and_to_no_other(
    tmp_path: Path, given: dict[str, str], login: dict[str, str]
) -> None:
    access: dict[str, t.Any] = {"registry": "192.0.2.1:30500/functions", "username": "deployer", "password": "pw"}
    access["users"] = {"deployer": "pw", "tenant-user1": "another"}
    (tmp_path / "function-registry.json").write_text(json.dumps(access), encoding="utf-8")
    playbook = DataLoader().load_from_file(str(PROJECT / "playbooks/deploy_function.yml"), trusted_as_template=True)
    module = "wasmfaas.platform.spin_function"
    (task,) = [task for task in playbook[0]["tasks"] if module in task]
    own = {**playbook[0]["vars"], "inventory_dir": str(tmp_path), "omit": "omitted", **given}
    templar = Templar(loader=DataLoader(), variables=own)
    arguments = {name: templar.template(task[module][name]) for name in task[module] if name.startswith("registry")}
    assert {name: value for name, value in arguments.items() if value != "omitted"} == login
    without = Templar(loader=DataLoader(), variables={**own, "inventory_dir": str(tmp_path / "none")})
    expected = given.get("registry_username", "omitted")
    assert without.template(task[module]["registry_username"]) == expected
