# Copyright: (c) 2026, the wasmfaas.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""zot with the configuration that role function_registry gives it, where its program is in PATH."""

from __future__ import annotations

import shutil
import ssl
import typing as t
from pathlib import Path

from ansible_collections.wasmfaas.platform.plugins.module_utils.platform.function_registry import configuration
from ansible_collections.wasmfaas.platform.plugins.module_utils.registry import registry_access

from .servers import Server, answers, free_port, write_json, write_private

MISSING = "" if shutil.which("zot") else "no zot in PATH: https://github.com/project-zot/zot, of the chart's version"


class Zot:
    """A running registry; `access` is what role function_registry keeps of it on the controller."""

    def __init__(self, directory: Path, *, tenants: t.Sequence[str]) -> None:
        """Start it with its images, configuration and log in `directory`, and an account for each of the tenants."""
        port = free_port()
        wanted = registry_access.DesiredAccess("127.0.0.1", ("127.0.0.1",), port, "functions", 1825, tuple(tenants))
        directory.mkdir(parents=True)
        self.file = directory / "function-registry.json"
        self.access = registry_access.ensure(self.file, "", wanted, check_mode=False)[1]
        made = configuration("disk", {}, keep_images=50, keep_days=90, path="functions", tenants=tenants)
        # What is elsewhere in the pod; all else is as there.
        made["storage"]["rootDirectory"] = str(directory / "images")
        http = made["http"]
        http |= {"address": "127.0.0.1", "port": str(port)}
        http["tls"] = {
            name: str(write_private(directory / f"tls.{name}", self.access["server"][content]))
            for name, content in (("cert", "certificate"), ("key", "key"))
        }
        http["auth"]["htpasswd"]["path"] = str(write_private(directory / "htpasswd", self.access["htpasswd"]))
        self.host = f"127.0.0.1:{port}"
        self.authority_file = Path(self.access["ca_file"])
        program = shutil.which("zot")
        assert program, MISSING
        self.server = Server(
            [program, "serve", str(write_json(directory / "config.json", made))], log=directory / "zot.log"
        )
        verify = ssl.create_default_context(cafile=self.authority_file)
        self.server.wait_ready(
            lambda: answers(f"https://{self.host}/v2/", verify=verify, statuses=(200, 401)), seconds=60
        )

    def login(self, user: str) -> tuple[str, str]:
        """The name and password of a user, `deployer`, `nodes` or `tenant-NAME`."""
        return user, self.access["users"][user]

    def stop(self) -> None:
        self.server.stop()
