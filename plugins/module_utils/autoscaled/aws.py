# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of AWS's API by boto3, with errors that say what to do."""

from __future__ import annotations

import dataclasses
import typing as t

from ..errors import PlatformError

REFUSED = ("403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
STALE = (
    "ExpiredToken",
    "ExpiredTokenException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
)

PERMISSIONS = {"s3:HeadObject": "s3:GetObject` and `s3:ListBucket"}
"""IAM actions whose names differ from those of the calls that they allow. Without s3:ListBucket, S3 answers 403 for a
missing object."""


@dataclasses.dataclass
class Aws:
    """One account, region and set of credentials.

    Args:
        region: such as `us-east-1`.
        profile: of ~/.aws; None: boto3's usual rules (environment, ~/.aws, role of the machine).
        endpoint_url: URL of an API to use instead of AWS; None: AWS, or that of boto3's variable `AWS_ENDPOINT_URL`.
    """

    region: str
    profile: str | None = None
    endpoint_url: str | None = None
    clients: dict[str, t.Any] = dataclasses.field(default_factory=dict, repr=False)

    def client(self, service: str) -> t.Any:
        """boto3's client of a service. Errors: PlatformError."""
        if service not in self.clients:
            try:
                import boto3
                import botocore.config
                import botocore.exceptions
            except ImportError as error:
                raise PlatformError(
                    "The Python package boto3, which talks to AWS, is missing.", next_step="`pip install boto3`."
                ) from error
            config = botocore.config.Config(
                retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60
            )
            try:
                session = boto3.Session(profile_name=self.profile, region_name=self.region)
                self.clients[service] = session.client(service, endpoint_url=self.endpoint_url, config=config)
            except (botocore.exceptions.BotoCoreError, ValueError) as error:
                raise _unusable(str(error)) from error
        return self.clients[service]

    def call(self, action: str, resource: str, *, missing: t.Collection[str] = (), **arguments: t.Any) -> t.Any:
        """The answer of one call; None if its error is one of `missing`.

        Args:
            action: service and operation, such as `ssm:GetParameter`.
            resource: what it is about, for the error.

        Raises:
            PlatformError: AWS refuses the call or does not answer.
        """
        service, _colon, operation = action.partition(":")
        client = self.client(service)
        import botocore.exceptions
        from botocore import xform_name

        try:
            return getattr(client, xform_name(operation))(**arguments)
        except botocore.exceptions.ClientError as error:
            details = error.response.get("Error", {})
            code, message = str(details.get("Code", "")), str(details.get("Message", ""))
            if code in missing:
                return None
            cause = f"AWS refuses {action} for {resource} ({code}: {message})."
            if code in REFUSED:
                permission = PERMISSIONS.get(action, action)
                raise PlatformError(
                    cause, next_step=f"Allow the IAM action `{permission}` on it for this user or role."
                ) from error
            if code in STALE:
                raise PlatformError(
                    cause,
                    next_step="Renew the AWS credentials, such as by `aws sso login`; `aws sts get-caller-identity` "
                    "says who you are.",
                ) from error
            raise PlatformError(
                cause, next_step="See that `terraform apply` has run for this cluster and region, and run again."
            ) from error
        except botocore.exceptions.ParamValidationError as error:
            raise AssertionError(f"{action} was called wrongly: {error}") from error
        except (
            botocore.exceptions.NoCredentialsError,
            botocore.exceptions.PartialCredentialsError,
            botocore.exceptions.TokenRetrievalError,
        ) as error:
            raise _unusable(str(error)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise PlatformError(
                f"AWS could not be asked for {action} ({error}).",
                next_step=f"Check the network to AWS in {self.region}, and run again.",
            ) from error


def _unusable(reason: str) -> PlatformError:
    return PlatformError(
        f"No usable AWS credentials: {reason.rstrip('.')}.",
        next_step="Run `aws configure` or `aws sso login`, or set AWS_PROFILE.",
    )
