# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store at a location: a registry, Amazon ECR's too, or an image layout in a directory."""

from __future__ import annotations

import typing as t
from pathlib import Path

from .model import AwsOptions, CredentialOptions, Store, Timeouts
from .reference import LayoutLocation, RegistryLocation


def open_store(
    location: RegistryLocation,
    *,
    credentials: CredentialOptions | None = None,
    ca_file: Path | None = None,
    plain_http: bool = False,
    timeouts: Timeouts | None = None,
    aws: AwsOptions | None = None,
    pushed_file: Path | None = None,
) -> Store:
    """The store at `location`; nothing is contacted yet. Use it with `contextlib.closing`.

    Args:
        location: from `reference.parse_registry`.
        ca_file: PEM file with certificate authorities to trust besides the system's.
        plain_http: speak HTTP instead of HTTPS; never chosen by itself.
        aws: used only if the host is an Amazon ECR registry.
        pushed_file: remembers where blobs are, so that none is sent for two functions; see `pushed_blobs`.
    """
    if isinstance(location, LayoutLocation):
        from .image_layout import ImageLayoutStore

        return ImageLayoutStore(location)
    from .credentials import find_credentials
    from .distribution import DistributionStore
    from .ecr import ElasticContainerRegistry, parse_host
    from .pushed_blobs import PushedBlobs

    options = credentials or CredentialOptions()
    ecr_host = parse_host(location.host)
    ecr = ElasticContainerRegistry(ecr_host, aws or AwsOptions()) if ecr_host else None

    def credentials_for(repository: str) -> t.Any:
        if ecr is not None and options.username is None and options.file is None:
            return ecr.credentials()
        return find_credentials(location.host, repository, options)

    return DistributionStore(
        location,
        credentials_for=credentials_for,
        create_repository=ecr.create_repository if ecr else None,
        ca_file=ca_file,
        plain_http=plain_http,
        timeouts=timeouts or Timeouts(),
        pushed=PushedBlobs(pushed_file, location.endpoint) if pushed_file else None,
    )
