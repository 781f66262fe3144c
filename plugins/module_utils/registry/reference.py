# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where artifacts are kept: what a user may write as `registry`, and the references that follow from it.

The grammar is that of https://github.com/distribution/reference (regexp.go, normalize.go), which containerd, and so
every node, parses images with.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
from pathlib import Path

from ..errors import PlatformError

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# containers-transports(5)
_SCHEME = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*)://|(docker-archive|docker-daemon|oci-archive|containers-storage|dir|ostree|sif):"
)

_LONGEST_REPOSITORY = 255  # reference.go: RepositoryNameTotalLengthMax

_DOCKER_HUB = "docker.io"
_DOCKER_HUB_ALIASES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})

EXAMPLES = "`registry.example.com/team`, `docker://registry.example.com:5000/team` or `oci:./images`"


@dataclasses.dataclass(frozen=True)
class DistributionLocation:
    """A registry that speaks the OCI Distribution protocol; every function has the repository `<path>/<function>`."""

    host: str  # with the port where one is given, as it stands in references
    path: str = ""  # without slashes at its ends; may be empty

    @property
    def endpoint(self) -> str:
        """The host that requests go to: Docker Hub answers under another name than the one in references."""
        return "registry-1.docker.io" if self.host == _DOCKER_HUB else self.host

    def repository(self, name: str) -> str:
        """The repository of function `name`, such as `team/hello`. Errors: PlatformError if no registry would take the
        name."""
        check_name(name)
        path = self.path or ("library" if self.host == _DOCKER_HUB else "")
        repository = f"{path}/{name}" if path else name
        if len(repository) > _LONGEST_REPOSITORY:
            raise PlatformError(
                f"The repository name {repository!r} is longer than {_LONGEST_REPOSITORY} characters.",
                next_step="Choose a shorter `registry` path.",
            )
        return repository

    def digest_reference(self, name: str, digest: str) -> str:
        """`host/path/<name>@sha256:…`, what a deployment refers to."""
        return f"{self.host}/{self.repository(name)}@{check_digest(digest)}"

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.path else self.host


@dataclasses.dataclass(frozen=True)
class LayoutLocation:
    """An OCI image layout on disk; it holds all functions, each under the reference name `<function>:<tag>`."""

    directory: Path  # absolute

    def reference_name(self, name: str, tag: str) -> str:
        """The annotation `org.opencontainers.image.ref.name` of an entry."""
        return f"{check_name(name)}:{check_tag(tag)}"

    def digest_reference(self, name: str, digest: str) -> str:
        """`oci:DIR:<name>@sha256:…`, for people and logs."""
        return f"oci:{self.directory}:{check_name(name)}@{check_digest(digest)}"

    def __str__(self) -> str:
        return f"oci:{self.directory}"


RegistryLocation: t.TypeAlias = "DistributionLocation | LayoutLocation"


def parse_registry(text: str, *, base: Path | None = None) -> RegistryLocation:
    """What the option `registry` means.

    Args:
        text: `host[:port][/path]`, `docker://host[:port][/path]`, or `oci:DIR`.
        base: the directory that a relative DIR starts from; default is the working directory.

    Errors: PlatformError for any other scheme, a tag or digest, upper-case paths and a missing host.
    """
    given = text.strip()
    if not given:
        raise PlatformError("`registry` is empty.", next_step=f"Give {EXAMPLES}.")
    if given.startswith("oci:") and not given.startswith("oci://"):
        return _parse_layout(given, base or Path.cwd())
    remainder = given.removeprefix("docker://")
    _refuse_scheme(given, remainder)
    return _parse_distribution(given, remainder)


def check_name(name: str) -> str:
    """`name` itself. Errors: PlatformError if it cannot be the last part of a repository's name."""
    if not _COMPONENT.fullmatch(name):
        raise PlatformError(
            f"{name!r} cannot be the name of a repository: only lower-case letters and digits, joined by '-', '.' or "
            "'_'.",
            next_step="Change `name` in spin.toml.",
        )
    return name


def check_tag(tag: str) -> str:
    """`tag` itself. Errors: PlatformError if the grammar refuses it."""
    if not _TAG.fullmatch(tag):
        raise PlatformError(
            f"{tag!r} is no tag.",
            next_step="Use letters, digits, '_', '.' and '-', not first '.' or '-', up to 128 characters.",
        )
    return tag


def check_digest(digest: str) -> str:
    """`digest` itself. Errors: ValueError, as digests come from our own code and not from a user."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no sha256 digest")
    return digest


def _parse_layout(given: str, base: Path) -> LayoutLocation:
    directory = given.removeprefix("oci:")
    if not directory:
        raise PlatformError(
            f"`registry` {given!r} names no directory.", next_step="Write `oci:DIR`, such as `oci:./images`."
        )
    if ":" in directory or "@" in directory:
        # containers/image splits `oci:path:reference` at the first colon, so no tool could read such a directory.
        raise PlatformError(
            f"`registry` {given!r} holds a tag or digest, or its directory's name holds ':' or '@'.",
            next_step="Leave the tag off: each function gets its own; and choose a directory without ':' and '@'.",
        )
    path = Path(directory).expanduser()
    return LayoutLocation((base / path).absolute())


def _refuse_scheme(given: str, remainder: str) -> None:
    match = _SCHEME.match(remainder)
    if match is None:
        return
    scheme = (match[1] or match[2]).lower()
    if scheme == "http":
        next_step = "Leave `http://` off and set `registry_plain_http: true`."
    elif scheme in ("https", "oci"):
        next_step = f"Leave `{scheme}://` off: HTTPS is the default."
    else:
        next_step = f"Write {EXAMPLES}."
    raise PlatformError(f"`registry` {given!r} has the scheme {scheme!r}, which is not supported.", next_step=next_step)


def _parse_distribution(given: str, remainder: str) -> DistributionLocation:
    if "@" in remainder:
        raise PlatformError(
            f"`registry` {given!r} holds a digest or a user name.",
            next_step="Leave it off: the digest is found by the deployment, credentials have their own options.",
        )
    host, _slash, path = remainder.partition("/")
    host = host.lower()
    if not _looks_like_host(host):
        hint = f", or `{_DOCKER_HUB}/{remainder.lower()}` for Docker Hub" if _COMPONENT.fullmatch(host) else ""
        raise PlatformError(
            f"`registry` {given!r} has no host.",
            next_step=f"Put the registry's host first, such as `registry.example.com/{path or 'team'}`{hint}.",
        )
    if not _HOST.fullmatch(host) or not _port_is_valid(host):
        raise PlatformError(
            f"{host!r} in `registry` {given!r} is not a host with an optional port.",
            next_step=f"Write {EXAMPLES}; a tag is not part of it.",
        )
    if host in _DOCKER_HUB_ALIASES:
        host = _DOCKER_HUB
    path = path.removesuffix("/")
    if ":" in path:
        raise PlatformError(
            f"`registry` {given!r} holds a tag.",
            next_step=f"Write `{given.rpartition(':')[0]}`: the deployment sets the tag itself.",
        )
    if path != path.lower():
        raise PlatformError(
            f"The path in `registry` {given!r} has upper-case letters, which no registry allows.",
            next_step=f"Write `{host}/{path.lower()}`.",
        )
    for component in path.split("/") if path else ():
        if not _COMPONENT.fullmatch(component):
            raise PlatformError(
                f"{component!r} in `registry` {given!r} is not a valid part of a path.",
                next_step="Use lower-case letters and digits, joined by one '.', one or two '_' or any number of "
                "'-', between single slashes.",
            )
    if host == _DOCKER_HUB and "/" in path:
        raise PlatformError(
            f"Docker Hub has no nested repositories, so `registry` {given!r} cannot be.",
            next_step=f"Write `{_DOCKER_HUB}/{path.split('/')[0]}`.",
        )
    return DistributionLocation(host, path)


def _looks_like_host(component: str) -> bool:
    """The rule of normalize.go: else the first component would be a path on Docker Hub."""
    return "." in component or ":" in component or component == "localhost"


def _port_is_valid(host: str) -> bool:
    port = re.search(r":([0-9]+)$", host.rpartition("]")[2])
    return port is None or 0 < int(port[1]) < 65536
