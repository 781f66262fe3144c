# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates and passwords of the cluster's registry: made once, kept, and made anew only where they must be."""

from __future__ import annotations

import dataclasses
import datetime
import json
import socket
import ssl
import threading
import typing as t
from pathlib import Path

import bcrypt
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_access
from ansible_collections.wasmfaas.platform.plugins.modules import registry_access as module
from cryptography import x509

WANTED = registry_access.DesiredAccess("", ("192.0.2.11", "192.0.2.12", "192.0.2.13"), 30500, "functions", 1825)
NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "function-registry.json"


def ensure(
    path: Path, wanted: registry_access.DesiredAccess = WANTED, stored: str = "", *, check_mode: bool = False
) -> tuple[bool, registry_access.Access]:
    return registry_access.ensure(path, stored, wanted, check_mode=check_mode)


def in_cluster(access: registry_access.Access) -> str:
    """As the role puts it into the Secret."""
    return json.dumps({key: value for key, value in access.items() if key != "ca_file"})


def certificate(access: registry_access.Access) -> x509.Certificate:
    return x509.load_pem_x509_certificate(access["server"]["certificate"].encode())


def names(access: registry_access.Access) -> set[str]:
    held = certificate(access).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in held}


def test_first_run_makes_all_of_it(path: Path) -> None:
    changed, access = ensure(path)
    assert changed
    assert json.loads(path.read_text(encoding="utf-8")) == access
    assert path.stat().st_mode & 0o777 == 0o600
    assert access["registry"] == "192.0.2.11:30500/functions"
    authority = path.with_name("function-registry-ca.pem")
    assert access["ca_file"] == str(authority)
    assert authority.read_text(encoding="utf-8") == access["authority"]["certificate"]
    assert "PRIVATE" not in authority.read_text(encoding="utf-8")
    assert names(access) == {"127.0.0.1", "192.0.2.11", "192.0.2.12", "192.0.2.13"}
    assert access["users"]["deployer"] != access["users"]["nodes"]
    assert min(len(password) for password in access["users"].values()) >= 43  # 256 bits


def test_password_file_fits_the_passwords_and_holds_none(path: Path) -> None:
    access = ensure(path)[1]
    lines = dict(line.split(":", 1) for line in access["htpasswd"].splitlines())
    assert sorted(lines) == ["deployer", "nodes"]
    for user, hashed in lines.items():
        assert bcrypt.checkpw(access["users"][user].encode(), hashed.encode())
        assert access["users"][user] not in access["htpasswd"]


def test_each_tenant_has_an_account_until_it_is_removed(path: Path) -> None:
    first = ensure(path, dataclasses.replace(WANTED, tenants=("user1", "deployer")))[1]
    assert sorted(first["users"]) == ["deployer", "nodes", "tenant-deployer", "tenant-user1"]
    assert len(set(first["users"].values())) == 4
    # A run that knows only one of them, and one on another machine.
    assert ensure(path, dataclasses.replace(WANTED, tenants=("user1",))) == (False, first)
    other = path.with_name("other") / "function-registry.json"
    assert ensure(other, WANTED, in_cluster(first))[1]["users"] == first["users"]
    removed = ensure(path, dataclasses.replace(WANTED, removed=("deployer",)))[1]
    assert sorted(removed["users"]) == ["deployer", "nodes", "tenant-user1"]
    assert "tenant-deployer" not in removed["htpasswd"]
    assert removed["users"]["deployer"] == first["users"]["deployer"]


def test_the_password_of_one_tenant_is_replaced(path: Path) -> None:
    tenants = ("user1", "user2", "nodes")
    first = ensure(path, dataclasses.replace(WANTED, tenants=tenants))[1]
    changed, second = ensure(path, dataclasses.replace(WANTED, new_passwords=("user1", "nodes", "deployer")))
    assert changed
    same = [name for name, password in second["users"].items() if password == first["users"][name]]
    assert same == ["deployer", "nodes", "tenant-user2"]
    before, after = (dict(line.split(":", 1) for line in each["htpasswd"].splitlines()) for each in (first, second))
    assert [name for name in after if after[name] == before[name]] == ["deployer", "nodes", "tenant-user2"]


def test_images_may_be_called_after_each_host_of_the_registry(path: Path) -> None:
    assert ensure(path)[1]["registries"] == ["192.0.2.11:30500/functions"]
    other = dataclasses.replace(WANTED, host="2001:db8::1")
    assert ensure(path, other)[1]["registries"] == ["192.0.2.11:30500/functions", "[2001:db8::1]:30500/functions"]


def test_second_run_changes_nothing(path: Path) -> None:
    first = ensure(path)[1]
    before = path.stat().st_mtime_ns
    changed, second = ensure(path)
    assert not changed
    assert second == first
    assert path.stat().st_mtime_ns == before


def test_order_of_the_servers_does_not_count(path: Path) -> None:
    ensure(path)
    assert not ensure(path, dataclasses.replace(WANTED, names=("192.0.2.13", "192.0.2.11", "192.0.2.12")))[0]


def test_new_server_means_a_new_certificate_and_nothing_else(path: Path) -> None:
    before = ensure(path)[1]
    changed, after = ensure(path, dataclasses.replace(WANTED, names=(*WANTED.names, "192.0.2.14")))
    assert changed
    assert "192.0.2.14" in names(after)
    assert {key for key in after if after[key] != before[key]} == {"names", "server"}


def test_host_stays_when_its_server_leaves_since_images_are_called_after_it(path: Path) -> None:
    ensure(path)
    changed, after = ensure(path, dataclasses.replace(WANTED, names=("192.0.2.12", "192.0.2.13")))
    assert not changed
    assert after["registry"] == "192.0.2.11:30500/functions"
    assert names(after) == {"127.0.0.1", "192.0.2.11", "192.0.2.12", "192.0.2.13"}


def test_another_host_is_taken_and_the_earlier_one_stays_a_name(path: Path) -> None:
    ensure(path)
    after = ensure(path, dataclasses.replace(WANTED, host="registry.example.com"))[1]
    assert after["registry"] == "registry.example.com:30500/functions"
    assert after["hosts"] == ["192.0.2.11", "registry.example.com"]
    assert {"registry.example.com", "192.0.2.11"} <= names(after)


def test_cluster_counts_over_the_file_and_reaches_another_machine(path: Path, tmp_path: Path) -> None:
    here = ensure(path)[1]
    other = tmp_path / "other" / "function-registry.json"
    ensure(other)  # of an earlier cluster
    changed, there = ensure(other, stored=in_cluster(here))
    assert changed
    assert there == {**here, "ca_file": str(other.with_name("function-registry-ca.pem"))}
    assert not ensure(other, stored=in_cluster(here))[0]


def test_wider_file_is_closed_again(path: Path) -> None:
    ensure(path)
    path.chmod(0o644)
    assert ensure(path)[0]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("age", "is_new"), [(1200, False), (1230, True)])
def test_certificate_is_made_anew_in_the_last_third_of_its_life(age: int, is_new: bool) -> None:
    before = registry_access.brought_up_to_date({}, WANTED, authority_file="", now=NOW)
    after = registry_access.brought_up_to_date(
        before, WANTED, authority_file="", now=NOW + datetime.timedelta(days=age)
    )
    assert (after["server"] != before["server"]) == is_new
    assert after["authority"] == before["authority"]
    assert after["users"] == before["users"]


def test_authority_that_ends_soon_is_replaced_with_all_that_it_signed() -> None:
    before = registry_access.brought_up_to_date({}, WANTED, authority_file="", now=NOW)
    after = registry_access.brought_up_to_date(
        before, WANTED, authority_file="", now=NOW + datetime.timedelta(days=3600)
    )
    assert after["authority"] != before["authority"]
    certificate(after).verify_directly_issued_by(
        x509.load_pem_x509_certificate(after["authority"]["certificate"].encode())
    )


def test_certificate_does_not_outlive_its_authority() -> None:
    before = registry_access.brought_up_to_date({}, WANTED, authority_file="", now=NOW)
    later = NOW + datetime.timedelta(days=3000)
    after = registry_access.brought_up_to_date(before, WANTED, authority_file="", now=later)
    authority = x509.load_pem_x509_certificate(after["authority"]["certificate"].encode())
    assert certificate(after).not_valid_after_utc <= authority.not_valid_after_utc
    again = registry_access.brought_up_to_date(after, WANTED, authority_file="", now=later)
    assert again == after


def test_ipv6_address_is_bracketed_in_references_only() -> None:
    access = registry_access.brought_up_to_date(
        {}, dataclasses.replace(WANTED, names=("2001:db8::1",)), authority_file="", now=NOW
    )
    assert access["registry"] == "[2001:db8::1]:30500/functions"
    assert "2001:db8::1" in names(access)


def test_check_mode_writes_nothing(path: Path) -> None:
    assert ensure(path, check_mode=True)[0]
    assert not path.exists()
    assert not path.with_name("function-registry-ca.pem").exists()


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_damaged_file_is_named(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PlatformError, match=r"function-registry\.json is damaged") as raised:
        ensure(path)
    assert "Delete it and run again" in raised.value.next_step


def test_damaged_secret_is_named(path: Path) -> None:
    with pytest.raises(PlatformError, match="The cluster's Secret of the registry is damaged"):
        ensure(path, stored="no JSON")


def test_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PlatformError) as raised:
        ensure(tmp_path / "file" / "function-registry.json")
    assert "function_registry_directory" in raised.value.next_step or "Repair it" in raised.value.next_step


def test_result_of_the_module_holds_no_secret(path: Path) -> None:
    parameters = {
        "path": str(path),
        "stored": "",
        "host": "",
        "names": ["192.0.2.11"],
        "port": 30500,
        "repository_path": "functions/",
        "days": 1825,
        "tenants": [],
        "tenants_removed": [],
        "new_passwords": [],
    }
    result = module.run(parameters, False, set())
    assert result == {
        "changed": True,
        "registry": "192.0.2.11:30500/functions",
        "hosts": ["192.0.2.11"],
        "path": str(path),
    }


def test_registry_without_any_name_is_refused(path: Path) -> None:
    parameters = {
        "path": str(path),
        "stored": "",
        "host": "",
        "names": ["", ""],
        "port": 30500,
        "repository_path": "",
        "days": 1825,
    }
    with pytest.raises(PlatformError, match="no name or address"):
        module.run(parameters, False, set())


@pytest.mark.parametrize("name", ["127.0.0.1", "registry.example.com"])
def test_clients_that_know_the_authority_trust_the_certificate(path: Path, name: str) -> None:
    access = ensure(path, dataclasses.replace(WANTED, host="registry.example.com"))[1]
    assert handshake(access, path, name) == "TLSv1.3"


def test_clients_do_not_trust_it_under_another_name(path: Path) -> None:
    access = ensure(path)[1]
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(access, path, "registry.example.com")


def handshake(access: t.Mapping[str, t.Any], path: Path, name: str) -> str | None:
    """A TLS connection over a socket pair; the protocol that was agreed on."""
    chain = path.with_name("server.pem")
    chain.write_text(access["server"]["certificate"] + access["server"]["key"], encoding="utf-8")
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    client_context = ssl.create_default_context(cafile=access["ca_file"])
    client_end, server_end = socket.socketpair()

    def serve() -> None:
        try:
            server_context.wrap_socket(server_end, server_side=True).close()
        except (ssl.SSLError, OSError):
            server_end.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        with client_context.wrap_socket(client_end, server_hostname=name) as connection:
            return connection.version()
    finally:
        client_end.close()
        server.join(timeout=60)
