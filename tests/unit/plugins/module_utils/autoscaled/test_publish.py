# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoscaled/publish.py and autoscaled/refresh.py: what is asked of AWS, and nothing else. botocore's Stubber plays AWS
and refuses every call that is not expected; S3 and SSM themselves are played by the moto server in
tests/integration/test_autoscaled_join.py."""

from __future__ import annotations

import base64
import typing as t
from pathlib import Path

import boto3
import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled import publish as publishing
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.archive import bundled_files, pack
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.aws import Aws
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.publish import Group, kernel_files, publish
from ansible_collections.wasmfaas.platform.plugins.module_utils.autoscaled.refresh import refresh
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.kernel import Kernel
from botocore.stub import ANY, Stubber

GROUP = Group("worker-wasm", "bundles-bucket", "/groups/wasm/bundle", "/groups/wasm/token")
FILES = bundled_files(
    [
        {"path": "/etc/rancher/k3s/config.yaml", "content": "a: 1\n"},
        {"path": "/etc/rancher/k3s/registries.yaml", "content": "pass-word"},
    ]
)
DIGEST = pack(FILES, lambda data: None)
CHECKSUM = base64.b64encode(bytes.fromhex(DIGEST)).decode()
KEY = f"bundles/worker-wasm/{DIGEST}.tar.gz"
TOKEN = f"K10{'a' * 64}::node:the-secret"


class Played:
    """AWS by the Stubber: each service answers the calls that were expected, in their order; others fail."""

    def __init__(self) -> None:
        self.aws = Aws("us-east-1")
        self.stubbers: dict[str, Stubber] = {}
        for service in ("s3", "ssm", "autoscaling"):
            client = boto3.client(
                service, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
            )
            self.aws.clients[service] = client
            self.stubbers[service] = Stubber(client)
            self.stubbers[service].activate()

    def expect(self, service: str, method: str, answer: dict[str, t.Any], **parameters: t.Any) -> None:
        self.stubbers[service].add_response(method, answer, parameters)

    def fail(self, service: str, method: str, code: str, status: int = 400, **parameters: t.Any) -> None:
        self.stubbers[service].add_client_error(
            method, code, "no", http_status_code=status, expected_params=parameters or None
        )

    def finished(self) -> None:
        for stubber in self.stubbers.values():
            stubber.assert_no_pending_responses()


@pytest.fixture
def played() -> t.Iterator[Played]:
    it = Played()
    yield it
    it.finished()


def head(played: Played, checksum: str | None = CHECKSUM) -> None:
    parameters = {"Bucket": "bundles-bucket", "Key": KEY, "ChecksumMode": "ENABLED"}
    if checksum is None:
        played.fail("s3", "head_object", "404", 404, **parameters)
    else:
        played.expect("s3", "head_object", {"ChecksumSHA256": checksum} if checksum else {}, **parameters)


def parameters(played: Played, token: str, bundle: str) -> None:
    for name, value in (("/groups/wasm/token", token), ("/groups/wasm/bundle", bundle)):
        played.expect(
            "ssm", "get_parameter", {"Parameter": {"Name": name, "Value": value}}, Name=name, WithDecryption=True
        )


def put(played: Played) -> None:
    checksum = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": CHECKSUM}
    played.expect(
        "s3", "put_object", {}, Bucket="bundles-bucket", Key=KEY, Body=ANY, ContentType="application/gzip", **checksum
    )


def write_token(played: Played, *, key: str = "arn:aws:kms:us-east-1:1:key/join") -> None:
    described = [{"Name": "/groups/wasm/token", **({"KeyId": key} if key else {})}]
    filters = [{"Key": "Name", "Option": "Equals", "Values": ["/groups/wasm/token"]}]
    played.expect("ssm", "describe_parameters", {"Parameters": described}, ParameterFilters=filters)
    arguments = {"Name": "/groups/wasm/token", "Value": TOKEN, "Overwrite": True, "Type": "SecureString"}
    played.expect("ssm", "put_parameter", {"Version": 2}, **arguments, **({"KeyId": key} if key else {}))


def write_bundle(played: Played) -> None:
    played.expect(
        "ssm", "put_parameter", {"Version": 2}, Name="/groups/wasm/bundle", Value=DIGEST, Overwrite=True, Type="String"
    )


def test_first_run_uploads_and_writes_both(played: Played) -> None:
    head(played, None)
    parameters(played, "unset", "unset")
    put(played)
    write_token(played)
    write_bundle(played)
    result = publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)
    assert (
        result["changed"]
        and result["uploaded"]
        and result["bundle_changed"]
        and result["bundle"] == DIGEST
        and result["previous"] == "unset"
    )
    assert (
        result["size"] > 0
        and f"s3://bundles-bucket/{KEY}\n" in result["diff"]["after"]
        and "/groups/wasm/bundle = unset\n" in result["diff"]["before"]
    )
    assert "the-secret" not in str(result) and "pass-word" not in str(result)


def test_second_run_only_reads(played: Played) -> None:
    head(played)
    parameters(played, TOKEN, DIGEST)
    result = publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)
    assert not result["changed"] and not result["uploaded"] and not result["bundle_changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize("checksum", ["", base64.b64encode(b"0" * 32).decode()])
def test_an_object_that_is_not_what_its_name_says_is_uploaded_anew(played: Played, checksum: str) -> None:
    head(played, checksum)
    parameters(played, TOKEN, DIGEST)
    put(played)
    result = publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)
    assert result["changed"] and result["uploaded"] and not result["bundle_changed"]


def test_a_new_token_alone_is_written(played: Played) -> None:
    head(played)
    parameters(played, "K10old", DIGEST)
    write_token(played, key="")
    result = publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)
    assert (
        result["changed"]
        and not result["bundle_changed"]
        and "(another secret)" in result["diff"]["before"]
        and "K10old" not in str(result)
    )


def test_check_mode_writes_nothing(played: Played) -> None:
    head(played, None)
    parameters(played, "unset", "unset")
    result = publish(played.aws, GROUP, FILES, TOKEN, check_mode=True)
    assert result["changed"] and result["uploaded"] and result["bundle"] == DIGEST


@pytest.mark.parametrize("token", ["the-secret", "K10abc::node:the-secret", f"K10{'a' * 64}::node:", ""])
def test_a_short_token_is_refused_and_not_shown(played: Played, token: str) -> None:
    with pytest.raises(PlatformError, match="not in the form K10") as raised:
        publish(played.aws, GROUP, FILES, token, check_mode=False)
    assert "the-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDenied", "AWS refuses s3:PutObject .* Next: Allow the IAM action `s3:PutObject`"),
        ("ExpiredToken", "Renew the AWS credentials"),
        ("NoSuchBucket", "terraform apply"),
    ],
)
def test_what_aws_refuses_is_said(played: Played, code: str, message: str) -> None:
    head(played, None)
    parameters(played, "unset", "unset")
    played.fail("s3", "put_object", code)
    with pytest.raises(PlatformError, match=message) as raised:
        publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)
    assert "the-secret" not in str(raised.value)


def test_a_file_that_changes_while_it_is_read_is_not_published(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    head(played, None)
    parameters(played, "unset", "unset")
    digests = iter([DIGEST, "0" * 64])
    monkeypatch.setattr(publishing, "pack", lambda files, target: next(digests))
    with pytest.raises(PlatformError, match="changed while it was read"):
        publish(played.aws, GROUP, FILES, TOKEN, check_mode=False)


def test_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PlatformError, match="No usable AWS credentials"):
        publish(Aws("us-east-1", endpoint_url="http://127.0.0.1:9"), GROUP, FILES, TOKEN, check_mode=True)
    with pytest.raises(PlatformError, match="No usable AWS credentials: The config profile"):
        publish(Aws("us-east-1", profile="nobody"), GROUP, FILES, TOKEN, check_mode=True)


def test_kernel_files_are_those_of_the_module_kernel_settings(tmp_path: Path) -> None:
    settings = {"vm.overcommit_memory": 1}
    (tmp_path / "proc/sys/vm").mkdir(parents=True)
    (tmp_path / "proc/sys/vm/overcommit_memory").write_text("1\n")
    (tmp_path / "sys/module/overlay").mkdir(parents=True)
    Kernel("90-kubelet", root=tmp_path).ensure(["overlay"], settings, check_mode=False)
    assert {entry["path"]: entry["content"] for entry in kernel_files(["overlay"], settings)} == {
        f"/{path.relative_to(tmp_path)}": path.read_text() for path in (tmp_path / "etc").rglob("*.conf")
    }


# --- Replacing machines; moto's server has no instance refresh at all


def group(played: Played, machines: int = 2) -> None:
    answer = {
        "AutoScalingGroupName": "wasmfaas-worker-wasm",
        "MinSize": 0,
        "MaxSize": 5,
        "DesiredCapacity": machines,
        "DefaultCooldown": 300,
        "AvailabilityZones": ["us-east-1a"],
        "HealthCheckType": "EC2",
        "CreatedTime": "2026-01-01T00:00:00Z",
        "Instances": [
            {
                "InstanceId": f"i-{number}",
                "AvailabilityZone": "us-east-1a",
                "LifecycleState": "InService",
                "HealthStatus": "Healthy",
                "ProtectedFromScaleIn": False,
            }
            for number in range(machines)
        ],
    }
    played.expect(
        "autoscaling",
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": [answer]},
        AutoScalingGroupNames=["wasmfaas-worker-wasm"],
    )


def refreshes(played: Played, *states: str) -> None:
    found = [{"InstanceRefreshId": f"refresh-{state}", "Status": state} for state in states]
    played.expect(
        "autoscaling",
        "describe_instance_refreshes",
        {"InstanceRefreshes": found},
        AutoScalingGroupName="wasmfaas-worker-wasm",
    )


START = {
    "AutoScalingGroupName": "wasmfaas-worker-wasm",
    "Strategy": "Rolling",
    "Preferences": {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": 110,
        "InstanceWarmup": 120,
        "SkipMatching": False,
    },
}


def test_refresh_begins(played: Played) -> None:
    group(played)
    refreshes(played, "Successful", "Cancelled")
    played.expect("autoscaling", "start_instance_refresh", {"InstanceRefreshId": "new"}, **START)
    result = refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=False)
    assert result == {"changed": True, "instance_refresh": "new", "machines": 2}


@pytest.mark.parametrize("state", ["Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking"])
def test_refresh_is_refused_while_one_runs(played: Played, state: str) -> None:
    group(played)
    refreshes(played, "Successful", state)
    with pytest.raises(PlatformError, match=f"replaced already .instance refresh refresh-{state}."):
        refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=False)


def test_refresh_is_refused_where_another_was_quicker(played: Played) -> None:
    group(played)
    refreshes(played)
    played.fail("autoscaling", "start_instance_refresh", "InstanceRefreshInProgress", **START)
    with pytest.raises(PlatformError, match="begun just now"):
        refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=False)


def test_refresh_in_check_mode_and_of_no_machines(played: Played) -> None:
    group(played)
    refreshes(played)
    assert refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=True) == {
        "changed": True,
        "instance_refresh": "",
        "machines": 2,
    }
    group(played, machines=0)
    refreshes(played)
    assert refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=False) == {
        "changed": False,
        "instance_refresh": "",
        "machines": 0,
    }


def test_refresh_of_a_group_that_is_not_there(played: Played) -> None:
    played.expect(
        "autoscaling",
        "describe_auto_scaling_groups",
        {"AutoScalingGroups": []},
        AutoScalingGroupNames=["wasmfaas-worker-wasm"],
    )
    with pytest.raises(PlatformError, match="There is no scaling group wasmfaas-worker-wasm in us-east-1"):
        refresh(played.aws, "wasmfaas-worker-wasm", warmup=120, check_mode=False)
