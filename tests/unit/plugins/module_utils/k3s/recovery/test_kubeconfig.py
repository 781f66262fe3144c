# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig.py: the controller's copy, and other people's files that it is merged into."""

from __future__ import annotations

import base64
import datetime
import typing as t
from pathlib import Path

import pytest
import yaml
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.k3s.recovery import kubeconfig
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())
NOW = datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC)

FROM_SERVER = yaml.safe_dump(
    {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "default", "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": "Q0E="}}
        ],
        "users": [{"name": "default", "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
    }
)


def test_names_and_address_are_replaced_credentials_kept() -> None:
    made = kubeconfig.for_controller(FROM_SERVER, name="prod", server="https://k3s.example.com:6443")
    assert made["clusters"] == [
        {"name": "prod", "cluster": {"server": "https://k3s.example.com:6443", "certificate-authority-data": "Q0E="}}
    ]
    assert made["users"] == [
        {"name": "prod", "user": {"client-certificate-data": "Q0VSVA==", "client-key-data": "S0VZ"}}
    ]
    assert made["current-context"] == "prod"


def test_file_is_private_and_second_time_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "new" / "kubeconfig.yml"
    content = kubeconfig.for_controller(FROM_SERVER, name="prod", server="https://a:6443")
    assert kubeconfig.ensure(path, content, check_mode=True)
    assert not path.exists()
    assert kubeconfig.ensure(path, content, check_mode=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert not kubeconfig.ensure(path, content, check_mode=False)
    path.chmod(0o644)
    assert kubeconfig.ensure(path, content, check_mode=False)
    assert path.stat().st_mode & 0o777 == 0o600


def test_merge_keeps_what_is_not_ours(tmp_path: Path) -> None:
    theirs = {
        "current-context": "home",
        "preferences": {"colors": True},
        "clusters": [
            {"name": "home", "cluster": {"server": "https://home"}},
            {"name": "prod", "cluster": {"server": "https://old"}},
        ],
        "users": None,
        "contexts": [{"name": "home", "context": {"cluster": "home", "user": "home"}}],
    }
    made = kubeconfig.merged(theirs, kubeconfig.for_controller(FROM_SERVER, name="prod", server="https://a:6443"))
    assert [entry["name"] for entry in made["clusters"]] == ["home", "prod"]
    assert made["clusters"][1]["cluster"]["server"] == "https://a:6443"
    assert made["current-context"] == "home"
    assert made["preferences"] == {"colors": True}
    assert [entry["name"] for entry in made["users"]] == ["prod"]


def test_server_in_the_file_stays_while_it_is_a_server(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig.yml"
    assert kubeconfig.server_in_use(path, ["https://a", "https://b"]) == "https://a"
    kubeconfig.ensure(path, kubeconfig.for_controller(FROM_SERVER, name="x", server="https://b"), check_mode=False)
    assert kubeconfig.server_in_use(path, ["https://a", "https://b"]) == "https://b"
    assert kubeconfig.server_in_use(path, ["https://a", "https://c"]) == "https://a"


@pytest.mark.parametrize("content", ["a: [", "- just\n- a list\n"])
def test_file_that_is_no_kubeconfig_is_not_overwritten(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(PlatformError, match="is no"):
        kubeconfig.read(path)
    assert path.read_text() == content


def of_server(
    *, days: int, issuer: str = "k3s-client-ca@1", authority: str = "Q0E=", key: str = "S0VZ"
) -> dict[str, t.Any]:
    """A kubeconfig with a certificate that ends so many days from NOW."""
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in (issuer, "system:admin")]
    builder = (
        x509.CertificateBuilder()
        .issuer_name(names[0])
        .subject_name(names[1])
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
    )
    made = (
        builder.not_valid_before(NOW - datetime.timedelta(365))
        .not_valid_after(NOW + datetime.timedelta(days))
        .sign(KEY, hashes.SHA256())
    )
    given = yaml.safe_load(FROM_SERVER)
    given["clusters"][0]["cluster"]["certificate-authority-data"] = authority
    encoded = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    given["users"][0]["user"] = {"client-certificate-data": encoded, "client-key-data": key}
    return kubeconfig.for_controller(yaml.safe_dump(given), name="prod", server="https://a:6443")


@pytest.mark.parametrize(
    ("before", "offered", "kept"),
    [
        pytest.param(of_server(days=300), of_server(days=365, key="bmV3"), True, id="another server"),
        pytest.param(of_server(days=100), of_server(days=90, key="bmV3"), True, id="both end soon, the old one later"),
        pytest.param(of_server(days=100), of_server(days=365, key="bmV3"), False, id="ends soon"),
        pytest.param(
            of_server(days=300, issuer="k3s-client-ca@0"),
            of_server(days=365, key="bmV3"),
            False,
            id="authority of clients rotated",
        ),
        pytest.param(
            of_server(days=300, authority="T0xE"), of_server(days=365, key="bmV3"), False, id="another cluster"
        ),
        pytest.param(yaml.safe_load(FROM_SERVER), of_server(days=365), False, id="no certificate"),
        pytest.param({"users": None, "clusters": []}, of_server(days=365), False, id="empty"),
    ],
)
def test_credentials_stay_while_they_are_as_good(
    tmp_path: Path, before: dict[str, t.Any], offered: dict[str, t.Any], kept: bool
) -> None:
    path = tmp_path / "kubeconfig.yml"
    kubeconfig.ensure(path, before, check_mode=False)
    made = kubeconfig.keep_user(path, offered, now=NOW.timestamp())
    assert made["users"] == [{"name": "prod", "user": (before if kept else offered)["users"][0]["user"]}]
    assert {**made, "users": []} == {**offered, "users": []}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("- a", "is no kubeconfig"),
        ("clusters: [a]", "`clusters` must be a list of dictionaries"),
        ("users: 1", "`users` must be a list"),
        ("contexts: {a: {}}", "`contexts` must be a list"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_not_overwritten(tmp_path: Path, text: str, refused: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(PlatformError, match=refused) as caught:
        kubeconfig.server_in_use(path, ["https://a:6443"])
    assert caught.value.next_step[0].isupper()
    assert path.read_text() == text


def test_an_odd_cluster_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("clusters: [{name: a, cluster: b}]")
    assert kubeconfig.server_in_use(path, ["https://a:6443"]) == "https://a:6443"
