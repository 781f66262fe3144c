# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sees what a build did to the files of its project: what it made, and which lock files it wrote."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

from ...errors import PlatformError
from ..made_files import MadeFile, MadeFiles, is_lock_file
from ..manifest.model import Manifest
from ..source_digest import Sources, made_outputs, read_sources


class ObservedBuild:
    """Use as a context around a build; at its end, what the build made is remembered, where the build failed too.

    Args:
        before: the project's sources before the build.
        earlier: what earlier builds made.
        directory: keeps what is remembered.
    """

    def __init__(self, manifest: Manifest, before: Sources, earlier: MadeFiles, directory: Path) -> None:
        self._manifest = manifest
        self._before = before
        self._earlier = earlier
        self._directory = directory
        self._is_built = any(component.build for component in manifest.components.values())
        self._is_asked = False

    def __enter__(self) -> ObservedBuild:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and not self._is_asked:
            with contextlib.suppress(PlatformError):  # the error of the build is the one to tell
                self.settled()

    def settled(self) -> tuple[str, list[str]]:
        """The source digest to remember, and warnings; call it when the build is done.

        The digest is that of the sources before the build, as a source that somebody changed meanwhile may not be in
        what was built. But it is without what the build made, and with the lock files as the build left them.

        Raises:
            PlatformError: a file cannot be read, or the record not written.
        """
        self._is_asked = True  # an interrupt does not start it again: large files take long to read
        if not self._is_built:
            return self._before.digest, []
        after = read_sources(self._manifest, self._earlier)
        try:
            made = made_by_build(self._before, after, self._earlier)
            if self._manifest.covers_source_root:
                made = dataclasses.replace(made, files={**made.files, **made_outputs(self._manifest)})
            if made != self._earlier:
                made.write(self._directory, self._manifest.sources)
        except OSError as error:
            raise PlatformError(
                f"What the build made cannot be noted in {self._directory}: {error.strerror}.",
                next_step=f"See that there is room and the right to write (`df -h {self._directory}`), then deploy "
                "again.",
            ) from error
        kept = {path: line for path, line in self._before.lines.items() if path not in made.files}
        counted = {path: line for path, line in after.lines.items() if path not in made.files}
        lines = {
            **{path: line for path, line in kept.items() if not is_lock_file(path)},
            **{path: line for path, line in counted.items() if is_lock_file(path)},
        }
        changed = sorted(path for path in lines.keys() | counted.keys() if lines.get(path) != counted.get(path))
        return dataclasses.replace(self._before, lines=lines).digest, [self._warning(changed)] if changed else []

    def _warning(self, changed: list[str]) -> str:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        return (
            f"Files of {self._manifest.sources} that count as its source changed during the build "
            f"({', '.join(changed[:3])}{more}), so the next run builds again. If the build writes them, name them in "
            ".gitignore, or keep them in version control as the build leaves them."
        )


def made_by_build(before: Sources, after: Sources, earlier: MadeFiles) -> MadeFiles:
    """What builds made in a project, the last one included.

    A directory that was not there before a build is made by it. So is a file that the build wrote in such a directory,
    or that it wrote and only the manifest names, as in a directory that git ignores.
    """
    directories = frozenset(
        directory
        for directory in after.directories
        if directory in earlier.directories or directory not in before.directories
    )
    written = {
        path: MadeFile(after.stamps[path], line)
        for path, line in after.lines.items()
        if (path in after.named or os.path.dirname(path) in directories)
        and after.stamps[path] != before.stamps.get(path)
    }
    return MadeFiles({**after.made, **written}, directories)
