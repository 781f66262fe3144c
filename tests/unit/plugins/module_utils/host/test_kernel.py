# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kernel.py: what is in force counts, not only what is written."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.wasmfaas.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.commands import Completed
from ansible_collections.wasmfaas.platform.plugins.module_utils.host.kernel import Kernel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/panic").write_text("0\n")
    (tmp_path / "proc/filesystems").write_text("nodev\toverlay\n")
    (tmp_path / "sys/module").mkdir(parents=True)
    return tmp_path


def loader(root: Path, calls: list[list[str]]) -> t.Callable[[t.Sequence[str]], Completed]:
    """A modprobe that makes the directory that the kernel would make, and fails for `absent`."""

    def run(command: t.Sequence[str]) -> Completed:
        calls.append(list(command))
        if command[-1] == "absent":
            return Completed(1, "", "modprobe: FATAL: Module absent not found in directory /lib/modules/6.1.0")
        (root / "sys/module" / command[-1].replace("-", "_")).mkdir()
        return Completed(0, "", "")

    return run


def test_sets_loads_and_writes_then_changes_nothing(root: Path) -> None:
    calls: list[list[str]] = []
    kernel = Kernel("90-test", root=root, run=loader(root, calls))
    first = kernel.ensure(["overlay", "br_netfilter"], {"kernel.panic": 10}, check_mode=False)
    assert first["changed"]
    assert calls == [["modprobe", "--", "br_netfilter"]]  # overlay is built in
    assert (root / "proc/sys/kernel/panic").read_text() == "10"
    assert (root / "etc/modules-load.d/90-test.conf").read_text().endswith("overlay\nbr_netfilter\n")
    assert (root / "etc/sysctl.d/90-test.conf").read_text().endswith("kernel.panic = 10\n")
    assert kernel.ensure(["overlay", "br_netfilter"], {"kernel.panic": 10}, check_mode=False)["changed"] is False


def test_run_cut_off_after_the_files_is_made_good(root: Path) -> None:
    kernel = Kernel("90-test", root=root, run=loader(root, []))
    kernel.ensure([], {"kernel.panic": 10}, check_mode=False)
    (root / "proc/sys/kernel/panic").write_text("0\n")
    assert kernel.ensure([], {"kernel.panic": 10}, check_mode=False)["changed"]
    assert (root / "proc/sys/kernel/panic").read_text() == "10"


def test_check_mode_tells_and_touches_nothing(root: Path) -> None:
    calls: list[list[str]] = []
    result = Kernel("90-test", root=root, run=loader(root, calls)).ensure(
        ["br_netfilter"], {"kernel.panic": 10}, check_mode=True
    )
    assert result["changed"]
    assert "kernel.panic = 0" in result["diff"]["before"]
    assert "kernel.panic = 10" in result["diff"]["after"]
    assert calls == []
    assert (root / "proc/sys/kernel/panic").read_text() == "0\n"
    assert not (root / "etc").exists()


@pytest.mark.parametrize(
    ("modules", "settings", "message"),
    [(["absent"], {}, "module absent"), ([], {"kernel.nothing": 1}, "no setting kernel.nothing")],
)
def test_what_cannot_be_is_said(root: Path, modules: list[str], settings: dict[str, int], message: str) -> None:
    with pytest.raises(PlatformError, match=message) as caught:
        Kernel("90-test", root=root, run=loader(root, [])).ensure(modules, settings, check_mode=False)
    assert caught.value.next_step


def test_setting_that_the_kernel_does_not_keep_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel("90-test", root=root, run=loader(root, []))
    monkeypatch.setattr(kernel, "value", lambda name: "0")
    with pytest.raises(PlatformError, match=r"is still 0 after 10 was written"):
        kernel.ensure([], {"kernel.panic": 10}, check_mode=False)
