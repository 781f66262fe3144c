# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes what the machines of an elastic group join with: the bundle in S3, the join token and the bundle's sha256
in parameters of SSM.

What reads it is terraform/modules/node_group/files/join_cluster.py; names and kinds are Terraform's
(modules/artifacts).
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
"""k3s's long form, with the hash of the cluster's authority: an agent that has it does not trust another cluster."""

KERNEL_FILES = "90-kubelet"
"""As the module kernel_settings calls its two files by default."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Where things of one group go.

    Args:
        name: of the group.
        bucket: of bundles.
        bundle_parameter: of the bundle's sha256.
        token_parameter: of the join token.
    """

    name: str
    bucket: str
    bundle_parameter: str
    token_parameter: str

    def key(self, digest: str) -> str:
        """Of a bundle in the bucket."""
        return f"bundles/{self.name}/{digest}.tar.gz"


def publish(
    aws: Aws, group: Group, files: t.Sequence[BundledFile], token: str, *, check_mode: bool
) -> dict[str, t.Any]:
    """Upload the bundle where it is missing, then write the parameters that say otherwise, that of the bundle last: who
    sees it finds everything there.

    Returns:
        `changed`, `bundle_changed`, `bundle` (sha256), `previous` (what the parameter said), `uploaded`, `size` in
        bytes, `diff`.

    Raises:
        PlatformError: the token is no full one, a file can't be read, or AWS refuses something.
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
    """Whether the bucket has the bundle, and S3's own checksum of it says that it is what its name says."""
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
    """In one piece, so that S3 compares the checksum before it keeps it; nobody sees half of it."""
    with tempfile.TemporaryFile() as file:
        if pack(files, file.write) != digest:
            raise PlatformError(
                "A file of the bundle was changed while it was read.",
                next_step="Run it again, once nobody changes the programs.",
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
    """Its value, "" where there is none."""
    answer = aws.call("ssm:GetParameter", name, missing=("ParameterNotFound",), Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"]) if answer else ""


def set_parameter(aws: Aws, name: str, value: str, *, secret: bool = False) -> None:
    """Write it. A secret stays encrypted by the key that it has: without one named, SSM would take the account's
    default."""
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
