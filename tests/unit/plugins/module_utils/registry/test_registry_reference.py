# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may stand in the option `registry`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry.reference import (
    DistributionLocation,
    LayoutLocation,
    check_tag,
    parse_registry,
)
from hypothesis import given
from hypothesis import strategies as st

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("registry.example.com/team", f"registry.example.com/team/hello@{DIGEST}"),
        (
            "docker://registry.example.com:5000/team/functions",
            f"registry.example.com:5000/team/functions/hello@{DIGEST}",
        ),
        ("localhost:5000", f"localhost:5000/hello@{DIGEST}"),
        ("localhost/team/", f"localhost/team/hello@{DIGEST}"),
        ("Registry.Example.COM/team", f"registry.example.com/team/hello@{DIGEST}"),
        ("127.0.0.1:5000/a__b/c-d/e.f", f"127.0.0.1:5000/a__b/c-d/e.f/hello@{DIGEST}"),
        ("[::1]:5000/team", f"[::1]:5000/team/hello@{DIGEST}"),
        ("docker.io", f"docker.io/library/hello@{DIGEST}"),
        ("index.docker.io/team", f"docker.io/team/hello@{DIGEST}"),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/functions",
            f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/functions/hello@{DIGEST}",
        ),
        ("oci:/srv/images", f"oci:/srv/images:hello@{DIGEST}"),
    ],
)
def test_reference_by_digest(text: str, expected: str) -> None:
    assert parse_registry(text).digest_reference("hello", DIGEST) == expected


@pytest.mark.parametrize(
    ("text", "cause", "next_step"),
    [
        ("", "is empty", "registry.example.com/team"),
        ("http://localhost:5000/team", "scheme 'http'", "registry_plain_http: true"),
        ("https://registry.example.com/team", "scheme 'https'", "Leave"),
        ("oci://registry.example.com/team", "scheme 'oci'", "Leave"),
        ("oci-archive:/tmp/x.tar", "scheme 'oci-archive'", "oci:./images"),
        ("docker-daemon:hello:v1", "scheme 'docker-daemon'", "docker://"),
        ("team/functions", "has no host", "docker.io/team/functions"),
        ("docker://", "has no host", "registry.example.com"),
        ("registry.example.com/team:v1", "holds a tag", "`registry.example.com/team`"),
        ("registry.example.com:v1", "not a host", "tag"),
        (f"registry.example.com/team@{DIGEST}", "digest", "Leave it off"),
        ("registry.example.com/Team", "upper-case", "`registry.example.com/team`"),
        ("registry.example.com/a//b", "not a valid part", "single slashes"),
        ("registry.example.com/-a", "not a valid part", "lower-case"),
        ("registry.example.com/a___b", "not a valid part", "lower-case"),
        ("registry.example.com:99999/a", "not a host", "Write"),
        ("docker.io/team/nested", "no nested repositories", "`docker.io/team`"),
        ("oci:", "names no directory", "oci:DIR"),
        ("oci:/srv/images:v1", "tag", "Leave the tag off"),
    ],
)
def test_refused(text: str, cause: str, next_step: str) -> None:
    with pytest.raises(PlatformError) as caught:
        parse_registry(text)
    assert cause in caught.value.cause
    assert next_step in caught.value.next_step


def test_docker_hub_answers_elsewhere() -> None:
    location = parse_registry("docker.io/team")
    assert isinstance(location, DistributionLocation)
    assert (location.host, location.endpoint, location.repository("hello")) == (
        "docker.io",
        "registry-1.docker.io",
        "team/hello",
    )


def test_relative_layout_becomes_absolute(tmp_path: Path) -> None:
    assert parse_registry("oci:./images", base=tmp_path) == LayoutLocation(tmp_path / "images")


def test_names_and_tags_are_checked() -> None:
    location = parse_registry("localhost:5000/team")
    for name in ("Hello", "he llo", "-a", "a/../b", ""):
        with pytest.raises(PlatformError, match="repository"):
            location.digest_reference(name, DIGEST)
    for tag in ("", "-a", "a/b", "x" * 129):
        with pytest.raises(PlatformError, match="no tag"):
            check_tag(tag)
    with pytest.raises(PlatformError, match="longer than 255"):
        parse_registry("localhost:5000/" + "a" * 250).digest_reference("hello", DIGEST)


# The grammar as distribution/reference writes it, as a second opinion on ours.
_GRAMMAR = re.compile(
    r"(?:[a-zA-Z0-9.-]+|\[[a-f0-9:]+\])(?::[0-9]+)?/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*@sha256:[0-9a-f]{64}"
)


@given(st.text(alphabet="abzAZ09.-_:/@[]~ %é", max_size=30) | st.text(max_size=30))
def test_never_anything_but_a_valid_reference_or_a_readable_error(text: str) -> None:
    try:
        location = parse_registry(text)
    except PlatformError as error:
        assert error.cause and error.next_step
        return
    if isinstance(location, LayoutLocation):
        assert location.directory.is_absolute()
    elif len(location.path) < 200:
        assert _GRAMMAR.fullmatch(location.digest_reference("hello", DIGEST))


_PART = st.from_regex(r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)


@given(
    st.sampled_from(["localhost", "registry.example.com", "a.b:5000", "127.0.0.1:1", "[::1]:80"]),
    st.lists(_PART, max_size=4),
)
def test_every_valid_location_is_read_back_from_its_own_text(host: str, parts: list[str]) -> None:
    location = parse_registry("/".join([host, *parts]))
    assert location == DistributionLocation(host, "/".join(parts))
    assert parse_registry(f"docker://{location}/") == location
