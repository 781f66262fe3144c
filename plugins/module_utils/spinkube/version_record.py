# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that a function's SpinApp remembers, in its annotation LAST_GOOD.

It holds the objects of the last version that answered, and below `earlier` those of the versions before it. Neither
holds a secret value, and the Secrets of earlier versions are not kept: a token that was replaced is gone, and an
earlier version gets the current values.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t

from .kinds import Object
from .objects import LAST_GOOD, SOURCE_DIGEST, FunctionObjects, settings_digest

EARLIER_VERSIONS = 5
_EARLIER_BYTES = 100_000
"""All annotations of an object may have 256 KiB; the last good version and what others write need some of it."""


@dataclasses.dataclass(frozen=True)
class Version:
    """A version that answered.

    Attributes:
        deployed: when, as in `2026-11-29T01:00:00Z`; empty for a canary.
    """

    objects: FunctionObjects
    deployed: str = ""

    @property
    def digest(self) -> str:
        """The digest of its artifact, with `sha256:`."""
        return str(self.objects.app["spec"]["image"]).partition("@")[2]

    def described(self) -> dict[str, t.Any]:
        """The version as users see it."""
        app = self.objects.app
        return {
            "image": app["spec"]["image"],
            "digest": self.digest,
            "source_digest": app["metadata"]["annotations"].get(SOURCE_DIGEST, ""),
            "deployed": self.deployed,
        }


@dataclasses.dataclass(frozen=True)
class VersionRecord:
    """What a SpinApp remembers; of a function that never answered, or that somebody else deployed, it is empty.

    Attributes:
        settings_digest: of the objects that were applied last and finished.
        good: the version that answered last.
        earlier: those that answered before it, newest first.
        weight: of a canary: its share of the requests, in percent; 0 until it was ready for them.
        promotes: of a canary: the objects that the function consists of once it is promoted.
    """

    settings_digest: str = ""
    good: Version | None = None
    earlier: tuple[Version, ...] = ()
    weight: int = 0
    promotes: FunctionObjects | None = None

    @property
    def good_app(self) -> Object | None:
        """The SpinApp of the version that answered last."""
        return self.good.objects.app if self.good else None

    @classmethod
    def of(cls, app: Object | None) -> VersionRecord:
        """Read the record of a SpinApp; one that somebody damaged counts as empty, so that the function can still be
        listed and deployed."""
        annotations = ((app or {}).get("metadata") or {}).get("annotations") or {}
        try:
            return cls._of(json.loads(annotations.get(LAST_GOOD, "{}")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls()

    @classmethod
    def _of(cls, stored: dict[str, t.Any]) -> VersionRecord:
        return cls(
            settings_digest=stored.get("settings_digest", ""),
            good=_version(stored) if stored.get("objects") else None,
            earlier=tuple(_version(version) for version in stored.get("earlier") or []),
            weight=int(stored.get("weight", 0)),
            promotes=FunctionObjects.of(stored["promotes"]) if stored.get("promotes") else None,
        )

    def written_to(self, app: Object) -> Object:
        """Give `app` with the annotation; as it is where the record is empty."""
        annotations = dict(app["metadata"]["annotations"])
        if self.settings_digest:
            annotations[LAST_GOOD] = json.dumps(self._stored(), sort_keys=True, separators=(",", ":"))
        return {**app, "metadata": {**app["metadata"], "annotations": annotations}}

    def _stored(self) -> dict[str, t.Any]:
        return {
            "settings_digest": self.settings_digest,
            **(_stored(self.good) if self.good else {"objects": []}),
            **({"earlier": [_stored(version) for version in self.earlier]} if self.earlier else {}),
            **({"weight": self.weight} if self.weight else {}),
            **({"promotes": list(self.promotes)} if self.promotes else {}),
        }

    def after(self, objects: FunctionObjects, *, answered: bool) -> VersionRecord:
        """Give what to remember once `objects` are applied.

        Args:
            answered: whether somebody saw them answer; if not, the last good version stays the one to put back.
        """
        digest = objects.settings_digest
        if not answered:
            return dataclasses.replace(self, settings_digest=digest)
        before = [version for version in self._versions() if version.objects.settings_digest != digest]
        earlier = before[:EARLIER_VERSIONS]
        while len(json.dumps([_stored(version) for version in earlier])) > _EARLIER_BYTES:
            earlier.pop()
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return VersionRecord(digest, Version(objects, now), tuple(earlier))

    def before(self, app: Object) -> list[Version]:
        """Give the good versions before the one that the SpinApp `app` runs, newest first."""
        running = settings_digest(app)
        return [version for version in self._versions() if version.objects.settings_digest != running]

    def _versions(self) -> tuple[Version, ...]:
        return (self.good, *self.earlier) if self.good else ()


def _version(stored: dict[str, t.Any]) -> Version:
    version = Version(FunctionObjects.of(stored["objects"]), str(stored.get("time", "")))
    version.described()  # raises where parts are missing, so that nobody fails later who reads them
    return version


def _stored(version: Version) -> dict[str, t.Any]:
    return {"objects": list(version.objects), **({"time": version.deployed} if version.deployed else {})}
