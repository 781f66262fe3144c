# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a host should be rebooted."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.reboot import newer_kernel, reboot_reason

DEBIAN, NEWER = "6.1.0-18-cloud-amd64", "6.1.0-40-cloud-amd64"


def installed(root: Path, *releases: str, in_modules: bool = False) -> str:
    for release in releases:
        file = root / (f"lib/modules/{release}/vmlinuz" if in_modules else f"boot/vmlinuz-{release}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return str(root)


@pytest.fixture(autouse=True)
def without_dnf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def needs_restarting(directory: Path, exit_code: int) -> None:
    program = directory / "bin/needs-restarting"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$*" = -r ] || exit 9\nexit {exit_code}\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("running", "others", "newest"),
    [
        (DEBIAN, [NEWER, "6.1.0-9-cloud-amd64"], NEWER),
        (DEBIAN, ["6.1.0-40-amd64"], ""),
        ("5.15.0-113-generic", ["5.15.0-99-generic"], ""),
        ("6.8.0-1012-aws", ["6.8.0-1015-aws", "6.8.0-1020-generic"], "6.8.0-1015-aws"),
        ("5.14.0-427.13.1.el9_4.x86_64", ["5.14.0-503.11.1.el9_5.x86_64"], "5.14.0-503.11.1.el9_5.x86_64"),
        ("6.1.90-99.173.amzn2023.x86_64", ["6.1.102-108.177.amzn2023.x86_64"], "6.1.102-108.177.amzn2023.x86_64"),
        ("6.12.41+deb13-cloud-arm64", ["6.12.43+deb13-cloud-arm64"], "6.12.43+deb13-cloud-arm64"),
    ],
)
@pytest.mark.parametrize("in_modules", [False, True])
def test_the_newest_kernel_of_the_same_flavour_counts(
    tmp_path: Path, running: str, others: list[str], newest: str, in_modules: bool
) -> None:
    assert newer_kernel(running, installed(tmp_path, running, *others, in_modules=in_modules)) == newest


def test_a_kernel_that_is_not_installed_here_tells_nothing(tmp_path: Path) -> None:
    assert newer_kernel(DEBIAN, installed(tmp_path, NEWER)) == ""


def test_a_host_with_nothing_to_do(tmp_path: Path) -> None:
    assert reboot_reason(installed(tmp_path, DEBIAN), running=DEBIAN) == ""


def test_packages_that_ask_for_it_are_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/reboot-required").touch()
    assert reboot_reason(str(tmp_path)) == "packages ask for it"
    (tmp_path / "run/reboot-required.pkgs").write_text("linux-base\nlibc6\nlinux-base\n")
    assert reboot_reason(str(tmp_path)) == "packages ask for it: libc6, linux-base"


def test_a_newer_kernel_is_named(tmp_path: Path) -> None:
    assert reboot_reason(installed(tmp_path, DEBIAN, NEWER), running=DEBIAN) == (
        f"kernel {NEWER} is installed, {DEBIAN} is running"
    )


@pytest.mark.parametrize(
    ("exit_code", "reason"), [(0, ""), (1, "core libraries or services are newer than the boot"), (2, "")]
)
def test_dnf_is_asked(tmp_path: Path, exit_code: int, reason: t.Any) -> None:
    needs_restarting(tmp_path, exit_code)
    assert reboot_reason(installed(tmp_path, DEBIAN), running=DEBIAN) == reason
