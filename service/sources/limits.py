# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive of source code may be at most, and how it is refused."""

from __future__ import annotations

import dataclasses

from ...plugins.module_utils.errors import PlatformError


@dataclasses.dataclass(frozen=True)
class ArchiveLimits:
    """Bounds of an archive.

    Attributes:
        entries: files and directories.
        bytes: of all files together, unpacked.
        file_bytes: of one file, unpacked.
        header_bytes: of one extended header of tar, which holds a long name, say.
        index_bytes: of the central directory of a zip.
        ratio: unpacked bytes for one packed byte, once `ratio_from` bytes came out.
        ratio_from: see `ratio`.
        path_bytes: of a path in UTF-8.
        name_bytes: of one part of a path in UTF-8.
        depth: parts of a path.
    """

    entries: int = 20_000
    bytes: int = 512 << 20
    file_bytes: int = 256 << 20
    header_bytes: int = 64 << 10
    index_bytes: int = 16 << 20
    ratio: int = 200
    ratio_from: int = 10 << 20
    path_bytes: int = 1024
    name_bytes: int = 255
    depth: int = 32


LIMITS = ArchiveLimits()


def refused(cause: str, next_step: str = "Pack it again: `tar czf shop.tar.gz -C shop .`.") -> PlatformError:
    """The error for an archive that is not taken."""
    return PlatformError(f"The archive is not taken: {cause}", next_step=next_step, stage="source")


def too_large(what: str) -> PlatformError:
    """The error for an archive that is too large."""
    return refused(what, "Leave out what the build makes or fetches by itself, such as node_modules or target.")
