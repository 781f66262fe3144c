# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules and settings of a host: in force now and at each boot."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ..errors import PlatformError
from . import whole_file
from .commands import Completed, run_command

BUILT_IN = {"br_netfilter": "proc/sys/net/bridge"}
"""A path that exists if a module is built into the kernel; /sys/module does not list all built-in modules."""

HEADER = "# Managed by Ansible (wasmfaas.platform.kernel_settings): changes made here are lost.\n"


class Kernel:
    """The live and the desired settings of a host's kernel.

    Args:
        names: stem of the two files below /etc, such as `90-wasmfaas`.
        root: folder in place of `/`, for tests.
        run: runs a command on the host.
    """

    def __init__(
        self, names: str, *, root: Path = Path("/"), run: t.Callable[[t.Sequence[str]], Completed] = run_command
    ) -> None:
        self.run = run
        self.root = root
        self.names = names

    def ensure(
        self, modules: t.Sequence[str], settings: t.Mapping[str, t.Any], *, check_mode: bool
    ) -> dict[str, t.Any]:
        """Load missing modules, set values that differ, and write both down for the next boot.

        Args:
            modules: names of kernel modules.
            settings: values by name, such as {"vm.overcommit_memory": 1}.

        Returns:
            `changed`; `diff` with before and after, one line for each thing that differed.

        Raises:
            PlatformError: a module cannot be loaded, a setting doesn't exist or can't be written.
        """
        wanted = _wanted(settings)
        files = {self.root / name: content for name, content in written(self.names, modules, settings).items()}
        missing = [name for name in modules if not self.loaded(name)]
        stale = [path for path, content in files.items() if _read(path) != content]
        if not check_mode:
            for path in stale:
                path.parent.mkdir(parents=True, exist_ok=True)
                whole_file.write(path, files[path], mode=0o644)
            for name in missing:
                self.load(name)
        # Read after the modules are loaded, since modules add settings.
        different = {name: value for name, value in wanted.items() if self.value(name) != value}
        before = [f"{name} = {self.value(name)}" for name in different]
        if not check_mode:
            for name, value in different.items():
                self.set(name, value)
        lines = (
            [f"module {name}" for name in missing]
            + [f"file {path}" for path in stale]
            + [f"{name} = {value}" for name, value in different.items()]
        )
        return {
            "changed": bool(lines),
            "diff": {
                "before": "".join(f"{line}\n" for line in before),
                "after": "".join(f"{line}\n" for line in lines),
            },
        }

    def loaded(self, module: str) -> bool:
        """Whether the kernel has the module, loaded or built in."""
        traces = [f"sys/module/{module.replace('-', '_')}", *filter(None, [BUILT_IN.get(module)])]
        return (
            any((self.root / trace).exists() for trace in traces)
            or module in _read(self.root / "proc/filesystems").split()
        )

    def load(self, module: str) -> None:
        completed = self.run(["modprobe", "--", module])
        if completed.exit_code != 0:
            raise PlatformError(
                f"The kernel module {module} cannot be loaded: {completed.error.strip()[-300:]}",
                next_step=f"Install the package with the modules of the running kernel {os.uname().release}, or boot "
                "the kernel that is installed.",
            )

    def value(self, name: str) -> str | None:
        """The setting's value with single spaces; None if the kernel has no such setting."""
        path = self._path(name)
        return " ".join(_read(path).split()) if path.exists() else None

    def set(self, name: str, value: str) -> None:
        path = self._path(name)
        if not path.exists():
            raise PlatformError(
                f"The kernel has no setting {name}.",
                next_step="Remove it from node_prepare_sysctls, or load the kernel module that adds it.",
            )
        try:
            path.write_text(value, encoding="ascii")
        except OSError as error:
            raise PlatformError(
                f"The kernel setting {name} cannot be set to {value}: {error.strerror}.",
                next_step="In a container, set it on the machine that runs the container; otherwise see `journalctl "
                "-k`.",
            ) from error
        now = self.value(name)
        if now != value:
            raise PlatformError(
                f"The kernel setting {name} is still {now} after {value} was written.",
                next_step="Remove it from node_prepare_sysctls.",
            )

    def _path(self, name: str) -> Path:
        return self.root / "proc/sys" / name.replace(".", "/")


def written(names: str, modules: t.Sequence[str], settings: t.Mapping[str, t.Any]) -> dict[str, str]:
    """The content of the two files that systemd reads at boot, by path without the leading slash."""
    return {
        f"etc/modules-load.d/{names}.conf": HEADER + "".join(f"{name}\n" for name in modules),
        f"etc/sysctl.d/{names}.conf": HEADER
        + "".join(f"{name} = {value}\n" for name, value in _wanted(settings).items()),
    }


def _wanted(settings: t.Mapping[str, t.Any]) -> dict[str, str]:
    return {name: " ".join(str(value).split()) for name, value in settings.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
