# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon ECR without a network; tests/integration/test_registry.py has the calls themselves, against moto."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.ecr import (
    EcrHost,
    ElasticContainerRegistry,
    parse_host,
)
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.model import AwsOptions

HOST = EcrHost("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012", "eu-west-1")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("public.ecr.aws", None),
        ("12345.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example.com", None),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000", None),
    ],
)
def test_hosts(host: str, region: str | None) -> None:
    found = parse_host(host)
    assert (found.region if found else None) == region


def test_missing_boto3_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(PlatformError, match="boto3") as caught:
        ElasticContainerRegistry(HOST, AwsOptions()).credentials()
    assert "pip install boto3" in caught.value.next_step


def test_no_aws_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PlatformError, match="No usable AWS credentials") as caught:
        ElasticContainerRegistry(HOST, AwsOptions()).credentials()
    assert "aws configure" in caught.value.next_step
    with pytest.raises(PlatformError, match="profile"):
        ElasticContainerRegistry(HOST, AwsOptions(profile="nowhere")).credentials()


def test_secrets_are_not_in_the_representation() -> None:
    assert "hidden" not in repr(AwsOptions(access_key="x", secret_key="hidden", session_token="hidden"))
