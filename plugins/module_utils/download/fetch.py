# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches one file over HTTP, in one piece or not at all."""

from __future__ import annotations

import errno
import os
import re
import typing as t
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import PlatformError
from ..registry.answers import Deadline, beginning, download, within
from ..registry.model import Timeouts
from ..registry.transport import Peer, create_client, temporary, with_retries

if t.TYPE_CHECKING:
    import httpx2

TIMEOUTS = Timeouts(connect=10.0, transfer=60.0, attempts=5, total=300.0)
LISTING_BYTES = 1024 * 1024
"""More than any list of checksums has."""
LARGEST_BYTES = 8 << 30
"""More than any file has that the collection downloads; k3s' images for air-gapped clusters are the largest."""


def fetch_file(url: str, target: Path, sha256: str, *, mirror_variable: str, timeouts: Timeouts = TIMEOUTS) -> None:
    """Write what `url` answers to `target`, once it is whole and its SHA-256 is right.

    Args:
        mirror_variable: what the user sets to name another place, for messages.

    Raises:
        PlatformError: nothing answers, the file is not there or is not what it should be, it has more than
            LARGEST_BYTES or is not whole after `timeouts.download`, or there is no space.
    """
    partial = target.with_name(f"{target.name}.partial")

    def attempt() -> str:
        with _client(url, timeouts) as client:
            return download(
                client,
                url,
                partial,
                did=f"downloading {url}",
                peer=_peer(url),
                deadline=Deadline(timeouts.download),
                most=LARGEST_BYTES,
                refused=lambda response: _refused(response, url, mirror_variable),
            )

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        found = _ask(attempt, url, mirror_variable, timeouts)
        if found != sha256:
            raise PlatformError(
                f"What {url} gave has the SHA-256 {found}, and {sha256} is expected.",
                next_step="See what the mirror holds, if one gave it; take over no checksum that you have not seen "
                "at the publisher's. "
                f"{mirror_variable[0].upper()}{mirror_variable[1:]} names the place.",
            )
        os.replace(partial, target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        partial.unlink(missing_ok=True)


def fetch_checksum(url: str, name: str, *, mirror_variable: str, timeouts: Timeouts = TIMEOUTS) -> str:
    """SHA-256 of the file `name` by a list that `url` answers, as sha256sum writes it.

    Raises:
        PlatformError: nothing answers, or the file is not in the list.
    """

    listing = fetch_text(url, longest=LISTING_BYTES, mirror_variable=mirror_variable, timeouts=timeouts)
    sums = {
        match[2]: match[1] for match in re.finditer(r"^([0-9a-f]{64}) [ *](?:\./)?(\S+)\s*$", listing, re.MULTILINE)
    }
    if name not in sums:
        raise PlatformError(
            f"The list {url} has no checksum of {name}.", next_step="Check the version, or give the checksum yourself."
        )
    return sums[name]


def fetch_text(url: str, *, longest: int, mirror_variable: str, timeouts: Timeouts = TIMEOUTS) -> str:
    """What `url` answers, or its first `longest` bytes.

    Raises:
        PlatformError: nothing answers, the file is not there, or it is not whole after `timeouts.download`.
    """

    def exchange() -> bytes:
        with _client(url, timeouts) as client, client.stream("GET", url, follow_redirects=True) as response:
            if response.status_code != 200:
                raise _refused(response, url, mirror_variable)
            return beginning(response, longest)

    def attempt() -> str:
        deadline = Deadline(timeouts.download)
        return within(deadline, exchange, did=f"downloading {url}", peer=_peer(url)).decode("utf-8", "replace")

    return _ask(attempt, url, mirror_variable, timeouts)


def unwritable(path: Path, error: OSError) -> PlatformError:
    """What it means that a file cannot be written on this machine."""
    if error.errno == errno.ENOSPC:
        return PlatformError(
            f"There is no space left on this machine for {path}.",
            next_step="Free some, or set another cache directory.",
        )
    return PlatformError(
        f"{error.filename or path} cannot be used on this machine: {error.strerror}.",
        next_step="Set a cache directory that you may write to.",
    )


def _ask(attempt: t.Callable[[], str], url: str, mirror_variable: str, timeouts: Timeouts) -> str:
    """What `attempt` gives, tried again after passing faults; an error also names the ways around the network."""
    try:
        return with_retries(attempt, did=f"downloading {url}", peer=_peer(url), timeouts=timeouts)
    except PlatformError as error:
        if mirror_variable in error.next_step:
            raise
        ways = (
            f"{error.next_step} {mirror_variable} names another place; without a network, run ansible-playbook "
            "wasmfaas.platform.bundle on a machine that has one."
        )
        raise PlatformError(error.cause, next_step=ways) from error


def _peer(url: str) -> Peer:
    parts = urlsplit(url)
    return Peer(parts.netloc.rpartition("@")[2], kind="server", plain_http=parts.scheme == "http")


def _client(url: str, timeouts: Timeouts) -> httpx2.Client:
    return create_client(ca_file=None, plain_http=urlsplit(url).scheme == "http", timeouts=timeouts)


def _refused(response: httpx2.Response, url: str, mirror_variable: str) -> Exception:
    missing = response.status_code == 404
    return temporary(
        response,
        PlatformError(
            f"{'There is nothing at' if missing else f'The answer is {response.status_code} from'} {url}.",
            next_step=f"Check the version{'' if missing else ' and the credentials'}; {mirror_variable} names "
            "another place.",
        ),
    )
