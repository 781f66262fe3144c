# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amazon ECR: its token comes from AWS and is valid for 12 hours, and a first push does not create a repository.

https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import re
import typing as t

from ..errors import PlatformError
from .credentials import Credentials
from .model import AwsOptions

_HOST = re.compile(r"(?P<account>[0-9]{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")


@dataclasses.dataclass(frozen=True)
class EcrHost:
    """What the host name of an ECR registry says."""

    host: str
    account: str
    region: str


def parse_host(host: str) -> EcrHost | None:
    """None if `host` is no ECR registry."""
    match = _HOST.fullmatch(host)
    return EcrHost(host, match["account"], match["region"]) if match else None


def host_in(text: str) -> str:
    """The first ECR registry that a text names, as an image or an error does; "" where it names none."""
    match = re.search(rf"(?<![\w.-]){_HOST.pattern}(?![\w.-]*\w)", text)
    return match[0] if match else ""


class ElasticContainerRegistry:
    """The two calls that a push needs from AWS."""

    def __init__(self, host: EcrHost, options: AwsOptions) -> None:
        self._host = host
        self._options = options

    def credentials(self) -> Credentials:
        """User and password for Basic, valid for 12 hours. Errors: PlatformError."""
        answer = self._call("ecr:GetAuthorizationToken", lambda client: client.get_authorization_token())
        try:
            username, separator, password = (
                base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode("utf-8").partition(":")
            )
        except (binascii.Error, ValueError, LookupError):
            separator = ""
        if not separator:
            raise PlatformError(
                f"AWS gave no valid token for {self._host.host}.",
                next_step="Check the option or variable that overrides the AWS endpoint.",
            )
        return Credentials(f"AWS ({self._host.region})", username, password)

    def create_repository(self, repository: str) -> None:
        """Make it if it does not exist: scan on push, mutable tags, AES-256. Errors: PlatformError."""

        def create(client: t.Any) -> None:
            with contextlib.suppress(client.exceptions.RepositoryAlreadyExistsException):
                client.create_repository(
                    registryId=self._host.account,
                    repositoryName=repository,
                    imageTagMutability="MUTABLE",
                    imageScanningConfiguration={"scanOnPush": True},
                    encryptionConfiguration={"encryptionType": "AES256"},
                )

        self._call(
            "ecr:CreateRepository",
            create,
            resource=f"arn:aws:ecr:{self._host.region}:{self._host.account}:repository/{repository}",
        )

    def _call(self, action: str, call: t.Callable[[t.Any], t.Any], *, resource: str = "*") -> t.Any:
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError as error:
            raise PlatformError(
                f"{self._host.host} is an Amazon ECR registry, and the Python package boto3 that gets its token is "
                "missing.",
                next_step="`pip install boto3`, or give the registry's user name (AWS) and password (`aws ecr "
                "get-login-password`) as options.",
            ) from error
        options = self._options
        try:
            session = boto3.Session(
                profile_name=options.profile,
                aws_access_key_id=options.access_key,
                aws_secret_access_key=options.secret_key,
                aws_session_token=options.session_token,
                region_name=self._host.region,
            )
            client = session.client(
                "ecr",
                endpoint_url=options.endpoint_url,
                verify=str(options.ca_file) if options.ca_file else None,
                config=botocore.config.Config(
                    retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=30
                ),
            )
            return call(client)
        except botocore.exceptions.ClientError as error:
            details = error.response.get("Error", {})
            code, message = str(details.get("Code", "")), str(details.get("Message", ""))
            cause = f"AWS refuses {action} for {self._host.host} ({code}: {message})."
            if code in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
                raise PlatformError(
                    cause, next_step=f"Allow the IAM action `{action}` on `{resource}` for this user or role."
                ) from error
            if code in (
                "ExpiredToken",
                "ExpiredTokenException",
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                "InvalidSignatureException",
            ):
                raise PlatformError(
                    cause,
                    next_step="Renew the AWS credentials, such as by `aws sso login`; see who you are with `aws sts "
                    "get-caller-identity`.",
                ) from error
            raise PlatformError(
                cause, next_step="See the code in the documentation of Amazon ECR's API, and run again."
            ) from error
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.ProfileNotFound,
            botocore.exceptions.TokenRetrievalError,
        ) as error:
            raise PlatformError(
                f"No usable AWS credentials for {self._host.host}: {error}.",
                next_step="Run `aws configure` or `aws sso login`, or set AWS_PROFILE or the AWS options.",
            ) from error
        except botocore.exceptions.BotoCoreError as error:
            raise PlatformError(
                f"AWS could not be asked for {action} ({error}).",
                next_step=f"Check the network to AWS in {self._host.region}, and run again.",
            ) from error
