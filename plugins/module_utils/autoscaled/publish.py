# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes what the machines of an autoscaled group join with: the node bundle in S3, the join token and the bundle's
SHA-256 in parameters of SSM.

terraform/modules/node_group/files/join_cluster.py reads them; terraform/modules/artifacts makes bucket and parameters.
"""

from __future__ import annotations

import base64
import dataclasses
import re
import tempfile
import typing as t

from ..errors import PlatformError
from ..host.kernel import written
from .archive import BundledFile, bundled_files, pack
from .aws import Aws

FULL_TOKEN = re.compile(r"K10[0-9a-f]{64}::[^:\s]+:\S+")
"""k3s's long form, with the hash of the cluster's authority: an agent with this token trusts no other cluster."""

KERNEL_FILES = "90-kubelet"
"""The default name of the two files of the module kernel_settings."""


@dataclasses.dataclass(frozen=True)
class Group:
    """A group, and where its node bundle is published.

    Args:
        bucket: bucket of node bundles.
        bundle_parameter: name of the parameter with the bundle's SHA-256.
        token_parameter: name of the parameter with the join token.
    """

    name: str
    bucket: str
    bundle_parameter: str
    token_parameter: str

    def key(self, digest: str) -> str:
        """The key of the bundle with this SHA-256 in the bucket."""
        return f"bundles/{self.name}/{digest}.tar.gz"


def publish(
    aws: Aws, group: Group, files: t.Sequence[BundledFile], token: str, *, check_mode: bool
) -> dict[str, t.Any]:
    """Upload the bundle if it is missing, then write the parameters that differ. The bundle's parameter is the last:
    a machine that reads it finds all the rest.

    Returns:
        `changed`, `bundle_changed`, `bundle` (sha256), `previous` (what the parameter said), `uploaded`, `size` in
        bytes, `diff`.

    Raises:
        PlatformError: the token is not in its long form, a file cannot be read, or AWS refuses something.
    """
    if not FULL_TOKEN.fullmatch(token):
        raise PlatformError(
            "The agents' token is not in the form K10<hash of the authority>::<user>:<secret>.",
            next_step="See /var/lib/rancher/k3s/server/agent-token on a server: k3s writes it there when it starts.",
        )
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    digest = pack(files, count)
    key = group.key(digest)
    there = stored(aws, group.bucket, key, digest)
    previous_token = parameter(aws, group.token_parameter)
    previous = parameter(aws, group.bundle_parameter)
    if not check_mode:
        if not there:
            upload(aws, group.bucket, key, files, digest)
        if previous_token != token:
            set_parameter(aws, group.token_parameter, token, secret=True)
        if previous != digest:
            set_parameter(aws, group.bundle_parameter, digest)
    before = [] if not there else [f"s3://{group.bucket}/{key}"]
    before += [
        f"{group.bundle_parameter} = {previous}",
        f"{group.token_parameter} = {'(secret)' if previous_token == token else '(another secret)'}",
    ]
    after = [
        f"s3://{group.bucket}/{key}",
        f"{group.bundle_parameter} = {digest}",
        f"{group.token_parameter} = (secret)",
    ]
    return {
        "changed": not there or previous != digest or previous_token != token,
        "bundle_changed": previous != digest,
        "bundle": digest,
        "previous": previous,
        "uploaded": not there,
        "size": size,
        "diff": {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)},
    }


def stored(aws: Aws, bucket: str, key: str, digest: str) -> bool:
    """Whether the bucket has the bundle, with the checksum that is in its name."""
    answer = aws.call(
        "s3:HeadObject",
        f"s3://{bucket}/{key}",
        missing=("404", "NoSuchKey", "NotFound"),
        Bucket=bucket,
        Key=key,
        ChecksumMode="ENABLED",
    )
    return answer is not None and answer.get("ChecksumSHA256") == _checksum(digest)


def upload(aws: Aws, bucket: str, key: str, files: t.Sequence[BundledFile], digest: str) -> None:
    """Upload in one piece: S3 compares the checksum first, and nobody sees half a bundle."""
    with tempfile.TemporaryFile() as file:
        if pack(files, file.write) != digest:
            raise PlatformError(
                "A file of the node bundle was changed while it was read.",
                next_step="Run the playbook again while nobody changes these files.",
            )
        file.seek(0)
        checksum = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _checksum(digest)}
        aws.call(
            "s3:PutObject",
            f"s3://{bucket}/{key}",
            Bucket=bucket,
            Key=key,
            Body=file,
            ContentType="application/gzip",
            **checksum,
        )


def parameter(aws: Aws, name: str) -> str:
    """The value of a parameter; "" if it does not exist."""
    answer = aws.call("ssm:GetParameter", name, missing=("ParameterNotFound",), Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"]) if answer else ""


def set_parameter(aws: Aws, name: str, value: str, *, secret: bool = False) -> None:
    """Write a parameter. A secret keeps its KMS key: if none is named, SSM takes the account's default key."""
    arguments: dict[str, t.Any] = {
        "Name": name,
        "Value": value,
        "Overwrite": True,
        "Type": "SecureString" if secret else "String",
    }
    if secret:
        described = aws.call(
            "ssm:DescribeParameters", name, ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": [name]}]
        )["Parameters"]
        if described and described[0].get("KeyId"):
            arguments["KeyId"] = described[0]["KeyId"]
    aws.call("ssm:PutParameter", name, **arguments)


def _checksum(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()


def kernel_files(modules: t.Sequence[str], sysctls: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The two files that the module kernel_settings writes, as managed_files takes files."""
    return [
        {"path": f"/{path}", "content": content, "mode": "0644"}
        for path, content in written(KERNEL_FILES, modules, sysctls).items()
    ]


def run(parameters: dict[str, t.Any], check_mode: bool, hidden: set[str]) -> dict[str, t.Any]:
    """What the module node_bundle does; `parameters` are its options."""
    hidden.add(parameters["token"])
    hidden.update(
        str(entry["content"]) for entry in parameters["files"] if entry.get("secret") and entry.get("content")
    )
    group = Group(*(parameters[name] for name in ("group", "bucket", "bundle_parameter", "token_parameter")))
    kernel = kernel_files(parameters["kernel_modules"], parameters["sysctls"])
    aws = Aws(parameters["region"], parameters["profile"], parameters["endpoint_url"])
    return publish(
        aws, group, bundled_files([*parameters["files"], *kernel]), parameters["token"].strip(), check_mode=check_mode
    )
